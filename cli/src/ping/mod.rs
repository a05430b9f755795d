//! `sluis ping`.

mod app;
mod tally;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;

use sluis_core::identity::PublicKey;
use sluis_core::limits::BROADCAST;
use sluis_core::node::{Identity, Node, NodeConfig, OverlayConfig, Ping, PingError};
use sluis_core::pins::Origin;
use sluis_core::{Did, Instant, Now, Path};

use self::app::Pinger;
use crate::args::{PingArgs, Session};
use crate::common::Common;
use crate::fail::Fail;
use crate::input::Inbox;
use crate::output::Out;
use crate::overlay::args::Registry;
use crate::values::{self, Place};
use crate::{key, overlay, run, state};

/// Send the pings and report the answers; the exit code is 0 when every one was accepted.
pub(crate) fn run(common: Common, args: &PingArgs) -> Result<ExitCode, Fail> {
    if args.addr.is_none() && args.target == BROADCAST {
        return Err(Fail::usage("`broadcast` has no address of its own, add HOST:PORT"));
    }
    let did = match &args.asker.did {
        Some(did) => did.clone(),
        None => a_name()?,
    };
    if did.as_str() == args.target {
        return Err(Fail::usage(format!("--did and the target are both {did}, a node does not ping itself")));
    }
    // A registry is asked only where there is no address; clap forgives what is missing where that conflicts with something.
    if !args.allow_legacy.is_empty() && args.at.is_empty() {
        return Err(Fail::usage("--allow-legacy: it names registries that sign nothing, add --at DID@HOST:PORT"));
    }
    let identity = args.key.as_deref().map(key::file::secret).transpose()?.map(Identity::from);
    if identity.is_none() && args.session.is_some_and(|session| session != Session::Off) {
        return Err(Fail::usage("--session: a session needs a key of ours, add --key FILE (see `sluis key new`)"));
    }
    let pins = pins(args)?;
    let mut node = a_node(&did, args, identity.clone())?;
    // Who pins what it meets first begins a directory; a name that was mistyped is one otherwise.
    let open = if args.trust_first_use { state::open } else { state::open_kept };
    let store = args.state.as_deref().map(open).transpose()?;
    let store = store.map(|mut store| state::restore(&mut store, &mut node).map(|()| store)).transpose()?;
    // Otherwise taken for this run only: what is kept is what `sluis pin` says.
    let store = store.filter(|_| node.config().durable);
    if args.trust_first_use {
        let pattern = if args.target == BROADCAST { "*" } else { &args.target };
        node.trust_first_use(pattern).map_err(|why| Fail::usage(format!("--trust-first-use: {why}")))?;
        overlay::trust_registries(&mut node, &args.at)?;
    }
    overlay::allow_legacy(&mut node, &args.allow_legacy)?;
    for (did, key) in pins {
        let now = Now::new(Instant::ZERO, run::wall());
        node.pin(now, &did, key, Origin::Operator).map_err(|why| Fail::usage(format!("--pin: {why}")))?;
    }
    let (mut bind, ways) = ways(args.addr.as_ref(), &args.relays.via, args.asker.bind.as_ref())?;
    let (via, remote) = match ways.first() {
        Some(way) => *way,
        None => {
            let (any, nowhere) = unknown_end(args, &overlay::add_registries(&mut node, &args.at)?)?;
            bind = any;
            (None, nowhere)
        }
    };
    let mut ping = Ping::new(&args.target, remote, &args.intent);
    (ping.via, ping.max_hops) = (via, args.relays.max_hops);
    // Who signs has every relay sign, too.
    ping.trace = via.is_some() && identity.is_some();
    ping.purpose = &args.purpose;
    ping.payload = args.payload.as_value();
    ping.encoding = args.encoding.into();
    ping.priority = args.priority.into();
    ping.timeout = Some(args.timeout);
    // A node that is thrown away tells what is wrong with the ping before anything happens; it knows no pins.
    match a_node(&did, args, identity)?.ping(Now::default(), &ping) {
        Ok(_) | Err(PingError::NoSession) => {}
        Err(why) => return Err(refused(why, args)),
    }
    let socket = run::bind(bind)?;
    let probe = args.addr.as_ref().and_then(|_| hear_refusals(&socket, remote));
    let inbox = Inbox::with_signals(false);
    let mut app = Pinger::new(Out::queued(common, args.quiet), inbox, did, ping, args);
    (app.probe, app.ways) = (probe, ways);
    let ended = run::drive(common.runtime, (socket, None), store, &mut node, &mut app);
    let done = app.finish(ended.as_ref().ok())?;
    if let Some(why) = app.failed {
        return Err(refused(why, args));
    }
    ended.map(|_| if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Which key speaks for whom: one for the target, and those of registries.
fn pins(args: &PingArgs) -> Result<Vec<(String, PublicKey)>, Fail> {
    let mut pins: Vec<(String, PublicKey)> = Vec::new();
    for text in &args.pin {
        let of_registry = args.at.iter().filter_map(|at| at.did.as_deref());
        let named = of_registry.chain([args.target.as_str()]).any(|did| text.starts_with(&format!("{did}=")));
        let (did, key) = match key::file::public(text) {
            Ok(key) => (args.target.clone(), key),
            Err(_) if named => values::pin(text).map(|pin| (pin.did, pin.key)).map_err(|why| why.of("--pin"))?,
            Err(why) => return Err(why),
        };
        if pins.iter().any(|(other, _)| *other == did) {
            return Err(Fail::usage(format!("--pin: two keys for {did}, name one")));
        }
        pins.push((did, key));
    }
    Ok(pins)
}

/// A relay to begin at, by name, or without one the target itself; and where it is.
type Way<'a> = (Option<&'a str>, SocketAddr);

/// Where to send from, and where to: the address of the target, or of the relays; nowhere where there are neither.
pub(crate) fn ways<'a>(
    addr: Option<&Place>,
    via: &'a [Registry],
    bind: Option<&Place>,
) -> Result<(SocketAddr, Vec<Way<'a>>), Fail> {
    let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let mut from = bind.map_or(Ok(nowhere), run::resolve_bind)?;
    let mut ways = Vec::new();
    let relays = via.iter().map(|relay| (relay.did.as_deref(), &relay.place));
    for (did, place) in addr.map(|addr| (None, addr)).into_iter().chain(relays) {
        let (own, remote) = ends(place, bind)?;
        if ways.first().is_some_and(|(_, first): &Way<'_>| first.is_ipv4() != remote.is_ipv4()) {
            return Err(Fail::usage(
                "--via: one relay is at an IPv4 address and another at an IPv6 address, choose one kind",
            ));
        }
        from = own;
        ways.push((did, remote));
    }
    Ok((from, ways))
}

/// Where to send from, and a place that stands for where to, until the target is found.
fn unknown_end(args: &PingArgs, registries: &[(String, Path)]) -> Result<(SocketAddr, SocketAddr), Fail> {
    let v6 = registries.first().is_some_and(|(_, path)| path.remote.is_ipv6());
    let any: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let nowhere: IpAddr = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    let bind = args.asker.bind.as_ref().map_or_else(|| Ok(SocketAddr::new(any, 0)), run::resolve_bind)?;
    Ok((bind, SocketAddr::new(nowhere, 9)))
}

/// Let the system tell of this one address when nothing listens there (ICMP); it tells connected sockets only. Datagrams from
/// elsewhere are then not heard; answers from there would not count. On Linux alone a connected socket may still name where a
/// datagram goes, as the driver does. Where it cannot be had there is no hint, and sending says what is wrong.
///
/// The socket itself, to be asked: not every runtime wakes for an error alone.
fn hear_refusals(socket: &UdpSocket, remote: SocketAddr) -> Option<UdpSocket> {
    let connected = cfg!(any(target_os = "linux", target_os = "android")) && socket.connect(remote).is_ok();
    connected.then(|| socket.try_clone().ok()).flatten()
}

/// What to say when the node refuses the ping itself.
fn refused(why: PingError, args: &PingArgs) -> Fail {
    match why {
        PingError::TooLarge { .. } if args.purpose.len() > args.payload.len() => {
            Fail::usage(format!("--purpose: {why}, write less"))
        }
        PingError::TooLarge { .. } => Fail::usage(format!("--payload: {why}, send less")),
        PingError::Encode(_) => Fail::usage(format!("--payload: {why}, choose another --encoding")),
        why => Fail::usage(why),
    }
}

/// A name that nobody else has.
pub(crate) fn a_name() -> Result<Did, Fail> {
    let seed =
        sluis_tokio::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness: {why}")))?;
    let name = format!("jis:sluis:ping-{:08x}", seed.fork("cli.name").u64() >> 32);
    Did::new(&name).map_err(Fail::runtime)
}

/// A node that asks, and does nothing of its own accord.
fn a_node(did: &Did, args: &PingArgs, identity: Option<Identity>) -> Result<Node, Fail> {
    let mut config = NodeConfig::new(did.clone());
    config.heartbeat = None;
    let usual = if identity.is_some() { Session::Auto } else { Session::Off };
    let session = args.session.unwrap_or(usual);
    (config.sessions, config.suites) = (session.into(), args.suite.into());
    config.identity = identity;
    // What is kept of sessions shows when the directory was copied, and that there were sessions with a key.
    config.durable = args.state.is_some() && (args.trust_first_use || session != Session::Off);
    if args.is_looked_up() {
        config.overlay = Some(OverlayConfig::default().into());
    }
    config.decision_timeout = args.timeout;
    // Those that look the target up, or ask for circuits, are some more.
    let more = if args.is_looked_up() || !args.relays.via.is_empty() { 64 } else { 0 };
    config.caps.requests = args.in_flight.saturating_add(more);
    // Room for as many answers of the largest size as come between two looks.
    config.caps.event_bytes = 16 << 20;
    run::node(config)
}

/// Where to send from and where to.
fn ends(target: &Place, bind: Option<&Place>) -> Result<(SocketAddr, SocketAddr), Fail> {
    let targets = run::resolve(target)?;
    let bind = bind.map(run::resolve_bind).transpose()?;
    let any = |v4: bool| targets.iter().copied().find(|addr| addr.is_ipv4() == v4);
    let remote = match bind {
        // A socket on [::] serves both.
        Some(bind) if bind.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => targets.first().copied(),
        Some(bind) => any(bind.is_ipv4()),
        None => any(true).or_else(|| any(false)),
    };
    let Some(remote) = remote else {
        return Err(Fail::usage(format!(
            "--bind and {target} are not of the same family, choose both IPv4 or both IPv6"
        )));
    };
    let free: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Ok((bind.unwrap_or_else(|| SocketAddr::new(free, 0)), remote))
}
