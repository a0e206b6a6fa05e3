//! The gateway's side of Binance as pure machines: feeds, logon, order entry, user stream, recovery queries.
//!
//! [`spot::ports`] makes both machines of the spot market from one configuration, [`usdt::ports`] those of the USDT-M
//! futures, [`margin::ports`] those of cross margin. On spot market data comes from the streams host, everything else
//! goes over the websocket API; REST is used for one question, what the key may do ([`Guarded`]).

mod common;
pub mod margin;
pub mod rights;
pub mod spot;
pub mod usdt;

pub use common::{Access, Timing};
pub use rights::Guarded;
