//! Any bytes as an envelope.

use sluis_signal::envelope::{HEADER_LEN, Unverified};
use sluis_signal::key::SecretKey;
use sluis_signal::text::{received, survives};

/// Take it apart; what it says is signed with a key of ours and read again, and whatever bit is touched is found.
pub fn envelope(data: &[u8]) {
    let Ok(parsed) = Unverified::parse(data) else {
        assert!(data.len() < HEADER_LEN);
        return;
    };
    let content = *parsed.claimed();
    assert_eq!(content.envelope_len(), data.len());
    assert_eq!(survives(content.body), received(content.body).as_bytes() == content.body);
    if let Ok(verified) = parsed.verify() {
        assert_eq!((verified.content, verified.source.as_bytes()), (content, parsed.claimed_source()));
    }

    let key = SecretKey::from_bytes(&[1; 32]).expect("a key");
    let mut wire = vec![0; data.len()];
    assert_eq!(content.sign(&key, &mut wire), Ok(data.len()));
    let read = Unverified::parse(&wire).expect("an envelope").verify().expect("our signature");
    assert_eq!((read.source, read.content), (key.public(), content));
    // Which bit is up to the sum of all bytes.
    let sum = data.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let at = sum / 8 % wire.len();
    if let Some(byte) = wire.get_mut(at) {
        *byte ^= 1 << (sum % 8);
    }
    assert!(Unverified::parse(&wire).expect("as long as before").verify().is_err());
}
