//! Whole local networks: crowds, several interfaces, devices that move, liars.

use sluis_core::discovery::DiscoveryConfig;
use sluis_core::framing::Value;
use sluis_core::identity::SecretKey;
use sluis_core::node::{Identity, LanConfig, LanNews, NodeConfig};
use sluis_core::sim::{Beacon, Crowd, Flood, Lan, LanCounts, run_home};
use sluis_core::{Did, Duration};

fn name(n: usize) -> String {
    format!("jis:device:{n:04}")
}

fn config(n: usize, signs: bool) -> NodeConfig {
    let mut config = NodeConfig::new(Did::new(&name(n)).unwrap());
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(n as u64 + 1).to_le_bytes());
    config.identity = signs.then(|| Identity::from(SecretKey::from_seed(&seed)));
    config
}

fn every(seconds: u64) -> LanConfig {
    let mut lan = LanConfig::default();
    lan.discovery = DiscoveryConfig { interval: Duration::from_secs(seconds), ..DiscoveryConfig::default() };
    lan
}

/// A crowd that comes up in one moment, on a network that loses two datagrams of a hundred: whoever is wanted is known within two intervals, and answers are few. How it is with a thousand
/// `lan` in the benches shows.
#[test]
fn a_crowd_finds_whom_it_wants_and_hears_few_answers() {
    let interval = Duration::from_secs(10);
    let crowd = Crowd { devices: 100, interval, intervals: 2, loss: 20, wanted: &[1, 37], seed: 11 };
    let report = crowd.run().unwrap();
    assert!(report.missed.is_empty(), "{:?}", report.missed);
    assert!(report.answers() > 0, "somebody answers");
    // A call that names two gets those, any other three over two seconds: a second with more than five is rare.
    let (most, above, seconds) = (report.most(), report.above(5), report.heard.len());
    assert!(most <= 12 && above * 20 <= seconds, "{most} at most, {above} of {seconds} seconds with more than five");
}

#[test]
fn a_flood_from_one_sender_leaves_a_bounded_table_and_who_was_known_is_heard() {
    let (left, heard) = Flood { beacons: 2_000, seed: 2 }.run().unwrap();
    assert!((2..=Flood::most()).contains(&left) && heard, "{left} of {} {heard}", Flood::most());
}

/// Devices roam, their mappings expire, a thief has each old address, a registry lies, a thousand strangers call at once, and more join than may: what is found is its owner's newest word,
/// and nobody else gets what is meant for it. `swarm --scenario lan` runs more of them.
#[test]
fn in_a_home_what_is_found_is_its_owners_newest_word_and_payloads_go_to_nobody_else() {
    let mut sum = LanCounts::default();
    for seed in 0..3 {
        let run = run_home(6, seed, Duration::from_secs(120)).unwrap();
        assert!(run.violations.is_empty(), "seed {seed}: {:?}", run.violations);
        let LanCounts { registered, resolved, reached, payloads, moved, joined, turned_away, .. } = run.counts;
        sum.registered += registered;
        sum.resolved += resolved;
        sum.reached += reached;
        sum.payloads += payloads;
        sum.moved += moved;
        sum.joined += joined;
        sum.turned_away += turned_away;
        if seed == 0 {
            assert_eq!(run_home(6, seed, Duration::from_secs(120)).unwrap().digest, run.digest, "the same seed");
        }
    }
    let LanCounts { registered, resolved, reached, payloads, moved, joined, turned_away, .. } = sum;
    let all = [registered, resolved, reached, payloads, moved, joined, turned_away];
    assert!(all.iter().all(|count| *count > 0), "nothing was tried: {sum:?}");
}

/// What a node was told of another, in short.
fn told(news: &[LanNews], of: &str) -> Vec<String> {
    let short = |news: &LanNews| match news {
        LanNews::Found(found) if *found.did == *of => {
            Some(if found.from.is_some() { "moved".to_owned() } else { "found".to_owned() })
        }
        LanNews::Gone { did, .. } if **did == *of => Some("gone".to_owned()),
        _ => None,
    };
    news.iter().filter_map(short).collect()
}

#[test]
fn a_node_with_two_interfaces_knows_both_networks_and_joins_neither_to_the_other() {
    let mut lan = Lan::new(3);
    let hub = lan.add(config(0, true), &every(10), &[0, 1]).unwrap();
    let (left, right) =
        (lan.add(config(1, true), &every(10), &[0]).unwrap(), lan.add(config(2, true), &every(10), &[1]).unwrap());
    lan.run(Duration::from_secs(3));
    let at = |id: usize, of: usize| lan.node(id).neighbour(&name(of)).map(|neighbour| neighbour.addr);
    assert_eq!((at(hub, left), at(hub, right)), (lan.address(left, 0), lan.address(right, 1)));
    // Each knows the hub where it can reach it.
    assert_eq!((at(left, hub), at(right, hub)), (lan.address(hub, 0), lan.address(hub, 1)));
    assert_eq!((at(left, right), at(right, left)), (None, None));
}

#[test]
fn a_device_that_moves_is_followed_and_one_that_leaves_is_told_of() {
    let mut lan = Lan::new(5);
    let hub = lan.add(config(0, true), &every(10), &[0, 1]).unwrap();
    let device = lan.add(config(1, true), &every(10), &[0]).unwrap();
    lan.run(Duration::from_secs(1));
    assert_eq!(told(&lan.take_news(hub), &name(device)), ["found"]);
    lan.detach(device, 0);
    lan.attach(device, 1);
    lan.run(Duration::from_secs(1));
    assert_eq!(told(&lan.take_news(hub), &name(device)), ["moved"]);
    let now_at = lan.node(hub).neighbour(&name(device)).unwrap().addr;
    assert_eq!(Some(now_at), lan.address(device, 1));
    lan.stop(device);
    lan.run(Duration::from_secs(1));
    assert_eq!(told(&lan.take_news(hub), &name(device)), ["gone"]);
}

#[test]
fn who_vanishes_without_a_word_is_gone_after_three_intervals() {
    let mut lan = Lan::new(6);
    let hub = lan.add(config(0, false), &every(10), &[0]).unwrap();
    let device = lan.add(config(1, false), &every(10), &[0]).unwrap();
    lan.run(Duration::from_secs(25));
    lan.detach(device, 0);
    lan.run(Duration::from_secs(15));
    assert_eq!(told(&lan.take_news(hub), &name(device)), ["found"]);
    lan.run(Duration::from_secs(20));
    assert_eq!(told(&lan.take_news(hub), &name(device)), ["gone"]);
}

/// A liar calls in the name of a device that has proven its key: it is not believed, and nobody is sent away.
#[test]
fn a_liar_moves_nobody_and_says_goodbye_for_nobody() {
    let mut lan = Lan::new(8);
    let hub = lan.add(config(0, true), &every(10), &[0]).unwrap();
    let device = lan.add(config(1, true), &every(10), &[0]).unwrap();
    lan.run(Duration::from_secs(1));
    for payload in [r#"{"port":9999}"#, r#"{"beacon":"goodbye"}"#, r#"{"beacon":"answer","port":9999}"#] {
        let (did, mut frame) = (name(device), [0; 2048]);
        let lie = Beacon { did: &did, payload: Value::from_json(payload).unwrap() };
        let len = lie.write(lan.clock(), &mut frame).unwrap();
        lan.shout("10.9.9.9:7150".parse().unwrap(), 0, &frame[..len]);
        lan.run(Duration::from_secs(1));
    }
    assert_eq!(told(&lan.take_news(hub), &name(device)), ["found"]);
    let known_at = lan.node(hub).neighbour(&name(device)).unwrap().addr;
    assert_eq!(Some(known_at), lan.address(device, 0));
}

/// Two installations on one network do not see each other.
#[test]
fn a_domain_tag_keeps_installations_apart() {
    let mut lan = Lan::new(9);
    let of = |domain: &str| {
        let mut lan = every(10);
        lan.discovery.domain = domain.into();
        lan
    };
    for (n, domain) in ["a", "a", "b", "b"].into_iter().enumerate() {
        lan.add(config(n, false), &of(domain), &[0]).unwrap();
    }
    lan.run(Duration::from_secs(25));
    for n in 0..4 {
        let known: Vec<String> = lan.node(n).neighbours().map(|neighbour| neighbour.did.to_owned()).collect();
        assert_eq!(known, [name(n ^ 1)]);
        assert_eq!(lan.node(n).stats().rejected.total(), 0);
    }
}
