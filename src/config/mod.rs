//! Loads, merges and validates `highwater.toml`; every error names file, line, key and the mend.
