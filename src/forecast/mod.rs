//! History in, quantile paths out. Pure and deterministic; no panic of a library escapes.
