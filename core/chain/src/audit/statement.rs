//! What an end of a channel has signed at a mux hub.

use sluis_core::data::{Number, Text};
use sluis_core::identity::{PublicKey, Signature};

use super::draft::Scratch;

/// An end of a channel has signed for what it has said there. Whoever has the token can verify the signature: it is over
/// `"sluis mux sign 1\0" · way u8 · count u64 · hash`, where the way is 0 for the agent that has opened the channel and 1 for its target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelStatement<'a> {
    /// The channel.
    pub channel: Text<'a>,
    /// Who has opened it.
    pub agent: Text<'a>,
    /// To whom.
    pub target: Text<'a>,
    /// What for.
    pub intent: Text<'a>,
    /// The target signs, and not the agent.
    pub is_back: bool,
    /// With this key.
    pub key: PublicKey,
    /// For so many messages.
    pub count: u64,
    /// The running hash before the first of them.
    pub start: &'a [u8; 32],
    /// The running hash behind the last.
    pub hash: &'a [u8; 32],
    /// The signature.
    pub signature: &'a Signature,
}

impl Scratch {
    pub(super) fn statement(&mut self, statement: &ChannelStatement<'_>) {
        let ChannelStatement { channel, agent, target, intent, is_back, key, count, start, hash, signature } =
            *statement;
        let (signer, other) = if is_back { (target, agent) } else { (agent, target) };
        let messages = if count == 1 { "message" } else { "messages" };
        self.begin("channel.signed", format_args!("{signer} has signed for {count} {messages} to {other}"));
        self.by(signer);
        self.erin.member("channel", channel);
        self.erin.member("way", Text::new(if is_back { "back" } else { "out" }));
        self.erin.number("count", Number::from(count));
        self.erin.hex("start", start);
        self.erin.hex("hash", hash);
        self.erin.hex("key", key.as_bytes());
        self.erin.hex("signature", signature);
        self.eraan.refs(&[agent, target, channel]);
        self.eromheen.member("intent", intent);
    }
}
