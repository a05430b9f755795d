//! DSSE: the envelope, its signatures, and what they cover.

use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64, Base64Url, Encoding as _};

use super::error::EnvelopeError;
use super::json::Json;
use super::keyid::KeyId;
use sluis_core::data::{EncodeError, Full, Reader, Sink, Text, Value};
use sluis_core::identity::{PublicKey, SignError, Signature, Signer};

/// Most signatures of an envelope that is read.
pub const MAX_SIGNATURES: usize = 64;

/// Write what the signatures of an envelope cover: `DSSEv1 <length> <payload type> <length> <payload>`, lengths in
/// bytes.
///
/// # Errors
/// [`Full`] when the sink is full.
pub fn pae(sink: &mut impl Sink, payload_type: &str, payload: &[u8]) -> Result<(), Full> {
    let mut digits = itoa::Buffer::new();
    sink.put(b"DSSEv1 ")?;
    sink.put(digits.format(payload_type.len()).as_bytes())?;
    sink.put(b" ")?;
    sink.put(payload_type.as_bytes())?;
    sink.put(b" ")?;
    sink.put(digits.format(payload.len()).as_bytes())?;
    sink.put(b" ")?;
    sink.put(payload)
}

/// A payload with signatures: Dead Simple Signing Envelope 1.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signed>,
}

/// One signature, of whatever kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signed {
    keyid: String,
    signature: Vec<u8>,
}

/// What an envelope holds, signed by as many as were asked for.
#[derive(Clone, Debug)]
pub struct Verified<'e> {
    envelope: &'e Envelope,
    signers: Vec<PublicKey>,
}

impl Verified<'_> {
    /// What the payload is.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.envelope.payload_type
    }

    /// What was signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.envelope.payload
    }

    /// The in-toto statement that was signed, as JSON.
    ///
    /// # Errors
    /// [`EnvelopeError::PayloadType`].
    pub fn statement(&self) -> Result<&[u8], EnvelopeError> {
        if self.payload_type() == super::PAYLOAD_TYPE { Ok(self.payload()) } else { Err(EnvelopeError::PayloadType) }
    }

    /// Who signed, each once, in the order of the keys that were given.
    #[must_use]
    pub fn signers(&self) -> &[PublicKey] {
        &self.signers
    }
}

impl Envelope {
    /// Put a payload into an envelope that nobody has signed yet.
    #[must_use]
    pub fn new(payload_type: &str, payload: &[u8]) -> Self {
        Self { payload_type: payload_type.into(), payload: payload.into(), signatures: Vec::new() }
    }

    /// Sign it. A signature under the same key id is replaced: some readers refuse an envelope with two.
    ///
    /// # Errors
    /// The signer did not sign.
    pub fn sign(&mut self, signer: &(impl Signer + ?Sized)) -> Result<(), SignError> {
        let signature = signer.sign(&self.signed_text())?.to_vec();
        let keyid = String::from(KeyId::of(&signer.public()).as_str());
        self.signatures.retain(|other| other.keyid != keyid);
        self.signatures.push(Signed { keyid, signature });
        Ok(())
    }

    /// Read an envelope. Members that are not known are ignored, as the specification asks.
    ///
    /// # Errors
    /// [`EnvelopeError`]: what is missing or cannot be read.
    pub fn parse(json: &str) -> Result<Self, EnvelopeError> {
        let value = Value::from_json(json).ok().filter(|value| value.is_object()).ok_or(EnvelopeError::NotJson)?;
        let payload = base64(text(value, "payload")?).ok_or(EnvelopeError::Base64("payload"))?;
        let payload_type = whole(text(value, "payloadType")?).ok_or(EnvelopeError::Member("payloadType"))?;
        let signatures = value.get("signatures").ok_or(EnvelopeError::Member("signatures"))?;
        let signatures = elements(signatures).ok_or(EnvelopeError::Member("signatures"))?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::TooManySignatures);
        }
        let signatures = signatures.iter().map(|one| Signed::read(*one)).collect::<Result<_, _>>()?;
        Ok(Self { payload_type, payload, signatures })
    }

    /// The envelope as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A vector has always room.
        self.write().unwrap_or_default()
    }

    fn write(&self) -> Result<String, EncodeError> {
        let mut json = Json::new();
        json.open(b'{').member("payload", Text::new(&Base64::encode_string(&self.payload)))?;
        json.member("payloadType", Text::new(&self.payload_type))?.key("signatures")?.open(b'[');
        for Signed { keyid, signature } in &self.signatures {
            json.open(b'{').member("keyid", Text::new(keyid))?;
            json.member("sig", Text::new(&Base64::encode_string(signature)))?.close(b'}');
        }
        json.close(b']').close(b'}');
        Ok(json.finish())
    }

    /// Find `threshold` different keys among `keys` that signed this payload as this type. A key id says which key to
    /// try first; a wrong one, or none, makes no difference to the outcome.
    ///
    /// # Errors
    /// [`EnvelopeError::Threshold`], [`EnvelopeError::Unverified`].
    pub fn verify(&self, keys: &[PublicKey], threshold: usize) -> Result<Verified<'_>, EnvelopeError> {
        let mut known: Vec<PublicKey> = Vec::with_capacity(keys.len());
        for key in keys {
            if !known.contains(key) {
                known.push(*key);
            }
        }
        if threshold == 0 || threshold > known.len() {
            return Err(EnvelopeError::Threshold { keys: known.len(), threshold });
        }
        let text = self.signed_text();
        let named: Vec<(KeyId, PublicKey)> = known.iter().map(|key| (KeyId::of(key), *key)).collect();
        let mut signers: Vec<PublicKey> = Vec::new();
        for signed in &self.signatures {
            let Ok(signature) = Signature::try_from(signed.signature.as_slice()) else { continue };
            let holds = |key: &PublicKey| !signers.contains(key) && key.verify(&text, &signature).is_ok();
            let hinted = named.iter().find(|(id, _)| id.as_str() == signed.keyid).map(|(_, key)| *key);
            let found = hinted
                .filter(holds)
                .or_else(|| named.iter().map(|(_, key)| *key).find(|key| hinted != Some(*key) && holds(key)));
            signers.extend(found);
        }
        if signers.len() < threshold {
            return Err(EnvelopeError::Unverified { found: signers.len(), threshold });
        }
        let signers = known.into_iter().filter(|key| signers.contains(key)).collect();
        Ok(Verified { envelope: self, signers })
    }

    /// The key ids of its signatures: hints of strangers, good for a message to a human.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signed| signed.keyid.as_str())
    }

    fn signed_text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.payload.len().saturating_add(self.payload_type.len() + 64));
        // A vector has always room.
        let _ = pae(&mut text, &self.payload_type, &self.payload);
        text
    }
}

impl Signed {
    fn read(value: Value<'_>) -> Result<Self, EnvelopeError> {
        let signature = base64(text(value, "sig")?).ok_or(EnvelopeError::Base64("sig"))?;
        // One that is not set is the same as an empty one, also where it is said that it is not set.
        let keyid = match value.get("keyid").filter(|keyid| !keyid.is_null()) {
            Some(keyid) => keyid.as_text().and_then(whole).ok_or(EnvelopeError::Member("keyid"))?,
            None => String::new(),
        };
        Ok(Self { keyid, signature })
    }
}

fn text<'a>(value: Value<'a>, member: &'static str) -> Result<Text<'a>, EnvelopeError> {
    value.get(member).and_then(Value::as_text).ok_or(EnvelopeError::Member(member))
}

/// The text, unless it holds half a character.
fn whole(text: Text<'_>) -> Option<String> {
    text.chars().collect::<Result<_, _>>().ok()
}

/// Verifiers must accept both alphabets.
fn base64(text: Text<'_>) -> Option<Vec<u8>> {
    let text = text.to_cow();
    Base64::decode_vec(&text).or_else(|_| Base64Url::decode_vec(&text)).ok()
}

/// The elements of an array.
pub(super) fn elements(array: Value<'_>) -> Option<Vec<Value<'_>>> {
    let mut at = Reader::new(array.as_json()?);
    at.space();
    at.eat("[").then_some(())?;
    at.space();
    let mut out = Vec::new();
    if at.eat("]") {
        return Some(out);
    }
    loop {
        at.space();
        out.push(at.value().ok()?);
        at.space();
        if at.eat("]") {
            return Some(out);
        }
        at.eat(",").then_some(())?;
    }
}
