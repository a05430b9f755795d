//! Sealed sessions against everything that a broker may do to them.

mod common;

use std::cell::RefCell;

use common::key;
use proptest::prelude::*;
use sluis_core::identity::{SecretKey as SignKey, Signer};
use sluis_core::noise::Curve as _;
use sluis_core::time::Duration;
use sluis_core::{Instant, Rng, Seed};
use sluis_signal::envelope::Unverified;
use sluis_signal::key::{Secp256k1Curve, SecretKey};
use sluis_signal::sealed::{
    ANSWER_LEN, Answered, GRACE, HELLO_LEN, LIFETIME, MAX_BODY, Offer, SealedError, Session, is_hello,
    our_hello_stands, packet_len, session_of,
};

const NOW: Instant = Instant::from_nanos(5_000_000_000);
const ID: [u8; 16] = [7; 16];

fn rng(seed: u64) -> Rng {
    Seed::from_u64(seed).fork("ephemeral")
}

/// Alice says hello to Bob and he answers.
fn greeted(seed: u64, named: Option<(&str, &dyn Signer)>) -> (Session, Answered) {
    let (alice, bob, mut rng) = (key("alice"), key("bob"), rng(seed));
    let mut offer = Offer::new(&alice, bob.public(), Secp256k1Curve::generate(&mut rng)).unwrap();
    assert!(is_hello(offer.body()) && offer.body().len() == HELLO_LEN);
    let answered = Answered::new(&bob, offer.body(), Secp256k1Curve::generate(&mut rng)).unwrap();
    assert!(answered.body().starts_with(b"ack") && answered.body().len() == ANSWER_LEN);
    let session = offer.answered(&alice, answered.body(), named, NOW).unwrap();
    assert_eq!(session.id(), answered.id());
    (session, answered)
}

/// Both ends, each of which has heard the other.
fn pair(seed: u64) -> [Session; 2] {
    let (mut a, mut answered) = greeted(seed, None);
    let mut first = sealed(&mut a, 1, b"");
    let mut b = answered.first(&key("bob"), &first, NOW).unwrap().session;
    b.open(NOW, &mut first).unwrap();
    let mut back = sealed(&mut b, 1, b"");
    a.open(NOW, &mut back).unwrap();
    assert!(a.is_heard() && b.is_heard());
    [a, b]
}

fn sealed(session: &mut Session, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xaa; session.next_len(body.len())];
    assert_eq!(session.seal(NOW, kind, &ID, body, &mut out), Ok(out.len()));
    assert_eq!(session_of(&out), Some(session.id()));
    out
}

#[test]
fn messages_pass_and_nobody_else_is_who_sent_them() {
    let (mut a, mut answered) = greeted(1, None);
    // All packets bring act three along until Bob was heard: any of them may be the first to arrive.
    let packets = [sealed(&mut a, 1, b"one"), sealed(&mut a, 2, b"two")];
    assert!(packets.iter().all(|packet| packet[0] == 0x54) && !a.is_heard());
    let proven = answered.first(&key("bob"), &packets[1], NOW).unwrap();
    assert_eq!((proven.name(), proven.remote), (Ok(None), key("alice").public()));
    let mut b = proven.session;
    for (packet, kind, body) in [(&packets[1], 2, b"two"), (&packets[0], 1, b"one")] {
        let mut packet = packet.clone();
        let opened = b.open(NOW, &mut packet).unwrap();
        assert_eq!((opened.kind, opened.id, opened.body, opened.fresh), (kind, ID, &body[..], true));
    }
    let mut back = sealed(&mut b, 3, b"heard");
    assert_eq!(back[0], 0x53);
    assert_eq!(a.open(NOW, &mut back).unwrap().body, b"heard");
    // From now on no packet is longer than it must be.
    let mut third = sealed(&mut a, 1, b"three");
    assert_eq!((third[0], third.len()), (0x53, packet_len(5)));
    assert_eq!(b.open(NOW, &mut third).unwrap().body, b"three");
}

#[test]
fn copies_are_told_from_fresh_ones_and_old_ones_are_refused() {
    let [mut a, mut b] = pair(2);
    let packets: Vec<Vec<u8>> = (0..1100).map(|n: u32| sealed(&mut a, 1, &n.to_be_bytes())).collect();
    let mut open = |n: usize| b.open(NOW, &mut packets[n].clone()).map(|opened| opened.fresh);
    assert_eq!([open(5), open(3), open(5), open(3)], [Ok(true), Ok(true), Ok(false), Ok(false)]);
    assert_eq!([open(1099), open(1099)], [Ok(true), Ok(false)]);
    assert_eq!([open(4), open(76), open(75)], [Err(SealedError::Old), Ok(true), Err(SealedError::Old)]);
}

#[test]
fn whatever_is_touched_is_refused_and_changes_nothing() {
    let (mut a, mut answered) = greeted(3, None);
    let bob = key("bob");
    let first = sealed(&mut a, 1, b"the first");
    let act_three = 11..11 + 66;
    for at in 0..act_three.end {
        let mut touched = first.clone();
        touched[at] ^= 0x10;
        // Only what proves the key, and how long that is, takes an operation of the curve to be found out.
        let proof = act_three.end - 16..act_three.end;
        assert_eq!(answered.may_be_first(&touched), at == 10 || proof.contains(&at), "byte {at}");
        assert!(answered.first(&bob, &touched, NOW).is_err(), "byte {at}");
    }
    assert!(answered.may_be_first(&first) && !answered.may_be_first(&first[..40]));
    let mut b = answered.first(&bob, &first, NOW).unwrap().session;
    let [_, mut other] = pair(4);
    for at in 0..first.len() {
        if act_three.contains(&at) {
            continue;
        }
        let mut touched = first.clone();
        touched[at] ^= 0x10;
        let why = b.open(NOW, &mut touched).unwrap_err();
        assert_eq!(why == SealedError::Session, (1..9).contains(&at), "byte {at}: {why}");
    }
    for cut in 0..first.len() {
        assert!(b.open(NOW, &mut first[..cut].to_vec()).is_err(), "cut at {cut}");
    }
    assert_eq!(other.open(NOW, &mut first.clone()), Err(SealedError::Session));
    // Our own packet sent back to us is no message to us.
    assert_eq!(a.open(NOW, &mut first.clone()), Err(SealedError::Unverified));
    assert!(b.open(NOW, &mut first.clone()).unwrap().fresh);
}

/// Signed for Bob and played to Carol: the reference's envelopes verify there.
#[test]
fn a_hello_for_bob_is_nothing_to_carol() {
    let offer = Offer::new(&key("alice"), key("bob").public(), Secp256k1Curve::generate(&mut rng(5))).unwrap();
    let answer = |local: &str, body: &[u8]| {
        Answered::new(&key(local), body, Secp256k1Curve::generate(&mut rng(6))).map(|answered| *answered.body())
    };
    assert_eq!(answer("carol", offer.body()), Err(SealedError::Unverified));
    for at in 0..HELLO_LEN {
        let mut touched = *offer.body();
        touched[at] ^= 1;
        assert!(answer("bob", &touched).is_err(), "byte {at}");
    }
    assert!(answer("bob", offer.body()).is_ok());
    for body in [&b""[..], b"sluis1", b"sluis2", &[0; HELLO_LEN]] {
        assert!(!is_hello(body) && answer("bob", body) == Err(SealedError::Form));
    }
}

#[test]
fn the_right_answer_still_counts_after_wrong_ones() {
    let (alice, bob, mut rng) = (key("alice"), key("bob"), rng(7));
    let mut ephemeral = || SecretKey::generate(&mut rng);
    let mut offer = Offer::new(&alice, bob.public(), ephemeral()).unwrap();
    let right = Answered::new(&bob, offer.body(), ephemeral()).unwrap();
    let other = Offer::new(&alice, bob.public(), ephemeral()).unwrap();
    let stale = Answered::new(&bob, other.body(), ephemeral()).unwrap();
    let mut take = |body: &[u8]| offer.answered(&alice, body, None, NOW).map(|session| session.id());
    // A peer of the reference answers without act two.
    assert_eq!(take(b"ack"), Err(SealedError::Form));
    assert_eq!(take(stale.body()), Err(SealedError::Unverified));
    let mut touched = *right.body();
    touched[20] ^= 1;
    assert_eq!(take(&touched), Err(SealedError::Unverified));
    assert_eq!(take(right.body()), Ok(right.id()));
}

#[test]
fn of_two_hellos_that_cross_both_sides_keep_the_same() {
    let (alice, bob) = (key("alice").public(), key("bob").public());
    assert!(our_hello_stands(&alice, &bob) != our_hello_stands(&bob, &alice));
}

#[test]
fn names_are_proven_for_this_session_only() {
    let signer = SignKey::from_seed(&[9; 32]);
    let did = "jis:home:alice";
    let (mut a, mut answered) = greeted(8, Some((did, &signer)));
    let mut first = sealed(&mut a, 1, b"hello");
    let proven = answered.first(&key("bob"), &first, NOW).unwrap();
    let name = proven.name().unwrap().unwrap();
    assert_eq!((name.did, name.key), (did, signer.public()));
    let mut b = proven.session;
    assert_eq!(b.open(NOW, &mut first).unwrap().body, b"hello");

    // One who signs something else, a signature of another session say, has a session and no name.
    struct Stale(SignKey);
    impl Signer for Stale {
        fn public(&self) -> sluis_core::identity::PublicKey {
            self.0.public()
        }
        fn sign(&self, _: &[u8]) -> Result<[u8; 64], sluis_core::identity::SignError> {
            self.0.sign(b"another session")
        }
    }
    let (mut a, mut answered) = greeted(9, Some((did, &Stale(SignKey::from_seed(&[9; 32])))));
    let first = sealed(&mut a, 1, b"hello");
    let proven = answered.first(&key("bob"), &first, NOW).unwrap();
    assert_eq!((proven.name(), proven.remote), (Err(SealedError::Name), key("alice").public()));

    // What is no DID is refused before anything is used up.
    let (alice, bob) = (key("alice"), key("bob"));
    let mut offer = Offer::new(&alice, bob.public(), SecretKey::generate(&mut rng(10))).unwrap();
    let answered = Answered::new(&bob, offer.body(), SecretKey::generate(&mut rng(11))).unwrap();
    let long = format!("jis:{}", "x".repeat(300));
    for bad in ["", &long] {
        let result = offer.answered(&alice, answered.body(), Some((bad, &signer)), NOW).map(|session| session.id());
        assert_eq!(result, Err(SealedError::TooLong), "{bad}");
    }
    assert!(offer.answered(&alice, answered.body(), None, NOW).is_ok());
}

/// Who answered a hello says its name in the session, and what one side has signed is nothing in the mouth of the other.
#[test]
fn who_answers_has_a_name_of_its_own() {
    let (signer, other) = (SignKey::from_seed(&[9; 32]), SignKey::from_seed(&[8; 32]));
    let (mut a, mut answered) = greeted(8, Some(("jis:home:alice", &signer)));
    let first = sealed(&mut a, 1, b"hello");
    let mut proven = answered.first(&key("bob"), &first, NOW).unwrap();
    let name = proven.sign_name("jis:home:bob", &other).unwrap();
    assert!(a.awaits_name() && !proven.session.awaits_name());
    let read = a.read_name(&name).unwrap().unwrap();
    assert_eq!((read.did, read.key), ("jis:home:bob", other.public()));
    // It is read once, and only by who asked.
    assert_eq!((a.awaits_name(), a.read_name(&name)), (false, Err(SealedError::Name)));
    assert_eq!(proven.session.read_name(&name), Err(SealedError::Name));

    // Who has no name says so.
    let (mut a, _) = greeted(9, None);
    assert_eq!((a.read_name(b""), a.awaits_name()), (Ok(None), false));
    // The name of another session.
    let (mut a, _) = greeted(10, None);
    assert_eq!(a.read_name(&name), Err(SealedError::Name));
    // Our own signature, shown back to us.
    struct Recording(SignKey, RefCell<Vec<u8>>);
    impl Signer for Recording {
        fn public(&self) -> sluis_core::identity::PublicKey {
            self.0.public()
        }
        fn sign(&self, message: &[u8]) -> Result<[u8; 64], sluis_core::identity::SignError> {
            self.1.replace(message.to_vec());
            self.0.sign(message)
        }
    }
    let ours = Recording(signer, RefCell::default());
    let (mut a, _) = greeted(11, Some(("jis:a", &ours)));
    let signature = ours.0.sign(&ours.1.borrow()).unwrap();
    let shown_back = [&[0, 5], &b"jis:a"[..], ours.public().as_bytes(), &signature].concat();
    assert_eq!(a.read_name(&shown_back), Err(SealedError::Name));
}

#[test]
fn sizes_are_told_in_steps_only() {
    let [mut a, mut b] = pair(12);
    for len in [0, 1, 26, 27, 28, 90, 91, 92, 1000, MAX_BODY] {
        let body = vec![0x42; len];
        let mut packet = sealed(&mut a, 1, &body);
        assert_eq!((packet.len() - 17) % 64, 0);
        assert!(packet.len() - 17 < len + 37 + 64);
        // Nothing of it is to be seen, and a peer of the reference cannot take it for one of its own.
        assert!(!packet.windows(8).any(|window| window == [0x42; 8]));
        assert!(Unverified::parse(&packet).is_err() || Unverified::parse(&packet).unwrap().verify().is_err());
        assert_eq!(b.open(NOW, &mut packet).unwrap().body, body);
    }
    assert_eq!(a.seal(NOW, 1, &ID, &vec![0; MAX_BODY + 1], &mut vec![0; MAX_BODY + 999]), Err(SealedError::TooLong));
    assert_eq!(a.seal(NOW, 1, &ID, b"abc", &mut [0; 80]), Err(SealedError::Room));
}

#[test]
fn a_session_ends_by_time() {
    let [mut a, mut b] = pair(13);
    let end = NOW + LIFETIME;
    let mut late = sealed(&mut a, 1, b"under way");
    assert!(!a.is_spent(end - Duration::from_nanos(1)) && a.is_spent(end));
    assert_eq!(a.seal(end, 1, &ID, b"", &mut [0; 200]), Err(SealedError::Spent));
    assert!(b.open(end + GRACE - Duration::from_nanos(1), &mut late.clone()).unwrap().fresh);
    assert_eq!(b.open(end + GRACE, &mut late), Err(SealedError::Spent));
    assert!(b.is_over(end + GRACE));
}

#[test]
fn a_session_takes_little_memory_and_tells_no_secret() {
    assert!(size_of::<Session>() <= 320, "{} bytes", size_of::<Session>());
    let [a, _] = pair(14);
    assert!(format!("{a:?}").contains("CipherKey(<redacted>)"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a broker makes of a row of packets, what is taken was sent, and once.
    #[test]
    fn nothing_comes_twice_and_nothing_is_made_up(
        seed: u64, bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 1..20),
        deliveries in proptest::collection::vec((any::<prop::sample::Index>(), any::<Option<(prop::sample::Index, u8)>>()), 0..60),
    ) {
        let [mut a, mut b] = pair(seed);
        let packets: Vec<Vec<u8>> = bodies.iter().map(|body| sealed(&mut a, 1, body)).collect();
        let mut taken = vec![0; packets.len()];
        for (which, touch) in deliveries {
            let which = which.index(packets.len());
            let mut packet = packets[which].clone();
            if let Some((at, by)) = touch {
                let at = at.index(packet.len());
                packet[at] ^= by;
            }
            let whole = packet == packets[which];
            match b.open(NOW, &mut packet) {
                Ok(opened) => {
                    prop_assert!(whole && opened.body == bodies[which]);
                    prop_assert_eq!(opened.fresh, taken[which] == 0);
                    taken[which] += 1;
                }
                Err(_) => prop_assert!(!whole),
            }
        }
    }

    #[test]
    fn garbage_is_refused(mut packet in proptest::collection::vec(any::<u8>(), 0..300), first: bool, known: bool) {
        let (mut a, mut answered) = greeted(15, None);
        if let Some(byte) = packet.first_mut() {
            *byte = if first { 0x54 } else { 0x53 };
        }
        if let (true, Some(room)) = (known, packet.get_mut(1..9)) {
            room.copy_from_slice(&answered.id());
        }
        prop_assert!(answered.first(&key("bob"), &packet, NOW).is_err());
        prop_assert!(a.open(NOW, &mut packet).is_err());
    }
}
