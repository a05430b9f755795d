//! What flags and configuration say together.

use std::time::Duration;

use sluis_core::airlock::{GateConfig, Rule};
use sluis_core::framing::ValueBuf;
use sluis_core::node::{Caps, Identity, LanConfig, Node, NodeConfig, OverlayConfig, Reply, Require, SessionPolicy};
use sluis_core::pins::Origin;
use sluis_core::record::Recorded;
use sluis_core::relay::RelayConfig;
use sluis_core::session::Suites;
use sluis_core::{Did, Instant, Now, Path};
use sluis_store::Store;
use sluis_tokio::FileTape;

use super::room;
use crate::args::ListenArgs;
use crate::config::Config;
use crate::discover::rules::{self, VouchRule};
use crate::fail::Fail;
use crate::overlay::args::Registry;
use crate::trace::args::RelayFlags;
use crate::values::{JsonText, Neighbour, Pin, Place, Trust};
use crate::{key, run, state};

/// The settings of a listening node.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) did: Did,
    pub(super) bind: Place,
    /// Heartbeats are recorded, and nothing else is done with them.
    pub(super) record: bool,
    /// How long before the start a ping may be stamped.
    accept_older: Duration,
    /// Whether it keeps the records of others and gives them out.
    registry: bool,
    /// Whether their scores are trust.
    trust_score: bool,
    /// Whether signed vouches are taken in.
    vouches: bool,
    /// Whose signature its answers bear.
    identity: Option<Identity>,
    require: Require,
    suites: Suites,
    pins: Vec<Pin>,
    /// Names whose first key is believed.
    first_use: Vec<String>,
    pub(super) gate: GateConfig,
    pub(super) caps: Caps,
    pub(super) rules: Vec<Rule<String>>,
    /// What it does on the local network.
    lan: Option<LanConfig>,
    /// Who is let in there without a person.
    auto_vouch: Vec<VouchRule>,
    /// A later entry for the same DID counts.
    pub(super) trust: Vec<Trust>,
    pub(super) legacy: Vec<String>,
    /// How it relays, if it does.
    relay: Option<RelayConfig>,
    /// To whom, and where they are.
    neighbours: Vec<(String, Path)>,
    /// The relays over which it is reached.
    via: Vec<(String, Path)>,
    /// And for which unknown names.
    relay_for: Vec<String>,
    /// Intent pattern and payload; the first that matches counts.
    pub(super) replies: Vec<(String, JsonText)>,
}

impl Settings {
    /// The configuration file, with the flags over it.
    pub(super) fn gather(args: &ListenArgs) -> Result<Self, Fail> {
        let config = args.config.as_deref().map(Config::read).transpose().map_err(Fail::usage)?.unwrap_or_default();
        let Some(did) = args.did.clone().or(config.did) else {
            return Err(Fail::usage("this node has no name, add --did DID (or `did` to the configuration)"));
        };
        if args.key.is_none() && args.require == crate::args::Require::Session {
            return Err(Fail::usage(
                "--require session: sessions need a key of this node, add --key FILE (see `sluis key new`)",
            ));
        }
        let mut replies = config.replies;
        for (intent, reply) in &replies {
            room::check(&format!("replies, intent `{intent}`"), &did, intent, reply.as_value())?;
        }
        if let Some(reply) = args.reply.clone().or(config.reply) {
            room::check("--reply", &did, "*", reply.as_value())?;
            replies.push(("*".to_owned(), reply));
        }
        Ok(Self {
            did,
            record: args.record.is_some(),
            bind: args.bind.clone().or(config.bind).unwrap_or_default(),
            accept_older: args.accept_older.unwrap_or_default(),
            registry: args.registry,
            trust_score: args.trust_score,
            vouches: !args.vouch.is_empty(),
            identity: args.key.as_deref().map(key::file::secret).transpose()?.map(Identity::from),
            require: args.require.into(),
            suites: args.suite.into(),
            pins: args.pin.clone(),
            first_use: args.trust_first_use.clone(),
            lan: args.lan.config(&args.capability, config.gate.groen)?,
            auto_vouch: args.lan.auto_vouch.as_deref().map(rules::read).transpose()?.unwrap_or_default(),
            gate: config.gate,
            caps: config.caps,
            rules: config.rules,
            trust: [config.trust, args.trust.clone()].concat(),
            legacy: [config.allow_legacy, args.allow_legacy.clone()].concat(),
            relay: relaying(&args.relaying)?,
            neighbours: neighbours(&args.relaying.peer)?,
            via: relays(&args.via)?,
            relay_for: args.relaying.allow.clone(),
            replies,
        })
    }

    /// The trust from which on a sender is GROEN, and that below which it is ROOD.
    pub(super) const fn zones(&self) -> (f64, f64) {
        (self.gate.groen, self.gate.rood)
    }

    /// What the rules leave open although they look otherwise, each a sentence.
    pub(super) fn warnings(&self, node: &Node) -> Vec<String> {
        let evaded = |rule: &Rule<String>| {
            format!(
                "the rule `{}` turns pings away by what their sender writes, who may write it otherwise (`Door.open`, a blank): \
                 add otherwise = \"GEEL\" to [thresholds], so that what no rule matches waits",
                rule.name
            )
        };
        let overruled = |trust: &Trust| {
            let Trust { did, score } = trust;
            let decided = node.decided_trust(did).filter(|decided| decided != score)?;
            Some(format!(
                "trust in {did} is {decided}, as was decided while this node ran, and not {score}: `trust {did}={score}` on standard \
                 input changes that"
            ))
        };
        let keyless = (self.relay.is_some() && self.identity.is_none()).then(|| {
            "this relay has no key: it passes on only pings that are neither signed nor traced, and drops all others; add --key FILE (see `sluis key new`)".to_owned()
        });
        let unsaid = node.gate().evadable().map(evaded).chain(self.trust.iter().filter_map(overruled));
        unsaid.chain(keyless).collect()
    }

    /// What it relays: nothing (`None`), all, or legacy packets only, since it has no key.
    pub(super) fn relays(&self) -> Option<&'static str> {
        self.relay.as_ref().map(|_| if self.identity.is_some() { "all" } else { "legacy" })
    }

    /// The fingerprint by which others know this node.
    pub(super) fn fingerprint(&self) -> Option<String> {
        self.identity.as_ref().map(|identity| identity.public().fingerprint().to_string())
    }

    /// A node with these settings, recorded if there is a tape, with what was kept of it.
    pub(super) fn node(&self, tape: Option<FileTape>, store: Option<&mut Store>) -> Result<Recorded<Node>, Fail> {
        let mut config = NodeConfig::new(self.did.clone());
        config.gate = self.gate;
        config.caps = self.caps;
        config.tell_heartbeats = self.record;
        // What a store knows of earlier lives comes on top: it may be that it could not be written.
        config.not_before = Some(run::wall().saturating_sub(self.accept_older));
        config.accept_older = self.accept_older;
        config.keep_last_rood = true;
        config.identity = self.identity.clone();
        if self.identity.is_some() {
            (config.sessions, config.suites) = (SessionPolicy::Auto, self.suites);
        }
        // Who has a key answers challenges.
        if self.identity.is_some() || self.registry || self.vouches {
            let mut overlay = OverlayConfig::default();
            (overlay.serve, overlay.trust_score) = (self.registry, self.trust_score);
            config.overlay = Some(overlay.into());
        }
        config.relay = self.relay.map(Into::into);
        config.require = self.require;
        config.durable = store.is_some();
        let mut node = match tape {
            Some(tape) => run::recorded(config, tape)?,
            None => Recorded::off(run::node(config)?),
        };
        // It is in a recording, too.
        store.map_or(Ok(()), |store| state::each(store, |key, value| node.restore(key, value)))?;
        let now = Now::new(Instant::ZERO, run::wall());
        for Pin { did, key } in &self.pins {
            node.pin(now, did, *key, Origin::Operator).map_err(|why| Fail::usage(format!("--pin {did}=...: {why}")))?;
        }
        for pattern in &self.first_use {
            node.trust_first_use(pattern).map_err(|why| Fail::usage(format!("--trust-first-use={pattern}: {why}")))?;
        }
        // What was decided while it ran counts before what was there before that.
        for Trust { did, score } in &self.trust {
            if node.decided_trust(did).is_some() {
                continue;
            }
            node.set_trust(did, *score).map_err(|why| Fail::usage(format!("trust in {did}: {why}")))?;
        }
        for (did, path) in &self.neighbours {
            node.set_neighbour(did, *path, 0.5).map_err(|why| Fail::usage(format!("--peer {did}=...: {why}")))?;
        }
        for (did, path) in &self.via {
            node.reserve_at(now, did, *path).map_err(|why| Fail::usage(format!("--via {did}@...: {why}")))?;
            if !node.pins().iter().any(|pin| pin.did == did) {
                return Err(Fail::usage(format!("--via {did}@...: its key is not known, add --pin {did}=KEY")));
            }
        }
        for pattern in &self.relay_for {
            node.relay_for(pattern).map_err(|why| Fail::usage(format!("--allow {pattern}: {why}")))?;
        }
        self.apply_lists(&mut node)?;
        if let Some(lan) = &self.lan {
            node.discover(now, lan).map_err(|why| Fail::usage(format!("--discover: {why}")))?;
        }
        for rule in &self.auto_vouch {
            rule.with(|draft| node.add_auto_vouch(draft)).map_err(|why| Fail::usage(format!("--auto-vouch: {why}")))?;
        }
        Ok(node)
    }

    /// Tell a node who may come unsigned, what the gate's rules are, and how pings are answered.
    pub(super) fn apply_lists(&self, node: &mut Recorded<Node>) -> Result<(), Fail> {
        for pattern in &self.legacy {
            node.allow_legacy(pattern).map_err(|why| Fail::usage(format!("--allow-legacy={pattern}: {why}")))?;
        }
        for rule in &self.rules {
            node.add_rule(rule).map_err(|why| Fail::usage(format!("rule {}: {why}", rule.id)))?;
        }
        for (intent, reply) in &self.replies {
            let wrong = |why: &dyn std::fmt::Display| Fail::usage(format!("the reply to {intent}: {why}"));
            let reply = ValueBuf::new(reply.as_value()).map_err(|why| wrong(&why))?;
            node.set_reply(intent, Reply::Now(reply)).map_err(|why| wrong(&why))?;
        }
        Ok(())
    }
}

/// Over how many hops a relay of the command line passes pings on at most.
const MAX_HOPS: u8 = 10;

/// How a node is to relay, if it is.
fn relaying(flags: &RelayFlags) -> Result<Option<RelayConfig>, Fail> {
    let RelayFlags { relay, peer, allow, rate } = flags;
    if !relay {
        let named = [("--peer", !peer.is_empty()), ("--allow", !allow.is_empty()), ("--rate", rate.is_some())];
        return match named.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Fail::usage(format!("{flag}: this node relays nothing, add --relay"))),
            None => Ok(None),
        };
    }
    let usual = RelayConfig::default();
    let source_rate = rate.unwrap_or(usual.source_rate);
    let max_neighbours = usual.max_neighbours.max(peer.len());
    Ok(Some(RelayConfig { max_hops: MAX_HOPS, source_rate, max_neighbours, ..usual }))
}

/// Where the neighbours are.
fn neighbours(peers: &[Neighbour]) -> Result<Vec<(String, Path)>, Fail> {
    peers.iter().map(|Neighbour { did, place }| Ok((did.clone(), path_to(place)?))).collect()
}

/// Where the relays are over which it is reached.
fn relays(via: &[Registry]) -> Result<Vec<(String, Path)>, Fail> {
    let named = via.iter().filter_map(|relay| relay.did.clone().map(|did| (did, &relay.place)));
    named.map(|(did, place)| Ok((did, path_to(place)?))).collect()
}

fn path_to(place: &Place) -> Result<Path, Fail> {
    let found = run::resolve(place)?.first().copied();
    found.map(Path::to).ok_or_else(|| Fail::runtime(format!("{place} has no address")))
}
