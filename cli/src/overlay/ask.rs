//! A node that does one operation, and the app that looks after it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::framing::Text;
use sluis_core::node::{
    Event, Identity, Node, NodeConfig, Operation, OperationError, OperationId, OperationOutcome, OverlayConfig,
    OverlayError, Profile, SessionPolicy,
};
use sluis_core::pins::Origin;
use sluis_core::registry::Address;
use sluis_core::{Did, Instant, Machine as _, Now, Path, Wall};
use sluis_store::Store;
use sluis_udp::Refusals;

use super::args::{AskArgs, Registry};
use super::view::{self, Verified};
use crate::common::Common;
use crate::fail::Fail;
use crate::input::Inbox;
use crate::output::{Color, Out};
use crate::run::Bound;
use crate::values::Pin;
use crate::{key, ping, run, state};

/// What a record of ours says.
pub(crate) fn profile<'a>(
    endpoints: &'a [Address<'a>],
    capabilities: &'a [&'a str],
    behind_nat: bool,
    ttl: Duration,
) -> Profile<'a> {
    let mut profile = Profile::default();
    (profile.endpoints, profile.capabilities) = (endpoints, capabilities);
    (profile.behind_nat, profile.ttl) = (behind_nat, ttl);
    profile
}

/// Have a node pin the key with which each of these registries signs its first answer.
pub(crate) fn trust_registries(node: &mut Node, registries: &[Registry]) -> Result<(), Fail> {
    for did in registries.iter().filter_map(|registry| registry.did.as_deref()) {
        node.trust_first_use(did).map_err(|why| Fail::usage(format!("--trust-first-use: {why}")))?;
    }
    Ok(())
}

/// Have a node believe registries that sign nothing.
pub(crate) fn allow_legacy(node: &mut Node, patterns: &[String]) -> Result<(), Fail> {
    for pattern in patterns {
        node.allow_legacy(pattern).map_err(|why| Fail::usage(format!("--allow-legacy={pattern}: {why}")))?;
    }
    Ok(())
}

/// Why an operation came to nothing, and what can be done.
pub(crate) fn reason(why: &OperationError) -> String {
    match why {
        OperationError::Unproven => format!(
            "{why}: look whether the key that is pinned is the right one; a registry that signs nothing is believed only with --allow-legacy=DID"
        ),
        why => why.to_string(),
    }
}

/// Have a node ask these registries; where each is.
pub(crate) fn add_registries(node: &mut Node, registries: &[Registry]) -> Result<Vec<(String, Path)>, Fail> {
    let mut found = Vec::new();
    for Registry { did, place } in registries {
        let Some(addr) = run::resolve(place)?.first().copied() else { continue };
        let Some(did) = did else { continue };
        let path = Path::to(addr);
        node.ask_registry(did, path).map_err(|why| Fail::usage(format!("--at {did}@{place}: {why}")))?;
        check_believed(node, did)?;
        found.push((did.clone(), path));
    }
    Ok(found)
}

/// Refuse a registry that nothing could be believed of.
pub(crate) fn check_believed(node: &Node, did: &str) -> Result<(), Fail> {
    if node.may_believe(did) {
        return Ok(());
    }
    Err(Fail::usage(format!(
        "--at: no key is pinned to {did}, so anybody could answer in its place: add --pin {did}=KEY (`sluis key export` prints it there), \
         --trust-first-use to pin the key of its first answer, or --allow-legacy={did} if it signs nothing"
    )))
}

/// A node that asks.
pub(crate) struct Client {
    node: Node,
    did: Did,
    store: Option<Store>,
    registries: Vec<(String, Path)>,
}

impl Client {
    pub(super) fn new(args: &AskArgs, registries: &[Registry]) -> Result<Self, Fail> {
        let did = match &args.asker.did {
            Some(did) => did.clone(),
            None => ping::a_name()?,
        };
        let identity = args.key.as_deref().map(key::file::secret).transpose()?.map(Identity::from);
        let mut config = NodeConfig::new(did.clone());
        config.heartbeat = None;
        config.decision_timeout = args.timeout;
        if identity.is_some() {
            config.sessions = SessionPolicy::Auto;
        }
        config.identity = identity;
        config.durable = args.state.is_some();
        config.overlay = Some(OverlayConfig::default().into());
        let mut node = run::node(config)?;
        let store = args.state.as_deref().map(state::open).transpose()?;
        let store = store.map(|mut store| state::restore(&mut store, &mut node).map(|()| store)).transpose()?;
        let now = Now::new(Instant::ZERO, run::wall());
        for Pin { did, key } in &args.pin {
            node.pin(now, did, *key, Origin::Operator).map_err(|why| Fail::usage(format!("--pin {did}=...: {why}")))?;
        }
        allow_legacy(&mut node, &args.allow_legacy)?;
        if args.trust_first_use {
            trust_registries(&mut node, registries)?;
        }
        let registries = add_registries(&mut node, registries)?;
        Ok(Self { node, did, store, registries })
    }

    /// Say what this node says of itself.
    pub(super) fn set_profile(&mut self, profile: &Profile<'_>) -> Result<(), Fail> {
        let now = Now::new(Instant::ZERO, run::wall());
        self.node.set_profile(now, profile).map_err(|why| match why {
            OverlayError::Profile(why) => Fail::usage(format!("the record cannot be made: {why}")),
            why => Fail::usage(why),
        })
    }

    /// A registry, and where it is.
    pub(super) fn registry(&self, n: usize) -> Result<(String, Path), Fail> {
        self.registries.get(n).cloned().ok_or_else(|| Fail::usage("--at: write DID@HOST:PORT"))
    }

    /// Do one operation, and tell what it came to. `verify`: the name that is to be verified.
    pub(super) fn run(
        mut self,
        common: Common,
        args: &AskArgs,
        operation: &Operation<'_>,
        verify: Option<&str>,
    ) -> Result<ExitCode, Fail> {
        let socket = self.socket(args)?;
        let mut app = Asker::new(Out::new(common, false).timed(), operation, args.timeout, verify);
        app.own = self.did.as_str();
        run::drive(common.runtime, (socket, None), self.store, &mut self.node, &mut app)?;
        app.finish()
    }

    /// A socket of the family that the registries have.
    fn socket(&self, args: &AskArgs) -> Result<UdpSocket, Fail> {
        let v6 = self.registries.first().is_some_and(|(_, path)| path.remote.is_ipv6());
        let any: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let bind = match &args.asker.bind {
            Some(bind) => run::resolve_bind(bind)?,
            None => SocketAddr::new(any, 0),
        };
        run::bind(bind)
    }
}

/// The app: it begins an operation, and ends with it.
struct Asker<'a> {
    out: Out,
    inbox: Inbox,
    operation: &'a Operation<'a>,
    timeout: Duration,
    /// The name whose verification is asked for.
    verify: Option<&'a str>,
    /// Our own name.
    own: &'a str,
    id: Option<OperationId>,
    wall: Wall,
    refused: Option<OverlayError>,
    ended: Option<Result<OperationOutcome, OperationError>>,
}

impl<'a> Asker<'a> {
    fn new(out: Out, operation: &'a Operation<'a>, timeout: Duration, verify: Option<&'a str>) -> Self {
        Self {
            out,
            inbox: Inbox::with_signals(false),
            operation,
            timeout,
            verify,
            own: "",
            id: None,
            wall: Wall::default(),
            refused: None,
            ended: None,
        }
    }

    /// Tell what it came to; the exit code.
    fn finish(mut self) -> Result<ExitCode, Fail> {
        if let Some(why) = self.refused {
            return Err(Fail::usage(why));
        }
        let code = match self.ended.take() {
            Some(Ok(outcome)) => {
                self.show(&outcome);
                ExitCode::SUCCESS
            }
            Some(Err(why)) => {
                self.show_failure(&why);
                ExitCode::FAILURE
            }
            // A signal came first.
            None => ExitCode::FAILURE,
        };
        self.out.finish().map_err(|why| Fail::output(&why))?;
        Ok(code)
    }

    fn show(&mut self, outcome: &OperationOutcome) {
        let (wall, own, verify) = (self.wall, self.own, self.verify.is_some());
        let out = &mut self.out;
        let millis = |took: Duration| took.as_secs_f64() * 1000.0;
        match outcome {
            OperationOutcome::Registered { endpoint, seq, expires } => {
                view::registered(out, own, endpoint.as_deref(), (*seq, *expires));
            }
            OperationOutcome::Resolved(found) => view::resolved(out, wall, found),
            OperationOutcome::Found(devices) => devices.iter().for_each(|device| view::found(out, device)),
            OperationOutcome::Verified { did, key, path, took, score } => {
                let (score, key, rtt_ms) = (*score, Some(*key), Some(millis(*took)));
                let addr = Some(path.remote);
                view::verified(out, &Verified { did, verified: true, score, key, rtt_ms, addr });
            }
            OperationOutcome::Reached { resolution, path, took } => {
                if verify {
                    let (key, rtt_ms, addr) = (resolution.key, Some(millis(*took)), Some(path.remote));
                    let did = &*resolution.did;
                    view::verified(out, &Verified { did, verified: true, score: None, key, rtt_ms, addr });
                } else {
                    view::resolved(out, wall, resolution);
                }
            }
            _ => {}
        }
    }

    fn show_failure(&mut self, why: &OperationError) {
        if let Some(did) = self.verify {
            let (verified, score, key, rtt_ms, addr) = (false, None, None, None, None);
            view::verified(&mut self.out, &Verified { did, verified, score, key, rtt_ms, addr });
        }
        let did = match *self.operation {
            Operation::Register { server, .. } => server,
            Operation::Resolve(did) | Operation::Reach(did) | Operation::Verify { did, .. } => did,
            Operation::Find(capability) => capability,
            _ => "",
        };
        let words = reason(why);
        self.out.event(
            "failed",
            |o| o.str("did", did).str("reason", &words),
            |flow| {
                flow.word(Color::Red, "failed").quoted("", Text::new(did)).words(&words);
            },
        );
    }
}

impl Bound for Asker<'_> {
    fn bound(&mut self, _: SocketAddr, _: Refusals) {}
}

impl App<Node> for Asker<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, node: &mut Node) -> Poll<()> {
        self.inbox.register(cx);
        self.wall = now.wall;
        if self.id.is_none() {
            match node.start_operation(now, self.operation, Some(self.timeout)) {
                Ok(id) => self.id = Some(id),
                Err(why) => self.refused = Some(why),
            }
        }
        while let Some(event) = node.poll_event() {
            match event {
                Event::Operation { id, result } if Some(id) == self.id => {
                    self.ended = Some(result.cloned().map_err(Clone::clone));
                }
                Event::Overlay(news) => {
                    view::news(&mut self.out, news);
                }
                _ => {}
            }
        }
        // What was learned is kept first: the node gives it out as soon as it is asked.
        let done = (self.ended.is_some() && !node.wants().store) || self.refused.is_some() || self.inbox.is_stopped();
        if !done {
            return Poll::Pending;
        }
        node.close_sessions();
        Poll::Ready(())
    }
}
