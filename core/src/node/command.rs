//! All that an application may ask of a node, as one type: what records, replays, fuzzes or simulates a node needs no other way in.

use core::fmt;

use super::client::RequestId;
use super::event::{OpenId, WaitId};
use super::lan::{LanConfig, LanError};
use super::ping::{AnswerError, Ping, PingError, ReplyError};
use super::replies::Reply;
use super::storing::{Keeping, RestoreError};
use super::{Node, OperationId, OverlayCommand, OverlayError, RelayCommand, RelayError, TokenError, VouchRefusal};
use crate::Commands;
use crate::airlock::{LegacyError, Rule, RuleError, SignedId, TrustError, Vouch, VouchError, VouchId};
use crate::discovery::{AutoVouchError, JoinToken, RuleDraft, TokenId};
use crate::framing::Value;
use crate::identity::{PublicKey, Statement};
use crate::pins::{Origin, PinError};
use crate::time::{Now, Wall};

/// Something that an application asks of a node. Each has a method of the same name on [`Node`], which says what it does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Command<'a> {
    /// [`Node::ping`].
    Ping(Ping<'a>),
    /// [`Node::forget`].
    Forget(RequestId),
    /// [`Node::respond`].
    Respond {
        /// Which ping.
        id: OpenId,
        /// The answer.
        payload: Value<'a>,
    },
    /// [`Node::approve`].
    Approve(WaitId),
    /// [`Node::reject`].
    Reject(WaitId),
    /// [`Node::set_trust`].
    SetTrust {
        /// In whom.
        did: &'a str,
        /// How far.
        trust: f64,
    },
    /// [`Node::remove_trust`], in this DID.
    RemoveTrust(&'a str),
    /// [`Node::allow_legacy`], for this pattern.
    AllowLegacy(&'a str),
    /// [`Node::disallow_legacy`], for this pattern.
    DisallowLegacy(&'a str),
    /// [`Node::decide_trust`].
    DecideTrust {
        /// In whom.
        did: &'a str,
        /// How far.
        trust: f64,
    },
    /// [`Node::withdraw_trust`], in this DID.
    WithdrawTrust(&'a str),
    /// [`Node::trust_first_use`], for this pattern.
    TrustFirstUse(&'a str),
    /// [`Node::restore`].
    Restore {
        /// The record's key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// [`Node::add_rule`].
    AddRule(Rule<&'a str>),
    /// [`Node::remove_rule`], of this id.
    RemoveRule(&'a str),
    /// [`Node::vouch`].
    Vouch(Vouch<'a>, Wall),
    /// [`Node::revoke_vouch`], of this id.
    RevokeVouch(&'a str),
    /// [`Node::set_reply`].
    SetReply {
        /// To which intents.
        pattern: &'a str,
        /// What happens to them.
        reply: &'a Reply,
    },
    /// [`Node::remove_reply`], of this pattern.
    RemoveReply(&'a str),
    /// [`Node::pin`].
    Pin {
        /// The name.
        did: &'a str,
        /// The key that speaks for it.
        key: PublicKey,
        /// Who decided that.
        origin: Origin,
    },
    /// [`Node::unpin`], this name.
    Unpin(&'a str),
    /// [`Node::retire`].
    Retire(Statement),
    /// [`Node::discover`].
    Discover(&'a LanConfig),
    /// [`Node::seek`], this DID.
    Seek(&'a str),
    /// [`Node::add_auto_vouch`].
    AddAutoVouch(RuleDraft<'a>),
    /// Of the overlay.
    Overlay(OverlayCommand<'a>),
    /// Of the relay.
    Relay(RelayCommand<'a>),
    /// [`Node::close_sessions`].
    CloseSessions,
    /// [`Node::set_heartbeat`].
    SetHeartbeat {
        /// What heartbeats say.
        status: Value<'a>,
        /// The pod that they name.
        pod_id: Option<&'a str>,
    },
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident($type:ty)),+ $(,)?) => {
        /// What came of a [`Command`]: what the method of the same name returns.
        #[derive(Clone, Copy, PartialEq)]
        #[non_exhaustive]
        pub enum CommandOutcome {
            $($(#[$doc])* $name($type),)+
        }

        impl fmt::Debug for CommandOutcome {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(out) => out.fmt(f),)+
                }
            }
        }

        $(impl From<$type> for CommandOutcome {
            fn from(out: $type) -> Self {
                Self::$name(out)
            }
        })+
    };
}
outcomes! {
    /// Of [`Command::Ping`].
    Asked(Result<RequestId, PingError>),
    /// Of [`Command::Approve`].
    Approved(Result<Option<OpenId>, AnswerError>),
    /// Of [`Command::Respond`] and [`Command::Reject`].
    Answered(Result<(), AnswerError>),
    /// Of what forgets, removes, revokes or closes: whether there was anything.
    Removed(bool),
    /// Of [`Command::SetTrust`].
    Trust(Result<f64, TrustError>),
    /// Of [`Command::DecideTrust`].
    Decided(Result<(f64, Keeping), TrustError>),
    /// Of [`Command::Restore`].
    Restored(Result<bool, RestoreError>),
    /// Of [`Command::WithdrawTrust`].
    Withdrawn(Result<Option<Keeping>, TrustError>),
    /// Of [`Command::AllowLegacy`] and [`Command::TrustFirstUse`].
    Legacy(Result<(), LegacyError>),
    /// Of [`Command::AddRule`].
    Rule(Result<(), RuleError>),
    /// Of [`Command::Vouch`].
    Vouch(Result<VouchId, VouchError>),
    /// Of [`Command::Pin`] and [`Command::Retire`].
    Pinned(Result<Keeping, PinError>),
    /// Of [`Command::Unpin`].
    Unpinned(Result<Option<Keeping>, PinError>),
    /// Of [`Command::Discover`] and [`Command::Seek`].
    Lan(Result<(), LanError>),
    /// Of [`Command::AddAutoVouch`].
    AutoVouch(Result<(), AutoVouchError>),
    /// Of [`Command::Overlay`], where something is set.
    Overlay(Result<(), OverlayError>),
    /// Of [`OverlayCommand::Begin`].
    Begun(Result<OperationId, OverlayError>),
    /// Of [`OverlayCommand::AcceptVouch`] and [`OverlayCommand::AcceptVouchRevocation`].
    SignedVouch(Result<(SignedId, Keeping), VouchRefusal>),
    /// Of [`OverlayCommand::RemoveSignedVouch`].
    VouchRemoved(Result<Keeping, VouchRefusal>),
    /// Of [`OverlayCommand::NewJoinToken`].
    Token(Result<(TokenId, Keeping), TokenError>),
    /// Of [`OverlayCommand::RevokeJoinToken`].
    TokenRevoked(Option<Keeping>),
    /// Of [`Command::Relay`].
    Relay(Result<(), RelayError>),
    /// Of [`Command::SetReply`] and [`Command::SetHeartbeat`].
    Reply(Result<(), ReplyError>),
}

impl From<Result<(JoinToken, Keeping), TokenError>> for CommandOutcome {
    fn from(out: Result<(JoinToken, Keeping), TokenError>) -> Self {
        Self::Token(out.map(|(token, keeping)| (token.id(), keeping)))
    }
}

impl Commands for Node {
    type Command<'a> = Command<'a>;
    type Outcome = CommandOutcome;

    fn handle_command(&mut self, now: Now, command: &Command<'_>) -> CommandOutcome {
        match *command {
            Command::Ping(ref ping) => self.ping(now, ping).into(),
            Command::Forget(request) => self.forget(request).into(),
            Command::Respond { id, payload } => self.respond(now, id, payload).into(),
            Command::Approve(id) => self.approve(now, id).into(),
            Command::Reject(id) => self.reject(now, id).into(),
            Command::SetTrust { did, trust } => self.set_trust(did, trust).into(),
            Command::RemoveTrust(did) => self.remove_trust(did).into(),
            Command::AllowLegacy(pattern) => self.allow_legacy(pattern).into(),
            Command::DisallowLegacy(pattern) => self.disallow_legacy(pattern).into(),
            Command::DecideTrust { did, trust } => self.decide_trust(did, trust).into(),
            Command::WithdrawTrust(did) => self.withdraw_trust(did).into(),
            Command::TrustFirstUse(pattern) => self.trust_first_use(pattern).into(),
            Command::Restore { key, value } => self.restore(key, value).into(),
            Command::AddRule(ref rule) => self.add_rule(rule).into(),
            Command::RemoveRule(id) => self.remove_rule(id).into(),
            Command::Vouch(ref vouch, wall) => self.vouch(vouch, wall).into(),
            Command::RevokeVouch(id) => self.revoke_vouch(id).into(),
            Command::SetReply { pattern, reply } => self.set_reply(pattern, reply.clone()).into(),
            Command::RemoveReply(pattern) => self.remove_reply(pattern).into(),
            Command::Pin { did, key, origin } => self.pin(now, did, key, origin).into(),
            Command::Unpin(did) => self.unpin(did).into(),
            Command::Retire(ref statement) => self.retire(statement).into(),
            Command::Discover(config) => self.discover(now, config).into(),
            Command::Seek(did) => self.seek(now, did).into(),
            Command::AddAutoVouch(ref rule) => self.add_auto_vouch(rule).into(),
            Command::Overlay(ref command) => self.handle_overlay(now, command),
            Command::Relay(ref command) => self.handle_relay(now, command),
            Command::CloseSessions => self.close_sessions().into(),
            Command::SetHeartbeat { status, pod_id } => self.set_heartbeat(status, pod_id).into(),
        }
    }
}
