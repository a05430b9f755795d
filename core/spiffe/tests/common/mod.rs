//! A forge: certificates as they should be, and changed in one point each.
#![allow(dead_code, reason = "each test file uses a part")]

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SignatureAlgorithm,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sluis_core::Wall;
use sluis_spiffe::{SpiffeError, Svid, TrustBundles};
use time::OffsetDateTime;

/// 2025-01-15T12:00:00Z, the hour of every test.
pub(crate) const NOON: i64 = 1_736_942_400;
pub(crate) const HOUR: i64 = 3600;
pub(crate) const DRONE: &str = "spiffe://fleet.example/drone/7";

pub(crate) fn at(seconds: i64) -> Wall {
    Wall::from_micros(seconds * 1_000_000)
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).expect("ASCII"))
}

pub(crate) fn p256() -> KeyPair {
    key(&rcgen::PKCS_ECDSA_P256_SHA256)
}

pub(crate) fn key(kind: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(kind).expect("the system has randomness")
}

/// ring makes no RSA keys: this one was made by openssl, for tests and nothing else.
pub(crate) fn rsa() -> KeyPair {
    let der = PrivateKeyDer::from_pem_slice(include_bytes!("../fixtures/throwaway/rsa-2048.pem")).expect("a PEM key");
    KeyPair::from_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).expect("an RSA key")
}

/// Parameters of an SVID with nothing wrong, an hour before and after noon.
pub(crate) fn svid_params(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "workload");
    params.subject_alt_names = vec![uri(id)];
    params.not_before = moment(NOON - HOUR);
    params.not_after = moment(NOON + HOUR);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Parameters of an authority with nothing wrong, a day before and after noon.
pub(crate) fn ca_params(trust_domain: &str, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{name} of {trust_domain}"));
    params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))];
    params.not_before = moment(NOON - 24 * HOUR);
    params.not_after = moment(NOON + 24 * HOUR);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(crate) fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).expect("a year of four digits")
}

/// A root and an intermediate of one trust domain.
pub(crate) struct Forge {
    pub(crate) trust_domain: String,
    pub(crate) root: CertifiedIssuer<'static, KeyPair>,
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Forge {
    pub(crate) fn new(trust_domain: &str) -> Self {
        Self::changed(trust_domain, |_| {})
    }

    /// With something about the intermediate changed.
    pub(crate) fn changed(trust_domain: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let root = CertifiedIssuer::self_signed(ca_params(trust_domain, "root"), p256()).expect("a root");
        let mut params = ca_params(trust_domain, "intermediate");
        change(&mut params);
        let issuer = CertifiedIssuer::signed_by(params, p256(), &root).expect("an intermediate");
        Self { trust_domain: trust_domain.to_owned(), root, issuer }
    }

    pub(crate) fn bundles(&self) -> TrustBundles {
        let mut bundles = TrustBundles::new();
        bundles.add(Some(&self.trust_domain), &[self.root.der().clone()]).expect("a root");
        bundles
    }

    pub(crate) fn chain(&self, params: &CertificateParams, key: &KeyPair) -> Vec<CertificateDer<'static>> {
        let leaf = params.signed_by(key, &self.issuer).expect("a leaf");
        vec![leaf.der().clone(), self.issuer.der().clone()]
    }

    pub(crate) fn issue(&self, params: &CertificateParams, key: &KeyPair) -> Result<Svid, SpiffeError> {
        Svid::from_der(self.chain(params, key), &private(key))
    }

    pub(crate) fn svid(&self, id: &str) -> Svid {
        self.issue(&svid_params(id), &p256()).expect("an SVID")
    }

    /// What is wrong with an SVID that was changed.
    pub(crate) fn refused(&self, change: impl FnOnce(&mut CertificateParams)) -> SpiffeError {
        let mut params = svid_params(DRONE);
        change(&mut params);
        self.issue(&params, &p256()).expect_err("it breaks a rule")
    }
}

pub(crate) fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64ct::{Base64, Encoding as _};
    let text = Base64::encode_string(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
