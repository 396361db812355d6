//! History → forecast → capacity → policies → guards → a recommendation with its explanation. Pure.
