//! Devices that join by a token, and who does not.

use std::vec::Vec;
use std::{format, vec};

use super::tests::{HUB, Net, PHONE, addr, join, secret, start, token};
use super::wire::Members;
use super::*;
use crate::airlock::VouchDraft;
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::{NodeConfig, Ping};
use crate::registry::{Draft, Record};
use crate::{Datagrams as _, Did, StoreError};

#[test]
fn a_device_joins_by_a_token_without_a_person_and_no_more_devices_than_it_may() {
    let mut net = Net::home();
    net.profile(1, &["192.0.2.2:7150"], &[]);
    net.register(1).unwrap();
    let token = token(&mut net, 2, 3600);
    let (first, joined) = join(&mut net, "jis:new:a", 20, &token);
    assert!(
        matches!(&joined, Ok(OperationOutcome::Joined { hub, peers: 1, trust, .. }) if **hub == *HUB && *trust == 0.8),
        "{joined:?}"
    );
    assert_eq!(net.node(first).pins().get(HUB).unwrap().key, secret(1).public());
    assert_eq!(net.node(0).pins().get("jis:new:a").unwrap().key, secret(20).public());
    assert_eq!(net.node(0).trusted("jis:new:a"), Some(0.8));
    // What it sent comes again from elsewhere, and the hub does not say it again.
    for sent in net.to_hub.clone() {
        assert_eq!(heard_back(&mut net, &sent), 0);
    }
    // The same device again costs nothing.
    assert!(net.operate(first, &Operation::Join { token: &token, path: Path::to(addr(1)) }).is_ok());
    // A restart of the hub gives none back.
    net.restart(0, start(HUB, 1, 2, |overlay| overlay.serve = true));
    assert!(join(&mut net, "jis:new:b", 21, &token).1.is_ok());
    assert_eq!(join(&mut net, "jis:new:c", 22, &token).1, Err(OperationError::NotLetIn));
    assert!(net.node(0).pins().get("jis:new:c").is_none());
    assert_eq!(net.node(0).join_tokens().map(|token| (token.used, token.uses)).collect::<Vec<_>>(), [(2, 2)]);
    // Let in, it may do what its trust lets it do.
    net.profile(first, &[], &["door"]);
    assert!(net.register(first).is_ok());
}

#[test]
fn a_token_that_is_over_revoked_or_for_somebody_elses_name_lets_nobody_in() {
    let mut net = Net::home();
    let over = token(&mut net, 5, 1);
    net.run(net.now.mono.as_nanos() / 1_000_000 + 2_000);
    assert_eq!(join(&mut net, "jis:new:a", 20, &over).1, Err(OperationError::NotLetIn));
    let revoked = token(&mut net, 5, 3600);
    net.node(0).revoke_join_token(&revoked.id()).unwrap();
    assert_eq!(join(&mut net, "jis:new:b", 21, &revoked).1, Err(OperationError::NotLetIn));
    let good = token(&mut net, 5, 3600);
    net.node(0).set_trust("jis:new:boss", 1.0).unwrap();
    assert!(matches!(join(&mut net, "jis:new:boss", 22, &good).1, Err(OperationError::Refused(_))));
    net.node(0).set_trust("jis:new:thief", 0.0).unwrap();
    assert_eq!(join(&mut net, "jis:new:thief", 23, &good).1, Err(OperationError::NotLetIn), "silence");
    assert!(net.node(0).join_tokens().all(|token| token.used == 0));
}

/// A ping that wants to join, its first step, as a stranger sends it.
fn knock(net: &mut Net, did: &str, key: u8, token: [u8; 8]) -> (usize, Vec<u8>) {
    let payload = Members::new().hex("token", &token).hex("nonce", &[0; 16]).question();
    let mut stranger = start(did, key, u64::from(token[0]), |_| ());
    let mut ping = Ping::new(crate::limits::BROADCAST, Path::to(addr(1)), JOIN);
    ping.payload = crate::framing::Value::from_wire(&payload);
    stranger.ping(net.now, &ping).unwrap();
    let mut buf = vec![0; MAX_DATAGRAM_V6];
    let sent = stranger.poll_transmit(net.now, &mut buf).unwrap().len;
    buf.truncate(sent);
    (heard_back(net, &buf), buf)
}

/// What the hub sends in answer to a datagram.
fn heard_back(net: &mut Net, bytes: &[u8]) -> usize {
    let (now, mut buf) = (net.now, vec![0; MAX_DATAGRAM_V6]);
    net.run(now.mono.as_nanos() / 1_000_000);
    let now = net.now;
    let _ = net.node(0).handle_datagram(now, Path::to(addr(77)), &mut bytes.to_vec());
    let mut sent = 0;
    loop {
        while net.node(0).poll_transmit(now, &mut buf).is_some() {
            sent += 1;
        }
        if !net.members[0].keep(now) {
            return sent;
        }
    }
}

#[test]
fn who_knows_no_token_that_lets_somebody_in_hears_nothing() {
    let mut net = Net::home();
    let over = token(&mut net, 5, 1);
    net.run(2_000);
    let (revoked, used, good) = (token(&mut net, 5, 3600), token(&mut net, 1, 3600), token(&mut net, 1, 3600));
    net.node(0).revoke_join_token(&revoked.id()).unwrap();
    assert!(join(&mut net, "jis:new:a", 20, &used).1.is_ok());
    let before = net.node(0).stats().rejected.total();
    for (n, id) in [[0; 8], over.id(), revoked.id(), used.id()].into_iter().enumerate() {
        assert_eq!(knock(&mut net, &format!("jis:new:n{n}"), 60, id).0, 0, "{n}");
        // Nor by a name that the hub knows, with another key.
        assert_eq!(knock(&mut net, "jis:new:a", 61, id).0, 0, "{n}");
    }
    assert_eq!(net.node(0).stats().rejected.total() - before, 8);
    let (answers, ping) = knock(&mut net, "jis:new:b", 62, good.id());
    assert_eq!(answers, 1);
    let before = net.node(0).stats().rejected.get(crate::Reject::Replay);
    assert_eq!(heard_back(&mut net, &ping), 0, "it is heard once");
    assert_eq!(net.node(0).stats().rejected.get(crate::Reject::Replay), before + 1);
    // Who has used it is known by name and key.
    assert_eq!(knock(&mut net, "jis:new:a", 20, used.id()).0, 1);
}

#[test]
fn a_token_gives_nobody_a_name_that_is_in_use_or_cannot_be_read() {
    let mut net = Net::home();
    let token = token(&mut net, 9, 3600);
    net.run(10);
    net.node(0).allow_legacy("jis:leg:*").unwrap();
    net.node(0).set_trust("jis:leg:known", 0.9).unwrap();
    net.node(0).remove_trust("jis:leg:known");
    let mut config = NodeConfig::new(Did::new("jis:leg:u").unwrap());
    config.heartbeat = None;
    let mut legacy = Node::new(config, &Seed::from_u64(5)).unwrap();
    let now = net.now;
    legacy.ping(now, &Ping::new(HUB, Path::to(addr(1)), "hello")).unwrap();
    net.node(0).set_trust("jis:leg:u", 0.9).unwrap();
    net.add(legacy, 80);
    net.run(100);
    net.node(0).remove_trust("jis:leg:u");
    assert!(net.node(0).rooms.peers.get(now.mono, "jis:leg:u").is_some());
    let refused = |net: &mut Net, did: &str| join(net, did, 70, &token).1;
    assert!(matches!(refused(&mut net, "jis:leg:u"), Err(OperationError::Refused(_))));
    let named = [("jis:leg:v", secret(71).public())];
    let wall = u64::try_from(net.now.wall.as_micros() / 1_000_000).unwrap();
    let draft = VouchDraft {
        id: [1; 16],
        voucher: PHONE,
        issued: wall,
        expires: wall + 3600,
        factor: 900,
        depth: 0,
        named: &named,
    };
    let now = net.now;
    net.node(0).accept_vouch(now, &draft.sign(&secret(3)).unwrap()).unwrap();
    assert!(matches!(refused(&mut net, "jis:leg:v"), Err(OperationError::Refused(_))));
    for did in ["broadcast", "jis:new:\u{202e}x", "jis:new:\u{2066}x"] {
        assert_eq!(refused(&mut net, did), Err(OperationError::NotLetIn), "{did:?}");
    }
    assert!(net.node(0).join_tokens().all(|token| token.used == 0));
    assert!(join(&mut net, "jis:leg:w", 72, &token).1.is_ok());
}

#[test]
fn a_record_has_a_number_that_can_be_acknowledged_and_a_name_that_can_be_read() {
    let sign = |did: &str, seq: u64| {
        let draft = Draft { did, seq, issued: 1, expires: 2, ..Draft::default() };
        draft.sign(&secret(1), &mut [0; Record::MAX_LEN]).is_ok()
    };
    assert!(sign("jis:a", i64::MAX.unsigned_abs()));
    assert!(!sign("jis:a", i64::MAX.unsigned_abs() + 1));
    assert!(!sign("broadcast", 1) && !sign("jis:\u{202e}a", 1));
}

#[test]
fn a_join_that_cannot_be_kept_lets_nobody_in() {
    let mut net = Net::home();
    let token = token(&mut net, 1, 3600);
    net.run(10);
    net.members[0].store = Some(StoreError::Full);
    assert!(join(&mut net, "jis:new:a", 20, &token).1.is_err());
    assert!(net.node(0).pins().get("jis:new:a").is_none() && net.node(0).trusted("jis:new:a").is_none());
    assert!(net.node(0).join_tokens().all(|token| token.used == 0));
}
