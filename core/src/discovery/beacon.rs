//! What a device calls out: the payload of a `discover` ping.

use crate::data::{EncodeError, Full, Number, Sink, Text, Value, ValueToken, hex, put_inside};
use crate::identity::PublicKey;

/// Longest text of a beacon in bytes: device type, pod, domain, capability, wanted name.
const MAX_TEXT: usize = 256;
/// How many capabilities, and how many wanted names, a beacon has at most.
const MAX_LIST: usize = 32;
/// What a device is that does not say, in the reference.
pub(super) const GENERIC: &str = "generic";

/// What a beacon is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kind {
    /// Somebody is there, and would like to know who else is.
    #[default]
    Call,
    /// The answer to that, to one address. It draws no answer.
    Answer,
    /// Somebody asks who is there, and is not there to stay: nobody takes it for a neighbour, or lets it in.
    Query,
    /// Somebody goes.
    Goodbye,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Answer => "answer",
            Self::Query => "query",
            Self::Goodbye => "goodbye",
        }
    }
}

/// Why a payload is no beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeaconError {
    /// It is no object. (The reference raises an exception.)
    #[error("the payload of a beacon is an object")]
    NotAnObject,
    /// A member is not what it has to be.
    #[error("the member {0:?} of a beacon is not what it has to be, or too long")]
    Member(&'static str),
}

/// The first 16 bytes of SHA-256 over a public key: by which a beacon says which key its sender has, as the reference does it.
#[must_use]
pub fn key_hash(key: &PublicKey) -> [u8; 16] {
    use sha2::{Digest as _, Sha256};
    let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// What a beacon says. The sender's name and key are the ping's: without a proof in it nothing here is more than a claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beacon<'a> {
    /// What it is for.
    pub kind: Kind,
    /// Which installation it belongs to; empty where it says nothing, as in the reference.
    pub domain: Text<'a>,
    /// What kind of device calls.
    pub device_type: Text<'a>,
    /// The pod that it would like to be in.
    pub requested_pod: Option<Text<'a>>,
    /// The hash of its key.
    pub key_hash: Option<[u8; 16]>,
    /// The port at which it listens, where that is not the one it calls from.
    pub port: Option<u16>,
    /// Of an answer: how many milliseconds it waited, so that not all answer at once.
    pub waited_ms: Option<u32>,
    /// An array of texts.
    capabilities: Value<'a>,
    /// An array of texts.
    wants: Value<'a>,
}

impl<'a> Beacon<'a> {
    /// Read the payload of a ping. Members that it does not know are ignored, as those of any ping are.
    ///
    /// # Errors
    /// [`BeaconError`].
    pub fn read(payload: Value<'a>) -> Result<Self, BeaconError> {
        if !payload.is_object() {
            return Err(BeaconError::NotAnObject);
        }
        let text = |name: &'static str| match payload.get(name).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(value) => {
                value.as_text().filter(|text| text.len() <= MAX_TEXT).map(Some).ok_or(BeaconError::Member(name))
            }
        };
        let list = |name: &'static str| match payload.get(name).filter(|value| !value.is_null()) {
            None => Ok(Value::EMPTY_ARRAY),
            Some(value) if is_list(value) => Ok(value),
            Some(_) => Err(BeaconError::Member(name)),
        };
        let kind = match text("beacon")? {
            None => Kind::Call,
            Some(word) => [Kind::Call, Kind::Answer, Kind::Query, Kind::Goodbye]
                .into_iter()
                .find(|kind| word == kind.as_str())
                .ok_or(BeaconError::Member("beacon"))?,
        };
        let port = match payload.get("port").map(Value::as_number) {
            None => None,
            Some(Some(Number::Int(port @ 1..=65_535))) => u16::try_from(port).ok(),
            Some(_) => return Err(BeaconError::Member("port")),
        };
        let waited_ms = match payload.get("waited_ms").map(Value::as_number) {
            None => None,
            Some(Some(Number::Int(waited))) if waited >= 0 => u32::try_from(waited).ok(),
            Some(_) => return Err(BeaconError::Member("waited_ms")),
        };
        Ok(Self {
            kind,
            domain: text("domain")?.unwrap_or(Text::new("")),
            device_type: text("device_type")?.unwrap_or(Text::new(GENERIC)),
            requested_pod: text("requested_pod")?,
            key_hash: text("public_key_hash")?.filter(|text| !text.is_empty()).map(read_hash).transpose()?,
            port,
            waited_ms,
            capabilities: list("capabilities")?,
            wants: list("wants")?,
        })
    }

    /// What it can do.
    pub fn capabilities(&self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        texts(self.capabilities)
    }

    /// Whose answer it waits for.
    pub fn wants(&self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        texts(self.wants)
    }
}

fn read_hash(text: Text<'_>) -> Result<[u8; 16], BeaconError> {
    let mut hash = [0; 16];
    let read = text.as_str().and_then(|text| hex::parse(text.as_bytes(), &mut hash));
    read.map(|()| hash).ok_or(BeaconError::Member("public_key_hash"))
}

fn texts<'a>(list: Value<'a>) -> impl Iterator<Item = Text<'a>> + use<'a> {
    list.tokens().filter_map(|token| if let ValueToken::Str(text) = token { Some(text) } else { None })
}

/// Whether a value is an array of texts, neither too many nor too long.
fn is_list(value: Value<'_>) -> bool {
    let mut tokens = value.tokens();
    if tokens.next() != Some(ValueToken::ArrayStart) {
        return false;
    }
    for _ in 0..=MAX_LIST {
        match tokens.next() {
            Some(ValueToken::Str(text)) if text.len() <= MAX_TEXT => {}
            Some(ValueToken::ArrayEnd) => return true,
            _ => return false,
        }
    }
    false
}

/// What we call out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    /// See [`Beacon::kind`].
    pub kind: Kind,
    /// See [`Beacon::domain`].
    pub domain: &'a str,
    /// See [`Beacon::device_type`].
    pub device_type: &'a str,
    /// See [`Beacon::key_hash`].
    pub key: Option<PublicKey>,
    /// The port of our main socket.
    pub port: u16,
    /// See [`Beacon::waited_ms`].
    pub waited_ms: Option<u32>,
    /// At most 32, of at most 256 bytes.
    pub capabilities: &'a [&'a str],
    /// At most 32 names: who bears one of them answers.
    pub wants: &'a [&'a str],
}

impl Call<'_> {
    /// Write the payload, as JSON that [`Beacon::read`] and the reference read.
    ///
    /// # Errors
    /// The sink is full.
    pub fn write_json(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.put(b"{\"beacon\":\"")?;
        sink.put(self.kind.as_str().as_bytes())?;
        member(sink, "domain", self.domain)?;
        member(sink, "device_type", if self.device_type.is_empty() { GENERIC } else { self.device_type })?;
        sink.put(b"\"")?;
        if let Some(key) = &self.key {
            sink.put(b",\"public_key_hash\":\"")?;
            hex::write(sink, &key_hash(key))?;
            sink.put(b"\"")?;
        }
        if self.port != 0 {
            sink.put(b",\"port\":")?;
            Number::Int(self.port.into()).write(sink)?;
        }
        if let Some(waited) = self.waited_ms {
            sink.put(b",\"waited_ms\":")?;
            Number::Int(waited.into()).write(sink)?;
        }
        list(sink, "capabilities", self.capabilities)?;
        if !self.wants.is_empty() {
            list(sink, "wants", self.wants)?;
        }
        Ok(sink.put(b"}")?)
    }
}

/// End the text before, and begin the next.
fn member(sink: &mut impl Sink, name: &str, text: &str) -> Result<(), Full> {
    sink.put(b"\",\"")?;
    sink.put(name.as_bytes())?;
    sink.put(b"\":\"")?;
    put_inside(Text::new(text), sink)
}

fn list(sink: &mut impl Sink, name: &str, texts: &[&str]) -> Result<(), Full> {
    sink.put(b",\"")?;
    sink.put(name.as_bytes())?;
    sink.put(b"\":[")?;
    for (n, text) in texts.iter().enumerate() {
        sink.put(if n == 0 { b"\"" } else { b",\"" })?;
        put_inside(Text::new(text), sink)?;
        sink.put(b"\"")?;
    }
    sink.put(b"]")
}
