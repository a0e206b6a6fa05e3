//! `pyalgo._core`: the client half of the core for Python. [`engine`] runs the loop, [`session`] joins a machine of
//! `tradingsys::client` to its [`transport`], [`dispatch`] calls the strategy.
//!
//! Locks are held for a moment and never while Python code can run, so a callback may use everything.

mod book;
mod clock;
mod collector;
mod convert;
mod desk;
mod dispatch;
mod engine;
mod market_data;
mod operator;
mod reactor;
mod records;
mod session;
mod signals;
mod smart_order;
mod subscription;
mod tls;
mod token;
mod transport;

use pyo3::prelude::*;

/// The compiled part of pyalgo.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use crate::book::{Book, BookSubscription, Mark, MarkSubscription};
    #[pymodule_export]
    use crate::engine::{Engine, Timer};
    #[pymodule_export]
    use crate::market_data::{Bar, Depth, Trade};
    #[pymodule_export]
    use crate::operator::{Operator, plain_json};
    #[pymodule_export]
    use crate::records::{Balance, Notice, Order, OrderError, Position, Product, SessionState};
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::smart_order::SmartOrder;
    #[pymodule_export]
    use crate::subscription::{BarSubscription, DepthSubscription, Subscription, TradeSubscription};
}
