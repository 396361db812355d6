//! What one replica can do, how long a start-up and a rebalance take, learned from what was seen. Pure.
