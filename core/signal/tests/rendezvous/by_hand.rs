//! Somebody at a broker who speaks MQTT and envelopes by hand: a stranger, or a peer that runs the reference.

use sluis_signal::delivery::Record;
use sluis_signal::envelope::{Content, Kind, Unverified};
use sluis_signal::key::{PublicKey, SecretKey};
use sluis_signal::mqtt::{Connect, MAX_PACKET, Packet, Publish, Qos, Reader, encode};
use sluis_signal::sealed::{Offer, Session};
use sluis_signal::server::{ConnId, Server};

use super::World;

pub(crate) struct ByHand {
    pub(crate) key: SecretKey,
    server: usize,
    conn: ConnId,
    reader: Reader,
}

/// An envelope that was heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) from: PublicKey,
    pub(crate) kind: u8,
    pub(crate) queue: [u8; 32],
    pub(crate) seq: u32,
    pub(crate) body: Vec<u8>,
}

impl ByHand {
    /// Connect to a server, and hear the topic of a key.
    pub(crate) fn new(world: &mut World, server: usize, key: SecretKey) -> Self {
        let this = Self::silent(world, server, key);
        let (name, mut out) = (this.key.public().to_string(), [0; 300]);
        let len = encode::subscribe(1, &[(&name, Qos::AtMostOnce)], &mut out).unwrap();
        this.write(world, &out[..len]);
        this
    }

    /// Connect to a server, and hear nothing.
    pub(crate) fn silent(world: &mut World, server: usize, key: SecretKey) -> Self {
        let conn = world.servers[server].accept(world.mono).unwrap();
        let this = Self { key, server, conn, reader: Reader::new(MAX_PACKET) };
        let name = format!("by hand {}", this.key.public());
        let connect = Connect { client_id: &name, clean: true, keep_alive: 0, user: None, password: None, will: None };
        let mut out = [0; 300];
        let len = encode::connect(&connect, &mut out).unwrap();
        this.write(world, &out[..len]);
        this
    }

    /// End the connection.
    pub(crate) fn leave(self, world: &mut World) {
        world.servers[self.server].client_end(self.conn);
    }

    fn write(&self, world: &mut World, bytes: &[u8]) {
        world.servers[self.server].client_bytes(world.mono, self.conn, bytes);
    }

    /// Publish anything.
    pub(crate) fn post(&self, world: &mut World, to: &PublicKey, payload: &[u8]) {
        let topic = to.to_string();
        let publish = Publish { topic: &topic, payload, id: None, retain: false, duplicate: false };
        let mut out = vec![0; payload.len() + 200];
        let len = encode::publish(&publish, &mut out).unwrap();
        self.write(world, &out[..len]);
        world.settle();
    }

    /// Publish an envelope of ours.
    pub(crate) fn say(&self, world: &mut World, to: &PublicKey, content: &Content<'_>) {
        let mut envelope = vec![0; content.envelope_len()];
        content.sign(&self.key, &mut envelope).unwrap();
        self.post(world, to, &envelope);
    }

    /// Say hello with an offer, whose copies this may be, stamped so many seconds ago.
    pub(crate) fn say_hello(&self, world: &mut World, to: &PublicKey, offer: &Offer, ago: u64) {
        let (kind, timestamp) = (Kind::Probe as u8, world.seconds() - ago);
        self.say(world, to, &Content { queue: [9; 32], seq: 0, timestamp, kind, body: offer.body() });
    }

    /// The session of an offer to which an answer came.
    pub(crate) fn greeted(&mut self, world: &mut World, offer: &mut Offer) -> Option<Session> {
        let now = world.now().mono;
        self.hears(world).iter().find_map(|heard| offer.answered(&self.key, &heard.body, None, now).ok())
    }

    /// A packet with a message in a session.
    pub(crate) fn sealed(world: &World, session: &mut Session, number: u64, text: &str) -> Vec<u8> {
        let body = text.as_bytes();
        let record = Record::Message { epoch: 1, number, oldest: 0, said: 0, ordered: true, body };
        let mut bytes = vec![0; record.body_len()];
        record.write(&mut bytes).unwrap();
        let mut packet = vec![0; session.next_len(bytes.len())];
        session.seal(world.now().mono, record.kind(), &record.id(), &bytes, &mut packet).unwrap();
        packet
    }

    /// Answer as the reference does.
    pub(crate) fn acknowledge(&self, world: &mut World, heard: &Heard) {
        let Heard { queue, seq, .. } = *heard;
        let (timestamp, kind) = (world.seconds(), Kind::Ack as u8);
        self.say(world, &heard.from, &Content { queue, seq, timestamp, kind, body: b"ack" });
    }

    /// What came since the last time, as it came.
    pub(crate) fn payloads(&mut self, world: &mut World) -> Vec<Vec<u8>> {
        let server: &mut Server = &mut world.servers[self.server];
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let len = server.client_output(world.mono, self.conn, &mut buffer);
            if len == 0 {
                return seen;
            }
            let mut rest = &buffer[..len];
            while let (Some(packet), taken) = self.reader.read(rest).unwrap() {
                if let Packet::Publish(publish) = packet {
                    seen.push(publish.payload.to_vec());
                }
                rest = &rest[taken..];
            }
        }
    }

    /// The envelopes among it, which are signed as they say.
    pub(crate) fn hears(&mut self, world: &mut World) -> Vec<Heard> {
        let payloads = self.payloads(world);
        let parsed = payloads.iter().filter_map(|payload| Unverified::parse(payload).ok()?.verify().ok());
        parsed
            .map(|envelope| {
                let Content { queue, seq, kind, body, .. } = envelope.content;
                Heard { from: envelope.source, kind, queue, seq, body: body.to_vec() }
            })
            .collect()
    }
}
