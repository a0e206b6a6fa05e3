//! Orders: what may be asked ([`request`]), what an order is ([`state`]), and all of them ([`table`]).

pub mod request;
pub mod state;
pub mod table;
