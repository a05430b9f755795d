//! The handshake state (Noise 5.3).

use core::fmt;

use zeroize::Zeroizing;

use super::cipher::{CipherKey, TAG_LEN};
use super::pattern::Token;
use super::symmetric::Symmetric;
use super::{Curve, MAX_MESSAGE, NoiseError, Pattern, Role};

/// One side of a handshake in the making.
pub struct Handshake<C: Curve> {
    pattern: Pattern,
    role: Role,
    /// How many messages are done.
    step: usize,
    ephemeral: C::Secret,
    progress: Progress<C>,
}

/// What a message changes: worked on as a copy, kept only when all of the message was right.
struct Progress<C: Curve> {
    symmetric: Symmetric,
    remote_ephemeral: Option<C::Public>,
    remote: Option<C::Public>,
    /// The hash before the payload of the message that was written or read last.
    binding: [u8; 32],
}

/// Not derived: that would ask it of the curve.
impl<C: Curve> Clone for Progress<C> {
    fn clone(&self) -> Self {
        Self { symmetric: self.symmetric.clone(), ..*self }
    }
}

/// What a handshake led to.
#[derive(Debug)]
pub struct Finished<C: Curve> {
    /// For what we send.
    pub send: CipherKey,
    /// For what the other side sends.
    pub receive: CipherKey,
    /// The hash over all of the handshake, the same on both sides and in no other handshake: what to sign in order to bind something
    /// else to this one. It is no secret.
    pub hash: [u8; 32],
    /// The other side's static key, which it has proven to hold.
    pub remote: C::Public,
}

impl<C: Curve> Handshake<C> {
    /// The side that begins. `prologue` is what both sides must agree on before; `remote` the responder's static key, where the pattern [needs](Pattern::needs_remote) it (with [`Pattern::Xx`] it is not looked at); `ephemeral` a
    /// [new](Curve::generate) key for this handshake only.
    ///
    /// # Errors
    /// [`NoiseError::RemoteNeeded`].
    pub fn initiator(
        pattern: Pattern,
        prologue: &[u8],
        remote: Option<C::Public>,
        ephemeral: C::Secret,
    ) -> Result<Self, NoiseError> {
        let mut symmetric = Symmetric::new(pattern, C::NAME, prologue);
        let remote = remote.filter(|_| pattern.needs_remote());
        match &remote {
            Some(remote) => symmetric.mix_hash(remote.as_ref()),
            None if pattern.needs_remote() => return Err(NoiseError::RemoteNeeded),
            None => {}
        }
        Ok(Self::new(pattern, Role::Initiator, symmetric, remote, ephemeral))
    }

    /// The side that answers, with its own static key; see [`initiator`](Self::initiator).
    #[must_use]
    pub fn responder(pattern: Pattern, prologue: &[u8], local: &C::Secret, ephemeral: C::Secret) -> Self {
        let mut symmetric = Symmetric::new(pattern, C::NAME, prologue);
        if pattern.needs_remote() {
            symmetric.mix_hash(C::public(local).as_ref());
        }
        Self::new(pattern, Role::Responder, symmetric, None, ephemeral)
    }

    const fn new(
        pattern: Pattern,
        role: Role,
        symmetric: Symmetric,
        remote: Option<C::Public>,
        ephemeral: C::Secret,
    ) -> Self {
        let progress = Progress { symmetric, remote_ephemeral: None, remote, binding: [0; 32] };
        Self { pattern, role, step: 0, ephemeral, progress }
    }

    /// A copy on which a message is tried that has to pass more than its own check: the original is kept where it does not. No two of
    /// them may write, since that would be twice under one key.
    #[cfg(feature = "alloc")]
    pub(crate) fn trial(&self) -> Self
    where
        C::Secret: Clone,
    {
        Self { ephemeral: self.ephemeral.clone(), progress: self.progress.clone(), ..*self }
    }

    /// Between two messages, add what both sides have seen to the hash and, where there is one, a secret that they share to the keys.
    #[cfg(feature = "alloc")]
    pub(crate) fn mix(&mut self, seen: &[u8], secret: Option<&Zeroizing<[u8; 32]>>) {
        self.progress.symmetric.mix_hash(seen);
        if let Some(secret) = secret {
            self.progress.symmetric.mix_key(secret);
        }
    }

    /// Which side this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether the next message is ours to write.
    #[must_use]
    pub fn is_our_turn(&self) -> bool {
        self.tokens().is_some() && self.step.is_multiple_of(2) == (self.role == Role::Initiator)
    }

    /// Whether all messages are done: [`finish`](Self::finish) has keys to give.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.tokens().is_none()
    }

    /// The other side's static key: known beforehand, or since the message that brought it. It is proven only at the end.
    #[must_use]
    pub const fn remote(&self) -> Option<&C::Public> {
        self.progress.remote.as_ref()
    }

    /// The hash over all that was said so far, see [`Finished::hash`].
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        self.progress.symmetric.hash()
    }

    /// The hash over all before the payload of the last message that was written or read: the keys in it included, its payload
    /// not. What a payload signs in order to bind a key of another kind to this handshake, see
    /// `write_with`.
    #[must_use]
    pub const fn binding(&self) -> &[u8; 32] {
        &self.progress.binding
    }

    /// How long the next message is, in bytes, with a payload of this length; `None` when there is none, or it would be too long.
    #[must_use]
    pub fn message_len(&self, payload: usize) -> Option<usize> {
        let mut keyed = self.progress.symmetric.has_key();
        let mut len = payload;
        for token in self.tokens()? {
            let more = match token {
                Token::E => C::PUBLIC_LEN,
                Token::S => C::PUBLIC_LEN + if keyed { TAG_LEN } else { 0 },
                Token::Ee | Token::Es | Token::Se | Token::Ss => {
                    keyed = true;
                    0
                }
            };
            len = len.checked_add(more)?;
        }
        len.checked_add(if keyed { TAG_LEN } else { 0 }).filter(|len| *len <= MAX_MESSAGE)
    }

    /// Write the next message with its payload to the start of `out`, and say how long it is.
    ///
    /// # Errors
    /// [`NoiseError`]: not our turn, no room in `out`, a payload that is too long, a weak key of the peer's.
    pub fn write(&mut self, local: &C::Secret, payload: &[u8], out: &mut [u8]) -> Result<usize, NoiseError> {
        self.write_with(local, payload.len(), out, |_, room| {
            room.copy_from_slice(payload);
            Ok(())
        })
    }

    /// The same with a payload of this length that `fill` writes in its place, given the [`binding`](Self::binding) of this message:
    /// a signature over that is good for no other handshake.
    ///
    /// # Errors
    /// As [`write`](Self::write), and what `fill` fails with. The handshake is then as it was.
    pub fn write_with<E: From<NoiseError>>(
        &mut self,
        local: &C::Secret,
        payload_len: usize,
        out: &mut [u8],
        fill: impl FnOnce(&[u8; 32], &mut [u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let tokens = self.tokens().filter(|_| self.is_our_turn()).ok_or(NoiseError::Turn)?;
        let len = self.message_len(payload_len).ok_or(NoiseError::TooLong)?;
        let out = out.get_mut(..len).ok_or(NoiseError::Room)?;
        let mut next = self.progress.clone();
        let mut at = 0;
        for token in tokens {
            let rest = out.get_mut(at..).unwrap_or_default();
            at += match token {
                Token::E => {
                    let public = C::public(&self.ephemeral);
                    let public = public.as_ref();
                    rest.get_mut(..public.len()).ok_or(NoiseError::Room)?.copy_from_slice(public);
                    next.symmetric.mix_hash(public);
                    public.len()
                }
                Token::S => next.symmetric.encrypt(C::public(local).as_ref(), rest)?,
                shared => {
                    let secret = self.dh(*shared, local, &next)?;
                    next.symmetric.mix_key(&secret);
                    0
                }
            };
        }
        next.binding = *next.symmetric.hash();
        let room = out.get_mut(at..).unwrap_or_default();
        fill(&next.binding, room.get_mut(..payload_len).ok_or(NoiseError::Room)?)?;
        next.symmetric.encrypt_in_place(payload_len, room)?;
        self.progress = next;
        self.step += 1;
        Ok(len)
    }

    /// Read the next message, put its payload to the start of `out`, and say how long that is. `out` needs at most the length of the
    /// message. After an error it may hold anything, and the handshake is as it was.
    ///
    /// # Errors
    /// [`NoiseError`]: not the other side's turn, no room in `out`, or a message that does not verify.
    pub fn read(&mut self, local: &C::Secret, message: &[u8], out: &mut [u8]) -> Result<usize, NoiseError> {
        let tokens = self.tokens().filter(|_| !self.is_our_turn()).ok_or(NoiseError::Turn)?;
        if message.len() > MAX_MESSAGE {
            return Err(NoiseError::Unverified);
        }
        let mut next = self.progress.clone();
        let mut rest = message;
        for token in tokens {
            match token {
                Token::E => {
                    let (bytes, after) = rest.split_at_checked(C::PUBLIC_LEN).ok_or(NoiseError::Unverified)?;
                    next.remote_ephemeral = Some(C::decode(bytes).ok_or(NoiseError::Unverified)?);
                    next.symmetric.mix_hash(bytes);
                    rest = after;
                }
                Token::S => rest = next.read_static(rest)?,
                shared => {
                    let secret = self.dh(*shared, local, &next)?;
                    next.symmetric.mix_key(&secret);
                }
            }
        }
        next.binding = *next.symmetric.hash();
        let len = next.symmetric.decrypt(rest, out)?;
        self.progress = next;
        self.step += 1;
        Ok(len)
    }

    /// Whether the static key at the front of the next message is sealed as it must be. That takes no operation of the curve, so what somebody made
    /// up can be told from what may be right before [`read`](Self::read) is paid for. `true` where the next message does not begin with such a key.
    #[must_use]
    pub fn may_be_next(&self, message: &[u8]) -> bool {
        let begins = self.tokens().is_some_and(|tokens| matches!(tokens, [Token::S, ..]));
        !begins || !self.progress.symmetric.has_key() || self.progress.clone().opens_static(message)
    }

    /// The keys, once [all messages are done](Self::is_done).
    ///
    /// # Errors
    /// [`NoiseError::Turn`] before that.
    pub fn finish(&self) -> Result<Finished<C>, NoiseError> {
        let remote = self.progress.remote.filter(|_| self.is_done()).ok_or(NoiseError::Turn)?;
        let [first, second] = self.progress.symmetric.split();
        let (send, receive) = match self.role {
            Role::Initiator => (first, second),
            Role::Responder => (second, first),
        };
        Ok(Finished { send, receive, hash: *self.hash(), remote })
    }

    /// What the next message consists of; `None` when all are done.
    fn tokens(&self) -> Option<&'static [Token]> {
        self.pattern.messages().get(self.step).copied()
    }

    /// The secret that a token stands for.
    fn dh(&self, token: Token, local: &C::Secret, known: &Progress<C>) -> Result<Zeroizing<[u8; 32]>, NoiseError> {
        let initiator = self.role == Role::Initiator;
        // Of each pair the first key is the initiator's.
        let (ours_ephemeral, theirs_ephemeral) = match token {
            Token::Es => (initiator, !initiator),
            Token::Se => (!initiator, initiator),
            Token::Ss => (false, false),
            Token::Ee | Token::E | Token::S => (true, true),
        };
        let theirs = if theirs_ephemeral { known.remote_ephemeral } else { known.remote }.ok_or(NoiseError::Turn)?;
        C::dh(if ours_ephemeral { &self.ephemeral } else { local }, &theirs).ok_or(NoiseError::Weak)
    }
}

impl<C: Curve> Progress<C> {
    /// Whether the other side's static key, sealed, is at the front of a message.
    fn opens_static(&mut self, message: &[u8]) -> bool {
        let mut room = [0; 128];
        let sealed = message.get(..C::PUBLIC_LEN + TAG_LEN);
        sealed.is_some_and(|sealed| self.symmetric.decrypt(sealed, &mut room).is_ok())
    }

    /// Take the other side's static key off the front of a message.
    fn read_static<'a>(&mut self, message: &'a [u8]) -> Result<&'a [u8], NoiseError> {
        let len = C::PUBLIC_LEN + if self.symmetric.has_key() { TAG_LEN } else { 0 };
        let (bytes, rest) = message.split_at_checked(len).ok_or(NoiseError::Unverified)?;
        // No curve of ours has longer keys; one that does could not be read.
        let mut room = [0; 128];
        let read = self.symmetric.decrypt(bytes, &mut room)?;
        let key = room.get(..read).and_then(C::decode).ok_or(NoiseError::Unverified)?;
        self.remote = Some(key);
        Ok(rest)
    }
}

/// Nothing secret, and no key.
impl<C: Curve> fmt::Debug for Handshake<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handshake({} over {}, {:?}, message {})", self.pattern.name(), C::NAME, self.role, self.step)
    }
}
