//! Envelopes and the statements in them.

use std::sync::OnceLock;

use sluis_chain::export::{Envelope, Statement};
use sluis_core::identity::{PublicKey, SecretKey};

/// The keys that the corpus was signed with.
fn keys() -> &'static [PublicKey; 2] {
    static KEYS: OnceLock<[PublicKey; 2]> = OnceLock::new();
    KEYS.get_or_init(|| [1, 2].map(|n| SecretKey::from_seed(&[n; 32]).public()))
}

/// An envelope that can be read is written so that it is read as the same; whatever its key ids say, only what was
/// signed is verified; and a statement that is ours is what its own lines make.
pub fn attestation(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    statement(data);
    let Ok(envelope) = Envelope::parse(text) else { return };
    let written = envelope.to_json();
    assert_eq!(Envelope::parse(&written).as_ref(), Ok(&envelope), "{written}");
    let Ok(verified) = envelope.verify(keys(), 1) else { return };
    assert!(!verified.signers().is_empty());
    // The same payload signed by the same keys holds too: a signature says nothing but that.
    let mut again = Envelope::new(verified.payload_type(), verified.payload());
    for signer in verified.signers() {
        let secret = [1, 2].map(|n| SecretKey::from_seed(&[n; 32])).into_iter().find(|key| key.public() == *signer);
        again.sign(&secret.expect("one of ours")).expect("a key in memory");
    }
    assert_eq!(again.verify(keys(), verified.signers().len()).expect("signed").signers(), verified.signers());
    statement(verified.payload());
}

fn statement(payload: &[u8]) {
    let Ok(found) = Statement::read(payload, None) else { return };
    assert_eq!(found.as_json().as_bytes(), payload);
    let lines = found.lines().iter().map(String::as_str);
    assert_eq!(Statement::of(lines, Some(found.workload()), None).as_ref(), Ok(&found));
    assert!(!found.subjects().is_empty());
    let names: std::collections::BTreeSet<_> = found.subjects().iter().map(|subject| &subject.name).collect();
    assert_eq!(names.len(), found.subjects().len(), "names are unique");
}
