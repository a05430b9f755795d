//! What OPEN, ACCEPT, REFUSE and RESUME say.
//!
//! The bodies of OPEN and ACCEPT are `0 · JSON`, or `1 · signature · JSON`, and the signature covers the JSON text. Signed ones name in it
//! the key that signs, and a fresh X25519 key.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use sluis_core::data::{Value, hex};
use sluis_core::identity::{PublicKey, SignError, Signer};
use sluis_core::limits::{MAX_DID, MAX_INTENT};

use super::{ChannelId, Fault, Own, Proof};
use crate::proof::{Purpose, TAG_LEN, verify_signed};
use crate::write::Object;

/// Longest metadata of a channel in bytes of JSON.
const MAX_METADATA: usize = 4096;

/// What a channel is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Its name, which only its two ends and the hub know.
    pub channel: ChannelId,
    /// Who opens it.
    pub agent: Box<str>,
    /// To whom.
    pub target: Box<str>,
    /// What for.
    pub intent: Box<str>,
    /// Anything the target should know: a JSON object.
    pub metadata: Box<str>,
}

/// Keys that an end of a channel has signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Whose signature it is.
    pub(crate) key: PublicKey,
    /// What a secret is agreed on with.
    pub(crate) exchange: [u8; 32],
}

/// What is wrong with an OPEN or ACCEPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It is not what it must be.
    Malformed,
    /// The signature does not hold.
    Signature,
}

/// Write a body: signed where there is a signer.
fn write(
    purpose: Purpose,
    bound: &[&[u8]],
    object: Object,
    signer: Option<(&dyn Signer, [u8; 32])>,
) -> Result<Vec<u8>, SignError> {
    let Some((signer, exchange)) = signer else {
        return Ok([&[0], object.finish().as_bytes()].concat());
    };
    let text = object.hex("x25519", &exchange).hex("key", signer.public().as_bytes()).finish();
    let signature = purpose.sign(signer, bound, text.as_bytes())?;
    Ok([&[1], &signature[..], text.as_bytes()].concat())
}

/// Read a body: its JSON, and the keys where it is signed.
fn read<'b>(purpose: Purpose, bound: &[&[u8]], body: &'b [u8]) -> Result<(Value<'b>, Option<Signed>), Bad> {
    let (signed, rest) = body.split_first().ok_or(Bad::Malformed)?;
    let (signature, text) = match *signed {
        0 => (None, rest),
        1 => rest.split_first_chunk::<64>().map(|(signature, text)| (Some(signature), text)).ok_or(Bad::Malformed)?,
        _ => return Err(Bad::Malformed),
    };
    let value = core::str::from_utf8(text).ok().and_then(|text| Value::from_json(text).ok());
    let value = value.filter(|value| value.is_object() && value.is_finite()).ok_or(Bad::Malformed)?;
    let Some(signature) = signature else { return Ok((value, None)) };
    let key = PublicKey::from_bytes(bytes(value, "key")?).map_err(|_| Bad::Signature)?;
    let exchange = bytes(value, "x25519")?;
    verify_signed(purpose, &key, bound, text, signature).map_err(|_| Bad::Signature)?;
    Ok((value, Some(Signed { key, exchange })))
}

fn bytes<const N: usize>(value: Value<'_>, name: &str) -> Result<[u8; N], Bad> {
    let mut out = [0; N];
    let text = text(value, name, 2 * N)?;
    hex::parse(text.as_bytes(), &mut out).ok_or(Bad::Malformed)?;
    Ok(out)
}

/// A text of at most so many bytes.
fn text(value: Value<'_>, name: &str, most: usize) -> Result<String, Bad> {
    let text = value.get(name).and_then(Value::as_text).map(|text| text.to_cow().into_owned());
    text.filter(|text| text.len() <= most).ok_or(Bad::Malformed)
}

impl Opening {
    /// What to open a channel with; `None` where a name or the intent is too long, or the metadata is no JSON object of at most 4096
    /// bytes.
    #[must_use]
    pub fn new(channel: ChannelId, agent: &str, target: &str, intent: &str, metadata: &str) -> Option<Self> {
        let value = Value::from_json(metadata).ok().filter(|value| value.is_object() && value.is_finite())?;
        let metadata = value.to_json_string().ok().filter(|metadata| metadata.len() <= MAX_METADATA)?;
        let fits = agent.len().max(target.len()) <= MAX_DID && intent.len() <= MAX_INTENT;
        fits.then(|| Self {
            channel,
            agent: agent.into(),
            target: target.into(),
            intent: intent.into(),
            metadata: metadata.into(),
        })
    }

    fn object(&self) -> Object {
        let object = Object::new().hex("channel", &self.channel.0).text("agent", &self.agent);
        object.text("target", &self.target).text("intent", &self.intent).json("metadata", &self.metadata)
    }

    /// The body of OPEN.
    pub(crate) fn write(&self, signer: Option<(&dyn Signer, [u8; 32])>) -> Result<Vec<u8>, SignError> {
        write(Purpose::Open, &[], self.object(), signer)
    }

    /// Read the body of OPEN.
    pub(crate) fn read(body: &[u8]) -> Result<(Self, Option<Signed>), Bad> {
        let (value, signed) = read(Purpose::Open, &[], body)?;
        let metadata = value.get("metadata").filter(|metadata| metadata.is_object()).ok_or(Bad::Malformed)?;
        let metadata = metadata.to_json_string().map_err(|_| Bad::Malformed)?;
        if metadata.len() > MAX_METADATA {
            return Err(Bad::Malformed);
        }
        let opening = Self {
            channel: ChannelId(bytes(value, "channel")?),
            agent: text(value, "agent", MAX_DID)?.into(),
            target: text(value, "target", MAX_DID)?.into(),
            intent: text(value, "intent", MAX_INTENT)?.into(),
            metadata: metadata.into(),
        };
        Ok((opening, signed))
    }
}

/// The body of ACCEPT, which is bound to that of OPEN.
pub(crate) fn write_accept(open: &[u8], signer: Option<(&dyn Signer, [u8; 32])>) -> Result<Vec<u8>, SignError> {
    write(Purpose::Accept, &[&crate::proof::digest(open)], Object::new(), signer)
}

/// Read the body of ACCEPT.
pub(crate) fn read_accept(open: &[u8], accept: &[u8]) -> Result<Option<Signed>, Bad> {
    read(Purpose::Accept, &[&crate::proof::digest(open)], accept).map(|(_, signed)| signed)
}

/// Where a channel goes on: which one, whose it is, and how many messages of the other side's have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(crate) channel: ChannelId,
    /// Who says so, and to whom: for a hub, which finds the other side by its name.
    pub(crate) agent: Box<str>,
    pub(crate) target: Box<str>,
    pub(crate) intent: Box<str>,
    pub(crate) received: u64,
}

impl Resume {
    /// The text that is told, before its tag.
    pub(crate) fn write(&self) -> Vec<u8> {
        let object = Object::new().hex("channel", &self.channel.0).text("agent", &self.agent);
        let object = object.text("target", &self.target).text("intent", &self.intent).number("received", self.received);
        object.finish().into_bytes()
    }

    /// The tag and the text of the body of RESUME: `0 · text`, or `1 · tag · text`.
    pub(crate) fn parts(body: &[u8]) -> Result<(&[u8], &[u8]), Bad> {
        match body.split_first() {
            Some((0, text)) => Ok((&[], text)),
            Some((1, rest)) => rest.split_at_checked(TAG_LEN).ok_or(Bad::Malformed),
            _ => Err(Bad::Malformed),
        }
    }

    /// Read the text.
    pub(crate) fn read(text_of: &[u8]) -> Result<Self, Bad> {
        let value = core::str::from_utf8(text_of).ok().and_then(|text| Value::from_json(text).ok());
        let value = value.filter(|value| value.is_object()).ok_or(Bad::Malformed)?;
        let received = value.get("received").and_then(Value::as_number).map(|n| n.to_f64()).ok_or(Bad::Malformed)?;
        // More than 2^53 messages were never sent.
        if !(0.0..=9_007_199_254_740_992.0).contains(&received) {
            return Err(Bad::Malformed);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let received = received as u64;
        Ok(Self {
            channel: ChannelId(bytes(value, "channel")?),
            agent: text(value, "agent", MAX_DID)?.into(),
            target: text(value, "target", MAX_DID)?.into(),
            intent: text(value, "intent", MAX_INTENT)?.into(),
            received,
        })
    }
}

/// What the body of an OPEN says, without looking at who signed it.
pub(crate) fn peek_opening(body: &[u8]) -> Result<Opening, Fault> {
    Ok(Opening::read(body)?.0)
}

/// What a signature of the other end is worth.
pub(super) fn judge(signed: Option<&Signed>, own: Own<'_>) -> Result<Proof, Fault> {
    match (signed, own.pinned) {
        (None, None) => Ok(Proof::None),
        (None, Some(_)) => Err(Fault::Unproven),
        (Some(signed), None) => Ok(Proof::Unpinned(signed.key)),
        (Some(signed), Some(pinned)) if signed.key == pinned => Ok(Proof::Pinned(pinned)),
        (Some(_), Some(_)) => Err(Fault::Unpinned),
    }
}
