//! What has been seen: samples per signal in rings, gaps kept as gaps, persisted between runs.
