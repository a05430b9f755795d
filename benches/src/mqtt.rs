//! A message and its acknowledgement as MQTT, by two codecs.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet as TheirPacket, Publish as TheirPublish};
use sluis_signal::key::SecretKey;
use sluis_signal::mqtt::{MAX_PACKET, Packet, Publish, Reader, encode};

/// As long as a short sealed message.
const LEN: usize = 200;
const PUBACK: [u8; 4] = [0x40, 2, 0, 7];

fn topic() -> String {
    SecretKey::from_bytes(&[1; 32]).expect("a key").public().to_string()
}

/// The codec of sluis.
pub struct Ours {
    topic: String,
    out: Vec<u8>,
    reader: Reader,
}

impl Default for Ours {
    fn default() -> Self {
        Self::new()
    }
}

impl Ours {
    /// With its buffers.
    #[must_use]
    pub fn new() -> Self {
        Self { topic: topic(), out: vec![0; 1024], reader: Reader::new(MAX_PACKET) }
    }

    /// One of each.
    pub fn turn(&mut self) {
        let payload = black_box(&[7; LEN]);
        let publish = Publish { topic: &self.topic, payload, id: Some(7), retain: false, duplicate: false };
        black_box(encode::publish(&publish, &mut self.out).expect("room"));
        let read = self.reader.read(black_box(&PUBACK)).expect("a packet");
        assert!(matches!(read, (Some(Packet::PubAck { id: 7 }), 4)));
    }
}

/// That of rumqttc, as its client uses it.
pub struct Theirs {
    topic: String,
    payload: Bytes,
    out: BytesMut,
    read: BytesMut,
}

impl Default for Theirs {
    fn default() -> Self {
        Self::new()
    }
}

impl Theirs {
    /// With its buffers.
    #[must_use]
    pub fn new() -> Self {
        let payload = Bytes::from_static(&[7; LEN]);
        Self { topic: topic(), payload, out: BytesMut::with_capacity(1024), read: BytesMut::with_capacity(1024) }
    }

    /// One of each.
    pub fn turn(&mut self) {
        let mut publish = TheirPublish::from_bytes(self.topic.as_str(), QoS::AtLeastOnce, self.payload.clone());
        publish.pkid = 7;
        self.out.clear();
        black_box(publish.write(&mut self.out).expect("room"));
        self.read.extend_from_slice(black_box(&PUBACK));
        let read = TheirPacket::read(&mut self.read, MAX_PACKET).expect("a packet");
        assert!(matches!(read, TheirPacket::PubAck(ack) if ack.pkid == 7));
    }
}
