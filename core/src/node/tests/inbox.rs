//! Who gets a place in the waiting room.

use std::string::{String, ToString};
use std::vec::Vec;

use super::*;

#[test]
fn one_sender_cannot_fill_the_waiting_room() {
    let (mut hub, mut sensor) = pair(0.5);
    hub.set_trust("jis:home:other", 0.5).unwrap();
    for i in 0..70 {
        let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
        let want = if i < 64 { Ok(()) } else { Err(Reject::Busy) };
        assert_eq!(hub.handle_datagram(at(0), from(9), &mut ping.clone()), want);
    }
    let mut other = node("jis:home:other", 3);
    let (_, ping) = ask(&mut other, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(10), &mut ping.clone()).unwrap();
    let id = waiting_id(&mut hub);
    hub.reject(at(0), id).unwrap();
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    assert_eq!(hub.handle_datagram(at(0), from(9), &mut ping.clone()), Err(Reject::Busy));
}

/// Somebody who forges a sensor's name from elsewhere, from any number of ports, does not use up the sensor's places.
#[test]
fn a_forged_name_does_not_lock_its_owner_out() {
    let mut hub = node(HUB, 1);
    hub.set_trust(SENSOR, 0.9).unwrap();
    let took = |hub: &mut Node, from, n: u32| {
        let took = hub.handle_datagram(at(0), from, &mut written(&named(SENSOR, &n.to_string()), Encoding::Json));
        told(hub);
        drain(hub, at(0));
        took
    };
    for n in 0..70 {
        let want = if n < 64 { Ok(()) } else { Err(Reject::Busy) };
        assert_eq!(took(&mut hub, host(66, 1000 + u16::try_from(n).unwrap()), n), want, "{n}");
    }
    for n in 100..164 {
        assert_eq!(took(&mut hub, host(1, 7150), n), Ok(()), "the sensor itself");
    }
    // One address may use no more than its share, whatever names it makes up.
    let mut hub = node(HUB, 1);
    hub.add_rule(&Rule { any: true, ..Rule::new("all", "all wait", Zone::Geel) }).unwrap();
    let forged = (0..200).filter(|n| {
        let did = std::format!("jis:made:up:{n}");
        hub.handle_datagram(at(0), host(66, 9), &mut written(&named(&did, "n"), Encoding::Json)).is_ok()
    });
    assert_eq!(forged.count(), 128);
    assert_eq!(took(&mut hub, host(1, 9), 0), Ok(()));
}

/// Who forges one trusted name from many addresses takes an eighth of the room with it, and no other trusted name's place.
#[test]
fn one_name_cannot_fill_the_waiting_room_from_many_addresses() {
    let mut hub = node(HUB, 1);
    let send = |hub: &mut Node, did: &str, nonce: u32, from| {
        let took = hub.handle_datagram(at(0), from, &mut written(&named(did, &nonce.to_string()), Encoding::Json));
        drain(hub, at(0));
        took
    };
    let holds = |hub: &Node, did: &str| hub.waiting().filter(|ping| ping.source_did == did).count();
    let forge = |hub: &mut Node, did: &str, net: u8| {
        hub.set_trust(did, 0.5).unwrap();
        for n in 0..1024_u32 {
            let from = Path::to(SocketAddr::from(([198, 51, net, u8::try_from(n / 64).unwrap()], 9)));
            let _ = send(hub, did, n, from);
            told(hub);
        }
        holds(hub, did)
    };
    for n in 0..7 {
        assert_eq!(forge(&mut hub, &std::format!("jis:forged:{n}"), n), 128, "{n}");
    }
    // From here on only the places that strangers may not take are free, and fair shares make way for fair shares.
    for n in 7..20 {
        let held = forge(&mut hub, &std::format!("jis:forged:{n}"), n);
        assert!((32..=128).contains(&held), "{n}: {held}");
    }
    assert_eq!(hub.stats().tables.waiting, 1024 - 64, "a sixteenth is for proven addresses");
    hub.set_trust("jis:home:other", 0.5).unwrap();
    let displaced = hub.stats().displaced;
    for n in 0..32 {
        assert_eq!(send(&mut hub, "jis:home:other", n, host(200, 9)), Ok(()), "a full room makes way for a fair share");
    }
    let decided: Vec<_> = told(&mut hub).into_iter().filter(|event| event.starts_with("decided")).collect();
    assert!(decided.len() == 32 && decided.iter().all(|event| event.ends_with("Displaced")), "{decided:?}");
    assert_eq!((hub.stats().displaced - displaced, hub.stats().tables.waiting), (32, 960));
    assert_eq!(send(&mut hub, "jis:home:other", 64, host(200, 9)), Err(Reject::Busy), "not for more than that");
}

/// Two addresses that have all the places of a name share them with a third, and with no more than that one's part.
#[test]
fn a_name_is_shared_by_the_addresses_that_write_it() {
    let mut hub = node(HUB, 1);
    hub.set_trust(SENSOR, 0.5).unwrap();
    let mut nonce = 0_u32;
    let mut send = |hub: &mut Node, from| {
        nonce += 1;
        let took = hub.handle_datagram(at(0), from, &mut written(&named(SENSOR, &nonce.to_string()), Encoding::Json));
        told(hub);
        drain(hub, at(0));
        took
    };
    for n in 0..128 {
        assert_eq!(send(&mut hub, host(60 + n % 2, 9)), Ok(()));
    }
    let taken = (0..128).filter(|_| send(&mut hub, host(1, 9)).is_ok()).count();
    let holds = |hub: &Node, n| hub.waiting().filter(|ping| ping.from.remote.ip() == host(n, 9).remote.ip()).count();
    assert_eq!((taken, holds(&hub, 1)), (42, 42));
    assert_eq!((holds(&hub, 60), holds(&hub, 61)), (43, 43));
    assert_eq!((hub.stats().displaced, hub.stats().tables.waiting), (42, 128));
    // Decided ones free their places for whoever comes first.
    let first = hub.waiting().next().unwrap().id;
    hub.reject(at(0), first).unwrap();
    told(&mut hub);
    drain(&mut hub, at(0));
    assert_eq!(send(&mut hub, host(61, 9)), Ok(()));
    assert_eq!(send(&mut hub, host(61, 9)), Err(Reject::Busy));
}

/// However many strangers wait, who is trusted by name gets a place, and who has proven an address one of theirs; what made way
/// is told and counted.
#[test]
fn strangers_make_way_for_who_is_better_known() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.caps.waiting = 16;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.add_rule(&Rule { any: true, ..Rule::new("all", "all wait", Zone::Geel) }).unwrap();
    hub.set_trust(SENSOR, 0.9).unwrap();
    let send = |hub: &mut Node, did: &str, nonce: u32, from| {
        hub.handle_datagram(at(0), from, &mut written(&named(did, &nonce.to_string()), Encoding::Json))
    };
    let strangers =
        (0..40).filter(|n| send(&mut hub, &std::format!("jis:x:{n}"), *n, host(u8::try_from(*n).unwrap(), 9)).is_ok());
    assert_eq!(strangers.count(), 14, "an eighth is kept for others");
    let events = |hub: &mut Node| -> Vec<String> {
        told(hub).into_iter().filter(|event| event.starts_with("decided")).collect()
    };
    assert_eq!(events(&mut hub), [] as [&str; 0]);
    drain(&mut hub, at(0));
    for n in 0..3 {
        assert_eq!(send(&mut hub, SENSOR, n, host(1, 9)), Ok(()));
    }
    let gone = ["decided jis:x:0 Displaced", "decided jis:x:1 Displaced"];
    assert_eq!(events(&mut hub), gone, "the longest waiting of those who are least known");
    assert_eq!((hub.stats().displaced, hub.stats().tables.waiting), (2, 15));
    assert_eq!(send(&mut hub, "jis:x:late", 0, host(99, 9)), Err(Reject::Busy), "never for one of the same rank");
    assert_eq!((hub.stats().waiting, hub.stats().expired), (17, 0));
}
