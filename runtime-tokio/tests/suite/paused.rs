//! Under tokio's paused clock a node lives in tokio's time: minutes pass in no time, for its timers and its wall clock alike.

use std::time::Instant;

use sluis_core::driver::NoReply;
use sluis_core::framing::{Decision, Value, ValueBuf};
use sluis_core::node::{Node, NodeConfig, Ping, Reply};
use sluis_core::{Did, Duration};
use sluis_tokio::{Socket, bind, spawn, system_seed};

fn paused(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(test);
}

fn node(did: &str) -> Node {
    Node::new(NodeConfig::new(Did::new(did).unwrap()), &system_seed().unwrap()).unwrap()
}

fn loopback() -> Socket {
    bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_request_times_out_in_no_time() {
    let began = Instant::now();
    paused(async {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (hub, _events) = spawn(loopback(), node("jis:home:hub"));
        let start = hub.with(|_, now| now);
        let mut ping = Ping::new("jis:home:sensor", silent.local_addr().unwrap(), "temperature.read");
        ping.timeout = Some(Duration::from_secs(240));
        assert_eq!(hub.ping(&ping).unwrap().await, Err(NoReply::Timeout));
        let end = hub.with(|_, now| now);
        let (mono, wall) = (end.mono.saturating_since(start.mono), end.wall.as_micros() - start.wall.as_micros());
        assert!(mono >= Duration::from_secs(240) && mono < Duration::from_secs(250), "{mono:?}");
        assert!((wall - i64::try_from(mono.as_micros()).unwrap()).abs() <= 1, "both clocks advance alike");
    });
    assert!(began.elapsed().as_secs() < 60, "the kernel's timer was used");
}

#[test]
fn pings_over_loopback_are_answered_while_the_clock_stands() {
    paused(async {
        let mut hub = node("jis:home:hub");
        hub.allow_legacy("jis:home:*").unwrap();
        hub.set_trust("jis:home:sensor", 0.9).unwrap();
        hub.set_reply("*", Reply::Now(ValueBuf::new(Value::EMPTY_OBJECT).unwrap())).unwrap();
        let socket = loopback();
        let at = socket.local_addr();
        let (_hub, _events) = spawn(socket, hub);
        let (sensor, _events) = spawn(loopback(), node("jis:home:sensor"));
        for _ in 0..10 {
            let answer = sensor.ping(&Ping::new("jis:home:hub", at, "temperature.read")).unwrap().await;
            assert_eq!(answer.unwrap().decision, Decision::Accept);
            // Longer than the replay window: the next ping bears a later stamp in both nodes' eyes.
            tokio::time::sleep(Duration::from_secs(40)).await;
        }
    });
}
