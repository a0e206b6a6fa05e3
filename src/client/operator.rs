//! The operator's half of the local protocol: greeting, both proofs, then one question after the other.
//!
//! ```text
//! Silent ─opened─► Greeting ─the gateway's proof─► Proving ─taken─► In
//! ```
//!
//! It does not come back by itself: whoever asks is there to see that nobody answers.

use serde_json::value::RawValue;

use super::event::LocalError;
use super::machine::Reply;
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::event::Welcome;
use crate::wire::operator::{Operate, Operating};
use crate::wire::proof;
use crate::wire::request::{Call, Hello, Request, VERSION, encode};

#[derive(Debug)]
enum Phase {
    Silent,
    Greeting { token: String, nonce: String },
    Proving,
    In,
}

/// What came of a frame.
#[derive(Debug)]
pub enum Heard {
    /// To be sent next.
    Say(String),
    /// The gateway has taken the proof.
    In(Operating),
    /// The reply to the question.
    Reply(Reply),
    /// Nothing that was asked for.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub struct Operator {
    name: String,
    phase: Phase,
    last_id: u64,
    welcome: Option<Welcome>,
}

impl Operator {
    /// Who calls himself that in the gateway's log.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), phase: Phase::Silent, last_id: 0, welcome: None }
    }

    /// What the gateway has said of itself.
    pub fn gateway(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// The websocket is open: the first frame. `nonce`: 16 to 64 random bytes as hex.
    pub fn opened(&mut self, token: &str, nonce: &str) -> String {
        self.phase = Phase::Greeting { token: token.to_owned(), nonce: nonce.to_owned() };
        let hello = Hello { version: VERSION, nonce: nonce.to_owned(), session_id: None, operator: true };
        self.call(Call::Hello(hello))
    }

    /// A question: method and params as JSON text. Its reply is the next that [`Operator::take`] gives.
    pub fn ask(&mut self, method: &str, params: &RawValue) -> String {
        self.last_id += 1;
        let method = serde_json::Value::from(method);
        format!("{{\"id\":{},\"method\":{method},\"params\":{params}}}", self.last_id)
    }

    fn call(&mut self, call: Call) -> String {
        self.last_id += 1;
        encode(&Request { id: Some(self.last_id), call })
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// The gateway does not take the operator, is none, or says what the protocol does not know.
    pub fn take(&mut self, text: &str) -> Result<Heard, ErrorBody> {
        #[derive(serde::Deserialize)]
        struct Frame {
            id: Option<u64>,
            result: Option<Box<RawValue>>,
            error: Option<ErrorBody>,
        }
        let frame: Frame = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
        let of_last = frame.id == Some(self.last_id) || (frame.id.is_none() && frame.error.is_some());
        let reply = match (frame.result, frame.error) {
            _ if !of_last => return Ok(Heard::Nothing),
            (_, Some(error)) => Err(error),
            (Some(result), None) => Ok(result),
            (None, None) => return Ok(Heard::Nothing),
        };
        match std::mem::replace(&mut self.phase, Phase::Silent) {
            Phase::Silent => Ok(Heard::Nothing),
            Phase::Greeting { token, nonce } => self.welcomed(&token, &nonce, &reply.map_err(older)?),
            Phase::Proving => {
                let taken = serde_json::from_str(reply?.get()).map_err(|error| unreadable(&error))?;
                self.phase = Phase::In;
                Ok(Heard::In(taken))
            }
            Phase::In => {
                self.phase = Phase::In;
                Ok(Heard::Reply(reply))
            }
        }
    }

    fn welcomed(&mut self, token: &str, nonce: &str, result: &RawValue) -> Result<Heard, ErrorBody> {
        let welcome: Welcome = serde_json::from_str(result.get()).map_err(|error| unreadable(&error))?;
        if !proof::is_gateway(token, nonce, &welcome.nonce, &welcome.proof) {
            let message = "the gateway's proof does not match the operator's token: something else listens there, the \
                           token is one of strategies, or its file is of an earlier run";
            return Err(ErrorBody::new(ErrorCode::BadProof, message));
        }
        let proof = proof::of_operator(token, nonce, &welcome.nonce);
        self.welcome = Some(welcome);
        self.phase = Phase::Proving;
        Ok(Heard::Say(self.call(Call::Operate(Operate { name: self.name.clone(), proof }))))
    }
}

/// A gateway that does not know the word.
fn older(error: ErrorBody) -> ErrorBody {
    if error.code == ErrorCode::BadRequest.code() && error.message.contains("unknown field `operator`") {
        return ErrorBody::new(ErrorCode::VersionMismatch, "the gateway is older and knows no operator");
    }
    error
}

fn unreadable(error: &serde_json::Error) -> ErrorBody {
    LocalError::Protocol.body(format!("the gateway's reply cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NONCE: &str = "000102030405060708090a0b0c0d0e0f";

    fn said(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn greeted(token: &str) -> (Operator, Result<Heard, ErrorBody>) {
        let mut operator = Operator::new("test");
        let hello = said(&operator.opened("mine", NONCE));
        assert_eq!(hello["params"], json!({"version": 1, "nonce": NONCE, "operator": true}));
        let welcome = json!({"version": 1, "market": "spot", "gateway": "g", "nonce": "ff",
            "proof": proof::of_gateway(token, NONCE, "ff")});
        let heard = operator.take(&json!({"id": 1, "result": welcome}).to_string());
        (operator, heard)
    }

    #[test]
    fn both_sides_prove_the_token_and_questions_are_answered_one_by_one() {
        let (mut operator, heard) = greeted("mine");
        let Ok(Heard::Say(operate)) = heard else { panic!("{heard:?}") };
        let operate = said(&operate);
        assert_eq!(operate["method"], "operate");
        assert!(proof::is_operator("mine", NONCE, "ff", operate["params"]["proof"].as_str().unwrap()));
        let seat = json!({"install": "7cz1k", "epoch": 7, "time": 1});
        let heard = operator.take(&json!({"id": 2, "result": seat}).to_string());
        assert!(matches!(heard, Ok(Heard::In(Operating { epoch: 7, .. }))), "{heard:?}");
        let asked = operator.ask("operator.status", &RawValue::from_string("{}".to_owned()).unwrap());
        assert_eq!(said(&asked), json!({"id": 3, "method": "operator.status", "params": {}}));
        assert!(matches!(operator.take(r#"{"event":"state","state":"down"}"#), Ok(Heard::Nothing)));
        assert!(matches!(operator.take(r#"{"id":2,"result":5}"#), Ok(Heard::Nothing)), "an earlier one");
        let reply = operator.take(r#"{"id":3,"error":{"code":-10008,"name":"bad_request","message":"no"}}"#);
        assert!(matches!(reply, Ok(Heard::Reply(Err(_)))), "{reply:?}");
    }

    #[test]
    fn a_gateway_that_does_not_know_the_token_is_shown_no_proof() {
        let (_, heard) = greeted("another");
        assert_eq!(heard.unwrap_err().code, ErrorCode::BadProof.code());
    }

    #[test]
    fn an_older_gateway_is_called_one() {
        let mut operator = Operator::new("test");
        operator.opened("mine", NONCE);
        let words = "params of hello: unknown field `operator`, expected one of `version`";
        let error = json!({"id": 1, "error": {"code": -10008, "name": "bad_request", "message": words}});
        assert_eq!(operator.take(&error.to_string()).unwrap_err().code, ErrorCode::VersionMismatch.code());
        assert_eq!(operator.take("{").unwrap_err().code, LocalError::Protocol.code());
    }
}
