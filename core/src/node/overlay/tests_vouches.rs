//! Signed vouches on the wire.

use std::format;
use std::vec::Vec;

use super::tests::{HUB, Net, PHONE, addr, secret, start, vouch};
use super::wire::Members;
use super::*;
use crate::airlock::{SignedVouch, VouchDraft, VouchRevocation};
use crate::node::Ping;

#[test]
fn one_trusted_hub_brings_in_fifty_sensors_with_their_keys_and_takes_them_out_again() {
    let mut net = Net::home();
    let vouch = vouch(&net, 50, 3600);
    let now = net.now;
    net.node(2).accept_vouch(now, &vouch).unwrap();
    let accepted = |net: &mut Net, key: u8, did: &str| {
        let now = net.now;
        let mut sensor = start(did, key, now.mono.as_nanos(), |_| ());
        sensor.ping(now, &Ping::new(PHONE, Path::to(addr(3)), "hello")).unwrap();
        let n = net.add(sensor, 90);
        net.run(net.now.mono.as_nanos() / 1_000_000 + 100);
        net.members.remove(n).told == ["accept"]
    };
    for n in [0, 17, 49] {
        assert!(accepted(&mut net, 100 + n, &format!("jis:field:{n:03}")));
    }
    assert!(!accepted(&mut net, 7, "jis:field:003"), "another key");
    assert!(!accepted(&mut net, 103, "jis:field:004"), "the key of another");
    assert!(!accepted(&mut net, 150, "jis:field:050"), "not named");
    // It survives a restart, and the operator's word about the hub counts then, too.
    let mut again = start(PHONE, 3, 5, |_| ());
    again.set_trust(HUB, 0.9).unwrap();
    net.restart(2, again);
    net.run(net.now.mono.as_nanos() / 1_000_000 + 3_000);
    assert!(accepted(&mut net, 101, "jis:field:001"));
    // The hub takes it back, in a packet that anybody may carry.
    let revocation = VouchRevocation::sign([7; 16], 1_764_400_100, &secret(1)).unwrap();
    let text = <base64ct::Base64UrlUnpadded as base64ct::Encoding>::encode_string(&revocation);
    let payload = Members::new().text("revoke", &text).finish();
    let now = net.now;
    let mut ping = Ping::new(PHONE, Path::to(addr(3)), VOUCH);
    ping.payload = crate::framing::Value::from_wire(&payload);
    net.node(1).ping(now, &ping).unwrap();
    net.run(net.now.mono.as_nanos() / 1_000_000 + 100);
    assert!(matches!(&net.members[2].news[..], [.., OverlayNews::VouchRevoked { id }] if *id == [7; 16]));
    assert!(!accepted(&mut net, 102, "jis:field:002"));
    assert!(net.node(2).accept_vouch(now, &vouch).is_err(), "it does not come back");
}

#[test]
fn a_vouch_counts_only_while_its_voucher_is_trusted_and_comes_in_the_first_ping() {
    let mut net = Net::home();
    let bytes = vouch(&net, 2, 60);
    let text = SignedVouch::read(&bytes).unwrap().to_text();
    let payload = Members::new().text("vouch", &text).finish();
    let now = net.now;
    let mut sensor = start("jis:field:000", 100, 0, |_| ());
    let mut ping = Ping::new(PHONE, Path::to(addr(3)), VOUCH);
    ping.payload = crate::framing::Value::from_wire(&payload);
    sensor.ping(now, &ping).unwrap();
    let n = net.add(sensor, 90);
    net.run(100);
    assert_eq!(net.members[n].told, ["accept"]);
    assert_eq!(net.node(2).held_vouches().count(), 1);
    net.node(2).set_trust(HUB, 0.1).unwrap();
    let hello = |net: &mut Net| {
        let now = net.now;
        net.members[n].told.clear();
        net.node(n).ping(now, &Ping::new(PHONE, Path::to(addr(3)), "hello")).unwrap();
        net.run(net.now.mono.as_nanos() / 1_000_000 + 100);
        net.members[n].told == ["accept"]
    };
    assert!(!hello(&mut net), "a tenth of nine tenths");
    net.node(2).set_trust(HUB, 0.9).unwrap();
    assert!(hello(&mut net));
    net.run(90_000);
    assert!(!hello(&mut net), "it is over");
    assert_eq!(net.node(2).held_vouches().count(), 0);
}

#[test]
fn a_device_that_was_vouched_for_makes_no_second_key_for_a_name() {
    const DEVICE: &str = "jis:field:a";
    const DELEGATE: &str = "jis:field:c";
    let vouched = |net: &Net, id: u8, voucher: &str, signer: u8, depth: u8, named: &[(&str, u8)]| {
        let mut named: Vec<_> = named.iter().map(|(did, key)| (*did, secret(*key).public())).collect();
        named.sort_by_key(|(did, _)| *did);
        let wall = u64::try_from(net.now.wall.as_micros() / 1_000_000).unwrap();
        let (id, expires) = ([id; 16], wall + 3600);
        let draft = VouchDraft { id, voucher, issued: wall, expires, factor: 1000, depth, named: &named };
        draft.sign(&secret(signer)).unwrap()
    };
    for delegate_first in [false, true] {
        let mut net = Net::home();
        let now = net.now;
        let root = vouched(&net, 1, HUB, 1, 1, &[(DEVICE, 100), (DELEGATE, 101)]);
        let early = vouched(&net, 2, HUB, 1, 1, &[(DELEGATE, 101)]);
        let second = vouched(&net, 3, DELEGATE, 101, 0, &[(DEVICE, 102)]);
        if delegate_first {
            net.node(2).accept_vouch(now, &early).unwrap();
            net.node(2).accept_vouch(now, &second).unwrap();
        }
        net.node(2).accept_vouch(now, &root).unwrap();
        if !delegate_first {
            let why = net.node(2).accept_vouch(now, &second);
            assert!(matches!(why, Err(VouchRefusal::Accept(crate::airlock::AcceptError::NameTaken))), "{why:?}");
        }
        for (key, accepted) in [(100, true), (102, false)] {
            let now = net.now;
            let mut device = start(DEVICE, key, 1, |_| ());
            device.ping(now, &Ping::new(PHONE, Path::to(addr(3)), "hello")).unwrap();
            let n = net.add(device, 90);
            net.run(net.now.mono.as_nanos() / 1_000_000 + 100);
            assert_eq!(net.members.remove(n).told == ["accept"], accepted, "{key} {delegate_first}");
        }
    }
}
