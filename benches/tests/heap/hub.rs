//! What a mux hub holds for each idle channel, and after a flood of what it must not keep.

use sluis_benches::alloc::heap;
use sluis_benches::mux::Agents;
use sluis_core::data::Value;
use sluis_core::{End, Instant, ListenerId, Machine as _, Now, Origin, Seed, Streams as _, Up, Wall};
use sluis_mux::native::{Hub as NativeHub, HubConfig};
use sluis_mux::rest::{Answer, Request, rest};
use sluis_mux::switchboard::{Body, Config, Open, SocketOptions, Switchboard};
use sluis_mux::talk::talk;
use sluis_mux::{Access, Caller};

const CHANNELS: usize = 100_000;
const ME: Caller = Caller::Anyone;

fn at(millis: u64) -> Now {
    Now::new(Instant::from_nanos(millis * 1_000_000), Wall::from_micros(0))
}

fn open_hub(most: Option<usize>) -> Switchboard {
    let mut config = Config::new("node");
    config.access = Access::Open;
    if let Some(most) = most {
        (config.max_agents, config.max_all_channels) = (most, most);
    }
    Switchboard::new(config, &Seed::from_u64(1), at(0))
}

/// What an idle channel of a hub with a hundred thousand costs: at most 512 bytes.
#[test]
fn an_idle_channel_is_small() {
    let _alone = crate::alone();
    let before = heap();
    let mut board = open_hub(None);
    // As many targets as agents, each there and up to date with what it hears.
    let agents: Vec<String> = (0..CHANNELS.div_ceil(32)).map(|n| format!("agent-{n:06}")).collect();
    let texts = heap().held - before.held;
    let sockets: Vec<_> =
        agents.iter().map(|name| board.attach(at(0), &ME, name, SocketOptions::default()).unwrap()).collect();
    for n in 0..CHANNELS {
        let (agent, target) = (&agents[n / 32], &agents[(n * 7 + 1) % agents.len()]);
        let ask = Open { agent, target, intent: "call:voice", metadata: None, socket: None };
        board.open(at(0), &ME, &ask).expect("room");
        let to = sockets[(n * 7 + 1) % agents.len()];
        while board.poll_text(at(0), to).is_some() {}
    }
    let each = (heap().held - before.held - texts - sockets.capacity() * 8) as f64 / CHANNELS as f64;
    println!("idle channel: {each:.0} bytes of heap, its share of agents and sockets included");
    assert!(each > 100.0, "it counts");
    assert!(each <= 512.0, "{each} bytes");
}

/// Rounds of 13 hostile requests and messages: more than five million of them where that is quick.
const ROUNDS: usize = if cfg!(debug_assertions) { 100_000 } else { 400_000 };
/// Hostile frames on native connections.
const FRAMES: usize = if cfg!(debug_assertions) { 100_000 } else { 5_000_000 };

/// Millions of hostile requests and messages leave nothing behind, also where nobody asks which sockets are ready.
#[test]
fn a_flood_leaves_nothing() {
    let _alone = crate::alone();
    let mut board = open_hub(Some(4096));
    let socket = board.attach(at(0), &ME, "mallory", SocketOptions::default()).unwrap();
    let deep = "[".repeat(2000);
    let mut clock = 0;
    let mut flood = |board: &mut Switchboard, rounds: usize| {
        for n in 0..rounds {
            clock += 1;
            let now = at(clock);
            let name =
                format!("{{\"agent\":\"a{n}\",\"target\":\"t{n}\",\"intent\":\"i{n}\",\"metadata\":{{\"n\":{n}}}}}");
            let long = format!("{{\"agent\":\"{}\",\"target\":\"t\",\"intent\":\"i\"}}", "x".repeat(300));
            let requests = [
                ("POST", "/api/mux/open", name.as_str()),
                ("POST", "/api/mux/open", long.as_str()),
                ("POST", "/api/mux/send", "{\"channel_id\":\"ch-0000000000000000\",\"payload\":1}"),
                ("POST", "/api/mux/send", deep.as_str()),
                ("GET", "/api/mux/inbox?agent=nobody", ""),
                ("GET", "/api/mux/by-target?target=nobody", ""),
                ("PUT", "/nope", "x"),
            ];
            for (method, target, body) in requests {
                let request = Request { method, target, content_type: Some("application/json"), body: body.as_bytes() };
                if let Answer::Done(answer) = rest(board, now, Some(&ME), request)
                    && let Ok(answer) = Value::from_json(&answer.body)
                    && let Some(id) = answer.get("channel_id").and_then(Value::as_text)
                    && let Some(id) = sluis_mux::switchboard::ChannelId::parse(&id.to_cow())
                {
                    // Frames that wait for nobody, and a channel that is closed.
                    let _ = board.send(now, &ME, id, Body::Value(Value::EMPTY_OBJECT));
                    let _ = board.close(now, &ME, id, "x");
                }
            }
            for message in ["", "{}", "[]", "{\"action\":\"ack\"}", "{\"action\":\"send\"}", "{\"action\":5}"] {
                talk(board, now, socket, message);
            }
            while board.poll_text(now, socket).is_some() {}
            board.handle_timeout(now);
        }
    };
    // Everything has a cap: once full it grows no more.
    flood(&mut board, 40_000);
    let full = heap();
    flood(&mut board, ROUNDS - 40_000);
    let after = heap();
    assert!(after.held <= full.held + full.held / 20, "{} bytes became {}", full.held, after.held);
    // And a time after the flood nothing of it is left but the room of the tables.
    for step in 0..40 {
        let now = at(200_000 + step * 60_000);
        while board.deadline().is_some_and(|due| due <= now.mono) {
            board.handle_timeout(now);
        }
    }
    assert_eq!(board.deadline(), None);
}

/// Connections that send frames of every bad kind, before and after they are let in, end or are bounded, and leave nothing behind.
#[test]
fn hostile_native_frames_leave_nothing() {
    let _alone = crate::alone();
    let frame = |kind: u8, flags: u16, stream: u32, length: u32, body: &[u8]| {
        [&[0, kind][..], &flags.to_be_bytes(), &stream.to_be_bytes(), &length.to_be_bytes(), body].concat()
    };
    let data = |flags, stream, body: &[u8]| frame(0, flags, stream, u32::try_from(body.len()).unwrap(), body);
    let text = b"\0{\"sluis\":1,\"agent\":\"mallory\",\"window\":65536}";
    let hello = data(5, 1, &[&[10, 0, 0, u8::try_from(text.len()).unwrap()], &text[..]].concat());
    let open = |n: u32| data(1, n, b"\x01\0\0\x05\0{\"a\"");
    let kinds: Vec<Vec<u8>> = vec![
        data(0, 99, b"for nobody"),
        data(1, 2, b"with a number of ours"),
        frame(1, 0, 3, u32::MAX, b""),
        frame(2, 1, 0, 7, b""),
        frame(2, 2, 0, 9, b""),
        frame(3, 0, 0, 0, b""),
        frame(9, 0, 0, 0, b""),
        frame(0, 1, 3, u32::MAX, b""),
        [open(3), frame(1, 8, 3, 0, b"")].concat(),
        (0..20).flat_map(|n| open(3 + 2 * n)).collect(),
        (0..20).flat_map(|n| data(0, 3 + 2 * n, b"")).collect(),
        data(1, 3, b"\x01\xff\xff\xff"),
        data(1, 3, b"\x08\0\0\x03\0{}"),
    ];
    let frames_of = |bytes: &[u8]| if bytes.len() > 200 { 20 } else { 1 };
    let mut config = HubConfig::new("hub");
    config.access = Access::Open;
    let mut hub = NativeHub::new(config, &Seed::from_u64(1));
    let mut n = 0;
    let mut flood = |hub: &mut NativeHub, frames: usize| {
        let (mut sent, mut out) = (0, vec![0; 1 << 16]);
        while sent < frames {
            n += 1;
            let (now, bad) = (at(n), &kinds[usize::try_from(n).unwrap() % kinds.len()]);
            let remote = "192.0.2.1:9".parse().unwrap();
            let up = Up { origin: Origin::Accepted(ListenerId::default()), remote, alpn: None, exporter: None };
            let Ok(conn) = hub.handle_up(now, &up) else { panic!("{} connections are kept", hub.connections()) };
            let first: &[u8] = if n % 3 == 0 { b"" } else { &hello };
            let mut ended = hub.handle_bytes(now, conn, first).is_err();
            for _ in 0..4 {
                sent += frames_of(bad);
                ended = ended || hub.handle_bytes(now, conn, bad).is_err();
                while !ended && hub.poll_bytes(now, conn, &mut out) > 0 {}
            }
            hub.handle_end(now, conn, End::Lost);
            while hub.poll_order(now).is_some() {}
            hub.handle_timeout(now);
        }
    };
    flood(&mut hub, FRAMES / 10);
    let full = heap();
    flood(&mut hub, FRAMES - FRAMES / 10);
    let after = heap();
    assert!(after.held <= full.held + full.held / 20 + 4096, "{} bytes became {}", full.held, after.held);
    assert_eq!((hub.connections(), hub.channels()), (0, 0));
}

/// What an idle native connection costs a hub, besides what TLS takes: at most 6 KiB.
#[test]
fn an_idle_native_connection_is_small() {
    let _alone = crate::alone();
    const COUNT: usize = 2_000;
    let before = heap();
    let mut agents = Agents::new();
    for n in 0..COUNT {
        agents.join(&format!("agent-{n:06}"), None);
    }
    agents.forget_agents();
    let each = (heap().held - before.held) as f64 / COUNT as f64;
    println!("idle native connection: {each:.0} bytes of heap at the hub");
    assert!(each > 100.0, "it counts");
    assert!(each <= 6.0 * 1024.0, "{each} bytes");
    assert_eq!(agents.hub.connections(), COUNT);
}
