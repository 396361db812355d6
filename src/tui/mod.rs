//! Draws pictures, sends intents; knows no socket and no actuator.
