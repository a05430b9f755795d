//! What a node would miss that is reached over a relay, if reservations broke.

use std::vec::Vec;

use super::tests_net::{Net, PHONE, SENSOR, path, secret, start};
use super::{RelayCommand, RelayError};
use crate::framing::Decision;
use crate::node::{Command, Event, Identity, Node, NodeConfig, Ping, SessionPolicy};
use crate::relay::RelayConfig;
use crate::time::Duration;
use crate::{Commands as _, Did, Seed};

const RELAY: &str = "jis:mesh:r1";

fn speaker(n: usize, did: &str, relay: Option<RelayConfig>) -> Node {
    let mut config = NodeConfig::new(Did::new(did).unwrap());
    config.identity = Some(Identity::from(secret(n)));
    config.heartbeat = None;
    config.sessions = SessionPolicy::Auto;
    config.relay = relay.map(Into::into);
    Node::new(config, &Seed::from_u64(n as u64 + 1)).unwrap()
}

/// Phone, relay, sensor: 0, 1, 2. The relay is told of nobody.
fn net(config: RelayConfig) -> Net {
    let mut net = Net::new();
    net.add(speaker(0, PHONE, None));
    net.add(speaker(1, RELAY, Some(config)));
    net.add(speaker(2, SENSOR, None));
    net.all_know_all();
    net
}

fn ask(net: &mut Net) -> bool {
    let now = net.now;
    let mut ping = Ping::over(SENSOR, RELAY, path(1), "temperature.read");
    ping.timeout = Some(Duration::from_secs(9));
    let request = net.node(0).ping(now, &ping).unwrap();
    net.run(10_000);
    net.members[0].ended.contains(&(request, Some(Decision::Accept)))
}

#[test]
fn who_reserves_is_reached_and_who_does_not_is_not() {
    let mut net = net(RelayConfig::default());
    assert!(!ask(&mut net), "nobody knows where the sensor is");
    let now = net.now;
    let command = RelayCommand::ReserveAt { did: RELAY, path: path(1) };
    net.node(2).handle_command(now, &Command::Relay(command));
    net.run(1000);
    assert_eq!(net.members[2].reserved, [Some(Duration::from_secs(3600))], "told once");
    assert_eq!(net.members[1].node.relay_stats().unwrap().reservations, 1);
    // What nobody answered before is avoided for a while.
    net.run(60_000);
    assert!(ask(&mut net));
    net.check_books();
}

#[test]
fn a_relay_that_starts_again_is_asked_again_and_one_that_is_gone_is_told_of() {
    let mut net = net(RelayConfig::default());
    let now = net.now;
    net.node(2).reserve_at(now, RELAY, path(1)).unwrap();
    net.run(1000);
    net.members[1].node = speaker(1, RELAY, Some(RelayConfig::default()));
    net.all_know_all();
    net.run(120_000);
    assert_eq!(net.members[1].node.relay_stats().unwrap().reservations, 1);
    assert!(ask(&mut net));
    net.members[1].up = false;
    net.run(120_000);
    assert_eq!(net.members[2].reserved.last(), Some(&None));
    net.members[1].up = true;
    net.run(120_000);
    assert_eq!(net.members[2].reserved.last(), Some(&Some(Duration::from_secs(3600))));
}

#[test]
fn a_reservation_takes_a_session_and_room_at_the_relay() {
    let full = RelayConfig { max_reservations: 0, ..RelayConfig::default() };
    let mut none = net(full);
    let now = none.now;
    none.node(2).reserve_at(now, RELAY, path(1)).unwrap();
    none.run(2000);
    assert_eq!(none.members[2].reserved, [None]);
    // A ping that is only signed shows nothing of where its sender is: whoever copies it could be there.
    let mut net = net(RelayConfig::default());
    net.members[2].node = start(2, SENSOR, None);
    net.all_know_all();
    let now = net.now;
    net.node(2).ping(now, &Ping::new(RELAY, path(1), super::RESERVE)).unwrap();
    net.run(2000);
    assert_eq!(net.members[2].ended.len(), 1);
    assert_eq!(net.members[1].node.relay_stats().unwrap().reservations, 0);
    let now = net.now;
    assert_eq!(net.node(2).reserve_at(now, RELAY, path(1)), Err(RelayError::NoSessions));
    assert_eq!(net.node(0).reserve_at(now, PHONE, path(1)), Err(RelayError::OwnName));
    for n in 0..4 {
        net.node(0).reserve_at(now, &std::format!("jis:r{n}"), path(1)).unwrap();
    }
    assert_eq!(net.node(0).reserve_at(now, "jis:r4", path(1)), Err(RelayError::TooManyRelays(4)));
    assert_eq!(net.node(0).reserve_at(now, "jis:r3", path(2)), Ok(()));
    // Whose key is not pinned is asked for nothing, again and again, and that is told once.
    net.run(200_000);
    let told: Vec<_> = net.members[0].reserved.iter().filter(|lasts| lasts.is_none()).collect();
    assert!(told.len() <= 4, "{told:?}");
}

#[test]
fn who_is_kept_out_or_has_lost_its_key_holds_nothing_any_more() {
    let ends: [fn(&mut Node); 3] = [
        |relay| _ = relay.set_trust(SENSOR, 0.0),
        |relay| _ = relay.unpin(SENSOR),
        |relay| _ = relay.retire(&crate::identity::Statement::revocation(&secret(2), 1).unwrap()),
    ];
    for end in ends {
        let mut net = net(RelayConfig::default());
        let now = net.now;
        net.node(2).reserve_at(now, RELAY, path(1)).unwrap();
        net.run(1000);
        end(net.node(1));
        assert_eq!(net.members[1].node.relay_stats().unwrap().reservations, 1);
        let _ = ask(&mut net);
        assert_eq!(net.members[1].node.relay_stats().unwrap().reservations, 0);
    }
}

#[test]
fn a_node_without_relays_tells_nothing_of_them() {
    let mut net = net(RelayConfig::default());
    net.run(100_000);
    let mut told = false;
    while let Some(event) = net.node(2).poll_notice() {
        told |= matches!(event, Event::Reservation(_));
    }
    assert!(!told && net.members[2].reserved.is_empty());
}
