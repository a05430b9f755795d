//! The registry against the reference's tables: score, devices, keys, pods.

use sluis_core::identity::{PublicKey, SecretKey};
use sluis_core::pins::{PinConfig, Pins};
use sluis_core::registry::{
    Address, Challenges, Draft, Heard, History, Pod, Proven, Record, Registry, RegistryConfig, Station, Topology,
    TopologyConfig,
};
use sluis_core::{Did, Duration, Instant, Path, Seed, SipKey, Wall};

use crate::common::{Deviations, Json, Row, rows, unhex};

fn key() -> SipKey {
    Seed::from_u64(1).fork("test").sip_key()
}

/// Wall time from the reference's seconds.
#[allow(clippy::cast_possible_truncation)]
fn wall(seconds: &Json) -> Wall {
    Wall::from_micros((seconds.f64().unwrap() * 1e6).round() as i64)
}

fn texts(json: Option<&Json>) -> Vec<&str> {
    json.and_then(Json::array).unwrap_or_default().iter().filter_map(Json::str).collect()
}

#[test]
fn scores() {
    const MEMBERS: [&str; 5] = ["score", "frequency", "integrity", "recency", "anomaly"];
    let mut deviations = Deviations::of("fira.jsonl");
    for row in rows("fira.jsonl") {
        let history = row.get("history").unwrap();
        let count = |key: &str| u32::try_from(history.get(key).and_then(Json::int).unwrap()).unwrap();
        let last = history.get("last_success").filter(|last| last.f64().unwrap() > 0.0);
        let history = History {
            verify_pass: count("verify_pass"),
            verify_fail: count("verify_fail"),
            interactions: count("interactions"),
            anomalies: count("anomalies"),
            last_success: last.map(wall),
        };
        let ours = history.fira(wall(row.get("now").unwrap()));
        let ours = [ours.score, ours.frequency, ours.integrity, ours.recency, ours.anomaly];
        let reference =
            MEMBERS.map(|name| row.get("fira").and_then(|fira| fira.get(name)).and_then(Json::f64).unwrap());
        deviations.check(row.id(), &format!("{reference:?}"), &format!("{ours:?}"));
    }
    deviations.finish();
}

/// One device id of the reference, as a device of ours that has a key and signs what it says.
struct Overlay {
    registry: Registry,
    pins: Pins,
    seq: u64,
}

impl Overlay {
    fn new() -> Self {
        let registry = Registry::new(RegistryConfig::default(), key());
        Self { registry, pins: Pins::new(PinConfig::default(), key()), seq: 0 }
    }

    /// Sign a record and have it registered: `registered`, or why not.
    fn register(&mut self, now: Wall, did: &str, endpoint: &str, behind_nat: bool, capabilities: &[&str]) -> String {
        let endpoints = match endpoint {
            "" => Ok(Vec::new()),
            some => Address::parse(some).map(|address| vec![address]),
        };
        let Ok(endpoints) = endpoints else { return "no endpoint".to_owned() };
        self.seq += 1;
        let issued = u64::try_from(now.as_micros() / 1_000_000).unwrap();
        let (expires, seq) = (issued + 7 * 86_400, self.seq);
        let draft =
            Draft { did, seq, issued, expires, behind_nat, endpoints: &endpoints, capabilities, ..Draft::default() };
        let mut buf = [0; Record::MAX_LEN];
        let record = draft.sign(&SecretKey::from_seed(&[1; 32]), &mut buf).unwrap();
        match self.registry.register(now, &record, Heard::Directly, &self.pins) {
            Ok(_) => "registered".to_owned(),
            Err(why) => why.to_string(),
        }
    }

    fn score(&self, now: Wall, did: &str) -> String {
        self.registry.get(did).map_or("0".to_owned(), |device| device.fira(now).score.to_string())
    }
}

/// One op of `overlay.jsonl`: its outcome and ours, in words.
fn overlay_op(overlay: &mut Overlay, op: &Json) -> (String, String) {
    let now = wall(op.get("now").unwrap());
    let args: Vec<&Json> = op.get("args").and_then(Json::array).unwrap().iter().collect();
    let text = |n: usize| args.get(n).and_then(|arg| arg.str()).unwrap_or_default();
    let kwarg = |name: &str| op.get("kwargs").and_then(|kwargs| kwargs.get(name));
    let result = op.get("result");
    let member = |name: &str| result.and_then(|result| result.get(name));
    let number = |json: Option<&Json>| json.and_then(Json::f64).map_or("-".to_owned(), |x| x.to_string());
    let name = op.get("op").and_then(Json::str).unwrap();
    match name {
        "register" => {
            let did = format!("jis:{}", text(0));
            let port = kwarg("port").and_then(Json::int).unwrap_or(0);
            let ip = kwarg("ip").and_then(Json::str).map(|ip| format!("{ip}:{port}"));
            let endpoint = kwarg("endpoint").and_then(Json::str).map(str::to_owned).or(ip).unwrap_or_default();
            let nat = kwarg("behind_nat").and_then(Json::bool).unwrap_or(false);
            let done = overlay.register(now, &did, &endpoint, nat, &texts(kwarg("capabilities")));
            let reference = format!("register registered {}", number(member("trust_score")));
            (reference, format!("register {done} {}", overlay.score(now, &did)))
        }
        "update_endpoint" => {
            // Only the device can say so; what else its record said, it says again.
            let known = overlay.registry.get(text(0)).and_then(|device| device.record().map(|r| r.claims().behind_nat));
            if let Some(nat) = known {
                let _ = overlay.register(now, text(0), text(1), nat, &[]);
            }
            (String::new(), String::new())
        }
        "resolve" => {
            let found = overlay.registry.get(text(0));
            let endpoint = found.and_then(|device| device.endpoint()).map_or(String::new(), |at| at.to_string());
            let reference = format!(
                "resolve {} {:?} {}",
                member("resolved").and_then(Json::bool).unwrap(),
                member("endpoint").and_then(Json::str).unwrap(),
                number(member("trust_score"))
            );
            (reference, format!("resolve {} {endpoint:?} {}", found.is_some(), overlay.score(now, text(0))))
        }
        "verify" => {
            // The device is there and answers: that is what the reference takes for granted.
            let score = overlay.registry.note(now, text(0), Proven::Verified);
            let verified = member("verified").and_then(Json::bool).unwrap();
            let reference = format!("verify {verified} {}", number(member("trust_score")));
            (reference, format!("verify {} {}", score.is_some(), overlay.score(now, text(0))))
        }
        "failed" | "anomaly" => {
            let event = if name == "failed" { Proven::Failed } else { Proven::Anomaly };
            overlay.registry.note(now, text(0), event);
            (format!("{name} {}", number(result)), format!("{name} {}", overlay.score(now, text(0))))
        }
        "fira" => (format!("fira {}", number(member("score"))), format!("fira {}", overlay.score(now, text(0)))),
        "find" => {
            let found: Vec<_> = overlay.registry.find(now, text(0)).map(|device| device.did()).collect();
            (format!("find {:?}", texts(result)), format!("find {found:?}"))
        }
        "status" => {
            let (total, nat) = overlay.registry.iter().fold((0_i64, 0_i64), |(total, nat), device| {
                (total + 1, nat + i64::from(device.record().unwrap().claims().behind_nat))
            });
            let mut capabilities: Vec<_> = overlay.registry.capabilities().map(|(text, _)| text).collect();
            capabilities.sort_unstable();
            let count = |name: &str| member(name).and_then(Json::int).unwrap();
            let reference = (count("total_nodes"), count("behind_nat"), texts(member("capabilities")));
            (format!("status {reference:?}"), format!("status {:?}", (total, nat, capabilities)))
        }
        // A copy of what other operations say; and trust that is set by hand, which is the operator's table here.
        "identity" | "connected" | "update_trust" => (String::new(), String::new()),
        other => panic!("{other}"),
    }
}

#[test]
fn devices() {
    let mut deviations = Deviations::of("overlay.jsonl");
    for row in rows("overlay.jsonl") {
        let mut overlay = Overlay::new();
        // Only the ops that differ are named, each once.
        let (mut reference, mut ours) = (Vec::new(), Vec::new());
        for (n, op) in row.get("ops").and_then(Json::array).unwrap().iter().enumerate() {
            let (theirs, own) = overlay_op(&mut overlay, op);
            if theirs != own {
                reference.push(format!("{n} {theirs}"));
                ours.push(format!("{n} {own}"));
            }
        }
        deviations.check(row.id(), &reference.join("; "), &ours.join("; "));
    }
    deviations.finish();
}

/// Whether what the reference answers to a challenge is an answer here.
fn proves(row: &Row) -> bool {
    let mut challenges =
        Challenges::new(Did::new("jis:hub").unwrap(), Seed::from_u64(1).fork("test"), 1, Duration::from_secs(1));
    let path = Path::to("192.0.2.1:7150".parse().unwrap());
    let key = SecretKey::from_seed(&[1; 32]).public();
    let nonce = challenges.ask(Instant::ZERO, row.str("did"), key, path).unwrap();
    let hash = row.str("response_hash").bytes().chain([0; 64]).take(64).collect::<Vec<_>>();
    challenges.handle_answer(Instant::ZERO, &nonce, &hash.try_into().unwrap()).is_ok()
}

/// Registrations of keys: the reference takes any bytes for a key, and its verification is a hash that everybody can compute.
#[test]
fn keys() {
    let mut deviations = Deviations::of("overlay_registry.jsonl");
    for row in rows("overlay_registry.jsonl") {
        if let Some(hex) = row.opt_str("public_key_hex") {
            let bytes: Result<[u8; 32], _> = unhex(hex).try_into();
            let key = bytes.ok().and_then(|bytes| PublicKey::from_bytes(bytes).ok());
            deviations.check(row.id(), "a key", if key.is_some() { "a key" } else { "no key" });
        } else if row.get("verified").is_some() {
            deviations.check(row.id(), "verified", if proves(&row) { "verified" } else { "not verified" });
        } else {
            let stats = row.get("stats").unwrap();
            let count = |key: &str| usize::try_from(stats.get(key).and_then(Json::int).unwrap()).unwrap();
            let (mut overlay, total) = (Overlay::new(), count("total_devices"));
            let now = Wall::from_micros(1_736_942_400_000_000);
            for n in 0..total {
                overlay.register(now, &format!("jis:{n}"), "", n < count("behind_nat"), &[]);
            }
            let nat = overlay.registry.iter().filter(|device| device.record().unwrap().claims().behind_nat).count();
            deviations.check(
                row.id(),
                &format!("{:?}", (total, count("behind_nat"))),
                &format!("{:?}", (overlay.registry.len(), nat)),
            );
        }
    }
    deviations.finish();
}

/// Everything that a row shows of pods and stations after an op, in words.
fn shown(topology: &Topology) -> Vec<String> {
    let mut lines: Vec<_> = topology
        .pods()
        .map(|pod| {
            let members: Vec<_> = topology.members(&pod.id).collect();
            let station = pod.station.as_deref().unwrap_or("-");
            format!("pod {} {} in {station}: {members:?} can {:?}", pod.id, pod.name, pod.capabilities)
        })
        .collect();
    lines.extend(topology.stations().iter().map(|station| {
        let pods: Vec<_> = topology.pods_of(&station.id).map(|pod| &*pod.id).collect();
        format!("station {} {} to {}: {pods:?}", station.id, station.name, station.uplink.as_deref().unwrap_or("-"))
    }));
    let stats = topology.stats();
    lines.push(format!("{} pods {} stations {} devices {:?}", stats.pods, stats.stations, stats.devices, stats.roles));
    lines.sort_unstable();
    lines
}

/// The same of the reference. (What its pods list as members is the state at the end of the row: the count says how many were there.)
fn reference_shown(op: &Json) -> Vec<String> {
    let object = |name: &str| op.get(name).and_then(Json::object).unwrap();
    let mut lines = Vec::new();
    for (id, pod) in object("pods") {
        let text = |name: &str| pod.get(name).and_then(Json::str).unwrap_or("-");
        let count = usize::try_from(pod.get("member_count").and_then(Json::int).unwrap()).unwrap();
        let mut members = vec![text("hub_did")];
        members.extend(texts(pod.get("hubby_dids")).into_iter().take(count - 1));
        let capabilities = texts(pod.get("capabilities"));
        lines.push(format!("pod {id} {} in {}: {members:?} can {capabilities:?}", text("name"), text("station_id")));
    }
    for (id, station) in object("stations") {
        let text = |name: &str| station.get(name).and_then(Json::str).unwrap_or("-");
        let count = usize::try_from(station.get("pod_count").and_then(Json::int).unwrap()).unwrap();
        let pods: Vec<_> = texts(station.get("pod_ids")).into_iter().take(count).collect();
        lines.push(format!("station {id} {} to {}: {pods:?}", text("name"), text("uplink_did")));
    }
    let stats = op.get("stats").unwrap();
    let count = |of: &Json, name: &str| of.get(name).and_then(Json::int).unwrap_or(0);
    let roles = stats.get("roles").unwrap();
    let roles = (count(roles, "hub"), count(roles, "hubby"), count(roles, "hybrid"));
    let (pods, stations, devices) = (count(stats, "pods"), count(stats, "stations"), count(stats, "total_devices"));
    lines.push(format!("{pods} pods {stations} stations {devices} devices {roles:?}"));
    lines.sort_unstable();
    lines
}

fn topology_op(topology: &mut Topology, op: &Json) -> Option<String> {
    let args = op.get("args").and_then(Json::array).unwrap();
    let text = |n: usize| args.get(n).and_then(Json::str);
    let id = text(0).unwrap();
    let error = |failed: bool| failed.then(|| "ValueError".to_owned());
    match op.get("op").and_then(Json::str).unwrap() {
        "create_pod" => {
            let capabilities = texts(args.get(4)).into_iter().map(Into::into).collect();
            let pod =
                Pod { id: id.into(), name: text(1).unwrap().into(), station: text(3).map(Into::into), capabilities };
            error(topology.add_pod(pod, text(2).unwrap()).is_err())
        }
        "create_station" => {
            let station = Station { id: id.into(), name: text(1).unwrap().into(), uplink: text(2).map(Into::into) };
            error(topology.add_station(station).is_err())
        }
        "add_hubby" => error(topology.add_hubby(id, text(1).unwrap()).is_err()),
        "remove_hubby" => {
            topology.remove_hubby(id, text(1).unwrap());
            None
        }
        "role" => topology.role(id).as_str().map(str::to_owned),
        "pod_of" => topology.pod_of(id).map(|pod| pod.id.to_string()),
        other => panic!("{other}"),
    }
}

#[test]
fn pods() {
    let mut deviations = Deviations::of("topology.jsonl");
    for row in rows("topology.jsonl") {
        let mut topology = Topology::new(TopologyConfig::default(), key());
        let (mut reference, mut ours) = (Vec::new(), Vec::new());
        for (n, op) in row.get("ops").and_then(Json::array).unwrap().iter().enumerate() {
            let own = topology_op(&mut topology, op);
            let theirs = op.get("error").or(op.get("result")).and_then(Json::str);
            if own.as_deref() != theirs {
                reference.push(format!("{n} {theirs:?}"));
                ours.push(format!("{n} {own:?}"));
            }
            let (theirs, own) = (reference_shown(op), shown(&topology));
            for line in theirs.iter().filter(|line| !own.contains(line)) {
                reference.push(format!("{n} {line}"));
            }
            for line in own.iter().filter(|line| !theirs.contains(line)) {
                ours.push(format!("{n} {line}"));
            }
        }
        deviations.check(row.id(), &reference.join("; "), &ours.join("; "));
    }
    deviations.finish();
}

/// A row that says nothing would pass.
#[test]
fn the_tables_are_whole() {
    let count = |name: &str| rows(name).iter().map(Row::id).count();
    assert_eq!(["fira.jsonl", "overlay.jsonl", "overlay_registry.jsonl", "topology.jsonl"].map(count), [55, 25, 22, 9]);
}
