//! How a session begins.

use alloc::boxed::Box;
use alloc::vec::Vec;

use sluis_core::identity::Signer;
use sluis_core::noise::{Handshake, NoiseError, Pattern};
use sluis_core::{Instant, check_did};

use super::name::{self, Name, Side as Whose};
use super::session::{First, Opening, Session};
use super::{PROLOGUE, SealedError, SessionId};
use crate::key::{PublicKey, Secp256k1Curve, SecretKey};

const MARK: &[u8; 6] = b"sluis1";
const ACK: &[u8; 3] = b"ack";
/// Version, ephemeral key, tag.
const ACT: usize = 50;

/// Length of the body of a hello.
pub const HELLO_LEN: usize = MARK.len() + ACT;
/// Length of the body of its answer.
pub const ANSWER_LEN: usize = ACK.len() + ACT;

type Side = Handshake<Secp256k1Curve>;

/// Whether the body of a probe asks for a session. (Whether it is one that can be answered is found out by [`Answered::new`].)
#[must_use]
pub fn is_hello(body: &[u8]) -> bool {
    body.len() == HELLO_LEN && body.starts_with(MARK)
}

/// Of two hellos that cross, the one of the lower key stands: whether that is ours.
#[must_use]
pub fn our_hello_stands(ours: &PublicKey, theirs: &PublicKey) -> bool {
    ours < theirs
}

/// A hello of ours that waits for its answer.
#[derive(Debug)]
pub struct Offer {
    side: Side,
    body: [u8; HELLO_LEN],
}

impl Offer {
    /// Say hello to a peer. `ephemeral` is a new key for this handshake only.
    ///
    /// # Errors
    /// None that is known of.
    pub fn new(local: &SecretKey, remote: PublicKey, ephemeral: SecretKey) -> Result<Self, SealedError> {
        let mut side = Side::initiator(Pattern::Xk, PROLOGUE, Some(remote), ephemeral).map_err(refused)?;
        let mut body = [0; HELLO_LEN];
        let (mark, act) = body.split_at_mut(MARK.len());
        mark.copy_from_slice(MARK);
        side.write(local, b"", act.get_mut(1..).unwrap_or_default()).map_err(refused)?;
        Ok(Self { side, body })
    }

    /// The body of the probe. It may be sent as often as it takes.
    #[must_use]
    pub const fn body(&self) -> &[u8; HELLO_LEN] {
        &self.body
    }

    /// Take the body of an answer: the session, in which we may send at once. With `named`, a DID and the key that signs for it, the
    /// other side hears who we are.
    ///
    /// # Errors
    /// [`SealedError::Form`] for an answer without act two, as a peer of the reference gives it; [`SealedError::Unverified`] for one
    /// to another hello, or forged; [`SealedError::TooLong`] for what is no DID. The offer stands then, the right answer may still come.
    /// [`SealedError::Name`] when the signer does not sign: the offer is used up.
    pub fn answered(
        &mut self,
        local: &SecretKey,
        body: &[u8],
        named: Option<(&str, &dyn Signer)>,
        now: Instant,
    ) -> Result<Session, SealedError> {
        let act = body.strip_prefix(ACK).and_then(|act| act.strip_prefix(&[0])).ok_or(SealedError::Form)?;
        if act.len() != ACT - 1 {
            return Err(SealedError::Form);
        }
        if let Some((did, _)) = named {
            check_did(did).map_err(|_| SealedError::TooLong)?;
        }
        self.side.read(local, act, &mut []).map_err(refused)?;
        let (id, hash) = (id_of(&self.side), *self.side.hash());
        let payload = match named {
            Some((did, signer)) => name::write(Whose::Initiator, &hash, did, signer)?,
            None => Vec::new(),
        };
        let len = self.side.message_len(payload.len()).ok_or(SealedError::TooLong)?;
        let mut act = alloc::vec![0; 1 + len];
        self.side.write(local, &payload, act.get_mut(1..).unwrap_or_default()).map_err(refused)?;
        let ends = self.side.finish().map_err(refused)?;
        Ok(Session::new(id, ends, Some(Opening { act_three: Some(act.into_boxed_slice()), hash: Some(hash) }), now))
    }
}

/// A hello of a peer that we answered. It becomes a session with the first packet that proves who it was.
#[derive(Debug)]
pub struct Answered {
    side: Side,
    id: SessionId,
    body: [u8; ANSWER_LEN],
}

impl Answered {
    /// Answer the body of a hello. `ephemeral` is a new key for this handshake only. This costs two operations of the curve: budget it.
    ///
    /// # Errors
    /// [`SealedError::Form`] for what is no hello, [`SealedError::Unverified`] for one to somebody else or forged.
    pub fn new(local: &SecretKey, hello: &[u8], ephemeral: SecretKey) -> Result<Self, SealedError> {
        let act = hello.strip_prefix(MARK).and_then(|act| act.strip_prefix(&[0])).ok_or(SealedError::Form)?;
        if act.len() != ACT - 1 {
            return Err(SealedError::Form);
        }
        let mut side = Side::responder(Pattern::Xk, PROLOGUE, local, ephemeral);
        side.read(local, act, &mut []).map_err(refused)?;
        let mut body = [0; ANSWER_LEN];
        let (ack, act) = body.split_at_mut(ACK.len());
        ack.copy_from_slice(ACK);
        side.write(local, b"", act.get_mut(1..).unwrap_or_default()).map_err(refused)?;
        Ok(Self { id: id_of(&side), side, body })
    }

    /// The body of the ack. The same for every copy of the hello.
    #[must_use]
    pub const fn body(&self) -> &[u8; ANSWER_LEN] {
        &self.body
    }

    /// By which the session will be known.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Whether something may be the first packet of the session. Made up by somebody else it is not, which costs no operation of the curve; a copy of
    /// the front of the right one may be.
    #[must_use]
    pub fn may_be_first(&self, packet: &[u8]) -> bool {
        let act = First::parse(packet).ok().filter(|first| first.session == self.id);
        act.and_then(|first| first.act.strip_prefix(&[0])).is_some_and(|act| self.side.may_be_next(act))
    }

    /// Take the first packet of the session: who it is, by key and perhaps by name, is proven with it. The packet itself is then to be
    /// [opened](Session::open) with the session.
    ///
    /// # Errors
    /// [`SealedError`]; the right one may still come.
    pub fn first(&mut self, local: &SecretKey, packet: &[u8], now: Instant) -> Result<Proven, SealedError> {
        let First { session, act } = First::parse(packet)?;
        if session != self.id {
            return Err(SealedError::Session);
        }
        let act = act.strip_prefix(&[0]).ok_or(SealedError::Form)?;
        let hash = *self.side.hash();
        let mut payload = alloc::vec![0; act.len()];
        let len = self.side.read(local, act, &mut payload).map_err(refused)?;
        payload.truncate(len);
        let ends = self.side.finish().map_err(refused)?;
        let remote = ends.remote;
        let session = Session::new(self.id, ends, None, now);
        Ok(Proven { session, remote, hash, payload: payload.into_boxed_slice() })
    }
}

/// A session of which the other side is proven.
#[derive(Debug)]
pub struct Proven {
    /// The session.
    pub session: Session,
    /// Whose the other side is.
    pub remote: PublicKey,
    hash: [u8; 32],
    payload: Box<[u8]>,
}

impl Proven {
    /// The name that came along, if one did. Its check costs a verification of Ed25519.
    ///
    /// # Errors
    /// [`SealedError::Name`]: the session stands, and its key is whose it is, but who calls itself so does not hold that name's key.
    pub fn name(&self) -> Result<Option<Name<'_>>, SealedError> {
        name::read(Whose::Initiator, &self.hash, &self.payload)
    }

    /// Sign for this session under a DID: what the other side [reads](Session::read_name) as our name. It is to be sent sealed.
    ///
    /// # Errors
    /// [`SealedError::TooLong`] where it is no DID; [`SealedError::Name`] where the signer does not sign.
    pub fn sign_name(&self, did: &str, signer: &dyn Signer) -> Result<Vec<u8>, SealedError> {
        name::write(Whose::Responder, &self.hash, did, signer)
    }
}

fn id_of(side: &Side) -> SessionId {
    let [a, b, c, d, e, f, g, h, ..] = *side.hash();
    [a, b, c, d, e, f, g, h]
}

const fn refused(why: NoiseError) -> SealedError {
    match why {
        NoiseError::Room => SealedError::Room,
        NoiseError::TooLong => SealedError::TooLong,
        _ => SealedError::Unverified,
    }
}
