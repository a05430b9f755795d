//! The flags of `sluis discover`, and those of `listen` that concern the local network.

#![allow(rustdoc::broken_intra_doc_links, reason = "these comments are what --help prints, as they are")]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sluis_core::Did;
use sluis_core::discovery::{DiscoveryConfig, GROUP_V4};
use sluis_core::node::LanConfig;
use sluis_udp::Multicast;

use crate::fail::Fail;
use crate::run;
use crate::values::{self, Place};

pub(crate) const EXAMPLES: &str = r#"Examples:
  sluis discover
  sluis discover --iface eth0 --duration 10 --json
  sluis discover --domain greenhouse --watch
  sluis discover --at 192.0.2.7:7150

Everybody who hears the call answers with a certain chance, so that about five answers a
second come in, each after a random delay of 2 s at most: on a network of ten nodes all
answer, on a large one a longer --duration finds more, since it is called every 3 s.
What a node says of itself is a claim. Its fingerprint is that of the key that signed
what it said; where it is, is known once it answers a ping there.

--json prints these objects:
  {"event":"found","did","addr","capabilities","device_type","fingerprint","zone",
   "rtt_ms"}
      fingerprint: of the key that signed it, null where none did; zone: where a node
      that trusts nobody puts it; rtt_ms: null where it called itself
  {"event":"gone","did","addr"}
      it said goodbye, or was silent for three intervals
  {"event":"summary","found","elapsed_s"}
      how many are there at the end"#;

/// What both commands say about the local network.
#[derive(Clone, Debug, Args)]
pub(crate) struct DiscoverArgs {
    /// Only on this interface, the loopback one included; may be repeated [default: all that carry multicast]
    #[arg(long, value_name = "NAME")]
    iface: Vec<String>,
    /// The multicast group, with a port if it is not 7151 [default: 224.0.71.50:7151, and [ff02::4732]:7151 with --bind to an IPv6 address]
    #[arg(long, value_name = "ADDR", value_parser = group)]
    group: Option<SocketAddr>,
    /// Only nodes of this installation
    #[arg(long, value_name = "TAG", default_value = "", hide_default_value = true)]
    domain: String,
    /// Call this address, too, where multicast does not get; may be repeated
    #[arg(long, value_name = "HOST:PORT", value_parser = values::remote_place)]
    at: Vec<Place>,
    /// How long to listen for answers: seconds, or with a unit as in 100ms [default: 3; with --watch until a signal]
    #[arg(long, value_name = "TIME", value_parser = values::some_time, allow_negative_numbers = true)]
    pub(super) duration: Option<Duration>,
    /// Sign the call with this secret key (see `sluis key new`)
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// Go on, and on a terminal show a table of who is there
    #[arg(long)]
    pub(super) watch: bool,
    /// The name to call under [default: jis:sluis:discover- and 8 random hex digits]
    #[arg(long, value_parser = values::own_did)]
    pub(super) did: Option<Did>,
    /// Where to send from [default: any address and port]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::place)]
    pub(super) bind: Option<Place>,
    /// Print only the summary
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// How often `discover` calls.
const INTERVAL: Duration = Duration::from_secs(3);

impl DiscoverArgs {
    pub(super) fn multicast(&self) -> Multicast {
        multicast(self.iface.clone(), self.group)
    }

    /// How long, if it has an end.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.duration.or(if self.watch { None } else { Some(Duration::from_secs(3)) })
    }

    pub(super) fn config(&self) -> Result<LanConfig, Fail> {
        let mut lan = LanConfig::default();
        lan.discovery =
            DiscoveryConfig { domain: self.domain.as_str().into(), interval: INTERVAL, ..DiscoveryConfig::default() };
        lan.addresses = addresses(&self.at)?;
        lan.query = true;
        Ok(lan)
    }
}

/// What `listen` does on the local network.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LanArgs {
    /// Call on the local network, answer calls, and let devices in that call: by --auto-vouch, or by `approve`; on this interface only, or on all that carry multicast; may be repeated
    #[arg(long, value_name = "IFACE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    discover: Vec<String>,
    /// The multicast group, with a port if it is not 7151 [default: 224.0.71.50:7151, and [ff02::4732]:7151 with --bind to an IPv6 address]
    #[arg(long, value_name = "ADDR", value_parser = group, requires = "discover")]
    group: Option<SocketAddr>,
    /// Only hear nodes of this installation, and only be heard by them
    #[arg(long, value_name = "TAG", requires = "discover", default_value = "", hide_default_value = true)]
    domain: String,
    /// Call this address, too, where multicast does not get; may be repeated
    #[arg(long, value_name = "HOST:PORT", value_parser = values::remote_place, requires = "discover")]
    discover_at: Vec<Place>,
    /// What kind of device it is, as its calls say
    #[arg(long, value_name = "TYPE", requires = "discover", default_value = "", hide_default_value = true)]
    device_type: String,
    /// How often it calls; who was not heard for three times as long is gone [default: 60]
    #[arg(long, value_name = "TIME", value_parser = values::some_time, requires = "discover", allow_negative_numbers = true)]
    discover_interval: Option<Duration>,
    /// Let devices in that a rule of this TOML file names, where they prove their key: it is pinned, and they are trusted as far as it takes to be accepted
    #[arg(long, value_name = "FILE", requires = "discover")]
    pub(crate) auto_vouch: Option<PathBuf>,
}

impl LanArgs {
    /// Where everybody is called, if at all.
    pub(crate) fn multicast(&self) -> Option<Multicast> {
        let named = self.discover.iter().filter(|name| !name.is_empty()).cloned().collect();
        (!self.discover.is_empty()).then(|| multicast(named, self.group))
    }

    /// What the node does there, and says that it can do; who is let in is trusted so far.
    pub(crate) fn config(&self, capabilities: &[String], trust: f64) -> Result<Option<LanConfig>, Fail> {
        if self.discover.is_empty() {
            return Ok(None);
        }
        let mut lan = LanConfig::default();
        lan.discovery.domain = self.domain.as_str().into();
        lan.discovery.interval = self.discover_interval.unwrap_or(lan.discovery.interval);
        lan.device_type = self.device_type.as_str().into();
        lan.capabilities = capabilities.iter().map(|text| text.as_str().into()).collect();
        lan.addresses = addresses(&self.discover_at)?;
        (lan.admits, lan.trust) = (true, trust);
        Ok(Some(lan))
    }
}

fn multicast(interfaces: Vec<String>, group: Option<SocketAddr>) -> Multicast {
    let multicast = Multicast { interfaces, ..Multicast::default() };
    match group {
        Some(group) => multicast.with_group(group),
        None => multicast,
    }
}

fn addresses(places: &[Place]) -> Result<Vec<SocketAddr>, Fail> {
    let each = places.iter().map(run::resolve).collect::<Result<Vec<_>, _>>()?;
    Ok(each.into_iter().flatten().collect())
}

/// A group, whose port may be left out. Whether it is one is found when it is joined.
fn group(text: &str) -> Result<SocketAddr, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, GROUP_V4.port()));
    }
    let group: Option<SocketAddr> = text.parse().ok();
    group
        .filter(|group| group.port() != 0)
        .ok_or_else(|| "write a multicast group in numbers, like 224.0.71.50 or [ff02::4732]:7151".to_owned())
}
