//! Cancel-and-replace, and amends.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::Object;
use tradingsys::exchange::{Amend, Cancel, CancelReplaceMode, CancelReplaced, Canceled, Reject};
use tradingsys::ids::ClientOrderId;
use tradingsys::num::Qty;

use crate::methods::{Answer, Call};
use crate::order_json;
use crate::sim::Sim;
use crate::trading::{Ticket, cancel_refusal, engine_words, order_ref, refusal, restriction};

/// One leg of a cancel-and-replace: its result's word, and its JSON.
struct Leg {
    word: &'static str,
    json: String,
}

impl Leg {
    fn done(json: String) -> Self {
        Self { word: "SUCCESS", json }
    }
    fn failed(error: &ErrorReply) -> Self {
        Self { word: "FAILURE", json: error.body() }
    }
    fn skipped() -> Self {
        Self { word: "NOT_ATTEMPTED", json: "null".into() }
    }
    fn is_done(&self) -> bool {
        self.word == "SUCCESS"
    }
}

impl Sim {
    /// `order.cancelReplace`.
    pub(crate) fn cancel_replace(&mut self, call: &Call<'_>) -> Answer {
        let params = call.params;
        let mut ticket = self.ticket(params)?;
        let mode = CancelReplaceMode::from_word(params.need("cancelReplaceMode")?)
            .ok_or_else(|| ErrorReply::invalid("cancelReplaceMode"))?;
        let order = order_ref(params, "cancelOrderId", "cancelOrigClientOrderId")?;
        let restriction = restriction(params)?;
        let cancel_id = self.given_or_random(params.client_id("cancelNewClientOrderId")?);
        let cancel_only = match params.text("orderRateLimitExceededMode")? {
            None | Some("DO_NOTHING") => false,
            Some("CANCEL_ONLY") => true,
            Some(_) => return Err(ErrorReply::invalid("orderRateLimitExceededMode")),
        };
        self.name(&mut ticket.request);
        let cancel = Cancel { symbol: ticket.request.symbol.clone(), order, cancel_id, restriction };
        if let Err(full) = self.rates.order_room(call.now, call.account) {
            return if cancel_only { self.cancel_only(call, &cancel, &full) } else { Err(full) };
        }
        let replaced = self.exchange.cancel_replace(call.now, call.account, mode, &cancel, &ticket.request);
        let replaced = replaced.map_err(refusal)?;
        self.rates.count_order(call.now, call.account);
        let (cancel, new) = self.legs(call, &ticket, replaced);
        outcome(&cancel, &new)
    }

    fn legs(&mut self, call: &Call<'_>, ticket: &Ticket, replaced: CancelReplaced) -> (Leg, Leg) {
        let cancel = match &replaced.cancel {
            Ok(canceled) => Leg::done(self.canceled_json(canceled, call)),
            Err(reject) => Leg::failed(&cancel_refusal(*reject)),
        };
        let new = match replaced.new {
            None => Leg::skipped(),
            Some(Err(reject)) => Leg::failed(&refusal(reject)),
            Some(Ok(placed)) => {
                self.keep_label(&placed.order.symbol, placed.order.id, ticket.label);
                Leg::done(order_json::placed(&placed, ticket.label, ticket.detail, call.unit))
            }
        };
        (cancel, new)
    }

    /// The order limit is used up: only the cancel is done.
    fn cancel_only(&mut self, call: &Call<'_>, cancel: &Cancel, full: &ErrorReply) -> Answer {
        let cancel = match self.exchange.cancel(call.now, call.account, cancel) {
            Ok(canceled) => Leg::done(self.canceled_json(&canceled, call)),
            Err(reject) => Leg::failed(&cancel_refusal(reject)),
        };
        let plain = ErrorReply { data: None, ..full.clone() };
        outcome(&cancel, &Leg::failed(&plain))
    }

    pub(crate) fn canceled_json(&self, canceled: &Canceled, call: &Call<'_>) -> String {
        let label = self.label_of(&canceled.order.symbol, canceled.order.id);
        order_json::canceled(canceled, label, call.unit)
    }

    /// The client id a request gives, or one made up.
    pub(crate) fn given_or_random(&mut self, given: Option<&str>) -> ClientOrderId {
        match given {
            Some(id) => ClientOrderId::foreign(id),
            None => ClientOrderId::foreign(&self.random_id()),
        }
    }

    /// `order.amend.keepPriority`.
    pub(crate) fn amend(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let order = order_ref(call.params, "orderId", "origClientOrderId")?;
        let qty = call.params.decimal("newQty")?.ok_or_else(|| ErrorReply::missing("newQty"))?;
        let amend_id = self.given_or_random(call.params.client_id("newClientOrderId")?);
        let amend = Amend { symbol, order, qty: Qty::from_raw(qty), amend_id };
        let amended =
            self.exchange.amend_keep_priority(call.now, call.account, &amend).map_err(amend_refusal)?;
        Ok(order_json::amended(&amended, call.unit))
    }
}

/// The whole reply by what became of the legs.
fn outcome(cancel: &Leg, new: &Leg) -> Answer {
    let data = Object::new()
        .text("cancelResult", cancel.word)
        .text("newOrderResult", new.word)
        .raw("cancelResponse", &cancel.json)
        .raw("newOrderResponse", &new.json)
        .end();
    match (cancel.is_done(), new.is_done()) {
        (true, true) => Ok(data),
        (false, false) => {
            let words = "Order cancel-replace failed.";
            Err(ErrorReply::bad(code::CANCEL_REPLACE_FAILED, words).with_data(data))
        }
        _ => {
            let words = "Order cancel-replace partially failed.";
            Err(ErrorReply::new(409, code::CANCEL_REPLACE_PARTIALLY_FAILED, words).with_data(data))
        }
    }
}

/// A refused amend in the venue's words.
fn amend_refusal(reject: Reject) -> ErrorReply {
    match reject {
        Reject::Filter(filter) => ErrorReply::bad(code::AMEND_REJECTED, format!("Filter failure: {filter}")),
        Reject::UnknownOrder => ErrorReply::bad(code::NO_SUCH_ORDER, "Order does not exist."),
        Reject::AmendNotSupported | Reject::AmendIncrease | Reject::AmendNoChange | Reject::Duplicate => {
            ErrorReply::bad(code::AMEND_REJECTED, engine_words(reject))
        }
        other => refusal(other),
    }
}
