//! The node as a [`Machine`]: time, events, datagrams.

use alloc::boxed::Box;

use super::event::{Decided, Event, Outcome};
use super::receive::Taken;
use super::{Lent, Node, State};
use crate::limits::MAX_DATAGRAM_V6;
use crate::time::{Instant, Now, Reason};
use crate::{Datagrams, Machine, Path, Reject, Transmit, Unsent, Wants};

impl Machine for Node {
    type Event<'a> = Event<'a>;

    fn handle_timeout(&mut self, now: Now) {
        self.state.advance(now.mono);
    }

    fn poll_event(&mut self) -> Option<Event<'_>> {
        if self.state.has_reply() { self.poll_reply() } else { self.poll_notice() }
    }

    fn wants(&self) -> Wants {
        let state = &self.state;
        let rounds = [(state.heartbeat.at, Reason::Heartbeat), (state.cleanup.at, Reason::PeerCleanup)];
        let told = [
            (state.requests.deadline(), Reason::RequestTimeout),
            (state.inbox.next_open(), Reason::AnswerTimeout),
            (state.inbox.next_waiting(), Reason::WaitingExpiry),
        ];
        let mut wants = Wants {
            events: state.events.has_reply() || state.events.has_notice() || state.cleanup.running,
            output: !state.outbox.is_empty() || state.heartbeat.left > 0,
            ..Wants::NOTHING
        };
        // Two variables instead of a pair: this is asked after every datagram, and a pair goes through memory.
        let (mut first, mut reason) = (None, Reason::RequestTimeout);
        let mut sooner = |at, why| {
            if first.is_none_or(|first| at < first) {
                (first, reason) = (Some(at), why);
            }
        };
        for (at, why) in told {
            match at {
                // What ran out is told by the next `poll_event`.
                Some(at) if at <= state.now => wants.events = true,
                Some(at) => sooner(at, why),
                None => {}
            }
        }
        for (at, why) in rounds {
            at.into_iter().for_each(|at| sooner(at, why));
        }
        wants.at = first.map(|at| (at, reason));
        wants
    }
}

impl Datagrams for Node {
    fn handle_datagram(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        self.receive(now, path, bytes).map(|_| ())
    }

    fn handle_unsent(&mut self, now: Now, _: Path, bytes: &[u8], why: Unsent) {
        self.state.now = self.state.now.max(now.mono);
        self.state.unsent(bytes, why);
    }

    fn poll_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        let transmit = self.state.outbox.next(out).or_else(|| self.next_heartbeat(now, out))?;
        self.state.stats.transmitted = self.state.stats.transmitted.saturating_add(1);
        Some(transmit)
    }
}

impl Node {
    /// Take in one datagram, and say what became of it.
    pub(crate) fn receive(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<Taken, Reject> {
        // Addresses and lengths only: never what is in a datagram.
        #[cfg(feature = "tracing")]
        let span =
            tracing::trace_span!("datagram", remote = %path.remote, socket = path.socket.number(), len = bytes.len());
        #[cfg(feature = "tracing")]
        let _entered = span.enter();
        self.state.now = self.state.now.max(now.mono);
        let taken = self.take(now, path, bytes);
        #[cfg(feature = "tracing")]
        if let Err(why) = &taken {
            tracing::debug!(reason = why.name(), remote = %path.remote, "datagram rejected");
        }
        self.state.stats.count(taken);
        taken
    }

    /// Whether the next event is one about a request of ours.
    #[cfg(feature = "record")]
    pub(crate) fn has_reply(&self) -> bool {
        self.state.has_reply()
    }

    /// The next event about a request of ours: [`Event::Response`] or [`Event::Timeout`]. Passes over everything else,
    /// which stays for [`poll_notice`](Self::poll_notice).
    pub fn poll_reply(&mut self) -> Option<Event<'_>> {
        self.state.poll_reply()
    }

    /// The next event about others: any but those of [`poll_reply`](Self::poll_reply).
    pub fn poll_notice(&mut self) -> Option<Event<'_>> {
        self.state.poll_notice()
    }

    /// The next heartbeat of the round that is going on, if any.
    fn next_heartbeat(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        if self.state.heartbeat.left == 0 || out.len() < MAX_DATAGRAM_V6 {
            return None;
        }
        self.state.heartbeat.left -= 1;
        let written = self.state.write_heartbeat(now, self.config.heartbeat_encoding, out);
        if written.is_none() {
            // No proven peer is left: the round is over.
            self.state.heartbeat.left = 0;
        }
        written
    }
}

impl State {
    fn poll_reply(&mut self) -> Option<Event<'_>> {
        if self.events.has_reply() {
            return self.events.pop_reply();
        }
        self.poll_timeout()
    }

    fn poll_notice(&mut self) -> Option<Event<'_>> {
        if self.events.has_notice() {
            return self.events.pop_notice();
        }
        self.poll_due()
    }

    /// Time has passed: start the rounds that are due. What ran out is told by [`poll_due`](Self::poll_due).
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.heartbeat.at.is_some_and(|at| at <= self.now) {
            self.heartbeat.left = self.peers.proven_len();
            self.heartbeat.at = None;
            if self.heartbeat.left > 0 {
                self.schedule_heartbeat(self.now);
            }
        }
        if self.cleanup.at.is_some_and(|at| at <= self.now) {
            self.cleanup.running = self.peers.any_stale(self.now);
            self.cleanup.at = None;
            if !self.peers.is_empty() {
                self.schedule_cleanup(self.now);
            }
        }
    }

    fn has_reply(&self) -> bool {
        self.events.has_reply() || self.requests.deadline().is_some_and(|at| at <= self.now)
    }

    /// The next request of ours that ran out of time.
    fn poll_timeout(&mut self) -> Option<Event<'_>> {
        let (request, was) = self.requests.expire(self.now)?;
        if let Some(why) = was.unsent {
            return Some(Event::Unsent { request, why });
        }
        self.stats.timeouts = self.stats.timeouts.saturating_add(1);
        Some(Event::Timeout { request, pending: was.pending })
    }

    /// The next thing that ran out of time, told straight from its table: it needs no room in the queue, so it cannot
    /// be lost, and the entry is freed by telling it.
    fn poll_due(&mut self) -> Option<Event<'_>> {
        self.lent = Lent::Nothing;
        if let Some(id) = self.inbox.expire_open(self.now) {
            self.stats.unanswered = self.stats.unanswered.saturating_add(1);
            return Some(Event::Unanswered(id));
        }
        if let Some((wait, ping)) = self.inbox.expire_waiting(self.now) {
            self.events.release(ping.text_bytes());
            self.stats.expired = self.stats.expired.saturating_add(1);
            self.lent = Lent::Ping(Box::new(ping));
            let Lent::Ping(ping) = &self.lent else { return None };
            let ([packet_id, source_did, intent], from) = (ping.texts(), ping.path);
            let (outcome, answered, open) = (Outcome::Expired, false, None);
            let waited = self.now.saturating_since(ping.since);
            return Some(Event::Decided(Decided {
                wait,
                packet_id,
                source_did,
                intent,
                from,
                outcome,
                waited,
                answered,
                open,
            }));
        }
        if !self.cleanup.running {
            return None;
        }
        match self.peers.prune_one(self.now) {
            Some(did) => {
                self.lent = Lent::Peer(did);
                let Lent::Peer(did) = &self.lent else { return None };
                Some(Event::PeerLost { did })
            }
            None => {
                self.cleanup.running = false;
                None
            }
        }
    }
}
