//! A hub that changes what it carries: it alters, drops, repeats and swaps messages, each once for every time that it is told to.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use sluis_core::{Conn, End, Machine, Now, Order, Reject, Streams, Up, Wants};
use sluis_mux::native::Hub;

/// What stands in every message, behind its number.
pub(super) const MARK: &[u8] = b" pay 100 to ";
/// The head of a frame, whose last four bytes are its length; of a record; the tag of a message; and the kind of a message of bytes.
const FRAME_HEAD: usize = 12;
const HEAD: usize = 4;
const TAG: usize = 16;
const BYTES: u8 = 5;
/// Bytes that the hub is asked for at once.
const PIECE: usize = 32 * 1024;

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// One byte of it is another one.
    Alter,
    /// It is left out.
    Drop,
    /// It comes twice, the second time instead of the one behind it.
    Repeat,
    /// It comes behind the next one.
    Swap,
}

impl Deed {
    pub(super) const ALL: [Self; 4] = [Self::Alter, Self::Drop, Self::Repeat, Self::Swap];

    /// Do it to the first of the messages of a frame with which it can be done.
    fn work(self, body: &mut Vec<u8>) -> bool {
        let all = messages(body);
        let pairs = || all.iter().zip(all.iter().skip(1)).filter(|(one, next)| one.end == next.start);
        match self {
            Self::Alter => {
                let Some(last) = all.first().and_then(|one| body.get_mut(one.end - 1)) else { return false };
                *last ^= 1;
            }
            Self::Drop => {
                let Some(one) = all.first() else { return false };
                body.drain(one.clone());
            }
            Self::Repeat => {
                let Some((one, next)) = pairs().find(|(one, next)| one.len() == next.len()) else { return false };
                body.copy_within(one.clone(), next.start);
            }
            Self::Swap => {
                let Some((one, next)) = pairs().next() else { return false };
                if let Some(both) = body.get_mut(one.start..next.end) {
                    both.rotate_left(one.len());
                }
            }
        }
        true
    }
}

/// The records of whole messages in the body of a frame, wherever its first record begins.
fn messages(body: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in body.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK) {
        let digits = body[..at].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let Some(start) = (at - digits).checked_sub(HEAD + TAG) else { continue };
        let Some(&[kind, a, b, c]) = body.get(start..start + HEAD) else { continue };
        let end = start + HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
        if kind == BYTES && end <= body.len() && end > at {
            found.push(start..end);
        }
    }
    found
}

/// What the hub has written for one connection, frame by frame.
#[derive(Default)]
struct Pipe {
    raw: Vec<u8>,
    ready: VecDeque<u8>,
}

/// What a test tells the hub, and hears of it.
#[derive(Default)]
pub(super) struct Orders {
    /// What it is to do next.
    pub(super) deed: Cell<Option<Deed>>,
    /// How often it did each.
    pub(super) done: RefCell<BTreeMap<Deed, u64>>,
    /// Channels that it has.
    pub(super) channels: Cell<usize>,
}

pub(super) struct Rogue {
    pub(super) hub: Hub,
    pub(super) orders: Rc<Orders>,
    pipes: BTreeMap<Conn, Pipe>,
}

impl Rogue {
    pub(super) fn new(hub: Hub, orders: Rc<Orders>) -> Self {
        Self { hub, orders, pipes: BTreeMap::new() }
    }
}

impl Pipe {
    /// Pass on the frames that are whole.
    fn pass(&mut self, orders: &Orders) {
        let mut at = 0;
        while let Some(head) = self.raw.get(at..at + FRAME_HEAD) {
            let is_data = head[1] == 0;
            let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let end = at + FRAME_HEAD + if is_data { length } else { 0 };
            let Some(frame) = self.raw.get(at..end) else { break };
            let (head, body) = frame.split_at(FRAME_HEAD);
            let deed = orders.deed.get().filter(|_| is_data);
            let mut altered = deed.map(|_| body.to_vec()).unwrap_or_default();
            match deed.filter(|deed| deed.work(&mut altered)) {
                None => self.ready.extend(frame),
                Some(deed) => {
                    let length = u32::try_from(altered.len()).unwrap_or_default().to_be_bytes();
                    self.ready.extend(head[..8].iter().chain(&length).chain(&altered));
                    orders.deed.set(None);
                    *orders.done.borrow_mut().entry(deed).or_default() += 1;
                }
            }
            at = end;
        }
        self.raw.drain(..at);
    }
}

impl Machine for Rogue {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        self.hub.handle_timeout(now);
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        self.hub.wants()
    }
}

impl Streams for Rogue {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.hub.handle_up(now, up)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.hub.handle_bytes(now, conn, bytes)
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        if end.is_last() {
            self.pipes.remove(&conn);
        }
        self.hub.handle_end(now, conn, end);
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.orders.channels.set(self.hub.channels());
        self.hub.poll_order(now)
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        let pipe = self.pipes.entry(conn).or_default();
        while pipe.ready.is_empty() {
            let before = pipe.raw.len();
            pipe.raw.resize(before + PIECE, 0);
            let len = self.hub.poll_bytes(now, conn, &mut pipe.raw[before..]);
            pipe.raw.truncate(before + len);
            if len == 0 {
                break;
            }
            pipe.pass(&self.orders);
        }
        let len = pipe.ready.len().min(out.len());
        out.iter_mut().zip(pipe.ready.drain(..len)).for_each(|(to, from)| *to = from);
        len
    }
}
