//! The gateway: sessions × orders × ledger × one venue.

pub mod io;
