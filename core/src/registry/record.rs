//! What a device says about itself, signed: the bytes of it.

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};

use super::address::Address;
use crate::data::cursor::Cursor;
use crate::did::{DidError, check_did, may_be_taken};
use crate::identity::{PublicKey, Signature};

/// What every record begins with. It is signed, so that no signature made for anything else is one of a record.
pub(super) const MAGIC: &[u8; 8] = b"sluis-r1";
const MAX_LEN: usize = 1024;
const MAX_TEXT: usize = MAX_LEN.div_ceil(3) * 4;
/// Where the DID begins: behind magic, key, sequence number, issue and expiry times and flags.
const DID_AT: usize = 8 + 32 + 3 * 8 + 1;

pub(super) const BEHIND_NAT: u8 = 1;
const HUB: u8 = 2;
const HUBBY: u8 = 4;

/// The latest second that is taken: 34,865 years after 1970, and in microseconds still within 64 bits.
const MAX_SECONDS: u64 = 1 << 40;

/// What a device is in its pod (`tibet_iot.topology`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum Role {
    /// It says nothing about that.
    #[default]
    None,
    /// It leads a pod.
    Hub,
    /// It belongs to the pod of another.
    Hubby,
    /// Both.
    Hybrid,
}

impl Role {
    /// As the reference names it; `None` where it has no role.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Hub => Some("hub"),
            Self::Hubby => Some("hubby"),
            Self::Hybrid => Some("hybrid"),
        }
    }

    pub(super) const fn flags(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Hub => HUB,
            Self::Hubby => HUBBY,
            Self::Hybrid => HUB | HUBBY,
        }
    }

    const fn from_flags(flags: u8) -> Self {
        match (flags & HUB != 0, flags & HUBBY != 0) {
            (false, false) => Self::None,
            (true, false) => Self::Hub,
            (false, true) => Self::Hubby,
            (true, true) => Self::Hybrid,
        }
    }
}

/// Why bytes are no record, or not one to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is longer than [`Record::MAX_LEN`] bytes.
    #[error("a record has at most {} bytes", Record::MAX_LEN)]
    TooLong,
    /// It is not in the one form that a record has.
    #[error("this is no record: {0}")]
    Form(&'static str),
    /// The DID cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
    /// The key in it is none, or one that anybody can sign for.
    #[error("the key of the record is no Ed25519 public key that can be believed")]
    Key,
    /// The signature does not hold: somebody else wrote this, or changed it.
    #[error("the signature of the record does not hold")]
    Signature,
}

/// How many entries a list of a record has at most, and how long each text in it is.
#[derive(Clone, Copy)]
struct Limits {
    entries: u8,
    text: usize,
    what: &'static str,
}

const CAPABILITIES: Limits = Limits { entries: 32, text: 64, what: "a capability" };
const PODS: Limits = Limits { entries: 8, text: 64, what: "a pod" };
const STATIONS: Limits = Limits { entries: 8, text: 64, what: "a station" };
const METADATA: Limits = Limits { entries: 16, text: 32, what: "the name of a metadata entry" };
const MAX_ENDPOINTS: u8 = 4;
const MAX_METADATA_VALUE: usize = 128;

/// What a record says. Texts and lists borrow from its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Claims<'a> {
    /// Whose record it is.
    pub did: &'a str,
    /// The key that signed it.
    pub key: PublicKey,
    /// Counts up with every record of this DID: of two, the one with the higher number holds.
    pub seq: u64,
    /// When it was made, by the clock of who made it: seconds since the Unix epoch.
    pub issued: u64,
    /// Until when it holds: seconds since the Unix epoch, after `issued`.
    pub expires: u64,
    /// The device says that it cannot be written to before it has written itself.
    pub behind_nat: bool,
    /// Its role in its pods.
    pub role: Role,
    lists: Lists<'a>,
}

/// The lists of a record, each with its count in front, checked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lists<'a> {
    endpoints: &'a [u8],
    capabilities: &'a [u8],
    pods: &'a [u8],
    stations: &'a [u8],
    metadata: &'a [u8],
}

impl<'a> Claims<'a> {
    /// Where it can be reached, best first; at most four.
    pub fn endpoints(&self) -> impl Iterator<Item = Address<'a>> + use<'a> {
        entries(self.lists.endpoints, Address::read)
    }

    /// What it can do, in the order of their bytes.
    pub fn capabilities(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        entries(self.lists.capabilities, Cursor::short_text)
    }

    /// The pods that it belongs to, in the order of their bytes.
    pub fn pods(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        entries(self.lists.pods, Cursor::short_text)
    }

    /// The stations that it belongs to, in the order of their bytes.
    pub fn stations(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        entries(self.lists.stations, Cursor::short_text)
    }

    /// What else it says, in the order of the names.
    pub fn metadata(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        entries(self.lists.metadata, |from| Some((from.short_text()?, from.short_text()?)))
    }

    pub(super) fn same_capabilities(&self, other: &Self) -> bool {
        self.lists.capabilities == other.lists.capabilities
    }

    pub(super) fn same_endpoints(&self, other: &Self) -> bool {
        self.lists.endpoints == other.lists.endpoints
    }

    /// Read all but the signature. `key` makes a key of its bytes.
    pub(super) fn read(bytes: &'a [u8], key: impl FnOnce([u8; 32]) -> Option<PublicKey>) -> Result<Self, RecordError> {
        let short = RecordError::Form("it is cut short");
        let mut from = Cursor::new(bytes);
        if from.array::<8>() != Some(*MAGIC) {
            return Err(RecordError::Form("it does not begin as one"));
        }
        let key_bytes = from.array().ok_or(short)?;
        let (seq, issued, expires) = (from.u64(), from.u64(), from.u64());
        let (seq, issued, expires) = (seq.ok_or(short)?, issued.ok_or(short)?, expires.ok_or(short)?);
        let flags = from.u8().ok_or(short)?;
        if i64::try_from(seq).is_err() {
            return Err(RecordError::Form("its number is 2^63 or more"));
        }
        if expires <= issued || expires > MAX_SECONDS {
            return Err(RecordError::Form("it ends before it begins, or after all time"));
        }
        if flags & !(BEHIND_NAT | HUB | HUBBY) != 0 {
            return Err(RecordError::Form("unknown flags"));
        }
        let did = from.text().ok_or(RecordError::Form("its DID is cut short or no UTF-8"))?;
        check_did(did)?;
        if !may_be_taken(did) {
            return Err(RecordError::Form("its DID is everybody's, or has characters that are not seen"));
        }
        let lists = Lists::read(&mut from)?;
        if !from.rest().is_empty() {
            return Err(RecordError::Form("something follows"));
        }
        let key = key(key_bytes).ok_or(RecordError::Key)?;
        let (behind_nat, role) = (flags & BEHIND_NAT != 0, Role::from_flags(flags));
        Ok(Self { did, key, seq, issued, expires, behind_nat, role, lists })
    }
}

impl fmt::Debug for Claims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({} seq {} by {})", self.did, self.seq, self.key)
    }
}

impl<'a> Lists<'a> {
    fn read(from: &mut Cursor<'a>) -> Result<Self, RecordError> {
        let endpoints = list(from, MAX_ENDPOINTS, |from, before: Option<Address<'a>>| {
            let address = Address::read(from).and_then(|address| address.check().ok());
            let address = address.ok_or(RecordError::Form("an endpoint is none"))?;
            if before == Some(address) { Err(RecordError::Form("an endpoint twice")) } else { Ok(address) }
        })?;
        let texts = |from: &mut Cursor<'a>, limits: Limits| {
            list(from, limits.entries, |from, before| text(from, before, limits))
        };
        let (capabilities, pods, stations) = (texts(from, CAPABILITIES)?, texts(from, PODS)?, texts(from, STATIONS)?);
        let metadata = list(from, METADATA.entries, |from, before| {
            let name = text(from, before, METADATA)?;
            let value = from.short_text().filter(|value| is_value(value));
            value
                .ok_or(RecordError::Form("the value of a metadata entry is too long, or not to be shown"))
                .map(|_| name)
        })?;
        Ok(Self { endpoints, capabilities, pods, stations, metadata })
    }
}

/// The bytes of a list whose entries are read by `entry`, which is given the one before.
fn list<'a, T: Copy>(
    from: &mut Cursor<'a>,
    most: u8,
    mut entry: impl FnMut(&mut Cursor<'a>, Option<T>) -> Result<T, RecordError>,
) -> Result<&'a [u8], RecordError> {
    let whole = from.rest();
    let count = from.u8().ok_or(RecordError::Form("it is cut short"))?;
    if count > most {
        return Err(RecordError::Form("a list has too many entries"));
    }
    let mut before = None;
    for _ in 0..count {
        before = Some(entry(from, before)?);
    }
    Ok(whole.get(..whole.len() - from.rest().len()).unwrap_or_default())
}

/// One text of a list that is in the order of bytes, each once.
fn text<'a>(from: &mut Cursor<'a>, before: Option<&'a str>, limits: Limits) -> Result<&'a str, RecordError> {
    let text = from.short_text().filter(|text| is_text(text, limits.text)).ok_or(RecordError::Form(limits.what))?;
    if before.is_some_and(|before| before >= text) {
        return Err(RecordError::Form("a list is not in the order of its bytes"));
    }
    Ok(text)
}

/// The entries of a list that was read before.
fn entries<'a, T>(bytes: &'a [u8], mut entry: impl FnMut(&mut Cursor<'a>) -> Option<T>) -> impl Iterator<Item = T> {
    let mut from = Cursor::new(bytes);
    let count = from.u8().unwrap_or(0);
    (0..count).map_while(move |_| entry(&mut from))
}

fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && crate::airlock::glob::check_seen(text).is_ok()
}

fn is_value(text: &str) -> bool {
    text.len() <= MAX_METADATA_VALUE && !text.chars().any(char::is_control)
}

/// A record that was taken apart, its signature not looked at: whoever does not want it need not verify it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unverified<'a> {
    bytes: &'a [u8],
    claims: Claims<'a>,
}

impl<'a> Unverified<'a> {
    /// Take a record apart. There is one form only: what is read is what was written, to the byte.
    ///
    /// # Errors
    /// [`RecordError`], but for the signature.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        if bytes.len() > Record::MAX_LEN {
            return Err(RecordError::TooLong);
        }
        let (signed, _) = split(bytes)?;
        let claims = Claims::read(signed, |key| PublicKey::from_bytes(key).ok())?;
        Ok(Self { bytes, claims })
    }

    /// What it claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims<'a> {
        &self.claims
    }

    pub(super) const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its bytes are those of a record that was verified before.
    pub(super) const fn recognised(self) -> Record<'a> {
        Record { bytes: self.bytes, claims: self.claims }
    }

    /// Verify its signature.
    ///
    /// # Errors
    /// [`RecordError::Signature`].
    pub fn verify(self) -> Result<Record<'a>, RecordError> {
        let (signed, signature) = split(self.bytes)?;
        self.claims.key.verify(signed, &signature).map_err(|_| RecordError::Signature)?;
        Ok(Record { bytes: self.bytes, claims: self.claims })
    }
}

fn split(bytes: &[u8]) -> Result<(&[u8], Signature), RecordError> {
    let (signed, signature) = bytes.split_last_chunk().ok_or(RecordError::Form("it is cut short"))?;
    Ok((signed, *signature))
}

/// A record: what a device says about itself, signed by its key. Any node may pass it on, and none can change it. Every value of this type was
/// verified.
///
/// That its key is the one of this DID is for others to say: [`Registry`](super::Registry) and [`Pins`](crate::pins::Pins).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    bytes: &'a [u8],
    claims: Claims<'a>,
}

impl<'a> Record<'a> {
    /// The longest record in bytes: with the packet around it, it fits into one datagram in every encoding.
    pub const MAX_LEN: usize = MAX_LEN;
    /// The longest text of a record in bytes.
    pub const MAX_TEXT: usize = MAX_TEXT;

    /// Read and verify a record.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Unverified::parse(bytes)?.verify()
    }

    /// Bytes that were a record before, and have not left this process.
    pub(super) fn kept(bytes: &'a [u8]) -> Option<Self> {
        let (signed, _) = split(bytes).ok()?;
        let claims = Claims::read(signed, |key| Some(PublicKey::checked(key))).ok()?;
        Some(Self { bytes, claims })
    }

    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &Claims<'a> {
        &self.claims
    }

    /// Its bytes, to be passed on as they are.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its text, for JSON and command lines: base64 with the URL alphabet and without padding (RFC 4648 5).
    #[must_use]
    pub fn to_text<'b>(&self, buf: &'b mut [u8; MAX_TEXT]) -> &'b str {
        Base64UrlUnpadded::encode(self.bytes, buf).unwrap_or_default()
    }

    /// The bytes of such a text, not looked at yet; `None` when it is none or too long.
    #[must_use]
    pub fn from_text<'b>(text: &str, buf: &'b mut [u8; MAX_LEN]) -> Option<&'b [u8]> {
        Base64UrlUnpadded::decode(text, buf).ok()
    }
}

/// The DID and the first endpoint of a record that has not left this process: they stand in front, so nothing else is read.
pub(super) fn did_and_endpoint(bytes: &[u8]) -> Option<(&str, Option<Address<'_>>)> {
    let mut from = Cursor::new(bytes.get(DID_AT..)?);
    let did = from.text()?;
    Some((did, if from.u8()? == 0 { None } else { Address::read(&mut from) }))
}

/// What stands at a fixed place in every record.
#[derive(Clone, Copy)]
pub(super) struct Front {
    pub(super) key: PublicKey,
    pub(super) seq: u64,
    pub(super) expires: u64,
}

/// The front of a record that has not left this process.
pub(super) fn front(bytes: &[u8]) -> Front {
    let mut from = Cursor::new(bytes.get(MAGIC.len()..).unwrap_or_default());
    let key = PublicKey::checked(from.array().unwrap_or_default());
    let (seq, _, expires) = (from.u64(), from.u64(), from.u64());
    Front { key, seq: seq.unwrap_or_default(), expires: expires.unwrap_or_default() }
}
