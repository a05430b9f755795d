//! The node as a [`Machine`]: time, events, datagrams.

use alloc::boxed::Box;

use super::circuits;
use super::event::{Decided, Event, Outcome};
use super::overlay::Overlay;
use super::receive::Taken;
use super::{Lent, Node, Rooms};
use crate::time::{Instant, Now, Reason};
use crate::{Datagrams, Machine, NetworkChange, Path, Reject, Transmit, Unsent, Wants, session};

impl Machine for Node {
    type Event<'a> = Event<'a>;

    fn handle_timeout(&mut self, now: Now) {
        self.rooms.advance(now.mono);
        if let Some(links) = &mut self.rooms.links {
            links.handle_timeout(now);
        }
        if let Some(lan) = &mut self.rooms.lan {
            lan.handle_timeout(now.mono);
        }
        if let Some(relaying) = &mut self.rooms.relaying {
            relaying.room_mut().handle_timeout(now.mono);
        }
        self.follow_sessions();
        self.ask_for_reservations(now);
        self.run_overlay(now);
    }

    fn handle_stop(&mut self, now: Now) {
        self.rooms.timers.advance(now.mono);
        if let Some(lan) = &mut self.rooms.lan {
            lan.handle_stop();
        }
    }

    fn poll_event(&mut self) -> Option<Event<'_>> {
        if self.rooms.has_reply() { self.poll_reply() } else { self.poll_notice() }
    }

    fn wants(&self) -> Wants {
        let Rooms {
            client,
            inbox,
            events,
            outbox,
            links,
            circuits,
            lan,
            timers,
            storing,
            overlay,
            relaying,
            reserving,
            traces,
            ..
        } = &self.rooms;
        let told = [
            (client.deadline(), Reason::RequestTimeout),
            (inbox.next_open(), Reason::AnswerTimeout),
            (inbox.next_waiting(), Reason::WaitingExpiry),
        ];
        let mut wants = Wants {
            events: events.has_reply() || events.has_notice() || storing.has_notice() || timers.is_cleaning(),
            output: !outbox.is_empty() || timers.heartbeats_left() > 0,
            store: storing.wants(),
            ..Wants::NOTHING
        };
        let (mut session, mut of_overlay) = (None, None);
        if let Some(overlay) = overlay {
            wants.events |= overlay.has_news() || overlay.has_ended();
            of_overlay = overlay.deadline();
        }
        if let Some(links) = links {
            wants.events |= links.has_news();
            // Who is not let in any more is found when the next datagram is asked for.
            wants.output |= links.has_output() || (self.policy.doubts_sessions() && links.len() > 0);
            session = links.deadline();
        }
        wants.output |= circuits.as_ref().is_some_and(|circuits| circuits.has_output());
        wants.events |= traces.as_ref().is_some_and(|traces| traces.has_news());
        wants.events |= reserving.as_ref().is_some_and(|reserving| reserving.has_news());
        let reservation = reserving.as_ref().and_then(|reserving| reserving.deadline());
        let of_relay = relaying.as_ref().and_then(|relaying| relaying.room().next_timeout());
        let mut discovery = None;
        if let Some(lan) = lan {
            wants.events |= lan.has_news(timers.now());
            wants.output |= lan.has_output(timers.now());
            discovery = lan.deadline();
        }
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
                Some(at) if at <= timers.now() => wants.events = true,
                Some(at) => sooner(at, why),
                None => {}
            }
        }
        for (at, why) in timers.deadlines() {
            at.into_iter().for_each(|at| sooner(at, why));
        }
        session.into_iter().for_each(|at| sooner(at, Reason::Session));
        discovery.into_iter().for_each(|at| sooner(at, Reason::Discovery));
        of_overlay.into_iter().for_each(|at| sooner(at, Reason::Overlay));
        of_relay.into_iter().chain(reservation).for_each(|at| sooner(at, Reason::Relay));
        wants.at = first.map(|at| (at, reason));
        wants
    }
}

impl Datagrams for Node {
    fn handle_datagram(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        self.receive(now, path, bytes).map(|_| ())
    }

    fn handle_unsent(&mut self, now: Now, path: Path, bytes: &[u8], why: Unsent) {
        let Rooms { timers, outbox, client, links, circuits, relaying, .. } = &mut self.rooms;
        timers.advance(now.mono);
        outbox.count_unsent();

        if let Some(relaying) = relaying {
            relaying.room_mut().unreachable(now.mono, path);
        }
        let inner = circuits.as_ref().and_then(|circuits| circuits.unsent(bytes));
        let (path, bytes) = inner.map_or((path, bytes), |(path, at)| (path, bytes.get(at).unwrap_or_default()));
        match links {
            Some(links) if session::is_session_frame(bytes) => {
                links.unsent(path, bytes, |request| client.request_unsent(request, why));
            }
            _ => client.unsent(bytes, why),
        }
    }

    fn handle_network(&mut self, now: Now, change: NetworkChange) {
        self.rooms.timers.advance(now.mono);
        self.rooms.lan.get_or_insert_default().handle_network(now.mono, change);
    }

    fn poll_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        self.next_transmit(now, out)
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
        self.rooms.timers.advance(now.mono);
        let taken = self.take(now, path, bytes);
        #[cfg(feature = "tracing")]
        if let Err(why) = &taken {
            tracing::debug!(reason = why.name(), remote = %path.remote, "datagram rejected");
        }
        self.rooms.traffic.count(taken);
        self.run_overlay(now);
        taken
    }

    /// Whether the next event is one about a request of ours.
    #[cfg(feature = "record")]
    pub(crate) fn has_reply(&self) -> bool {
        self.rooms.has_reply()
    }

    /// The next event about a request of ours: [`Event::Response`] or [`Event::Timeout`]. Passes over everything else,
    /// which stays for [`poll_notice`](Self::poll_notice).
    pub(crate) fn poll_reply(&mut self) -> Option<Event<'_>> {
        self.rooms.poll_reply()
    }

    /// The next event about others: any but those of [`poll_reply`](Self::poll_reply).
    pub(crate) fn poll_notice(&mut self) -> Option<Event<'_>> {
        self.follow_sessions();
        self.rooms.poll_notice()
    }
}

impl Rooms {
    fn has_reply(&self) -> bool {
        let ended = self.overlay.as_ref().is_some_and(|overlay| overlay.has_ended());
        ended || self.events.has_reply() || self.client.is_due(self.timers.now())
    }

    fn poll_reply(&mut self) -> Option<Event<'_>> {
        if self.events.has_reply() {
            return self.events.pop_reply();
        }
        while let Some(event) = self.client.expire(self.timers.now()) {
            let (Event::Timeout { request, .. } | Event::Unsent { request, .. }) = event else { return Some(event) };
            let now = self.timers.now();
            let reserved = self.reserving.as_mut().is_some_and(|reserving| reserving.settle(now, request, None));
            if reserved || self.lose_circuit(request) {
                continue;
            }
            // The overlay asks again; it is called for that at once.
            let overlay = self.overlay.as_deref_mut();
            if !overlay.is_some_and(|overlay| overlay.lose_request(request)) {
                return Some(event);
            }
        }
        let ended = self.overlay.as_deref_mut()?.pop_ended()?;
        self.lent = Lent::Ended(Box::new(ended));
        let Lent::Ended(ended) = &self.lent else { return None };
        Some(Event::Operation { id: ended.0, result: ended.1.as_ref() })
    }

    fn poll_notice(&mut self) -> Option<Event<'_>> {
        if self.events.has_notice() {
            return self.events.pop_notice();
        }
        if let Some(news) = self.overlay.as_deref_mut().and_then(Overlay::pop_news) {
            self.lent = Lent::News(Box::new(news));
            let Lent::News(news) = &self.lent else { return None };
            return Some(Event::Overlay(news));
        }
        if let Some(news) = self.traces.as_mut().and_then(|traces| traces.pop_news()) {
            self.lent = Lent::Trace(news);
            let Lent::Trace(news) = &self.lent else { return None };
            return Some(Event::Trace(news));
        }
        if let Some(news) = self.reserving.as_mut().and_then(|reserving| reserving.pop_news()) {
            self.lent = Lent::Reservation(news);
            let Lent::Reservation(news) = &self.lent else { return None };
            return Some(Event::Reservation(news));
        }
        match self.storing.pop_notice() {
            Some(kept) => Some(kept),
            None if self.lan.as_ref().is_some_and(|lan| lan.has_news(self.timers.now())) => self.poll_lan(),
            None => self.poll_due(),
        }
    }

    /// What was heard on the local network.
    fn poll_lan(&mut self) -> Option<Event<'_>> {
        let news = self.lan.as_mut()?.pop_news(self.timers.now())?;
        self.lent = Lent::Lan(Box::new(news));
        let Lent::Lan(news) = &self.lent else { return None };
        Some(Event::Lan(news))
    }

    /// Time has passed: start the rounds that are due. What ran out is told by [`poll_due`](Self::poll_due).
    fn advance(&mut self, now: Instant) {
        let Self { timers, peers, .. } = self;
        timers.advance(now);
        timers.start_heartbeats(peers.proven_len());
        if timers.is_cleanup_due() {
            timers.start_cleanup(peers.any_stale(timers.now()), !peers.is_empty());
        }
    }

    /// The next thing that ran out of time, told straight from its table: it needs no room in the queue, so it cannot
    /// be lost, and the entry is freed by telling it.
    fn poll_due(&mut self) -> Option<Event<'_>> {
        let now = self.timers.now();
        self.lent = Lent::Nothing;
        if let Some(id) = self.inbox.expire_open(now) {
            return Some(Event::Unanswered(id));
        }
        if let Some((wait, ping)) = self.inbox.expire_waiting(now) {
            self.events.release(ping.text_bytes());
            self.lent = Lent::Ping(Box::new(ping));
            let Lent::Ping(ping) = &self.lent else { return None };
            let [packet_id, source_did, intent] = ping.texts();
            return Some(Event::Decided(Decided {
                wait,
                packet_id,
                source_did,
                intent,
                from: circuits::shown(self.circuits.as_deref(), ping.path()),
                outcome: Outcome::Expired,
                waited: now.saturating_since(ping.since()),
                answered: false,
                open: None,
            }));
        }
        if !self.timers.is_cleaning() {
            return None;
        }
        let Some(did) = self.peers.prune_one(now) else {
            self.timers.end_cleanup();
            return None;
        };
        self.lent = Lent::Peer(did);
        let Lent::Peer(did) = &self.lent else { return None };
        Some(Event::PeerLost { did })
    }
}
