//! Whatever a world can do to its nodes shows in them: every adversary, every fault of a link, every wrong clock.

use sluis_core::Reject;
use sluis_core::framing::Encoding;
use sluis_core::identity::SecretKey;
use sluis_core::node::SessionPolicy;
use sluis_core::sim::adversary::{
    Adversary, Alterer, BlackHole, Burner, Copier, Downgrader, Flooder, Forger, Knocker, Replayer, Tamperer,
};
use sluis_core::sim::{
    Clocks, Counts, Habits, LinkConfig, Loss, Placed, Plan, Scenario, Setup, Topology, World, WorldConfig,
};
use sluis_core::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const NODES: u32 = 4;

fn mesh() -> WorldConfig {
    let mut config = Scenario::Heartbeat.config(&Setup::new(NODES, 1)).unwrap();
    config.topology = Topology::Clusters { size: NODES };
    config.links = vec![LinkConfig::perfect(Duration::from_millis(30))];
    config.habits = Habits { in_flight: 2, think: Duration::from_millis(100), ..Habits::default() };
    config
}

struct Seen {
    counts: Counts,
    rejected: [u64; NODES as usize],
    world: World,
}

impl Seen {
    fn times(&self, why: Reject) -> u64 {
        (0..NODES).filter_map(|n| self.world.stats(n)).map(|stats| stats.rejected.get(why)).sum()
    }
}

#[track_caller]
fn run(config: WorldConfig) -> Seen {
    let mut world = World::new(config).unwrap();
    assert!(world.run_until(SECOND * 120), "{:?}", world.violations());
    let rejected = [0, 1, 2, 3].map(|n| world.stats(n).map_or(0, |stats| stats.rejected.total()));
    Seen { counts: *world.counts(), rejected, world }
}

#[test]
fn nothing_happens_where_nothing_is_wrong() {
    let Seen { counts, rejected, .. } = run(mesh());
    assert!(counts.answered > 1000 && counts.timeouts == 0 && rejected == [0; 4], "{counts:?}");
    let wrong = [counts.duplicated, counts.injected, counts.corrupted, counts.lost, counts.oversized, counts.dropped];
    assert_eq!((wrong, counts.cut, counts.down, counts.swallowed, counts.unroutable), ([0; 6], 0, 0, 0, 0));
}

#[track_caller]
fn met(adversary: impl Adversary + 'static, encoding: Encoding) -> Seen {
    let mut config = mesh();
    config.habits.encoding = encoding;
    config.adversaries.push(Placed { adversary: Box::new(adversary), victim: Some(0), targets: vec![0, 1, 2, 3] });
    run(config)
}

#[test]
fn every_adversary_has_an_effect() {
    for encoding in [Encoding::Postcard, Encoding::Json, Encoding::Msgpack] {
        let seen = met(Forger { zeal: 0.3, everything: false }, encoding);
        assert!(seen.times(Reject::WrongResponder) > 20, "{:?}", seen.counts);
        // Its own pings in other names are answered, to its own address, and move no peer.
        assert!(seen.counts.caught > 20 && seen.counts.timeouts == 0, "{:?}", seen.counts);

        let seen = met(Replayer::new(0.5), encoding);
        let again = [Reject::Replay, Reject::Stale, Reject::Unrequested].map(|why| seen.times(why));
        assert!(again.iter().all(|n| *n > 20), "{again:?}");

        let seen = met(Tamperer { zeal: 0.5 }, encoding);
        assert!(seen.counts.timeouts > 20 && seen.rejected[0] > 20, "{:?}", seen.counts);
        assert!(seen.times(Reject::Malformed) + seen.times(Reject::Header) > 20);

        for responses_only in [false, true] {
            let seen = met(BlackHole { appetite: 0.5, responses_only }, encoding);
            assert!(seen.counts.swallowed > 20 && seen.counts.timeouts > 20, "{:?}", seen.counts);
        }

        let seen = met(Flooder { interval: Duration::from_millis(20) }, encoding);
        let whys = [Reject::Header, Reject::Rood, Reject::Busy].map(|why| seen.times(why));
        assert!(whys.iter().all(|n| *n > 20) && seen.counts.timeouts == 0, "{whys:?}");
        let waiting: u64 = (0..NODES).filter_map(|n| seen.world.stats(n)).map(|stats| stats.waiting).sum();
        assert!(waiting > 20, "{waiting}");
    }
}

/// Nodes with keys and stores, one adversary, and nothing else that could go wrong.
#[track_caller]
fn keyed(adversary: impl Adversary + 'static, sessions: SessionPolicy) -> Seen {
    let mut config = mesh();
    config.keyed = true;
    config.node.sessions = sessions;
    let caps = &mut config.node.session_caps;
    (caps.handshakes_per_second, caps.handshakes_per_source) = (4, 4);
    config.adversaries.push(Placed { adversary: Box::new(adversary), victim: Some(0), targets: vec![0, 1, 2, 3] });
    run(config)
}

fn thief() -> SecretKey {
    SecretKey::from_seed(&[9; 32])
}

#[test]
fn who_has_no_key_is_not_believed_and_keeps_nobody_from_being_heard() {
    let off = SessionPolicy::Off;
    let seen = keyed(Forger { zeal: 0.3, everything: true }, off);
    assert!(seen.times(Reject::BadSignature) > 20 && seen.counts.timeouts == 0, "{:?}", seen.counts);
    let seen = keyed(Alterer::new(0.3, thief()), off);
    assert!(seen.times(Reject::BadSignature) > 20 && seen.times(Reject::Unpinned) > 0, "{:?}", seen.counts);
    let seen = keyed(Burner { zeal: 0.3 }, off);
    assert!(seen.times(Reject::BadSignature) > 20 && seen.times(Reject::Rood) > 20, "{:?}", seen.counts);
    assert_eq!(seen.counts.timeouts, 0);
    let seen = keyed(Replayer::new(0.5).anywhere(), off);
    let why = [Reject::Replay, Reject::NotForUs, Reject::Unrequested].map(|why| seen.times(why));
    assert!(why.iter().all(|n| *n > 20) && seen.counts.timeouts == 0, "{why:?}");
}

#[test]
fn sessions_stand_what_is_done_to_them() {
    let auto = SessionPolicy::Auto;
    let seen = keyed(Replayer::new(0.5).anywhere(), auto);
    let why = [Reject::Replay, Reject::Sealed].map(|why| seen.times(why));
    assert!(why.iter().all(|n| *n > 20) && seen.counts.timeouts == 0, "{why:?}");
    // It asks ten times as often as there may be handshakes: whoever has a session keeps it.
    let seen = keyed(Knocker::new(Duration::from_millis(6), thief()), auto);
    assert!(seen.times(Reject::Cookie) > 1000 && seen.times(Reject::Unpinned) > 20, "{:?}", seen.counts);
    assert_eq!(seen.counts.timeouts, 0);
    // Whose challenges come to it, and little else: a handshake that it copies may have to be made anew.
    let seen = keyed(Copier::new(0.3), auto);
    assert!(seen.counts.caught > 20 && seen.counts.answered > 100 * seen.counts.timeouts, "{:?}", seen.counts);
    // Before there was a session a ping goes out signed; afterwards it is lost.
    let seen = keyed(Downgrader { after: Duration::ZERO }, auto);
    assert!(seen.counts.swallowed > 5 && seen.counts.timeouts == 0, "{:?}", seen.counts);
    let seen = keyed(Downgrader { after: SECOND * 20 }, auto);
    assert!(seen.counts.swallowed > 5 && seen.counts.timeouts > 20, "{:?}", seen.counts);
}

#[track_caller]
fn linked(change: impl FnOnce(&mut LinkConfig)) -> Seen {
    let mut config = mesh();
    change(&mut config.links[0]);
    run(config)
}

#[test]
fn every_fault_of_a_link_has_an_effect() {
    let usual = run(mesh());
    let seen = linked(|link| link.latency = Duration::from_millis(300));
    assert!(seen.counts.answered < usual.counts.answered / 2);
    let seen = linked(|link| link.jitter = Duration::from_millis(600));
    assert!(seen.counts.answered < usual.counts.answered / 2 && seen.counts.timeouts == 0);
    let seen = linked(|link| link.loss = Loss::Random(0.1));
    assert!(seen.counts.lost > 20 && seen.counts.timeouts > 20, "{:?}", seen.counts);
    let seen = linked(|link| link.loss = Loss::Bursts { enter: 0.02, leave: 0.2, good: 0.0, bad: 1.0 });
    assert!(seen.counts.lost > 20, "{:?}", seen.counts);
    let seen = linked(|link| link.duplicate = 0.2);
    assert!(seen.counts.duplicated > 20 && seen.times(Reject::Replay) > 20 && seen.times(Reject::Unrequested) > 20);
    let seen = linked(|link| link.corrupt = 0.2);
    assert!(seen.counts.corrupted > 20 && seen.rejected.iter().all(|n| *n > 5), "{:?}", seen.rejected);
    let seen = linked(|link| link.mtu = 100);
    assert!(seen.counts.oversized == seen.counts.sent && seen.counts.answered == 0, "{:?}", seen.counts);
    let seen = linked(|link| (link.bandwidth, link.queue) = (Some(500), 300));
    assert!(seen.counts.dropped > 20 && seen.counts.answered > 20, "{:?}", seen.counts);
    // Out of order: a slow one is overtaken, so the whole takes longer than without.
    let seen = linked(|link| link.reorder = 1.0);
    assert!(seen.counts.answered < usual.counts.answered * 3 / 4 && seen.counts.timeouts == 0, "{:?}", seen.counts);
}

#[test]
fn wrong_clocks_have_an_effect() {
    let wrong = |offset, drift_ppm| {
        let mut config = mesh();
        config.clocks = Clocks { offset, drift_ppm };
        run(config)
    };
    let seen = wrong(SECOND * 60, 0);
    assert!(seen.times(Reject::Future) > 20 && seen.times(Reject::Stale) > 20);
    assert_eq!(wrong(SECOND * 2, 0).rejected, [0; 4], "a little is forgiven");
    // 2 % either way, for two minutes: wall clocks come to differ by up to 5 s, and timers by more than that.
    assert_ne!(wrong(Duration::ZERO, 20_000).world.digest(), wrong(Duration::ZERO, 0).world.digest());
    let mut config = mesh();
    config.plan.push((SECOND * 60, Plan::StepWall { node: 0, micros: -40_000_000 }));
    let seen = run(config);
    assert!(seen.times(Reject::Stale) > 10 && seen.times(Reject::Future) > 20, "{:?}", seen.rejected);
}

#[test]
fn adversaries_share_victims_and_paths() {
    // All on the path of node 0, or one of them at the other end of one of its links.
    for other in [0, 1] {
        let mut config = mesh();
        for victim in [0, other] {
            let tamperer = Box::new(Tamperer { zeal: 0.2 });
            config.adversaries.push(Placed { adversary: tamperer, victim: Some(victim), targets: vec![victim] });
        }
        let hole = Box::new(BlackHole { appetite: 0.2, responses_only: false });
        config.adversaries.push(Placed { adversary: hole, victim: Some(0), targets: vec![0] });
        let seen = run(config);
        assert!(seen.counts.swallowed > 20 && seen.rejected[0] > 10, "{:?}", seen.counts);
        assert!(seen.rejected[1] > if other == 1 { 10 } else { 0 }, "{:?}", seen.rejected);
    }
}
