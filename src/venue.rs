//! What the gateway asks of an exchange, and what an exchange tells it.

pub mod port;
