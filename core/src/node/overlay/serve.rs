//! What is answered to others: as a registry, and as the holder of a key.

use alloc::string::String;
use alloc::vec::Vec;

use super::config::refusal;
use super::wire::{self, Members};
use super::{Overlay, OverlayNews, device_key};
use crate::identity::{PublicKey, Signer};
use crate::node::storing::{OverlayChange, Storing};
use crate::pins::Pins;
use crate::registry::{self, Address, Claims, Heard, News, Proven, Record, RecordError, RegisterError, Unverified};
use crate::time::Now;
use crate::{Path, Reject};

/// What an answer may hold in records for who has proven its address, in bytes.
pub(in crate::node) const ANSWER: usize = 16 * 1024;
/// What an answer takes beside its payload, generously: what is left of three times the bytes of a question is for records.
pub(in crate::node) const BESIDE: usize = 1024;
/// How many devices a search passes over at most.
const MAX_SKIP: u64 = 4096;

/// A ping of the overlay that was accepted.
#[derive(Clone, Copy)]
pub(in crate::node) struct Asked<'a> {
    pub(in crate::node) did: &'a str,
    /// The key that is proven to be its sender's.
    pub(in crate::node) key: Option<PublicKey>,
    pub(in crate::node) from: Path,
    pub(in crate::node) intent: &'a str,
    pub(in crate::node) payload: crate::framing::Value<'a>,
    /// How many bytes the payload of the answer may have.
    pub(in crate::node) room: usize,
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::node) enum Served {
    /// It is answered with this payload, JSON.
    Answer(String),
    /// It comes again once the store has what was to be kept.
    Hold,
}

impl Overlay {
    /// Answer a ping of the overlay; `None` when it is none, or none that is answered here.
    pub(in crate::node) fn serve(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        (own, signer): (&str, Option<&dyn Signer>),
        pins: &Pins,
        storing: &mut Storing,
    ) -> Option<Result<Served, Reject>> {
        let answered = match asked.intent {
            wire::VERIFY => verify(asked, own, signer?),
            wire::REGISTER if self.config.serve => self.register(now, asked, pins, storing),
            wire::RESOLVE if self.config.serve => self.resolve(asked),
            wire::FIND if self.config.serve => Ok(Served::Answer(self.find(now, asked))),
            _ => return None,
        };
        Some(answered)
    }

    /// Note that the device of this name and key sent something that was accepted.
    pub(in crate::node) fn note_interaction(&mut self, now: Now, did: &str, key: PublicKey) {
        if self.registry.get(did).is_some_and(|device| device.key() == key) {
            self.registry.note(now.wall, did, Proven::Interaction);
        }
    }

    /// Take a record in. It is acknowledged once it is kept: until then the ping waits, and finds it known when it comes again.
    fn register(&mut self, now: Now, asked: &Asked<'_>, pins: &Pins, storing: &mut Storing) -> Result<Served, Reject> {
        let mut buf = [0; Record::MAX_LEN];
        let bytes = wire::record(asked.payload, &mut buf).ok_or(Reject::Malformed)?;
        let unverified = Unverified::parse(bytes).map_err(reject_of)?;
        let did = unverified.claims().did;
        if did != asked.did {
            return Ok(Served::Answer(refused("not_yours")));
        }
        if storing.is_failing(now.mono) {
            self.unkept.remove(did);
            return Ok(Served::Answer(refused("not_kept")));
        }
        let key = device_key(did);
        if storing.is_waiting(&key) {
            return Ok(Served::Hold);
        }
        if !storing.has_room() || !self.has_room_for_news(2) {
            return Err(Reject::Busy);
        }
        let before = self.registry.get(did).and_then(|device| device.endpoint()).map(text);
        // What is known already is not verified again.
        let record = match self.registry.recognise(&unverified) {
            Some(record) => record,
            None => unverified.verify().map_err(reject_of)?,
        };
        let &Claims { seq, expires, .. } = record.claims();
        let to = record.claims().endpoints().next().map(text);
        let registered = match self.registry.register(now.wall, &record, Heard::Directly, pins) {
            Ok(registered) => registered,
            Err(RegisterError::Full) => return Err(Reject::Busy),
            Err(why) => {
                self.refuse(refusal(why));
                return Ok(Served::Answer(refused(refusal(why))));
            }
        };
        let mut news = Vec::new();
        match registered.news {
            News::Same => {}
            News::Newer { moved: true } if before != to => {
                news.push(OverlayNews::Moved { did: did.into(), from: before, to: to.clone() });
            }
            News::New | News::Newer { .. } => {}
        }
        if registered.news != News::Same {
            let (did, endpoint) = (did.into(), to);
            news.push(OverlayNews::Registered { did, endpoint, seq, expires, from: asked.from });
        }
        if storing.push_overlay(OverlayChange::Device(registered.change)) {
            self.unkept.insert(did.into(), news);
            return Ok(Served::Hold);
        }
        let news = self.unkept.remove(did).unwrap_or(news);
        if !news.is_empty() {
            self.challenge_registered(now, did);
        }
        self.news.extend(news);
        let seen = alloc::format!("{}", asked.from.remote);
        let members = Members::new().flag("registered", true).number("seq", seq).number("expires", expires);
        Ok(Served::Answer(members.text("seen", &seen).finish()))
    }

    fn resolve(&self, asked: &Asked<'_>) -> Result<Served, Reject> {
        let did = wire::did(asked.payload, "did").ok_or(Reject::Malformed)?;
        let device = self.registry.get(&did).filter(|device| !device.is_revoked());
        let mut buf = [0; Record::MAX_TEXT];
        let answer = match device.and_then(|device| device.record()) {
            Some(record) => Members::new().text("record", record.to_text(&mut buf)),
            None => Members::new().flag("unknown", true),
        };
        Ok(Served::Answer(answer.finish()))
    }

    /// The records of devices that can do this, as many as fit, and where to go on.
    fn find(&self, now: Now, asked: &Asked<'_>) -> String {
        let capability = wire::text(asked.payload, "capability").unwrap_or_default();
        let skip = wire::number(asked.payload, "skip").unwrap_or(0).min(MAX_SKIP);
        let found = self.registry.find(now.wall, &capability).skip(usize::try_from(skip).unwrap_or(usize::MAX));
        let (mut texts, mut bytes, mut next) = (Vec::new(), 0, None);
        let mut buf = [0; Record::MAX_TEXT];
        for (n, record) in (skip..).zip(found.filter_map(|device| device.record())) {
            let text = record.to_text(&mut buf);
            if bytes + text.len() + 3 > asked.room.min(ANSWER) {
                next = Some(n);
                break;
            }
            bytes += text.len() + 3;
            texts.push(String::from(text));
        }
        let members = Members::new().texts("records", texts.iter().map(String::as_str));
        match next.filter(|next| *next < MAX_SKIP) {
            Some(next) => members.number("next", next).finish(),
            None => members.finish(),
        }
    }
}

/// Show that we have our key.
fn verify(asked: &Asked<'_>, own: &str, signer: &dyn Signer) -> Result<Served, Reject> {
    let challenge = wire::bytes(asked.payload, "challenge").ok_or(Reject::Malformed)?;
    let signature = registry::answer(signer, asked.did, own, &challenge).map_err(|_| Reject::Busy)?;
    Ok(Served::Answer(Members::new().hex("signature", &signature).finish()))
}

fn refused(why: &str) -> String {
    Members::new().flag("registered", false).text("error", why).finish()
}

fn text(address: Address<'_>) -> alloc::boxed::Box<str> {
    alloc::format!("{address}").into()
}

/// How a record that is none is counted.
fn reject_of(why: RecordError) -> Reject {
    match why {
        RecordError::TooLong => Reject::TooLong,
        RecordError::Signature | RecordError::Key => Reject::BadSignature,
        RecordError::Form(_) | RecordError::Did(_) => Reject::Malformed,
    }
}
