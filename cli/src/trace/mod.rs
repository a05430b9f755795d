//! `sluis trace`: the way to a name, hop by hop.

pub(crate) mod args;
mod rows;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::identity::SecretKey;
use sluis_core::node::{Event, Identity, Node, NodeConfig, Ping, PingError, RequestId, TraceNews};
use sluis_core::pins::Origin;
use sluis_core::{Instant, Machine as _, Now};
use sluis_udp::Refusals;

use self::args::TraceArgs;
use self::rows::Rows;
use crate::common::Common;
use crate::fail::Fail;
use crate::input::Inbox;
use crate::output::{Color, Out, Patience, Style};
use crate::run::{self, Bound};
use crate::values::Pin;
use crate::{key, ping, state};

/// After a signal, how long the reader of the output may take.
const READER: Duration = Duration::from_millis(300);
/// How soon to try again when the node's send queue is full.
const SOON: Duration = Duration::from_millis(1);
/// How often a live table is shown anew where nothing happens: the terminal may be another size by then.
const SECOND: Duration = Duration::from_secs(1);

/// Send traced pings, and show what their traces tell; the exit code is 0 when every one was answered and nothing was changed.
pub(crate) fn run(common: Common, args: &TraceArgs) -> Result<ExitCode, Fail> {
    let did = args.asker.did.clone().map_or_else(ping::a_name, Ok)?;
    if did == args.target {
        return Err(Fail::usage(format!("--did and the target are both {did}, a node has no way to itself")));
    }
    if args.dot && common.json {
        return Err(Fail::usage("--dot and --json: choose one"));
    }
    let mut config = NodeConfig::new(did.clone());
    config.heartbeat = None;
    config.decision_timeout = args.timeout;
    config.identity = Some(match args.key.as_deref() {
        Some(file) => key::file::secret(file)?.into(),
        None => Identity::from(SecretKey::generate(&mut run::seed()?.fork("cli.trace"))),
    });
    let mut node = run::node(config)?;
    let store = args.state.as_deref().map(state::open_kept).transpose()?;
    store.map_or(Ok(()), |mut store| state::restore(&mut store, &mut node))?;
    let now = Now::new(Instant::ZERO, run::wall());
    for Pin { did, key } in &args.pin {
        node.pin(now, did, *key, Origin::Operator).map_err(|why| Fail::usage(format!("--pin {did}=...: {why}")))?;
    }
    let (bind, ways) = ping::ways(args.addr.as_ref(), &args.relays.via, args.asker.bind.as_ref())?;
    if ways.is_empty() {
        return Err(Fail::usage(
            "where does the way begin? add --via DID@HOST:PORT for a relay, or HOST:PORT of the target",
        ));
    }
    let socket = run::bind(bind)?;
    let out = Out::queued(common, args.report || args.dot);
    let live = out.style == Style::Text && !out.quiet && io::stdout().is_terminal();
    let mut app = Tracer {
        rows: Rows::new(did.as_str(), args.target.as_str()),
        out,
        inbox: if live { Inbox::with_signals(false).with_keys() } else { Inbox::with_signals(false) },
        args,
        ways,
        way: 0,
        open: BTreeMap::new(),
        zone: None,
        sent: 0,
        answered: 0,
        tampered: 0,
        next: None,
        now: Instant::ZERO,
        bound: false,
        failed: None,
        live,
        show: None,
    };
    let ended = run::drive(common.runtime, (socket, None), None, &mut node, &mut app);
    let good = app.finish()?;
    if let Some(why) = app.failed {
        return Err(Fail::usage(why));
    }
    ended.map(|_| if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Tracer<'a> {
    out: Out,
    inbox: Inbox,
    args: &'a TraceArgs,
    /// Relays to begin at, and where they are; without a name the target itself.
    ways: Vec<(Option<&'a str>, SocketAddr)>,
    /// Which of them is taken now.
    way: usize,
    rows: Rows,
    /// Pings that wait for their answer, or for its trace, and where they went.
    open: BTreeMap<RequestId, SocketAddr>,
    /// Where the answer that came last says that we are.
    zone: Option<String>,
    sent: u64,
    answered: u64,
    /// Places where a trace did not fit.
    tampered: u64,
    /// When the next ping goes; none until the first did.
    next: Option<Instant>,
    now: Instant,
    bound: bool,
    failed: Option<PingError>,
    /// The table is shown, again and again.
    live: bool,
    /// When it is shown anew at the latest.
    show: Option<Instant>,
}

impl Bound for Tracer<'_> {
    fn bound(&mut self, addr: SocketAddr, _: Refusals) {
        self.bound = true;
        let target = &self.args.target;
        self.out.say(1, || format!("sluis trace: from {addr} to {target}"));
        self.out.flush();
    }
}

impl App<Node> for Tracer<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, node: &mut Node) -> Poll<()> {
        self.inbox.register(cx);
        self.out.poll(cx, now.wall);
        self.now = now.mono;
        let mut done = Vec::new();
        while let Some(event) = node.poll_event() {
            match event {
                Event::Response(answer) => {
                    let zone = answer.response().airlock_zone.to_cow().into_owned();
                    self.zone = Some(zone);
                    // A decision that comes later brings no trace.
                    done.extend((!answer.last).then_some(answer.request));
                }
                Event::Trace(news) => self.read(news),
                Event::Timeout { request, .. } | Event::Unsent { request, .. } => self.lose(request),
                _ => {}
            }
        }
        done.into_iter().for_each(|request| _ = node.forget(request));
        self.launch(now, node);
        if self.live && self.show.is_none_or(|at| at <= now.mono) {
            self.show_anew();
        }
        self.out.flush();
        let all = self.args.count > 0 && self.sent >= self.args.count && self.open.is_empty();
        if all || self.failed.is_some() || self.inbox.is_stopped() || self.out.is_broken() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        [self.next.filter(|_| !self.is_all_sent()), self.show].into_iter().flatten().min()
    }
}

impl Tracer<'_> {
    const fn is_all_sent(&self) -> bool {
        self.args.count > 0 && self.sent >= self.args.count
    }

    fn launch(&mut self, now: Now, node: &mut Node) {
        if self.is_all_sent() || self.next.is_some_and(|at| at > now.mono) || self.out.is_behind() {
            return;
        }
        let Some((via, addr)) = self.ways.get(self.way % self.ways.len()).copied() else { return };
        let mut ping = Ping::new(self.args.target.as_str(), addr, &self.args.intent);
        (ping.via, ping.max_hops, ping.trace) = (via, self.args.relays.max_hops, true);
        (ping.purpose, ping.timeout) = ("To see the way", Some(self.args.timeout));
        match node.ping(now, &ping) {
            Ok(request) => {
                self.sent += 1;
                self.open.insert(request, addr);
                self.next = Some(now.mono + self.args.interval);
            }
            Err(PingError::QueueFull | PingError::TooManyRequests(_)) => self.next = Some(now.mono + SOON),
            Err(why) => self.failed = Some(why),
        }
    }

    /// The trace of an answer was read.
    fn read(&mut self, news: &TraceNews) {
        let Some(request) = news.request else { return };
        let first = if news.believed { self.open.remove(&request) } else { self.open.get(&request).copied() };
        let Some(first) = first else { return };
        self.answered += u64::from(news.believed);
        self.tampered += news.tampered.len() as u64;
        self.rows.add(news, first, self.zone.take().as_deref());
        if self.live {
            self.show = None;
        } else {
            view::tell(&mut self.out, news);
        }
    }

    /// The table, on the whole screen.
    fn show_anew(&mut self) {
        self.show = Some(self.now + SECOND);
        self.out.fit();
        self.out.line(|line, _| line.extend_from_slice(b"\x1b[H\x1b[J"));
        self.rows.show(&mut self.out, self.sent);
        let (sent, answered, keys) = (self.sent, self.answered, self.inbox.has_keys());
        let tampered = self.tampered;
        self.out.flow("", |flow| {
            flow.words(&format!("{sent} sent, {answered} answered,"));
            let color = if tampered > 0 { Color::Red } else { Color::Plain };
            flow.word(color, &format!("{tampered} found changed"));
            if keys {
                flow.text(Color::Dim, "q ends it");
            }
        });
    }

    /// No answer came: the next ping begins at the next relay.
    fn lose(&mut self, request: RequestId) {
        if self.open.remove(&request).is_none() {
            return;
        }
        self.way += 1;
        if self.live {
            self.show = None;
            return;
        }
        let did = self.args.target.as_str();
        self.out.event(
            "timeout",
            |o| o.str("did", did),
            |flow| {
                flow.word(Color::Red, "no answer").words(&format!("from {did}"));
            },
        );
    }

    /// What all answers told together. Whether every ping was answered and nothing was changed.
    fn finish(&mut self) -> Result<bool, Fail> {
        if !self.bound || self.failed.is_some() {
            return Ok(false);
        }
        let Self { out, rows, sent, answered, tampered, .. } = self;
        let (sent, answered, tampered) = (*sent, *answered, *tampered);
        match out.style {
            Style::Json => rows.tell(out, sent),
            Style::Text if self.args.dot => rows.graph(out),
            Style::Text => rows.show(out, sent),
        }
        if !self.args.dot {
            let did = self.args.target.as_str();
            out.summary(
                "summary",
                |o| o.str("did", did).raw("sent", sent).raw("received", answered).raw("tampered", tampered),
                |flow| {
                    flow.words(&format!("{sent} sent, {answered} answered, {tampered} found changed"));
                },
            );
        }
        let patience = if self.inbox.is_stopped() { Patience::AtMost(READER) } else { Patience::Forever };
        self.out.finish_within(patience).map_err(|why| Fail::output(&why))?;
        Ok(sent > 0 && answered == sent && tampered == 0 && self.rows.is_clean())
    }
}
