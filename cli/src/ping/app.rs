//! The app that keeps pings in flight.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::{App, DriverStats};
use sluis_core::framing::{Decision, Text};
use sluis_core::identity::PublicKey;
use sluis_core::node::{
    Answered, Event, Node, Operation, OperationError, OperationId, OperationOutcome, Ping, PingError, RequestId,
};
use sluis_core::pins::Origin;
use sluis_core::{Did, Instant, Machine as _, Now, Unsent};
use sluis_udp::Refusals;

use super::tally::Tally;
use crate::args::PingArgs;
use crate::fail::Fail;
use crate::input::Inbox;
use crate::output::{Color, Out, Patience, Style, tell};
use crate::run::Bound;
use crate::{overlay, trace, view};

/// How soon to try again when the node's send queue is full.
const SOON: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// How often the socket is asked whether a ping found nobody.
const LOOK: Duration = Duration::from_millis(200);
/// How long silence lasts before it is said that there is silence.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// After a signal, how long the reader of the output may take; a signal ends it within a second.
const READER: Duration = Duration::from_millis(300);

pub(super) struct Pinger<'a> {
    out: Out,
    inbox: Inbox,
    did: Did,
    ping: Ping<'a>,
    args: &'a PingArgs,
    in_flight: usize,
    open: HashMap<RequestId, Flight, BuildHasherDefault<IdHasher>>,
    /// When the first ping that waits for its decision runs out of time, or earlier.
    undecided: Option<Instant>,
    tally: Tally,
    /// When the next ping may be sent; none until the first was.
    next: Option<Instant>,
    addr: Option<SocketAddr>,
    started: Option<Instant>,
    now: Instant,
    /// Why the node refused a ping.
    pub(super) failed: Option<PingError>,
    counters: Option<Instant>,
    refusals: Refusals,
    /// The connected socket, which knows of what was refused, and when to ask it next.
    pub(super) probe: Option<UdpSocket>,
    ask: Option<Instant>,
    /// It was said already that nobody listens there.
    hinted: bool,
    reach: Reach,
    /// Relays to ask over, or where the target is; and which of them is taken now.
    pub(super) ways: Vec<(Option<&'a str>, SocketAddr)>,
    way: usize,
    /// Since when nothing was heard although something was asked, and when to say so next.
    silent: Option<(Instant, Instant)>,
}

/// How far the address of the target is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// It was given, or its key has answered there.
    Known,
    /// It is to be looked up.
    Wanted,
    /// That is under way.
    UnderWay(OperationId),
    /// Nobody was reached.
    Failed,
}

/// Hashes request ids: small numbers that nobody else chooses.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, n: u32) {
        // Mixes into the high bits, which the table looks at, too.
        self.0 = (self.0.rotate_left(32) ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A ping that is not done with.
#[derive(Clone, Copy, Debug)]
struct Flight {
    seq: u64,
    sent: Instant,
    /// The first answer was pending.
    pending: bool,
}

impl Bound for Pinger<'_> {
    fn bound(&mut self, addr: SocketAddr, refusals: Refusals) {
        self.refusals = refusals;
        self.addr = Some(addr);
        let Self { out, did, ping, .. } = self;
        if self.reach != Reach::Known {
            out.say(1, || format!("sluis ping: {did} on {addr} looks for {}", ping.target));
            return out.flush();
        }
        let remote = ping.path.remote;
        out.say(1, || format!("sluis ping: {did} on {addr} asks {} at {remote}", ping.target));
        if out.style == Style::Text && !out.quiet {
            out.flow("", |flow| {
                flow.word(Color::Bold, "ping").words(&format!("{} at {remote} as {did}: {}", ping.target, ping.intent));
            });
        }
        out.flush();
    }
}

impl App<Node> for Pinger<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, node: &mut Node) -> Poll<()> {
        self.inbox.register(cx);
        self.out.poll(cx, now.wall);
        self.now = now.mono;
        self.started.get_or_insert(now.mono);
        self.look_up(now, node);
        let mut reached = None;
        while let Some(event) = node.poll_event() {
            match event {
                Event::Response(answer) => {
                    self.silent = None;
                    if let Some(done) = self.answered(&answer) {
                        node.forget(done);
                    }
                }
                Event::Timeout { request, .. } => {
                    if let Some(flight) = self.open.remove(&request) {
                        self.ran_out(flight);
                        // It may be elsewhere by now.
                        if self.args.is_looked_up() {
                            self.reach = Reach::Wanted;
                        }
                        self.next_way();
                    }
                }
                Event::Operation { id, result } if self.reach == Reach::UnderWay(id) => {
                    reached = Some(result.cloned().map_err(Clone::clone));
                }
                Event::Unsent { request, why } => {
                    if let Some(flight) = self.open.remove(&request) {
                        self.not_sent(flight, why);
                    }
                }
                Event::Trace(news) => trace::view::tell(&mut self.out, news),
                Event::Pinned { did, key, .. } => self.pinned(did, key),
                Event::Kept { result: Err(why), .. } => {
                    tell(&format!("sluis ping: the key could not be kept ({why}) and is pinned to nobody."));
                }
                Event::Session(change) => {
                    view::tell_session(&mut self.out, &(&change).into());
                }
                _ => {}
            }
        }
        if let Some(reached) = reached {
            self.reached(now, node, reached);
        }
        self.give_up(node);
        self.launch(now, node);
        self.tell_counters(node);
        self.tell_refusal();
        self.tell_silence();
        self.out.flush();
        let done = self.open.is_empty() && self.args.total() == Some(self.tally.sent) || self.reach == Reach::Failed;
        // What was learned is kept first: the node gives it out as soon as it is asked.
        let kept = !node.wants().store;
        if done && kept || self.failed.is_some() || self.inbox.is_stopped() || self.out.is_broken() {
            node.close_sessions();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        let next = if self.may_launch() { self.next } else { None };
        [next, self.undecided, self.counters, self.ask, self.silent.map(|(_, next)| next)].into_iter().flatten().min()
    }
}

impl<'a> Pinger<'a> {
    pub(super) fn new(out: Out, inbox: Inbox, did: Did, ping: Ping<'a>, args: &'a PingArgs) -> Self {
        let in_flight = usize::try_from(args.in_flight).unwrap_or(1);
        Self {
            out,
            inbox,
            did,
            ping,
            args,
            in_flight,
            open: HashMap::with_capacity_and_hasher(in_flight.saturating_mul(2), BuildHasherDefault::default()),
            undecided: None,
            tally: Tally::default(),
            next: None,
            addr: None,
            started: None,
            now: Instant::ZERO,
            failed: None,
            counters: None,
            refusals: Refusals::default(),
            probe: None,
            ask: None,
            reach: if args.is_looked_up() { Reach::Wanted } else { Reach::Known },
            ways: Vec::new(),
            way: 0,
            hinted: false,
            silent: None,
        }
    }

    /// No answer came: the next ping goes over the next relay.
    fn next_way(&mut self) {
        if self.ways.len() > 1 {
            self.way = (self.way + 1) % self.ways.len();
            let (via, addr) = self.ways[self.way];
            (self.ping.via, self.ping.path) = (via, addr.into());
        }
    }

    /// Find out where the target is, and have its key answer there.
    fn look_up(&mut self, now: Now, node: &mut Node) {
        if self.reach != Reach::Wanted || self.args.total() == Some(self.tally.sent) {
            return;
        }
        match node.start_operation(now, &Operation::Reach(&self.args.target), Some(self.args.timeout)) {
            Ok(id) => self.reach = Reach::UnderWay(id),
            Err(why) => self.not_reached(&why.to_string()),
        }
    }

    /// What came of that. From now on only the key that answered is believed.
    fn reached(&mut self, now: Now, node: &mut Node, reached: Result<OperationOutcome, OperationError>) {
        let (resolution, path) = match reached {
            Ok(OperationOutcome::Reached { resolution, path, .. }) => (resolution, path),
            Ok(_) => return,
            Err(why) => return self.not_reached(&overlay::reason(&why)),
        };
        if let Some(key) = resolution.key.filter(|_| node.pins().get(&self.args.target).is_none())
            && let Err(why) = node.pin(now, &self.args.target, key, Origin::Operator)
        {
            return self.not_reached(&why.to_string());
        }
        overlay::view::resolved(&mut self.out, now.wall, &resolution);
        (self.ping.path, self.reach) = (path, Reach::Known);
    }

    fn not_reached(&mut self, why: &str) {
        self.reach = Reach::Failed;
        let did = &self.args.target;
        self.out.event(
            "failed",
            |o| o.str("did", did).str("reason", why),
            |flow| {
                flow.word(Color::Red, "not reached:").quoted("", Text::new(did)).words(why);
            },
        );
    }

    /// The key of the first answer was pinned.
    fn pinned(&mut self, did: &str, key: PublicKey) {
        let fingerprint = key.fingerprint().to_string();
        self.out.event(
            "pin",
            |o| o.str("source_did", did).str("fingerprint", &fingerprint).str("origin", Origin::FirstUse.as_str()),
            |flow| {
                flow.word(Color::Bold, "pinned").quoted("", Text::new(did)).words(&format!("to {fingerprint}"));
                flow.text(Color::Yellow, "at first sight");
            },
        );
    }

    /// A reader who does not keep up holds back the pings: so no line about them is lost.
    fn may_launch(&self) -> bool {
        self.reach == Reach::Known
            && self.args.total() != Some(self.tally.sent)
            && self.open.len() < self.in_flight
            && !self.out.is_behind()
    }

    /// Send what may be sent now.
    fn launch(&mut self, now: Now, node: &mut Node) {
        while self.may_launch() && self.next.is_none_or(|at| at <= now.mono) {
            match node.ping(now, &self.ping) {
                Ok(id) => {
                    self.tally.sent += 1;
                    self.open.insert(id, Flight { seq: self.tally.sent, sent: now.mono, pending: false });
                    self.next = Some(self.after_this(now.mono));
                }
                Err(PingError::QueueFull | PingError::TooManyRequests(_)) => {
                    self.next = Some(now.mono + SOON);
                    return;
                }
                Err(why) => {
                    self.failed = Some(why);
                    return;
                }
            }
        }
    }

    /// When the ping after the one that is sent now may be sent: the rhythm is kept, a delay is not made up for.
    fn after_this(&self, now: Instant) -> Instant {
        let due = self.next.unwrap_or(now);
        let interval = self.args.interval;
        if now.saturating_since(due) < interval { due + interval } else { now + interval }
    }

    /// Note an answer; the request if nobody waits for its decision.
    fn answered(&mut self, answer: &Answered<'_>) -> Option<RequestId> {
        let flight = self.open.get_mut(&answer.request)?;
        let (seq, was_pending) = (flight.seq, flight.pending);
        self.tally.answer(answer.decision, was_pending, answer.rtt);
        let mut done = None;
        if answer.last {
            self.open.remove(&answer.request);
        } else if self.args.no_wait {
            self.open.remove(&answer.request);
            done = Some(answer.request);
        } else {
            flight.pending = true;
            let due = flight.sent + self.args.timeout;
            self.undecided = Some(self.undecided.map_or(due, |at| at.min(due)));
        }
        self.tell(seq, answer);
        done
    }

    fn tell(&mut self, seq: u64, answer: &Answered<'_>) {
        let Self { out, args, .. } = self;
        let reply = answer.into();
        out.event(
            "response",
            |o| view::response_json(o, seq, &reply),
            |flow| {
                view::response_text(flow.text(Color::Plain, &args.numbered(seq)), &reply);
                if answer.decision == Decision::Pending && !args.no_wait {
                    flow.text(Color::Plain, "waiting for the decision");
                }
            },
        );
    }

    /// No answer came in time, or no decision.
    fn ran_out(&mut self, flight: Flight) {
        let Self { out, args, .. } = self;
        let what = if flight.pending { "no decision" } else { "no answer" };
        out.event(
            "timeout",
            |o| o.raw("seq", flight.seq),
            |flow| {
                flow.text(Color::Plain, &args.numbered(flight.seq)).text(Color::Red, what);
                flow.words(&format!("within {} s", args.timeout.as_secs_f64()));
                if !flight.pending {
                    flow.words("(silence is also how a hub refuses)");
                }
            },
        );
    }

    /// A ping did not leave this machine: it does not count as sent, and whatever is asked further fares no better.
    fn not_sent(&mut self, flight: Flight, why: Unsent) {
        self.tally.unsent += 1;
        let Self { out, args, .. } = self;
        out.event(
            "unsent",
            |o| o.raw("seq", flight.seq).str("reason", &why.to_string()),
            |flow| {
                flow.text(Color::Plain, &args.numbered(flight.seq)).text(Color::Red, "not sent:");
                flow.words(&why.to_string());
            },
        );
    }

    /// Give up the pings whose decision is late: time counts from when they were sent.
    fn give_up(&mut self, node: &mut Node) {
        if self.undecided.is_none_or(|at| self.now < at) {
            return;
        }
        let (now, timeout) = (self.now, self.args.timeout);
        let mut late: Vec<(RequestId, Flight)> =
            self.open.extract_if(|_, flight| flight.pending && flight.sent + timeout <= now).collect();
        late.sort_unstable_by_key(|(_, flight)| flight.seq);
        for (id, flight) in late {
            node.forget(id);
            self.ran_out(flight);
        }
        let waiting = self.open.values().filter(|flight| flight.pending);
        self.undecided = waiting.map(|flight| flight.sent + timeout).min();
    }

    /// What the network says of the port is a hint and no answer: anybody on the way can say so. The pings go on waiting.
    fn tell_refusal(&mut self) {
        if self.hinted {
            return;
        }
        let asked = match self.ask {
            Some(at) if at > self.now => false,
            _ if self.open.is_empty() => self.ask.take().is_some(),
            before => {
                self.ask = Some(self.now + LOOK);
                before.is_some()
            }
        };
        let refused = |probe: &UdpSocket| {
            probe.take_error().ok().flatten().is_some_and(|why| why.kind() == io::ErrorKind::ConnectionRefused)
        };
        if self.refusals.count() == 0 && !(asked && self.probe.as_ref().is_some_and(refused)) {
            return;
        }
        self.ask = None;
        self.hinted = true;
        let remote = self.ping.path.remote;
        self.out.event(
            "hint",
            |o| o.str("reason", "port_unreachable").str("addr", &remote.to_string()),
            |flow| {
                flow.text(Color::Red, "hint:");
                flow.words(&format!(
                    "nothing seems to listen at {remote} (ICMP port unreachable, which anybody on the way can send)"
                ));
            },
        );
    }

    /// People who wait are told that it goes on: after two seconds, and then ever more rarely.
    fn tell_silence(&mut self) {
        if self.out.quiet || self.out.style == Style::Json {
            return;
        }
        if self.open.is_empty() {
            self.silent = None;
            return;
        }
        let (since, next) = *self.silent.get_or_insert((self.now, self.now + FIRST_WORD));
        if self.now < next {
            return;
        }
        let waited = self.now.saturating_since(since);
        self.silent = Some((since, self.now + waited));
        let decisions = self.open.values().filter(|flight| flight.pending).count();
        let what = match (decisions, self.open.len()) {
            (0, 1) => "no answer yet".to_owned(),
            (0, n) => format!("{n} pings without an answer yet"),
            (1, 1) => "no decision yet".to_owned(),
            (n, _) => format!("{n} pings without a decision yet"),
        };
        let timeout = self.args.timeout.as_secs_f64();
        tell(&format!("sluis ping: {what}, {} s of silence; each is given up after {timeout} s.", waited.as_secs()));
    }

    /// With `-vv`: the counters once a second.
    fn tell_counters(&mut self, node: &Node) {
        if !self.out.says(2) || self.counters.is_some_and(|at| self.now < at) {
            return;
        }
        self.counters = Some(self.now + SECOND);
        tell(&format!("sluis ping: {}", view::counters(&node.stats())));
    }

    /// The last words: the summary. Whether every ping went as it should.
    pub(super) fn finish(&mut self, driver: Option<&DriverStats>) -> Result<bool, Fail> {
        if self.addr.is_none() || self.failed.is_some() && self.tally.sent == 0 {
            return Ok(false);
        }
        let elapsed = self.started.map_or(Duration::ZERO, |started| self.now.saturating_since(started));
        self.out.flush();
        let patience = if self.inbox.is_stopped() { Patience::AtMost(READER) } else { Patience::Forever };
        let Self { out, tally, .. } = self;
        let lost = out.lost();
        out.summary(
            "summary",
            |o| tally.json(o, elapsed).raw("lost_output", lost),
            |flow| {
                flow.words(&tally.text(elapsed));
            },
        );
        if let Some(rtt) = tally.rtt_text().filter(|_| out.style == Style::Text) {
            out.flow("", |flow| {
                flow.words(&rtt);
            });
        }
        if let Some(driver) = driver {
            if let lost @ 1.. = driver.discarded.saturating_sub(tally.unsent) {
                tell(&format!(
                    "sluis ping: {lost} datagrams could not be sent: the network is down, or does not take them."
                ));
            }
            out.say(1, || format!("sluis ping: {}", view::driver(driver)));
        }
        out.finish_within(patience).map_err(|why| Fail::output(&why))?;
        let good = if self.args.no_wait { tally.received } else { tally.accept };
        Ok(good == self.args.total().unwrap_or(tally.sent))
    }
}

impl PingArgs {
    /// Whether the address of the target is to be found out.
    pub(super) const fn is_looked_up(&self) -> bool {
        self.addr.is_none() && self.relays.via.is_empty()
    }

    /// How many pings there are to be; none: without end.
    fn total(&self) -> Option<u64> {
        (self.count > 0).then_some(self.count)
    }

    /// The number of a ping, as wide as the largest.
    fn numbered(&self, seq: u64) -> String {
        let width = self.count.checked_ilog10().unwrap_or(0) as usize + 1;
        format!("{seq:>width$}")
    }
}
