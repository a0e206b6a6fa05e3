//! The gateway of Binance's spot market.

fn main() {}
