//! Handshake patterns as data (Noise 7).

/// Who begins with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pattern {
    /// Nobody knows the other: both keys are sent, encrypted. Three messages.
    Xx,
    /// The initiator knows the responder's key and sends its own in its first message. Two messages; the payload of the first can be
    /// replayed, and is open to who later gets the responder's secret.
    Ik,
    /// The initiator knows the responder's key and sends its own in the third message. Three messages.
    Xk,
}

/// Which side one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes the first message.
    Initiator,
    /// Reads the first message.
    Responder,
}

/// A piece of a message.
#[derive(Clone, Copy)]
pub(super) enum Token {
    /// The ephemeral key of who writes.
    E,
    /// The static key of who writes, encrypted once there is a key.
    S,
    /// A shared secret: of the initiator's key named first and the responder's named second.
    Ee,
    Es,
    Se,
    Ss,
}

impl Pattern {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Xx => "XX",
            Self::Ik => "IK",
            Self::Xk => "XK",
        }
    }

    /// Whether the initiator knows the responder's key beforehand.
    #[must_use]
    pub const fn needs_remote(self) -> bool {
        !matches!(self, Self::Xx)
    }

    pub(super) const fn messages(self) -> &'static [&'static [Token]] {
        use Token::{E, Ee, Es, S, Se, Ss};
        match self {
            Self::Xx => &[&[E], &[E, Ee, S, Es], &[S, Se]],
            Self::Ik => &[&[E, Es, S, Ss], &[E, Ee, Se]],
            Self::Xk => &[&[E, Es], &[E, Ee], &[S, Se]],
        }
    }
}
