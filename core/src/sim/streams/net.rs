//! The network: links, socket buffers, what is under way, and the io of each host.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::convert::Infallible;
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};

use crate::driver::{Accepted, Established, Happened, StreamIo};
use crate::seed::Rng;
use crate::time::{Duration, Instant, Now, Wall};
use crate::{Conn, End, Endpoint, ListenerId, Security};

/// How streams are carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLink {
    /// One way.
    pub delay: Duration,
    /// Bytes a second in each direction; 0: any number.
    pub rate: u64,
    /// The most bytes under way in one direction, both socket buffers included.
    pub buffer: usize,
    /// The most bytes that one read or write takes; how many it is each time is random.
    pub chunk: usize,
    /// Each stream breaks after a random number of bytes below this; 0: none does.
    pub reset_within: u64,
}

impl Default for StreamLink {
    /// 10 ms, 64 KiB under way, cut into at most 1,000 bytes, and nothing breaks.
    fn default() -> Self {
        Self { delay: Duration::from_millis(10), rate: 0, buffer: 64 * 1024, chunk: 1000, reset_within: 0 }
    }
}

/// How a host answers those who dial it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It lets them in.
    Listening,
    /// It says that nobody listens.
    Refusing,
    /// It says nothing.
    Silent,
}

#[derive(Debug)]
pub(super) struct Net {
    link: StreamLink,
    rng: Rng,
    mono: Instant,
    hosts: Vec<Host>,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    /// What is to come, by time and then in the order of its making.
    agenda: BTreeMap<(Instant, u64), What>,
    sequence: u64,
    pub(super) most_held: usize,
}

#[derive(Debug)]
struct Host {
    name: String,
    reach: Reach,
    happened: VecDeque<Happened>,
    waker: Option<Waker>,
    timer: Option<Instant>,
    /// Its ends of links, by name.
    conns: BTreeMap<Conn, (u64, usize)>,
    off_s: i64,
    stalled: bool,
    /// What would have arrived.
    held: Vec<What>,
}

/// A stream: two directions.
#[derive(Debug)]
struct Link {
    ends: [Side; 2],
    /// Bytes until it breaks.
    left: Option<u64>,
}

#[derive(Debug)]
struct Side {
    host: usize,
    conn: Option<Conn>,
    /// Bytes on their way here, and those that are here and not read.
    under_way: usize,
    received: VecDeque<u8>,
    eof: bool,
    broken: bool,
    /// When the wire towards here is free again.
    free_at: Instant,
    /// The write half is finished.
    finished: bool,
    waits: bool,
    /// The error of a broken link was told.
    told: bool,
    /// Nobody reads here any more.
    gone: bool,
}

#[derive(Debug)]
enum What {
    Tell(usize, Happened),
    /// Somebody knocks: link and the host that he knocks at.
    Knock(u64),
    Bytes(u64, usize, Vec<u8>),
    Eof(u64, usize),
    Reset(u64, usize),
}

impl Net {
    pub(super) fn new(link: StreamLink, rng: Rng) -> Self {
        Self {
            link,
            rng,
            mono: Instant::ZERO + Duration::from_secs(1000),
            hosts: Vec::new(),
            links: BTreeMap::new(),
            next_link: 0,
            agenda: BTreeMap::new(),
            sequence: 0,
            most_held: 0,
        }
    }

    pub(super) fn add(&mut self, name: &str, reach: Reach) -> usize {
        self.hosts.push(Host {
            name: name.into(),
            reach,
            happened: VecDeque::new(),
            waker: None,
            timer: None,
            conns: BTreeMap::new(),
            off_s: 0,
            stalled: false,
            held: Vec::new(),
        });
        self.hosts.len() - 1
    }

    pub(super) fn now(&self, host: Option<usize>) -> Now {
        const WALL: i64 = 1_736_942_400_000_000;
        let off = host.and_then(|host| self.hosts.get(host)).map_or(0, |host| host.off_s);
        let mono = i64::try_from(self.mono.as_nanos() / 1000).unwrap_or(i64::MAX);
        Now::new(self.mono, Wall::from_micros(WALL.saturating_add(mono).saturating_add(off * 1_000_000)))
    }

    pub(super) fn streams(&self, host: usize) -> usize {
        self.hosts.get(host).map_or(0, |host| host.conns.len())
    }

    pub(super) fn set_reach(&mut self, host: usize, reach: Reach) {
        self.hosts.get_mut(host).into_iter().for_each(|host| host.reach = reach);
    }

    pub(super) fn set_clock(&mut self, host: usize, off_s: i64) {
        self.hosts.get_mut(host).into_iter().for_each(|host| host.off_s = off_s);
    }

    pub(super) fn stall(&mut self, host: usize, stalled: bool) {
        let Some(host) = self.hosts.get_mut(host) else { return };
        host.stalled = stalled;
        if !stalled {
            for what in core::mem::take(&mut host.held) {
                self.at(self.mono, what);
            }
        }
    }

    pub(super) fn cut(&mut self, host: usize) {
        let of_host = |link: &Link| link.ends.iter().any(|side| side.host == host);
        let broken: Vec<u64> = self.links.iter().filter(|(_, link)| of_host(link)).map(|(id, _)| *id).collect();
        for id in broken {
            for end in 0..2 {
                self.break_end(id, end);
            }
        }
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Instant> {
        let timers = self.hosts.iter().filter_map(|host| host.timer);
        self.agenda.keys().next().map(|(at, _)| *at).into_iter().chain(timers).min().map(|at| at.max(self.mono))
    }

    /// It is this time: do what was to come until then.
    pub(super) fn turn_to(&mut self, at: Instant) {
        self.mono = self.mono.max(at);
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.mono) {
            let what = entry.remove();
            self.happens(what);
        }
        for host in &mut self.hosts {
            if host.timer.is_some_and(|at| at <= self.mono) {
                host.timer = None;
                host.waker.iter().for_each(Waker::wake_by_ref);
            }
        }
    }

    fn at(&mut self, at: Instant, what: What) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), what);
    }

    fn tell(&mut self, host: usize, happened: Happened) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.happened.push_back(happened);
            host.waker.iter().for_each(Waker::wake_by_ref);
        }
    }

    fn happens(&mut self, what: What) {
        let to = match what {
            What::Tell(host, _) => Some(host),
            What::Bytes(link, end, _) | What::Eof(link, end) | What::Reset(link, end) => self.host_of(link, end),
            What::Knock(link) => self.host_of(link, 1),
        };
        let Some(host) = to.and_then(|to| self.hosts.get_mut(to)) else { return };
        if host.stalled {
            host.held.push(what);
            return;
        }
        match what {
            What::Tell(host, happened) => self.tell(host, happened),
            What::Knock(link) => self.knock(link),
            What::Bytes(link, end, _) if self.side(link, end).is_some_and(|side| side.gone) => {
                self.at(self.mono + self.link.delay, What::Reset(link, 1 - end));
            }
            What::Bytes(link, end, bytes) => {
                if let Some(side) = self.side(link, end).filter(|side| !side.broken) {
                    side.received.extend(bytes);
                }
                self.ready(link, end);
            }
            What::Eof(link, end) => {
                self.side(link, end).into_iter().for_each(|side| side.eof = true);
                self.ready(link, end);
            }
            What::Reset(link, end) => self.break_end(link, end),
        }
    }

    fn host_of(&self, link: u64, end: usize) -> Option<usize> {
        self.links.get(&link)?.ends.get(end).map(|side| side.host)
    }

    fn side(&mut self, link: u64, end: usize) -> Option<&mut Side> {
        self.links.get_mut(&link)?.ends.get_mut(end)
    }

    fn ready(&mut self, link: u64, end: usize) {
        let Some(side) = self.side(link, end).filter(|side| side.waits) else { return };
        side.waits = false;
        if let (host, Some(conn)) = (side.host, side.conn) {
            self.tell(host, Happened::Ready(conn));
        }
    }

    /// What has come and was not read may be gone with it, or not: systems differ.
    fn break_end(&mut self, link: u64, end: usize) {
        let keeps = self.rng.u64().is_multiple_of(2);
        if let Some(side) = self.side(link, end) {
            side.broken = true;
            if !keeps {
                side.received.clear();
            }
        }
        self.ready(link, end);
    }

    /// Somebody's first packet has come to a host.
    fn knock(&mut self, link: u64) {
        let delay = self.link.delay;
        let Some((ends, conn)) =
            self.links.get(&link).map(|link| (link.ends.each_ref().map(|side| side.host), link.ends[0].conn))
        else {
            return;
        };
        let Some(conn) = conn else { return };
        let [from, to] = ends;
        match self.hosts.get(to).map(|host| host.reach) {
            Some(Reach::Listening) => {
                let established = |host| Established::plain(address(host));
                self.tell(to, Happened::Accepted(Accepted::new(link), ListenerId::default(), established(from)));
                self.at(self.mono + delay, What::Tell(from, Happened::Dialled(conn, established(to))));
            }
            Some(Reach::Refusing) => {
                self.links.remove(&link);
                self.at(self.mono + delay, What::Tell(from, Happened::Failed(conn, End::Refused)));
            }
            Some(Reach::Silent) | None => {}
        }
    }

    fn dial(&mut self, host: usize, conn: Conn, to: &Endpoint<'_>) {
        let found = self.hosts.iter().position(|host| host.name == to.host);
        let (Some(peer), Security::Plain) = (found, to.security) else {
            let end = if found.is_none() { End::UnknownHost } else { End::Untrusted };
            return self.tell(host, Happened::Failed(conn, end));
        };
        let id = self.next_link;
        self.next_link += 1;
        let side = |host, conn| Side {
            host,
            conn,
            under_way: 0,
            received: VecDeque::new(),
            eof: false,
            broken: false,
            free_at: Instant::ZERO,
            finished: false,
            waits: false,
            told: false,
            gone: false,
        };
        let left = (self.link.reset_within > 0).then(|| self.rng.u64() % self.link.reset_within);
        self.links.insert(id, Link { ends: [side(host, Some(conn)), side(peer, None)], left });
        if let Some(host) = self.hosts.get_mut(host) {
            host.conns.insert(conn, (id, 0));
        }
        self.at(self.mono + self.link.delay, What::Knock(id));
    }

    /// The io of a host is gone, as that of a process which has ended: the system closes what it had.
    fn release(&mut self, host: usize) {
        let conns: Vec<Conn> =
            self.hosts.get(host).map(|host| host.conns.keys().copied().collect()).unwrap_or_default();
        conns.into_iter().for_each(|conn| self.close(host, conn));
        if let Some(host) = self.hosts.get_mut(host) {
            (host.reach, host.timer, host.waker) = (Reach::Refusing, None, None);
            host.happened.clear();
        }
    }

    fn find(&self, host: usize, conn: Conn) -> Option<(u64, usize)> {
        self.hosts.get(host)?.conns.get(&conn).copied()
    }

    fn some_of(&mut self, len: usize) -> usize {
        let most = len.min(self.link.chunk.max(1));
        1 + usize::try_from(self.rng.u64() % most as u64).unwrap_or(0)
    }

    fn read(&mut self, host: usize, conn: Conn, buf: &mut [u8]) -> Poll<Result<usize, End>> {
        let Some((link, end)) = self.find(host, conn) else { return Poll::Ready(Err(End::Lost)) };
        let most = self.some_of(buf.len());
        let Some(side) = self.side(link, end) else { return Poll::Ready(Err(End::Lost)) };
        if side.broken && side.received.is_empty() {
            // As a system does it: the first to ask gets the error, whoever comes later an end.
            return Poll::Ready(if core::mem::replace(&mut side.told, true) { Ok(0) } else { Err(End::Lost) });
        }
        let len = side.received.len().min(most);
        if len == 0 {
            if side.eof {
                return Poll::Ready(Ok(0));
            }
            side.waits = true;
            return Poll::Pending;
        }
        for (to, from) in buf.iter_mut().zip(side.received.drain(..len)) {
            *to = from;
        }
        side.under_way -= len;
        // There is room again for whoever writes.
        self.ready(link, 1 - end);
        Poll::Ready(Ok(len))
    }

    fn write(&mut self, host: usize, conn: Conn, bytes: &[u8]) -> Poll<Result<usize, End>> {
        let Some((link, end)) = self.find(host, conn) else { return Poll::Ready(Err(End::Lost)) };
        let most = self.some_of(bytes.len());
        let StreamLink { buffer, rate, delay, .. } = self.link;
        let now = self.mono;
        let Some(stream) = self.links.get_mut(&link) else { return Poll::Ready(Err(End::Lost)) };
        let [own, peer] = if end == 0 { [0, 1] } else { [1, 0] };
        if stream.ends[own].broken || stream.ends[own].finished {
            stream.ends[own].told = true;
            return Poll::Ready(Err(End::Lost));
        }
        let room = buffer.saturating_sub(stream.ends[peer].under_way);
        if room == 0 {
            stream.ends[own].waits = true;
            return Poll::Pending;
        }
        let len = most.min(room);
        if let Some(left) = &mut stream.left {
            *left = left.saturating_sub(len as u64);
            if *left == 0 {
                stream.ends[own].told = true;
                self.break_end(link, 0);
                self.break_end(link, 1);
                return Poll::Ready(Err(End::Lost));
            }
        }
        let side = &mut stream.ends[peer];
        side.under_way += len;
        let takes = (len as u64).saturating_mul(1_000_000_000).checked_div(rate).unwrap_or(0);
        side.free_at = side.free_at.max(now) + Duration::from_nanos(takes);
        let (arrives, held) = (side.free_at + delay, side.under_way);
        self.most_held = self.most_held.max(held);
        self.at(arrives, What::Bytes(link, peer, bytes.get(..len).unwrap_or_default().to_vec()));
        Poll::Ready(Ok(len))
    }

    fn finish(&mut self, host: usize, conn: Conn) -> Result<(), End> {
        let (link, end) = self.find(host, conn).ok_or(End::Lost)?;
        let delay = self.link.delay;
        let own = self.side(link, end).ok_or(End::Lost)?;
        if own.broken {
            return Err(End::Lost);
        }
        if core::mem::replace(&mut own.finished, true) {
            return Ok(());
        }
        let now = self.mono;
        let arrives = self.side(link, 1 - end).map_or(now, |side| side.free_at.max(now)) + delay;
        self.at(arrives, What::Eof(link, 1 - end));
        Ok(())
    }

    /// One end lets go.
    fn close(&mut self, host: usize, conn: Conn) {
        let Some((link, end)) = self.hosts.get_mut(host).and_then(|host| host.conns.remove(&conn)) else { return };
        let Some(stream) = self.links.get_mut(&link) else { return };
        let [own, peer] = if end == 0 { [0, 1] } else { [1, 0] };
        // As TCP does it: unread bytes, or a half that was not finished, and the other side hears of a reset.
        let peaceful = stream.ends[own].finished && stream.ends[own].received.is_empty();
        (stream.ends[own].conn, stream.ends[own].gone) = (None, true);
        if stream.ends[peer].conn.is_none() && stream.ends[own].conn.is_none() {
            self.links.remove(&link);
        } else if !peaceful {
            let arrives = stream.ends[peer].free_at.max(self.mono) + self.link.delay;
            self.at(arrives, What::Reset(link, peer));
        }
    }

    fn admit(&mut self, host: usize, accepted: Accepted, conn: Option<Conn>) {
        let (link, delay) = (accepted.number(), self.link.delay);
        match conn {
            Some(conn) => {
                let Some(side) = self.side(link, 1) else { return };
                (side.conn, side.waits) = (Some(conn), false);
                if let Some(host) = self.hosts.get_mut(host) {
                    host.conns.insert(conn, (link, 1));
                }
            }
            None => self.at(self.mono + delay, What::Reset(link, 0)),
        }
    }
}

/// Where a host is.
fn address(host: usize) -> SocketAddr {
    let [.., high, low] = host.to_be_bytes();
    ([10, 0, high, low], 4000).into()
}

/// The io of one host.
#[derive(Debug)]
pub struct SimStreams {
    net: Rc<RefCell<Net>>,
    host: usize,
}

impl SimStreams {
    pub(super) const fn new(net: Rc<RefCell<Net>>, host: usize) -> Self {
        Self { net, host }
    }
}

impl Drop for SimStreams {
    fn drop(&mut self) {
        // Not while the network itself is torn down.
        if let Ok(mut net) = self.net.try_borrow_mut() {
            net.release(self.host);
        }
    }
}

impl StreamIo for SimStreams {
    type Error = Infallible;

    fn now(&self) -> Now {
        self.net.borrow().now(Some(self.host))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let mut net = self.net.borrow_mut();
        let now = net.mono;
        let Some(host) = net.hosts.get_mut(self.host) else { return Poll::Pending };
        host.timer = at.filter(|at| *at > now);
        host.waker = Some(cx.waker().clone());
        if at.is_some_and(|at| at <= now) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_happened(&mut self, cx: &mut Context<'_>) -> Poll<Result<Happened, Infallible>> {
        let mut net = self.net.borrow_mut();
        let Some(host) = net.hosts.get_mut(self.host) else { return Poll::Pending };
        host.waker = Some(cx.waker().clone());
        host.happened.pop_front().map_or(Poll::Pending, |happened| Poll::Ready(Ok(happened)))
    }

    fn dial(&mut self, conn: Conn, to: &Endpoint<'_>) {
        self.net.borrow_mut().dial(self.host, conn, to);
    }

    fn admit(&mut self, accepted: Accepted, conn: Option<Conn>) {
        self.net.borrow_mut().admit(self.host, accepted, conn);
    }

    fn poll_read(&mut self, conn: Conn, buf: &mut [u8]) -> Poll<Result<usize, End>> {
        self.net.borrow_mut().read(self.host, conn, buf)
    }

    fn poll_write(&mut self, conn: Conn, bytes: &[u8]) -> Poll<Result<usize, End>> {
        self.net.borrow_mut().write(self.host, conn, bytes)
    }

    fn poll_flush(&mut self, _: Conn) -> Poll<Result<(), End>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, conn: Conn) -> Poll<Result<(), End>> {
        Poll::Ready(self.net.borrow_mut().finish(self.host, conn))
    }

    fn close(&mut self, conn: Conn) {
        self.net.borrow_mut().close(self.host, conn);
    }
}
