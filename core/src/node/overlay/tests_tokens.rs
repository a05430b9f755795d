//! Join tokens of a node that runs: what is told is kept, and what is revoked is so at once.

use std::format;

use super::tests::{HUB, Net, PHONE, addr, join, start, token, vouch};
use super::wire::Members;
use super::*;
use crate::airlock::SignedVouch;
use crate::discovery::JoinToken;
use crate::framing::Value;
use crate::node::{Keeping, Ping};
use crate::{StoreError, StoreSeq};

fn hub(life: u64) -> Node {
    start(HUB, 1, life, |overlay| overlay.serve = true)
}

fn made(net: &mut Net) -> (JoinToken, Keeping) {
    let now = net.now;
    net.node(0).new_join_token(now, 3, Duration::from_secs(3600), 0.8).unwrap()
}

fn run(net: &mut Net, millis: u64) {
    net.run(net.now.mono.as_nanos() / 1_000_000 + millis);
}

/// How the commit of a change ended, once that is told.
fn end(net: &Net, who: usize, keeping: Keeping) -> Option<Result<(), StoreError>> {
    let Keeping::Until(seq) = keeping else { panic!("it is kept at once: {keeping:?}") };
    let ends: &[(StoreSeq, _)] = &net.members[who].kept;
    ends.iter().find(|(upto, _)| *upto >= seq).map(|(_, result)| *result)
}

/// The process is killed: what is on the medium is all there is.
fn kill(net: &mut Net, life: u64) {
    net.members[0].store = None;
    net.restart(0, hub(life));
}

#[test]
fn what_was_told_of_tokens_is_there_after_a_kill() {
    let mut net = Net::home();
    run(&mut net, 10);
    let (token, keeping) = made(&mut net);
    assert_eq!(end(&net, 0, keeping), None, "not before it is on the medium");
    assert!(net.turn());
    assert_eq!(end(&net, 0, keeping), Some(Ok(())));
    kill(&mut net, 1);
    assert!(join(&mut net, "jis:new:a", 20, &token).1.is_ok());
    let keeping = net.node(0).revoke_join_token(&token.id()).unwrap();
    assert_eq!(end(&net, 0, keeping), None);
    assert!(net.turn());
    assert_eq!(end(&net, 0, keeping), Some(Ok(())));
    kill(&mut net, 2);
    assert_eq!(join(&mut net, "jis:new:b", 21, &token).1, Err(OperationError::NotLetIn));
    assert_eq!(net.node(0).join_tokens().count(), 0);
    assert_eq!(net.node(0).revoke_join_token(&token.id()), None);
}

#[test]
fn what_cannot_be_kept_is_told_and_revoked_again() {
    let mut net = Net::home();
    run(&mut net, 10);
    let (good, _) = made(&mut net);
    run(&mut net, 10);
    net.members[0].store = Some(StoreError::Full);
    let (lost, keeping) = made(&mut net);
    let revoking = net.node(0).revoke_join_token(&good.id()).unwrap();
    run(&mut net, 10);
    assert_eq!(
        (end(&net, 0, keeping), end(&net, 0, revoking)),
        (Some(Err(StoreError::Full)), Some(Err(StoreError::Full)))
    );
    net.members[0].store = None;
    run(&mut net, 11_000);
    for (device, token) in [(20, &lost), (21, &good)] {
        let joined = join(&mut net, &format!("jis:new:{device}"), device, token).1;
        assert_eq!(joined, Err(OperationError::NotLetIn));
    }
    assert_eq!(net.node(0).revoke_join_token(&lost.id()), None, "it never was");
    let revoking = net.node(0).revoke_join_token(&good.id()).expect("it is still on the medium");
    run(&mut net, 10);
    assert_eq!(end(&net, 0, revoking), Some(Ok(())));
    kill(&mut net, 1);
    assert_eq!(net.node(0).join_tokens().count(), 0);
}

/// It was live when the device asked, and is revoked before the device has shown that it knows it.
#[test]
fn a_revoked_token_lets_nobody_in_at_the_next_packet() {
    for revoked in [false, true] {
        let mut net = Net::home();
        run(&mut net, 10);
        let token = token(&mut net, 1, 3600);
        run(&mut net, 10);
        let device = net.add(start("jis:new:a", 20, 0, |_| ()), 20);
        let id = net.begin(device, &Operation::Join { token: &token, path: Path::to(addr(1)) });
        let asked = |net: &Net| net.sent.iter().filter(|(_, intent)| intent == JOIN).count();
        while asked(&net) == 0 {
            assert!(net.turn());
        }
        // The challenge is on its way back.
        assert!(net.turn());
        if revoked {
            net.node(0).revoke_join_token(&token.id()).unwrap();
        }
        run(&mut net, 6_000);
        assert!(asked(&net) > 1, "it has shown it");
        assert_eq!(net.ended(device, id).is_ok(), !revoked);
        assert_eq!(net.node(0).pins().get("jis:new:a").is_some(), !revoked);
    }
}

/// Who was let in is told of, even if the token is revoked before that is on the medium.
#[test]
fn who_joined_before_a_token_was_revoked_is_in_and_told_of() {
    let mut net = Net::home();
    run(&mut net, 10);
    let token = token(&mut net, 1, 3600);
    run(&mut net, 10);
    let device = net.add(start("jis:new:a", 20, 0, |_| ()), 20);
    net.begin(device, &Operation::Join { token: &token, path: Path::to(addr(1)) });
    while net.node(0).join_tokens().all(|token| token.used == 0) {
        assert!(net.turn());
    }
    net.node(0).revoke_join_token(&token.id()).unwrap();
    run(&mut net, 6_000);
    assert!(net.node(0).pins().get("jis:new:a").is_some());
    let told = net.members[0].news.iter().filter(|news| matches!(news, OverlayNews::Joined { .. })).count();
    assert_eq!(told, 1);
    assert!(net.node(0).rooms.overlay.as_ref().unwrap().unkept.is_empty());
}

/// The operator is told when a signed vouch is kept; of one that a ping brought nobody waits to hear.
#[test]
fn only_what_somebody_decided_is_told_when_it_is_kept() {
    let mut net = Net::home();
    run(&mut net, 10);
    let (signed, now) = (vouch(&net, 1, 3600), net.now);
    let (_, keeping) = net.node(1).accept_vouch(now, &signed).unwrap();
    let text = SignedVouch::read(&signed).unwrap().to_text();
    let payload = Members::new().text("vouch", &text).finish();
    let mut sensor = start("jis:field:000", 100, 0, |_| ());
    let ping = Ping { payload: Value::from_wire(&payload), ..Ping::new(PHONE, Path::to(addr(3)), VOUCH) };
    sensor.ping(now, &ping).unwrap();
    net.add(sensor, 90);
    net.members[2].kept.clear();
    run(&mut net, 100);
    assert_eq!(end(&net, 1, keeping), Some(Ok(())));
    assert_eq!((net.node(2).held_vouches().count(), net.members[2].kept.len()), (1, 0));
    let keeping = net.node(2).remove_signed_vouch(now, &[7; 16]).unwrap();
    run(&mut net, 10);
    assert_eq!(end(&net, 2, keeping), Some(Ok(())));
}
