//! A session: packets sealed and opened in the caller's buffer, without a heap allocation.

use alloc::boxed::Box;
use core::num::NonZeroU32;

use sluis_core::Instant;
use sluis_core::noise::{CipherKey, Finished, TAG_LEN};

use super::name::{self, Name, Side};
use super::window::Window;
use super::{GRACE, LIFETIME, MAX_BODY, MAX_PACKETS, MessageId, SealedError, SessionId};
use crate::key::Secp256k1Curve;

/// The first byte of a packet, and of one with act three before it.
const SEALED: u8 = 0x53;
const FIRST: u8 = 0x54;
/// Type, session, counter: what is authenticated with what is sealed.
const HEADER: usize = 17;
/// Kind, id, length.
const INNER: usize = 21;
/// What is sealed is a multiple of this with its tag.
const STEP: usize = 64;

/// The session that a packet says it is of; `None` for what is no sealed packet.
#[must_use]
pub fn session_of(packet: &[u8]) -> Option<SessionId> {
    match packet.split_first() {
        Some((&(SEALED | FIRST), rest)) => rest.first_chunk().copied(),
        _ => None,
    }
}

/// Length of a packet with a body of so many bytes, once the other side was heard.
#[must_use]
pub const fn packet_len(body: usize) -> usize {
    HEADER + padded(body)
}

/// Bytes of what is sealed, tag included.
const fn padded(body: usize) -> usize {
    body.saturating_add(INNER + TAG_LEN).next_multiple_of(STEP)
}

/// What was in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// What it is for; up to who uses the session.
    pub kind: u8,
    /// Which message it is about.
    pub id: MessageId,
    /// What is said.
    pub body: &'a [u8],
    /// The packet was not seen before. Otherwise it is a copy: carried by another broker, or repeated by one.
    pub fresh: bool,
}

/// The keys of both directions, between two proven keys: whose the other one is knows who made it. Wiped when dropped.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    send: CipherKey,
    receive: CipherKey,
    /// One more than the number of the next packet: never 0, so that having no session takes no room of its own.
    next: NonZeroU32,
    window: Window,
    /// Of one that we asked for: what is needed until the other side was heard, and has said its name.
    opening: Option<Box<Opening>>,
    born: Instant,
}

/// What the side that said hello needs at the start of a session.
#[derive(Debug)]
pub(super) struct Opening {
    /// Act three goes along until the other side is heard.
    pub(super) act_three: Option<Box<[u8]>>,
    /// Over which the other side signs its name; none once it has said which, or that it has none.
    pub(super) hash: Option<[u8; 32]>,
}

impl Session {
    pub(super) fn new(id: SessionId, ends: Finished<Secp256k1Curve>, opening: Option<Opening>, now: Instant) -> Self {
        let Finished { send, receive, .. } = ends;
        let opening = opening.map(Box::new);
        Self { id, send, receive, next: NonZeroU32::MIN, window: Window::new(), opening, born: now }
    }

    /// The number of the next packet; a session is spent long before there are none left.
    fn next(&self) -> u64 {
        u64::from(self.next.get() - 1)
    }

    fn act_three(&self) -> Option<&[u8]> {
        self.opening.as_ref()?.act_three.as_deref()
    }

    /// Change what the start of the session needs, and drop it where it needs nothing any more.
    fn open_further(&mut self, change: impl FnOnce(&mut Opening)) {
        if let Some(opening) = &mut self.opening {
            change(opening);
        }
        self.opening.take_if(|opening| opening.act_three.is_none() && opening.hash.is_none());
    }

    /// Whether the other side, which answered our hello, has not said yet by which name it goes.
    #[must_use]
    pub fn awaits_name(&self) -> bool {
        self.opening.as_ref().is_some_and(|opening| opening.hash.is_some())
    }

    /// Take the name of the other side, which answered our hello, as it said it in a sealed packet; empty: it has none. It is read once.
    ///
    /// # Errors
    /// [`SealedError::Name`]: the name is not proven, or none was [waited for](Self::awaits_name). The session stands.
    pub fn read_name<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Name<'a>>, SealedError> {
        let hash = self.opening.as_ref().and_then(|opening| opening.hash).ok_or(SealedError::Name)?;
        self.open_further(|opening| opening.hash = None);
        name::read(Side::Responder, &hash, bytes)
    }

    /// By which it is known on the wire.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Whether the other side was heard in this session.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.act_three().is_none()
    }

    /// Whether nothing more is to be sent in it: a new one is due.
    #[must_use]
    pub fn is_spent(&self, now: Instant) -> bool {
        self.next() >= MAX_PACKETS || now.saturating_since(self.born) >= LIFETIME
    }

    /// Whether nothing more is taken from it either.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        now.saturating_since(self.born) >= LIFETIME + GRACE
    }

    /// Nothing came in it for a while: give up what is missing, and the memory that tells it. A session that goes on takes it anew.
    pub fn rest(&mut self) {
        self.window.rest();
    }

    /// Length of the next packet with a body of so many bytes.
    #[must_use]
    pub fn next_len(&self, body: usize) -> usize {
        packet_len(body) + self.act_three().map_or(0, |act| 2 + act.len())
    }

    /// Seal a packet into the start of `out`, and say how long it is. Copies of it for several brokers are the same bytes.
    ///
    /// # Errors
    /// [`SealedError::TooLong`], [`SealedError::Room`], [`SealedError::Spent`].
    pub fn seal(
        &mut self,
        now: Instant,
        kind: u8,
        id: &MessageId,
        body: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealedError> {
        if body.len() > MAX_BODY {
            return Err(SealedError::TooLong);
        }
        if self.is_spent(now) {
            return Err(SealedError::Spent);
        }
        let len = self.next_len(body.len());
        let mut room = Writer(out.get_mut(..len).ok_or(SealedError::Room)?);
        let header = header(if self.is_heard() { SEALED } else { FIRST }, &self.id, self.next());
        let (before, counter) = header.split_at(9);
        room.put(before)?;
        if let Some(act) = self.act_three() {
            room.put(&u16::try_from(act.len()).map_err(|_| SealedError::TooLong)?.to_be_bytes())?;
            room.put(act)?;
        }
        room.put(counter)?;
        let (text, tag) = room.0.split_last_chunk_mut::<TAG_LEN>().ok_or(SealedError::Room)?;
        let mut inner = Writer(&mut *text);
        inner.put(&[kind])?;
        inner.put(id)?;
        inner.put(&u32::try_from(body.len()).map_err(|_| SealedError::TooLong)?.to_be_bytes())?;
        inner.put(body)?;
        inner.0.fill(0);
        *tag = self.send.seal(self.next(), &header, text).map_err(|_| SealedError::TooLong)?;
        self.next = self.next.saturating_add(1);
        Ok(len)
    }

    /// Open a packet in place.
    ///
    /// # Errors
    /// [`SealedError`]; the packet's bytes are then worth nothing any more.
    pub fn open<'a>(&mut self, now: Instant, packet: &'a mut [u8]) -> Result<Opened<'a>, SealedError> {
        if session_of(packet) != Some(self.id) {
            return Err(if session_of(packet).is_some() { SealedError::Session } else { SealedError::Form });
        }
        if self.is_over(now) {
            return Err(SealedError::Spent);
        }
        let (kind, rest) = packet.split_first_mut().ok_or(SealedError::Form)?;
        let rest = rest.get_mut(8..).ok_or(SealedError::Form)?;
        let rest = if *kind == FIRST {
            let (len, rest) = rest.split_first_chunk_mut().ok_or(SealedError::Form)?;
            rest.get_mut(usize::from(u16::from_be_bytes(*len))..).ok_or(SealedError::Form)?
        } else {
            rest
        };
        let (counter, sealed) = rest.split_first_chunk_mut().ok_or(SealedError::Form)?;
        let counter = u64::from_be_bytes(*counter);
        let fresh = self.window.check(counter)?;
        let (text, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(SealedError::Form)?;
        self.receive
            .open(counter, &header(*kind, &self.id, counter), text, tag)
            .map_err(|_| SealedError::Unverified)?;
        // What verifies was made by the peer; that its form is wrong is the peer's fault, and still no reason to fail badly.
        let opened = inner(text, fresh)?;
        self.window.mark(counter);
        self.open_further(|opening| opening.act_three = None);
        Ok(opened)
    }
}

/// What stands in the clear and is authenticated with the rest.
fn header(kind: u8, id: &SessionId, counter: u64) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    let parts: [&[u8]; 3] = [&[kind], id, &counter.to_be_bytes()];
    out.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    out
}

fn inner(text: &[u8], fresh: bool) -> Result<Opened<'_>, SealedError> {
    let (kind, rest) = text.split_first().ok_or(SealedError::Form)?;
    let (id, rest) = rest.split_first_chunk().ok_or(SealedError::Form)?;
    let (len, rest) = rest.split_first_chunk().ok_or(SealedError::Form)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| SealedError::Form)?;
    let (body, padding) = rest.split_at_checked(len).ok_or(SealedError::Form)?;
    if body.len() > MAX_BODY || padding.len() >= STEP || padding.iter().any(|byte| *byte != 0) {
        return Err(SealedError::Form);
    }
    Ok(Opened { kind: *kind, id: *id, body, fresh })
}

/// The front of a first packet.
pub(super) struct First<'a> {
    pub(super) session: SessionId,
    pub(super) act: &'a [u8],
}

impl<'a> First<'a> {
    pub(super) fn parse(packet: &'a [u8]) -> Result<Self, SealedError> {
        let rest = packet.strip_prefix(&[FIRST]).ok_or(SealedError::Form)?;
        let (session, rest) = rest.split_first_chunk().ok_or(SealedError::Form)?;
        let (len, rest) = rest.split_first_chunk().ok_or(SealedError::Form)?;
        let act = rest.get(..usize::from(u16::from_be_bytes(*len))).ok_or(SealedError::Form)?;
        Ok(Self { session: *session, act })
    }
}

/// Fills a buffer from its front.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), SealedError> {
        let (room, rest) = core::mem::take(&mut self.0).split_at_mut_checked(bytes.len()).ok_or(SealedError::Room)?;
        room.copy_from_slice(bytes);
        self.0 = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Answered, Offer};
    use super::*;
    use crate::key::SecretKey;

    #[test]
    fn a_session_ends_by_count() {
        let key = |n| SecretKey::from_bytes(&[n; 32]).unwrap();
        let mut offer = Offer::new(&key(1), key(2).public(), key(3)).unwrap();
        let mut answered = Answered::new(&key(2), offer.body(), key(4)).unwrap();
        let mut a = offer.answered(&key(1), answered.body(), None, Instant::ZERO).unwrap();
        a.next = u32::try_from(MAX_PACKETS).ok().and_then(NonZeroU32::new).unwrap();
        let mut last = [0; 200];
        let len = a.seal(Instant::ZERO, 1, &[7; 16], b"last", &mut last).unwrap();
        assert!(a.is_spent(Instant::ZERO));
        assert_eq!(a.seal(Instant::ZERO, 1, &[7; 16], b"", &mut [0; 200]), Err(SealedError::Spent));
        // What is under way is taken.
        let mut b = answered.first(&key(2), &last[..len], Instant::ZERO).unwrap().session;
        assert_eq!(b.open(Instant::ZERO, &mut last[..len]).unwrap().body, b"last");
    }
}
