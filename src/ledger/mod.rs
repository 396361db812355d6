//! The record of decisions: the action state machine (pure) and the file it is written to.
