//! The machine on plain `std::net` streams, without any runtime: it asks each stream in turn, and sleeps when nothing moves.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use sluis_core::{Instant, Machine as _, Now, Seed, Wall};
use sluis_signal::broker::{End, Order};
use sluis_signal::rank::Family;
use sluis_signal::rendezvous::{Config, Event, Rendezvous};

/// A machine, its streams, and the clock.
pub(crate) struct Driver {
    /// What it drives.
    pub(crate) machine: Rendezvous,
    places: Vec<(Family, String, u16)>,
    streams: Vec<Option<Stream>>,
    start: std::time::Instant,
}

/// A stream, and what either side has not taken yet.
struct Stream {
    tcp: TcpStream,
    read: Vec<u8>,
    to_write: Vec<u8>,
}

impl Driver {
    /// A seed for production comes from the system, once.
    pub(crate) fn new(config: Config, seed: &Seed) -> Self {
        let start = std::time::Instant::now();
        let places: Vec<_> =
            config.brokers.iter().map(|place| (place.family, place.host.clone(), place.port)).collect();
        let streams = places.iter().map(|_| None).collect();
        let machine = Rendezvous::new(config, seed, now(start));
        Self { machine, places, streams, start }
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Now {
        now(self.start)
    }

    /// Do what is to be done until there is an event, but not longer than this.
    pub(crate) fn wait(&mut self, most: Duration) -> Option<Event> {
        let until = std::time::Instant::now() + most;
        loop {
            let moved = self.turn();
            if let Some(event) = self.machine.poll_event() {
                return Some(event);
            }
            if std::time::Instant::now() >= until {
                return None;
            }
            if !moved {
                sleep(Duration::from_millis(1));
            }
        }
    }

    /// Everything once. Whether anything moved.
    pub(crate) fn turn(&mut self) -> bool {
        let now = self.now();
        if self.machine.deadline().is_some_and(|at| at <= now.mono) {
            self.machine.handle_timeout(now);
        }
        while let Some((at, order)) = self.machine.broker_order() {
            match order {
                Order::Dial => self.dial(at),
                Order::Abort => self.streams[at] = None,
                Order::Finish => {
                    let _ = self.exchange(at, now);
                    self.end(at, End::Ended);
                }
            }
        }
        let mut moved = false;
        for at in 0..self.streams.len() {
            match self.exchange(at, now) {
                Ok(some) => moved |= some,
                Err(end) => self.end(at, end),
            }
        }
        moved
    }

    /// One after the other, and waiting for each: an adapter for a runtime does better.
    fn dial(&mut self, at: usize) {
        let (family, host, port) = &self.places[at];
        let of_family = |addr: &std::net::SocketAddr| addr.is_ipv4() == (*family == Family::V4);
        let dialled = (host.as_str(), *port).to_socket_addrs().and_then(|mut addrs| {
            let addr = addrs.find(of_family).ok_or(io::ErrorKind::NotFound)?;
            let tcp = TcpStream::connect_timeout(&addr, Duration::from_secs(3))?;
            tcp.set_nodelay(true)?;
            tcp.set_nonblocking(true)?;
            Ok(tcp)
        });
        let now = self.now();
        match dialled {
            Ok(tcp) => {
                self.streams[at] = Some(Stream { tcp, read: Vec::new(), to_write: Vec::new() });
                self.machine.broker_up(now, at);
            }
            Err(_) => self.machine.broker_end(now, at, End::Unreachable),
        }
    }

    fn end(&mut self, at: usize, end: End) {
        self.streams[at] = None;
        let now = self.now();
        self.machine.broker_end(now, at, end);
    }

    fn exchange(&mut self, at: usize, now: Now) -> Result<bool, End> {
        let Some(stream) = &mut self.streams[at] else { return Ok(false) };
        let (mut buffer, mut moved) = ([0; 16 * 1024], false);
        if stream.to_write.is_empty() {
            let len = self.machine.broker_output(now, at, &mut buffer);
            stream.to_write.extend_from_slice(&buffer[..len]);
        }
        if !stream.to_write.is_empty() {
            match stream.tcp.write(&stream.to_write) {
                Ok(len) => {
                    stream.to_write.drain(..len);
                    moved = true;
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(End::Lost),
            }
        }
        // What the machine does not take stays, and nothing more is read: TCP holds the broker back.
        if stream.read.is_empty() {
            match stream.tcp.read(&mut buffer) {
                Ok(0) => return Err(End::Ended),
                Ok(len) => stream.read.extend_from_slice(&buffer[..len]),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(moved),
                Err(_) => return Err(End::Lost),
            }
        }
        let used = self.machine.broker_bytes(now, at, &stream.read);
        stream.read.drain(..used);
        Ok(moved || used > 0)
    }
}

fn now(start: std::time::Instant) -> Now {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let wall = Wall::from_micros(i64::try_from(wall.as_micros()).unwrap_or(i64::MAX));
    Now::new(Instant::ZERO + start.elapsed(), wall)
}
