//! A node on the brokers of a pool: what every command that speaks to peers has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use sluis_core::driver::{App, Clock, StreamIo as _};
use sluis_core::{Instant, Now, Security};
use sluis_net::{ClientTls, NetStreams, Runtime, Trust};
use sluis_signal::broker::Settings;
use sluis_signal::key::SecretKey;
use sluis_signal::pool::{Broker, Pool};
use sluis_signal::rendezvous::{Config, Legacy, Named, Place, Rendezvous};
use sluis_store::Store;

use super::args::{HintArgs, LegacyArgs, NameArgs, NodeArgs, SourceArgs, StateArgs};
use super::pool;
use crate::common::{Common, Runtime as Choice};
use crate::fail::Fail;
use crate::key::file::{self, Held};
use crate::output::tell;
use crate::{files, state};

/// Largest file of authorities in bytes.
const MAX_AUTHORITIES: usize = 4 << 20;
/// A broker of our own or next door is not spared as one with a public address is.
const NEAR: (u32, u32) = (10_000, 1000);
/// How long the end may take: what is queued is written, and the brokers are told.
const FAREWELL: Duration = Duration::from_millis(600);

/// What a node is made of; read before anything is dialled.
pub(super) struct Node {
    key: SecretKey,
    brokers: Vec<(Broker, Option<u16>)>,
    /// How many of them are the pool.
    pool: usize,
    tls: Vec<ClientTls>,
    sources: Vec<IpAddr>,
    join: usize,
    verbose: bool,
    name: Option<Named>,
    legacy: Legacy,
    accept_older: bool,
    store: Option<Store>,
    cache: bool,
}

/// The key of a node.
pub(super) fn secret(path: &Path) -> Result<SecretKey, Fail> {
    let why = match file::any(path).map_err(Fail::into_usage)? {
        Held::SignalSecret(key) => return Ok(*key),
        Held::SignalPublic(_) => "this is a public key, name the file with the secret key",
        Held::Secret(_) | Held::Public(_) => {
            "this is an Ed25519 key; signalling needs a secp256k1 key: sluis key new FILE --kind secp256k1"
        }
    };
    Err(Fail::usage(format!("{}: {why}", path.display())))
}

impl Node {
    pub(super) fn read(common: Common, args: &NodeArgs) -> Result<Self, Fail> {
        let key = secret(&args.key)?;
        let mut node = Self::of(common, key, &pool::read(&args.brokers)?, pool::folder(&args.brokers))?;
        node.join = args.join;
        node.dial_from(&args.sources);
        Ok(node)
    }

    /// From where brokers are dialled.
    pub(super) fn dial_from(&mut self, args: &SourceArgs) {
        self.sources = [args.from4.map(IpAddr::from), args.from6.map(IpAddr::from)].into_iter().flatten().collect();
    }

    /// With a key that is at hand.
    pub(super) fn of(common: Common, key: SecretKey, pool: &Pool, folder: &Path) -> Result<Self, Fail> {
        let mut trusts = Trusts { folder, known: BTreeMap::new(), tls: Vec::new() };
        let mut brokers = Vec::new();
        for broker in pool.brokers() {
            match trusts.of(broker) {
                Ok(number) => brokers.push((broker.clone(), number)),
                Err(why) => tell(&format!("{broker}: {why}.")),
            }
        }
        if brokers.is_empty() {
            return Err(Fail::usage("no broker that is named can be used, name another"));
        }
        Ok(Self {
            key,
            pool: brokers.len(),
            brokers,
            tls: trusts.tls,
            sources: Vec::new(),
            join: usize::MAX,
            verbose: common.verbose > 0,
            name: None,
            legacy: Legacy::Nobody,
            accept_older: false,
            store: None,
            cache: false,
        })
    }

    /// By which DID peers know us.
    pub(super) fn name(&mut self, args: &NameArgs) -> Result<(), Fail> {
        if let (Some(did), Some(path)) = (&args.did, &args.id_key) {
            self.name = Some(Named::new(did.clone(), file::secret(path).map_err(Fail::into_usage)?));
        }
        Ok(())
    }

    /// With whom messages in the clear are exchanged.
    pub(super) fn legacy(&mut self, args: &LegacyArgs, accept_older: bool) -> Result<(), Fail> {
        let named = args.allow_legacy.iter().filter(|word| *word != "*");
        let named: Result<BTreeSet<_>, Fail> =
            named.map(|word| file::signal_public(word).map_err(Fail::into_usage)).collect();
        self.accept_older = accept_older;
        self.legacy = match named? {
            _ if args.allow_legacy.iter().any(|word| word == "*") => Legacy::Everybody,
            named if named.is_empty() => Legacy::Nobody,
            named => Legacy::Only(named),
        };
        Ok(())
    }

    /// What survives, and whether it says where to look for peers first.
    pub(super) fn keep(&mut self, args: &StateArgs, cache: bool) -> Result<(), Fail> {
        let open = |dir: &Path| Store::open(dir, self.key.public().as_bytes()).map_err(Fail::runtime);
        (self.store, self.cache) = (args.state.as_deref().map(open).transpose()?, cache);
        Ok(())
    }

    /// Brokers where somebody says that a peer is: their places. Those that are not of the pool are only used for this.
    pub(super) fn hints(&mut self, args: &HintArgs) -> Result<Vec<usize>, Fail> {
        let mut places = Vec::new();
        for url in &args.hint {
            for broker in Broker::from_url(url).map_err(Fail::usage)? {
                let at = |broker: &Broker| (broker.family, broker.host.clone(), broker.port);
                let known = self.places().position(|known| at(known) == at(&broker));
                places.push(known.unwrap_or(self.brokers.len()));
                if known.is_none() {
                    let mut trusts = Trusts { folder: Path::new(""), known: BTreeMap::new(), tls: Vec::new() };
                    trusts.of(&broker).map_err(|why| Fail::usage(format!("{broker}: {why}")))?;
                    let tls = trusts.tls.pop().map(|tls| {
                        self.tls.push(tls);
                        u16::try_from(self.tls.len() - 1).unwrap_or(u16::MAX)
                    });
                    self.brokers.push((broker, tls));
                }
            }
        }
        Ok(places)
    }

    /// The brokers, as they are told.
    pub(super) fn names(&self) -> Vec<String> {
        self.brokers.iter().map(|(broker, _)| broker.to_string()).collect()
    }

    /// The brokers.
    pub(super) fn places(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.iter().map(|(broker, _)| broker)
    }

    /// Run a command on it until that is done.
    pub(super) fn run<A: App<Rendezvous>>(self, common: Common, app: &mut A) -> Result<(), Fail> {
        macro_rules! on {
            ($runtime:ident) => {
                $runtime::block_on(async {
                    let (io, mut machine, store) = self.begin($runtime::net::streams())?;
                    Ok(match store {
                        Some(store) => {
                            let store = state::beside(store, $runtime::blocking());
                            $runtime::net::run_stored(io, &mut machine, app, store).await
                        }
                        None => $runtime::net::run(io, &mut machine, app).await,
                    })
                })
            };
        }
        let ended: Result<_, Fail> = match common.runtime {
            Choice::Tokio => on!(sluis_tokio),
            Choice::Smol => on!(sluis_smol),
        };
        ended?.map(drop).map_err(|why| Fail::runtime(format!("the network cannot be used ({why})")))
    }

    fn begin<R: Runtime, C: Clock>(self, mut io: NetStreams<R, C>) -> Result<Begun<R, C>, Fail> {
        for tls in self.tls {
            // There are no more of them than places have numbers for.
            io.add_tls(tls);
        }
        self.sources.into_iter().for_each(|addr| io.set_source(addr));
        if self.verbose {
            io.on_failure(|to, why| tell(&format!("{to}: {why}.")));
        }
        let seed =
            sluis_udp::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness ({why})")))?;
        let places = self.brokers.iter().map(|(broker, tls)| place(broker, *tls)).collect();
        let config = Config {
            pool: self.pool,
            join: self.join,
            name: self.name,
            legacy: self.legacy,
            accept_older: self.accept_older,
            keeps: self.store.is_some(),
            cache: self.cache,
            ..Config::new(self.key, places)
        };
        let now = io.now();
        let mut machine = Rendezvous::new(config, &seed, now);
        let mut store = self.store;
        if let Some(store) = &mut store {
            state::each(store, |key, value| machine.restore(now, key, value).map(|()| true))?;
        }
        Ok((io, machine, store))
    }
}

/// The streams of a node, the node, and where what it keeps goes.
type Begun<R, C> = (NetStreams<R, C>, Rendezvous, Option<Store>);

/// Whom the brokers with TLS are believed by, each set of roots read once.
struct Trusts<'a> {
    folder: &'a Path,
    known: BTreeMap<Option<String>, u16>,
    tls: Vec<ClientTls>,
}

impl Trusts<'_> {
    fn of(&mut self, broker: &Broker) -> Result<Option<u16>, String> {
        if !broker.tls {
            return Ok(None);
        }
        if let Some(number) = self.known.get(&broker.ca) {
            return Ok(Some(*number));
        }
        let trust = match &broker.ca {
            None => Trust::System,
            // A path in a pool is one from where the pool is.
            Some(path) => {
                let path = self.folder.join(path);
                let read = files::read(&path, MAX_AUTHORITIES);
                Trust::Authorities(read.map_err(|why| format!("cannot read {} ({why})", path.display()))?)
            }
        };
        let tls = ClientTls::new(trust, &[]).map_err(|why| why.to_string())?;
        let number = u16::try_from(self.tls.len()).map_err(|_| "too many files of authorities".to_owned())?;
        self.tls.push(tls);
        self.known.insert(broker.ca.clone(), number);
        Ok(Some(number))
    }
}

fn place(broker: &Broker, tls: Option<u16>) -> Place {
    let (rate, burst) = match broker.rate {
        Some(rate) => (rate, rate.max(1)),
        None if is_near(&broker.host) => NEAR,
        None => (Settings::default().rate, Settings::default().burst),
    };
    let settings = Settings {
        user: broker.user.clone(),
        password: broker.password.as_ref().map(|secret| secret.reveal().to_owned().into()),
        rate,
        burst,
        ..Settings::default()
    };
    Place {
        family: broker.family,
        host: broker.host.clone(),
        port: broker.port,
        weight: broker.weight,
        security: tls.map_or(Security::Plain, Security::Tls),
        settings,
    }
}

/// Whether a host is ours, or next door.
fn is_near(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => host == "localhost",
    }
}

/// The end of a command: what is queued is written, then the brokers are left.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    until: Option<Instant>,
    left: bool,
}

impl Farewell {
    /// Whether it is over.
    pub(super) fn poll(&mut self, now: Now, machine: &mut Rendezvous) -> bool {
        let until = *self.until.get_or_insert(now.mono + FAREWELL);
        if !self.left && (machine.is_written(now) || now.mono >= until) {
            self.left = true;
            machine.leave(now);
        }
        self.left && machine.has_left() || now.mono >= until
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.until
    }

    pub(super) const fn has_begun(&self) -> bool {
        self.until.is_some()
    }
}

/// Says that no broker can be reached: at once, and every minute.
#[derive(Debug, Default)]
pub(super) struct Reached {
    tried: BTreeSet<usize>,
    said: Option<Instant>,
}

impl Reached {
    /// A broker was joined or left.
    pub(super) fn note(&mut self, broker: usize) {
        self.tried.insert(broker);
    }

    /// Whether all of our own brokers were tried.
    pub(super) fn all_tried(&self, machine: &Rendezvous) -> bool {
        self.tried.iter().filter(|at| machine.is_own(**at)).count() >= machine.joined().1
    }

    pub(super) fn poll(&mut self, now: Now, machine: &Rendezvous) {
        if self.is_to_be_said(now.mono, machine.joined().0 > 0, self.all_tried(machine)) {
            tell("No broker can be reached; they are tried again.");
        }
    }

    fn is_to_be_said(&mut self, now: Instant, joined: bool, all_tried: bool) -> bool {
        if joined {
            self.said = None;
        }
        let is = !joined && all_tried && self.said.is_none_or(|said| now.saturating_since(said) >= MINUTE);
        if is {
            self.said = Some(now);
        }
        is
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.said.map(|said| said + MINUTE)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_no_broker_can_be_reached_is_said_at_once_and_every_minute() {
        let mut reached = Reached::default();
        let mut said = |second: u64, joined: bool, all_tried: bool| {
            let now = Instant::ZERO + Duration::from_secs(1000 + second);
            (
                reached.is_to_be_said(now, joined, all_tried),
                reached.deadline().map(|at| at.saturating_since(now).as_secs()),
            )
        };
        assert_eq!(
            [said(0, false, false), said(1, false, true), said(2, false, true)],
            [(false, None), (true, Some(60)), (false, Some(59))]
        );
        assert_eq!([said(60, false, true), said(61, false, true)], [(false, Some(1)), (true, Some(60))]);
        // One is joined, and lost.
        assert_eq!([said(70, true, true), said(71, false, true)], [(false, None), (true, Some(60))]);
    }
}
