use std::format;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::{Expiry, Vouch, VouchConfig, VouchError, VouchRegistry, VouchStats};
use crate::airlock::{Source, Standing, TrustConfig, TrustTable};
use crate::did::DidError;
use crate::seed::{Seed, SipKey};
use crate::time::Wall;

fn key() -> SipKey {
    Seed::from_u64(5).fork("test").sip_key()
}

#[test]
fn what_the_operator_set_beats_vouches() {
    let (wall, mut known) = (Wall::from_micros(0), TrustTable::new(TrustConfig::default(), key()));
    let mut vouches = VouchRegistry::new(VouchConfig::default(), key());
    let of =
        |known: &TrustTable, vouches: &VouchRegistry| Standing::of_name(key().name("a"), known, Some(vouches), wall);
    assert_eq!(of(&known, &vouches), Standing { trust: 0.0, source: Source::Unknown });
    vouches.add(&vouch("v", &["a"], Expiry::Never), wall).unwrap();
    assert_eq!(of(&known, &vouches), Standing { trust: 0.5, source: Source::Vouched { count: 1 } });
    known.set("a", 0.0).unwrap();
    assert_eq!(of(&known, &vouches), Standing { trust: 0.0, source: Source::Known });
}

fn vouch<'a>(id: &'a str, vouched: &'a [&'a str], expires: Expiry) -> Vouch<'a> {
    Vouch { id, voucher_did: "jis:hub", voucher_trust: 1.0, factor: 0.5, vouched, expires }
}

proptest! {
    /// A registry beside a plain list of vouches.
    #[test]
    fn a_registry_is_a_list_of_vouches(
        ops in prop::collection::vec((any::<bool>(), 0..6u8, prop::collection::vec(0..5u8, 0..5), 0.0..1.0f64, 0..20i64), 0..80)
    ) {
        let names = ["a", "b", "c", "d", "e"];
        let mut registry = VouchRegistry::new(VouchConfig::default(), key());
        let mut model: Vec<(String, Vec<&str>, f64, i64)> = Vec::new();
        for (now, (add, id, who, factor, until)) in (0..).zip(ops) {
            let (id, wall) = (format!("v{id}"), Wall::from_micros(now));
            let who: Vec<&str> = who.iter().map(|n| names[usize::from(*n)]).collect();
            let had = model.iter().position(|(other, ..)| *other == id).map(|at| model.remove(at)).is_some();
            if add {
                let expires = Expiry::After(Wall::from_micros(now + until));
                let vouch = Vouch { voucher_trust: 0.8, factor, ..vouch(&id, &who, expires) };
                prop_assert!(registry.add(&vouch, wall).is_ok());
                model.push((id, who, 0.8 * factor, now + until));
            } else {
                prop_assert_eq!(registry.revoke(&id), had);
            }
            for did in names {
                let loans = model.iter().flat_map(|(id, who, t, until)| who.iter().map(move |w| (id, *w, *t, *until)));
                let active: Vec<_> = loans.filter(|(_, who, _, until)| *who == did && *until >= now).collect();
                let best = active.iter().map(|(_, _, trust, _)| *trust).fold(0.0, f64::max);
                let expected = (best > 0.0).then_some((best, u32::try_from(active.len()).unwrap()));
                prop_assert_eq!(registry.trust_for(did, wall), expected);
                let ids = registry.active_for(did, wall).map(|(id, _)| id);
                prop_assert!(ids.eq(active.iter().map(|(id, ..)| id.as_str())));
            }
            let stats = VouchStats {
                total: model.len(),
                active: model.iter().filter(|(.., until)| *until >= now).count(),
                devices: names.iter().filter(|did| model.iter().any(|(_, who, ..)| who.contains(did))).count(),
            };
            prop_assert_eq!(registry.stats(wall), stats);
        }
    }
}

#[test]
fn wrong_vouches_are_refused_and_change_nothing() {
    let wall = Wall::from_micros(0);
    let config = VouchConfig { max_vouches: 3, max_vouched: 6, max_for_one: 2, ..VouchConfig::default() };
    let mut registry = VouchRegistry::new(config, key());
    let good = vouch("v1", &["a"], Expiry::Never);
    for value in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let refused = registry.add(&Vouch { factor: value, ..good }, wall);
        assert_eq!(refused, Err(VouchError::OutOfRange("factor")));
        let refused = registry.add(&Vouch { voucher_trust: value, ..good }, wall);
        assert_eq!(refused, Err(VouchError::OutOfRange("voucher_trust")));
    }
    assert_eq!(registry.add(&Vouch { id: "", ..good }, wall), Err(VouchError::Id(0)));
    assert_eq!(registry.add(&Vouch { voucher_did: "", ..good }, wall), Err(VouchError::Did(DidError::Empty)));
    assert_eq!(registry.add(&vouch("v", &["a", ""], Expiry::Never), wall), Err(VouchError::Did(DidError::Empty)));
    assert_eq!(registry.heap_bytes(), 0);
    registry.add(&good, wall).unwrap();
    registry.add(&vouch("v2", &["a", "b", "b"], Expiry::Never), wall).unwrap();
    assert_eq!(registry.add(&vouch("v3", &["a"], Expiry::Never), wall), Err(VouchError::TooManyForOne(2)));
    // The one it replaces does not count.
    registry.add(&good, wall).unwrap();
    let many = ["c", "d", "e"];
    assert_eq!(registry.add(&vouch("v3", &many, Expiry::Never), wall), Err(VouchError::TooManyVouched(6)));
    registry.add(&vouch("v3", &["c"], Expiry::Never), wall).unwrap();
    assert_eq!(registry.add(&vouch("v4", &[], Expiry::Never), wall), Err(VouchError::TooMany(3)));
    assert_eq!(registry.stats(wall), VouchStats { total: 3, active: 3, devices: 3 });
    assert_eq!(registry.trust_for("a", wall), Some((0.5, 2)));
}

#[test]
fn expired_vouches_make_room() {
    let config = VouchConfig { max_vouches: 10, ..VouchConfig::default() };
    let mut registry = VouchRegistry::new(config, key());
    for n in 0..1000 {
        let (id, did, wall) = (format!("v{n}"), format!("d{n}"), Wall::from_micros(n));
        let expires = Expiry::After(Wall::from_micros(n + 5));
        registry.add(&vouch(&id, &[&did], expires), wall).unwrap();
        assert!(registry.stats(wall).total <= 10);
        assert_eq!(registry.trust_for(&did, wall), Some((0.5, 1)));
    }
}

#[test]
fn the_registry_never_passes_its_byte_cap() {
    let config = VouchConfig { max_bytes: 300_000, ..VouchConfig::default() };
    let (mut registry, wall) = (VouchRegistry::new(config, key()), Wall::from_micros(0));
    for n in 0.. {
        let dids: Vec<String> = (0..20).map(|d| format!("jis:home:device:{n}:{d}")).collect();
        let dids: Vec<&str> = dids.iter().map(String::as_str).collect();
        let added = registry.add(&vouch(&format!("v{n}"), &dids, Expiry::Never), wall);
        assert!(registry.heap_bytes() <= config.max_bytes);
        if added.is_err() {
            assert_eq!(added, Err(VouchError::TooLarge(config.max_bytes)));
            assert!(n > 20, "{n}");
            break;
        }
    }
}
