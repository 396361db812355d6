//! Named rules that hold a recommendation back; one rule a file. Pure.
