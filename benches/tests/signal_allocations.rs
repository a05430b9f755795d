//! Reading and writing envelopes and MQTT packets costs no heap allocation.
#![allow(missing_docs)]

use sluis_benches::alloc::{Counting, calls_in};
use sluis_signal::envelope::{Content, Kind, Unverified};
use sluis_signal::key::SecretKey;
use sluis_signal::mqtt::{MAX_PACKET, Packet, Publish, Reader, encode};

#[global_allocator]
static ALLOC: Counting = Counting;

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
