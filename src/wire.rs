//! The local websocket protocol (`docs/protocol.md`): messages, both directions, and the catalogue of errors.

pub mod error;
pub mod event;
pub mod operator;
pub mod proof;
pub mod request;
