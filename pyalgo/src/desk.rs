//! One session's machine on its connection.

use std::sync::Arc;

use mio::Registry;
use rustls::ClientConfig;
use tradingsys::client::{Client, Config, Input, Output};
use tradingsys::time::Time;
use tradingsys::wire::error::{ErrorBody, ErrorCode};

use crate::token::{self, Address, Given};
use crate::transport::{Connection, Found};

/// Frames read from one socket in a turn, so that one gateway's flood does not delay another's callbacks.
const MAX_FRAMES: usize = 5_000;

pub(crate) struct Desk {
    pub(crate) client: Client,
    connection: Connection,
    given: Given,
    /// The token could not be read; told instead of "the connection was lost".
    pub(crate) token_error: Option<ErrorBody>,
    pub(crate) out: Vec<Output>,
}

impl Desk {
    pub(crate) fn new(
        config: Config,
        address: Address,
        tls: Option<Arc<ClientConfig>>,
        given: Given,
        token: mio::Token,
    ) -> Self {
        Self {
            client: Client::new(config),
            connection: Connection::new(address, tls, token),
            given,
            token_error: None,
            out: Vec::new(),
        }
    }

    pub(crate) fn poll_token(&self) -> mio::Token {
        self.connection.token()
    }

    /// Would a frame given now have to wait?
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.is_blocked()
    }

    pub(crate) fn input(&mut self, now: Time, input: Input<'_>, registry: &Registry) {
        self.client.handle(now, input, &mut self.out);
        self.perform(now, registry);
    }

    /// Reads what is there; `true` if there may be more.
    pub(crate) fn read(&mut self, now: Time, registry: &Registry) -> bool {
        if self.connection.is_blocked() {
            let flushed = self.connection.flush();
            self.ended(now, flushed);
        }
        for _ in 0..MAX_FRAMES {
            if !self.client.wants_frames() {
                return true;
            }
            match self.connection.advance(registry) {
                Found::Nothing => return false,
                Found::Text(text) => self.client.handle(now, Input::Frame(text.as_str()), &mut self.out),
                Found::Opened => self.opened(now),
                Found::Lost(code, reason) => {
                    self.client.handle(now, Input::Lost(code, &reason), &mut self.out)
                }
            }
            if !self.out.is_empty() {
                self.perform(now, registry);
            }
        }
        true
    }

    fn opened(&mut self, now: Time) {
        let mut random = [0_u8; 32];
        let token = getrandom::fill(&mut random)
            .map_err(|error| format!("no randomness: {error}"))
            .and_then(|()| token::find(self.connection.address(), &self.given));
        match token {
            Ok(token) => {
                self.token_error = None;
                let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                let input = Input::Opened { token: &token, nonce: &nonce };
                self.client.handle(now, input, &mut self.out);
            }
            Err(message) => {
                self.connection.close(1000, "no token");
                self.client.handle(now, Input::Lost(None, &message), &mut self.out);
                self.token_error = Some(ErrorBody::new(ErrorCode::BadProof, message));
            }
        }
    }

    /// Does what the machine asked for.
    pub(crate) fn perform(&mut self, now: Time, registry: &Registry) {
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                let done = match output {
                    Output::Send(text) => self.connection.send(text),
                    Output::Connect => {
                        self.connection.open(registry).map_err(|reason| Found::Lost(None, reason))
                    }
                    Output::Disconnect(code, reason) => {
                        self.connection.close(code, &reason);
                        Ok(())
                    }
                };
                self.ended(now, done);
            }
            let flushed = self.connection.flush();
            self.ended(now, flushed);
        }
    }

    fn ended(&mut self, now: Time, done: Result<(), Found>) {
        if let Err(Found::Lost(code, reason)) = done {
            self.client.handle(now, Input::Lost(code, &reason), &mut self.out);
        }
    }
}
