//! An end of a connection as a machine on a socket, and what is done at both.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use sluis_core::driver::App;
use sluis_core::{
    Conn, End as Ended, Endpoint, Family, Machine, Now, Order, Reason, Reject, Security, Streams, Up, Wants,
};
use sluis_mux::session::Role;

use super::End;

/// One end on a socket.
#[derive(Debug)]
pub struct Peer {
    /// The end.
    pub end: End,
    conn: Conn,
    /// Where it dials, while it has not.
    dials: Option<(u16, Security)>,
    up: bool,
    writing: bool,
}

impl Peer {
    /// One that dials this port of this machine.
    #[must_use]
    pub fn dialling(port: u16, security: Security, key: Option<[u8; 32]>) -> Self {
        let end = End::new(Role::Client, key);
        Self { end, conn: Conn::new(0, 1), dials: Some((port, security)), up: false, writing: false }
    }

    /// One that is dialled.
    #[must_use]
    pub fn dialled(key: Option<[u8; 32]>) -> Self {
        let end = End::new(Role::Server, key);
        Self { end, conn: Conn::new(0, 1), dials: None, up: false, writing: false }
    }
}

impl Machine for Peer {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        self.end.session.handle_timeout(now.mono).expect("it lives");
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        let orders = self.dials.is_some() || self.up && !self.writing && self.end.session.wants_write();
        let at = self.end.session.deadline().map(|at| (at, Reason::Session));
        Wants { orders, at, ..Wants::NOTHING }
    }
}

impl Streams for Peer {
    fn handle_up(&mut self, _: Now, _: &Up<'_>) -> Result<Conn, Reject> {
        self.up = true;
        Ok(self.conn)
    }

    fn handle_bytes(&mut self, now: Now, _: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.end.session.handle_bytes(now.mono, bytes)?;
        Ok(bytes.len())
    }

    fn handle_end(&mut self, _: Now, _: Conn, end: Ended) {
        panic!("a connection on loopback ended: {end}");
    }

    fn poll_order(&mut self, _: Now) -> Option<Order<'_>> {
        if let Some((port, security)) = self.dials.take() {
            return Some(Order::Dial(self.conn, Endpoint { host: "127.0.0.1", port, family: Family::Any, security }));
        }
        let due = self.up && !self.writing && self.end.session.wants_write();
        self.writing |= due;
        due.then_some(Order::Write(self.conn))
    }

    fn poll_bytes(&mut self, now: Now, _: Conn, out: &mut [u8]) -> usize {
        let len = self.end.session.poll_bytes(now.mono, out);
        self.writing = len > 0;
        len
    }
}

/// How much has come at the far end, and who waits for it.
#[derive(Debug, Default)]
pub struct Progress {
    count: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Progress {
    /// So much has come by now.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// It is so much now.
    pub fn set(&self, count: u64) {
        if self.count.replace(count) != count
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    /// Wait until so much has come.
    pub fn poll_reached(&self, cx: &Context<'_>, count: u64) -> Poll<()> {
        if self.count.get() >= count {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// What is to be sent.
#[derive(Debug, Default)]
pub struct Job {
    /// Messages that are left.
    pub left: Cell<u64>,
    /// Bytes of each.
    pub size: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

impl Job {
    /// Send so many messages.
    pub fn give(&self, count: u64, size: usize) {
        self.left.set(count);
        self.size.set(size);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The application of either end.
#[derive(Debug)]
pub struct Sender {
    /// What is to be sent, by the end that sends.
    pub job: Option<Rc<Job>>,
    /// Is told how many messages have come.
    pub progress: Option<Rc<Progress>>,
    /// Channels to open first.
    pub channels: usize,
    /// Of these, those that are open before anything is sent.
    pub wanted: usize,
    /// Messages that may be under way.
    pub in_flight: u64,
    /// How many were sent.
    pub sent: u64,
    /// One is under way until it came back, not until it was acknowledged.
    pub echo: bool,
    /// What is sent.
    pub text: Vec<u8>,
}

impl App<Peer> for Sender {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, peer: &mut Peer) -> Poll<()> {
        if peer.up && self.channels > 0 {
            (0..self.channels).for_each(|_| peer.end.open(now.mono));
            (self.wanted, self.channels) = (self.channels, 0);
        }
        peer.end.drain(now.mono);
        if peer.end.open < self.wanted {
            return Poll::Pending;
        }
        if let Some(job) = &self.job {
            let back = if self.echo { peer.end.messages } else { peer.end.acked };
            while job.left.get() > 0 && peer.end.open > 0 && self.sent - back < self.in_flight {
                let nth = usize::try_from(self.sent).unwrap_or_default() % peer.end.open;
                if !peer.end.send(nth, &self.text[..job.size.get()]) {
                    break;
                }
                self.sent += 1;
                job.left.set(job.left.get() - 1);
            }
            if job.left.get() == 0 {
                *job.waker.borrow_mut() = Some(cx.waker().clone());
            }
        }
        if let Some(progress) = &self.progress {
            progress.set(peer.end.messages);
        }
        Poll::Pending
    }
}
