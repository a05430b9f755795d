//! What the operator tells a node, and what can be asked of it at any time.

use super::admission::Rood;
use super::peers::{Peer, Peers};
use super::ping::ReplyError;
use super::replies::Reply;
use super::stats::Stats;
use super::{Node, NodeConfig};
use crate::Did;
use crate::airlock::{Gate, LegacyError, Rule, RuleError, Standing, TrustError};
use crate::framing::Value;
use crate::time::Wall;

impl Node {
    /// The node's own name.
    #[must_use]
    pub const fn did(&self) -> &Did {
        &self.config.did
    }

    /// What the node was told at birth.
    #[must_use]
    pub const fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Trust a DID: 0 to 1, values outside are clamped as in the reference. Pings that wait already stay as they are; whose trust leaves it ROOD has no session any more, and hears no more. It is not kept: a configuration says it
    /// again with every start, and what is to survive one is [decided](Self::decide_trust).
    ///
    /// # Errors
    /// Not a number, not a DID, or too many.
    pub fn set_trust(&mut self, did: &str, trust: f64) -> Result<f64, TrustError> {
        self.policy.doubt_vouches();
        self.policy.trust.set(did, trust)
    }

    /// Forget the trust set for a DID; vouches for it count again. False when none was set.
    pub fn remove_trust(&mut self, did: &str) -> bool {
        self.policy.doubt_vouches();
        self.policy.trust.remove(did)
    }

    /// The trust set for a DID, if any was.
    #[must_use]
    pub fn trusted(&self, did: &str) -> Option<f64> {
        self.policy.trust.get(did)
    }

    /// How far a DID is trusted now, and why.
    #[must_use]
    pub fn standing(&self, did: &str, wall: Wall) -> Standing {
        self.policy.standing(did, wall)
    }

    /// Let unsigned packets of DIDs that match this pattern be accepted outright, as the reference does for everyone.
    ///
    /// # Errors
    /// The pattern is too long, or there are too many.
    pub fn allow_legacy(&mut self, pattern: &str) -> Result<(), LegacyError> {
        self.policy.legacy.allow(pattern)
    }

    /// Take such a pattern back; false when it was not allowed. It must be the same text.
    pub fn disallow_legacy(&mut self, pattern: &str) -> bool {
        self.policy.doubt_sessions();
        self.policy.legacy.disallow(pattern)
    }

    /// Believe the first key that signs validly under a name which matches this pattern, as if the operator had pinned it: it is pinned and [told](super::Event::Pinned),
    /// and nothing is acknowledged before that is kept. From then on another key is turned away. Never where a key is pinned already, never a key that has been retired, for
    /// nobody who is ROOD, and only so often in a minute (`Caps::first_uses`). The first to come is believed, whoever that is: for networks in which it is the right one.
    ///
    /// # Errors
    /// As [`allow_legacy`](Self::allow_legacy).
    pub fn trust_first_use(&mut self, pattern: &str) -> Result<(), LegacyError> {
        self.policy.first_use.get_or_insert_default().allow(pattern)
    }

    /// Add a rule to the gate.
    ///
    /// # Errors
    /// The rule is over a limit, or there are too many.
    pub fn add_rule<T: AsRef<str>>(&mut self, rule: &Rule<T>) -> Result<(), RuleError> {
        self.policy.doubt_sessions();
        self.policy.gate.add_rule(rule)
    }

    /// Remove the rule with this id from the gate; false when there is none.
    pub fn remove_rule(&mut self, id: &str) -> bool {
        self.policy.doubt_sessions();
        self.policy.gate.remove_rule(id)
    }

    /// The gate: thresholds and rules.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.policy.gate
    }

    /// Decide how accepted pings whose intent matches the pattern are answered. The first pattern that was set and
    /// matches counts; without any, the answer is `{}` at once, as in the reference.
    ///
    /// # Errors
    /// The pattern is too long, or there are too many.
    pub fn set_reply(&mut self, intent_pattern: &str, reply: Reply) -> Result<(), ReplyError> {
        self.policy.replies.set(intent_pattern, reply)
    }

    /// Have heartbeats say this status instead of `{"alive":true}`, and name this pod.
    ///
    /// # Errors
    /// No heartbeat has room for it.
    pub fn set_heartbeat(&mut self, status: Value<'_>, pod_id: Option<&str>) -> Result<(), ReplyError> {
        self.rooms.outbox.set_heartbeat(status, pod_id)
    }

    /// Forget how pings of this pattern are answered; false when nothing was set for it. It must be the same text.
    pub fn remove_reply(&mut self, intent_pattern: &str) -> bool {
        self.policy.replies.remove(intent_pattern)
    }

    /// The last sender that met silence because it is ROOD; only with [`NodeConfig::keep_last_rood`].
    #[must_use]
    pub fn last_rood(&self) -> Option<Rood<'_>> {
        self.rooms.admission.last_rood()
    }

    /// The peer table.
    #[must_use]
    pub const fn peers(&self) -> &Peers {
        &self.rooms.peers
    }

    /// The peer of this name, unless it has been silent for too long.
    #[must_use]
    pub fn peer(&self, did: &str) -> Option<&Peer> {
        self.rooms.peers.get(self.rooms.timers.now(), did)
    }

    /// Counters, and how full the tables are.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.rooms.stats()
    }
}
