//! The world's Kafka face: brokers that speak the wire protocol.
