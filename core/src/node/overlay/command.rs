//! What an application may ask of the overlay, as part of [`Command`](crate::node::Command).

use super::news::OperationId;
use super::{Operation, Profile};
use crate::Path;
use crate::airlock::SignedId;
use crate::discovery::TokenId;
use crate::node::{CommandOutcome, Node};
use crate::registry::Address;
use crate::time::{Duration, Now};

/// Something that an application asks of the overlay of a node. Each has a method of the same name on [`Node`], which says what it does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum OverlayCommand<'a> {
    /// [`Node::set_profile`].
    SetProfile(Profile<'a>),
    /// [`Node::ask_registry`].
    AskRegistry {
        /// The registry.
        did: &'a str,
        /// Where it is.
        path: Path,
    },
    /// [`Node::name_endpoint`].
    NameEndpoint {
        /// Whose.
        did: &'a str,
        /// Where.
        endpoint: Address<'a>,
    },
    /// [`Node::start_operation`].
    Begin {
        /// What.
        operation: Operation<'a>,
        /// How long it may take.
        timeout: Option<Duration>,
    },
    /// [`Node::give_up`].
    GiveUp(OperationId),
    /// [`Node::accept_vouch`].
    AcceptVouch(&'a [u8]),
    /// [`Node::accept_vouch_revocation`].
    AcceptVouchRevocation(&'a [u8]),
    /// [`Node::remove_signed_vouch`].
    RemoveSignedVouch(SignedId),
    /// [`Node::new_join_token`]. Its [outcome](CommandOutcome::Token) names the token, and does not have its secret.
    NewJoinToken {
        /// How many devices it lets in.
        uses: u32,
        /// For how long.
        life: Duration,
        /// How far they are trusted.
        trust: f64,
    },
    /// [`Node::revoke_join_token`], of this id.
    RevokeJoinToken(TokenId),
}

impl Node {
    pub(in crate::node) fn handle_overlay(&mut self, now: Now, command: &OverlayCommand<'_>) -> CommandOutcome {
        match *command {
            OverlayCommand::SetProfile(ref profile) => self.set_profile(now, profile).into(),
            OverlayCommand::AskRegistry { did, path } => self.ask_registry(did, path).into(),
            OverlayCommand::NameEndpoint { did, endpoint } => self.name_endpoint(did, endpoint).into(),
            OverlayCommand::Begin { ref operation, timeout } => self.start_operation(now, operation, timeout).into(),
            OverlayCommand::GiveUp(id) => self.give_up(id).into(),
            OverlayCommand::AcceptVouch(bytes) => self.accept_vouch(now, bytes).into(),
            OverlayCommand::AcceptVouchRevocation(bytes) => self.accept_vouch_revocation(now, bytes).into(),
            OverlayCommand::RemoveSignedVouch(ref id) => self.remove_signed_vouch(now, id).into(),
            OverlayCommand::NewJoinToken { uses, life, trust } => self.new_join_token(now, uses, life, trust).into(),
            OverlayCommand::RevokeJoinToken(ref id) => self.revoke_join_token(id).into(),
        }
    }
}
