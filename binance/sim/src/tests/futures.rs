//! Futures as a client of the venue sees them. Expected frames are written by hand from the venue's documentation
//! and the models of its official client.

mod accounts;
mod conditional;
mod funding;
mod listening;
mod market;
mod orders;
mod replay;
mod resume;

use serde_json::{Value, json};

use super::Bench;
use crate::io::Conn;

/// Adds what tests of futures need.
impl Bench {
    /// The account's private stream of futures, raw.
    pub(super) fn private(&mut self, name: &str) -> Conn {
        let key = self.listen_key(name);
        self.open(&format!("/private/ws?listenKey={key}"))
    }

    pub(super) fn listen_key(&mut self, name: &str) -> String {
        let reply = self.http("POST", "/fapi/v1/listenKey", Some(&format!("key-{name}")), "").unwrap();
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        body["listenKey"].as_str().unwrap().to_owned()
    }

    /// A connection to the websocket API of futures, logged on.
    pub(super) fn futures_api(&mut self, name: &str) -> Conn {
        let conn = self.open("/ws-fapi/v1");
        let params = self.signed(name, json!({"apiKey": format!("key-{name}")}));
        assert_eq!(self.call(conn, "session.logon", params)["status"], 200);
        conn
    }

    /// Places an order for a perpetual on a logged-on connection.
    pub(super) fn futures_order(&mut self, conn: Conn, order: Value) -> Value {
        let mut order = order;
        order["timestamp"] = json!(self.now.millis());
        self.call(conn, "order.place", order)
    }

    /// A resting bid or offer of 10 DOGE… at a price; its number.
    pub(super) fn rest_perpetual(&mut self, conn: Conn, side: &str, price: &str, qty: &str, id: &str) -> u64 {
        let reply = self.futures_order(
            conn,
            json!({"symbol": "DOGEUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "price": price,
                "quantity": qty, "newClientOrderId": id}),
        );
        assert_eq!(reply["status"], 200, "{reply}");
        reply["result"]["orderId"].as_u64().unwrap()
    }
}
