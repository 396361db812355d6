//! Carries an action out: one actuator a file. `watch` never constructs one.
