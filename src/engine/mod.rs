//! Joins observations into pictures, runs the advice, carries approvals out. One task owns the history.
