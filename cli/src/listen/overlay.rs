//! What a listening node does in the overlay: it joins a hub, registers, and tells what others do here.

use std::time::Duration;

use sluis_chain::audit::Happening;
use sluis_core::discovery::JoinToken;
use sluis_core::framing::Text;
use sluis_core::node::{Event, Node, Operation, OperationError, OperationId, OperationOutcome, OverlayNews};
use sluis_core::record::Recorded;
use sluis_core::registry::Address;
use sluis_core::{Instant, Now, Path};

use super::NAME;
use super::app::Listen;
use crate::args::ListenArgs;
use crate::fail::Fail;
use crate::output::tell;
use crate::overlay::{self, args::Registry, view};
use crate::{key, run, vouch};

/// How long an attempt to join or to register may take, and how soon after it the next one begins.
const ATTEMPT: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(5);
/// How long a record of ours holds; it is renewed in half of that.
const TTL: Duration = Duration::from_secs(3600);

/// What is to be asked of a hub or a registry, and what is under way.
#[derive(Debug, Default)]
pub(super) struct Member {
    token: Option<JoinToken>,
    at: Option<Path>,
    /// The registry; known from the start, or once it has let us in.
    server: Option<String>,
    under_way: Option<OperationId>,
    /// When it is begun, or tried again.
    pub(super) due: Option<Instant>,
    joined: bool,
}

impl Member {
    /// What the flags ask for.
    ///
    /// # Errors
    /// A sentence that names the flag.
    pub(super) fn new(args: &ListenArgs) -> Result<Self, Fail> {
        let token = match (&args.join, &args.join_file) {
            (Some(text), _) => Some(JoinToken::parse(text).map_err(|why| Fail::usage(format!("--join: {why}")))?),
            (None, Some(file)) => Some(key::file::token(file)?),
            (None, None) => None,
        };
        let Some(Registry { did, place }) = &args.at else { return Ok(Self::default()) };
        if token.is_none() && did.is_none() {
            return Err(Fail::usage(
                "--at: write DID@HOST:PORT, or add --join-file FILE for a hub whose name is not known",
            ));
        }
        if token.is_none() && args.key.is_none() {
            return Err(Fail::usage("--at: a record is signed with the key of this node, add --key FILE"));
        }
        let Some(addr) = run::resolve(place)?.first().copied() else {
            return Err(Fail::runtime(format!("{place} has no address")));
        };
        Ok(Self { token, at: Some(Path::to(addr)), server: did.clone(), due: Some(Instant::ZERO), ..Self::default() })
    }
}

/// Say what a node says of itself, and take in the vouches that were named.
///
/// # Errors
/// A sentence that names the flag.
pub(super) fn prepare(args: &ListenArgs, node: &mut Recorded<Node>) -> Result<(), Fail> {
    let now = Now::new(Instant::ZERO, run::wall());
    // Without a key nothing is registered: what it can do is said on the local network only.
    if args.at.is_some() || !args.capability.is_empty() && args.key.is_some() {
        let endpoints = overlay::endpoints(&args.endpoint)?;
        let endpoints: Vec<_> = endpoints.iter().filter_map(|text| Address::parse(text).ok()).collect();
        let capabilities: Vec<&str> = args.capability.iter().map(String::as_str).collect();
        let profile = overlay::profile(&endpoints, &capabilities, endpoints.is_empty(), TTL);
        node.set_profile(now, &profile).map_err(|why| Fail::usage(format!("--capability: {why}")))?;
    }
    // Who has a token learns the key of the hub from it.
    if let Some(did) = args.at.as_ref().and_then(|at| at.did.as_deref())
        && args.join.is_none()
        && args.join_file.is_none()
    {
        overlay::check_believed(node, did)?;
    }
    for file in &args.vouch {
        let taken = match vouch::read(file).map_err(Fail::usage)? {
            vouch::Signed::Vouch(bytes) => node.accept_vouch(now, &bytes),
            vouch::Signed::Revocation(bytes) => node.accept_vouch_revocation(now, &bytes),
        };
        taken.map_err(|why| Fail::usage(format!("--vouch {}: {why}", file.display())))?;
    }
    Ok(())
}

impl Listen {
    /// Join and register, as far as that is due.
    pub(super) fn go_on_joining(&mut self, now: Now, node: &mut Recorded<Node>) {
        let member = &mut self.member;
        if member.under_way.is_some() || member.due.is_none_or(|at| at > now.mono) {
            return;
        }
        let Some(path) = member.at else { return };
        let operation = match (&member.token, &member.server) {
            (Some(token), _) if !member.joined => Operation::Join { token, path },
            (_, Some(server)) => Operation::Register { server, path },
            (_, None) => return,
        };
        match node.start_operation(now, &operation, Some(ATTEMPT)) {
            Ok(id) => (member.under_way, member.due) = (Some(id), None),
            Err(why) => {
                member.due = Some(now.mono + AGAIN);
                tell(&format!("{NAME}: --at: {why}."));
            }
        }
    }

    /// An operation has ended.
    pub(super) fn operation_ended(&mut self, id: OperationId, result: Result<&OperationOutcome, &OperationError>) {
        if self.member.under_way != Some(id) {
            return;
        }
        self.member.under_way = None;
        match result {
            Ok(OperationOutcome::Joined { hub, key, trust, .. }) => {
                let token = self.member.token.as_ref().map(JoinToken::id).unwrap_or_default();
                view::joined(&mut self.out, hub, *key, &token, *trust);
                self.member.server = Some(String::from(&**hub));
                (self.member.joined, self.member.due) = (true, Some(self.now));
            }
            Ok(OperationOutcome::Registered { endpoint, seq, expires }) => {
                let did = self.settings.did.as_str();
                view::registered(&mut self.out, did, endpoint.as_deref(), (*seq, *expires));
            }
            Ok(_) => {}
            // What is worth nothing now is worth nothing later.
            Err(why @ OperationError::Token) => tell(&format!("{NAME}: --join: {why}.")),
            Err(why) => {
                self.member.due = Some(self.now + AGAIN);
                tell(&format!("{NAME}: --at: {why}; it is tried again in {} s.", AGAIN.as_secs()));
            }
        }
    }

    /// Tell an event of the overlay.
    pub(super) fn tell_overlay(&mut self, event: &Event<'_>) {
        match event {
            Event::Overlay(news) => {
                if let (OverlayNews::Joined { did, trust, .. }, Some(record)) = (news, &mut self.record) {
                    let (did, zones) = (Text::new(did), self.settings.zones());
                    let reason = Text::new("joined by a token");
                    let now = Now::new(self.now, run::wall());
                    record.happening(now, &Happening::Trust { did, old: 0.0, new: *trust, reason, zones });
                }
                view::news(&mut self.out, news);
            }
            Event::Operation { id, result } => self.operation_ended(*id, *result),
            _ => {}
        }
    }
}
