//! The app that looks after a listening node.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::{App, DriverStats};
use sluis_core::framing::Text;
use sluis_core::node::{Event, Node, RoodBecause, Stats};
use sluis_core::record::Recorded;
use sluis_core::{Instant, Machine as _, Now, Reject, RejectCounts, Wall};
use sluis_udp::Refusals;

use super::NAME;
use super::orders::Unkept;
use super::overlay::Member;
use super::settings::Settings;
use super::shown::Shown;
use crate::args::ListenArgs;
use crate::capture::Capture;
use crate::fail::Fail;
use crate::input::Inbox;
use crate::metrics::Commits;
use crate::notify::Notify;
use crate::output::escape::in_quotes;
use crate::output::{Color, Out, Patience, Style, tell};
use crate::record::Record;
use crate::run::{Bound, wall};
use crate::values;
use crate::view::{self, Totals};
use crate::{discover, trace};

/// How long rejects gather before they are told.
const SECOND: Duration = Duration::from_secs(1);
/// Commands that are obeyed before the network gets its turn.
const COMMANDS: usize = 64;
/// How often it is said at most whom silence met.
const EXPLAIN: Duration = Duration::from_secs(10);
/// After a signal, how long the disk and the reader of the output may take; a signal ends it within a second.
const DISK: Duration = Duration::from_millis(250);
const READER: Duration = Duration::from_millis(300);

pub(super) struct Listen {
    pub(super) out: Out,
    notify: Notify,
    inbox: Inbox,
    /// What it was started with, for when the configuration is read again.
    pub(super) args: ListenArgs,
    pub(super) settings: Settings,
    /// Pings past the gate so far.
    passed: u64,
    /// Where the socket is; none until it is open.
    addr: Option<SocketAddr>,
    started: Option<Instant>,
    pub(super) now: Instant,
    pub(super) wall: Wall,
    pub(super) quit: bool,
    /// Orders that are answered once what they changed is on the disk.
    pub(super) unkept: VecDeque<Unkept>,
    rejects: Rejects,
    /// When the counters are to be told again.
    counters: Option<Instant>,
    capture: Option<Capture>,
    pub(super) record: Option<Record>,
    pub(super) member: Member,
    /// What a monitoring system is shown.
    pub(super) shown: Option<Shown>,
    /// It was said that standard output has no room.
    said_full: bool,
    /// The same of the log.
    said_log: bool,
    /// When it may be said again whom silence met.
    explained: Option<Instant>,
}

/// Rejects that were counted but not told yet.
#[derive(Default)]
struct Rejects {
    told: RejectCounts,
    due: Option<Instant>,
}

impl Rejects {
    /// What is to be told now: how often each reason was counted since the last time.
    fn take(&mut self, counts: &RejectCounts, at_once: bool, now: Instant) -> Vec<(Reject, u64)> {
        if *counts == self.told {
            return Vec::new();
        }
        let due = *self.due.get_or_insert(now + SECOND);
        if !at_once && now < due {
            return Vec::new();
        }
        self.due = None;
        let told = std::mem::replace(&mut self.told, *counts);
        counts.iter().map(|(why, n)| (why, n - told.get(why))).filter(|(_, n)| *n > 0).collect()
    }
}

impl Bound for Listen {
    fn bound(&mut self, addr: SocketAddr, _: Refusals) {
        self.addr = Some(addr);
        self.notify.ready();
        self.out.at(wall());
        if let Some(capture) = &mut self.capture {
            capture.keep();
        }
        let (fingerprint, relays) = (self.settings.fingerprint(), self.settings.relays());
        let metrics = self.shown.as_ref().map(Shown::addr);
        let Self { out, settings: Settings { did, .. }, .. } = self;
        out.say(1, || format!("{NAME}: {did} on {addr}"));
        out.event(
            "listening",
            |o| {
                let o = o.str("did", did.as_str()).addr("addr", addr).maybe("fingerprint", fingerprint.as_deref());
                let o = relays.iter().fold(o, |o, relays| o.str("relays", relays));
                match metrics {
                    Some(metrics) => o.addr("metrics", metrics),
                    None => o,
                }
            },
            |flow| {
                flow.word(Color::Bold, "listening").words(&format!("on {addr} as {did}"));
                if let Some(fingerprint) = &fingerprint {
                    flow.text(Color::Plain, fingerprint);
                }
                if let Some(metrics) = metrics {
                    flow.words(&format!("metrics on http://{metrics}/metrics"));
                }
                if relays == Some("legacy") {
                    flow.words("relaying legacy packets only");
                }
            },
        );
        out.flush();
    }

    fn commits(&self) -> Option<Commits> {
        self.shown.as_ref().map(Shown::commits)
    }
}

impl App<Recorded<Node>> for Listen {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, node: &mut Recorded<Node>) -> Poll<()> {
        self.inbox.register(cx);
        self.out.poll(cx, now.wall);
        (self.now, self.wall) = (now.mono, now.wall);
        if let (None, Some(addr)) = (self.started, self.addr) {
            node.note_address(addr);
            if self.settings.fingerprint().is_some() {
                // There are places for a few of them.
                let _ = sluis_udp::reachable_at(addr).into_iter().try_for_each(|at| node.add_address(at));
            }
        }
        self.notify.alive(now.mono);
        let started = *self.started.get_or_insert(now.mono);
        // A flood of commands leaves room for pings: each of them has rung, so what is left brings us back here.
        for _ in 0..COMMANDS {
            match self.inbox.next().filter(|_| !self.quit) {
                Some(heard) => self.hear(now, node, heard),
                None => break,
            }
        }
        if self.inbox.is_to_reload() {
            self.reload(now, node);
        }
        while let Some(event) = node.poll_event() {
            if let Some(record) = &mut self.record {
                record.event(now, &event);
            }
            if let Some(shown) = &mut self.shown {
                shown.event(&event);
            }
            self.tell(&event);
        }
        self.go_on_joining(now, node);
        if let Some(record) = &mut self.record {
            record.poll(cx);
        }
        let stats = node.stats();
        self.tell_rejects(node, &stats.rejected, false);
        self.tell_counters(&stats);
        self.show(cx, node, &stats);
        self.out.flush();
        self.tell_full();
        if let Some(why) = self.capture.as_mut().and_then(Capture::fails) {
            tell(&format!("{NAME}: {why}; listening goes on."));
        }
        let enough = self.args.count.is_some_and(|count| self.passed >= count)
            || self.args.duration.is_some_and(|duration| now.mono >= started + duration);
        // Who has asked for something first hears of it.
        if self.quit && self.unkept.is_empty() || enough || self.inbox.is_stopped() || self.out.is_broken() {
            node.close_sessions();
            self.notify.ending();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        let end = self.started.zip(self.args.duration).map(|(started, duration)| started + duration);
        [end, self.rejects.due, self.counters, self.member.due, self.notify.deadline()].into_iter().flatten().min()
    }
}

impl Listen {
    pub(super) fn new(out: Out, inbox: Inbox, args: ListenArgs, settings: Settings) -> Self {
        Self {
            out,
            inbox,
            args,
            settings,
            passed: 0,
            addr: None,
            started: None,
            notify: Notify::from_env(),
            now: Instant::ZERO,
            wall: Wall::default(),
            quit: false,
            unkept: VecDeque::new(),
            rejects: Rejects::default(),
            counters: None,
            capture: None,
            record: None,
            member: Member::default(),
            shown: None,
            said_full: false,
            said_log: false,
            explained: None,
        }
    }

    /// Capture and record what happens, where there is something for it.
    pub(super) fn keeping(mut self, capture: Option<Capture>, record: Option<Record>) -> Self {
        (self.capture, self.record) = (capture, record);
        self
    }

    /// Join a hub, or register, where that is asked for.
    pub(super) fn joining(mut self, member: Member) -> Self {
        self.member = member;
        self
    }

    /// The trust from which on a sender is GROEN, and that below which it is ROOD.
    pub(super) const fn zones(&self) -> (f64, f64) {
        self.settings.zones()
    }

    /// Whether it also takes commands through a socket.
    pub(super) const fn has_control(&self) -> bool {
        #[cfg(unix)]
        return self.args.control.is_some();
        #[cfg(not(unix))]
        false
    }

    /// Whether everything was captured and recorded that should have been.
    pub(super) fn is_complete(&self) -> bool {
        self.capture.as_ref().is_none_or(|capture| capture.failed().is_none())
            && self.record.as_ref().is_none_or(|record| record.counts().lost == 0)
    }

    /// Say once that standard output has no room, and again only after it had some.
    fn tell_full(&mut self) {
        let full = self.out.full();
        if let Some(why) = full.as_ref().filter(|_| !self.said_full) {
            tell(&format!("{NAME}: cannot write to standard output ({why}), make room; listening goes on."));
        }
        self.said_full = full.is_some();
        let trouble = self.out.log_trouble();
        if let Some(why) = trouble.as_ref().filter(|_| !self.said_log) {
            tell(&format!("{NAME}: cannot write to the file of --log ({why}), make room; listening goes on."));
        }
        self.said_log = trouble.is_some();
    }

    /// Tell an event.
    fn tell(&mut self, event: &Event<'_>) {
        match event {
            Event::Ping(ping) => {
                self.passed += 1;
                let heard = ping.into();
                self.out.event("ping", |o| view::ping_json(o, &heard), |flow| view::ping_text(flow, &heard));
            }
            Event::Decided(decided) => {
                let verdict = decided.into();
                self.out.event(
                    "decided",
                    |o| view::decided_json(o, &verdict),
                    |flow| view::decided_text(flow, &verdict),
                );
            }
            Event::PeerSeen { did, path } => {
                self.aside(&format!("at {}", path.remote), "peer ", Text::new(did));
            }
            Event::Session(change) => {
                view::tell_session(&mut self.out, &change.into());
            }
            Event::Trace(news) => trace::view::tell(&mut self.out, news),
            Event::Reservation(news) => trace::view::tell_reservation(&mut self.out, news),
            Event::Lan(news) => discover::view::tell(&mut self.out, news),
            Event::Retired { key, successor } => self.tell_retired(*key, *successor),
            Event::Pinned { did, key, keeping } => self.tell_pinned(did, *key, *keeping),
            Event::Kept { upto, result } => {
                self.tell_kept(*upto, *result);
                self.answer_kept(*upto, *result);
            }
            Event::PeerLost { did } => self.aside("is silent and forgotten", "peer ", Text::new(did)),
            event => self.tell_overlay(event),
        }
    }

    /// Something that only people are told, about a name: where they look, or with `-v` on standard error.
    pub(super) fn aside(&mut self, what: &str, before: &str, name: Text<'_>) {
        match self.out.style {
            Style::Text if !self.out.quiet => self.out.flow("", |flow| {
                flow.quoted(before, name).words(what);
            }),
            _ => self.out.say(1, || format!("{NAME}: {before}{} {what}", in_quotes(name))),
        }
    }

    fn tell_rejects(&mut self, node: &Node, counts: &RejectCounts, at_once: bool) {
        let news = self.rejects.take(counts, at_once, self.now);
        let silent = [Reject::Rood, Reject::BadSignature, Reject::Unpinned, Reject::Revoked];
        let rood = news.iter().any(|(why, _)| silent.contains(why));
        for (why, n) in news {
            self.out.event(
                "rejected",
                |o| o.str("reason", why.name()).raw("count", n),
                |flow| {
                    flow.word(Color::Red, "turned away:").words(&format!("{n} {why}"));
                },
            );
        }
        if rood && !self.out.quiet {
            self.explain_silence(node);
        }
    }

    /// Say now and then whom silence met, and what would let them in.
    fn explain_silence(&mut self, node: &Node) {
        if self.explained.is_some_and(|at| self.now < at) {
            return;
        }
        let Some(last) = node.last_rood() else { return };
        self.explained = Some(self.now + EXPLAIN);
        let (did, from) = (Text::new(last.did), last.from.remote);
        let name = did.to_cow();
        let why = match (values::did(&name), last.because) {
            (Err(_), _) => "has a name that no command takes; it hears nothing".to_owned(),
            (_, RoodBecause::Rule(rule)) => {
                format!("is ROOD by the rule {}, whatever it is trusted; it hears nothing", in_quotes(Text::new(rule)))
            }
            (_, RoodBecause::Otherwise) => {
                "matches no rule, and what matches none is ROOD (otherwise in [thresholds]), whatever it is trusted; it hears nothing".to_owned()
            }
            (_, RoodBecause::Key(why)) => match why {
                Reject::Revoked => "signs with a key that has been revoked or rotated; it hears nothing".to_owned(),
                Reject::Unpinned => "signs with another key than the one that is pinned to it; it hears nothing".to_owned(),
                _ => "bears no valid signature, which is demanded of it; it hears nothing".to_owned(),
            },
            (Ok(_), _) => format!("is not trusted and hears nothing; to change that: trust {name}=0.9"),
        };
        let before = "silence met ";
        match self.out.style {
            Style::Text => self.out.flow("", |flow| {
                flow.quoted(before, did).words(&format!("at {from}: it {why}"));
            }),
            Style::Json => tell(&format!("{NAME}: {before}{} at {from}: it {why}.", in_quotes(did))),
        }
    }

    /// With `-vv`: the counters once a second.
    fn tell_counters(&mut self, stats: &Stats) {
        if !self.out.says(2) || self.counters.is_some_and(|at| self.now < at) {
            return;
        }
        self.counters = Some(self.now + SECOND);
        tell(&format!("{NAME}: {}", view::counters(stats)));
    }

    fn tell_summary(&mut self, node: &Node) {
        let (stats, totals) = (&node.stats(), self.totals(node));
        self.out.summary(
            "summary",
            |o| view::totals_json(o, stats, &totals),
            |flow| {
                flow.words(&view::totals_text(stats, &totals));
            },
        );
    }

    pub(super) fn totals(&self, node: &Node) -> Totals {
        Totals {
            elapsed: self.started.map_or(Duration::ZERO, |started| self.now.saturating_since(started)),
            recorded: self.record.as_ref().map(Record::counts),
            lost_output: Some(self.out.lost()),
            relay: node.relay_stats(),
        }
    }

    /// The last words: rejects not told yet, and the summary.
    pub(super) fn finish(&mut self, node: &Node, driver: Option<&DriverStats>) -> Result<(), Fail> {
        if self.addr.is_none() {
            return Ok(());
        }
        let stats = &node.stats();
        self.tell_rejects(node, &stats.rejected, true);
        self.out.flush();
        let (disk, reader) = match (self.inbox.is_stopped(), self.quit) {
            (true, _) => (Some(DISK), Patience::AtMost(READER)),
            (false, true) => (None, Patience::WhileItMoves(SECOND)),
            (false, false) => (None, Patience::Forever),
        };
        let recorded = self.record.as_mut().map_or(Ok(()), |record| record.finish(disk));
        self.tell_summary(node);
        if let Some(driver) = driver {
            self.out.say(1, || format!("{NAME}: {}", view::driver(driver)));
        }
        let logged = self.out.finish_log(reader);
        self.out.finish_within(reader).map_err(|why| Fail::output(&why))?;
        logged.map_err(|why| Fail::runtime(format!("cannot write to the file of --log ({why})")))?;
        recorded
    }
}
