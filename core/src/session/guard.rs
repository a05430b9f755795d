//! What a frame must have before anything is computed for it: macs, and under load a cookie.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::wire::{COOKIE_LEN, Head, Kind, MAC, TAG};
use super::{Config, SessionReject};
use crate::Rng;
use crate::identity::{MacKey, PublicKey};
use crate::noise::CipherKey;
use crate::path::Path;
use crate::seed::SipKey;
use crate::time::{Duration, Instant};

/// Sixteen bytes of an HMAC.
pub(super) type Tag = [u8; MAC];

/// How long a secret of cookies is given out; it is taken as long again.
const ROTATE: Duration = Duration::from_secs(120);
/// Places in which handshakes are counted by the hash of where they come from.
const SOURCES: usize = 512;

/// Whom a frame is for, as far as its sender knows: what its macs are keyed with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Receiver<'a> {
    Key(&'a PublicKey),
    /// Only in the first message of XX, whose sender knows no more.
    Did(&'a str),
}

impl Receiver<'_> {
    /// The key for a purpose.
    fn key(self, purpose: &[u8]) -> MacKey {
        let hash = Sha256::new().chain_update(b"sluis session 1 ").chain_update(purpose);
        let hash = match self {
            Self::Key(key) => hash.chain_update([1]).chain_update(key.as_bytes()),
            Self::Did(did) => hash.chain_update([2]).chain_update(did.as_bytes()),
        };
        let key: [u8; 32] = hash.finalize().into();
        MacKey::new(&key)
    }

    pub(super) fn mac1(self) -> MacKey {
        self.key(b"mac1")
    }

    pub(super) fn cookie(self) -> MacKey {
        self.key(b"cookie")
    }
}

fn short(tag: [u8; 32]) -> Tag {
    let mut short = [0; MAC];
    short.copy_from_slice(&tag[..MAC]);
    short
}

/// Put both macs to the end of a frame, the second of zeros where there is no cookie, and say what the first is.
pub(super) fn put_macs(frame: &mut [u8], mac1: &MacKey, cookie: Option<&Tag>) -> Tag {
    let Some((rest, second)) = frame.split_last_chunk_mut::<MAC>() else { return [0; MAC] };
    let Some((text, first)) = rest.split_last_chunk_mut::<MAC>() else { return [0; MAC] };
    *first = short(mac1.tag(text));
    let first = *first;
    *second = cookie.map_or([0; MAC], |cookie| short(MacKey::new(cookie).tag(rest)));
    first
}

/// The last 32 bytes of a frame.
fn macs(frame: &[u8]) -> Option<(&[u8], &Tag, &[u8], &Tag)> {
    let (until_second, second) = frame.split_last_chunk::<MAC>()?;
    let (until_first, first) = until_second.split_last_chunk::<MAC>()?;
    Some((until_first, first, until_second, second))
}

/// So many a second, and as many at once.
struct Bucket {
    rate: u32,
    /// In thousandths.
    left: u64,
    at: Instant,
}

impl Bucket {
    const fn new(rate: u32) -> Self {
        Self { rate, left: rate as u64 * 1000, at: Instant::ZERO }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_since(self.at).min(Duration::from_secs(1));
        let millis = u64::try_from(passed.as_millis()).unwrap_or(1000);
        if millis > 0 {
            self.left = (self.left + millis * u64::from(self.rate)).min(u64::from(self.rate) * 1000);
            self.at = now;
        }
        let some = self.left >= 1000;
        self.left -= if some { 1000 } else { 0 };
        some
    }
}

/// A cookie to be sent. It is made when it is sent: until then there are no more than these few bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct CookieReply {
    pub(super) path: Path,
    receiver: u32,
    mac1: Tag,
    /// By which of our names the frame was keyed.
    by_key: bool,
}

/// The receiving side: our own keys of macs, the secrets of cookies, and how much is going on.
pub(super) struct Guard {
    mac1: [MacKey; 2],
    cookie: [MacKey; 2],
    /// Of now and of before.
    secrets: [Zeroizing<[u8; 32]>; 2],
    rotated: Option<Instant>,
    rng: Rng,
    handshakes: Bucket,
    cookies: Bucket,
    per_source: u16,
    /// Handshakes with a cookie in this second, by source; nothing until there is load.
    sources: Vec<u16>,
    second: u64,
    hash: SipKey,
}

impl Guard {
    pub(super) fn new(config: &Config, key: &PublicKey, mut rng: Rng) -> Self {
        let names = [Receiver::Key(key), Receiver::Did(config.did.as_str())];
        Self {
            mac1: names.map(Receiver::mac1),
            cookie: names.map(Receiver::cookie),
            secrets: [Zeroizing::new([0; 32]), Zeroizing::new([0; 32])],
            rotated: None,
            hash: rng.sip_key(),
            rng,
            handshakes: Bucket::new(config.caps.handshakes_per_second),
            cookies: Bucket::new(config.caps.cookies_per_second),
            per_source: config.caps.handshakes_per_source,
            sources: Vec::new(),
            second: 0,
        }
    }

    /// Whether a frame of a handshake was made by somebody who knows us: by our key or, the first message of XX, by our name.
    pub(super) fn check_mac1(&self, frame: &[u8], by_key: bool) -> Result<(), SessionReject> {
        let (text, first, ..) = macs(frame).ok_or(SessionReject::Frame)?;
        let right = short(self.mac1[usize::from(!by_key)].tag(text));
        if bool::from(right.ct_eq(first)) { Ok(()) } else { Err(SessionReject::Mac) }
    }

    /// Whether a first message may cost us a handshake now. If not, the error says so, and there may be a cookie to be sent.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        path: &Path,
        frame: &[u8],
        by_key: bool,
    ) -> Result<(), (SessionReject, Option<CookieReply>)> {
        let (_, first, until_second, second) = macs(frame).ok_or((SessionReject::Frame, None))?;
        self.rotate(now);
        if *second != [0; MAC] && self.has_cookie(path, until_second, second) {
            return if self.count_source(now, path) { Ok(()) } else { Err((SessionReject::Source, None)) };
        }
        if self.handshakes.take(now) {
            return Ok(());
        }
        if !self.cookies.take(now) {
            return Err((SessionReject::Load, None));
        }
        let receiver = Head::parse(frame).map_or(0, |head| head.sender);
        Err((SessionReject::Cookie, Some(CookieReply { path: *path, receiver, mac1: *first, by_key })))
    }

    fn has_cookie(&self, path: &Path, until_second: &[u8], second: &Tag) -> bool {
        self.secrets.iter().any(|secret| {
            let cookie = cookie(secret, path.remote);
            bool::from(short(MacKey::new(&cookie).tag(until_second)).ct_eq(second))
        })
    }

    /// A secret is used for two minutes, and nobody knows one that was never given out.
    fn rotate(&mut self, now: Instant) {
        let age = self.rotated.map(|at| now.saturating_since(at));
        if age.is_some_and(|age| age < ROTATE) {
            return;
        }
        let [current, before] = &mut self.secrets;
        // One that is older than both times is no good as the one before either.
        match age {
            Some(age) if age < 2 * ROTATE => core::mem::swap(current, before),
            _ => self.rng.fill(before.as_mut_slice()),
        }
        self.rng.fill(current.as_mut_slice());
        self.rotated = Some(now);
    }

    /// Count a handshake of an address that has shown that it hears us: by network, of IPv6 the first 64 bits.
    fn count_source(&mut self, now: Instant, path: &Path) -> bool {
        let second = now.as_nanos() / 1_000_000_000;
        if self.sources.is_empty() || second != self.second {
            self.sources.clear();
            self.sources.resize(SOURCES, 0);
            self.second = second;
        }
        let hash = match path.remote.ip().to_canonical() {
            IpAddr::V4(ip) => self.hash.hash(&ip.octets()),
            IpAddr::V6(ip) => self.hash.hash(&ip.octets()[..8]),
        };
        let place = usize::try_from(hash % SOURCES as u64).unwrap_or(0);
        match self.sources.get_mut(place) {
            Some(count) if *count < self.per_source => {
                *count += 1;
                true
            }
            _ => false,
        }
    }

    /// Write the frame with a cookie.
    pub(super) fn write_cookie(&mut self, now: Instant, reply: &CookieReply, out: &mut [u8]) -> Option<usize> {
        let frame = out.get_mut(..COOKIE_LEN)?;
        self.rotate(now);
        let head = Head { kind: Kind::Cookie, suite: 0, pattern: 0, sender: 0, receiver: reply.receiver, counter: 0 };
        head.write(frame);
        let (head, rest) = frame.split_at_mut_checked(head.len())?;
        let (nonce, rest) = rest.split_first_chunk_mut::<16>()?;
        let (text, tag) = rest.split_first_chunk_mut::<MAC>()?;
        self.rng.fill(nonce);
        *text = cookie(&self.secrets[0], reply.path.remote);
        let key = reply_key(&self.cookie[usize::from(!reply.by_key)], nonce, &reply.mac1);
        let sealed = key.seal(0, head, text).ok()?;
        tag.first_chunk_mut::<TAG>().map(|tag| *tag = sealed)?;
        Some(COOKIE_LEN)
    }
}

/// What shows that an address hears us. An IPv4 address is the same in both of its spellings.
fn cookie(secret: &[u8; 32], remote: SocketAddr) -> Tag {
    let mut text = [0; 18];
    let ip = match remote.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    text[..16].copy_from_slice(&ip.octets());
    text[16..].copy_from_slice(&remote.port().to_be_bytes());
    short(MacKey::new(secret).tag(&text))
}

/// The key for one cookie: only who knows the receiver and has seen the frame can read or make the reply.
fn reply_key(of_receiver: &MacKey, nonce: &[u8; 16], mac1: &Tag) -> CipherKey {
    let mut text = [0; 32];
    text[..16].copy_from_slice(nonce);
    text[16..].copy_from_slice(mac1);
    CipherKey::new(&Zeroizing::new(of_receiver.tag(&text)))
}

/// Take the cookie out of a reply to the frame with this first mac.
pub(super) fn read_cookie(frame: &[u8], receiver: Receiver<'_>, mac1: &Tag) -> Option<Tag> {
    let (head, rest) = frame.split_at_checked(super::wire::INIT_HEAD)?;
    let (nonce, rest) = rest.split_first_chunk::<16>()?;
    let (text, tag) = rest.split_first_chunk::<MAC>()?;
    let (mut text, tag) = (*text, tag.first_chunk::<TAG>()?);
    reply_key(&receiver.cookie(), nonce, mac1).open(0, head, &mut text, tag).ok()?;
    Some(text)
}
