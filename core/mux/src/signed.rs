//! Frames that carry their own signature, as `tibet-mux` 1.3.1 makes and checks them.
//!
//! Such a frame is the payload of a message: an object with `"v"` of [`VERSION`], `from_aint`, `to_aint`, `intent`, `seq`, `ts` (in
//! seconds), `payload`, `nonce` and `sig`, an Ed25519 signature over [`canonical_without`] of it. It is proof whatever carries it. [`check`]
//! is what the reference checks; a [`Guard`] closes what that leaves open: a signer vouches for nobody whose key is not known, its name
//! and that of the other end are those of the channel, no member can be moved into another one, and a frame counts once.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use sha2::{Digest as _, Sha256};
use sluis_core::Wall;
use sluis_core::data::{Number, Separators, Style, Value, hex};
use sluis_core::identity::{PublicKey, SignError, Signature, Signer};

use crate::agent::normalise;
use crate::write::Object;

/// What the member `v` of such a frame says.
pub const VERSION: &str = "org.ainternet.mux.frame.v1";

/// Seconds that the clocks of both ends may differ, either way.
pub const SKEW_S: u64 = 120;

/// Seconds that the clock of a signer may be ahead of that of a [`Guard`], which refuses what is made later than that: it must be able to
/// tell what was made after it began from what another one may have believed before.
pub const AHEAD_S: u64 = 2;

/// Frames that are remembered, of one agent and of all.
const MAX_OF_ONE: usize = 8_192;
const MAX_OF_ALL: usize = 262_144;

/// Between two members of the canonical form.
const SEPARATOR: u8 = 0x1f;

/// Why a signed frame is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// Its version is another one.
    #[error("wrong-frame-version")]
    Version,
    /// There is no time in it.
    #[error("missing-ts")]
    NoTime,
    /// It was made more than [`SKEW_S`] ago, or is to be made in the future (by a [`Guard`]: by more than [`AHEAD_S`]); or before whoever
    /// judges it [began](Guard::new).
    #[error("stale-frame")]
    Stale,
    /// It is not signed with that key, or was changed.
    #[error("bad-signature")]
    Signature,
    /// A name of a member holds `=` or 0x1f, or is there twice: its signature would also be that of another frame.
    #[error("ambiguous-member")]
    Ambiguous,
    /// The key of the one that it is from is not known here.
    #[error("unknown-key")]
    UnknownKey,
    /// It is from or to somebody else than the ends of the channel that it came on, or for another intent.
    #[error("other-channel")]
    OtherChannel,
    /// It came before.
    #[error("replayed")]
    Replayed,
    /// Its signer has signed more frames in this time than are remembered.
    #[error("too-many-signed")]
    TooMany,
}

/// Where a frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The agent that sent it.
    pub from: &'a str,
    /// The one at the other end.
    pub to: &'a str,
    /// The intent of the channel.
    pub intent: &'a str,
}

/// Whether a payload says that it is such a frame, of this version or another one.
#[must_use]
pub fn is_signed(payload: Value<'_>) -> bool {
    let version = payload.get("v").and_then(Value::as_text).map(|text| text.to_cow());
    version.is_some_and(|version| version.starts_with("org.ainternet.mux.frame."))
}

/// The bytes that are signed: the members of an object but these, sorted, as `NAME=JSON` with 0x1f between them. `None` where that has no
/// form, or one that another object has as well.
#[must_use]
pub fn canonical_without(object: Value<'_>, excluded: &[&str]) -> Option<Vec<u8>> {
    canonical(object, excluded).ok()
}

fn canonical(object: Value<'_>, excluded: &[&str]) -> Result<Vec<u8>, Wrong> {
    if !object.is_object() || !object.is_finite() {
        return Err(Wrong::Signature);
    }
    let mut text = Vec::new();
    object.write_json(&mut text, Style::canonical(Separators::Compact)).map_err(|_| Wrong::Signature)?;
    let text = String::from_utf8(text).map_err(|_| Wrong::Signature)?;
    let (mut out, mut last, mut first) = (Vec::new(), None, true);
    let mut rest = text.get(1..text.len() - 1).unwrap_or_default();
    while !rest.is_empty() {
        let (name, behind) = rest.split_at_checked(end_of_value(rest)).ok_or(Wrong::Signature)?;
        let value = behind.strip_prefix(':').ok_or(Wrong::Signature)?;
        let (value, behind) = value.split_at_checked(end_of_value(value)).ok_or(Wrong::Signature)?;
        rest = behind.strip_prefix(',').unwrap_or(behind);
        let name = decoded(name).ok_or(Wrong::Signature)?;
        if name.contains(['=', char::from(SEPARATOR)]) || last.as_deref() == Some(&*name) {
            return Err(Wrong::Ambiguous);
        }
        if !excluded.contains(&&*name) {
            if !core::mem::take(&mut first) {
                out.push(SEPARATOR);
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            put_plain(&mut out, value).ok_or(Wrong::Signature)?;
        }
        last = Some(name);
    }
    Ok(out)
}

/// Where the first value of a compact JSON text ends.
fn end_of_value(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if core::mem::take(&mut escaped) => {}
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b',' | b':' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn decoded(name: &str) -> Option<String> {
    let value = Value::from_json(name).ok()?;
    let text = value.as_text()?;
    text.chars().all(|c| c.is_ok()).then(|| text.to_cow().into_owned())
}

/// Write JSON text that is all ASCII with the characters themselves where Python's `ensure_ascii=False` has them.
fn put_plain(out: &mut Vec<u8>, json: &str) -> Option<()> {
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at_checked(at)?;
        out.extend_from_slice(before.as_bytes());
        let unit = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
        let first = unit(escape).filter(|unit| *unit >= 0x80);
        let Some(first) = first else {
            // Escaped in both.
            let (kept, behind) = escape.split_at_checked(2)?;
            out.extend_from_slice(kept.as_bytes());
            rest = behind;
            continue;
        };
        let second = escape.get(6..).and_then(unit).filter(|_| (0xd800..0xdc00).contains(&first));
        let units = second.map_or(alloc::vec![first], |second| alloc::vec![first, second]);
        // Half a surrogate pair is no text.
        out.extend_from_slice(String::from_utf16(&units).ok()?.as_bytes());
        rest = escape.get(6 * units.len()..)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Some(())
}

/// Bytes as 1.3.1 takes them: hex, of either case, or base64, with `ed25519:` in front or not.
fn material<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.trim();
    let text = text.strip_prefix("ed25519:").unwrap_or(text);
    let mut bytes = [0; N];
    if text.len() == 2 * N {
        hex::parse(text.to_ascii_lowercase().as_bytes(), &mut bytes)?;
        return Some(bytes);
    }
    let digits = text.trim_end_matches('=');
    if digits.len() != (8 * N).div_ceil(6) || text.len() != N.div_ceil(3) * 4 {
        return None;
    }
    let (mut bits, mut held, mut at) = (0_u32, 0, 0);
    for byte in digits.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, held) = (bits << 6 | u32::from(digit), held + 6);
        if held >= 8 {
            held -= 8;
            *bytes.get_mut(at)? = u8::try_from(bits >> held & 0xff).ok()?;
            at += 1;
        }
    }
    Some(bytes)
}

fn member<'a>(frame: Value<'a>, name: &str) -> Option<Cow<'a, str>> {
    Some(frame.get(name)?.as_text()?.to_cow())
}

/// Check a frame as the reference does: its version, its time, and that it is signed with this key.
///
/// # Errors
/// What is wrong with it, the first of these.
pub fn check(frame: Value<'_>, key: &PublicKey, now: Wall) -> Result<(), Wrong> {
    verified(frame, key, now).map(drop)
}

/// The time of a frame that is signed with this key, and what names its content.
fn verified(frame: Value<'_>, key: &PublicKey, now: Wall) -> Result<(Wall, [u8; 32]), Wrong> {
    if member(frame, "v").as_deref() != Some(VERSION) {
        return Err(Wrong::Version);
    }
    let made = match frame.get("ts").and_then(Value::as_number) {
        Some(Number::Int(made)) => u64::try_from(made).map_err(|_| Wrong::Stale)?,
        Some(Number::Uint(_) | Number::Big(_)) => return Err(Wrong::Stale),
        _ => return Err(Wrong::NoTime),
    };
    let made = Wall::from_secs(made);
    if now.micros_since(made).unsigned_abs() > SKEW_S * 1_000_000 {
        return Err(Wrong::Stale);
    }
    let signature: Signature = member(frame, "sig").and_then(|sig| material(&sig)).ok_or(Wrong::Signature)?;
    let signed = canonical(frame, &["sig"])?;
    key.verify(&signed, &signature).map_err(|_| Wrong::Signature)?;
    Ok((made, Sha256::digest(&signed).into()))
}

/// Make a frame: its JSON text. `payload` is JSON text, too.
///
/// # Errors
/// The signer does not sign, or the payload is no JSON of which there is a canonical form.
pub fn sign(
    signer: &dyn Signer,
    place: &Place<'_>,
    seq: u64,
    made: Wall,
    payload: &str,
    nonce: &[u8; 16],
) -> Result<String, SignFrameError> {
    let seconds = u64::try_from(made.as_micros() / 1_000_000).unwrap_or_default();
    let name = |name: &str| alloc::format!("{}.aint", normalise(name));
    let members = |object: Object| {
        let object = object.text("v", VERSION).text("from_aint", &name(place.from)).text("to_aint", &name(place.to));
        let object = object.text("intent", place.intent).number("seq", seq).number("ts", seconds);
        object.json("payload", payload).hex("nonce", nonce)
    };
    let unsigned = members(Object::new()).finish();
    let value = Value::from_json(&unsigned).map_err(|_| SignFrameError::Payload)?;
    let signed = canonical_without(value, &["sig"]).ok_or(SignFrameError::Payload)?;
    let signature = signer.sign(&signed)?;
    let mut sig = String::from("ed25519:");
    crate::write::put_hex(&mut sig, &signature);
    Ok(members(Object::new()).text("sig", &sig).finish())
}

/// Why no frame is made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignFrameError {
    /// The payload has no canonical form.
    #[error("the payload is not JSON that can be signed")]
    Payload,
    /// The signer does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Believes each frame once, and only those of whom the key is known. It remembers them for as long as they are fresh: at most 8,192 of one
/// agent, and refuses more of that agent.
///
/// One that [began](Self::new) refuses what another one may have believed before that, a program that was started again say, of which
/// nothing is remembered: that is what was made up to [`AHEAD_S`] after the beginning, since the clock of a signer may be so far ahead, and
/// no more. Frames have whole seconds, so for at most three seconds after its beginning it believes nothing. It also refuses what was made
/// no later than something that it has forgotten, so a clock that is set back brings nothing back.
#[derive(Debug)]
pub struct Guard {
    /// Nothing is believed that was made up to then.
    horizon: Wall,
    seen: BTreeMap<Arc<str>, BTreeSet<[u8; 32]>>,
    /// When each was made.
    expires: BTreeSet<(Wall, Arc<str>, [u8; 32])>,
}

impl Guard {
    /// One that begins now and believes nothing that was made before.
    #[must_use]
    pub fn new(began: Wall) -> Self {
        let horizon = began.saturating_add(Duration::from_secs(AHEAD_S));
        Self { horizon, seen: BTreeMap::new(), expires: BTreeSet::new() }
    }

    /// Believe a frame that came there, or not. `key`: that of the agent that it came from, where it is known.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn admit(
        &mut self,
        now: Wall,
        frame: Value<'_>,
        place: &Place<'_>,
        key: Option<&PublicKey>,
    ) -> Result<(), Wrong> {
        let key = key.ok_or(Wrong::UnknownKey)?;
        let (made, content) = verified(frame, key, now)?;
        self.forget(now);
        if made <= self.horizon || made > now.saturating_add(Duration::from_secs(AHEAD_S)) {
            return Err(Wrong::Stale);
        }
        let names = |name: &str, agent: &str| member(frame, name).is_some_and(|it| normalise(&it) == normalise(agent));
        let here = member(frame, "intent").as_deref() == Some(place.intent);
        if !here || !names("from_aint", place.from) || !names("to_aint", place.to) {
            return Err(Wrong::OtherChannel);
        }
        let from: Arc<str> = normalise(place.from).into();
        let seen = self.seen.entry(Arc::clone(&from)).or_default();
        if seen.contains(&content) {
            return Err(Wrong::Replayed);
        }
        if seen.len() >= MAX_OF_ONE || self.expires.len() >= MAX_OF_ALL {
            return Err(Wrong::TooMany);
        }
        seen.insert(content);
        self.expires.insert((made, from, content));
        Ok(())
    }

    /// Those that are not fresh any more are refused for that.
    fn forget(&mut self, now: Wall) {
        let skew = Duration::from_secs(SKEW_S);
        while self.expires.first().is_some_and(|(made, ..)| made.saturating_add(skew) < now) {
            let Some((made, from, content)) = self.expires.pop_first() else { return };
            self.horizon = self.horizon.max(made);
            if let Some(seen) = self.seen.get_mut(&from) {
                seen.remove(&content);
                if seen.is_empty() {
                    self.seen.remove(&from);
                }
            }
        }
    }
}
