//! Orders: what may be asked ([`request`]), what an order is ([`state`]), all of them ([`table`]), and what the open
//! ones may still do ([`exposure`]).

pub mod exposure;
pub mod request;
pub mod state;
pub mod table;
