//! What a key says about itself: that another one takes its place, or that nobody is to believe it any longer.

use core::fmt;

use super::{PublicKey, SignError, Signature, Signer};
use crate::data::{Full, Number, Sink, SliceSink, Text, Value, hex};

/// The longest signed text: the prefix, two keys, a number, four line ends.
const MAX_TEXT: usize = 256;

/// What every signed text begins with, so that no signature made for anything else is one of a statement.
const PREFIX: &[u8] = b"sluis key statement 1\n";

/// The latest time a statement can bear: numbers above are not exact in JSON readers that hold them as IEEE 754 doubles (RFC 7493).
const MAX_AT: u64 = (1 << 53) - 1;

/// Why a text is no statement, or not one to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Not an object with exactly the members that a statement has, each once.
    #[error("this is no statement of a key: {0}")]
    Form(&'static str),
    /// A key in it is none, or one that anybody can sign for.
    #[error("the member {0:?} is no Ed25519 public key that can be believed")]
    Key(&'static str),
    /// The key would take its own place.
    #[error("a key cannot take its own place")]
    Same,
    /// A signature does not hold: somebody else wrote this, or changed it.
    #[error("the signature {0:?} does not hold")]
    Signature(&'static str),
}

/// A statement signed by the key that it is about. Every value of this type was verified when it was read.
///
/// It comes in two kinds: a *rotation* names the key that takes the place of this one, and is signed by both, so that nobody can hand his names
/// over to a key that is not his; a *revocation* is signed by the key alone. Either is the last word: a key that has been retired stays
/// retired.
///
/// The signed text is `sluis key statement 1`, then `rotate`, the old key, the new key, or `revoke` and the key, then the time in
/// seconds since the Unix epoch, each on a line of its own (keys as 64 lower-case hex digits, LF at every end). As JSON it is
///
/// ```json
/// {"type":"sluis-key-rotation","old":"<64 hex>","new":"<64 hex>","at":1764400000,"signature":"<128 hex, by old>","new_signature":"<128 hex, by new>"}
/// {"type":"sluis-key-revocation","key":"<64 hex>","at":1764400000,"signature":"<128 hex>"}
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    key: PublicKey,
    at: u64,
    signature: Signature,
    successor: Option<(PublicKey, Signature)>,
}

impl Statement {
    /// The longest it is as JSON in bytes.
    pub const MAX_JSON: usize = 640;

    /// That `new` takes the place of `old`, said at this time (seconds since the Unix epoch; held below 2^53).
    ///
    /// # Errors
    /// Both are the same key ([`StatementError::Same`]), or a signer does not sign.
    pub fn rotation(old: &dyn Signer, new: &dyn Signer, at: u64) -> Result<Self, MakeStatementError> {
        let (key, successor) = (old.public(), new.public());
        if key == successor {
            return Err(StatementError::Same.into());
        }
        let at = at.min(MAX_AT);
        let (signature, proof) = with_text(key, Some(successor), at, |text| (old.sign(text), new.sign(text)));
        Ok(Self { key, at, signature: signature?, successor: Some((successor, proof?)) })
    }

    /// That nobody is to believe this key any longer, said at this time (seconds since the Unix epoch; held below 2^53).
    ///
    /// # Errors
    /// The signer does not sign.
    pub fn revocation(key: &dyn Signer, at: u64) -> Result<Self, SignError> {
        let at = at.min(MAX_AT);
        let signature = with_text(key.public(), None, at, |text| key.sign(text))?;
        Ok(Self { key: key.public(), at, signature, successor: None })
    }

    /// Read and verify the JSON of a statement. Members it does not know are refused: what is not signed is not said.
    ///
    /// This verifies one signature, two for a rotation; `peek` tells whose it claims to be without that.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn read(value: Value<'_>) -> Result<Self, StatementError> {
        let rotation = is_rotation(value)?;
        let members = value.tokens().filter(|token| matches!(token, crate::data::ValueToken::Key(_))).count();
        if members != if rotation { 6 } else { 4 } {
            return Err(StatementError::Form("it has other members than type, key (old, new), at and signatures"));
        }
        let name = if rotation { "old" } else { "key" };
        let key = key(value, name)?;
        let at = value.get("at").and_then(Value::as_number).and_then(seconds);
        let at = at.ok_or(StatementError::Form("\"at\" is no whole number of seconds below 2^53"))?;
        let signature = signature(value, "signature")?;
        let successor = match rotation {
            true => Some((self::key(value, "new")?, self::signature(value, "new_signature")?)),
            false => None,
        };
        if successor.is_some_and(|(new, _)| new == key) {
            return Err(StatementError::Same);
        }
        with_text(key, successor.map(|(new, _)| new), at, |text| {
            key.verify(text, &signature).map_err(|_| StatementError::Signature("signature"))?;
            successor.map_or(Ok(()), |(new, proof)| {
                new.verify(text, &proof).map_err(|_| StatementError::Signature("new_signature"))
            })
        })?;
        Ok(Self { key, at, signature, successor })
    }

    /// The key that a JSON value claims to retire, nothing verified: whoever does not know that key need not go on.
    ///
    /// # Errors
    /// [`StatementError::Form`] and [`StatementError::Key`].
    pub fn peek(value: Value<'_>) -> Result<PublicKey, StatementError> {
        key(value, if is_rotation(value)? { "old" } else { "key" })
    }

    /// The key that is retired.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// The key that takes its place; `None` for a revocation.
    #[must_use]
    pub fn successor(&self) -> Option<PublicKey> {
        self.successor.map(|(key, _)| key)
    }

    /// When it was made, by the clock of who made it: seconds since the Unix epoch.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// Write it as JSON, at most [`MAX_JSON`](Self::MAX_JSON) bytes, without a line end.
    ///
    /// # Errors
    /// [`Full`] when the sink is full.
    pub fn write_json(&self, sink: &mut impl Sink) -> Result<(), Full> {
        match &self.successor {
            Some((new, _)) => {
                sink.put(b"{\"type\":\"sluis-key-rotation\"")?;
                put_member(sink, "old", self.key.as_bytes())?;
                put_member(sink, "new", new.as_bytes())?;
            }
            None => {
                sink.put(b"{\"type\":\"sluis-key-revocation\"")?;
                put_member(sink, "key", self.key.as_bytes())?;
            }
        }
        sink.put(b",\"at\":")?;
        put_seconds(sink, self.at)?;
        put_member(sink, "signature", &self.signature)?;
        if let Some((_, proof)) = &self.successor {
            put_member(sink, "new_signature", proof)?;
        }
        sink.put(b"}")
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.successor {
            Some((new, _)) => write!(f, "Statement(rotate {} to {new} at {})", self.key, self.at),
            None => write!(f, "Statement(revoke {} at {})", self.key, self.at),
        }
    }
}

/// A statement cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MakeStatementError {
    /// It would say nothing.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A signer does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

fn is_rotation(value: Value<'_>) -> Result<bool, StatementError> {
    let kind = value.get("type").and_then(Value::as_text);
    match kind.and_then(Text::as_str) {
        Some("sluis-key-rotation") => Ok(true),
        Some("sluis-key-revocation") => Ok(false),
        _ => Err(StatementError::Form("its type is neither sluis-key-rotation nor sluis-key-revocation")),
    }
}

fn key(value: Value<'_>, name: &'static str) -> Result<PublicKey, StatementError> {
    let text = value.get(name).and_then(Value::as_text).and_then(Text::as_str);
    text.and_then(|text| PublicKey::from_hex(text.as_bytes()).ok()).ok_or(StatementError::Key(name))
}

fn signature(value: Value<'_>, name: &'static str) -> Result<Signature, StatementError> {
    let text = value.get(name).and_then(Value::as_text).and_then(Text::as_str);
    let mut out = [0; 64];
    text.and_then(|text| hex::parse(text.as_bytes(), &mut out)).ok_or(StatementError::Signature(name))?;
    Ok(out)
}

/// A whole number of seconds that JSON readers hold exactly.
fn seconds(number: Number<'_>) -> Option<u64> {
    let Number::Int(n) = number else { return None };
    u64::try_from(n).ok().filter(|n| *n <= MAX_AT)
}

fn put_seconds(sink: &mut impl Sink, at: u64) -> Result<(), Full> {
    Number::Int(at.cast_signed()).write(sink)
}

fn put_member(sink: &mut impl Sink, name: &str, bytes: &[u8]) -> Result<(), Full> {
    sink.put(b",\"")?;
    sink.put(name.as_bytes())?;
    sink.put(b"\":\"")?;
    hex::write(sink, bytes)?;
    sink.put(b"\"")
}

/// Have something done with the text that is signed.
fn with_text<R>(key: PublicKey, successor: Option<PublicKey>, at: u64, then: impl FnOnce(&[u8]) -> R) -> R {
    let mut buf = [0; MAX_TEXT];
    let mut sink = SliceSink::new(&mut buf);
    // It fits: 22 + 7 + 2 * 65 + 17 bytes at most.
    let _ = put_text(&mut sink, key, successor, at);
    then(sink.written())
}

fn put_text(sink: &mut impl Sink, key: PublicKey, successor: Option<PublicKey>, at: u64) -> Result<(), Full> {
    sink.put(PREFIX)?;
    sink.put(if successor.is_some() { b"rotate\n" } else { b"revoke\n" })?;
    for key in core::iter::once(key).chain(successor) {
        key.write_hex(sink)?;
        sink.put(b"\n")?;
    }
    put_seconds(sink, at)?;
    sink.put(b"\n")
}
