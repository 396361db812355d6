//! A consumer group, an inference fleet and a batch queue in discrete time, seeded. Pure.
