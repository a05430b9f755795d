//! Nodes as they are recorded: their beginning, their commands and their events.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::line::{Line, Version};
use super::read::{BadRecord, Object};
use super::recorded::{NoSuchQueue, Recordable, Recorded, Sink, Tape};
use super::{lan, overlay, relay, settings, version_one};
use crate::airlock::{Expiry, LegacyError, Pod, Rule, RuleError, SignedId, TrustError, Vouch, VouchError, VouchId};
use crate::discovery::{AutoVouchError, JoinToken, RuleDraft, TokenId};
use crate::framing::{PingType, Priority, RoutingMode, Value, Zone};
use crate::identity::{PublicKey, Statement};
use crate::node::faults::Faults;
use crate::node::{
    AnswerError, Command, CommandOutcome, ConfigError, Event, Identity, Keeping, LanConfig, LanError, Node, NodeConfig,
    OpenId, Operation, OperationId, OverlayCommand, OverlayError, Ping, PingError, Profile, RelayCommand, RelayError,
    Reply, ReplyError, RequestId, RestoreError, Taken, TokenError, VouchRefusal, WaitId,
};
use crate::pins::{Origin, PinError};
use crate::registry::Address;
use crate::table::SlotId;
use crate::time::{Duration, Now, Wall};
use crate::{Durable as _, Path, Reject, Seed, StoreError, StoreSeq};

impl Node {
    /// A node and everything that goes in and out of it, its seed included, on a tape: see [`record`](crate::record).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn recorded(
        config: NodeConfig,
        seed: &Seed,
        tape: Box<dyn Tape + Send>,
    ) -> Result<Recorded<Self>, ConfigError> {
        Ok(Self::new(config, seed)?.begin((None, Version::default()), seed, Sink::Tape(tape)))
    }

    /// Begin a recording of a node that was just made from this seed.
    pub(crate) fn begin(self, label: (Option<u32>, Version), seed: &Seed, sink: Sink) -> Recorded<Self> {
        let mut start = Line::new(label.1);
        self.write_start(seed, &mut start);
        let members = start.finish();
        Recorded::begin(self, label, sink, |line| line.members(&members))
    }

    /// What it is made of.
    fn write_start(&self, seed: &Seed, line: &mut Line) {
        let config = settings::write(self.config(), line.version());
        line.hex("seed", seed.secret()).raw("config", format_args!("{config}"));
        if let Some(fault) = self.faults().name() {
            line.text("fault", fault);
        }
    }
}

impl Recordable for Node {
    type Taken = Taken;

    fn receive(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<Taken, Reject> {
        Self::receive(self, now, path, bytes)
    }

    fn start(line: Object<'_>, labelled: bool, again: &mut Line) -> Result<Self, BadRecord> {
        let faults = match line.maybe("fault")? {
            None => Faults::default(),
            // Nobody gets a node without its protections by writing a file.
            Some(_) if !labelled => return Err(BadRecord("switches a protection off, which only a simulation does")),
            Some(name) => Faults::from_name(&name)
                .ok_or(BadRecord("switches off what no simulation in this program switches off"))?,
        };
        let identity = if labelled { simulated_identity(line) } else { None };
        let config = settings::read(line.object("config")?, again.version(), identity)?;
        let seed = <[u8; 32]>::try_from(line.hex("seed")?).map_err(|_| BadRecord("has no seed"))?;
        let seed = Seed::new(seed);
        let node = Self::with_faults(config, &seed, faults)
            .map_err(|_| BadRecord("has a configuration that no node takes"))?;
        node.write_start(&seed, again);
        Ok(node)
    }

    fn write_command(line: &mut Line, now: Now, command: &Command<'_>) {
        match *command {
            Command::Ping(ref ping) => write_ping(line.text("in", "ping").at(now), ping),
            Command::Forget(request) => line.text("in", "forget").number("request", request.to_bits()),
            Command::Respond { id, payload } => line
                .text("in", "respond")
                .at(now)
                .show("id", &format_args!("Open {}", id.0.to_bits()))
                .value("payload", payload),
            Command::Approve(id) => wait_id(line.text("in", "approve").at(now), id),
            Command::Reject(id) => wait_id(line.text("in", "reject").at(now), id),
            Command::SetTrust { did, trust } => line.text("in", "set_trust").text("did", did).float("trust", trust),
            Command::RemoveTrust(did) => line.text("in", "remove_trust").text("did", did),
            Command::AllowLegacy(pattern) => line.text("in", "allow_legacy").text("pattern", pattern),
            Command::DisallowLegacy(pattern) => line.text("in", "disallow_legacy").text("pattern", pattern),
            Command::DecideTrust { did, trust } => {
                line.text("in", "decide_trust").text("did", did).float("trust", trust)
            }
            Command::WithdrawTrust(did) => line.text("in", "withdraw_trust").text("did", did),
            Command::TrustFirstUse(pattern) => line.text("in", "trust_first_use").text("pattern", pattern),
            Command::Restore { key, value } => line.text("in", "restore").hex("key", key).hex("value", value),
            Command::AddRule(ref rule) => write_rule(line.text("in", "add_rule"), rule),
            Command::RemoveRule(id) => line.text("in", "remove_rule").text("id", id),
            Command::Vouch(ref vouch, wall) => write_vouch(line.text("in", "vouch"), vouch, wall),
            Command::RevokeVouch(id) => line.text("in", "revoke_vouch").text("id", id),
            Command::SetReply { pattern, reply } => {
                let payload = match reply {
                    Reply::Now(payload) => Some(payload.as_json()),
                    Reply::Later => None,
                };
                line.text("in", "set_reply").text("pattern", pattern).maybe("payload", payload)
            }
            Command::RemoveReply(pattern) => line.text("in", "remove_reply").text("pattern", pattern),
            Command::Pin { did, key, origin } => line
                .text("in", "pin")
                .at(now)
                .text("did", did)
                .hex("key", key.as_bytes())
                .text("origin", origin.as_str()),
            Command::Unpin(did) => line.text("in", "unpin").text("did", did),
            Command::Retire(ref statement) => {
                let mut json = Vec::new();
                // A vector takes everything.
                let _ = statement.write_json(&mut json);
                line.text("in", "retire").hex("statement", &json)
            }
            Command::CloseSessions => line.text("in", "close_sessions"),
            Command::Discover(config) => lan::write_config(line.text("in", "discover").at(now), config),
            Command::Seek(did) => line.text("in", "seek").at(now).text("did", did),
            Command::AddAutoVouch(ref rule) => lan::write_rule(line.text("in", "add_auto_vouch"), rule),
            Command::Overlay(ref command) => {
                overlay::write_command(line, now, command);
                line
            }
            Command::Relay(ref command) => relay::write_command(line, command),
            Command::SetHeartbeat { status, pod_id } => {
                line.text("in", "set_heartbeat").value("payload", status).maybe("pod_id", pod_id)
            }
        };
    }

    fn write_outcome(line: &mut Line, command: &Command<'_>, out: &CommandOutcome) {
        match (command, out) {
            // Never was in a recording.
            (Command::SetReply { .. }, _) => {}
            (_, CommandOutcome::Approved(out)) if line.version() == Version::One => {
                line.out(&version_one::approval(*out));
            }
            _ => _ = line.out(out),
        }
    }

    fn read_command(
        name: &str,
        line: Object<'_>,
        version: Version,
        command: &mut dyn FnMut(&Command<'_>),
    ) -> Result<(), BadRecord> {
        match name {
            "ping" => return read_ping(line, command),
            "vouch" => return read_vouch(line, command),
            "forget" => command(&Command::Forget(RequestId::from_bits(line.u64("request")?))),
            "respond" => {
                let id = OpenId(slot(line, "Open")?);
                command(&Command::Respond { id, payload: line.value("payload")?.as_value() });
            }
            "approve" => command(&Command::Approve(read_wait_id(line)?)),
            "reject" => command(&Command::Reject(read_wait_id(line)?)),
            "set_trust" => command(&Command::SetTrust { did: &line.text("did")?, trust: line.parsed("trust")? }),
            "remove_trust" => command(&Command::RemoveTrust(&line.text("did")?)),
            "decide_trust" => command(&Command::DecideTrust { did: &line.text("did")?, trust: line.parsed("trust")? }),
            "withdraw_trust" => command(&Command::WithdrawTrust(&line.text("did")?)),
            "trust_first_use" => command(&Command::TrustFirstUse(&line.text("pattern")?)),
            "restore" => command(&Command::Restore { key: &line.hex("key")?, value: &line.hex("value")? }),
            "allow_legacy" => command(&Command::AllowLegacy(&line.text("pattern")?)),
            "disallow_legacy" => command(&Command::DisallowLegacy(&line.text("pattern")?)),
            "add_rule" => command(&Command::AddRule(read_rule(line, version)?.as_view())),
            "remove_rule" => command(&Command::RemoveRule(&line.text("id")?)),
            "revoke_vouch" => command(&Command::RevokeVouch(&line.text("id")?)),
            "set_reply" => {
                let reply = if line.has("payload") { Reply::Now(line.value("payload")?) } else { Reply::Later };
                command(&Command::SetReply { pattern: &line.text("pattern")?, reply: &reply });
            }
            "set_heartbeat" => {
                let (status, pod_id) = (line.value("payload")?, line.maybe("pod_id")?);
                command(&Command::SetHeartbeat { status: status.as_value(), pod_id: pod_id.as_deref() });
            }
            "pin" => {
                let key = key_of(line)?;
                let origin =
                    Origin::from_name(&line.text("origin")?).ok_or(BadRecord("has an unknown origin of a pin"))?;
                command(&Command::Pin { did: &line.text("did")?, key, origin });
            }
            "unpin" => command(&Command::Unpin(&line.text("did")?)),
            "retire" => {
                let json = String::from_utf8(line.hex("statement")?).map_err(|_| BadRecord("has no statement"))?;
                let statement = Value::from_json(&json).ok().and_then(|value| Statement::read(value).ok());
                command(&Command::Retire(statement.ok_or(BadRecord("has no statement"))?));
            }
            "close_sessions" => command(&Command::CloseSessions),
            "discover" => command(&Command::Discover(&lan::read_config(line)?)),
            "seek" => command(&Command::Seek(&line.text("did")?)),
            "add_auto_vouch" => return lan::read_rule(line, command),
            "remove_reply" => command(&Command::RemoveReply(&line.text("pattern")?)),
            _ if overlay::read_command(name, line, command)? || relay::read_command(name, line, command)? => {}
            _ => return Err(BadRecord("has an input that this program does not know")),
        }
        Ok(())
    }

    fn feed_store(recorded: &mut Recorded<Self>) -> Option<()> {
        let _ = recorded.poll_store();
        Some(())
    }

    fn feed_stored(
        recorded: &mut Recorded<Self>,
        now: Now,
        upto: StoreSeq,
        result: Result<(), StoreError>,
    ) -> Option<()> {
        recorded.handle_stored(now, upto, result);
        Some(())
    }

    fn write_event(line: &mut Line, event: &Event<'_>) {
        write_event(line, event);
    }

    fn next_queue(&self) -> &'static str {
        if self.has_reply() { REPLIES } else { NOTICES }
    }

    fn poll_queue(&mut self, queue: &str) -> Result<Option<Event<'_>>, NoSuchQueue> {
        match queue {
            REPLIES => Ok(self.poll_reply()),
            NOTICES => Ok(self.poll_notice()),
            _ => Err(NoSuchQueue),
        }
    }
}

/// The key of a node of a simulated network: no secret, as anybody makes it of the node's number.
fn simulated_identity(line: Object<'_>) -> Option<Identity> {
    #[cfg(feature = "sim")]
    return line.number("node").ok().map(|node| crate::sim::key(node).into());
    #[cfg(not(feature = "sim"))]
    {
        let _ = line;
        None
    }
}

const REPLIES: &str = "poll_reply";
const NOTICES: &str = "poll_notice";

macro_rules! told {
    ($($name:ident($($arg:ident: $type:ty),*) at $now:expr, $command:expr => $out:ty;)+) => {
        /// What a node is told, by the methods of [`Node`], and written down.
        #[allow(clippy::missing_errors_doc, reason = "each says where they are")]
        impl Recorded<Node> {
            $(#[doc = concat!("As [`Node::", stringify!($name), "`], written down.")]
            pub fn $name(&mut self, $($arg: $type),*) -> $out {
                self.tell($now, &$command, |node| node.$name($($arg),*))
            })+
        }
    };
}
told! {
    ping(now: Now, ping: &Ping<'_>) at now, Command::Ping(*ping) => Result<RequestId, PingError>;
    forget(request: RequestId) at Now::default(), Command::Forget(request) => bool;
    respond(now: Now, id: OpenId, payload: Value<'_>) at now, Command::Respond { id, payload } => Result<(), AnswerError>;
    approve(now: Now, id: WaitId) at now, Command::Approve(id) => Result<Option<OpenId>, AnswerError>;
    reject(now: Now, id: WaitId) at now, Command::Reject(id) => Result<(), AnswerError>;
    set_trust(did: &str, trust: f64) at Now::default(), Command::SetTrust { did, trust } => Result<f64, TrustError>;
    remove_trust(did: &str) at Now::default(), Command::RemoveTrust(did) => bool;
    allow_legacy(pattern: &str) at Now::default(), Command::AllowLegacy(pattern) => Result<(), LegacyError>;
    decide_trust(did: &str, trust: f64) at Now::default(), Command::DecideTrust { did, trust }
        => Result<(f64, Keeping), TrustError>;
    withdraw_trust(did: &str) at Now::default(), Command::WithdrawTrust(did) => Result<Option<Keeping>, TrustError>;
    trust_first_use(pattern: &str) at Now::default(), Command::TrustFirstUse(pattern) => Result<(), LegacyError>;
    restore(key: &[u8], value: &[u8]) at Now::default(), Command::Restore { key, value } => Result<bool, RestoreError>;
    disallow_legacy(pattern: &str) at Now::default(), Command::DisallowLegacy(pattern) => bool;
    pin(now: Now, did: &str, key: PublicKey, origin: Origin) at now, Command::Pin { did, key, origin } => Result<Keeping, PinError>;
    unpin(did: &str) at Now::default(), Command::Unpin(did) => Result<Option<Keeping>, PinError>;
    retire(statement: &Statement) at Now::default(), Command::Retire(*statement) => Result<Keeping, PinError>;
    remove_rule(id: &str) at Now::default(), Command::RemoveRule(id) => bool;
    vouch(vouch: &Vouch<'_>, wall: Wall) at Now::default(), Command::Vouch(*vouch, wall) => Result<VouchId, VouchError>;
    revoke_vouch(id: &str) at Now::default(), Command::RevokeVouch(id) => bool;
    close_sessions() at Now::default(), Command::CloseSessions => bool;
    discover(now: Now, config: &LanConfig) at now, Command::Discover(config) => Result<(), LanError>;
    seek(now: Now, did: &str) at now, Command::Seek(did) => Result<(), LanError>;
    add_auto_vouch(rule: &RuleDraft<'_>) at Now::default(), Command::AddAutoVouch(*rule) => Result<(), AutoVouchError>;
    remove_reply(pattern: &str) at Now::default(), Command::RemoveReply(pattern) => bool;
    set_heartbeat(status: Value<'_>, pod_id: Option<&str>) at Now::default(), Command::SetHeartbeat { status, pod_id }
        => Result<(), ReplyError>;
    relay_for(pattern: &str) at Now::default(), Command::Relay(RelayCommand::RelayFor(pattern)) => Result<(), RelayError>;
    stop_relaying_for(pattern: &str)
        at Now::default(), Command::Relay(RelayCommand::StopRelayingFor(pattern)) => Result<(), RelayError>;
    set_neighbour(did: &str, path: Path, score: f64)
        at Now::default(), Command::Relay(RelayCommand::SetNeighbour { did, path, score }) => Result<(), RelayError>;
    reserve_at(now: Now, did: &str, path: Path) at now, Command::Relay(RelayCommand::ReserveAt { did, path })
        => Result<(), RelayError>;
    add_address(at: SocketAddr) at Now::default(), Command::Relay(RelayCommand::AddAddress(at)) => Result<(), RelayError>;
    remove_neighbour(did: &str)
        at Now::default(), Command::Relay(RelayCommand::RemoveNeighbour(did)) => Result<(), RelayError>;
    set_profile(now: Now, profile: &Profile<'_>) at now, Command::Overlay(OverlayCommand::SetProfile(*profile))
        => Result<(), OverlayError>;
    ask_registry(did: &str, path: Path) at Now::default(), Command::Overlay(OverlayCommand::AskRegistry { did, path })
        => Result<(), OverlayError>;
    name_endpoint(did: &str, endpoint: Address<'_>)
        at Now::default(), Command::Overlay(OverlayCommand::NameEndpoint { did, endpoint }) => Result<(), OverlayError>;
    start_operation(now: Now, operation: &Operation<'_>, timeout: Option<Duration>)
        at now, Command::Overlay(OverlayCommand::Begin { operation: *operation, timeout })
        => Result<OperationId, OverlayError>;
    give_up(id: OperationId) at Now::default(), Command::Overlay(OverlayCommand::GiveUp(id)) => bool;
    accept_vouch(now: Now, bytes: &[u8]) at now, Command::Overlay(OverlayCommand::AcceptVouch(bytes))
        => Result<(SignedId, Keeping), VouchRefusal>;
    accept_vouch_revocation(now: Now, bytes: &[u8])
        at now, Command::Overlay(OverlayCommand::AcceptVouchRevocation(bytes))
        => Result<(SignedId, Keeping), VouchRefusal>;
    remove_signed_vouch(now: Now, id: &SignedId)
        at now, Command::Overlay(OverlayCommand::RemoveSignedVouch(*id)) => Result<Keeping, VouchRefusal>;
    new_join_token(now: Now, uses: u32, life: Duration, trust: f64)
        at now, Command::Overlay(OverlayCommand::NewJoinToken { uses, life, trust })
        => Result<(JoinToken, Keeping), TokenError>;
    revoke_join_token(id: &TokenId)
        at Now::default(), Command::Overlay(OverlayCommand::RevokeJoinToken(*id)) => Option<Keeping>;
}

impl Recorded<Node> {
    /// As [`Node::add_rule`], written down.
    ///
    /// # Errors
    /// As there.
    pub fn add_rule<T: AsRef<str>>(&mut self, rule: &Rule<T>) -> Result<(), RuleError> {
        let rule = rule.as_view();
        self.tell(Now::default(), &Command::AddRule(rule), |node| node.add_rule(&rule))
    }

    /// As [`Node::set_reply`], written down.
    ///
    /// # Errors
    /// As there.
    #[allow(clippy::needless_pass_by_value, reason = "as the node has it")]
    pub fn set_reply(&mut self, pattern: &str, reply: Reply) -> Result<(), ReplyError> {
        let command = Command::SetReply { pattern, reply: &reply };
        self.tell(Now::default(), &command, |node| node.set_reply(pattern, reply.clone()))
    }

    /// As `Node::poll_reply`, written down.
    pub fn poll_reply(&mut self) -> Option<Event<'_>> {
        self.poll(REPLIES).unwrap_or_default()
    }

    /// As `Node::poll_notice`, written down.
    pub fn poll_notice(&mut self) -> Option<Event<'_>> {
        self.poll(NOTICES).unwrap_or_default()
    }
}

/// A public key.
pub(super) fn key_of(line: Object<'_>) -> Result<PublicKey, BadRecord> {
    let key = <[u8; 32]>::try_from(line.hex("key")?).ok().and_then(|key| PublicKey::from_bytes(key).ok());
    key.ok_or(BadRecord("has a key that is none"))
}

fn wait_id(line: &mut Line, id: WaitId) -> &mut Line {
    line.show("id", &format_args!("Waiting {}", id.slot.to_bits()))
}

/// What [`wait_id`] wrote. The number is not in it, and nothing looks a ping up by that.
fn read_wait_id(line: Object<'_>) -> Result<WaitId, BadRecord> {
    Ok(WaitId { slot: slot(line, "Waiting")?, number: 0 })
}

fn slot(line: Object<'_>, kind: &str) -> Result<SlotId, BadRecord> {
    let text = line.text("id")?;
    let bits = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix(' ')?.parse().ok());
    bits.map(SlotId::from_bits).ok_or(BadRecord("has no id of a ping"))
}

fn write_ping<'l>(line: &'l mut Line, ping: &Ping<'_>) -> &'l mut Line {
    line.text("target", ping.target)
        .path(ping.path)
        .text("intent", ping.intent)
        .text("purpose", ping.purpose)
        .value("payload", ping.payload)
        .text("ping_type", ping.ping_type.as_str())
        .number("priority", u64::from(ping.priority.to_wire()))
        .text("routing_mode", ping.routing_mode.as_str())
        .maybe("pod_id", ping.pod_id)
        .maybe("station_id", ping.station_id)
        .text("encoding", settings::encoding_name(ping.encoding))
        .span("timeout", ping.timeout)
        .maybe("via", ping.via)
        .maybe("max_hops", ping.max_hops.map(|hops| alloc::format!("{hops}")).as_deref())
        .maybe("trace", ping.trace.then_some("yes"))
}

fn write_rule<'l>(line: &'l mut Line, rule: &Rule<&str>) -> &'l mut Line {
    line.text("id", rule.id)
        .text("name", rule.name)
        .maybe("source_did", rule.source_did)
        .maybe("intent", rule.intent)
        .maybe("ping_type", rule.ping_type.map(PingType::as_str))
        .text("zone", rule.zone.as_str())
        .raw("priority", format_args!("{}", rule.priority));
    match rule.pod_id {
        None => {}
        Some(Pod::None) => {
            line.text("no_pod", "");
        }
        Some(Pod::Is(id)) => {
            line.text("pod_id", id);
        }
    }
    if rule.any && line.version() >= Version::Two {
        line.raw("any", format_args!("true"));
    }
    match rule.min_trust {
        Some(trust) => line.float("min_trust", trust),
        None => line,
    }
}

fn write_vouch<'l>(line: &'l mut Line, vouch: &Vouch<'_>, wall: Wall) -> &'l mut Line {
    line.raw("wall", format_args!("{}", wall.as_micros()))
        .text("id", vouch.id)
        .text("voucher_did", vouch.voucher_did)
        .float("voucher_trust", vouch.voucher_trust)
        .float("factor", vouch.factor)
        .texts("vouched", vouch.vouched);
    match vouch.expires {
        Expiry::Never => line.text("expires", "never"),
        Expiry::Unreadable => line.text("expires", "unreadable"),
        Expiry::After(wall) => line.raw("after", format_args!("{}", wall.as_micros())),
    }
}

fn word<T>(line: Object<'_>, key: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, BadRecord> {
    read(&line.text(key)?).ok_or(BadRecord("has a word that this program does not know"))
}

fn read_ping(line: Object<'_>, command: &mut dyn FnMut(&Command<'_>)) -> Result<(), BadRecord> {
    let (target, intent, purpose) = (line.text("target")?, line.text("intent")?, line.text("purpose")?);
    let (pod, station, payload) = (line.maybe("pod_id")?, line.maybe("station_id")?, line.value("payload")?);
    let priority = Priority::from_wire(line.i64("priority")?).ok_or(BadRecord("has an unknown priority"))?;
    let mut ping = Ping::new(&target, line.path()?, &intent);
    ping.purpose = &purpose;
    ping.payload = payload.as_value();
    ping.ping_type = word(line, "ping_type", PingType::from_wire)?;
    ping.priority = priority;
    ping.routing_mode = word(line, "routing_mode", RoutingMode::from_wire)?;
    (ping.pod_id, ping.station_id) = (pod.as_deref(), station.as_deref());
    ping.encoding = settings::encoding(&line.text("encoding")?)?;
    ping.timeout = line.span("timeout")?;
    let (via, max_hops) = (line.maybe("via")?, line.maybe("max_hops")?);
    ping.via = via.as_deref();
    let max_hops = max_hops.as_deref().map(str::parse).transpose();
    ping.max_hops = max_hops.map_err(|_| BadRecord("has a number of hops that is none"))?;
    ping.trace = line.has("trace");
    line.at()?;
    command(&Command::Ping(ping));
    Ok(())
}

fn read_rule(line: Object<'_>, version: Version) -> Result<Rule<String>, BadRecord> {
    let mut rule = Rule::new(line.text("id")?, line.text("name")?, word(line, "zone", Zone::from_wire)?);
    (rule.source_did, rule.intent) = (line.maybe("source_did")?, line.maybe("intent")?);
    rule.pod_id = match line.maybe("pod_id")? {
        Some(id) => Some(Pod::Is(id)),
        None => line.has("no_pod").then_some(Pod::None),
    };
    rule.ping_type = line.has("ping_type").then(|| word(line, "ping_type", PingType::from_wire)).transpose()?;
    (rule.min_trust, rule.priority) = (line.parsed_maybe("min_trust")?, line.i64("priority")?);
    // A rule without conditions did not have to say so in the first version.
    rule.any = line.has("any") || version == Version::One && !rule.has_conditions();
    Ok(rule)
}

fn read_vouch(line: Object<'_>, command: &mut dyn FnMut(&Command<'_>)) -> Result<(), BadRecord> {
    let (id, voucher, vouched) = (line.text("id")?, line.text("voucher_did")?, line.texts("vouched")?);
    let vouched: Vec<&str> = vouched.iter().map(String::as_str).collect();
    let expires = match line.maybe("expires")?.as_deref() {
        Some("never") => Expiry::Never,
        Some(_) => Expiry::Unreadable,
        None => Expiry::After(Wall::from_micros(line.i64("after")?)),
    };
    let (voucher_trust, factor) = (line.parsed("voucher_trust")?, line.parsed("factor")?);
    let vouch = Vouch { id: &id, voucher_did: &voucher, voucher_trust, factor, vouched: &vouched, expires };
    command(&Command::Vouch(vouch, Wall::from_micros(line.i64("wall")?)));
    Ok(())
}

/// An event, without the datagram that it lends.
fn write_event(line: &mut Line, event: &Event<'_>) {
    if line.version() == Version::One {
        line.show("out", &version_one::Shown(event));
        return;
    }
    match event {
        Event::Ping(ping) => {
            ids(line.text("event", "ping"), ping.wait, ping.open).path(ping.from);
            line.text("encoding", settings::encoding_name(ping.encoding)).text("zone", ping.zone.as_str());
            line.text("decision", ping.decision.as_str()).float("trust", ping.trust);
            line.show("source", &format_args!("{:?}", ping.source)).maybe("rule", ping.rule)
        }
        Event::Decided(decided) => {
            ids(line.text("event", "decided"), Some(decided.wait), decided.open).path(decided.from);
            line.text("packet_id", decided.packet_id).text("did", decided.source_did).text("intent", decided.intent);
            line.show("outcome", &format_args!("{:?}", decided.outcome));
            line.raw("answered", format_args!("{}", decided.answered))
        }
        Event::Response(answer) => {
            line.text("event", "response").number("request", answer.request.to_bits()).path(answer.from);
            line.text("decision", answer.decision.as_str()).span("rtt", Some(answer.rtt));
            line.raw("last", format_args!("{}", answer.last))
        }
        Event::Timeout { request, pending } => {
            line.text("event", "timeout").number("request", request.to_bits());
            line.raw("pending", format_args!("{pending}"))
        }
        Event::Unsent { request, why } => {
            line.text("event", "unsent").number("request", request.to_bits()).number("why", why.code())
        }
        Event::Retired { key, successor } => {
            line.text("event", "retired").hex("key", key.as_bytes());
            line.maybe("successor", successor.map(|key| alloc::format!("{key}")).as_deref())
        }
        Event::Session(change) => {
            line.text("event", "session").text("did", change.did).path(change.path);
            line.show("state", &format_args!("{:?}", change.state)).number("suite", change.suite.into());
            if change.relayed {
                line.text("over", "relays");
            }
            line.maybe("key", change.key.map(|key| alloc::format!("{key}")).as_deref())
        }
        Event::Pinned { did, key, keeping } => {
            let line = line.text("event", "pinned").text("did", did).hex("key", key.as_bytes());
            line.show("keeping", &format_args!("{keeping:?}"))
        }
        Event::Kept { upto, result } => {
            line.text("event", "kept").number("upto", upto.0).show("result", &format_args!("{result:?}"))
        }
        Event::Unanswered(id) => ids(line.text("event", "unanswered"), None, Some(*id)),
        Event::Heartbeat { did, path } => line.text("event", "heartbeat").text("did", did).path(*path),
        Event::PeerSeen { did, path } => line.text("event", "peer_seen").text("did", did).path(*path),
        Event::PeerLost { did } => line.text("event", "peer_lost").text("did", did),
        Event::Lan(news) => lan::write_news(line, news),
        Event::Trace(news) => relay::write_news(line, news),
        Event::Reservation(news) => {
            line.text("event", "reservation").text("relay", &news.relay).path(news.path).span("lasts", news.lasts)
        }
        Event::Overlay(news) => overlay::write_news(line, news),
        Event::Operation { id, result } => overlay::write_ended(line, *id, *result),
    };
}

/// The ids of a ping that waits for the application.
fn ids(line: &mut Line, wait: Option<WaitId>, open: Option<OpenId>) -> &mut Line {
    if let Some(id) = wait {
        line.number("wait", id.number()).number("slot", id.slot.to_bits());
    }
    if let Some(id) = open {
        line.number("open", id.0.to_bits());
    }
    line
}
