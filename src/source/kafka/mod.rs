//! Reads brokers, topics and consumer groups over the Kafka wire protocol.
