//! Any bytes as hellos, answers and packets of sealed sessions.

use sluis_core::Instant;
use sluis_signal::key::SecretKey;
use sluis_signal::sealed::{Answered, Offer, Session};

/// Two ends, and a broker that does with their packets what the input says, four bytes a step: drop, repeat, touch, swap, make up.
/// What is taken was sent, in this session, and is fresh once.
pub fn sealed(data: &[u8]) {
    let key = |n| SecretKey::from_bytes(&[n; 32]).expect("a key");
    let (alice, bob) = (key(1), key(2));
    let mut offer = Offer::new(&alice, bob.public(), key(3)).expect("a hello");
    let mut answered = Answered::new(&bob, offer.body(), key(4)).expect("an answer");
    strangers(data, &bob, &mut offer, &alice, &answered);
    let mut a = offer.answered(&alice, answered.body(), None, Instant::ZERO).expect("a session");
    assert!(answered.first(&bob, data, Instant::ZERO).is_err());
    let first = seal(&mut a, &[0]);
    let mut b = answered.first(&bob, &first, Instant::ZERO).expect("a session").session;
    // Both are heard: from now on no packet has act three before it.
    b.open(Instant::ZERO, &mut first.clone()).expect("a packet");
    a.open(Instant::ZERO, &mut seal(&mut b, &[0])).expect("a packet");

    let (mut sent, mut taken) = (vec![first], vec![1_u32]);
    for step in data.chunks(4).take(400) {
        let [what, which, at, by] = core::array::from_fn(|n| usize::from(step.get(n).copied().unwrap_or_default()));
        let which = which % sent.len();
        match what % 4 {
            0 => {
                let body = vec![step[0]; by];
                sent.push(seal(&mut a, &body));
                taken.push(0);
            }
            1 => take(&mut b, sent[which].clone(), &sent, &mut taken),
            2 => {
                let mut packet = sent[which].clone();
                let len = packet.len();
                packet[at % len] ^= step.get(3).copied().unwrap_or_default();
                take(&mut b, packet, &sent, &mut taken);
            }
            _ => {
                // The front of one and the back of another.
                let other = &sent[at % sent.len()];
                let cut = by % other.len().min(sent[which].len());
                let packet = [&sent[which][..cut], &other[cut..]].concat();
                take(&mut b, packet, &sent, &mut taken);
            }
        }
    }
    assert!(b.open(Instant::ZERO, &mut data.to_vec()).is_err());
}

/// What strangers make up leads nowhere, and the right thing still works afterwards.
fn strangers(data: &[u8], bob: &SecretKey, offer: &mut Offer, alice: &SecretKey, answered: &Answered) {
    let ephemeral = || SecretKey::from_bytes(&[5; 32]).expect("a key");
    if data != offer.body() {
        assert!(Answered::new(bob, data, ephemeral()).is_err());
        let mut hello = *offer.body();
        hello.iter_mut().skip(6).zip(data).for_each(|(to, from)| *to ^= from);
        assert!(hello == *offer.body() || Answered::new(bob, &hello, ephemeral()).is_err());
    }
    let mut answer = *answered.body();
    answer.iter_mut().zip(data).for_each(|(to, from)| *to ^= from);
    assert!(answer == *answered.body() || offer.answered(alice, &answer, None, Instant::ZERO).is_err());
}

fn seal(session: &mut Session, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; session.next_len(body.len())];
    assert_eq!(session.seal(Instant::ZERO, 1, &[7; 16], body, &mut out), Ok(out.len()));
    out
}

fn take(b: &mut Session, mut packet: Vec<u8>, sent: &[Vec<u8>], taken: &mut [u32]) {
    let which = sent.iter().position(|known| *known == packet);
    match (b.open(Instant::ZERO, &mut packet).map(|opened| opened.fresh), which) {
        (Ok(fresh), Some(which)) => {
            assert_eq!(fresh, taken[which] == 0);
            taken[which] += 1;
        }
        // Act three is not looked at once its session stands; that packet was taken before.
        (Ok(fresh), None) => assert!(!fresh && packet.first() == Some(&0x54)),
        (Err(why), which) => assert_eq!(which, None, "{why}"),
    }
}
