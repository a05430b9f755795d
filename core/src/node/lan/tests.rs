//! Two nodes on one network, and what a node makes of strange beacons.

use std::format;
use std::net::SocketAddr;
use std::string::{String, ToString as _};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::discovery::{DiscoveryConfig, GROUP_V4};
use crate::framing::{Frame, Message, PingType};
use crate::identity::SecretKey;
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::{Event, Identity, NodeConfig, Outcome};
use crate::pins::Origin;
use crate::time::Duration;
use crate::{Datagrams as _, Did, Machine as _, Path, Reject, Wall};

const LAN: SocketId = SocketId::new(1);

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn at(millis: u64) -> Now {
    let since = Duration::from_millis(millis);
    Now::new(Instant::ZERO + since, Wall::from_secs(1_764_400_000).saturating_add(since))
}

/// A node on the network, which listens at this address; with a key, if it has a number.
struct Device {
    node: Node,
    addr: SocketAddr,
}

/// A datagram of a device: to whom, and its bytes.
type Sent = (Path, Vec<u8>);

impl Device {
    fn new(name: &str, host: u8, key: Option<u8>, lan: &LanConfig) -> Self {
        let mut config = NodeConfig::new(Did::new(name).unwrap());
        config.identity = key.map(|n| Identity::from(secret(n)));
        let mut node = Node::new(config, &Seed::from_u64(host.into())).unwrap();
        node.discover(at(0), lan).unwrap();
        let addr = SocketAddr::from(([192, 0, 2, host], 7150));
        let group = Path { remote: GROUP_V4.into(), local: Some(addr.ip()), socket: SocketId::MAIN };
        node.handle_network(at(0), NetworkChange::Up(Network { socket: LAN, group, port: 7150 }));
        Self { node, addr }
    }

    /// What it sends at this time.
    fn sent(&mut self, now: Now) -> Vec<Sent> {
        self.node.handle_timeout(now);
        let mut room = vec![0; MAX_DATAGRAM_V6];
        let mut sent = Vec::new();
        while let Some(transmit) = self.node.poll_transmit(now, &mut room) {
            sent.push((transmit.path, room[..transmit.len].to_vec()));
        }
        sent
    }

    /// It hears what another has sent, from the group or alone.
    fn hear(&mut self, now: Now, from: SocketAddr, sent: &Sent) -> Result<(), Reject> {
        let socket = if sent.0.remote == SocketAddr::from(GROUP_V4) { LAN } else { SocketId::MAIN };
        self.node.handle_datagram(now, Path::to(from).through(socket), &mut sent.1.clone())
    }

    fn news(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(event) = self.node.poll_event() {
            match event {
                Event::Lan(LanNews::Found(found)) => {
                    let rtt = found.rtt.map(|rtt| rtt.as_millis());
                    told.push(format!("found {} at {} {} {rtt:?}", found.did, found.addr, found.zone));
                }
                Event::Lan(LanNews::Gone { did, .. }) => told.push(format!("gone {did}")),
                Event::Lan(LanNews::Beacon(called)) => {
                    let wait = called.wait.map(crate::node::WaitId::number);
                    told.push(format!("beacon {} {} {wait:?}", called.did, called.decision.name()));
                }
                Event::Decided(decided) => told.push(format!("decided {} {:?}", decided.source_did, decided.outcome)),
                event => panic!("{event:?}"),
            }
        }
        told
    }
}

/// The packet in a datagram: its sender's name, to whom, and the payload.
fn said(sent: &Sent) -> (String, String) {
    let frame = Frame::decode(&sent.1).unwrap();
    let Message::Packet(packet) = frame.message else { panic!("a response") };
    assert_eq!(packet.ping_type, PingType::Discover);
    (packet.target_did.to_string(), packet.payload.to_json_string().unwrap())
}

fn quick() -> LanConfig {
    LanConfig {
        discovery: DiscoveryConfig { domain: "home".into(), ..DiscoveryConfig::default() },
        ..LanConfig::default()
    }
}

#[test]
fn a_call_is_heard_and_answered_with_where_we_listen() {
    let sensor = LanConfig { capabilities: vec!["temperature".into()], device_type: "sensor".into(), ..quick() };
    let mut hub = Device::new("jis:hub", 1, Some(1), &quick());
    let mut sensor = Device::new("jis:sensor", 2, Some(2), &sensor);
    let calls = sensor.sent(at(0));
    assert_eq!(calls.len(), 1);
    let (to, payload) = said(&calls[0]);
    assert_eq!(to, "broadcast");
    assert!(payload.contains(r#""beacon":"call","domain":"home","device_type":"sensor""#), "{payload}");
    assert!(payload.contains(r#""port":7150"#) && payload.contains(r#""capabilities":["temperature"]"#), "{payload}");
    assert_eq!(hub.sent(at(0)).len(), 1, "its own call");
    assert_eq!(hub.hear(at(5), sensor.addr, &calls[0]), Ok(()));
    assert_eq!(hub.news(), ["found jis:sensor at 192.0.2.2:7150 ROOD None"]);
    assert_eq!(hub.sent(at(5)), [], "the answer waits");
    let answers = hub.sent(at(2100));
    assert_eq!((answers.len(), answers[0].0.remote, answers[0].0.local), (1, sensor.addr, Some(hub.addr.ip())));
    assert!(answers[0].1.len() <= 3 * calls[0].1.len());
    assert!(said(&answers[0]).1.contains(r#""waited_ms":2095"#), "{:?}", said(&answers[0]));
    assert_eq!(sensor.hear(at(2110), hub.addr, &answers[0]), Ok(()));
    // 2,110 ms after the call, 2,095 of which it waited.
    assert_eq!(sensor.news(), ["found jis:hub at 192.0.2.1:7150 ROOD Some(15)"]);
    assert_eq!(sensor.sent(at(4500)), [], "an answer draws none");
    assert_eq!(sensor.node.neighbour("jis:hub").unwrap().key, Some(secret(1).public()));
    // Whoever leaves says so.
    sensor.node.handle_stop(at(5000));
    let goodbye = sensor.sent(at(5000));
    assert_eq!(hub.hear(at(5001), sensor.addr, &goodbye[0]), Ok(()));
    assert_eq!(hub.news(), ["gone jis:sensor"]);
    assert_eq!((hub.node.stats().beacons, hub.node.stats().rejected.total()), (2, 0));
}

#[test]
fn only_beacons_of_our_own_installation_come_from_everybody() {
    let mut hub = Device::new("jis:hub", 1, None, &quick());
    let mut other = Device::new("jis:other", 2, None, &LanConfig::default());
    let call = &other.sent(at(0))[0];
    assert_eq!(hub.hear(at(1), other.addr, call), Ok(()), "another installation is no trespasser");
    let own = &hub.sent(at(0))[0];
    let own_addr = hub.addr;
    assert_eq!(hub.hear(at(1), own_addr, own), Ok(()), "our own call as it comes back");
    assert_eq!(hub.hear(at(1), "192.0.2.7:9".parse().unwrap(), own), Err(Reject::OwnName), "somebody else in our name");
    assert_eq!((hub.news(), hub.node.stats().beacons), (vec![], 2));
    // A ping to everybody that is no beacon.
    let mut ping = crate::node::Ping::new("broadcast", GROUP_V4.into_path(), "a");
    ping.target = "jis:hub";
    other.node.ping(at(1), &ping).unwrap();
    let ping = &other.sent(at(1))[0];
    assert_eq!(hub.hear(at(1), other.addr, ping), Err(Reject::NotForUs));
    assert_eq!(hub.node.peers().len(), 0);
}

trait IntoPath {
    fn into_path(self) -> Path;
}

impl IntoPath for core::net::SocketAddrV4 {
    fn into_path(self) -> Path {
        Path::to(self.into())
    }
}

#[test]
fn a_beacon_is_held_against_keys_rules_and_its_time_before_it_is_heard() {
    let mut hub = Device::new("jis:hub", 1, None, &quick());
    let mut sensor = Device::new("jis:sensor", 2, Some(2), &quick());
    let mut thief = Device::new("jis:sensor", 3, Some(3), &quick());
    let mut plain = Device::new("jis:sensor", 4, None, &quick());
    hub.node.pin(at(0), "jis:sensor", secret(2).public(), Origin::Operator).unwrap();
    let (call, stolen, unsigned) = (&sensor.sent(at(0))[0], &thief.sent(at(0))[0], &plain.sent(at(0))[0]);
    assert_eq!(hub.hear(at(1), thief.addr, stolen), Err(Reject::Unpinned));
    assert_eq!(hub.hear(at(1), plain.addr, unsigned), Err(Reject::BadSignature));
    let mut bad = call.clone();
    // One byte of the device type.
    let place = bad.1.windows(7).position(|text| text == b"generic").unwrap();
    bad.1[place] = b'G';
    assert_eq!(hub.hear(at(1), sensor.addr, &bad), Err(Reject::BadSignature));
    hub.node.set_trust("jis:sensor", 0.1).unwrap();
    assert_eq!(hub.hear(at(1), sensor.addr, call), Err(Reject::Rood));
    assert_eq!((hub.news(), hub.node.neighbours().count()), (vec![], 0));
    hub.node.set_trust("jis:sensor", 0.9).unwrap();
    assert_eq!(hub.hear(at(2), sensor.addr, call), Ok(()));
    assert_eq!(hub.news(), ["found jis:sensor at 192.0.2.2:7150 GROEN None"]);
    assert_eq!(hub.hear(at(301_000), sensor.addr, call), Err(Reject::Stale));
}

#[test]
fn a_pin_frees_a_name_that_another_key_has_taken() {
    let mut hub = Device::new("jis:hub", 1, None, &quick());
    let mut sensor = Device::new("jis:sensor", 2, Some(2), &quick());
    let mut squatter = Device::new("jis:sensor", 3, Some(3), &quick());
    let (call, squats) = (sensor.sent(at(0)).remove(0), squatter.sent(at(0)).remove(0));
    hub.hear(at(1), squatter.addr, &squats).unwrap();
    assert_eq!(hub.hear(at(2), sensor.addr, &call), Err(Reject::Unpinned), "the name is taken");
    hub.node.pin(at(3), "jis:sensor", secret(2).public(), Origin::Operator).unwrap();
    hub.hear(at(4), sensor.addr, &call).unwrap();
    let known = hub.node.neighbour("jis:sensor").unwrap();
    assert_eq!((known.addr, known.key), (sensor.addr, Some(secret(2).public())));
}

#[test]
fn who_only_asks_answers_nobody() {
    let mut asks = Device::new("jis:asks", 1, None, &LanConfig { query: true, ..quick() });
    let mut hub = Device::new("jis:hub", 2, None, &quick());
    let query = asks.sent(at(0)).remove(0);
    assert!(said(&query).1.contains(r#""beacon":"query""#));
    let call = hub.sent(at(0)).remove(0);
    asks.hear(at(1), hub.addr, &call).unwrap();
    assert_eq!((asks.sent(at(5000)), asks.news().len()), (vec![], 1));
    hub.hear(at(1), asks.addr, &query).unwrap();
    assert_eq!(hub.news(), Vec::<String>::new());
    assert_eq!(hub.sent(at(2500)).len(), 1, "it is answered");
    asks.node.handle_stop(at(6000));
    let goodbye = asks.sent(at(6000)).remove(0);
    hub.hear(at(6001), asks.addr, &goodbye).unwrap();
    assert_eq!(hub.news(), Vec::<String>::new());
}

fn hub() -> Device {
    Device::new("jis:hub", 1, Some(1), &LanConfig { admits: true, ..quick() })
}

#[test]
fn a_device_that_calls_waits_and_approving_it_pins_its_key() {
    let mut hub = hub();
    let mut sensor = Device::new("jis:sensor", 2, Some(2), &quick());
    let call = sensor.sent(at(0)).remove(0);
    hub.hear(at(1), sensor.addr, &call).unwrap();
    assert_eq!(hub.news(), ["found jis:sensor at 192.0.2.2:7150 ROOD None", "beacon jis:sensor pending Some(1)"]);
    // It waits once.
    let again = sensor.sent(at(70_000)).remove(0);
    hub.hear(at(70_001), sensor.addr, &again).unwrap();
    assert_eq!(hub.news(), Vec::<String>::new());
    let waiting = hub.node.waiting_number(1).unwrap().id;
    assert_eq!(hub.node.approve(at(70_002), waiting), Ok(None));
    assert_eq!(hub.news(), [format!("decided jis:sensor {:?}", Outcome::Approved)]);
    let pin = hub.node.pins().get("jis:sensor").unwrap();
    assert_eq!((pin.key, pin.origin), (secret(2).public(), Origin::Approved));
    assert!(hub.node.standing("jis:sensor", at(0).wall).trust >= 0.7);
    // Beacons go out, and no response.
    hub.sent(at(70_002)).iter().for_each(|sent| drop(said(sent)));
    // From then on it is one of ours.
    let third = sensor.sent(at(150_000)).remove(0);
    hub.hear(at(150_001), sensor.addr, &third).unwrap();
    assert_eq!(hub.node.waiting().count(), 0);
}

#[test]
fn a_device_that_was_turned_away_is_not_asked_about_again() {
    let mut hub = hub();
    let mut sensor = Device::new("jis:sensor", 2, Some(2), &quick());
    let call = sensor.sent(at(0)).remove(0);
    hub.hear(at(1), sensor.addr, &call).unwrap();
    let waiting = hub.node.waiting_number(1).unwrap().id;
    hub.node.reject(at(2), waiting).unwrap();
    hub.news();
    let again = sensor.sent(at(70_000)).remove(0);
    hub.hear(at(70_001), sensor.addr, &again).unwrap();
    assert_eq!((hub.news(), hub.node.waiting().count(), hub.node.pins().len()), (vec![], 0, 0));
}

#[test]
fn a_rule_lets_in_who_proves_a_key_and_nobody_else() {
    let mut hub = hub();
    let rule = RuleDraft { name: "sensors", device_type: Some("sensor"), ..RuleDraft::default() };
    hub.node.add_auto_vouch(&rule).unwrap();
    let kind = LanConfig { device_type: "sensor".into(), ..quick() };
    for (host, key, told) in [(2, Some(2), "auto_vouched"), (3, None, "unproven")] {
        let name = format!("jis:sensor{host}");
        let mut sensor = Device::new(&name, host, key, &kind);
        let call = sensor.sent(at(0)).remove(0);
        hub.hear(at(1), sensor.addr, &call).unwrap();
        assert_eq!(hub.news()[1..], [format!("beacon {name} {told} None")]);
        assert_eq!(hub.node.pins().get(&name).is_some(), key.is_some());
        assert_eq!(hub.node.standing(&name, at(0).wall).trust >= 0.7, key.is_some());
    }
    // Whom the operator takes without a key a rule lets in without one.
    hub.node.allow_legacy("jis:old:*").unwrap();
    let mut old = Device::new("jis:old:sensor", 4, None, &kind);
    let call = old.sent(at(0)).remove(0);
    hub.hear(at(1), old.addr, &call).unwrap();
    assert_eq!(hub.news()[1..], ["beacon jis:old:sensor auto_vouched None"]);
    let judged = hub.node.standing("jis:old:sensor", at(0).wall).trust;
    assert!(judged >= 0.7 && hub.node.pins().get("jis:old:sensor").is_none());
}

#[test]
fn who_is_sought_by_name_answers_whatever_the_number_of_neighbours() {
    let config = LanConfig { discovery: DiscoveryConfig { answers: 0, ..quick().discovery }, ..quick() };
    let mut seeker = Device::new("jis:seeker", 1, None, &config);
    let (mut wanted, mut other) =
        (Device::new("jis:wanted", 2, None, &config), Device::new("jis:other", 3, None, &config));
    seeker.sent(at(0));
    seeker.node.seek(at(10), "jis:wanted").unwrap();
    let call = seeker.sent(at(10)).remove(0);
    assert!(said(&call).1.contains(r#""wants":["jis:wanted"]"#));
    wanted.sent(at(0));
    other.sent(at(0));
    wanted.hear(at(11), seeker.addr, &call).unwrap();
    other.hear(at(11), seeker.addr, &call).unwrap();
    assert_eq!(other.sent(at(700)), []);
    let answer = wanted.sent(at(700)).remove(0);
    seeker.hear(at(701), wanted.addr, &answer).unwrap();
    assert!(seeker.node.neighbour("jis:wanted").is_some());
    let next = seeker.sent(at(80_000)).remove(0);
    assert!(!said(&next).1.contains("wants"), "who was found is sought no more");
}

#[test]
fn addresses_are_called_where_there_is_no_multicast_and_answers_come_the_same_way() {
    let config = LanConfig { addresses: vec!["192.0.2.1:7150".parse().unwrap()], ..quick() };
    let mut far = Device::new("jis:far", 9, None, &config);
    far.node.handle_network(at(0), NetworkChange::Down(LAN));
    let mut hub = Device::new("jis:hub", 1, None, &quick());
    hub.sent(at(0));
    let call = far.sent(at(0)).remove(0);
    assert_eq!((call.0.remote, call.0.socket), (hub.addr, SocketId::MAIN));
    hub.hear(at(1), far.addr, &call).unwrap();
    let answer = hub.sent(at(2100)).remove(0);
    assert_eq!((answer.0.remote, answer.0.socket), (far.addr, SocketId::MAIN));
    far.hear(at(2101), hub.addr, &answer).unwrap();
    assert!(far.news()[0].starts_with("found jis:hub"));
}

#[test]
fn what_cannot_be_is_refused() {
    let mut node = Node::new(NodeConfig::new(Did::new("jis:a").unwrap()), &Seed::from_u64(1)).unwrap();
    assert_eq!(node.seek(at(0), "jis:b"), Err(LanError::Off));
    let refused = |config: LanConfig, node: &mut Node| node.discover(at(0), &config).unwrap_err();
    let long: Box<str> = "x".repeat(257).into();
    let config = LanConfig { device_type: long.clone(), ..LanConfig::default() };
    assert_eq!(refused(config, &mut node), LanError::TooLong { field: "device_type", max: 256 });
    let config = LanConfig { capabilities: vec!["".into()], ..LanConfig::default() };
    assert_eq!(refused(config, &mut node), LanError::Empty);
    let config = LanConfig { capabilities: vec!["a".into(); 33], ..LanConfig::default() };
    assert_eq!(refused(config, &mut node), LanError::TooMany { field: "capabilities", max: 32 });
    let config = LanConfig { trust: f64::NAN, ..LanConfig::default() };
    assert_eq!(refused(config, &mut node), LanError::Trust);
    let brief = DiscoveryConfig { interval: Duration::ZERO, ..DiscoveryConfig::default() };
    assert_eq!(refused(LanConfig { discovery: brief, ..LanConfig::default() }, &mut node), LanError::Interval);
    node.discover(at(0), &LanConfig::default()).unwrap();
    assert!(node.seek(at(0), "").is_err());
    for n in 0..32 {
        node.seek(at(0), &format!("jis:{n}")).unwrap();
    }
    assert_eq!(node.seek(at(0), "jis:more"), Err(LanError::TooMany { field: "sought", max: 32 }));
}

#[test]
fn a_flood_of_beacons_fills_nothing_and_hides_nobody() {
    let config = LanConfig { admits: true, max_news: 64, ..quick() };
    let mut hub = Device::new("jis:hub", 1, Some(1), &config);
    let mut known = Device::new("jis:known", 2, Some(2), &quick());
    let call = known.sent(at(0)).remove(0);
    hub.hear(at(1), known.addr, &call).unwrap();
    hub.news();
    let from: SocketAddr = "192.0.2.9:7150".parse().unwrap();
    let mut flood = Device::new("jis:flood:0000000", 9, None, &quick());
    let template = flood.sent(at(0)).remove(0);
    let place = template.1.windows(17).position(|text| text == b"jis:flood:0000000").unwrap();
    let mut busy = 0_u64;
    for n in 0..20_000_u32 {
        let mut call = template.clone();
        call.1[place..place + 17].copy_from_slice(format!("jis:flood:{n:07}").as_bytes());
        busy += u64::from(hub.hear(at(2 + u64::from(n) / 100), from, &call) == Err(Reject::Busy));
        if n % 1000 == 0 {
            hub.news();
        }
    }
    assert!(busy > 0);
    let neighbours = hub.node.neighbours().count();
    assert!(neighbours <= 1 + DiscoveryConfig::default().max_per_address, "{neighbours}");
    assert!(hub.node.neighbour("jis:known").is_some());
    let stats = hub.node.stats();
    assert_eq!(stats.received, stats.beacons + stats.rejected.total());
    hub.news();
    let again = known.sent(at(70_000)).remove(0);
    assert_eq!(hub.hear(at(70_001), known.addr, &again), Ok(()));
    assert_eq!(hub.node.neighbour("jis:known").unwrap().heard, at(70_001).mono);
}
