//! Tokens that let in no more than they may.

use std::collections::BTreeMap;
use std::format;
use std::vec::Vec;

use super::tests::{NOW, at, public, rng};
use super::*;
use crate::Seed;

struct Hub {
    tokens: JoinTokens,
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

const HUB: &str = "jis:hub";

impl Hub {
    fn new() -> Self {
        Self { tokens: JoinTokens::new(4, &mut rng()), kept: BTreeMap::new() }
    }

    fn keep(&mut self, change: &TokenChange) {
        match change.record() {
            Some((key, Some(value))) => drop(self.kept.insert(key.to_vec(), value.to_vec())),
            Some((key, None)) => drop(self.kept.remove(key)),
            None => {}
        }
    }

    fn create(&mut self, seed: u64, uses: u32, ttl: u64) -> JoinToken {
        let mut rng = Seed::from_u64(seed).fork("token");
        let (token, change) = self.tokens.create(&mut rng, uses, NOW + ttl, 0.8).unwrap();
        self.keep(&change);
        token
    }

    fn join(&mut self, now: u64, token: &JoinToken, did: &str, key: u8) -> Result<Joined, JoinReject> {
        let join = Join { token: token.id(), did, key: public(key), nonce: [1; 16] };
        let challenge = self.tokens.challenge(at(now).mono, &join);
        let proof = token.prove(&join, &challenge);
        let joined = self.tokens.redeem(at(now), &join, &challenge, &proof, (HUB, &public(9)))?;
        assert!(token.is_hub(&join, &challenge, HUB, &public(9), &joined.answer));
        assert!(!token.is_hub(&join, &challenge, HUB, &public(8), &joined.answer), "another key is not the hub's");
        assert!(!token.is_hub(&join, &challenge, "jis:liar", &public(9), &joined.answer));
        Ok(joined)
    }

    fn restart(&mut self) {
        self.tokens = JoinTokens::new(4, &mut Seed::from_u64(99).fork("again"));
        for (key, value) in &self.kept {
            assert_eq!(self.tokens.restore(key, value), Ok(true));
        }
    }
}

#[test]
fn a_token_lets_in_as_many_as_it_may_while_it_lasts() {
    let mut hub = Hub::new();
    let token = hub.create(1, 2, 100);
    let text = token.to_text();
    let token = JoinToken::parse(&text).unwrap();
    for bad in ["", "sluis-join-", "x", &text[1..], &text[..text.len() - 1], &format!("{}A", *text)] {
        assert!(JoinToken::parse(bad).is_err(), "{bad}");
    }
    assert!(!format!("{token:?} {:?}", hub.tokens).contains(&text[20..30]));
    let joined = hub.join(0, &token, "jis:a", 1).unwrap();
    assert!(!joined.again && joined.trust == 0.8);
    hub.keep(&joined.change);
    hub.restart();
    assert!(hub.join(1, &token, "jis:a", 1).unwrap().again, "whose answer was lost asks again, and costs nothing");
    // A join that could not be written has not been one.
    let unwritten = hub.join(1, &token, "jis:b", 2).unwrap();
    assert!(hub.tokens.undo(&unwritten.change) && !hub.tokens.undo(&unwritten.change));
    let joined = hub.join(2, &token, "jis:c", 3).unwrap();
    hub.keep(&joined.change);
    for (did, key) in [("jis:b", 2), ("jis:a", 2), ("jis:d", 1)] {
        assert_eq!(hub.join(3, &token, did, key).unwrap_err(), JoinReject::UsedUp, "{did} with key {key}");
    }
    hub.restart();
    assert_eq!(hub.join(3, &token, "jis:b", 2).unwrap_err(), JoinReject::UsedUp);
    assert_eq!(hub.join(100, &token, "jis:a", 1).unwrap_err(), JoinReject::Expired);
    assert_eq!(hub.tokens.iter().map(|info| (info.uses, info.used)).collect::<Vec<_>>(), [(2, 2)]);
    let gone = hub.tokens.revoke(&token.id()).unwrap();
    hub.keep(&gone);
    assert!(hub.kept.is_empty() && hub.tokens.revoke(&token.id()).is_none());
    assert_eq!(hub.join(4, &token, "jis:a", 1).unwrap_err(), JoinReject::Unknown);
}

#[test]
fn a_proof_is_worth_something_for_its_device_its_challenge_and_its_time() {
    let mut hub = Hub::new();
    let (token, other) = (hub.create(1, 9, 1000), hub.create(2, 9, 1000));
    let join = Join { token: token.id(), did: "jis:a", key: public(1), nonce: [1; 16] };
    let challenge = hub.tokens.challenge(at(0).mono, &join);
    let proof = token.prove(&join, &challenge);
    let mut redeem = |now, join: &Join<'_>, challenge: &[u8; 32], proof: &[u8; 32]| {
        hub.tokens.redeem(at(now), join, challenge, proof, (HUB, &public(9))).map(|joined| joined.again)
    };
    for stolen in [
        Join { did: "jis:thief", ..join },
        Join { key: public(2), ..join },
        Join { nonce: [2; 16], ..join },
        Join { token: other.id(), ..join },
    ] {
        assert_eq!(redeem(0, &stolen, &challenge, &proof), Err(JoinReject::Challenge), "{stolen:?}");
    }
    assert_eq!(
        redeem(0, &join, &[0; 32], &token.prove(&join, &[0; 32])),
        Err(JoinReject::Challenge),
        "a challenge of his own"
    );
    assert_eq!(redeem(0, &join, &challenge, &other.prove(&join, &challenge)), Err(JoinReject::Proof));
    assert_eq!(redeem(60, &join, &challenge, &proof), Err(JoinReject::Challenge), "too late");
    assert_eq!(redeem(59, &join, &challenge, &proof), Ok(false));
    assert_eq!(redeem(59, &join, &challenge, &proof), Ok(true), "somebody who repeats it lets nobody else in");
}

#[test]
fn tokens_are_checked_when_they_are_made_and_restored() {
    let mut hub = Hub::new();
    let mut new = |uses, trust| hub.tokens.create(&mut rng(), uses, NOW, trust).map(|_| ());
    assert_eq!((new(0, 0.5), new(1001, 0.5)), (Err(NewTokenError::Uses), Err(NewTokenError::Uses)));
    assert_eq!((new(1, 1.5), new(1, f64::NAN)), (Err(NewTokenError::Trust), Err(NewTokenError::Trust)));
    let tokens: Vec<_> = (0..4).map(|seed| hub.create(seed, 1, 10)).collect();
    assert!(tokens.iter().all(|token| hub.kept.contains_key(&[&b"j"[..], &token.id()].concat())));
    assert_eq!(hub.tokens.create(&mut rng(), 1, NOW, 0.5).unwrap_err(), NewTokenError::TooMany(4));
    let (key, value) = hub.kept.iter().next().unwrap();
    for cut in 0..value.len() {
        assert_eq!(hub.tokens.restore(key, &value[..cut]), Err(RestoreTokenError), "{cut}");
    }
    assert_eq!(hub.tokens.restore(b"j0000", value), Err(RestoreTokenError));
    assert_eq!(hub.tokens.restore(b"p", value), Ok(false));
    // Two devices where one may be let in: damaged.
    let twice = [&value[..], &[0; 32]].concat();
    assert_eq!(hub.tokens.restore(key, &twice), Err(RestoreTokenError));
}
