//! Reading and writing envelopes, MQTT packets and sealed packets costs no heap allocation.

use sluis_benches::alloc::calls_in;
use sluis_core::Instant;
use sluis_signal::envelope::{Content, Kind, Unverified};
use sluis_signal::key::SecretKey;
use sluis_signal::mqtt::{MAX_PACKET, Packet, Publish, Reader, encode};
use sluis_signal::sealed::{Answered, Offer};

#[test]
fn envelopes_and_packets_need_no_heap() {
    assert!(calls_in(|| drop(std::hint::black_box(vec![1_u8; 10]))) > 0, "it counts");
    let key = SecretKey::from_bytes(&[1; 32]).expect("a key");
    let topic = key.public().to_string();
    // Tables of the curve are made once.
    let warm = key.sign_sha1(&[b"warm"]);
    key.public().verify_sha1(&[b"warm"], &warm).expect("our signature");
    let mut envelope = [0; 400];
    let mut wire = [0; 600];
    let mut reader = Reader::new(MAX_PACKET);
    let calls = calls_in(|| {
        for seq in 0..3 {
            let content =
                Content { queue: [7; 32], seq, timestamp: 1_736_942_400, kind: Kind::Message as u8, body: &[1; 200] };
            let len = content.sign(&key, &mut envelope).expect("room");
            let publish =
                Publish { topic: &topic, payload: &envelope[..len], id: Some(1), retain: false, duplicate: false };
            let len = encode::publish(&publish, &mut wire).expect("room");
            let (packet, taken) = reader.read(&wire[..len]).expect("a packet");
            assert_eq!(taken, len);
            let Some(Packet::Publish(heard)) = packet else { panic!("{packet:?}") };
            let heard = Unverified::parse(heard.payload).and_then(|parsed| parsed.verify()).expect("our signature");
            assert_eq!((heard.source, heard.content), (key.public(), content));
            assert_eq!(encode::puback(1, &mut wire), Ok(4));
            assert_eq!(reader.read(&wire[..4]), Ok((Some(Packet::PubAck { id: 1 }), 4)));
        }
    });
    assert_eq!(calls, 0);
}

#[test]
fn sealed_messages_need_no_heap_at_either_end() {
    let key = |n| SecretKey::from_bytes(&[n; 32]).expect("a key");
    let mut offer = Offer::new(&key(1), key(2).public(), key(3)).expect("a hello");
    let mut answered = Answered::new(&key(2), offer.body(), key(4)).expect("an answer");
    let mut a = offer.answered(&key(1), answered.body(), None, Instant::ZERO).expect("a session");
    let mut wire = [0; 600];
    let len = a.seal(Instant::ZERO, 1, &[7; 16], b"first", &mut wire).expect("room");
    let mut b = answered.first(&key(2), &wire[..len], Instant::ZERO).expect("a session").session;
    // The window of each direction is made with the first packet.
    b.open(Instant::ZERO, &mut wire[..len]).expect("a packet");
    let len = b.seal(Instant::ZERO, 2, &[7; 16], b"first", &mut wire).expect("room");
    a.open(Instant::ZERO, &mut wire[..len]).expect("a packet");
    let calls = calls_in(|| {
        for n in 0..3 {
            let len = b.seal(Instant::ZERO, 2, &[n; 16], &[n; 200], &mut wire).expect("room");
            assert_eq!(a.open(Instant::ZERO, &mut wire[..len]).map(|opened| opened.body.len()), Ok(200));
            let len = a.seal(Instant::ZERO, 1, &[n; 16], &[n; 300], &mut wire).expect("room");
            assert_eq!(b.open(Instant::ZERO, &mut wire[..len]).map(|opened| opened.body.len()), Ok(300));
        }
    });
    assert_eq!(calls, 0);
}
