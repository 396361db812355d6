//! The world's Kubernetes face: an API server with `/scale`, compare-and-set and watches.
