//! The agent as a machine on byte streams.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use sluis_core::{
    Conn, End, Endpoint, Family, Instant, Machine, Now, Order, Origin, Reason, Reject, Security, Seed, Streams, Up,
    Wants,
};

use super::super::ALPN;
use super::super::orders::Kind as OrderKind;
use super::event::{Channel, Event, Lost};
use super::reading::Next;
use super::{Client, Connected, GREETING_TIME, Greeting, Link, Queued};
use crate::channel::record::Reader;
use crate::news::Via;
use crate::session::{Role, Session};

impl Client {
    fn next_timer(&self) -> Option<Instant> {
        let link = match &self.link {
            Link::Waiting(at) => (!self.stopped).then_some(*at),
            Link::Dialling(_) => None,
            Link::Up(up) => {
                let greeting = match &up.greeting {
                    Greeting::Hello(_, _, until) | Greeting::Answer(_, _, until) => Some(*until),
                    Greeting::Done => None,
                };
                [greeting, up.session.deadline()].into_iter().flatten().min()
            }
        };
        [link, self.timers.first().map(|(at, _)| *at)].into_iter().flatten().min()
    }
}

impl Machine for Client {
    type Event<'a> = Event<'a>;

    fn handle_timeout(&mut self, now: Now) {
        self.now = now.mono;
        match &mut self.link {
            Link::Waiting(at) if *at <= now.mono && !self.stopped => self.dial(),
            Link::Up(up) => {
                let late = match &up.greeting {
                    Greeting::Hello(_, _, until) | Greeting::Answer(_, _, until) => *until <= now.mono,
                    Greeting::Done => false,
                };
                if late {
                    self.abort(now.mono, Lost::Greeting);
                } else if let Err(error) = up.session.handle_timeout(now.mono) {
                    self.abort(now.mono, Lost::Session(error));
                } else {
                    self.serve(now.mono);
                }
            }
            _ => {}
        }
        self.look_after_channels(now.mono);
    }

    fn poll_event(&mut self) -> Option<Event<'_>> {
        loop {
            match self.events.pop_front() {
                Some(Queued::Other(event)) => return Some(event),
                Some(Queued::Disconnected(why, pause)) => return Some(Event::Disconnected(why, pause)),
                Some(Queued::Connected) => {
                    if matches!(self.link, Link::Up(_)) {
                        let Link::Up(up) = &self.link else { return None };
                        return Some(Event::Connected(&up.hub));
                    }
                }
                Some(Queued::Incoming(channel)) => {
                    if self.channels.get(channel.0).is_some() {
                        let entry = self.channels.get(channel.0)?;
                        return Some(Event::Incoming(channel, entry.channel.opening(), entry.channel.proof()));
                    }
                }
                None => match self.next_told() {
                    Some(Next::Event(event)) => return Some(event),
                    Some(Next::Message(slot, number, kind)) => {
                        let message = self.channels.get(slot)?.channel.message();
                        return Some(Event::Message(Channel(slot), number, kind, message));
                    }
                    None if self.events.is_empty() => return None,
                    None => {}
                },
            }
        }
    }

    fn wants(&self) -> Wants {
        Wants {
            events: !self.events.is_empty() || !self.readable.is_empty(),
            orders: !self.orders.is_empty(),
            at: self.next_timer().map(|at| (at, Reason::Session)),
            ..Wants::NOTHING
        }
    }
}

impl Streams for Client {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.now = now.mono;
        let conn = match (&self.link, up.origin) {
            (Link::Dialling(conn), Origin::Dialled(up)) if *conn == up => up,
            _ => return Err(Reject::Unrequested),
        };
        let mut bytes = [0; 32];
        self.rng.fill(&mut bytes);
        let mut session = Session::new(Role::Client, self.config.session.clone(), &Seed::new(bytes), now.mono);
        session.set_faults(self.faults);
        // The first byte that is written tells a server without TLS that this is no HTTP.
        session.handle_timeout(now.mono).map_err(Reject::from)?;
        // Without TLS nobody chooses: who answers speaks this.
        let is_native = self.config.security == Security::Plain || up.alpn == Some(ALPN.as_bytes());
        let exporter = up.exporter.copied().filter(|_| !self.config.behind_proxy).unwrap_or_default();
        self.link = Link::Up(Box::new(Connected {
            conn,
            session,
            exporter,
            since: now.mono,
            greeting: Greeting::Hello(None, Reader::default(), now.mono + GREETING_TIME),
            fresh: BTreeMap::new(),
            channels: BTreeMap::new(),
            hub: Box::default(),
            via: if is_native { Via::Native } else { Via::WebSocket },
            remote: up.remote,
        }));
        self.settle();
        Ok(conn)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.now = now.mono;
        let Link::Up(up) = &mut self.link else { return Err(Reject::Unrequested) };
        if up.conn != conn {
            return Err(Reject::Unrequested);
        }
        if let Err(error) = up.session.handle_bytes(now.mono, bytes) {
            self.orders.withdraw(conn);
            self.lost(now.mono, Lost::Session(error));
            return Err(error.into());
        }
        self.serve(now.mono);
        Ok(bytes.len())
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        self.now = now.mono;
        let ours = match &self.link {
            Link::Dialling(dialled) => *dialled == conn,
            Link::Up(up) => up.conn == conn,
            Link::Waiting(_) => false,
        };
        if !ours {
            return;
        }
        self.orders.withdraw(conn);
        if end.is_last() {
            self.lost(now.mono, Lost::Connection(end));
        } else {
            self.abort(now.mono, Lost::Connection(end));
        }
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.now = now.mono;
        let (conn, kind) = self.orders.pop()?;
        Some(match kind {
            OrderKind::Write => Order::Write(conn),
            OrderKind::Finish => Order::Finish(conn),
            OrderKind::Abort => Order::Abort(conn),
            OrderKind::Dial => Order::Dial(
                conn,
                Endpoint {
                    host: &self.config.host,
                    port: self.config.port,
                    family: Family::Any,
                    security: self.config.security,
                },
            ),
        })
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        self.now = now.mono;
        let Link::Up(up) = &mut self.link else { return 0 };
        if up.conn != conn {
            return 0;
        }
        let len = up.session.poll_bytes(now.mono, out);
        if up.session.has_events() {
            self.serve(now.mono);
        }
        len
    }
}
