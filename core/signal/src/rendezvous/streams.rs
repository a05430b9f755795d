//! The rendezvous as a machine on byte streams.

use alloc::vec::Vec;

use sluis_core::{Conn, End, Endpoint, Family, Machine, Now, Order, Origin, Reason, Reject, Streams, Up, Wants};

use super::Event;
use super::machine::Rendezvous;
use crate::broker;
use crate::rank;

/// The stream of a broker, as its driver sees it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Counts the dials: part of the name.
    generation: u32,
    /// Its driver is to be asked to write, and has been.
    writes: bool,
    /// Bytes were left with the driver.
    held_back: bool,
    /// The other side sends no more: nothing is left to be said by either.
    over: bool,
}

impl Rendezvous {
    fn conn(&self, at: usize) -> Conn {
        let generation = self.spots.get(at).map_or(0, |spot| spot.stream.generation);
        Conn::new(u32::try_from(at).unwrap_or(u32::MAX), generation)
    }

    /// The broker of a stream that still counts.
    fn at(&self, conn: Conn) -> Option<usize> {
        let at = usize::try_from(conn.slot()).ok()?;
        (self.spots.get(at)?.stream.generation == conn.generation()).then_some(at)
    }

    fn stream(&mut self, at: usize) -> Option<&mut Stream> {
        self.spots.get_mut(at).map(|spot| &mut spot.stream)
    }

    /// What a broker was not read for may be read now.
    fn resume(&mut self) -> Option<Conn> {
        let held_back: Vec<usize> = (0..self.spots.len())
            .filter(|at| self.spots.get(*at).is_some_and(|spot| spot.stream.held_back && !spot.stream.writes))
            .collect();
        let at = held_back.into_iter().find(|at| self.takes_bytes(*at))?;
        self.stream(at)?.held_back = false;
        Some(self.conn(at))
    }

    fn takes_bytes(&self, at: usize) -> bool {
        let broker = self.spots.get(at).and_then(|spot| spot.broker.as_ref());
        self.has_room() && broker.is_some_and(broker::Broker::takes_bytes)
    }
}

impl Machine for Rendezvous {
    type Event<'a> = Event;

    fn handle_timeout(&mut self, now: Now) {
        self.time_passes(now);
    }

    /// A message that is taken is to be [confirmed](Rendezvous::confirm).
    fn poll_event(&mut self) -> Option<Event> {
        self.next_event()
    }

    fn wants(&self) -> Wants {
        let orders = (0..self.spots.len()).any(|at| {
            self.spots.get(at).is_some_and(|spot| {
                let Some(broker) = &spot.broker else { return spot.stream.over };
                spot.stream.over
                    || broker.has_order()
                    || !spot.stream.writes && broker.wants_write(self.called)
                    || spot.stream.held_back && self.takes_bytes(at)
            })
        });
        let at = self.deadline().map(|at| (at, Reason::Application));
        Wants { events: self.has_events(), orders, store: self.has_changes(), at, ..Wants::NOTHING }
    }
}

impl Streams for Rendezvous {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        let Origin::Dialled(conn) = up.origin else { return Err(Reject::Unrequested) };
        let at = self.at(conn).ok_or(Reject::Unrequested)?;
        self.broker_up(now, at);
        Ok(conn)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        let at = self.at(conn).ok_or(Reject::Unrequested)?;
        let taken = self.broker_bytes(now, at, bytes).min(bytes.len());
        self.stream(at).into_iter().for_each(|stream| stream.held_back = taken < bytes.len());
        Ok(taken)
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        let Some(at) = self.at(conn) else { return };
        let end = match end {
            // A broker that says no more is no use: all of it ends.
            End::Eof => {
                self.stream(at).into_iter().for_each(|stream| stream.over = true);
                broker::End::Ended
            }
            End::Closed => broker::End::Ended,
            End::Lost => broker::End::Lost,
            End::Untrusted => broker::End::Untrusted,
            _ => broker::End::Unreachable,
        };
        self.broker_end(now, at, end);
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.called = now.mono;
        if let Some(at) = self.spots.iter().position(|spot| spot.stream.over) {
            self.stream(at)?.over = false;
            return Some(Order::Abort(self.conn(at)));
        }
        if let Some((at, order)) = self.broker_order() {
            return match order {
                broker::Order::Dial => self.dial(at),
                broker::Order::Abort => Some(Order::Abort(self.conn(at))),
                broker::Order::Finish => Some(Order::Finish(self.conn(at))),
            };
        }
        if let Some(conn) = self.resume() {
            return Some(Order::Read(conn));
        }
        let at = (0..self.spots.len()).find(|at| {
            let spot = self.spots.get(*at);
            spot.is_some_and(|spot| !spot.stream.writes) && self.broker_wants_write(now, *at)
        })?;
        self.stream(at)?.writes = true;
        Some(Order::Write(self.conn(at)))
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        let Some(at) = self.at(conn) else { return 0 };
        let len = self.broker_output(now, at, out);
        if len == 0 {
            self.stream(at).into_iter().for_each(|stream| stream.writes = false);
        }
        len
    }
}

impl Rendezvous {
    fn dial(&mut self, at: usize) -> Option<Order<'_>> {
        let stream = self.stream(at)?;
        *stream = Stream { generation: stream.generation.wrapping_add(1), ..Stream::default() };
        let conn = self.conn(at);
        let place = self.config.brokers.get(at)?;
        let family = match place.family {
            rank::Family::V4 => Family::V4,
            rank::Family::V6 => Family::V6,
        };
        Some(Order::Dial(conn, Endpoint { host: &place.host, port: place.port, family, security: place.security }))
    }
}
