//! The server as a machine on byte streams.

use sluis_core::{Conn, End, Machine, Now, Order, Origin, Reason, Reject, Streams, Up, Wants};

use super::{ConnId, Server};

/// A connection is never used twice, so its number makes a name.
const fn name(conn: ConnId) -> Conn {
    let number = conn.number();
    #[allow(clippy::cast_possible_truncation, reason = "the two halves")]
    Conn::new(number as u32, (number >> 32) as u32)
}

const fn of_name(conn: Conn) -> ConnId {
    ConnId((conn.generation() as u64) << 32 | conn.slot() as u64)
}

impl Machine for Server {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        self.called = now.mono;
        self.time_passes(now.mono);
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        let writes = || self.clients.iter().any(|client| self.wants_write(self.called, client));
        let orders = !self.closing.is_empty() || writes();
        // What may leave already waits for its stream, not for time.
        let due =
            self.deadline().filter(|due| *due > self.called || self.clients.iter().any(|c| c.is_over(self.called)));
        let later = self.clients.iter().filter_map(|client| client.deadline()).filter(|at| *at > self.called).min();
        let at = due.into_iter().chain(later.filter(|_| due.is_none())).min();
        Wants { orders, at: at.map(|at| (at, Reason::Application)), ..Wants::NOTHING }
    }
}

impl Streams for Server {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.called = now.mono;
        let Origin::Accepted(_) = up.origin else { return Err(Reject::Unrequested) };
        self.accept(now.mono).map(name).ok_or(Reject::Busy)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.called = now.mono;
        self.client_bytes(now.mono, of_name(conn), bytes);
        Ok(bytes.len())
    }

    fn handle_end(&mut self, _: Now, conn: Conn, end: End) {
        let id = of_name(conn);
        if !end.is_last() && self.clients.iter().any(|client| client.id == id) {
            // A client that says no more is gone.
            self.closing.push(id);
        }
        self.client_end(id);
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.called = now.mono;
        if let Some(conn) = self.poll_close() {
            return Some(Order::Abort(name(conn)));
        }
        let id = self.clients.iter().find(|client| self.wants_write(now.mono, client))?.id;
        self.writes.insert(id);
        Some(Order::Write(name(id)))
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        self.called = now.mono;
        let id = of_name(conn);
        let len = self.client_output(now.mono, id, out);
        if len == 0 {
            self.writes.remove(&id);
        }
        len
    }
}
