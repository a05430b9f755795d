//! A call beside a file on one connection, end to end through a hub, over simulated links of 20 Mbit/s and 40 ms.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::sim::streams::{StreamLink, StreamWorld};
use sluis_core::{Instant, Machine as _, Now, Seed};
use sluis_mux::Access;
use sluis_mux::channel::{Kind, SendError};
use sluis_mux::native::{Channel, Client, ClientConfig, Event, Hub, HubConfig};

use crate::native::idle;

const EVERY: Duration = Duration::from_millis(20);
const VOICE: usize = 160;
const PIECE: usize = 16 * 1024;

/// Calls, and sends a file as fast as it goes.
struct Alice {
    bulk: &'static str,
    channels: Option<[Channel; 2]>,
    open: u32,
    next: Option<Instant>,
}

impl App<Client> for Alice {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        while let Some(event) = client.poll_event() {
            self.open += u32::from(matches!(event, Event::Opened(..)));
        }
        if client.is_connected() && self.channels.is_none() {
            let mut open = |intent| client.open(now, "bob", intent, "{}").unwrap();
            self.channels = Some([open("call:voice"), open(self.bulk)]);
        }
        let Some([voice, file]) = self.channels.filter(|_| self.open == 2) else { return Poll::Pending };
        while client.send(now, file, Kind::Bytes, &[7; PIECE]) != Err(SendError::Full) {}
        let next = self.next.get_or_insert(now.mono);
        while *next <= now.mono {
            let mut packet = [1; VOICE];
            packet[..8].copy_from_slice(&next.as_nanos().to_be_bytes());
            client.send(now, voice, Kind::Bytes, &packet).unwrap();
            *next = *next + EVERY;
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

/// What came, and how long each packet of the call took.
#[derive(Clone, Default)]
struct Bob(Rc<RefCell<(Vec<Duration>, usize)>>);

impl App<Client> for Bob {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        loop {
            let (mut accept, mut take) = (None, None);
            match client.poll_event() {
                None => return Poll::Pending,
                Some(Event::Incoming(channel, ..)) => accept = Some(channel),
                Some(Event::Message(channel, number, _, body)) => {
                    take = Some((channel, number));
                    let (times, bytes) = &mut *self.0.borrow_mut();
                    *bytes += body.len();
                    if body.len() == VOICE {
                        let sent = Instant::from_nanos(u64::from_be_bytes(body[..8].try_into().unwrap()));
                        times.push(now.mono.saturating_since(sent));
                    }
                }
                Some(_) => {}
            }
            accept.into_iter().for_each(|channel| client.accept(now, channel));
            take.into_iter().for_each(|(channel, number)| client.take(now, channel, number));
        }
    }
}

/// One way at the 99th percentile in ms, and how much of the file came in bytes a second.
fn call_beside(bulk: &'static str) -> (u128, usize) {
    const SECONDS: u64 = 8;
    let (rate, hop) = (2_500_000, Duration::from_millis(20));
    // What is on its way, and 32 KiB that the system has not sent.
    let buffer = 50_000 + 32 * 1024;
    let link = StreamLink { rate, delay: hop, buffer, chunk: 16 * 1024, ..StreamLink::default() };
    let mut world = StreamWorld::new(link, &Seed::from_u64(7));
    let mut config = HubConfig::new("hub");
    config.access = Access::Open;
    let hub = world.listen("hub", Hub::new(config, &Seed::from_u64(7)), idle::<Hub>());
    let client =
        |name: &str, now| Client::new(ClientConfig::new(name, "hub", 1), &Seed::from_u64(name.len() as u64), now);
    let bob = Bob::default();
    let now = world.now();
    let his = world.add("bob", client("bob", now), bob.clone());
    world.wake(his);
    assert!(world.run_for(Duration::from_secs(1)));
    let now = world.now();
    let hers = world.add("alice", client("alice", now), Alice { bulk, channels: None, open: 0, next: None });
    world.wake(hers);
    world.wake(hub);
    assert!(world.run_for(Duration::from_secs(SECONDS)), "a machine spins");
    let (times, bytes) = &mut *bob.0.borrow_mut();
    assert!(times.len() as u64 > (SECONDS - 1) * 49, "{} packets", times.len());
    times.sort();
    (times[times.len() * 99 / 100].as_millis(), *bytes / usize::try_from(SECONDS).unwrap())
}

#[test]
fn a_call_is_not_behind_a_file() {
    let found: BTreeMap<&str, (u128, usize)> =
        ["file:sync", "stream"].into_iter().map(|bulk| (bulk, call_beside(bulk))).collect();
    // Within its bandwidth the one, as fast as the link the other.
    for (bulk, least) in [("file:sync", 950_000), ("stream", 1_500_000)] {
        let (p99, per_second) = found[bulk];
        assert!(p99 <= 65 && per_second >= least, "{found:?}");
    }
}
