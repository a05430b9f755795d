//! Handshakes and sessions with `snow` at the other end.

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use sluis_core::identity::{PublicKey, SecretKey};
use sluis_core::noise::{Curve as _, Handshake, Pattern, X25519, X25519Public, X25519Secret};
use sluis_core::session::{Config, HEAD_ROOM, Ingress, News, SessionId, Sessions, Suites, sealed_len};
use sluis_core::{Did, Instant, Now, Path, Seed, Wall};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};

/// The primitives that `snow` is to use.
struct Resolver(u64);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Rng(Seed::from_u64(self.0).fork("snow"))))
    }
    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::<Curve25519>::default())
    }
    fn resolve_hash(&self, _: &HashChoice) -> Option<Box<dyn Hash>> {
        Some(Box::<Hasher>::default())
    }
    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(Box::<ChaChaPoly>::default())
    }
}

struct Rng(sluis_core::Rng);

impl Random for Rng {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.0.fill(out);
        Ok(())
    }
}

#[derive(Default)]
struct Curve25519([u8; 32], [u8; 32]);

impl Dh for Curve25519 {
    fn name(&self) -> &'static str {
        "25519"
    }
    fn pub_len(&self) -> usize {
        32
    }
    fn priv_len(&self) -> usize {
        32
    }
    fn set(&mut self, secret: &[u8]) {
        self.0.copy_from_slice(secret);
        let secret = x25519_dalek::StaticSecret::from(self.0);
        self.1 = x25519_dalek::PublicKey::from(&secret).to_bytes();
    }
    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut secret = [0; 32];
        rng.try_fill_bytes(&mut secret)?;
        self.set(&secret);
        Ok(())
    }
    fn pubkey(&self) -> &[u8] {
        &self.1
    }
    fn privkey(&self) -> &[u8] {
        &self.0
    }
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public: [u8; 32] = public.get(..32).and_then(|key| key.try_into().ok()).ok_or(Error::Dh)?;
        let shared = x25519_dalek::StaticSecret::from(self.0).diffie_hellman(&public.into());
        out[..32].copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

#[derive(Default)]
struct Hasher(Sha256);

impl Hash for Hasher {
    fn name(&self) -> &'static str {
        "SHA256"
    }
    fn block_len(&self) -> usize {
        64
    }
    fn hash_len(&self) -> usize {
        32
    }
    fn reset(&mut self) {
        self.0 = Sha256::new();
    }
    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }
    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(&self.0.finalize_reset());
    }
}

#[derive(Default)]
struct ChaChaPoly([u8; 32]);

fn nonce(n: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&n.to_le_bytes());
    nonce.into()
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }
    fn set(&mut self, key: &[u8; 32]) {
        self.0 = *key;
    }
    fn encrypt(&self, n: u64, ad: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        let (body, tag) = out.split_at_mut(text.len());
        body.copy_from_slice(text);
        let cipher = ChaCha20Poly1305::new(&self.0.into());
        tag[..16].copy_from_slice(&cipher.encrypt_inout_detached(&nonce(n), ad, body.into()).unwrap());
        text.len() + 16
    }
    fn decrypt(&self, n: u64, ad: &[u8], text: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let (text, tag) = text.split_last_chunk::<16>().ok_or(Error::Decrypt)?;
        let out = &mut out[..text.len()];
        out.copy_from_slice(text);
        let cipher = ChaCha20Poly1305::new(&self.0.into());
        let opened = cipher.decrypt_inout_detached(&nonce(n), ad, out.into(), &Tag::from(*tag));
        opened.map(|()| text.len()).map_err(|_| Error::Decrypt)
    }
}

fn builder(pattern: &str, seed: u64) -> Builder<'static> {
    let params = format!("Noise_{pattern}_25519_ChaChaPoly_SHA256").parse().unwrap();
    Builder::with_resolver(params, Box::new(Resolver(seed)))
}

#[test]
fn snow_and_ours_shake_hands_in_every_pattern_and_role() {
    for (pattern, name) in [(Pattern::Xx, "XX"), (Pattern::Ik, "IK"), (Pattern::Xk, "XK")] {
        for begins in [true, false] {
            let mut rng = Seed::from_u64(1).fork("keys");
            let (ours, theirs, ephemeral) =
                (X25519::generate(&mut rng), X25519::generate(&mut rng), X25519::generate(&mut rng));
            let (our_key, their_key) = (X25519::public(&ours), X25519::public(&theirs));
            let secret = theirs.to_bytes();
            let mut snow = builder(name, 2).prologue(b"both").unwrap().local_private_key(&*secret).unwrap();
            let us = if begins {
                Handshake::<X25519>::initiator(pattern, b"both", Some(their_key), ephemeral).unwrap()
            } else {
                if pattern.needs_remote() {
                    snow = snow.remote_public_key(our_key.as_ref()).unwrap();
                }
                Handshake::responder(pattern, b"both", &ours, ephemeral)
            };
            let snow = if begins { snow.build_responder() } else { snow.build_initiator() }.unwrap();
            talk(us, &ours, snow, their_key, name);
        }
    }
}

/// To the end, with a payload in every message, and a packet in each direction behind it.
fn talk(mut us: Handshake<X25519>, ours: &X25519Secret, mut snow: HandshakeState, their_key: X25519Public, name: &str) {
    let (mut wire, mut text) = ([0; 512], [0; 512]);
    while !us.is_done() {
        if us.is_our_turn() {
            let len = us.write(ours, b"from us", &mut wire).unwrap();
            let len = snow.read_message(&wire[..len], &mut text).unwrap();
            assert_eq!(text[..len], *b"from us", "{name}");
        } else {
            let len = snow.write_message(b"from snow", &mut wire).unwrap();
            let len = us.read(ours, &wire[..len], &mut text).unwrap();
            assert_eq!(text[..len], *b"from snow", "{name}");
        }
    }
    let keys = us.finish().unwrap();
    assert_eq!((keys.remote, &keys.hash[..]), (their_key, snow.get_handshake_hash()), "{name}");
    let snow = snow.into_stateless_transport_mode().unwrap();
    let mut body = *b"a packet of ours";
    let tag = keys.send.seal(5, b"", &mut body).unwrap();
    let len = snow.read_message(5, &[&body[..], &tag].concat(), &mut text).unwrap();
    assert_eq!(text[..len], *b"a packet of ours", "{name}");
    let len = snow.write_message(9, b"a packet of snow's", &mut wire).unwrap();
    let (mut body, tag) = (wire[..len - 16].to_vec(), wire[len - 16..len].try_into().unwrap());
    keys.receive.open(9, b"", &mut body, &tag).unwrap();
    assert_eq!(body, b"a packet of snow's", "{name}");
}

/// An initiator of sessions that was written from `docs/wire.md`, with `snow` for Noise.
struct Other {
    key: SecretKey,
    noise: HandshakeState,
    pattern: u8,
    index: u32,
    peer: u32,
    responder: PublicKey,
}

const NAME: &[u8] = b"jis:other";
const HUB: &str = "jis:hub";

fn sha(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

/// The first mac, and no second one.
fn with_macs(mut frame: Vec<u8>, receiver: &[u8]) -> Vec<u8> {
    let len = u32::try_from(frame.len() + 32 - 8).unwrap();
    frame[4..8].copy_from_slice(&len.to_be_bytes());
    let key = sha(&[b"sluis session 1 mac1", receiver]);
    let mac1 = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(&frame).finalize().into_bytes();
    frame.extend_from_slice(&mac1[..16]);
    frame.extend_from_slice(&[0; 16]);
    frame
}

impl Other {
    fn secret(key: &SecretKey) -> [u8; 32] {
        // The scalar that an Ed25519 key signs with (RFC 8032 5.1.5); X25519 clamps it.
        let hash = sha2::Sha512::digest(*key.to_seed());
        hash[..32].try_into().unwrap()
    }

    fn noise(key: &SecretKey, pattern: u8, responder: PublicKey) -> HandshakeState {
        let prologue = [&b"sluis session 1\0"[..], &[1, pattern], HUB.as_bytes()].concat();
        let name = if pattern == 2 { "IK" } else { "XX" };
        let secret = Self::secret(key);
        let builder = builder(name, 7).prologue(&prologue).unwrap().local_private_key(&secret).unwrap();
        let builder = builder.fixed_ephemeral_key_for_testing_only(&[9; 32]);
        // y = (1 + y) / (1 - y) of the point is the key on the Montgomery curve (RFC 7748 4.1).
        let point = curve25519_dalek::edwards::CompressedEdwardsY(responder.to_bytes()).decompress().unwrap();
        let statics = point.to_montgomery().to_bytes();
        if pattern == 2 {
            builder.remote_public_key(&statics).unwrap().build_initiator()
        } else {
            builder.build_initiator()
        }
        .unwrap()
    }

    fn new(pattern: u8, responder: PublicKey) -> Self {
        let key = SecretKey::from_seed(&[5; 32]);
        let noise = Self::noise(&key, pattern, responder);
        Self { key, noise, pattern, index: 0xabcd_0001, peer: 0, responder }
    }

    fn signature(&self, kind: u8, binding: &[u8; 32], rest: &[u8]) -> [u8; 64] {
        let text = [&b"sluis session 1 sign\0"[..], &[kind, self.pattern], binding, &sha(&[rest])].concat();
        self.key.sign_now(&text)
    }

    fn first(&mut self, early: &[u8], stamp: u64) -> Vec<u8> {
        let before: [u8; 32] = self.noise.get_handshake_hash().try_into().unwrap();
        let public = self.key.public();
        let lens = [NAME.len(), early.len()].map(|len| u16::try_from(len).unwrap().to_be_bytes());
        let stamp = stamp.to_be_bytes();
        let start = [&7_u64.to_be_bytes()[..], &[3; 16]].concat();
        let mut rest = [&stamp[..], public.as_bytes(), &start, &[1, 1], &lens[0], NAME, &lens[1], early].concat();
        rest.resize((64 + rest.len()).next_multiple_of(64) - 64, 0);
        // What Noise writes before the payload does not depend on it: written twice, of which one is thrown away.
        let mut wire = [0; 1232];
        Self::noise(&self.key, self.pattern, self.responder).write_message(&[], &mut wire).unwrap();
        let binding = sha(&[&before, &wire[..32]]);
        let binding = if self.pattern == 2 { sha(&[&binding, &wire[32..80]]) } else { binding };
        let payload = [&self.signature(1, &binding, &rest)[..], &rest].concat();
        let len = self.noise.write_message(&payload, &mut wire).unwrap();
        let mut frame = b"TP\x01\x08\0\0\0\0\x01\x01".to_vec();
        frame.extend_from_slice(&[self.pattern, 0]);
        frame.extend_from_slice(&self.index.to_be_bytes());
        frame.extend_from_slice(&wire[..len]);
        let receiver = if self.pattern == 2 {
            [&[1][..], self.responder.as_bytes()].concat()
        } else {
            [&[2][..], HUB.as_bytes()].concat()
        };
        with_macs(frame, &receiver)
    }

    fn second(&mut self, frame: &[u8]) {
        assert_eq!(frame[8..12], [2, 1, self.pattern, 0]);
        self.peer = u32::from_be_bytes(frame[12..16].try_into().unwrap());
        assert_eq!(frame[16..20], self.index.to_be_bytes());
        let receiver = [&[1][..], self.key.public().as_bytes()].concat();
        assert_eq!(with_macs(frame[..frame.len() - 32].to_vec(), &receiver), frame);
        let before: [u8; 32] = self.noise.get_handshake_hash().try_into().unwrap();
        let message = &frame[20..frame.len() - 32];
        let binding = sha(&[&before, &message[..32]]);
        let binding = if self.pattern == 1 { sha(&[&binding, &message[32..80]]) } else { binding };
        let mut payload = [0; 1232];
        let len = self.noise.read_message(message, &mut payload).unwrap();
        assert_eq!(len, 128);
        let (signature, rest) = payload[..len].split_first_chunk::<64>().unwrap();
        assert_eq!((&rest[..32], &rest[32..56], rest[56]), (&self.responder.as_bytes()[..], &[0; 24][..], 1));
        let text = [&b"sluis session 1 sign\0"[..], &[2, self.pattern], &binding, &sha(&[rest])].concat();
        self.responder.verify(&text, signature).unwrap();
    }

    /// The third message of XX. Its payload is signed over a hash that only Noise itself knows before it is written: `snow` writes it twice.
    fn third(&mut self, replay: impl Fn() -> HandshakeState) -> Vec<u8> {
        let before: [u8; 32] = self.noise.get_handshake_hash().try_into().unwrap();
        let mut wire = [0; 512];
        replay().write_message(&[0; 64], &mut wire).unwrap();
        let binding = sha(&[&before, &wire[..48]]);
        let signature = self.signature(3, &binding, &[]);
        let len = self.noise.write_message(&signature, &mut wire).unwrap();
        let mut frame = b"TP\x01\x08\0\0\0\0\x03\x01\x01\0".to_vec();
        frame.extend_from_slice(&self.index.to_be_bytes());
        frame.extend_from_slice(&self.peer.to_be_bytes());
        frame.extend_from_slice(&wire[..len]);
        with_macs(frame, &[&[1][..], self.responder.as_bytes()].concat())
    }
}

/// A packet with this body.
fn packet(key: &[u8; 32], receiver: u32, counter: u64, body: &[u8]) -> Vec<u8> {
    let mut text = [&[1][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat();
    text.resize(text.len().next_multiple_of(64), 0);
    let mut frame = b"TP\x01\x08".to_vec();
    frame.extend_from_slice(&u32::try_from(16 + text.len() + 16).unwrap().to_be_bytes());
    frame.extend_from_slice(&[5, 0, 0, 0]);
    frame.extend_from_slice(&receiver.to_be_bytes());
    frame.extend_from_slice(&counter.to_be_bytes());
    let cipher = ChaCha20Poly1305::new(&(*key).into());
    let tag = cipher.encrypt_inout_detached(&nonce(counter), &frame, text.as_mut_slice().into()).unwrap();
    [frame, text, tag.to_vec()].concat()
}

/// What stands in a packet: its kind and its body.
fn unpack(key: &[u8; 32], receiver: u32, frame: &[u8]) -> (u8, Vec<u8>) {
    assert_eq!((&frame[8..12], &frame[12..16]), (&[5, 0, 0, 0][..], &receiver.to_be_bytes()[..]));
    let (head, rest) = frame.split_at(24);
    let (text, tag) = rest.split_last_chunk::<16>().unwrap();
    let (mut text, counter) = (text.to_vec(), u64::from_be_bytes(head[16..].try_into().unwrap()));
    let cipher = ChaCha20Poly1305::new(&(*key).into());
    cipher.decrypt_inout_detached(&nonce(counter), head, text.as_mut_slice().into(), &Tag::from(*tag)).unwrap();
    let len = usize::from(u16::from_be_bytes([text[1], text[2]]));
    assert!(text[3 + len..].iter().all(|byte| *byte == 0));
    (text[0], text[3..3 + len].to_vec())
}

fn hub() -> (Sessions, PublicKey) {
    let key = SecretKey::from_seed(&[6; 32]);
    let public = key.public();
    let mut config = Config::new(Did::new(HUB).unwrap(), key);
    config.suites = Suites::One;
    (Sessions::new(config, &Seed::from_u64(1)).unwrap(), public)
}

fn now() -> Now {
    Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000))
}

fn give(room: &mut Sessions, frame: &[u8]) -> (Ingress, Vec<u8>, Vec<u8>) {
    let path = Path::to("192.0.2.1:7150".parse().unwrap());
    let mut bytes = frame.to_vec();
    let got = room.handle(now(), path, &mut bytes, &mut |claim| claim.did.as_bytes() == NAME).unwrap();
    let mut out = vec![0; 1200];
    let len = room.poll_transmit(now(), &mut out).map_or(0, |transmit| transmit.len);
    out.truncate(len);
    (got, bytes, out)
}

#[test]
fn a_second_implementation_written_from_the_page_is_understood_with_ik() {
    let (mut room, responder) = hub();
    let mut other = Other::new(2, responder);
    let first = other.first(b"early data", 1_736_942_400_000_001);
    let (got, bytes, second) = give(&mut room, &first);
    let Ingress::Early { session, key, body } = got else { panic!("{got:?}") };
    assert_eq!((&bytes[body], key), (&b"early data"[..], other.key.public()));
    other.second(&second);
    let (send, receive) = other.noise.dangerously_get_raw_split();
    // The hub may answer before it has heard anything under the new keys.
    let mut out = vec![0; sealed_len(5)];
    out[HEAD_ROOM..][..5].copy_from_slice(b"hello");
    room.seal(now(), session, &mut out, 5).unwrap();
    assert_eq!(unpack(&receive, other.index, &out), (1, b"hello".to_vec()));
    assert!(room.poll_event().is_some_and(|event| matches!(event.news, News::Stamp(_))));
    assert!(room.poll_event().is_none());
    let (got, bytes, confirmation) = give(&mut room, &packet(&send, other.peer, 3, b"from elsewhere"));
    let Ingress::Body { body, .. } = got else { panic!("{got:?}") };
    assert_eq!(bytes[body], *b"from elsewhere");
    assert_eq!(unpack(&receive, other.index, &confirmation), (0, vec![]));
    // The start that the other one showed counts from the moment on that it is known to be alive.
    assert!(
        room.poll_event().is_some_and(|event| matches!(event.news, News::Incarnation(known) if known.counter() == 7))
    );
    assert!(room.poll_event().is_some_and(|event| matches!(event.news, News::Up { initiator: false, .. })));
}

#[test]
fn a_second_implementation_written_from_the_page_is_understood_with_xx() {
    let (mut room, responder) = hub();
    let mut other = Other::new(1, responder);
    let first = other.first(b"", 1_736_942_400_000_001);
    let (got, _, second) = give(&mut room, &first);
    assert_eq!(got, Ingress::Nothing);
    other.second(&second);
    let (key, message) = (SecretKey::from_seed(&[5; 32]), second[20..second.len() - 32].to_vec());
    let payload = first[16 + 32..first.len() - 32].to_vec();
    let third = other.third(|| {
        let mut again = Other::noise(&key, 1, responder);
        let mut buf = [0; 1232];
        again.write_message(&payload, &mut buf).unwrap();
        again.read_message(&message, &mut buf).unwrap();
        again
    });
    let (got, _, confirmation) = give(&mut room, &third);
    let (send, receive) = other.noise.dangerously_get_raw_split();
    assert_eq!((got, unpack(&receive, other.index, &confirmation)), (Ingress::Nothing, (0, vec![])));
    let (got, bytes, _) = give(&mut room, &packet(&send, other.peer, 0, &[7; 1000]));
    assert!(matches!(got, Ingress::Body { body, .. } if bytes[body.clone()] == [7; 1000]));
    let mut up: Vec<SessionId> = Vec::new();
    while let Some(event) = room.poll_event() {
        if matches!(event.news, News::Up { initiator: false, early: false }) {
            assert_eq!((event.did.as_bytes(), event.key), (NAME, Some(other.key.public())));
            up.push(event.session);
        }
    }
    assert_eq!(up.len(), 1);
}
