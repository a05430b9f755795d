//! Pairs of session rooms with nothing but memory between them.

use std::hint::black_box;

use ml_kem::kem::{Decapsulate as _, KeyExport as _};
use ml_kem::{B32, DecapsulationKey768, EncapsulationKey768, Seed as KemSeed};
use sluis_core::identity::{PublicKey, SecretKey};
use sluis_core::noise::{Curve as _, X25519, X25519Secret};
use sluis_core::session::{
    Caps, Config, HEAD_ROOM, Ingress, Peer, SUITE_HYBRID, SessionId, Sessions, Suites, sealed_len,
};
use sluis_core::time::Duration;
use sluis_core::{Did, Instant, Now, Path, Seed, Wall};

/// The name of the hub.
pub const HUB: &str = "jis:home:hub";

/// A room of suite 1 without limits that a measurement could run into.
#[must_use]
pub fn room(did: &str, key: u64, sessions: usize) -> (Sessions, PublicKey) {
    room_of(did, key, sessions, Suites::One)
}

fn room_of(did: &str, key: u64, sessions: usize, suites: Suites) -> (Sessions, PublicKey) {
    let key = SecretKey::generate(&mut Seed::from_u64(key).fork("identity"));
    let public = key.public();
    let mut config = Config::new(Did::new(did).expect("a name"), key);
    config.suites = suites;
    config.caps = Caps { sessions, handshakes_per_second: 1 << 30, ..Caps::default() };
    (Sessions::new(config, &Seed::from_u64(sessions as u64)).expect("caps"), public)
}

/// A moment.
#[must_use]
pub fn at(millis: u64) -> Now {
    let wall = Wall::from_micros(1_736_942_400_000_000 + i64::try_from(millis * 1000).unwrap_or(0));
    Now::new(Instant::ZERO + Duration::from_millis(millis), wall)
}

/// Where the two are.
#[must_use]
pub fn paths() -> [Path; 2] {
    ["192.0.2.1:7150", "192.0.2.2:7150"].map(|at| Path::to(at.parse().expect("an address")))
}

/// Pass on what two rooms have to say, until both are silent and all was told. Gives the sessions that are up since.
pub fn talk(now: Now, sensor: &mut Sessions, hub: &mut Sessions, buf: &mut [u8]) -> [Option<SessionId>; 2] {
    let [at_hub, at_sensor] = paths();
    let mut up = [None; 2];
    loop {
        let mut sent = false;
        while let Some(transmit) = sensor.poll_transmit(now, buf) {
            let _ = hub.handle(now, at_sensor, &mut buf[..transmit.len], &mut |_| true);
            sent = true;
        }
        while let Some(transmit) = hub.poll_transmit(now, buf) {
            let _ = sensor.handle(now, at_hub, &mut buf[..transmit.len], &mut |_| true);
            sent = true;
        }
        for (room, up) in [&mut *sensor, &mut *hub].into_iter().zip(&mut up) {
            while let Some(event) = room.poll_event() {
                if matches!(event.news, sluis_core::session::News::Up { .. }) {
                    *up = Some(event.session);
                }
            }
        }
        if !sent {
            return up;
        }
    }
}

/// Two rooms with a session.
pub struct SessionPair {
    /// Sensor and hub.
    pub rooms: [Sessions; 2],
    /// The session of each.
    pub ids: [SessionId; 2],
    buf: Vec<u8>,
    millis: u64,
}

impl Default for SessionPair {
    fn default() -> Self {
        let (mut sensor, _) = room("jis:home:sensor", 1, 10);
        let (mut hub, key) = room(HUB, 2, 11);
        let mut buf = vec![0; 1500];
        let now = at(1000);
        sensor.connect(now, &Peer::pinned(HUB, key), paths()[0], b"").expect("a session");
        let ids = talk(now, &mut sensor, &mut hub, &mut buf).map(|id| id.expect("a session that is up"));
        Self { rooms: [sensor, hub], ids, buf: vec![7; 65_535], millis: 1000 }
    }
}

impl SessionPair {
    /// Seal a body of this length on one side and open it on the other; time passes a little.
    ///
    /// # Panics
    /// When it does not arrive.
    pub fn pass(&mut self, from: usize, len: usize) {
        self.millis += u64::from(from == 0);
        let now = at(self.millis);
        let buf = &mut self.buf[..sealed_len(len)];
        let sealed = self.rooms[from].seal(now, self.ids[from], buf, len).expect("sealed");
        let from_there = paths()[1 - from];
        let got = self.rooms[1 - from].handle(now, from_there, &mut buf[..sealed.len], &mut |_| true);
        assert!(matches!(got, Ok(Ingress::Body { body, .. }) if body == (HEAD_ROOM..HEAD_ROOM + len)));
    }

    /// Let both say what they owe, and look after their timers.
    pub fn settle(&mut self) {
        let now = at(self.millis);
        let mut buf = [0; 1500];
        let [a, b] = &mut self.rooms;
        a.handle_timeout(now);
        b.handle_timeout(now);
        talk(now, a, b, &mut buf);
    }
}

/// Two rooms that shake hands by IK over and over.
pub struct Handshakes {
    sensor: Sessions,
    hub: Sessions,
    key: PublicKey,
    millis: u64,
}

impl Handshakes {
    /// In the best suite of these.
    #[must_use]
    pub fn new(suites: Suites) -> Self {
        let (sensor, _) = room_of("jis:home:sensor", 1, 10, suites);
        let (hub, key) = room_of(HUB, 2, 11, suites);
        Self { sensor, hub, key, millis: 1000 }
    }

    /// One, on both sides, up to the first packet, and its end.
    ///
    /// # Panics
    /// When it leads to no session.
    pub fn run(&mut self) {
        let Self { sensor, hub, key, millis } = self;
        *millis += 1;
        let (now, mut buf) = (at(*millis), [0; 1500]);
        let connected = sensor.connect(now, &Peer::pinned(HUB, *key), paths()[0], b"").expect("a session");
        let up = talk(now, sensor, hub, &mut buf);
        assert!(up.iter().all(Option::is_some));
        sensor.close(now, connected.session);
        talk(now, sensor, hub, &mut buf);
    }
}

/// The bare asymmetric operations of one handshake on both sides: 2 new keys, 8 shared secrets, 2 signatures, 2 verified; of suite 2 a key pair, an encapsulation and a decapsulation more.
pub struct HandshakeFloor {
    keys: [X25519Secret; 2],
    identity: SecretKey,
    hybrid: bool,
}

impl HandshakeFloor {
    /// Of the best suite of these.
    #[must_use]
    pub fn new(suites: Suites) -> Self {
        let mut rng = Seed::from_u64(3).fork("keys");
        let keys = [X25519::generate(&mut rng), X25519::generate(&mut rng)];
        Self { keys, identity: SecretKey::generate(&mut rng), hybrid: suites.best() == SUITE_HYBRID }
    }

    /// All of them once.
    ///
    /// # Panics
    /// When one fails.
    pub fn run(&self) {
        for (n, ours) in self.keys.iter().enumerate() {
            let theirs = X25519::public(&self.keys[1 - n]);
            black_box(X25519Secret::from_bytes(black_box(&[7; 32])));
            for _ in 0..4 {
                black_box(X25519::dh(black_box(ours), black_box(&theirs)));
            }
            let signature = self.identity.sign_now(black_box(&[7; 87]));
            self.identity.public().verify(black_box(&[7; 87]), &signature).expect("verified");
        }
        if self.hybrid {
            let secret = DecapsulationKey768::from_seed(black_box(KemSeed::default()));
            let public = EncapsulationKey768::new(&secret.encapsulation_key().to_bytes()).expect("a key");
            let (ciphertext, shared) = public.encapsulate_deterministic(black_box(&B32::default()));
            assert_eq!(secret.decapsulate(&ciphertext), shared);
        }
    }
}
