//! Handshakes against the published vectors, and against whoever carries the messages.

use crate::common::{Json, unhex};
use proptest::prelude::*;
use sluis_core::Seed;
use sluis_core::noise::{
    Curve as _, Finished, Handshake, MAX_MESSAGE, NoiseError, Pattern, Role, TAG_LEN, X25519, X25519Public,
    X25519Secret,
};

const PATTERNS: [(Pattern, &str); 3] = [(Pattern::Xx, "XX"), (Pattern::Ik, "IK"), (Pattern::Xk, "XK")];

/// Both sides, with the secrets that their calls borrow.
struct Pair {
    secrets: [X25519Secret; 2],
    sides: [Handshake<X25519>; 2],
}

impl Pair {
    fn new(pattern: Pattern, prologue: &[u8], secrets: [X25519Secret; 2], ephemerals: [X25519Secret; 2]) -> Self {
        let [a, b] = ephemerals;
        let remote = pattern.needs_remote().then(|| X25519::public(&secrets[1]));
        let a = Handshake::initiator(pattern, prologue, remote, a).unwrap();
        let b = Handshake::responder(pattern, prologue, &secrets[1], b);
        assert_eq!([a.role(), b.role()], [Role::Initiator, Role::Responder]);
        Self { secrets, sides: [a, b] }
    }

    fn of(pattern: Pattern, seed: u64) -> Self {
        let mut rng = Seed::from_u64(seed).fork("keys");
        let mut key = || X25519::generate(&mut rng);
        Self::new(pattern, b"test", [key(), key()], [key(), key()])
    }

    /// Who writes next.
    fn writer(&self) -> Option<usize> {
        let turns = [self.sides[0].is_our_turn(), self.sides[1].is_our_turn()];
        assert!(turns != [true; 2]);
        turns.iter().position(|turn| *turn)
    }

    fn write(&mut self, who: usize, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; MAX_MESSAGE];
        let expected = self.sides[who].message_len(payload.len()).unwrap();
        let len = self.sides[who].write(&self.secrets[who], payload, &mut out).unwrap();
        assert_eq!(len, expected);
        out.truncate(len);
        out
    }

    fn read(&mut self, who: usize, message: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let mut out = vec![0; message.len()];
        let len = self.sides[who].read(&self.secrets[who], message, &mut out)?;
        out.truncate(len);
        Ok(out)
    }

    /// Go to the end with these payloads.
    fn run(mut self, payload: &[u8]) -> [Finished<X25519>; 2] {
        while let Some(who) = self.writer() {
            let message = self.write(who, payload);
            assert_eq!(self.read(1 - who, &message).unwrap(), payload);
        }
        self.sides.map(|side| side.finish().unwrap())
    }
}

fn secret(row: &Json, name: &str) -> X25519Secret {
    X25519Secret::from_bytes(&bytes(row, name).try_into().unwrap())
}

fn bytes(row: &Json, name: &str) -> Vec<u8> {
    unhex(row.get(name).and_then(Json::str).unwrap_or_else(|| panic!("no {name}")))
}

#[test]
fn the_published_vectors_hold_byte_for_byte() {
    let text = include_str!("../fixtures/noise/cacophony.jsonl");
    let mut seen = Vec::new();
    for line in text.lines() {
        let row: Json = serde_json::from_str(line).unwrap();
        let name = row.get("protocol_name").and_then(Json::str).unwrap();
        let (pattern, short) =
            PATTERNS.into_iter().find(|(_, short)| name == format!("Noise_{short}_25519_ChaChaPoly_SHA256")).unwrap();
        seen.push(short);
        let secrets = [secret(&row, "init_static"), secret(&row, "resp_static")];
        if pattern.needs_remote() {
            assert_eq!(bytes(&row, "init_remote_static"), X25519::public(&secrets[1]).to_bytes());
        }
        let ephemerals = [secret(&row, "init_ephemeral"), secret(&row, "resp_ephemeral")];
        let mut pair = Pair::new(pattern, &bytes(&row, "init_prologue"), secrets, ephemerals);
        let Some(Json::Array(messages)) = row.get("messages") else { panic!("no messages") };
        let mut transport = messages.iter();
        while let Some(who) = pair.writer() {
            let message = transport.next().unwrap();
            let (payload, cipher) = (bytes(message, "payload"), bytes(message, "ciphertext"));
            assert_eq!(pair.write(who, &payload), cipher, "{name}");
            assert_eq!(pair.read(1 - who, &cipher).unwrap(), payload);
        }
        let done = messages.len() - transport.len();
        let ends = pair.sides.map(|side| side.finish().unwrap());
        assert!(ends.iter().all(|end| end.hash[..] == bytes(&row, "handshake_hash")), "{name}");
        let mut counters = [0; 2];
        for (n, message) in transport.enumerate() {
            let who = (done + n) % 2;
            let (payload, cipher) = (bytes(message, "payload"), bytes(message, "ciphertext"));
            let mut text = payload.clone();
            let tag = ends[who].send.seal(counters[who], b"", &mut text).unwrap();
            assert_eq!([&text[..], &tag].concat(), cipher, "{name}");
            ends[1 - who].receive.open(counters[who], b"", &mut text, &tag).unwrap();
            assert_eq!(text, payload);
            counters[who] += 1;
        }
        assert!(counters != [0; 2]);
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn each_side_learns_who_the_other_is() {
    for (pattern, name) in PATTERNS {
        let pair = Pair::of(pattern, 7);
        let publics = [X25519::public(&pair.secrets[0]), X25519::public(&pair.secrets[1])];
        let [a, b] = pair.run(b"payload");
        assert_eq!((a.remote, b.remote, a.hash), (publics[1], publics[0], b.hash), "{name}");
    }
}

#[test]
fn a_message_that_was_touched_changes_nothing() {
    for (pattern, name) in PATTERNS {
        let mut pair = Pair::of(pattern, 1);
        let mut step = 0;
        while let Some(who) = pair.writer() {
            let payload = b"which part of it is touched";
            let message = pair.write(who, payload);
            let before = *pair.sides[1 - who].hash();
            // The first message of XX has no key yet: whatever is said there is found out with the second.
            let open = name == "XX" && step == 0;
            for at in 0..message.len() {
                for bit in [0x01, 0x80] {
                    let mut touched = message.clone();
                    touched[at] ^= bit;
                    if !open {
                        // Byte 31 bit 7 of an X25519 key is not looked at by the curve, but hashed all the same.
                        assert!(pair.read(1 - who, &touched).is_err(), "{name} message {step} byte {at}");
                    }
                }
            }
            for cut in 0..if open { 32 } else { message.len() } {
                assert!(pair.read(1 - who, &message[..cut]).is_err(), "{name} message {step} cut at {cut}");
            }
            if !open {
                assert!(pair.read(1 - who, &[&message[..], b"x"].concat()).is_err());
            }
            assert_eq!(*pair.sides[1 - who].hash(), before);
            assert_eq!(pair.read(1 - who, &message).unwrap(), payload, "{name} message {step}");
            step += 1;
        }
        assert!(pair.sides.iter().all(Handshake::is_done));
    }
}

#[test]
fn a_first_message_of_xx_that_was_touched_is_found_out_with_the_second() {
    let mut pair = Pair::of(Pattern::Xx, 2);
    let mut first = pair.write(0, b"hello");
    first[40 - 4] ^= 1;
    pair.read(1, &first).unwrap();
    let second = pair.write(1, b"");
    assert_eq!(pair.read(0, &second), Err(NoiseError::Unverified));
}

#[test]
fn another_prologue_key_or_pattern_does_not_verify() {
    let mut rng = Seed::from_u64(3).fork("keys");
    let mut key = || X25519::generate(&mut rng);
    let (bob, carol) = (key(), key());
    let to_bob = || Some(X25519::public(&bob));
    let mut wire = [0; 256];
    for pattern in [Pattern::Ik, Pattern::Xk] {
        let mut a = Handshake::<X25519>::initiator(pattern, b"one", to_bob(), key()).unwrap();
        let alice = key();
        let len = a.write(&alice, b"", &mut wire).unwrap();
        let mut read = |prologue: &[u8], pattern, local: &X25519Secret| {
            let mut b = Handshake::<X25519>::responder(pattern, prologue, local, key());
            b.read(local, &wire[..len], &mut [0; 256])
        };
        assert_eq!(read(b"one", pattern, &bob), Ok(0));
        assert_eq!(read(b"two", pattern, &bob), Err(NoiseError::Unverified));
        assert_eq!(read(b"one", pattern, &carol), Err(NoiseError::Unverified));
        let other = if pattern == Pattern::Ik { Pattern::Xk } else { Pattern::Ik };
        assert_eq!(read(b"one", other, &bob), Err(NoiseError::Unverified));
    }
}

#[test]
fn the_callers_mistakes_are_said_and_change_nothing() {
    let mut pair = Pair::of(Pattern::Xk, 4);
    let key = || X25519::generate(&mut Seed::from_u64(5).fork("e"));
    let missing = Handshake::<X25519>::initiator(Pattern::Ik, b"", None, key());
    assert_eq!(missing.map(|_| ()), Err(NoiseError::RemoteNeeded));
    let [alice, bob] = pair.secrets.clone();
    assert_eq!(pair.sides[1].write(&bob, b"", &mut [0; 99]), Err(NoiseError::Turn));
    assert_eq!(pair.sides[0].read(&alice, &[0; 48], &mut [0; 99]), Err(NoiseError::Turn));
    assert_eq!(pair.sides[0].write(&alice, b"", &mut [0; 47]), Err(NoiseError::Room));
    assert_eq!(pair.sides[0].write(&alice, &[0; MAX_MESSAGE - 47], &mut []), Err(NoiseError::TooLong));
    assert!(pair.sides[0].finish().is_err_and(|why| why == NoiseError::Turn));
    let message = pair.write(0, b"abc");
    assert_eq!(pair.sides[1].read(&bob, &message, &mut [0; 2]), Err(NoiseError::Room));
    assert_eq!(pair.read(1, &message).unwrap(), b"abc");
    assert_eq!(pair.sides[0].write(&alice, b"", &mut [0; 99]), Err(NoiseError::Turn));
    // A message is read once.
    assert_eq!(pair.read(1, &message), Err(NoiseError::Turn));
    let longest = vec![7; MAX_MESSAGE - 32 - TAG_LEN];
    let message = pair.write(1, &longest);
    assert_eq!((message.len(), pair.read(0, &message).unwrap()), (MAX_MESSAGE, longest));
}

#[test]
fn weak_keys_share_nothing() {
    // All points of small order in their canonical spellings (u = 0, 1, p - 1, and two of order 8), and what they are modulo p.
    let weak = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let mut rng = Seed::from_u64(6).fork("keys");
    for public in weak.map(|text| X25519Public::from_bytes(unhex(text).try_into().unwrap())) {
        let secret = X25519::generate(&mut rng);
        assert!(X25519::dh(&secret, &public).is_none());
        let ephemeral = X25519::generate(&mut rng);
        let mut to_weak = Handshake::<X25519>::initiator(Pattern::Ik, b"", Some(public), ephemeral).unwrap();
        assert_eq!(to_weak.write(&secret, b"", &mut [0; 256]), Err(NoiseError::Weak));
    }
}

#[test]
fn secrets_are_not_printed() {
    let pair = Pair::of(Pattern::Ik, 8);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let secret = hex(pair.secrets[0].to_bytes().as_slice());
    let shown = format!("{:?} {:?}", pair.secrets, pair.sides);
    assert!(shown.contains("redacted") && shown.contains("Handshake(IK over 25519, Initiator, message 0)"), "{shown}");
    let ends = pair.run(b"");
    let shown = shown + &format!("{ends:?}");
    assert!(shown.contains("CipherKey(<redacted>)") && !shown.contains(&secret), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Garbage is refused and leaves the handshake able to go on.
    #[test]
    fn garbage_does_no_harm(pattern in 0..3_usize, garbage in proptest::collection::vec(any::<u8>(), 0..300), seed: u64) {
        let (pattern, _) = PATTERNS[pattern];
        let mut pair = Pair::of(pattern, seed);
        let mut first = true;
        while let Some(who) = pair.writer() {
            let message = pair.write(who, b"x");
            if !(first && pattern == Pattern::Xx) {
                prop_assert!(pair.read(1 - who, &garbage).is_err());
            }
            prop_assert_eq!(pair.read(1 - who, &message).unwrap(), b"x");
            first = false;
        }
        prop_assert!(pair.sides.iter().all(|side| side.finish().is_ok()));
    }
}

#[test]
fn the_key_of_an_identity_is_the_one_that_others_make_of_it() {
    // libsodium's test `ed25519_convert`.
    let seed: [u8; 32] = unhex("421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee").try_into().unwrap();
    let key = sluis_core::identity::SecretKey::from_seed(&seed);
    let secret = X25519Secret::of_identity(&key);
    let public = X25519Public::of_identity(&key.public());
    assert_eq!(public.to_bytes()[..], unhex("f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50"));
    assert_eq!(X25519::public(&secret), public);
    let mut clamped = *secret.to_bytes();
    clamped[0] &= 248;
    clamped[31] = clamped[31] & 127 | 64;
    assert_eq!(clamped[..], unhex("8052030376d47112be7f73ed7a019293dd12ad910b654455798b4667d73de166"));
    for n in 0..20 {
        let key = sluis_core::identity::SecretKey::generate(&mut Seed::from_u64(n).fork("identity"));
        let secret = X25519Secret::of_identity(&key);
        assert_eq!(X25519::public(&secret), X25519Public::of_identity(&key.public()));
    }
}
