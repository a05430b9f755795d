//! `resolver.jsonl`: from names to endpoints.

use std::net::SocketAddr;

use sluis_core::identity::SecretKey;
use sluis_core::pins::{PinConfig, Pins};
use sluis_core::registry::{
    Address, Draft, Record, Registry, RegistryConfig, ResolveConfig, Resolved, Resolver, Source,
};
use sluis_core::{Duration, Instant, Now, Seed, Wall};

use crate::common::{Deviations, Json, Row, rows};

struct World {
    resolver: Resolver,
    registry: Registry,
    pins: Pins,
    seq: u64,
}

/// An address of a name in a row's peers.
fn peer(peers: Option<&Json>, did: &str) -> Option<SocketAddr> {
    let addr = peers?.get(did)?.get("addr")?.array()?;
    format!("{}:{}", addr[0].str()?, addr[1].int()?).parse().ok()
}

fn shown(found: Option<Resolved<'_>>) -> String {
    found.map_or("nothing".to_owned(), |found| format!("{} by {}", found.endpoint, found.source.as_str()))
}

/// The reference's word for where something is known from, as ours.
fn method(text: &str) -> &str {
    if text == "network_cache" { Source::Peer.as_str() } else { text }
}

impl World {
    fn new() -> Self {
        let mut rng = Seed::from_u64(1).fork("test");
        let registry = Registry::new(RegistryConfig::default(), rng.sip_key());
        let pins = Pins::new(PinConfig::default(), rng.sip_key());
        Self { resolver: Resolver::new(ResolveConfig::default(), &mut rng), registry, pins, seq: 0 }
    }

    /// What the device says when it is asked: its record.
    fn record(&mut self, now: Wall, did: &str, at: SocketAddr) -> Vec<u8> {
        self.seq += 1;
        let issued = u64::try_from(now.as_micros() / 1_000_000).unwrap();
        let endpoints = [Address::Ip(at)];
        let (seq, expires) = (self.seq, issued + 3600);
        let draft = Draft { did, seq, issued, expires, endpoints: &endpoints, ..Draft::default() };
        draft.sign(&SecretKey::from_seed(&[1; 32]), &mut [0; Record::MAX_LEN]).unwrap().as_bytes().to_vec()
    }

    /// Look a name up as a node with these peers; whom a question reaches says where it is.
    fn resolve(&mut self, now: Now, did: &str, peers: Option<&Json>, reached: Option<&Json>) -> String {
        let known = self.resolver.known(now.wall, did, &self.registry, |did| peer(peers, did));
        if known.is_some() {
            return shown(known);
        }
        self.resolver.ask(now.mono, did).unwrap();
        assert_eq!(self.resolver.poll_question(now.mono).unwrap().did, did);
        if let Some(at) = peer(reached, did) {
            let record = self.record(now.wall, did, at);
            let _ = self.resolver.handle_record(now, &record, &mut self.registry, &self.pins).unwrap();
        }
        self.resolver.handle_timeout(now.mono + Duration::from_secs(5));
        let ended = self.resolver.poll_ended().unwrap();
        shown(self.resolver.outcome(now.wall, &ended, &self.registry))
    }

    fn op(&mut self, row: &Row, op: &Json) -> (String, String) {
        #[allow(clippy::cast_possible_truncation, reason = "microseconds of a fixture")]
        let wall = Wall::from_micros((op.get("now").and_then(Json::f64).unwrap() * 1e6).round() as i64);
        let now = Now::new(Instant::from_nanos(wall.as_micros().unsigned_abs() * 1000), wall);
        let args = op.get("args").and_then(Json::array).unwrap_or_default();
        let did = op.get("did").or(args.first()).and_then(Json::str).unwrap();
        let member = |name: &str| op.get("result").and_then(|result| result.get(name));
        let reference = match (op.get("error"), member("resolved").and_then(Json::bool)) {
            (Some(_), _) => "error".to_owned(),
            (None, Some(true)) => {
                let method = method(member("method").and_then(Json::str).unwrap());
                format!("{} by {method}", member("endpoint").and_then(Json::str).unwrap())
            }
            (None, _) => "nothing".to_owned(),
        };
        let node = |name: &str| row.get("node").and_then(|node| node.get(name));
        let ours = match op.get("op").and_then(Json::str).unwrap() {
            "local" => {
                let endpoint = args.get(1).and_then(Json::str).unwrap();
                let done = Address::parse(endpoint).map(|at| self.resolver.set_local(did, at).unwrap());
                if done.is_ok() { "nothing" } else { "no endpoint" }.to_owned()
            }
            // What is cached here is the newest that was signed: there is nothing to be gained by forgetting it.
            "invalidate" => "nothing".to_owned(),
            "resolve" => shown(self.resolver.known(now.wall, did, &self.registry, |_| None)),
            "async_resolve" => self.resolve(now, did, node("peers"), node("peers_after_discovery")),
            other => panic!("{other}"),
        };
        (reference, ours)
    }
}

#[test]
fn look_ups() {
    let mut deviations = Deviations::of("resolver.jsonl");
    let rows = rows("resolver.jsonl");
    assert_eq!(rows.len(), 13);
    for row in rows {
        let mut world = World::new();
        let (mut reference, mut ours) = (Vec::new(), Vec::new());
        for (n, op) in row.get("ops").and_then(Json::array).unwrap().iter().enumerate() {
            let (theirs, own) = world.op(&row, op);
            if theirs != own {
                reference.push(format!("{n} {theirs}"));
                ours.push(format!("{n} {own}"));
            }
        }
        deviations.check(row.id(), &reference.join("; "), &ours.join("; "));
    }
    deviations.finish();
}
