//! What a mux hub holds for each idle channel, and after a flood of what it must not keep.

use sluis_benches::alloc::heap;
use sluis_benches::mux::Agents;
use sluis_core::data::Value;
use sluis_core::{Instant, Now, Seed, Wall};
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

/// More than a million hostile requests and messages leave nothing behind, also where nobody asks which sockets are ready.
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
    flood(&mut board, 60_000);
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
