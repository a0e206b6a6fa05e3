//! The gateway's side of Binance as pure machines: feeds, logon, order entry, user stream, recovery queries.
//!
//! [`spot::ports`] makes both machines of the spot market from one configuration, [`usdt::ports`] those of the USDT-M
//! futures, [`margin::ports`] those of cross margin. On spot no REST is used: market data comes from the streams host,
//! everything else goes over the websocket API.

mod common;
pub mod margin;
pub mod spot;
pub mod usdt;

pub use common::{Access, Timing};
