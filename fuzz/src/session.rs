//! Any bytes as what happens to two rooms of sessions: who carries their datagrams is hostile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use sluis_core::identity::{MacKey, SecretKey};
use sluis_core::session::{
    Caps, Config, HEAD_ROOM, Ingress, News, Peer, Route, SessionId, Sessions, Suites, is_session_frame, sealed_len,
};
use sluis_core::time::Duration;
use sluis_core::{Did, Instant, Now, Path, Seed, Wall};

const NAMES: [&str; 2] = ["jis:a", "jis:b"];
const SESSIONS: usize = 4;

struct World {
    rooms: [Sessions; 2],
    keys: [SecretKey; 2],
    sent: Vec<(usize, Vec<u8>)>,
    /// What was said by each, and what of it was heard.
    said: BTreeSet<(usize, u32)>,
    heard: BTreeSet<(usize, u32)>,
    /// Bytes from and to addresses that nobody has.
    elsewhere: BTreeMap<SocketAddr, (usize, usize)>,
    proven: BTreeSet<SocketAddr>,
    millis: u64,
    count: u32,
}

/// Four bytes a step: what, which packet, where in it, and how much. What is heard was said, once; nothing fails badly, no table passes its cap, no timer lies in the past, and no address that
/// proved nothing gets more than three times what came from it.
pub fn session(data: &[u8]) {
    let key = |n: u8| SecretKey::from_seed(&[n + 1; 32]);
    let room = |n: u8| {
        let mut config = Config::new(Did::new(NAMES[usize::from(n)]).expect("a name"), key(n));
        let (half_open, outgoing) = (3, 6);
        config.caps = Caps { sessions: SESSIONS, half_open, outgoing, handshakes_per_second: 4, ..Caps::default() };
        config.rekey_after_packets = 20;
        // Four bits of the end: what each speaks.
        let end = data.last().copied().unwrap_or_default() >> (2 * n);
        config.suites = [Suites::One, Suites::Any, Suites::Two, Suites::Any][usize::from(end % 4)];
        Sessions::new(config, &Seed::from_u64(u64::from(n))).expect("caps")
    };
    let mut world = World {
        rooms: [room(0), room(1)],
        keys: [key(0), key(1)],
        sent: Vec::new(),
        said: BTreeSet::new(),
        heard: BTreeSet::new(),
        elsewhere: BTreeMap::new(),
        proven: BTreeSet::new(),
        millis: 1000,
        count: 0,
    };
    for step in data.chunks(4).take(250) {
        world.step(core::array::from_fn(|n| step.get(n).copied().unwrap_or_default()));
    }
    for n in 0..2 {
        world.stranger(n, data);
    }
}

fn at(n: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(n).unwrap_or(0)], 7150))
}

impl World {
    fn now(&self) -> Now {
        let wall = Wall::from_micros(1_736_942_400_000_000 + i64::try_from(self.millis * 1000).unwrap_or(0));
        Now::new(Instant::ZERO + Duration::from_millis(self.millis), wall)
    }

    fn step(&mut self, [what, which, place, much]: [u8; 4]) {
        let n = usize::from(what) / 16 % 2;
        let from = at(1 - n);
        let elsewhere = at(10 + usize::from(which) % 3);
        match what % 12 {
            0 => self.connect(n, which.is_multiple_of(2)),
            1 | 2 => self.say(n, usize::from(much)),
            3 | 4 => self.pass_all(n),
            5 => self.deliver(n, from, &self.pick(which)),
            6 => self.deliver(n, elsewhere, &self.pick(which)),
            7 => {
                let mut bytes = self.pick(which);
                let len = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(usize::from(place) % len) {
                    *byte ^= much;
                }
                self.deliver(n, from, &bytes);
            }
            8 => {
                let mut bytes = self.pick(which);
                let len = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(usize::from(place) % len) {
                    *byte ^= much;
                }
                self.fit(n, &mut bytes);
                self.deliver(n, from, &bytes);
            }
            9 => self.millis += u64::from(much) * u64::from(much) * 5,
            10 => {
                let key = self.keys[1 - n].public();
                assert!(self.rooms[n].revoke(&key) <= SESSIONS);
                assert!(!matches!(self.rooms[n].route(NAMES[1 - n], Some(&key)), Route::Session(_)));
            }
            _ => {
                if let Some(id) = self.session(n) {
                    let now = self.now();
                    self.rooms[n].close(now, id);
                }
            }
        }
        self.settle();
    }

    /// Something that was sent before.
    fn pick(&self, which: u8) -> Vec<u8> {
        let back = usize::from(which) % self.sent.len().max(1);
        self.sent.iter().rev().nth(back).map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// Give a touched frame of a handshake the mac that it needs to be read.
    fn fit(&self, n: usize, bytes: &mut [u8]) {
        use sha2::{Digest as _, Sha256};
        let Some((text, macs)) = bytes.split_last_chunk_mut::<32>() else { return };
        let key =
            Sha256::new().chain_update(b"sluis session 1 mac1\x01").chain_update(self.keys[n].public().as_bytes());
        let key: [u8; 32] = key.finalize().into();
        macs[..16].copy_from_slice(&MacKey::new(&key).tag(text)[..16]);
    }

    fn session(&self, n: usize) -> Option<SessionId> {
        match self.rooms[n].route(NAMES[1 - n], None) {
            Route::Session(id) | Route::Wait(id) => Some(id),
            _ => None,
        }
    }

    fn connect(&mut self, n: usize, pinned: bool) {
        let (now, key) = (self.now(), self.keys[1 - n].public());
        let peer = if pinned { Peer::pinned(NAMES[1 - n], key) } else { Peer::named(NAMES[1 - n]) };
        self.count += 1;
        let body = self.count.to_be_bytes();
        if let Ok(connected) = self.rooms[n].connect(now, &peer, Path::to(at(1 - n)), &body)
            && connected.early
        {
            self.said.insert((n, self.count));
        }
        assert_ne!(self.rooms[n].route(NAMES[1 - n], Some(&key)), Route::Plain);
    }

    fn say(&mut self, n: usize, more: usize) {
        let Some(id) = self.session(n) else { return };
        self.count += 1;
        let body = [&self.count.to_be_bytes()[..], &vec![7; more]].concat();
        let mut out = vec![0; sealed_len(body.len())];
        out[HEAD_ROOM..][..body.len()].copy_from_slice(&body);
        let now = self.now();
        if let Ok(sealed) = self.rooms[n].seal(now, id, &mut out, body.len()) {
            self.said.insert((n, self.count));
            self.take_out(n, sealed.path.remote, &out[..sealed.len]);
        }
    }

    /// A datagram leaves.
    fn take_out(&mut self, n: usize, to: SocketAddr, bytes: &[u8]) {
        assert!(is_session_frame(bytes) && bytes.len() <= sealed_len(300).max(1200));
        if let Some((received, sent)) = self.elsewhere.get_mut(&to) {
            *sent += bytes.len();
            assert!(*sent <= 3 * *received || self.proven.contains(&to), "{sent} bytes for {received}");
        } else {
            assert_eq!(to, at(1 - n), "an address that nobody wrote from");
        }
        self.sent.push((n, bytes.to_vec()));
    }

    /// Everything that was sent to one side in the last steps arrives.
    fn pass_all(&mut self, n: usize) {
        let last: Vec<_> = self.sent.iter().rev().take(8).filter(|(from, _)| *from != n).cloned().collect();
        for (_, bytes) in last.into_iter().rev() {
            self.deliver(n, at(1 - n), &bytes);
        }
    }

    fn deliver(&mut self, n: usize, from: SocketAddr, bytes: &[u8]) {
        if from != at(1 - n) {
            self.elsewhere.entry(from).or_default().0 += bytes.len();
        }
        let (now, mut bytes) = (self.now(), bytes.to_vec());
        let key = self.keys[1 - n].public();
        let got = self.rooms[n].handle(now, Path::to(from), &mut bytes, &mut |claim| claim.key == key);
        if let Ok(Ingress::Body { body, key: who, .. } | Ingress::Early { body, key: who, .. }) = got {
            let count = u32::from_be_bytes(*bytes[body].first_chunk().expect("a body of ours"));
            assert_eq!(who, key);
            assert!(self.said.contains(&(1 - n, count)), "nobody said {count}");
            // Early data goes out with each attempt, each of which has a stamp of its own.
            let fresh = self.heard.insert((1 - n, count));
            assert!(fresh || bytes.get(8) == Some(&1), "{count} was heard twice");
        }
    }

    /// Timers, what is to be sent, and what is to be told.
    fn settle(&mut self) {
        let now = self.now();
        for n in 0..2 {
            if self.rooms[n].next_deadline().is_some_and(|at| at <= now.mono) {
                self.rooms[n].handle_timeout(now);
            }
            assert!(self.rooms[n].next_deadline().is_none_or(|at| at > now.mono), "a timer in the past");
            while let Some(event) = self.rooms[n].poll_event() {
                assert_eq!(event.did, NAMES[1 - n]);
                let passed_on = event.path.remote != at(1 - n);
                if passed_on && matches!(event.news, News::Up { .. } | News::Rekeyed | News::Moved { .. }) {
                    // Somebody there passed on what was sent there, and what came back: he is on the path.
                    self.proven.insert(event.path.remote);
                }
            }
            let mut out = [0; 1200];
            while let Some(transmit) = self.rooms[n].poll_transmit(now, &mut out) {
                self.take_out(n, transmit.path.remote, &out[..transmit.len]);
            }
            assert!(self.rooms[n].len() <= SESSIONS && self.rooms[n].half_open() <= 6 + SESSIONS);
        }
    }

    /// What strangers make up leads nowhere.
    fn stranger(&mut self, n: usize, data: &[u8]) {
        let mut frame = b"TP\x01\x08\0\0\0\0".to_vec();
        frame.extend_from_slice(data);
        frame.truncate(4000);
        let len = u32::try_from(frame.len() - 8).unwrap_or(0);
        frame[4..8].copy_from_slice(&len.to_be_bytes());
        self.fit(n, &mut frame);
        if !self.sent.iter().any(|(_, sent)| *sent == frame) {
            let now = self.now();
            assert!(self.rooms[n].handle(now, Path::to(at(50)), &mut frame, &mut |_| true).is_err());
        }
    }
}
