//! Vouches as they are signed, and who may vouch for whom.

use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::airlock::{TrustConfig, TrustTable};
use crate::identity::{PublicKey, SecretKey, Statement};
use crate::pins::{Origin, PinConfig, Pins};
use crate::seed::{Seed, SipKey};

const NOW: u64 = 1_764_400_000;

fn hash() -> SipKey {
    Seed::from_u64(5).fork("test").sip_key()
}

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn public(n: u8) -> PublicKey {
    secret(n).public()
}

fn at(seconds: u64) -> Wall {
    Wall::from_secs(NOW + seconds)
}

fn draft<'a>(id: u8, voucher: &'a str, named: &'a [(&'a str, PublicKey)]) -> VouchDraft<'a> {
    VouchDraft { id: [id; 16], voucher, issued: NOW, expires: NOW + 100, factor: 500, depth: 0, named }
}

/// A node that trusts `jis:hub`, whose key is the first, with 0.8.
struct World {
    vouches: SignedVouches,
    pins: Pins,
    trust: TrustTable,
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let (mut pins, mut trust) =
            (Pins::new(PinConfig::default(), hash()), TrustTable::new(TrustConfig::default(), hash()));
        let _ = pins.pin("jis:hub", public(1), Origin::Operator, NOW).unwrap();
        trust.set("jis:hub", 0.8).unwrap();
        let vouches = SignedVouches::new(VouchConfig::default(), hash());
        Self { vouches, pins, trust, kept: BTreeMap::new() }
    }

    fn accept(&mut self, now: u64, bytes: &[u8]) -> Result<(), AcceptError> {
        let change = self.vouches.accept(at(now), &SignedVouch::read(bytes).unwrap(), &self.pins, &self.trust)?;
        self.keep(&[change]);
        Ok(())
    }

    fn keep(&mut self, changes: &[VouchChange]) {
        for (key, value) in changes.iter().filter_map(|change| change.record()) {
            match value {
                Some(value) => drop(self.kept.insert(key.to_vec(), value.to_vec())),
                None => drop(self.kept.remove(key)),
            }
        }
    }

    fn lent(&self, now: u64, did: &str, key: u8) -> Option<f64> {
        self.vouches.trust_for(did, public(key), at(now)).map(|(trust, _)| trust)
    }

    /// As after a restart.
    fn restart(&mut self, now: u64, reversed: bool) {
        self.vouches = SignedVouches::new(VouchConfig::default(), hash());
        let mut kept: Vec<_> = self.kept.iter().collect();
        if reversed {
            kept.reverse();
        }
        for (key, value) in kept {
            assert_eq!(self.vouches.restore(at(now), key, value), Ok(true));
        }
    }
}

#[test]
fn one_hub_brings_in_fifty_sensors_with_their_keys() {
    let mut world = World::new();
    let names: Vec<String> = (0..50).map(|n| format!("jis:sensor-{n:02}")).collect();
    let named: Vec<_> = names.iter().map(|name| (name.as_str(), public(2))).collect();
    let bytes = draft(1, "jis:hub", &named).sign(&secret(1)).unwrap();
    let vouch = SignedVouch::read(&bytes).unwrap();
    assert!(vouch.named().eq(named.iter().copied()));
    assert_eq!(SignedVouch::from_text(&vouch.to_text()), Some(bytes.clone()));
    world.accept(0, &bytes).unwrap();
    world.accept(1, &bytes).unwrap();
    for name in &names {
        assert_eq!((world.lent(0, name, 2), world.lent(0, name, 3)), (Some(0.4), None), "with this key alone");
    }
    assert_eq!((world.lent(100, &names[0], 2), world.lent(101, &names[0], 2)), (Some(0.4), None), "while it lasts");
    world.restart(50, false);
    assert_eq!(world.lent(50, &names[49], 2), Some(0.4));
    let gone = world.vouches.expire(at(101));
    world.keep(&gone);
    assert!(world.kept.is_empty() && world.vouches.iter().next().is_none());
}

#[test]
fn only_who_may_vouch_does() {
    let mut world = World::new();
    let named = [("jis:a", public(2))];
    let by = |key, draft: VouchDraft<'_>| draft.sign(&secret(key)).unwrap();
    assert_eq!(world.accept(0, &by(9, draft(1, "jis:hub", &named))), Err(AcceptError::OtherKey), "not the hub's key");
    assert_eq!(world.accept(0, &by(9, draft(1, "jis:stranger", &named))), Err(AcceptError::NotAllowed));
    world.trust.set("jis:legacy", 1.0).unwrap();
    assert_eq!(
        world.accept(0, &by(9, draft(1, "jis:legacy", &named))),
        Err(AcceptError::NotAllowed),
        "trusted, without a key"
    );
    assert_eq!(world.accept(101, &by(1, draft(1, "jis:hub", &named))), Err(AcceptError::Expired));
    let early = VouchDraft { issued: NOW + 61, ..draft(1, "jis:hub", &named) };
    assert_eq!(world.accept(0, &by(1, early)), Err(AcceptError::Future));
    world.accept(0, &by(1, draft(1, "jis:hub", &named))).unwrap();
    // Who is vouched for does not vouch.
    let more = [("jis:b", public(3))];
    assert_eq!(world.accept(0, &by(2, draft(2, "jis:a", &more))), Err(AcceptError::NotAllowed));
    // One that names more takes its place; an older one does not come back.
    let both = [named[0], more[0]];
    world.accept(1, &by(1, VouchDraft { issued: NOW + 1, ..draft(1, "jis:hub", &both) })).unwrap();
    assert_eq!(world.lent(1, "jis:b", 3), Some(0.4));
    assert_eq!(world.accept(1, &by(1, draft(1, "jis:hub", &named))), Err(AcceptError::Stale));
}

#[test]
fn vouching_goes_as_deep_as_is_allowed_and_ends_with_its_ground() {
    let mut world = World::new();
    let (a, b, c) = ([("jis:a", public(2))], [("jis:b", public(3))], [("jis:c", public(4))]);
    let first = VouchDraft { depth: 1, ..draft(1, "jis:hub", &a) }.sign(&secret(1)).unwrap();
    let second = VouchDraft { depth: 2, expires: NOW + 5000, ..draft(2, "jis:a", &b) }.sign(&secret(2)).unwrap();
    let third = draft(3, "jis:b", &c).sign(&secret(3)).unwrap();
    assert_eq!(world.accept(0, &second), Err(AcceptError::NotAllowed), "its ground is not there yet");
    world.accept(0, &first).unwrap();
    world.accept(0, &second).unwrap();
    assert_eq!((world.lent(0, "jis:a", 2), world.lent(0, "jis:b", 3)), (Some(0.4), Some(0.2)));
    assert_eq!(
        world.accept(0, &third),
        Err(AcceptError::NotAllowed),
        "one level was allowed, whatever the second says"
    );
    assert_eq!(world.lent(101, "jis:b", 3), None, "no longer than its ground");
    world.restart(0, true);
    assert_eq!(world.lent(0, "jis:b", 3), Some(0.2));

    let revocation = |key| VouchRevocation::read(&VouchRevocation::sign([1; 16], NOW, &secret(key)).unwrap()).unwrap();
    assert_eq!(world.vouches.revoke(at(0), &revocation(2)).unwrap_err(), AcceptError::OtherKey, "another's vouch");
    let gone = world.vouches.revoke(at(0), &revocation(1)).unwrap();
    world.keep(&gone);
    for reversed in [false, true] {
        assert_eq!((world.lent(0, "jis:a", 2), world.lent(0, "jis:b", 3)), (None, None));
        assert_eq!(world.accept(0, &first), Err(AcceptError::Revoked));
        world.restart(0, reversed);
    }
    assert_eq!(world.vouches.revoke(at(0), &revocation(1)).unwrap_err(), AcceptError::Unknown);
}

#[test]
fn what_the_operator_decides_counts_for_vouches_that_are_there() {
    let mut world = World::new();
    let (a, b) = ([("jis:a", public(2))], [("jis:b", public(3))]);
    world.accept(0, &VouchDraft { depth: 1, ..draft(2, "jis:hub", &a) }.sign(&secret(1)).unwrap()).unwrap();
    world.accept(0, &draft(1, "jis:a", &b).sign(&secret(2)).unwrap()).unwrap();
    world.trust.set("jis:hub", 0.4).unwrap();
    let changes = world.vouches.refresh(at(0), &world.pins, &world.trust);
    world.keep(&changes);
    assert_eq!((world.lent(0, "jis:a", 2), world.lent(0, "jis:b", 3)), (Some(0.2), Some(0.1)));
    world.restart(0, false);
    assert_eq!(world.lent(0, "jis:b", 3), Some(0.1));
    let _ = world.pins.retire(&Statement::revocation(&secret(1), NOW).unwrap(), true).unwrap();
    let changes = world.vouches.refresh(at(0), &world.pins, &world.trust);
    world.keep(&changes);
    assert_eq!((world.lent(0, "jis:a", 2), world.lent(0, "jis:b", 3), world.kept.len()), (None, None, 0));
}

#[test]
fn what_could_not_be_written_is_undone_and_caps_hold() {
    let mut world = World::new();
    world.vouches = SignedVouches::new(VouchConfig { max_vouches: 1, ..VouchConfig::default() }, hash());
    let named = [("jis:a", public(2))];
    let bytes = draft(1, "jis:hub", &named).sign(&secret(1)).unwrap();
    let change = world.vouches.accept(at(0), &SignedVouch::read(&bytes).unwrap(), &world.pins, &world.trust).unwrap();
    let more = draft(2, "jis:hub", &named).sign(&secret(1)).unwrap();
    assert_eq!(world.accept(0, &more), Err(AcceptError::Table(VouchError::TooMany(1))));
    assert!(world.vouches.undo(&change) && !world.vouches.undo(&change));
    assert_eq!(world.lent(0, "jis:a", 2), None);
    world.accept(0, &more).unwrap();
    let (key, value) = world.kept.iter().next().unwrap();
    for cut in 0..value.len() {
        assert!(world.vouches.restore(at(0), key, &value[..cut]).is_err());
    }
    assert_eq!(world.vouches.restore(at(0), b"p", b""), Ok(false));
}

#[test]
fn what_cannot_be_said_is_refused_when_it_is_made() {
    let one = [("jis:a", public(2))];
    let many: Vec<String> = (0..65).map(|n| format!("jis:{n}")).collect();
    let many: Vec<_> = many.iter().map(|did| (did.as_str(), public(2))).collect();
    let long: Vec<String> = (0..40).map(|n| format!("{n:0>256}")).collect();
    let long: Vec<_> = long.iter().map(|did| (did.as_str(), public(2))).collect();
    for (why, bad) in [
        ("nobody", draft(1, "jis:hub", &[])),
        ("too many", draft(1, "jis:hub", &many)),
        ("twice", draft(1, "jis:hub", &[one[0], one[0]])),
        ("too long", draft(1, "jis:hub", &long)),
        ("more than all", VouchDraft { factor: 1001, ..draft(1, "jis:hub", &one) }),
        ("too deep", VouchDraft { depth: MAX_DEPTH, ..draft(1, "jis:hub", &one) }),
        ("no time", VouchDraft { expires: NOW, ..draft(1, "jis:hub", &one) }),
        ("no voucher", draft(1, "", &one)),
    ] {
        assert!(bad.sign(&secret(1)).is_err(), "{why}");
    }
}

proptest! {
    #[test]
    fn a_vouch_that_was_changed_anywhere_is_none(at in any::<prop::sample::Index>(), bit in 0..8_u32, revocation in any::<bool>()) {
        let named = [("jis:a", public(2)), ("jis:b", public(3))];
        let mut bytes = if revocation {
            VouchRevocation::sign([7; 16], NOW, &secret(1)).unwrap()
        } else {
            draft(1, "jis:hub", &named).sign(&secret(1)).unwrap()
        };
        let cut = at.index(bytes.len());
        prop_assert!(SignedVouch::read(&bytes[..cut]).is_err() && VouchRevocation::read(&bytes[..cut]).is_err());
        bytes[cut] ^= 1 << bit;
        prop_assert!(SignedVouch::read(&bytes).is_err() && VouchRevocation::read(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_a_vouch_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (SignedVouch::read(&bytes), VouchRevocation::read(&bytes));
    }
}
