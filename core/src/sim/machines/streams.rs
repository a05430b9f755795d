//! Machines on byte streams: an echo, and one that calls it and checks what comes back.

use std::boxed::Box;
use std::collections::{BTreeMap, VecDeque};
use std::string::String;
use std::vec::Vec;

use super::orders::{OrderKind, OrderQueue};
use crate::driver::{Answer, Requests};
use crate::time::{Instant, Now};
use crate::{Conn, End, Endpoint, Family, Machine, Order, Origin, Reject, Security, Streams, Up, Wants};

/// Sends back every byte, on as many streams as it has room for. It holds at most 8 KiB of each: a peer that does not read is not
/// read from.
#[derive(Debug)]
pub struct StreamEcho {
    max_streams: usize,
    next: u32,
    streams: BTreeMap<Conn, Echoing>,
    orders: OrderQueue,
    /// How many streams came in.
    pub heard: u64,
    /// How many bytes.
    pub bytes: u64,
    /// How each stream that is over ended.
    pub ends: Vec<End>,
    /// Bytes that it holds of all streams, at most.
    pub most_held: usize,
    /// Breaks a stream off when this byte comes.
    pub poison: Option<u8>,
    /// Takes everything and sends nothing back.
    pub mute: bool,
}

#[derive(Debug, Default)]
struct Echoing {
    held: VecDeque<u8>,
    held_back: bool,
}

const MOST: usize = 8 * 1024;

impl StreamEcho {
    /// With room for so many streams.
    #[must_use]
    pub fn new(max_streams: usize) -> Self {
        Self {
            max_streams,
            next: 0,
            streams: BTreeMap::new(),
            orders: OrderQueue::new(),
            heard: 0,
            bytes: 0,
            ends: Vec::new(),
            most_held: 0,
            poison: None,
            mute: false,
        }
    }

    /// How many streams there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.streams.len()
    }
}

impl Machine for StreamEcho {
    type Event<'a> = ();

    fn handle_timeout(&mut self, _: Now) {}

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        Wants { orders: !self.orders.is_empty(), ..Wants::NOTHING }
    }
}

impl Streams for StreamEcho {
    fn handle_up(&mut self, _: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        if self.streams.len() >= self.max_streams || !matches!(up.origin, Origin::Accepted(_)) {
            return Err(Reject::Busy);
        }
        self.heard += 1;
        self.next += 1;
        let conn = Conn::new(0, self.next);
        self.streams.insert(conn, Echoing::default());
        Ok(conn)
    }

    fn handle_bytes(&mut self, _: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        let stream = self.streams.get_mut(&conn).ok_or(Reject::Unrequested)?;
        if self.poison.is_some_and(|poison| bytes.contains(&poison)) {
            self.streams.remove(&conn);
            self.orders.withdraw(conn);
            return Err(Reject::Malformed);
        }
        if self.mute {
            self.bytes += bytes.len() as u64;
            return Ok(bytes.len());
        }
        let taken = bytes.len().min(MOST - stream.held.len());
        stream.held.extend(bytes.iter().take(taken));
        stream.held_back = taken < bytes.len();
        self.bytes += taken as u64;
        self.most_held = self.most_held.max(stream.held.len());
        self.orders.push(conn, OrderKind::Write);
        Ok(taken)
    }

    fn handle_end(&mut self, _: Now, conn: Conn, end: End) {
        if end.is_last() {
            self.streams.remove(&conn);
            self.orders.withdraw(conn);
            self.ends.push(end);
        } else {
            self.orders.push(conn, OrderKind::Finish);
        }
    }

    fn poll_order(&mut self, _: Now) -> Option<Order<'_>> {
        let (conn, kind) = self.orders.pop()?;
        Some(match kind {
            OrderKind::Read => Order::Read(conn),
            OrderKind::Finish => Order::Finish(conn),
            // It gives no others.
            OrderKind::Write | OrderKind::Dial | OrderKind::Abort => Order::Write(conn),
        })
    }

    fn poll_bytes(&mut self, _: Now, conn: Conn, out: &mut [u8]) -> usize {
        let Some(stream) = self.streams.get_mut(&conn) else { return 0 };
        let len = out.len().min(stream.held.len());
        for (to, from) in out.iter_mut().zip(stream.held.drain(..len)) {
            *to = from;
        }
        if core::mem::take(&mut stream.held_back) {
            self.orders.push(conn, OrderKind::Read);
        }
        len
    }
}

/// One call of a [`StreamCaller`]: a stream on which every byte has to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whom.
    pub host: String,
    /// At which port.
    pub port: u16,
    /// How it is protected.
    pub security: Security,
    /// Bytes to be sent; then it finishes.
    pub total: u64,
    /// Bytes sent so far.
    pub sent: u64,
    /// Bytes that came back.
    pub back: u64,
    /// A byte came back as another one.
    pub wrong: bool,
    /// The protocol that was agreed on, and whether there is TLS.
    pub alpn: Option<Box<[u8]>>,
    /// Whether there is a channel binding: the stream is protected.
    pub bound: bool,
    /// Nothing is taken until this is unset by [`StreamCaller::take`].
    pub held: bool,
    /// How the peer's half ended, then the whole.
    pub ends: Vec<End>,
}

impl Call {
    /// A call without protection.
    #[must_use]
    pub fn new(host: &str, port: u16, total: u64) -> Self {
        Self {
            host: host.into(),
            port,
            security: Security::Plain,
            total,
            sent: 0,
            back: 0,
            wrong: false,
            alpn: None,
            bound: false,
            held: false,
            ends: Vec::new(),
        }
    }

    /// Whether nothing more happens.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ends.last().is_some_and(|end| end.is_last())
    }

    /// Whether all came back and both sides ended it in peace.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self.wrong && self.back == self.total && self.ends == [End::Eof, End::Closed]
    }
}

/// Calls an echo, on any number of streams. Byte n of call c is n + c mod 251.
#[derive(Debug, Default)]
pub struct StreamCaller {
    /// All calls, those that are over too.
    pub calls: Vec<Call>,
    orders: OrderQueue,
    told: VecDeque<u32>,
    /// When it gives up what is not over.
    pub give_up: Option<Instant>,
    /// Requests given up by their futures.
    pub cancelled: u64,
}

impl StreamCaller {
    /// Begin a call; it is known by its place in [`calls`](Self::calls).
    pub fn call(&mut self, call: Call) -> u32 {
        let number = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.calls.push(call);
        self.orders.push(Conn::new(number, 1), OrderKind::Dial);
        number
    }

    /// Take what comes on a call that was held.
    pub fn take(&mut self, number: u32) {
        if let Some(call) = self.calls.get_mut(number as usize) {
            call.held = false;
            self.orders.push(Conn::new(number, 1), OrderKind::Read);
        }
    }

    /// Break a call off.
    pub fn abort(&mut self, number: u32) {
        if let Some(call) = self.calls.get_mut(number as usize).filter(|call| !call.is_over()) {
            call.ends.push(End::Lost);
            self.told.push_back(number);
            self.orders.push(Conn::new(number, 1), OrderKind::Abort);
        }
    }

    /// Whether all calls are over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.calls.iter().all(Call::is_over)
    }

    fn of(&mut self, conn: Conn) -> Option<&mut Call> {
        self.calls.get_mut(conn.slot() as usize)
    }
}

fn byte(number: u32, at: u64) -> u8 {
    u8::try_from((at + u64::from(number)) % 251).unwrap_or_default()
}

impl Machine for StreamCaller {
    type Event<'a> = u32;

    fn handle_timeout(&mut self, now: Now) {
        if self.give_up.take_if(|at| *at <= now.mono).is_some() {
            for number in 0..u32::try_from(self.calls.len()).unwrap_or(u32::MAX) {
                self.abort(number);
            }
        }
    }

    fn poll_event(&mut self) -> Option<u32> {
        self.told.pop_front()
    }

    fn wants(&self) -> Wants {
        let at = self.give_up.map(|at| (at, crate::time::Reason::Application));
        Wants { events: !self.told.is_empty(), orders: !self.orders.is_empty(), at, ..Wants::NOTHING }
    }
}

impl Streams for StreamCaller {
    fn handle_up(&mut self, _: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        let Origin::Dialled(conn) = up.origin else { return Err(Reject::Unrequested) };
        let call = self.of(conn).ok_or(Reject::Unrequested)?;
        (call.alpn, call.bound) = (up.alpn.map(Box::from), up.exporter.is_some());
        self.orders.push(conn, OrderKind::Write);
        Ok(conn)
    }

    fn handle_bytes(&mut self, _: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        let call = self.of(conn).ok_or(Reject::Unrequested)?;
        if call.held {
            return Ok(0);
        }
        for came in bytes {
            call.wrong |= *came != byte(conn.slot(), call.back);
            call.back += 1;
        }
        Ok(bytes.len())
    }

    fn handle_end(&mut self, _: Now, conn: Conn, end: End) {
        let Some(call) = self.of(conn) else { return };
        call.ends.push(end);
        if end.is_last() {
            self.orders.withdraw(conn);
            self.told.push_back(conn.slot());
        }
    }

    fn poll_order(&mut self, _: Now) -> Option<Order<'_>> {
        let (conn, kind) = self.orders.pop()?;
        let call = self.calls.get(conn.slot() as usize)?;
        Some(match kind {
            OrderKind::Dial => {
                let Call { host, port, security, .. } = call;
                Order::Dial(conn, Endpoint { host, port: *port, family: Family::Any, security: *security })
            }
            OrderKind::Write => Order::Write(conn),
            OrderKind::Read => Order::Read(conn),
            OrderKind::Finish => Order::Finish(conn),
            OrderKind::Abort => Order::Abort(conn),
        })
    }

    fn poll_bytes(&mut self, _: Now, conn: Conn, out: &mut [u8]) -> usize {
        let Some(call) = self.of(conn) else { return 0 };
        let left = usize::try_from(call.total - call.sent).unwrap_or(usize::MAX);
        let len = left.min(out.len());
        for (to, at) in out.iter_mut().take(len).zip(call.sent..) {
            *to = byte(conn.slot(), at);
        }
        call.sent += len as u64;
        if len > 0 && call.sent == call.total || len == 0 && call.total == 0 {
            self.orders.push(conn, OrderKind::Finish);
        }
        len
    }
}

impl Requests for StreamCaller {
    type Id = u32;
    type Reply = Call;
    type Notice = ();

    fn poll_reply(&mut self) -> Option<Answer<u32, Call>> {
        let id = self.told.pop_front()?;
        self.calls.get(id as usize).map(|call| Answer { id, reply: call.clone(), last: true })
    }

    fn poll_notice(&mut self) -> Option<()> {
        None
    }

    fn cancel(&mut self, id: u32) {
        self.cancelled += 1;
        self.abort(id);
    }

    fn ended(_: u32) -> Call {
        Call { ends: Vec::from([End::Lost]), ..Call::new("", 0, 0) }
    }
}

impl Requests for StreamEcho {
    type Id = u32;
    type Reply = ();
    type Notice = ();

    fn poll_reply(&mut self) -> Option<Answer<u32, ()>> {
        None
    }

    fn poll_notice(&mut self) -> Option<()> {
        None
    }

    fn cancel(&mut self, _: u32) {}

    fn ended(_: u32) {}
}
