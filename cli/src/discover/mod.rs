//! `sluis discover`.

pub(crate) mod args;
pub(crate) mod rules;
mod table;
pub(crate) mod view;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::node::{Event, Identity, LanNews, Node, NodeConfig};
use sluis_core::{Did, Instant, Machine as _, Now};
use sluis_udp::Refusals;

use self::args::DiscoverArgs;
use self::table::Table;
use crate::common::Common;
use crate::fail::Fail;
use crate::input::Inbox;
use crate::key;
use crate::output::{Color, Out, Patience, Style};
use crate::run::{self, Bound};
use crate::values::Place;

/// After a signal, how long the reader of the output may take.
const READER: Duration = Duration::from_millis(300);
/// How often the table is shown anew.
const SECOND: Duration = Duration::from_secs(1);

/// Call, and tell who answers; the exit code is 0 whoever does.
pub(crate) fn run(common: Common, args: &DiscoverArgs) -> Result<ExitCode, Fail> {
    let did = match &args.did {
        Some(did) => did.clone(),
        None => a_name()?,
    };
    let mut config = NodeConfig::new(did.clone());
    config.heartbeat = None;
    config.identity = args.key.as_deref().map(key::file::secret).transpose()?.map(Identity::from);
    let mut node = run::node(config)?;
    node.discover(Now::new(Instant::ZERO, run::wall()), &args.config()?).map_err(Fail::usage)?;
    let free: Place = crate::values::place("0.0.0.0:0").map_err(Fail::usage)?;
    let socket = run::bind(run::resolve_bind(args.bind.as_ref().unwrap_or(&free))?)?;
    let inbox = Inbox::with_signals(false);
    let out = Out::queued(common, args.quiet);
    let table = (args.watch && out.style == Style::Text && !args.quiet).then(Table::on_terminal).flatten();
    let mut app = Discoverer {
        out,
        inbox,
        did,
        end: args.duration(),
        started: None,
        now: Instant::ZERO,
        bound: false,
        table,
        show: None,
    };
    let ended = run::drive(common.runtime, (socket, Some(args.multicast())), None, &mut node, &mut app);
    app.finish(&node)?;
    ended.map(|_| ExitCode::SUCCESS)
}

/// A name that nobody else has.
fn a_name() -> Result<Did, Fail> {
    let name = format!("jis:sluis:discover-{:08x}", run::seed()?.fork("cli.name").u64() >> 32);
    Did::new(&name).map_err(Fail::runtime)
}

/// The app that tells who is there.
struct Discoverer {
    out: Out,
    inbox: Inbox,
    did: Did,
    /// How long it lasts, if it has an end.
    end: Option<Duration>,
    started: Option<Instant>,
    now: Instant,
    bound: bool,
    /// Shown instead of events.
    table: Option<Table>,
    /// When the table is shown next.
    show: Option<Instant>,
}

impl Bound for Discoverer {
    fn bound(&mut self, addr: SocketAddr, _: Refusals) {
        self.bound = true;
        let Self { out, did, .. } = self;
        out.say(1, || format!("sluis discover: {did} on {addr}"));
        out.flush();
    }
}

impl App<Node> for Discoverer {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, node: &mut Node) -> Poll<()> {
        self.inbox.register(cx);
        self.out.poll(cx, now.wall);
        self.now = now.mono;
        let started = *self.started.get_or_insert(now.mono);
        while let Some(event) = node.poll_event() {
            if let Event::Lan(news) = event {
                self.tell(news);
            }
        }
        if let Some(table) = &mut self.table
            && self.show.is_none_or(|at| at <= now.mono)
        {
            self.show = Some(now.mono + SECOND);
            table.show(&mut self.out, now.mono, node);
        }
        self.out.flush();
        let over = self.end.is_some_and(|end| now.mono >= started + end);
        if over || self.inbox.is_stopped() || self.out.is_broken() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        let end = self.started.zip(self.end).map(|(started, end)| started + end);
        [end, self.show].into_iter().flatten().min()
    }
}

impl Discoverer {
    fn tell(&mut self, news: &LanNews) {
        match &mut self.table {
            Some(table) => table.hear(news),
            None => view::tell(&mut self.out, news),
        }
    }

    fn finish(&mut self, node: &Node) -> Result<(), Fail> {
        if !self.bound {
            return Ok(());
        }
        let found = node.neighbours().count();
        let elapsed = self.started.map_or(Duration::ZERO, |started| self.now.saturating_since(started));
        self.out.summary(
            "summary",
            |o| o.raw("found", found).rounded("elapsed_s", Some(elapsed.as_secs_f64()), 3),
            |flow| {
                let nodes = if found == 1 { "node" } else { "nodes" };
                flow.word(Color::Bold, &format!("{found} {nodes}")).words("found");
            },
        );
        let patience = if self.inbox.is_stopped() { Patience::AtMost(READER) } else { Patience::Forever };
        self.out.finish_within(patience).map_err(|why| Fail::output(&why))
    }
}
