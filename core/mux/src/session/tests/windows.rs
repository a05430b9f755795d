//! How much a stream may send, and what a session holds.

use super::super::frame::{ACK, Kind, SYN};
use super::super::{Config, Event, FIRST_WINDOW, Read, Role, Session, Stream, WindowPool};
use super::{at, carry, data, drain, frame, opened, session, session_of};
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use sluis_core::Instant;

/// A link of so many bytes a second and so much time each way, as a queue of what is under way.
struct Link {
    per_second: u64,
    delay: u64,
    free_at: u64,
    under_way: VecDeque<(u64, Vec<u8>)>,
}

impl Link {
    fn send(&mut self, now: u64, bytes: Vec<u8>) {
        self.free_at = self.free_at.max(now) + bytes.len() as u64 * 1_000_000 / self.per_second;
        self.under_way.push_back((self.free_at + self.delay, bytes));
    }

    fn arrived(&mut self, now: u64) -> Option<Vec<u8>> {
        self.under_way.pop_front_if(|(at, _)| *at <= now).map(|(_, bytes)| bytes)
    }
}

#[test]
fn a_window_grows_to_what_the_link_holds_and_no_further() {
    // 100 Mbit/s, 100 ms each way; time in microseconds.
    let (per_second, delay) = (12_500_000, 100_000);
    let link = || Link { per_second, delay, free_at: 0, under_way: VecDeque::new() };
    let (mut client, mut server) = (session(Role::Client), session(Role::Server));
    let (mut there, mut back) = (link(), link());
    let stream = client.open(at(0), 7).unwrap();
    let (mut heard, mut got, mut got_late, mut most) = (None, 0u64, 0u64, 0);
    let (mut read, mut out) = (vec![0; 1 << 20], vec![0; 16 * 1024 + 12]);
    for now in (0..4_000_000u64).step_by(1000) {
        let mono = Instant::from_nanos(now * 1000);
        client.handle_timeout(mono).unwrap();
        server.handle_timeout(mono).unwrap();
        let _ = client.write(stream, &[3; 65_536]);
        // The kernel takes what keeps the link busy, and little more.
        while there.free_at <= now + 2_000 {
            let len = client.poll_bytes(mono, &mut out);
            if len == 0 {
                break;
            }
            there.send(now, out[..len].to_vec());
            let _ = client.write(stream, &[3; 65_536]);
        }
        let answers = drain(&mut server, mono, &[1000]);
        back.send(now, answers);
        while let Some(bytes) = there.arrived(now) {
            server.handle_bytes(mono, &bytes).unwrap();
        }
        while let Some(bytes) = back.arrived(now) {
            client.handle_bytes(mono, &bytes).unwrap();
        }
        while let Some(event) = server.poll_event() {
            if let Event::Opened(id) = event {
                server.accept(id, 7).unwrap();
                heard = Some(id);
            }
        }
        let Some(id) = heard else { continue };
        most = most.max(server.streams.get(id).unwrap().window.size());
        if let Ok(Read::Bytes(len)) = server.read(mono, id, &mut read) {
            got += len as u64;
            if now >= 2_100_000 {
                got_late += len as u64;
            }
        }
    }
    // After ten round trips: of 1.9 s.
    let of_link = got_late * 100 / (per_second * 19 / 10);
    assert!(of_link >= 85, "{of_link} % of the link, {got} bytes in all, a window of {most}");
    let product = per_second * 2 * delay / 1_000_000;
    assert!(u64::from(most) <= product * 2 + 65_536, "{most}, where {product} are under way");
}

#[test]
fn growth_stays_within_what_all_sessions_share() {
    let pool = WindowPool::new(100_000);
    let config = Config { pool: pool.clone(), ..Config::default() };
    let mut server = session_of(Role::Server, config);
    server.handle_timeout(at(0)).unwrap();
    drain(&mut server, at(0), &[100]);
    server.handle_bytes(at(10), &frame(Kind::Ping, ACK, 0, 1)).unwrap();
    assert_eq!(server.round_trip(), Some(Duration::from_millis(10)));
    let mut millis = 10;
    let mut id = None;
    for n in 0..40u32 {
        server.handle_bytes(at(millis), &data(if n == 0 { SYN } else { 0 }, 1, &[1; 200_000])).unwrap();
        let id = *id.get_or_insert_with(|| opened(&mut server));
        let mut out = vec![0; 200_000];
        server.read(at(millis), id, &mut out).unwrap();
        drain(&mut server, at(millis), &[1000]);
        millis += 5;
    }
    assert_eq!(pool.left(), 0);
    assert_eq!(server.streams.get(id.unwrap()).unwrap().window.size(), FIRST_WINDOW + 100_000);
    drop(server);
    assert_eq!(pool.left(), 100_000);
}

#[test]
fn an_idle_session_is_small() {
    let (mut client, mut server) = (session(Role::Client), session(Role::Server));
    let there = client.open(at(0), 3).unwrap();
    for _ in 0..100 {
        client.write(there, &[1; 10_000]).unwrap();
        carry(&mut client, &mut server, at(0));
        if server.stats().accepted == 1 && server.streams.unaccepted == 1 {
            opened(&mut server);
        }
        let id = server.streams.find(1).unwrap();
        server.read(at(0), id, &mut vec![0; 10_000]).unwrap();
    }
    assert_eq!((client.held(), server.held()), (0, 0));
    assert!(size_of::<Session>() <= 1536, "{}", size_of::<Session>());
    assert!(size_of::<Stream>() <= 160, "{}", size_of::<Stream>());
}
