//! Worlds that somebody else makes: odd ones are refused or run, and commands from outside are not taken for violations.

use sluis_core::Path;
use sluis_core::node::Ping;
use sluis_core::sim::adversary::{BlackHole, Flooder, Squatter};
use sluis_core::sim::{Habits, Loss, Placed, Plan, Scenario, Setup, Topology, World, WorldConfig, WorldError, address};
use sluis_core::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn line(nodes: u32) -> WorldConfig {
    let mut config = Scenario::Heartbeat.config(&Setup::new(nodes, 1)).unwrap();
    config.topology = Topology::Line;
    config.habits = Habits { in_flight: 1, think: Duration::from_millis(100), ..Habits::default() };
    config
}

#[track_caller]
fn holds(config: WorldConfig) -> World {
    let mut world = World::new(config).unwrap();
    assert!(world.run_until(SECOND * 600), "{:?}", world.violations());
    world
}

#[test]
fn who_is_not_there_is_named_before_anything_happens() {
    let hole = || Box::new(BlackHole { appetite: 1.0, responses_only: false });
    let absent = |change: &dyn Fn(&mut WorldConfig)| {
        let mut config = line(3);
        change(&mut config);
        assert_eq!(World::new(config).err(), Some(WorldError::NoMember(3)));
    };
    absent(&|c| c.adversaries.push(Placed { adversary: hole(), victim: Some(3), targets: vec![0] }));
    // Itself, that is.
    absent(&|c| c.adversaries.push(Placed { adversary: hole(), victim: None, targets: vec![0, 3] }));
    for step in [Plan::Crash { node: 3 }, Plan::Start { node: 3 }, Plan::StepWall { node: 3, micros: 1 }] {
        absent(&|c| c.plan.push((SECOND, step)));
    }
    let mut config = line(3);
    config.links.clear();
    assert_eq!(World::new(config).err().unwrap().to_string(), "a world needs at least one kind of link");
}

#[test]
fn a_target_that_is_named_twice_has_one_link() {
    let mut config = line(3);
    let flooder = Box::new(Flooder { interval: Duration::from_millis(10) });
    config.adversaries.push(Placed { adversary: flooder, victim: Some(0), targets: vec![0, 0, 1, 1] });
    assert!(holds(config).counts().injected > 1000);
}

#[test]
fn no_number_is_too_large() {
    let mut config = line(3);
    let link = &mut config.links[0];
    (link.latency, link.jitter, link.reorder, link.bandwidth) = (Duration::MAX, Duration::MAX, 1.0, Some(0));
    let counts = *holds(config).counts();
    assert!(counts.sent > 0 && counts.deliveries == 0, "{counts:?}");

    let mut config = line(3);
    (config.habits.think, config.habits.start, config.clocks.offset) = (Duration::MAX, Duration::MAX, Duration::MAX);
    config.plan.push((Duration::MAX, Plan::Quiet));
    holds(config);

    let mut config = line(3);
    let link = &mut config.links[0];
    (link.loss, link.corrupt, link.duplicate) = (Loss::Random(f64::NAN), f64::INFINITY, 2.0);
    (config.trust.geel, config.habits.approve) = (f64::NAN, f64::NAN);
    let counts = *holds(config).counts();
    assert!(counts.corrupted == counts.sent && counts.duplicated == counts.sent, "{counts:?}");
}

#[test]
fn whom_a_node_is_told_to_ask_and_to_trust_is_no_violation() {
    let mut config = line(3);
    (config.trust.rood, config.habits.in_flight) = (1.0, 0);
    let mut world = World::new(config).unwrap();
    let ask = |world: &mut World, from, to: u32| {
        let name = format!("jis:sim:{to:06x}");
        let ping = Ping::new(&name, Path::to(address(to)), "temperature.read");
        world.command(from, |node, now| node.ping(now, &ping).map(drop)).unwrap().unwrap();
        let until = world.elapsed() + SECOND * 11;
        assert!(world.run_until(until), "{:?}", world.violations());
    };
    ask(&mut world, 0, 1);
    let counts = *world.counts();
    assert_eq!((counts.requests, counts.timeouts, counts.deliveries), (0, 1, 0), "a ROOD sender is not answered");
    world.command(1, |node, _| node.set_trust("jis:sim:000000", 0.9)).unwrap().unwrap();
    ask(&mut world, 0, 1);
    assert_eq!((world.counts().answered, world.counts().timeouts), (1, 1));
    // There is no way from 0 to 2.
    ask(&mut world, 0, 2);
    assert_eq!((world.counts().unroutable, world.counts().timeouts), (1, 2));
}

/// A hub at which everybody waits, with room for 256, and sensors around it.
fn waiting_hub(sensors: u32) -> WorldConfig {
    let mut config = line(sensors + 1);
    config.topology = Topology::Star;
    (config.trust.geel, config.habits.in_flight) = (1.0, 0);
    (config.habits.approve, config.habits.decide) = (0.0, SECOND * 10_000);
    let caps = &mut config.node.caps;
    (caps.waiting, caps.waiting_per_sender, caps.waiting_per_name, caps.waiting_per_address) = (256, 16, 32, 128);
    (caps.requests, caps.events) = (64, 1024);
    config
}

fn ask(world: &mut World, from: u32, to: u32) {
    let name = format!("jis:sim:{to:06x}");
    let ping = Ping::new(&name, Path::to(address(to)), "temperature.read");
    world.command(from, |node, now| node.ping(now, &ping).map(drop)).unwrap().unwrap();
    let until = world.elapsed() + SECOND;
    assert!(world.run_until(until), "{:?}", world.violations());
}

/// How many pings wait at the hub in the name and from the address of this sensor.
fn waits(world: &World, sensor: u32) -> usize {
    let (hub, name) = (world.node(0).unwrap(), format!("jis:sim:{sensor:06x}"));
    hub.waiting().filter(|ping| ping.source_did == name && ping.from.remote == address(sensor)).count()
}

/// Sixteen names that the hub trusts, forged at once from two addresses, and one name forged from two: whoever is not among
/// them, whoever is and sends from a third address, and whoever has proven an address is heard all the same, and keeps its place.
#[test]
fn forged_names_lock_nobody_out_of_the_waiting_room() {
    let forge = |forged: &[u32], addresses: usize| {
        let mut config = waiting_hub(20);
        for _ in 0..addresses {
            let squatter = Box::new(Squatter::new(forged.iter().copied(), Duration::from_millis(20)));
            config.adversaries.push(Placed { adversary: squatter, victim: None, targets: vec![0] });
        }
        let mut world = World::new(config).unwrap();
        // The sensor 2 answers the hub, and has proven its address with that.
        world.command(2, |node, _| node.allow_legacy("*")).unwrap().unwrap();
        world.command(2, |node, _| node.set_trust("jis:sim:000000", 0.9)).unwrap().unwrap();
        ask(&mut world, 0, 2);
        let until = world.elapsed() + SECOND * 30;
        assert!(world.run_until(until), "{:?}", world.violations());
        world
    };
    for (forged, addresses) in [((1..17).collect::<Vec<_>>(), 2), ((1..17).collect(), 8), (vec![2, 3], 2), (vec![3], 4)]
    {
        let mut world = forge(&forged, addresses);
        for sensor in [18, 3, 2] {
            ask(&mut world, sensor, 0);
            assert_eq!(waits(&world, sensor), 1, "{sensor} of {} from {addresses}", forged.len());
        }
        for _ in 0..3 {
            ask(&mut world, 2, 0);
        }
        let until = world.elapsed() + SECOND * 60;
        assert!(world.run_until(until), "{:?}", world.violations());
        assert_eq!(
            (waits(&world, 18), waits(&world, 3), waits(&world, 2)),
            (1, 1, 4),
            "{} from {addresses}",
            forged.len()
        );
        let stats = world.stats(0).unwrap();
        let unproven = world.node(0).unwrap().waiting().filter(|ping| ping.from.remote != address(2)).count();
        assert!(unproven <= 240 && stats.displaced > 0, "{unproven} {stats:?}");
    }
}
