//! A real node on tokio, over loopback, is recorded; the recording replays through the core to the same outputs.

use std::fs;

use sluis_core::framing::{Decision, Encoding, Value, ValueBuf};
use sluis_core::node::{Node, NodeConfig, Ping, Reply};
use sluis_core::record::replay;
use sluis_core::{Did, Duration, Path};
use sluis_tokio::{bind, block_on, spawn, system_seed};
use sluis_udp::FileTape;

fn config(did: &str) -> NodeConfig {
    NodeConfig::new(Did::new(did).unwrap())
}

#[test]
fn a_real_node_replays_through_the_core() {
    let folder = std::env::temp_dir().join(format!("sluis-recording-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("hub.jsonl");
    block_on(async {
        let tape = FileTape::create(&path).unwrap();
        let mut hub = Node::recorded(config("jis:home:hub"), &system_seed().unwrap(), Box::new(tape)).unwrap();
        hub.allow_legacy("jis:home:*").unwrap();
        hub.set_trust("jis:home:sensor", 0.9).unwrap();
        let answer = ValueBuf::new(Value::from_json("{\"celsius\":21.5}").unwrap()).unwrap();
        hub.set_reply("temperature.*", Reply::Now(answer)).unwrap();
        let socket = bind("127.0.0.1:0").unwrap();
        let at = Path::to(socket.local_addr());
        let (hub, _events) = spawn(socket, hub);
        let sensor = Node::new(config("jis:home:sensor"), &system_seed().unwrap()).unwrap();
        let (sensor, _sensor_events) = spawn(bind("127.0.0.1:0").unwrap(), sensor);
        for round in 0..50 {
            let mut asked = Vec::new();
            for encoding in [Encoding::Json, Encoding::Msgpack, Encoding::Postcard] {
                let mut ping = Ping::new("jis:home:hub", at, "temperature.read");
                ping.encoding = encoding;
                asked.push(sensor.ping(&ping).unwrap());
            }
            for request in asked {
                assert_eq!(request.await.unwrap().decision, Decision::Accept);
            }
            if round == 25 {
                hub.with(|node, _| node.set_trust("jis:home:sensor", 0.8)).unwrap();
            }
        }
        let mut ping = Ping::new("jis:home:hub", at, "temperature.read");
        ping.timeout = Some(Duration::from_millis(50));
        hub.with(|node, _| node.set_trust("jis:home:sensor", 0.0)).unwrap();
        assert!(sensor.ping(&ping).unwrap().await.is_err());
        // The hub asks as well, of somebody who does not answer.
        ping.target = "jis:home:nobody";
        ping.path = Path::to(([127, 0, 0, 1], 9).into());
        assert!(hub.ping(&ping).unwrap().await.is_err());
        hub.shutdown().await.unwrap();
        sensor.shutdown().await.unwrap();
    });
    let text = fs::read_to_string(&path).unwrap();
    let replayed = replay(&text).unwrap();
    // The start, and what the file says of its end.
    assert_eq!(replayed.inputs + 3, text.lines().count());
    assert!(text.lines().last().is_some_and(|line| line.starts_with("{\"in\":\"end\",\"lines\":")));
    let stats = replayed.node.stats();
    assert_eq!((stats.accepted, stats.requests, stats.timeouts), (150, 1, 1));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "the seed is in it");
    }
    assert!(FileTape::create(&path).is_err(), "a recording is never overwritten");
    fs::remove_dir_all(&folder).unwrap();
}
