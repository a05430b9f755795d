//! A hub on a plain `std::net` socket: no async runtime, no driver, just the three steps in a loop.
//!
//! ```text
//! cargo run -p sluis-core --example std_loop -- 127.0.0.1:7150
//! cargo run -p sluis-cli -- ping jis:home:hub 127.0.0.1:7150 --intent temperature.read --did jis:home:sensor
//! ```
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros, reason = "the outside world")]

use std::error::Error;
use std::io::{ErrorKind, Read};
use std::net::UdpSocket;
use std::time::{Instant as StdInstant, SystemTime};

use sluis_core::framing::{Value, ValueBuf};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Event, Node, NodeConfig, Reply};
use sluis_core::{Datagrams, Did, Duration, Instant, Machine, Now, Seed, Wall};

/// Both clocks, read together; monotonic time counts from when this was made.
struct Clock(StdInstant);

impl Clock {
    fn now(&self) -> Now {
        let mono = u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
        Now::new(Instant::from_nanos(mono), Wall::from_micros(i64::try_from(wall).unwrap_or(i64::MAX)))
    }
}

/// Fresh randomness from the system; a seed is never used twice.
fn seed() -> std::io::Result<Seed> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Seed::new(bytes))
}

fn main() -> Result<(), Box<dyn Error>> {
    let bind = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7150".into());
    let socket = UdpSocket::bind(&bind)?;
    let clock = Clock(StdInstant::now());
    let mut hub = Node::new(NodeConfig::new(Did::new("jis:home:hub")?), &seed()?)?;
    hub.set_trust("jis:home:sensor", 0.9)?;
    hub.allow_legacy("jis:home:*")?;
    hub.set_reply("temperature.*", Reply::Now(ValueBuf::new(Value::from_json(r#"{"celsius":21.5}"#)?)?))?;
    eprintln!("{} listens on {}", hub.did(), socket.local_addr()?);

    let (mut rx, mut tx) = (vec![0; MAX_DATAGRAM_V6], vec![0; MAX_DATAGRAM_V6]);
    loop {
        // 1. Drain: what happened, and what is to be sent.
        while let Some(event) = hub.poll_event() {
            if let Event::Ping(ping) = event {
                let packet = ping.packet();
                println!("{} wants {}: {}", packet.source_did, packet.intent, ping.zone);
            }
        }
        while let Some(transmit) = hub.poll_transmit(clock.now(), &mut tx) {
            // What the network does not take is lost, as on the way; the hub goes on.
            let _ = socket.send_to(&tx[..transmit.len], transmit.path.remote);
        }
        // 2. Wait for whatever comes first: a datagram, or the time at which the hub wants to be called.
        let wait = hub.wants().wait(clock.now().mono);
        socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_micros(1))))?;
        // 3. Mutate: hand in what came.
        match socket.recv_from(&mut rx) {
            Ok((len, from)) => drop(hub.handle_datagram(clock.now(), from.into(), &mut rx[..len])),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(e) => return Err(e.into()),
        }
        hub.handle_timeout(clock.now());
    }
}
