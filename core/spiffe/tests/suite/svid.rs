//! X.509-SVIDs against the rules of their specification: one that keeps them all, and each rule broken alone.

use crate::common::{DRONE, Forge, HOUR, NOON, at, ca_params, key, moment, p256, private, rsa, svid_params, uri};
use rcgen::{BasicConstraints, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use sluis_spiffe::{Algorithm, MAX_CHAIN, SpiffeError, Svid, TrustBundles, Unfit};

fn unfit(error: SpiffeError) -> Unfit {
    match error {
        SpiffeError::Certificate { index: 0, unfit } => unfit,
        other => panic!("not about the leaf: {other}"),
    }
}

#[test]
fn every_kind_of_key_makes_an_svid() {
    let forge = Forge::new("fleet.example");
    let kinds = [
        (p256(), Algorithm::EcdsaP256),
        (key(&rcgen::PKCS_ECDSA_P384_SHA384), Algorithm::EcdsaP384),
        (key(&rcgen::PKCS_ED25519), Algorithm::Ed25519),
        (rsa(), Algorithm::RsaPss),
    ];
    for (key, algorithm) in kinds {
        let svid = forge.issue(&svid_params(DRONE), &key).unwrap_or_else(|e| panic!("{algorithm:?}: {e}"));
        assert_eq!(svid.algorithm(), algorithm);
        assert_eq!(svid.id().to_string(), DRONE);
        assert_eq!((svid.not_before(), svid.expires_at()), (at(NOON - HOUR), at(NOON + HOUR)));
        svid.check(&forge.bundles(), at(NOON)).expect("its root vouches for it");
        assert!(!format!("{svid:?}").contains(&format!("{:?}", key.serialize_der().get(20..40).expect("a key"))));
    }
}

#[test]
fn other_names_beside_the_uri_do_no_harm() {
    let forge = Forge::new("fleet.example");
    let mut params = svid_params(DRONE);
    params.subject_alt_names.push(SanType::DnsName("drone.fleet.example".try_into().expect("a DNS name")));
    forge.issue(&params, &p256()).expect("DNS names are allowed").check(&forge.bundles(), at(NOON)).expect("valid");
}

#[test]
fn exactly_one_uri_name() {
    let forge = Forge::new("fleet.example");
    let two = forge.refused(|params| params.subject_alt_names.push(uri("spiffe://fleet.example/drone/8")));
    assert_eq!(unfit(two), Unfit::UriNames(2));
    let foreign = forge.refused(|params| params.subject_alt_names.push(uri("https://fleet.example")));
    assert_eq!(unfit(foreign), Unfit::UriNames(2));
    assert_eq!(unfit(forge.refused(|params| params.subject_alt_names.clear())), Unfit::UriNames(0));
}

#[test]
fn the_name_is_a_spiffe_id_of_a_workload() {
    let forge = Forge::new("fleet.example");
    for wrong in
        ["https://fleet.example/drone", "spiffe://fleet.example/a//b", "spiffe://fleet.example/a/../b", "spiffe:///x"]
    {
        let error = unfit(forge.refused(|params| params.subject_alt_names = vec![uri(wrong)]));
        assert!(matches!(error, Unfit::NotSpiffe { .. }), "{wrong}: {error}");
    }
    let domain = forge.refused(|params| params.subject_alt_names = vec![uri("spiffe://fleet.example")]);
    assert!(matches!(unfit(domain), Unfit::NoPath(_)));
    let long = format!("spiffe://fleet.example/{}", "x".repeat(300));
    assert!(matches!(forge.refused(|params| params.subject_alt_names = vec![uri(&long)]), SpiffeError::IdTooLong(323)));
}

#[test]
fn a_leaf_signs_messages_and_no_certificates() {
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyAgreement, KeyCertSign, KeyEncipherment};
    let forge = Forge::new("fleet.example");
    let with = |usages: Vec<KeyUsagePurpose>| unfit(forge.refused(|params| params.key_usages = usages));
    assert_eq!(with(vec![]), Unfit::NoKeyUsage);
    assert_eq!(with(vec![KeyEncipherment]), Unfit::NoDigitalSignature);
    assert_eq!(with(vec![DigitalSignature, KeyCertSign]), Unfit::LeafMaySign);
    assert_eq!(with(vec![DigitalSignature, CrlSign]), Unfit::LeafMaySign);
    let ca = forge.refused(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(unfit(ca), Unfit::LeafIsCa);
    let one_end = forge.refused(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert_eq!(unfit(one_end), Unfit::ExtendedKeyUsage);

    let mut fine = svid_params(DRONE);
    fine.key_usages.extend([KeyEncipherment, KeyAgreement]);
    fine.extended_key_usages.clear();
    forge.issue(&fine, &p256()).expect("allowed").check(&forge.bundles(), at(NOON)).expect("valid");
}

#[test]
fn the_key_belongs_to_the_certificate() {
    let forge = Forge::new("fleet.example");
    let chain = forge.chain(&svid_params(DRONE), &p256());
    let wrong = Svid::from_der(chain.clone(), &private(&p256())).expect_err("another key");
    assert!(matches!(wrong, SpiffeError::WrongKey { .. }), "{wrong}");
    let kind = Svid::from_der(chain, &private(&key(&rcgen::PKCS_ED25519))).expect_err("another kind of key");
    assert!(matches!(kind, SpiffeError::Key(_)), "{kind}");
}

#[test]
fn valid_from_its_first_second_to_its_last() {
    let forge = Forge::new("fleet.example");
    let (svid, bundles) = (forge.svid(DRONE), forge.bundles());
    for (seconds, valid) in [(-HOUR - 1, false), (-HOUR, true), (0, true), (HOUR, true), (HOUR + 1, false)] {
        let found = svid.check(&bundles, at(NOON + seconds));
        assert_eq!(found.is_ok(), valid, "at {seconds}: {found:?}");
    }
    let expired = svid.check(&bundles, at(NOON + 2 * HOUR)).expect_err("expired").to_string();
    assert_eq!(expired, format!("the certificate of {DRONE} is not trusted: a certificate of its chain had expired"));
}

#[test]
fn an_intermediate_ends_a_chain_too() {
    let forge = Forge::changed("fleet.example", |params| params.not_after = moment(NOON + HOUR / 2));
    let (svid, bundles) = (forge.svid(DRONE), forge.bundles());
    svid.check(&bundles, at(NOON)).expect("valid");
    svid.check(&bundles, at(NOON + HOUR / 2 + 1)).expect_err("the intermediate has expired");
}

#[test]
fn only_the_roots_of_its_own_trust_domain_vouch() {
    let (fleet, mill) = (Forge::new("fleet.example"), Forge::new("mill.example"));
    let svid = fleet.svid(DRONE);
    assert!(matches!(svid.check(&mill.bundles(), at(NOON)), Err(SpiffeError::NoBundle { .. })));

    // An authority of another trust domain that issues for ours: both domains are trusted, each for itself.
    let impostor = mill.svid(DRONE);
    let mut both = fleet.bundles();
    both.add(None, &[mill.root.der().clone()]).expect("a root that names its domain");
    svid.check(&both, at(NOON)).expect("its own root");
    assert!(matches!(impostor.check(&both, at(NOON)), Err(SpiffeError::UnknownIssuer { .. })));
    // One that even calls itself as ours does.
    let twin = Forge::new("fleet.example").svid(DRONE).check(&both, at(NOON)).expect_err("another key").to_string();
    assert_eq!(twin, format!("the certificate of {DRONE} is not trusted: a signature in its chain is wrong"));
    assert_eq!(both.domains().collect::<Vec<_>>(), [("fleet.example", 1), ("mill.example", 1)]);
}

#[test]
fn who_signs_must_be_allowed_to() {
    let not_a_ca = Forge::changed("fleet.example", |params| params.is_ca = IsCa::ExplicitNoCa);
    let error = not_a_ca.issue(&svid_params(DRONE), &p256()).expect_err("no CA");
    assert!(matches!(error, SpiffeError::Certificate { index: 1, unfit: Unfit::SignerIsNoCa }), "{error}");
    let no_cert_sign =
        Forge::changed("fleet.example", |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    no_cert_sign.svid(DRONE).check(&no_cert_sign.bundles(), at(NOON)).expect_err("may not sign");
    let no_usage = Forge::changed("fleet.example", |params| params.key_usages.clear());
    no_usage.svid(DRONE).check(&no_usage.bundles(), at(NOON)).expect_err("does not say that it may sign");
    let workload = Forge::changed("fleet.example", |params| params.subject_alt_names = vec![uri(DRONE)]);
    workload.svid(DRONE).check(&workload.bundles(), at(NOON)).expect_err("a workload signs no certificates");
    let nameless = Forge::changed("fleet.example", |params| params.subject_alt_names.clear());
    nameless.svid(DRONE).check(&nameless.bundles(), at(NOON)).expect("signers need no ID");
}

#[test]
fn the_path_must_be_complete_and_not_too_long() {
    let forge = Forge::new("fleet.example");
    let (params, key) = (svid_params(DRONE), p256());
    let chain = forge.chain(&params, &key);
    let bare = Svid::from_der(chain.iter().take(1).cloned().collect(), &private(&key)).expect("a leaf alone");
    assert!(matches!(bare.check(&forge.bundles(), at(NOON)), Err(SpiffeError::UnknownIssuer { .. })));

    let long = core::iter::repeat_n(chain.last().expect("a leaf").clone(), MAX_CHAIN + 1).collect();
    assert!(matches!(Svid::from_der(long, &private(&key)), Err(SpiffeError::TooMany { .. })));
    assert!(matches!(Svid::from_der(Vec::new(), &private(&key)), Err(SpiffeError::Pem { .. })));

    let short = Forge::changed("fleet.example", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    short.svid(DRONE).check(&short.bundles(), at(NOON)).expect("nothing but leaves below it");
    let below = CertifiedIssuer::signed_by(ca_params("fleet.example", "below"), p256(), &short.issuer).expect("signed");
    let leaf = params.signed_by(&key, &below).expect("signed");
    let chain = vec![leaf.der().clone(), below.der().clone(), short.issuer.der().clone()];
    let deep = Svid::from_der(chain, &private(&key)).expect("an SVID");
    deep.check(&short.bundles(), at(NOON)).expect_err("one authority too many");
}

#[test]
fn roots_are_authorities_and_say_their_domain() {
    let forge = Forge::new("fleet.example");
    let mut bundles = TrustBundles::new();
    let leaf = forge.svid(DRONE).chain().first().expect("a leaf").clone();
    let error = bundles.add(Some("fleet.example"), &[leaf]).expect_err("a leaf is no root");
    assert!(matches!(error, SpiffeError::Certificate { index: 0, unfit: Unfit::SignerIsNoCa }), "{error}");

    let mut nameless = ca_params("fleet.example", "old root");
    nameless.subject_alt_names.clear();
    nameless.key_usages.clear();
    let nameless = CertifiedIssuer::self_signed(nameless, p256()).expect("a root");
    let roots = [nameless.der().clone()];
    assert!(matches!(bundles.add(None, &roots), Err(SpiffeError::NamelessBundle)));
    assert!(matches!(bundles.add(Some("not a name"), &roots), Err(SpiffeError::TrustDomain { .. })));
    assert!(bundles.is_empty());
    bundles.add(Some("spiffe://fleet.example"), &roots).expect("the operator names it");

    let mill = Forge::new("mill.example");
    let mixed = [forge.root.der().clone(), mill.root.der().clone()];
    assert!(matches!(bundles.add(None, &mixed), Err(SpiffeError::NamelessBundle)));

    // A root is rotated: for a while there are two. The same one twice is one.
    bundles.add(None, &[forge.root.der().clone()]).expect("a root");
    bundles.add(None, &[forge.root.der().clone()]).expect("the same");
    assert_eq!(bundles.domains().collect::<Vec<_>>(), [("fleet.example", 2)]);
}

#[test]
fn a_changed_certificate_is_refused_whatever_was_changed() {
    let forge = Forge::new("fleet.example");
    let (params, key) = (svid_params(DRONE), p256());
    let chain = forge.chain(&params, &key);
    let bundles = forge.bundles();
    for (which, der) in chain.iter().enumerate() {
        for at_byte in 0..der.len() {
            let mut bytes = der.to_vec();
            if let Some(byte) = bytes.get_mut(at_byte) {
                *byte ^= 1;
            }
            let mut changed = chain.clone();
            if let Some(place) = changed.get_mut(which) {
                *place = bytes.into();
            }
            let found = Svid::from_der(changed, &private(&key)).and_then(|svid| svid.check(&bundles, at(NOON)));
            assert!(found.is_err(), "certificate {which} byte {at_byte}");
        }
    }
}
