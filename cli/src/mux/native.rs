//! How an agent on a native connection reaches its hub.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use sluis_core::identity::{PublicKey, SecretKey, Signer};
use sluis_core::{Instant, Now, Security};
use sluis_mux::agent::normalise;
use sluis_mux::channel::Proof;
use sluis_mux::intents::Intents;
use sluis_mux::native::{ALPN, Client, ClientConfig, Credentials, Lost};
use sluis_mux::news::Via;
use sluis_net::{NetStreams, Runtime};
use sluis_udp::SystemClock;
use sluis_web::{Url, carry};

use super::args::{HubArgs, KeyArgs, PipeArgs};
use super::connect::{HTTP, Settings};
use crate::fail::Fail;
use crate::output::Out;
use crate::{key, run};

/// What a native client is made of; read before anything is connected.
pub(super) struct Reach {
    settings: Settings,
    url: Url,
    config: ClientConfig,
}

impl Reach {
    pub(super) fn read(hub: &HubArgs, agent: &str, keys: &KeyArgs) -> Result<Self, Fail> {
        let settings = Settings::read_for(hub, &[ALPN, HTTP])?;
        let name = normalise(agent);
        if name.is_empty() || name != agent {
            return Err(Fail::usage(format!("an agent is called {name:?} at a hub, write --agent like that")));
        }
        let mut config = ClientConfig::new(agent, hub.url.host(), hub.url.port());
        let secret: Option<SecretKey> = keys.key.as_deref().map(key::file::secret).transpose()?;
        config.credentials = match (&settings.token, &secret) {
            (Some(_), _) if !hub.url.is_tls() => {
                return Err(Fail::usage("a token is shown over TLS only, write the URL like https://localhost:8443"));
            }
            (Some(token), _) => Credentials::Token(token.as_str().into()),
            (None, Some(_)) => Credentials::Key,
            (None, None) => Credentials::Nothing,
        };
        config.signer = match secret {
            Some(secret) => Some(Arc::new(secret)),
            None => None,
        };
        config.behind_proxy = keys.behind_proxy;
        config.pins = pins(keys)?;
        Ok(Self { settings, url: hub.url.clone(), config })
    }

    /// How channels are signed with the key: not at all, whenever messages go out, or only as often as is needed.
    pub(super) const fn sign(&mut self, args: &PipeArgs) {
        (self.config.unsigned, self.config.sign_each) = (args.unsigned, args.sign_each);
    }

    /// The agent is on a WebSocket, too, and hears there who speaks JSON.
    pub(super) const fn beside_a_socket(&mut self) {
        self.config.beside = true;
    }

    /// What it signs with.
    pub(super) fn signer(&self) -> Option<Arc<dyn Signer + Send + Sync>> {
        self.config.signer.clone()
    }

    /// Streams of a runtime, and the agent that is to be run on them.
    pub(super) fn client<R: Runtime>(
        mut self,
        runtime: R,
        now: Now,
    ) -> Result<(NetStreams<R, SystemClock>, Client), Fail> {
        let mut io = NetStreams::new(runtime.clone(), SystemClock::new());
        if let Some(proxy) = self.settings.proxy {
            io.set_proxy(proxy);
        }
        // Where a middlebox lets nothing but HTTP through, the same connection carries it all the same.
        let url = self.url;
        io.set_fallback(ALPN, move |stream| carry(runtime.clone(), stream, url.clone()));
        if let Some(tls) = self.settings.tls {
            let number = io.add_tls(tls).ok_or_else(|| Fail::runtime("there is no room for TLS settings"))?;
            self.config.security = Security::Tls(number);
        }
        let client = Client::new(self.config, &run::seed()?, now);
        Ok((io, client))
    }
}

/// The keys of other agents that are known.
pub(super) fn pins(keys: &KeyArgs) -> Result<BTreeMap<Box<str>, PublicKey>, Fail> {
    let pin = |known: &String| {
        let (agent, word) = known
            .split_once('=')
            .ok_or_else(|| Fail::usage("--agent-key is written AGENT=KEY, with the key in hex or a file of it"))?;
        Ok((agent.into(), key::file::public(word)?))
    };
    keys.agent_key.iter().map(pin).collect()
}

/// What a connection is carried by, and where the hub is.
pub(super) type Reached = Option<(Via, SocketAddr)>;

/// Say that the hub has let an agent in.
pub(super) fn tell_connected(out: &mut Out, agent: &str, hub: &str, reached: Reached) {
    out.event(
        "connected",
        |o| {
            let o = o.str("agent", agent).maybe("via", reached.map(|(via, _)| via.name())).str("hub", hub);
            match reached.filter(|(_, from)| !from.ip().is_unspecified()) {
                Some((_, from)) => o.addr("from", from),
                None => o.raw("from", "null"),
            }
        },
        |_| {},
    );
}

/// Say that a channel is open.
pub(super) fn tell_opened(out: &mut Out, args: &PipeArgs, name: &str, reached: Reached, proof: Proof) {
    let intents = Intents::new();
    let backend = intents.resolve(&args.intent).backend;
    out.event(
        "opened",
        |o| {
            let o = o.str("channel_id", name).str("agent", &args.agent).str("target", &args.target);
            let o = o.str("intent", &args.intent).str("backend", backend);
            o.maybe("via", reached.map(|(via, _)| via.name())).str("proof", proof.name())
        },
        |flow| {
            flow.words(&format!("open to {}: {name} (proof: {})", args.target, proof.name()));
        },
    );
}

/// Say why there is no connection.
pub(super) fn tell_lost(out: &mut Out, why: Lost, pause: std::time::Duration) {
    let reason = reason(why);
    let millis = pause.as_millis();
    out.event(
        "disconnected",
        |o| o.str("reason", &reason).raw("retry_after_ms", millis),
        |flow| {
            flow.words(&format!("no connection ({reason}), trying again in {millis} ms"));
        },
    );
}

/// Say that channels go on after their connection was lost; those whose other end alone had lost its own say no time.
pub(super) fn tell_resumed(out: &mut Out, now: Instant, lost: Option<Instant>, channels: usize) {
    let millis = lost.map(|lost| now.saturating_since(lost).as_millis());
    out.event(
        "reconnected",
        |o| match millis {
            Some(millis) => o.raw("after_ms", millis).raw("channels", channels),
            None => o.raw("after_ms", "null").raw("channels", channels),
        },
        |flow| {
            let what =
                if channels == 1 { "a channel goes on".to_owned() } else { format!("{channels} channels go on") };
            flow.words(&match millis {
                Some(millis) => format!("{what}, {millis} ms after the connection was lost"),
                None => what,
            });
        },
    );
}

/// In words.
pub(super) fn reason(why: Lost) -> String {
    match why {
        Lost::Connection(end) => end.to_string(),
        Lost::Session(error) => error.to_string(),
        Lost::Refused => String::from("the hub does not let this agent in"),
        _ => String::from("the hub does not speak this protocol"),
    }
}
