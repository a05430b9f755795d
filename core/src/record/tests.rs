use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::{Capture, Lines, Recorded, RecordingEnd, Replay, ReplayError, pcapng, replay, replay_labelled, settings};
use crate::airlock::{Expiry, Pod, Rule, Vouch};
use crate::framing::{Encoding, Value, ValueBuf, Zone};
use crate::node::{Command, Event, Node, NodeConfig, OverlayConfig, Ping, RelayCommand, Reply, Require, SessionPolicy};
use crate::record::line::Version;
use crate::record::read::Object;
use crate::relay::{Rate, RelayConfig};
use crate::time::{Duration, Instant, Now, Wall};
use crate::{Commands, Datagrams, Did, Machine, Path, Seed, session};

fn at(millis: u64) -> Now {
    let wall = Wall::from_micros(1_736_942_400_000_000).saturating_add(Duration::from_millis(millis));
    Now::new(Instant::from_nanos(millis * 1_000_000), wall)
}

fn path(last: u8) -> Path {
    Path { local: Some([10, 0, 0, last].into()), ..Path::to(([192, 0, 2, last], 7150).into()) }
}

fn config(did: &str) -> NodeConfig {
    NodeConfig::new(Did::new(did).unwrap())
}

/// Carry everything between two nodes until nothing moves, and tell events.
fn carry(
    hub: &mut Recorded<Node>,
    sensor: &mut Recorded<Node>,
    now: Now,
    events: &mut dyn FnMut(&mut Recorded<Node>, usize),
) {
    let mut out = vec![0; 65_535];
    loop {
        let mut moved = false;
        while let Some(t) = sensor.poll_transmit(now, &mut out) {
            let _ = hub.handle_datagram(now, path(2), &mut out[..t.len]);
            moved = true;
        }
        while let Some(t) = hub.poll_transmit(now, &mut out) {
            let _ = sensor.handle_datagram(now, path(1), &mut out[..t.len]);
            moved = true;
        }
        events(hub, 0);
        events(sensor, 1);
        if !moved {
            return;
        }
    }
}

/// A hub that is told everything an operator can say and is pinged in every way, recorded.
fn recorded() -> (String, Recorded<Node>) {
    let lines = Lines::default();
    let mut hub = Node::recorded(config("jis:\"hub\"\\ü"), &Seed::from_u64(1), Box::new(lines.clone())).unwrap();
    let mut sensor = Recorded::off(Node::new(config("jis:sensor"), &Seed::from_u64(2)).unwrap());
    hub.set_trust("jis:sensor", 0.9).unwrap();
    assert!(hub.set_trust("jis:x", f64::NAN).is_err());
    hub.allow_legacy("jis:*").unwrap();
    let mut rule = Rule::new("r", "wait \u{7}", Zone::Geel);
    (rule.intent, rule.pod_id, rule.min_trust) = (Some("door.*"), Some(Pod::None), Some(0.1));
    hub.add_rule(&rule).unwrap();
    hub.add_rule(&Rule { pod_id: Some(Pod::Is("p")), ..Rule::new("q", "q", Zone::Rood) }).unwrap();
    assert!(hub.remove_rule("q"));
    hub.allow_legacy("jis:gone:*").unwrap();
    assert!(hub.disallow_legacy("jis:gone:*") && !hub.disallow_legacy("jis:gone:*"));
    hub.set_reply("gone.*", Reply::Later).unwrap();
    assert!(hub.remove_reply("gone.*") && !hub.remove_reply("gone.*"));
    hub.set_reply("later.*", Reply::Later).unwrap();
    let payload = Value::from_json("{\"é\": [1.0, 1e400, null]}").unwrap();
    hub.set_reply("*", Reply::Now(ValueBuf::new(payload).unwrap())).unwrap();
    for (id, expires) in [("v", Expiry::Never), ("w", Expiry::After(at(5).wall)), ("u", Expiry::Unreadable)] {
        let vouched = &["jis:a", "jis:b\"c"][..];
        let vouch = Vouch { id, voucher_did: "jis:sensor", voucher_trust: 0.9, factor: 0.7, vouched, expires };
        hub.vouch(&vouch, at(0).wall).unwrap();
    }
    hub.revoke_vouch("v");
    hub.remove_trust("jis:nobody");
    let mut wants = Vec::new();
    for (i, intent) in ["temperature.read", "door.open", "later.x", "door.close"].into_iter().enumerate() {
        for encoding in [Encoding::Json, Encoding::Msgpack, Encoding::Postcard] {
            let now = at(i as u64 * 100);
            let mut ping = Ping::new(hub.did().as_str(), path(1), intent);
            ping.encoding = encoding;
            let target = hub.did().as_str().to_string();
            ping.target = &target;
            sensor.ping(now, &ping).unwrap();
            carry(&mut hub, &mut sensor, now, &mut |node, who| {
                while let Some(event) = node.poll_event() {
                    if let (Event::Ping(ping), 0) = (event, who) {
                        wants.push((ping.wait, ping.open));
                    }
                }
            });
        }
    }
    assert!(hub.handle_datagram(at(400), path(3), &mut { *b"TP\x01\xffgarbage" }).is_err());
    hub.ping(
        at(450),
        &Ping { payload, timeout: Some(Duration::from_secs(1)), ..Ping::new("jis:sensor", path(2), "?") },
    )
    .unwrap();
    let forgotten = hub.ping(at(450), &Ping::new("jis:sensor", path(9), "?")).unwrap();
    hub.forget(forgotten);
    for (i, id) in wants.into_iter().enumerate() {
        match (i % 3, id) {
            (0, (Some(wait), _)) => drop(hub.approve(at(500), wait)),
            (1, (Some(wait), _)) => drop(hub.reject(at(500), wait)),
            (0 | 1, (_, Some(open))) => drop(hub.respond(at(500), open, Value::EMPTY_OBJECT)),
            _ => {}
        }
        carry(&mut hub, &mut sensor, at(500), &mut |node, _| while node.poll_event().is_some() {});
    }
    // Everything runs out of time, heartbeats go out, peers are lost.
    for second in [2, 20, 40, 100, 200, 400, 800] {
        hub.handle_timeout(at(second * 1000));
        carry(&mut hub, &mut sensor, at(second * 1000), &mut |node, _| while node.poll_event().is_some() {});
    }
    assert!(hub.stats().approved > 0 && hub.stats().timeouts > 0);
    (lines.text(), hub)
}

#[test]
fn a_recording_replays_to_the_same_outputs() {
    let (text, hub) = recorded();
    let again = replay(&text).unwrap();
    assert_eq!(again.node.stats(), hub.stats());
    assert_eq!(again.inputs + 1, text.lines().count());
    assert!(again.inputs > 60, "{}", again.inputs);
}

/// What a node of version 1 wrote: pings of every kind, decided and not.
#[test]
fn a_recording_of_the_first_version_replays() {
    let text = include_str!("../../tests/fixtures/recording_v1.jsonl");
    let again = replay(text).unwrap();
    assert_eq!(again.inputs + 1, text.lines().count());
    let stats = again.node.stats();
    assert_eq!((stats.accepted, stats.approved, stats.refused, stats.tables.waiting), (2, 1, 1, 1));
}

#[test]
fn payloads_replay_as_they_were_written() {
    let odd = [
        "{ \"a\" : 1.50, \"a\":-0, \"b\":1e5 }",
        "\"\\ud800 \\u00e9 é \\/ \\u2028\"",
        "123456789012345678901234567890",
        " [ ] ",
    ];
    for encoding in [Encoding::Json, Encoding::Postcard, Encoding::Msgpack] {
        let lines = Lines::default();
        let mut hub = Node::recorded(config("jis:hub"), &Seed::from_u64(1), Box::new(lines.clone())).unwrap();
        for json in odd {
            let payload = Value::from_json(json).unwrap();
            // Not every encoding has a form for every payload; that replays, too.
            let _ = hub.ping(at(1), &Ping { payload, encoding, ..Ping::new("jis:x", path(7), "?") });
            hub.set_reply("x", Reply::Now(ValueBuf::new(payload).unwrap())).unwrap();
        }
        while hub.poll_transmit(at(2), &mut vec![0; 65_535]).is_some() {}
        replay(&lines.text()).unwrap();
    }
}

#[test]
fn the_first_difference_is_found() {
    let (text, _) = recorded();
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().rposition(|line| line.contains("\"in\":\"datagram\"")).unwrap();
    let mut other = lines.clone();
    let changed = lines[at].replace("\"out\":\"", "\"out\":\"not ");
    other[at] = &changed;
    match replay(&other.join("\n")) {
        Err(ReplayError::Differs { line, recorded, replayed }) => {
            assert_eq!((line, recorded.as_str(), replayed.as_str()), (at + 1, changed.as_str(), lines[at]));
        }
        other => panic!("{other:?}"),
    }
    // A difference in the first line does not give the seed away.
    let mut other = lines.clone();
    let changed = lines[0].replace("\"version\":2", "\"version\":2,\"more\":0");
    other[0] = &changed;
    let why = replay(&other.join("\n")).unwrap_err().to_string();

    assert!(why.contains("more") && why.contains("seed\\\":\\\"...\\\"") && why.contains("config"), "{why}");
    // Another seed makes other nonces.
    let seed = lines[0].replacen("\"seed\":\"", "\"seed\":\"00", 1);
    let seed = seed.replacen(&seed[seed.find("\",\"config").unwrap() - 2..seed.find("\",\"config").unwrap()], "", 1);
    let mut other = lines;
    other[0] = &seed;
    assert!(replay(&other.join("\n")).is_err());
}

#[test]
fn what_is_no_recording_says_so() {
    let (text, _) = recorded();
    let cases = [
        ("", "there is no recording of a node in this"),
        ("x", "line 1 is not a JSON object"),
        ("{\"in\":\"timeout\",\"at\":[1,2]}", "line 1 comes before the start of the node"),
        ("{\"in\":\"start\",\"version\":3}", "line 1 is of a version that this program does not know"),
    ];
    for (text, why) in cases {
        assert_eq!(replay(text).unwrap_err().to_string(), why);
    }
    let first = text.lines().next().unwrap();
    let network = std::format!("{{\"node\":3,{}", &first[1..]);
    assert_eq!(replay(&network).unwrap_err().to_string(), "line 1 is of a network: one of its nodes has to be chosen");
    assert_eq!(replay_labelled(&network, 3).unwrap().inputs, 0);
    assert_eq!(replay_labelled(&network, 4).unwrap_err(), ReplayError::Empty);
    // Only a simulation has nodes without their protections, and only where it is compiled in.
    let open = std::format!("{},\"fault\":\"no-replay-check\"}}", &first[..first.len() - 1]);
    assert_eq!(
        replay(&open).unwrap_err().to_string(),
        "line 1 switches a protection off, which only a simulation does"
    );
    let open = std::format!("{{\"node\":3,{}", &open[1..]);
    assert_eq!(replay_labelled(&open, 3).is_ok(), cfg!(feature = "sim"));
    assert!(replay_labelled(&open.replace("no-replay-check", "no-gate"), 3).is_err());
    let unknown = std::format!("{first}\n{{\"in\":\"dance\"}}");
    assert_eq!(replay(&unknown).unwrap_err().to_string(), "line 2 has an input that this program does not know");
    // Cut anywhere, it is an error or a shorter recording, never a panic.
    for cut in (0..text.len()).step_by(37).filter(|cut| text.is_char_boundary(*cut)) {
        let _ = replay(&text[..cut]);
    }
}

#[test]
fn every_setting_is_recorded() {
    let mut config = config("jis:hub");
    config.heartbeat = None;
    config.tell_heartbeats = true;
    config.gate.groen = 0.123;
    config.replay.skew = Duration::from_nanos(17);
    config.caps.replies = 3;
    config.not_before = Some(Wall::from_micros(-5));
    config.gate.otherwise = Some(Zone::Geel);
    config.keep_last_rood = true;
    (config.pins.max_pins, config.pins.max_retired, config.require, config.durable) = (5, 6, Require::Signed, true);
    (config.caps.verifications, config.caps.changes, config.accept_older) = (7, 8, Duration::from_nanos(9));
    (config.sessions, config.suites) = (SessionPolicy::Auto, session::Suites::Two);
    config.session_caps = session::Caps {
        sessions: 1,
        half_open: 2,
        outgoing: 3,
        stamps: 4,
        handshakes_per_second: 5,
        handshakes_per_source: 6,
        cookies_per_second: 7,
    };
    config.caps.first_uses = 10;
    let mut overlay = OverlayConfig::default();
    (overlay.serve, overlay.verify_registered, overlay.max_news) = (true, false, 11);
    overlay.trust_score = true;
    (overlay.registry.skew, overlay.resolve.tries) = (Duration::from_nanos(12), 2);
    config.overlay = Some(overlay.into());
    let mut relay = RelayConfig { max_hops: 13, max_circuits: 14, ..RelayConfig::default() };
    (relay.link_rate, relay.patience) = (Rate::new(15, 16), Duration::from_nanos(17));
    config.relay = Some(relay.into());
    let text = settings::write(&config, Version::Two);
    let again = settings::read(Object::parse(&text).unwrap(), Version::Two, None).unwrap();
    assert_eq!(std::format!("{again:?}"), std::format!("{config:?}"));
    // Every field of the configuration is in it: each prints as `name: value`, and none may be missing from the text.
    let shown = std::format!("{config:?}");
    let fields = shown.matches(": ").count();
    let structs = [
        "gate",
        "trust",
        "vouches",
        "pins",
        "replay",
        "caps",
        "session_caps",
        "overlay",
        "registry",
        "resolve",
        "relay",
    ]
    .len();
    // Each is one text of two numbers.
    let rates = 2 * ["source_rate", "target_rate", "link_rate", "circuit_rate"].len();
    // The secret is none of them.
    let fields = fields - 1;
    let object = text.matches("\":").count();
    assert_eq!(fields - structs - rates, object, "{shown}\n{text}");
}

#[test]
fn the_datagrams_of_a_recording_are_captured_with_the_addresses_of_the_node() {
    let lines = Lines::default();
    let mut hub = Node::recorded(config("jis:hub"), &Seed::from_u64(1), Box::new(lines.clone())).unwrap();
    hub.note_address(([0, 0, 0, 0], 9999).into());
    let _ = hub.handle_datagram(at(1), path(3), &mut { *b"garbage" });
    let _ = hub.handle_datagram(at(2), Path::to("[2001:db8::1]:5".parse().unwrap()), &mut { *b"more" });
    hub.ping(at(3), &Ping::new("jis:x", Path::to(([192, 0, 2, 7], 7).into()), "?")).unwrap();
    hub.poll_transmit(at(4), &mut vec![0; 65_535]).unwrap();
    let (mut capture, mut file) = (Capture::new(), Vec::new());
    capture.begin(&mut file);
    lines.text().lines().for_each(|line| capture.line(line, &mut file).unwrap());
    let blocks = blocks(&file);
    assert_eq!((blocks.len(), capture.datagrams()), (5, 3));
    let [first, second, third] = [2, 3, 4].map(|i| &blocks[i].1[20..]);
    assert_eq!((&first[12..20], &first[20..24]), (&[192, 0, 2, 3, 10, 0, 0, 3][..], &[0x1b, 0xee, 0x27, 0x0f][..]));
    assert_eq!((second[0] >> 4, &second[24..40], &second[42..44]), (6, &[0; 16][..], &[0x27, 0x0f][..]));
    assert_eq!((&third[12..20], &third[20..24]), (&[0, 0, 0, 0, 192, 0, 2, 7][..], &[0x27, 0x0f, 0, 7][..]));
    assert!(replay(&lines.text()).is_ok());
    assert_eq!(capture.line("{}", &mut file).unwrap_err().to_string(), "line 7 lacks a text");
}

/// Blocks of a pcapng file: kind and body.
fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let word = |b: &[u8]| u32::from_le_bytes(b.try_into().unwrap());
    let mut all = Vec::new();
    while !file.is_empty() {
        let len = word(&file[4..8]) as usize;
        assert!(len.is_multiple_of(4) && len >= 12);
        assert_eq!(word(&file[len - 4..len]) as usize, len);
        all.push((word(&file[..4]), file[8..len - 4].to_vec()));
        file = &file[len..];
    }
    all
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

#[test]
fn captures_are_well_formed() {
    let mut file = Vec::new();
    pcapng::begin(&mut file);
    let nanos = 1_736_942_400_123_456_789_u64;
    for len in [0, 1, 2, 3, 300, 65_507] {
        pcapng::datagram(&mut file, nanos, path(1).remote, path(2).remote, &vec![7; len]);
        let wide = |n: u16| ([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 7150).into();
        pcapng::datagram(&mut file, nanos, wide(1), wide(2), &vec![7; len]);
    }
    let blocks = blocks(&file);
    assert_eq!(blocks.len(), 14);
    assert_eq!((blocks[0].0, &blocks[0].1[..4]), (0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a][..]));
    assert_eq!((blocks[1].0, &blocks[1].1[..2]), (1, &[101, 0][..]));
    assert_eq!(&blocks[1].1[8..], &[9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    for (i, (kind, body)) in blocks[2..].iter().enumerate() {
        let (len, v6) = ([0, 1, 2, 3, 300, 65_507][i / 2], i % 2 == 1);
        let header = if v6 { 40 } else { 20 };
        assert_eq!(*kind, 6);
        let time = u64::from(u32::from_le_bytes(body[4..8].try_into().unwrap())) << 32
            | u64::from(u32::from_le_bytes(body[8..12].try_into().unwrap()));
        assert_eq!(time, nanos);
        assert_eq!(u32::from_le_bytes(body[12..16].try_into().unwrap()) as usize, len + 8 + header);
        let packet = &body[20..20 + len + 8 + header];
        let udp = &packet[header..];
        assert_eq!(&udp[..4], &[0x1b, 0xee, 0x1b, 0xee]);
        assert_eq!(usize::from(u16::from_be_bytes([udp[4], udp[5]])), len + 8);
        assert!(udp[8..].iter().all(|b| *b == 7));
        let mut pseudo = packet[if v6 { 8 } else { 12 }..header].to_vec();
        pseudo.extend([0, 17, udp[4], udp[5]]);
        pseudo.extend(udp);
        assert_eq!(checksum(&pseudo), 0, "the UDP checksum of {len} bytes");
        if !v6 {
            assert_eq!(checksum(&packet[..20]), 0, "the IP checksum");
        }
    }
}

/// What reasons are called in recordings does not change when they are renamed: older ones would come out different.
#[test]
fn names_in_recordings_stay() {
    let lines = Lines::default();
    let mut node = Node::recorded(config("jis:home:hub"), &Seed::from_u64(1), Box::new(lines.clone())).unwrap();
    let from = Path::to("192.0.2.1:0".parse().unwrap());
    assert!(node.handle_datagram(at(0), from, &mut [0]).is_err());
    assert!(lines.text().contains("\"out\":\"Err(NoReturn)\""), "{}", lines.text());
    replay(&lines.text()).unwrap();
}

#[test]
fn a_recording_that_says_that_it_has_an_end_has_one() {
    let lines = Lines::default();
    let mut node = Node::recorded(config("jis:home:hub"), &Seed::from_u64(1), Box::new(lines.clone())).unwrap();
    node.handle_timeout(Now::default());
    let (begin, rest) = lines.text().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (ends, end) = ("{\"in\":\"file\",\"ends\":true}\n", "{\"in\":\"end\"}\n");
    for (text, expected) in [
        (format!("{begin}\n{rest}"), RecordingEnd::Unknown),
        (format!("{begin}\n{ends}{rest}"), RecordingEnd::Missing),
        (format!("{begin}\n{ends}{rest}{end}"), RecordingEnd::Reached),
        (format!("{begin}\n{ends}{rest}{end}{begin}\n{rest}"), RecordingEnd::Unknown),
        (format!("{ends}{begin}\n"), RecordingEnd::Missing),
        (format!("{ends}{begin}\n{rest}"), RecordingEnd::Missing),
        (format!("{ends}{begin}\n{rest}{end}"), RecordingEnd::Reached),
        (format!("{ends}{begin}\n{rest}{end}{ends}{begin}\n{rest}"), RecordingEnd::Missing),
    ] {
        let mut replay = Replay::new();
        text.lines().for_each(|line| replay.line(line).unwrap());
        assert_eq!(replay.end(), expected, "{text}");
    }
    assert!(matches!(replay(ends), Err(ReplayError::Empty)));
    for text in [format!("{end}{begin}"), format!("{begin}\n{end}{rest}")] {
        assert!(matches!(replay(&text), Err(ReplayError::Unreadable { .. })), "{text}");
    }
}

/// A command that is handed over as one is written as the method of its name writes it.
#[test]
fn commands_and_methods_are_recorded_alike() {
    let run = |as_commands: bool| {
        let lines = Lines::default();
        let mut node = Node::recorded(config("jis:hub"), &Seed::from_u64(1), Box::new(lines.clone())).unwrap();
        let (ping, rule) = (Ping::new("jis:x", path(7), "?"), Rule { any: true, ..Rule::new("r", "all", Zone::Geel) });
        let vouched = ["jis:a"];
        let expires = Expiry::Never;
        let vouch =
            Vouch { id: "v", voucher_did: "jis:b", voucher_trust: 0.9, factor: 1.0, vouched: &vouched, expires };
        if as_commands {
            for command in [
                Command::SetTrust { did: "jis:x", trust: 0.5 },
                Command::AllowLegacy("jis:*"),
                Command::AddRule(rule),
                Command::Vouch(vouch, at(0).wall),
                Command::SetReply { pattern: "*", reply: &Reply::Later },
                Command::Ping(ping),
                Command::RevokeVouch("v"),
                Command::RemoveTrust("jis:x"),
            ] {
                node.handle_command(at(1), &command);
            }
        } else {
            node.set_trust("jis:x", 0.5).unwrap();
            node.allow_legacy("jis:*").unwrap();
            node.add_rule(&rule).unwrap();
            node.vouch(&vouch, at(0).wall).unwrap();
            node.set_reply("*", Reply::Later).unwrap();
            node.ping(at(1), &ping).unwrap();
            assert!(node.revoke_vouch("v") && node.remove_trust("jis:x"));
        }
        replay(&lines.text()).unwrap();
        lines.text()
    };
    assert_eq!(run(true), run(false));
}

/// What a relay passes on and back, and what it is told, is written down whole, and what a trace asks of a node.
#[test]
fn a_relay_replays() {
    let lines = Lines::default();
    let mut config = config("jis:hub");
    config.relay = Some(RelayConfig::default().into());
    let mut hub = Node::recorded(config, &Seed::from_u64(1), Box::new(lines.clone())).unwrap();
    hub.relay_for("jis:*").unwrap();
    hub.set_neighbour("jis:display", path(9), 0.5).unwrap();
    hub.handle_command(at(0), &Command::Relay(RelayCommand::SetNeighbour { did: "jis:b", path: path(8), score: 0.25 }));
    assert!(hub.add_address("192.0.2.1:7150".parse().unwrap()).is_err(), "it has no sessions");
    assert!(hub.remove_neighbour("jis:b").is_ok() && hub.stop_relaying_for("jis:x").is_err());
    let mut sensor = Node::new(self::config("jis:sensor"), &Seed::from_u64(2)).unwrap();
    let mut ping = Ping::over("jis:display", "jis:hub", path(1), "?");
    ping.max_hops = Some(3);
    sensor.ping(at(1), &ping).unwrap();
    let mut buffer = vec![0; 65_535];
    let len = sensor.poll_transmit(at(1), &mut buffer).unwrap().len;
    hub.handle_datagram(at(2), path(2), &mut buffer[..len]).unwrap();
    let passed = hub.poll_transmit(at(2), &mut buffer).unwrap();
    assert_eq!(passed.path, path(9));
    let mut display = Node::new(self::config("jis:display"), &Seed::from_u64(3)).unwrap();
    display.allow_legacy("*").unwrap();
    display.set_trust("jis:sensor", 0.9).unwrap();
    display.handle_datagram(at(3), path(1), &mut buffer[..passed.len]).unwrap();
    let len = display.poll_transmit(at(3), &mut buffer).unwrap().len;
    hub.handle_datagram(at(4), path(9), &mut buffer[..len]).unwrap();
    assert_eq!(hub.poll_transmit(at(4), &mut buffer).unwrap().path, path(2));
    hub.ping(at(5), &ping).unwrap();
    hub.handle_timeout(at(400_000));
    replay(&lines.text()).unwrap();
}

/// What a node does on the local network is written down whole: networks, calls, what is heard, answers and the goodbye.
#[test]
fn discovery_replays() {
    use crate::discovery::{GROUP_V4, RuleDraft};
    use crate::node::LanConfig;
    use crate::{Network, NetworkChange, SocketId};

    let lines = Lines::default();
    let mut hub = Node::recorded(config("jis:hub"), &Seed::from_u64(1), Box::new(lines.clone())).unwrap();
    let mut sensor = Recorded::off(Node::new(config("jis:sensor"), &Seed::from_u64(2)).unwrap());
    let required = ["temperature"];
    let rule = RuleDraft {
        name: "sensors",
        required_capabilities: &required,
        source_pattern: Some("jis:.*"),
        pod: Some("kitchen"),
        ..RuleDraft::default()
    };
    hub.add_auto_vouch(&rule).unwrap();
    assert!(hub.add_auto_vouch(&RuleDraft::default()).is_err());
    hub.allow_legacy("jis:sensor").unwrap();
    let lan = LanConfig {
        admits: true,
        device_type: "h\"ub".into(),
        capabilities: vec!["temperature".into()],
        addresses: vec!["[fe80::1%3]:7150".parse().unwrap()],
        ..LanConfig::default()
    };
    hub.discover(at(0), &lan).unwrap();
    sensor.discover(at(0), &LanConfig { addresses: Vec::new(), ..lan }).unwrap();
    hub.seek(at(1), "jis:sensor").unwrap();
    let socket = SocketId::new(3);
    for (node, last) in [(&mut hub, 1), (&mut sensor, 2)] {
        let group = Path { local: Some([192, 0, 2, last].into()), ..Path::to(GROUP_V4.into()) };
        node.handle_network(at(2), NetworkChange::Up(Network { socket, group, port: 7150 }));
    }
    for millis in [2, 600, 61_000, 70_000] {
        hub.handle_timeout(at(millis));
        sensor.handle_timeout(at(millis));
        carry(&mut hub, &mut sensor, at(millis), &mut |node, _| while node.poll_event().is_some() {});
    }
    hub.handle_network(at(70_001), NetworkChange::Down(SocketId::new(9)));
    hub.handle_stop(at(70_002));
    assert!(hub.poll_transmit(at(70_002), &mut vec![0; 65_535]).is_some(), "a goodbye");
    let text = lines.text();
    for part in [
        r#""in":"discover""#,
        r#""in":"network_up""#,
        r#""event":"found""#,
        r#""event":"beacon""#,
        "auto_vouched",
        r#""in":"stop""#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let replayed = replay(&text).unwrap();
    assert_eq!(replayed.node.neighbours().count(), 1);
}

/// Tokens of a running node are commands like all others: made again from the seed, they are the same.
#[cfg(feature = "sim")]
#[test]
fn join_tokens_replay() {
    use crate::Durable as _;
    use crate::node::{OverlayCommand, OverlayConfig};
    use crate::time::Duration;

    let run = |as_commands: bool| {
        let (seed, mut config) = (Seed::from_u64(1), config("jis:hub"));
        (config.identity, config.durable) = (Some(crate::sim::key(3).into()), true);
        config.overlay = Some(OverlayConfig::default().into());
        let hub = Node::new(config, &seed).unwrap();
        let mut hub = hub.begin((Some(3), Version::default()), &seed, super::Sink::Keep(String::new()));
        let life = Duration::from_secs(60);
        if as_commands {
            for uses in [2, 5, 0] {
                let command = OverlayCommand::NewJoinToken { uses, life, trust: 0.75 };
                hub.handle_command(at(1), &Command::Overlay(command));
            }
        } else {
            hub.new_join_token(at(1), 2, life, 0.75).unwrap();
            hub.new_join_token(at(1), 5, life, 0.75).unwrap();
            assert!(hub.new_join_token(at(1), 0, life, 0.75).is_err());
        }
        let id = hub.join_tokens().next().unwrap().id;
        if as_commands {
            hub.handle_command(at(2), &Command::Overlay(OverlayCommand::RevokeJoinToken(id)));
            hub.handle_command(at(2), &Command::Overlay(OverlayCommand::RevokeJoinToken([0; 8])));
        } else {
            assert!(hub.revoke_join_token(&id).is_some() && hub.revoke_join_token(&[0; 8]).is_none());
        }
        while hub.poll_store().is_some() {}
        let mut text = String::new();
        hub.take_lines(&mut text);
        let again = replay_labelled(&text, 3).unwrap();
        assert!(again.node.join_tokens().eq(hub.join_tokens()) && again.node.join_tokens().count() == 1);
        text
    };
    assert_eq!(run(true), run(false));
}
