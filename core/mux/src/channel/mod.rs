//! One channel between two agents, on a stream of its own: messages that are acknowledged, proven, and survive the connection.
//!
//! What this room promises, and the wire ([`docs/mux.md`](https://docs.rs/sluis-mux) has the page):
//!
//! - **An acknowledgement is the target's.** [`Told::Acked`] says that the application at the other end took a message, not that somebody
//!   has it on the way.
//! - **Nothing lost, nothing twice.** What is not acknowledged is kept, within bounds, and written again on the next stream from where the
//!   other side says; a channel without a stream is *parked*.
//! - **What is altered is found at once.** Where both ends have keys, every message bears a tag over all before it, with a key that no
//!   hub has; acknowledgements and resumptions bear one, too.
//! - **Nothing is unbounded**: a message has at most [`MAX_MESSAGE`] bytes, and what waits for acknowledgement is limited.

mod opening;
pub(crate) mod record;
mod sending;
mod signing;
#[cfg(test)]
mod tests;
mod types;
mod writing;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use sluis_core::Rng;
use sluis_core::identity::{Signature, Signer};
use sluis_core::noise::{Curve as _, X25519, X25519Secret};

use crate::faults::Faults;
use crate::proof::verify_signed;
use crate::proof::{
    ACCEPT, ACK, Agreement, BYTES, CLOSE, Direction, JSON, OPEN, Purpose, REFUSE, RESUME, SIGN, TAG_LEN, Tag,
};
use crate::session::{Gone, Read, Session, StreamId};
use opening::{Signed, judge};
use record::Reader;
use sending::Sending;
use signing::Signing;

pub use opening::Opening;
pub(crate) use opening::{Resume, peek_opening, read_accept, write_accept};
pub use record::MAX_MESSAGE;
pub(crate) use sending::MAX_KEPT_BYTES;

pub use types::{ChannelId, Fault, Kind, MAX_REASON, Own, Proof, SendError, Side, State, Told};

/// Messages between two signatures of the running hash, and the time that one waits for the next. The time is kept by whoever keeps the
/// channel, with [`Channel::has_unsigned`] and [`Channel::sign_soon`].
const SIGN_EVERY: u64 = 4096;
pub(crate) const SIGN_TIME: core::time::Duration = core::time::Duration::from_secs(10);

/// One end of a channel.
#[derive(Debug)]
pub struct Channel {
    side: Side,
    state: State,
    opening: Opening,
    /// The body of OPEN, until it is answered.
    open: Vec<u8>,
    secret: Option<Box<X25519Secret>>,
    agreement: Option<Box<Agreement>>,
    proof: Proof,
    sending: Sending,
    /// Messages that came, that the application took, and that the other end was told of.
    received: u64,
    taken: u64,
    ack_due: bool,
    resume_due: bool,
    /// The last message of each direction is sent, and has come.
    closing: bool,
    heard_close: bool,
    sign_every: u64,
    /// What was signed, and is to be; where both ends have keys.
    signing: Option<Box<Signing>>,
    reader: Reader,
    staged: Vec<u8>,
    staged_at: usize,
    faults: Faults,
}

impl Channel {
    fn new(side: Side, opening: Opening) -> Self {
        Self {
            side,
            state: State::Opening,
            opening,
            open: Vec::new(),
            secret: None,
            agreement: None,
            proof: Proof::None,
            sending: Sending::default(),
            received: 0,
            taken: 0,
            ack_due: false,
            resume_due: false,
            closing: false,
            heard_close: false,
            sign_every: SIGN_EVERY,
            signing: None,
            reader: Reader::default(),
            staged: Vec::new(),
            staged_at: 0,
            faults: Faults::default(),
        }
    }

    /// Open one: OPEN is written first.
    ///
    /// # Errors
    /// [`Fault::Signer`].
    pub fn open(opening: Opening, own: Own<'_>, rng: &mut Rng) -> Result<Self, Fault> {
        let mut channel = Self::new(Side::Opener, opening);
        channel.secret = own.signer.map(|_| Box::new(X25519::generate(rng)));
        channel.open = channel.opening.write(channel.signing(own))?;
        record::put(&mut channel.staged, OPEN, &[&channel.open]);
        Ok(channel)
    }

    /// One that was opened to us, by the body of its [`OPEN`]; it is to be [accepted](Self::accept) or [refused](Self::refuse).
    ///
    /// # Errors
    /// It is none, or not the other end's.
    pub fn incoming(open: &[u8], own: Own<'_>, rng: &mut Rng) -> Result<Self, Fault> {
        let (opening, signed) = Opening::read(open)?;
        let mut channel = Self::new(Side::Target, opening);
        channel.proof = judge(signed.as_ref(), own)?;
        channel.open = open.to_vec();
        if let Some(signed) = signed.filter(|_| own.signer.is_some()) {
            channel.secret = Some(Box::new(X25519::generate(rng)));
            channel.agree(own, Some(signed))?;
        } else {
            channel.proof = Proof::None;
        }
        Ok(channel)
    }

    /// Sign whenever messages go out instead of for many at a time, where there is a key: third parties can verify whatever was said last.
    pub const fn sign_each(&mut self) {
        self.sign_every = 1;
    }

    /// What we sign with, and what we sign for.
    fn signing<'a>(&self, own: Own<'a>) -> Option<(&'a dyn Signer, [u8; 32])> {
        Some((own.signer?, X25519::public(self.secret.as_deref()?).to_bytes()))
    }

    /// The target's half: ACCEPT is made here, because the key depends on it.
    fn agree(&mut self, own: Own<'_>, other: Option<Signed>) -> Result<(), Fault> {
        let accept = write_accept(&self.open, self.signing(own))?;
        if let (Some(secret), Some(other)) = (self.secret.take(), other) {
            let agreement = Agreement::new(&secret, other.exchange, &self.open, &accept).ok_or(Fault::Tampered)?;
            self.agreement = Some(Box::new(agreement));
        }
        record::put(&mut self.staged, ACCEPT, &[&accept]);
        Ok(())
    }

    /// Accept a channel that was opened to us.
    ///
    /// # Errors
    /// [`Fault::Signer`].
    pub fn accept(&mut self, own: Own<'_>) -> Result<(), Fault> {
        if self.state == State::Opening && self.side == Side::Target {
            if self.staged.is_empty() {
                self.agree(own, None)?;
            }
            self.state = State::Open;
            self.open = Vec::new();
        }
        Ok(())
    }

    /// Switch protections off: for simulations that prove that they would notice.
    pub(crate) const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// What it was opened with.
    #[must_use]
    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Which end this is.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// What is known of the other end.
    #[must_use]
    pub const fn proof(&self) -> Proof {
        self.proof
    }

    /// The number of the last message that the other end's application took.
    #[must_use]
    pub const fn acked(&self) -> u64 {
        self.sending.acked()
    }

    /// The number of the last message that was sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sending.last()
    }

    /// The body of the message that was told last.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        let tag = if self.agreement.is_some() { TAG_LEN } else { 0 };
        self.reader.body().get(tag..).unwrap_or_default()
    }

    /// The tag of that message, where both ends have keys.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        self.agreement.as_ref().and_then(|_| self.reader.body().first_chunk())
    }

    /// Send a message: its number. [`Told::Acked`] says when the other end's application took it.
    ///
    /// # Errors
    /// Too long, too much waits, or nothing more can be sent.
    pub fn send(&mut self, kind: Kind, body: &[u8]) -> Result<u64, SendError> {
        if self.closing || !matches!(self.state, State::Open | State::HalfClosed | State::Parked) {
            return Err(SendError::Closed);
        }
        if body.len() > MAX_MESSAGE {
            return Err(SendError::TooLong);
        }
        let json = || core::str::from_utf8(body).ok().and_then(|text| sluis_core::data::Value::from_json(text).ok());
        if kind == Kind::Json && json().is_none_or(|value| !value.is_finite()) {
            return Err(SendError::NotJson);
        }
        if !self.sending.has_room(body.len()) {
            return Err(SendError::Full);
        }
        Ok(self.push(kind.record(), body))
    }

    fn push(&mut self, kind: u8, body: &[u8]) -> u64 {
        let direction = self.side.sends();
        let Some(agreement) = &mut self.agreement else { return self.sending.push(kind, body, None) };
        let tag = agreement.tag(direction, kind, body);
        let signing = self.signing.get_or_insert_default();
        signing.pushed(agreement.statement(direction), self.sign_every, kind == CLOSE);
        self.sending.push(kind, body, Some(tag))
    }

    /// The application took all messages up to this one: the other end is told.
    pub fn take(&mut self, upto: u64) {
        let upto = upto.min(self.received);
        if upto > self.taken {
            self.taken = upto;
            self.ack_due = true;
        }
        self.take_close();
    }

    /// The end of a direction is taken as soon as all before it is.
    fn take_close(&mut self) {
        if self.heard_close && self.taken + 1 == self.received {
            self.taken = self.received;
            self.ack_due = true;
        }
    }

    /// Send no more, and say why. What the other end still sends is heard.
    pub fn close(&mut self, reason: &str) {
        if !self.closing && matches!(self.state, State::Open | State::HalfClosed | State::Parked) {
            self.closing = true;
            self.push(CLOSE, cut(reason).as_bytes());
            self.half_close();
        }
    }

    /// Refuse a channel that was opened to us.
    pub fn refuse(&mut self, reason: &str) {
        self.staged.clear();
        record::put(&mut self.staged, REFUSE, &[cut(reason).as_bytes()]);
        self.state = State::Closed;
    }

    /// The stream is gone; `false` when the channel does not survive that.
    #[must_use]
    pub fn park(&mut self) -> bool {
        self.reader.reset();
        self.sending.forget_part();
        (self.staged, self.staged_at) = (Vec::new(), 0);
        self.resume_due = false;
        if matches!(self.state, State::Open | State::HalfClosed | State::Parked) {
            self.state = State::Parked;
            return true;
        }
        self.state = State::Closed;
        false
    }

    /// Go on, on a new stream: RESUME is written first.
    pub fn resume(&mut self) {
        if self.state == State::Parked {
            let body = self.resume_body();
            record::put(&mut self.staged, RESUME, &[&body]);
            // Nothing else is written until the other end has said where it is.
            self.resume_due = true;
        }
    }

    fn resume_body(&self) -> Vec<u8> {
        let opening = &self.opening;
        let (agent, target) = match self.side {
            Side::Opener => (&opening.agent, &opening.target),
            Side::Target => (&opening.target, &opening.agent),
        };
        let resume = Resume {
            channel: opening.channel,
            agent: agent.clone(),
            target: target.clone(),
            intent: opening.intent.clone(),
            received: self.received,
        };
        let text = resume.write();
        let tag = self.agreement.as_ref().map(|agreement| agreement.aside(self.side.sends(), RESUME, &text));
        match &tag {
            Some(tag) => [&[1], &tag[..], &text].concat(),
            None => [&[0], &text[..]].concat(),
        }
    }

    /// What the body of a [`RESUME`] says, where it is the other end's, of this channel, and can be gone on from; nothing changes. Without
    /// keys it is the names that say whose it is: the hub knows who its sender is.
    pub(crate) fn check_resume(&self, body: &[u8]) -> Result<Resume, Fault> {
        let (tag, text) = Resume::parts(body)?;
        let hears = self.side.hears();
        match &self.agreement {
            Some(agreement) if !agreement.check_aside(hears, RESUME, text, tag) => return Err(Fault::Tampered),
            None if !tag.is_empty() => return Err(Fault::Malformed),
            _ => {}
        }
        let resume = Resume::read(text)?;
        let opening = &self.opening;
        let (other, own) = match self.side {
            Side::Opener => (&opening.target, &opening.agent),
            Side::Target => (&opening.agent, &opening.target),
        };
        let here = resume.channel == opening.channel && resume.intent == opening.intent;
        if !here || resume.agent != *other || resume.target != *own {
            return Err(Fault::Malformed);
        }
        // What was acknowledged is not kept, and what was not sent has not come.
        if !(self.sending.acked()..=self.sending.last()).contains(&resume.received) {
            return Err(Fault::Tampered);
        }
        Ok(resume)
    }

    /// The other end goes on with this channel on a new stream, by the body of its [`RESUME`]. Ours is written where it has not been.
    ///
    /// # Errors
    /// It is not of this channel, or not the other end's.
    pub fn handle_resume(&mut self, body: &[u8]) -> Result<Told, Fault> {
        let resume = self.check_resume(body)?;
        if self.state != State::Parked {
            return Err(Fault::Malformed);
        }
        if !self.sending.go_on_from(resume.received) {
            return Err(Fault::Tampered);
        }
        if !core::mem::take(&mut self.resume_due) {
            let body = self.resume_body();
            record::put(&mut self.staged, RESUME, &[&body]);
        }
        if let Some(signing) = &mut self.signing {
            signing.go_on_from(resume.received);
        }
        self.state = State::Open;
        self.half_close();
        self.ack_due = self.taken > 0;
        Ok(Told::Resumed)
    }

    fn half_close(&mut self) {
        if self.state == State::Open && (self.closing || self.heard_close) {
            self.state = State::HalfClosed;
        }
    }

    /// The message that was told last was not passed on, and its stream is gone: it is to come again.
    pub(crate) fn forget_last(&mut self) {
        self.received = self.received.saturating_sub(1);
    }

    /// How many messages and bytes can be sent now; `None` when nothing can. A message that is larger than all the room passes alone.
    pub(crate) fn room(&self) -> Option<(usize, usize)> {
        let open = matches!(self.state, State::Open | State::HalfClosed) && !self.closing;
        open.then(|| self.sending.room())
    }

    /// Something was prepared that its stream has not taken.
    pub(crate) const fn is_writing(&self) -> bool {
        !self.staged.is_empty() || self.sending.is_in_part()
    }

    /// Both ends have sent their last message, and each has all of the other's; where both have keys, also its signature for them.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let taken = self.taken == self.received && !self.ack_due;
        let acked = self.sending.acked() == self.sending.last();
        self.closing && self.heard_close && acked && taken && self.has_last_signature()
    }

    /// Read the next record that tells the application something from its stream.
    ///
    /// # Errors
    /// The channel is over: what comes is not what the other end sent, or may send.
    pub fn read(
        &mut self,
        now: sluis_core::Instant,
        session: &mut Session,
        stream: StreamId,
        own: Own<'_>,
    ) -> Result<Option<Told>, Fault> {
        // Long messages of all channels of a connection come together in the same memory, one after the other.
        if self.reader.is_bare()
            && let Some(memory) = session.lend_scratch_of(record::MAX_CONTROL + 1)
        {
            self.reader.lend(memory);
        }
        loop {
            let Ok(Read::Bytes(bytes)) = session.peek(stream) else {
                self.reader.give_back().into_iter().for_each(|memory| session.return_scratch(memory));
                return Ok(None);
            };
            let (used, kind) = self.reader.take(bytes).map_err(|_| Fault::Malformed)?;
            let consumed: Result<(), Gone> = session.consume(now, stream, used);
            // It was there a moment ago.
            consumed.map_err(|_| Fault::Malformed)?;
            if let Some(kind) = kind
                && let Some(told) = self.handle_record(kind, own)?
            {
                return Ok(Some(told));
            }
        }
    }

    fn handle_record(&mut self, kind: u8, own: Own<'_>) -> Result<Option<Told>, Fault> {
        match (kind, self.state) {
            (ACCEPT, State::Opening) if self.side == Side::Opener => self.handle_accept(own).map(Some),
            (REFUSE, State::Opening) if self.side == Side::Opener => {
                self.state = State::Closed;
                Ok(Some(Told::Refused(self.reason(0)?)))
            }
            // A hub that cannot reach the other end says so; the channel stays parked.
            (REFUSE, State::Parked) => Ok(Some(Told::Away)),
            (RESUME, State::Parked) => {
                let body = self.reader.body().to_vec();
                self.handle_resume(&body).map(Some)
            }
            (JSON | BYTES | CLOSE, State::Open | State::HalfClosed) if !self.heard_close => {
                self.handle_message(kind).map(Some)
            }
            (ACK, State::Open | State::HalfClosed) => self.handle_ack(),
            (SIGN, State::Open | State::HalfClosed) => self.handle_sign(),
            _ => Err(Fault::Malformed),
        }
    }

    fn reason(&self, skip: usize) -> Result<String, Fault> {
        let text = self.reader.body().get(skip..).and_then(|body| core::str::from_utf8(body).ok());
        text.filter(|text| text.len() <= MAX_REASON).map(String::from).ok_or(Fault::Malformed)
    }

    fn handle_accept(&mut self, own: Own<'_>) -> Result<Told, Fault> {
        let accept = self.reader.body();
        let signed = read_accept(&self.open, accept)?;
        self.proof = Proof::None;
        if let (Some(secret), Some(signed)) = (self.secret.take(), signed) {
            self.proof = judge(Some(&signed), own)?;
            let agreement = Agreement::new(&secret, signed.exchange, &self.open, accept).ok_or(Fault::Tampered)?;
            self.agreement = Some(Box::new(agreement));
        } else if own.pinned.is_some() {
            // A key is known for it, and nothing is proven: somebody may have taken the signatures away.
            return Err(Fault::Unproven);
        }
        self.open = Vec::new();
        self.state = State::Open;
        Ok(Told::Opened(self.proof))
    }

    fn handle_message(&mut self, kind: u8) -> Result<Told, Fault> {
        let hears = self.side.hears();
        if let Some(agreement) = &mut self.agreement {
            let (tag, body) = self.reader.body().split_at_checked(TAG_LEN).ok_or(Fault::Malformed)?;
            if !agreement.check(hears, kind, body, tag) && !self.faults.no_tag() {
                return Err(Fault::Tampered);
            }
        }
        self.received += 1;
        if self.faults.ack_early() {
            self.take(self.received);
        }
        if kind == CLOSE {
            let skip = if self.agreement.is_some() { TAG_LEN } else { 0 };
            let reason = self.reason(skip)?;
            self.heard_close = true;
            self.half_close();
            self.take_close();
            return Ok(Told::Finished(reason));
        }
        let kind = if kind == JSON { Kind::Json } else { Kind::Bytes };
        Ok(Told::Message(self.received, kind))
    }

    fn handle_ack(&mut self) -> Result<Option<Told>, Fault> {
        let (text, tag) = self.reader.body().split_first_chunk::<8>().ok_or(Fault::Malformed)?;
        let hears = self.side.hears();
        match &self.agreement {
            Some(agreement) if !agreement.check_aside(hears, ACK, text, tag) => return Err(Fault::Tampered),
            None if !tag.is_empty() => return Err(Fault::Malformed),
            _ => {}
        }
        let upto = u64::from_be_bytes(*text);
        let before = self.sending.acked();
        let room = self.sending.acknowledge(upto).ok_or(Fault::Tampered)?;
        Ok((upto > before).then_some(Told::Acked { upto, room }))
    }

    fn handle_sign(&mut self) -> Result<Option<Told>, Fault> {
        let body: &[u8; 72] = self.reader.body().try_into().map_err(|_| Fault::Malformed)?;
        let (Some(agreement), Proof::Pinned(key) | Proof::Unpinned(key)) = (&self.agreement, self.proof) else {
            return Err(Fault::Malformed);
        };
        let hears = self.side.hears();
        let (count, statement) = agreement.statement(hears);
        let (claimed, signature) = body.split_first_chunk::<8>().ok_or(Fault::Malformed)?;
        let signature: &Signature = signature.try_into().map_err(|_| Fault::Malformed)?;
        let direction = [u8::from(hears == Direction::Back)];
        let genuine = verify_signed(Purpose::Sign, &key, &[&direction], &statement, signature).is_ok();
        if u64::from_be_bytes(*claimed) != count || !genuine {
            return Err(Fault::Tampered);
        }
        let is_new = self.signing.get_or_insert_default().hear(count, *signature);
        Ok(is_new.then_some(Told::Signed(count)))
    }
}

/// As much of a reason as fits.
pub(crate) fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}
