//! Nodes that end, begin again, or are copied: what the other side does about it, and what outlives them.

use super::*;
use crate::session::Down;

/// A sensor that keeps what it must not forget, with what is kept of an earlier life.
fn kept_sensor(seed: u64, medium: &Medium) -> Node {
    let mut sensor = with(SENSOR, 2, seed, |config| (config.durable, config.heartbeat) = (true, None));
    for (key, value) in medium {
        assert_eq!(sensor.restore(key, value), Ok(true));
    }
    sensor.pin(millis(0), HUB, secret(1).public(), Origin::Operator).unwrap();
    sensor
}

/// The same with a hub.
fn kept_hub(seed: u64, medium: &Medium) -> Node {
    let mut hub = with(HUB, 1, seed, |config| config.durable = true);
    for (key, value) in medium {
        assert_eq!(hub.restore(key, value), Ok(true));
    }
    hub.set_trust(SENSOR, 0.9).unwrap();
    hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
    hub
}

fn hub_of(seed: u64, suites: Suites) -> Node {
    let mut hub = with(HUB, 1, seed, |config| config.suites = suites);
    hub.set_trust(SENSOR, 0.9).unwrap();
    hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
    hub
}

impl Net {
    /// The sensor begins a life with what was kept of the one before, or of a copy.
    fn start_sensor(&mut self, seed: u64, medium: Medium) {
        self.nodes[1] = kept_sensor(seed, &medium);
        self.media[1] = Some(medium);
        self.told[1].clear();
    }
}

#[test]
fn nothing_is_said_before_the_start_of_the_node_is_stored() {
    let mut net = Net::new(hub(1), kept_sensor(2, &Medium::new()));
    net.ping(Encoding::Json);
    net.run(500);
    assert!(net.wire.is_empty());
    net.media[1] = Some(Medium::new());
    net.run(500);
    assert_eq!(net.count(1, "answer accept"), 1);
    // Nor by who answers.
    let mut net = Net::new(kept_hub(1, &Medium::new()), sensor(2, |_| ()));
    net.ping(Encoding::Json);
    net.run(500);
    assert!(!net.wire.is_empty() && net.wire.iter().all(|seen| seen.to == HUB_AT));
    net.media[0] = Some(Medium::new());
    net.run(2_000);
    assert_eq!(net.count(1, "answer accept"), 1, "{:?}", net.told);
    // Where it cannot be stored there are sessions all the same, and peers judge nothing.
    let mut net = Net::new(hub(1), kept_sensor(2, &Medium::new()));
    (net.media[1], net.writes) = (Some(Medium::new()), Err(StoreError::Full));
    net.ping(Encoding::Json);
    net.run(2_000);
    assert_eq!(net.count(1, "answer accept"), 1);
    net.start_sensor(3, Medium::new());
    net.ping(Encoding::Json);
    net.run(2_000);
    assert!(net.count(1, "answer accept") == 1 && net.count(0, "session clone") == 0, "{:?}", net.told);
}

/// A directory is copied while its node rests, or while it runs; the hub, which is started again in between, hears of both and says so.
#[test]
fn a_copied_directory_is_noticed_and_neither_node_is_heard_until_one_is_started_again() {
    for hub_restarts in [false, true] {
        let mut net = Net::new(kept_hub(1, &Medium::new()), kept_sensor(2, &Medium::new()));
        net.media = [Some(Medium::new()), Some(Medium::new())];
        net.ping(Encoding::Json);
        net.run(1_000);
        let copy = net.media[1].clone().unwrap();
        net.start_sensor(3, copy.clone());
        net.ping(Encoding::Json);
        net.run(1_000);
        assert!(net.count(1, "answer accept") == 1 && net.count(0, "session clone") == 0, "a restart is none");
        let own = net.media[1].clone().unwrap();
        if hub_restarts {
            let kept = net.media[0].clone().unwrap();
            net.nodes[0] = kept_hub(9, &kept);
        }
        // The copy, on another machine.
        net.ports[1] = 7999;
        net.start_sensor(4, copy);
        net.ping(Encoding::Json);
        net.run(5_000);
        assert!(net.count(0, "session clone") >= 1, "hub restarts: {hub_restarts}, {:?}", net.told);
        assert!(net.rejects.contains(&Reject::Clone));
        assert!(net.changes[1].contains(&SessionState::Down(Down::Cloned)) && net.count(1, "answer accept") == 0);
        let cloned = |state: &SessionState| matches!(state, SessionState::Cloned { elsewhere } if elsewhere.remote.port() == 7999);
        assert!(net.changes[0].iter().any(cloned));
        // The owner starts the node again.
        net.ports[1] = SENSOR_AT;
        net.start_sensor(5, own);
        net.ping(Encoding::Json);
        net.run(5_000);
        assert_eq!(net.count(1, "answer accept"), 1, "{:?}", net.told);
    }
}

/// Who spoke sessions once is asked for nothing less, also by the next life of a node, as long as the pin is the same.
#[test]
fn that_there_was_a_session_survives_a_restart() {
    let silent_hub = || {
        let mut hub = with(HUB, 1, 1, |config| config.sessions = SessionPolicy::Off);
        hub.set_trust(SENSOR, 0.9).unwrap();
        hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
        hub
    };
    for (kept, repinned) in [(true, false), (false, false), (true, true)] {
        let mut net = Net::new(hub(1), kept_sensor(2, &Medium::new()));
        net.media[1] = Some(Medium::new());
        net.ping(Encoding::Json);
        net.run(1_000);
        assert!(net.nodes[1].pins().get(HUB).unwrap().session);
        net.nodes[0] = silent_hub();
        let medium = if kept { net.media[1].clone().unwrap() } else { Medium::new() };
        net.start_sensor(3, medium);
        if repinned {
            net.nodes[1].unpin(HUB).unwrap();
            net.nodes[1].pin(millis(1), HUB, secret(1).public(), Origin::Operator).unwrap();
        }
        net.wire.clear();
        for _ in 0..3 {
            net.ping(Encoding::Json);
            net.run(15_000);
        }
        let in_the_clear = net.wire.iter().filter(|seen| seen.to == HUB_AT && !seen.is_sealed()).count();
        let expected = if kept && !repinned { (0, 3) } else { (3, 0) };
        assert_eq!((in_the_clear, net.count(1, "timeout")), expected, "kept {kept}, pinned anew {repinned}");
    }
}

#[test]
fn a_node_that_ends_tells_its_peers_and_what_was_queued_leaves_before() {
    for suites in [Suites::One, Suites::Any] {
        let mut net = Net::new(hub_of(1, suites), sensor(2, |config| config.suites = suites));
        net.ping(Encoding::Json);
        net.run(1_000);
        // The hub ends with an answer in its queue.
        net.ping(Encoding::Json);
        let (now, mut buf) = (net.now(), vec![0; MAX_DATAGRAM_V6]);
        let sent = net.nodes[1].poll_transmit(now, &mut buf).unwrap();
        net.deliver(&Seen { from: SENSOR_AT, to: HUB_AT, bytes: buf[..sent.len].to_vec() });
        assert!(net.nodes[0].close_sessions() && net.nodes[0].wants().output);
        net.run(100);
        assert_eq!(net.count(1, "answer accept"), 2);
        assert_eq!(net.changes[1].last(), Some(&SessionState::Down(Down::Closed)));
        assert_eq!(net.nodes.each_ref().map(|node| node.stats().tables.sessions), [0, 0]);
        assert!(!net.nodes[0].close_sessions());
        // It is back, and is heard at once: nobody waits for anything of a session that is over.
        net.nodes[0] = hub_of(99, suites);
        net.ping(Encoding::Json);
        net.run(0);
        assert_eq!(net.count(1, "answer accept"), 3, "{:?}", net.told);
        assert!(net.wire.iter().all(Seen::is_sealed));
    }
}

/// A node that ended without a word takes its place again with its first message, from wherever it is.
#[test]
fn a_node_that_begins_anew_is_answered_at_once_at_its_new_address() {
    for (port, suites) in [(SENSOR_AT, Suites::One), (8_888, Suites::One), (8_888, Suites::Any)] {
        let mut net = Net::new(hub_of(1, suites), sensor(2, |config| config.suites = suites));
        net.nodes[1].set_trust(HUB, 0.9).unwrap();
        net.ping(Encoding::Json);
        net.run(1_000);
        net.nodes[1] = sensor(77, |config| config.suites = suites);
        net.nodes[1].set_trust(HUB, 0.9).unwrap();
        net.ports[1] = port;
        net.ping(Encoding::Json);
        net.run(0);
        assert_eq!(net.count(1, "answer accept"), 2, "{port}: {:?}", net.told);
        assert_eq!(net.count(0, "session moved"), usize::from(port != SENSOR_AT));
        assert_eq!(net.nodes[0].stats().tables.sessions, 1);
        // The hub finds it there.
        let now = net.now();
        net.nodes[0].ping(now, &Ping::new(SENSOR, addr(SENSOR_AT), "status")).unwrap();
        net.run(100);
        assert_eq!(net.count(0, "answer accept"), 1);
        assert!(net.wire.iter().all(Seen::is_sealed));
    }
}
