//! What strangers say about who is where: records, vouches, beacons; and what operators load: patterns, tokens.

use sluis_core::airlock::{SignedVouch, VouchDraft, VouchRevocation};
use sluis_core::data::Value;
use sluis_core::discovery::{Beacon, JoinToken, Pattern};
use sluis_core::identity::SecretKey;
use sluis_core::registry::{Draft, Record, Unverified};

/// The first byte says what the rest is.
pub fn overlay(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 5 {
        0 => record(rest),
        1 => vouch(rest),
        2 => beacon(rest),
        3 => pattern(rest),
        _ => token(rest),
    }
}

fn ours() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

/// There is one form: what can be read, and is said again by another key, differs in key and signature alone. And whatever bit is touched is found.
fn record(data: &[u8]) {
    let Ok(parsed) = Unverified::parse(data) else {
        assert!(Record::read(data).is_err());
        return;
    };
    let claims = *parsed.claims();
    let (endpoints, capabilities): (Vec<_>, Vec<_>) = (claims.endpoints().collect(), claims.capabilities().collect());
    let (pods, stations): (Vec<_>, Vec<_>) = (claims.pods().collect(), claims.stations().collect());
    let metadata: Vec<_> = claims.metadata().collect();
    let draft = Draft {
        did: claims.did,
        seq: claims.seq,
        issued: claims.issued,
        expires: claims.expires,
        behind_nat: claims.behind_nat,
        role: claims.role,
        endpoints: &endpoints,
        capabilities: &capabilities,
        pods: &pods,
        stations: &stations,
        metadata: &metadata,
    };
    let mut buf = [0; Record::MAX_LEN];
    let again = draft.sign(&ours(), &mut buf).expect("what was read can be said").as_bytes().to_vec();
    assert_eq!(again.len(), data.len());
    let same = |range: core::ops::Range<usize>| assert_eq!(again.get(range.clone()), data.get(range));
    same(0..8);
    same(40..data.len() - 64);
    touched(&again, data, |bytes| Record::read(bytes).is_ok());
}

/// Touch a bit that depends on all of the data: it is found.
fn touched(signed: &[u8], data: &[u8], reads: impl Fn(&[u8]) -> bool) {
    let mut bytes = signed.to_vec();
    let sum = data.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let at = sum / 8 % bytes.len();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << (sum % 8);
    }
    assert!(reads(signed) && !reads(&bytes));
}

/// Any bytes as a vouch and as a revocation; and one of ours for the lines of a text.
fn vouch(data: &[u8]) {
    for read in [SignedVouch::read(data).map(|vouch| vouch.as_bytes().to_vec())].into_iter().flatten() {
        assert_eq!(read, data);
    }
    if VouchRevocation::read(data).is_ok() {
        assert_eq!(data.len(), VouchRevocation::LEN);
    }
    let text = String::from_utf8_lossy(data);
    let named: Vec<_> = text.lines().map(|did| (did, ours().public())).collect();
    let draft =
        VouchDraft { voucher: "jis:hub", issued: 1, expires: 2, factor: 700, named: &named, ..VouchDraft::default() };
    let Ok(signed) = draft.sign(&ours()) else { return };
    let vouch = SignedVouch::read(&signed).expect("our own");
    let mut sorted = named.clone();
    sorted.sort_unstable();
    assert!(vouch.named().eq(sorted));
    assert_eq!(SignedVouch::from_text(&vouch.to_text()).as_deref(), Some(&*signed));
    touched(&signed, data, |bytes| SignedVouch::read(bytes).is_ok());
}

fn beacon(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Ok(value) = Value::from_json(text) else { return };
    let Ok(beacon) = Beacon::read(value) else { return };
    assert!(value.is_object() && beacon.port != Some(0));
    assert!(beacon.capabilities().count() <= 32 && beacon.wants().count() <= 32);
    assert!(beacon.capabilities().chain(beacon.wants()).all(|text| text.len() <= 256));
}

/// A pattern that does not ask where a text ends matches also what is longer.
fn pattern(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let (pattern, value) = text.split_once('\0').unwrap_or((text, ""));
    let Ok(compiled) = Pattern::new(pattern) else { return };
    let found = compiled.matches(value);
    if found && !pattern.contains(['$', '\\']) {
        assert!(compiled.matches(&format!("{value}x")), "{pattern:?} {value:?}");
    }
}

fn token(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(token) = JoinToken::parse(text) {
        assert_eq!(token.to_text().as_str(), text);
    }
}
