//! The strategies' side: their processes, their connections, what they do.

use tradingsys::client::machine::{Input as ClientInput, Output as ClientOutput};
use tradingsys::gateway::io::Input;
use tradingsys::ids::ConnId;
use tradingsys::time::Span;

use crate::python::{Gone, Sent};
use crate::wire::Arrival;
use crate::world::World;

impl World {
    pub(crate) fn start_strategy(&mut self, k: usize) {
        if self.strategies[k].seat.is_some() {
            return self.start_program(k);
        }
        if self.strategies[k].client.is_none() {
            let seed = self.rng.u64(..);
            let out = self.strategies[k].start(self.now, seed);
            self.perform_strategy(k, out);
        }
    }

    pub(crate) fn strategy_input(&mut self, k: usize, input: ClientInput<'_>) {
        if self.strategies[k].seat.is_some() {
            return self.program_input(k, &input);
        }
        let out = self.strategies[k].input(self.now, input);
        self.perform_strategy(k, out);
        // A first login that fails ends the process; its supervisor starts it again.
        if self.strategies[k].client.as_ref().is_some_and(|c| c.is_closed()) {
            self.strategies[k].client = None;
            self.strategies[k].conn = None;
            let at = self.now + Span::from_millis(self.rng.i64(100..1_000));
            self.mail.send(at, 0, Arrival::StartStrategy(k));
        }
    }

    pub(crate) fn perform_strategy(&mut self, k: usize, out: Vec<ClientOutput>) {
        for output in out {
            let at = self.now + Span::from_nanos(60_000);
            match output {
                ClientOutput::Connect => {
                    self.conns += 1;
                    let conn = ConnId(self.conns);
                    self.strategies[k].conn = Some(conn);
                    if self.gateway.is_some() {
                        self.mail.send(at, self.run, Arrival::Knock(k, conn));
                    } else {
                        self.mail.send(at, self.run, Arrival::StrategyLost(k, conn, None));
                    }
                }
                ClientOutput::Send(text) => {
                    if let Some(conn) = self.strategies[k].conn {
                        self.mail.send(at, self.run, Arrival::FromStrategy(conn, text));
                    }
                }
                ClientOutput::Disconnect(..) => self.leave(k),
            }
        }
    }

    pub(crate) fn leave(&mut self, k: usize) {
        if let Some(conn) = self.strategies[k].conn.take() {
            self.doors.remove(&conn);
            let at = self.now + Span::from_nanos(60_000);
            self.mail.send(at, self.run, Arrival::StrategyGone(conn));
        }
    }

    pub(crate) fn knock(&mut self, k: usize, conn: ConnId) {
        if self.strategies[k].conn != Some(conn) {
            return;
        }
        self.doors.insert(conn, k);
        self.gateway_input(Input::ClientOpened(conn));
        self.mail.send(self.now + Span::from_nanos(60_000), self.run, Arrival::StrategyIn(k, conn));
    }

    pub(crate) fn act(&mut self, k: usize) {
        if self.strategies[k].seat.is_some() {
            // It acts on what it is shown.
            return;
        }
        let quiet = self.quiet_from();
        let out = if self.now < quiet {
            self.strategies[k].act(self.now, &mut self.rng, self.truth.last_price(), self.plan.hasty)
        } else if self.now < quiet + self.plan.patience() {
            self.strategies[k].rest()
        } else {
            self.strategies[k].cancel_all()
        };
        self.perform_strategy(k, out);
        let mean = self.plan.length.nanos() / i64::from(self.plan.commands.max(1));
        let pause = if self.now < quiet { self.rng.i64(mean / 4..mean * 7 / 4) } else { 5_000_000_000 };
        self.mail.send(self.now + Span::from_nanos(pause), 0, Arrival::Act(k));
    }

    // === a program in a strategy's place

    fn start_program(&mut self, k: usize) {
        let seed = self.rng.u64(..);
        let pause = Span::from_millis(self.rng.i64(1..100));
        if let Some(seat) = self.strategies[k].seat.as_mut().filter(|seat| !seat.runs()) {
            seat.start(seed).expect("the command given is one that starts");
            self.mail.send(self.now + pause, 0, Arrival::Call(k));
        }
    }

    /// The program connects, if there is a gateway; if not, it does so when there is one.
    pub(crate) fn call(&mut self, k: usize) {
        if self.gateway.is_none() || self.strategies[k].conn.is_some() {
            return;
        }
        let Some(seat) = self.strategies[k].seat.as_mut().filter(|seat| seat.runs()) else { return };
        let sent = seat.accept();
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.strategies[k].conn = Some(conn);
        self.knock(k, conn);
        self.program_sent(k, sent);
    }

    fn program_input(&mut self, k: usize, input: &ClientInput<'_>) {
        let Some(seat) = &mut self.strategies[k].seat else { return };
        match input {
            ClientInput::Frame(text) => {
                let sent = seat.give(text);
                self.program_sent(k, sent);
            }
            ClientInput::Lost(code, _) => {
                seat.cut(*code);
                self.call_later(k);
            }
            _ => {}
        }
    }

    pub(crate) fn call_later(&mut self, k: usize) {
        let at = self.now + Span::from_millis(self.rng.i64(50..200));
        self.mail.send(at, 0, Arrival::Call(k));
    }

    fn program_sent(&mut self, k: usize, sent: Sent) {
        let strategy = &mut self.strategies[k];
        let Some(seat) = &mut strategy.seat else { return };
        strategy.file.extend(seat.news());
        match sent {
            Ok(texts) => {
                let Some(conn) = strategy.conn else { return };
                let at = self.now + Span::from_nanos(60_000);
                for text in texts {
                    self.mail.send(at, self.run, Arrival::FromStrategy(conn, text));
                }
            }
            Err(Gone::Left) => {
                self.leave(k);
                self.call_later(k);
            }
            Err(Gone::Died) => {
                self.strike("strategy died by itself");
                self.leave(k);
                self.strategies[k].kill();
                let at = self.now + Span::from_millis(self.rng.i64(50..3_000));
                self.mail.send(at, 0, Arrival::StartStrategy(k));
            }
        }
    }
}
