//! What an agent on native connections is made of.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use sluis_core::Security;
use sluis_core::identity::{PublicKey, Signer};

use crate::agent::normalise;
use crate::session;

/// How an agent shows who it is.
#[derive(Clone)]
pub enum Credentials {
    /// Its name is believed: at an open hub.
    Nothing,
    /// A token. Over TLS only.
    Token(Box<str>),
    /// The [signer](ClientConfig::signer).
    Key,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Token(_) => "Token(<redacted>)",
            Self::Key => "Key",
        })
    }
}

/// Settings of a [`Client`](super::Client).
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Its name.
    pub agent: Box<str>,
    /// Where the hub is.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// How it shows who it is.
    pub credentials: Credentials,
    /// What channels are signed with; without one nothing is proven.
    pub signer: Option<Arc<dyn Signer + Send + Sync>>,
    /// Channels are not signed: the signer only shows who the agent is.
    pub unsigned: bool,
    /// Channels are signed for whenever messages go out, instead of for many at a time.
    pub sign_each: bool,
    /// Keys of other agents that are known: they have to show them.
    pub pins: BTreeMap<Box<str>, PublicKey>,
    /// Signatures are not bound to the TLS connection, because a proxy in front of the hub ends that.
    pub behind_proxy: bool,
    /// It is on a WebSocket as well: channels that are opened in JSON go there, and not to this connection.
    pub beside: bool,
    /// Channels at a time, both kinds.
    pub max_channels: usize,
    /// How long a channel outlives its connection.
    pub park_time: Duration,
    /// Settings of the connection's streams.
    pub session: session::Config,
}

impl ClientConfig {
    /// An agent of this name, at the hub there.
    #[must_use]
    pub fn new(agent: &str, host: &str, port: u16) -> Self {
        Self {
            agent: normalise(agent).into(),
            host: host.into(),
            port,
            security: Security::Plain,
            credentials: Credentials::Nothing,
            signer: None,
            unsigned: false,
            sign_each: false,
            pins: BTreeMap::new(),
            behind_proxy: false,
            beside: false,
            max_channels: 4096,
            park_time: Duration::from_secs(60),
            session: session::Config::default(),
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("agent", &self.agent).field("host", &self.host).finish_non_exhaustive()
    }
}
