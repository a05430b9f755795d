//! What all answers together tell of each hop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use sluis_core::framing::Text;
use sluis_core::node::{PathHop, TraceNews};
use sluis_core::relay::trace::Verdict;

use super::view::verdict_name;
use crate::output::{Color, Flow, Out, escape};
use crate::view::millis;

/// Columns of the table beside the names: number, figures, verdict, zone, and what is between them.
const BESIDE: usize = 56;
/// A name takes so many columns.
const LEAST_NAME: usize = 16;
const MOST_NAME: usize = 48;

/// One hop of the way, or a gap in it.
pub(super) struct Row {
    /// How many hops there are before it.
    n: u8,
    /// How many hops a gap stands for.
    count: u8,
    did: Option<String>,
    addr: Option<SocketAddr>,
    /// In how many answers it was.
    seen: u64,
    rtt: Rtt,
    /// The worst that was thought of it; none as long as it said nothing.
    verdict: Option<Verdict>,
    zone: Option<String>,
    target: bool,
}

/// Round trips in milliseconds.
#[derive(Clone, Copy, Default)]
struct Rtt {
    last: f64,
    least: f64,
    sum: f64,
    most: f64,
    count: u32,
}

impl Rtt {
    fn add(&mut self, rtt: Duration) {
        let ms = millis(rtt);
        self.least = if self.count == 0 { ms } else { self.least.min(ms) };
        self.most = self.most.max(ms);
        (self.last, self.sum, self.count) = (ms, self.sum + ms, self.count + 1);
    }

    fn average(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// All hops, in their order.
pub(super) struct Rows {
    rows: Vec<Row>,
    /// The name of who asks, whose record is in front.
    own: String,
}

impl Rows {
    /// The way to this target; nothing is known of it but its end.
    pub(super) fn new(own: &str, target: &str) -> Self {
        let end = Row { n: u8::MAX, did: Some(target.to_owned()), target: true, ..Row::new(0, 1) };
        Self { rows: vec![end], own: own.to_owned() }
    }

    /// An answer came, with this trace, over the relay at this address.
    pub(super) fn add(&mut self, news: &TraceNews, first: SocketAddr, zone: Option<&str>) {
        let turn = news.hops.iter().position(|hop| hop.turn);
        let (there, back) = news.hops.split_at(turn.unwrap_or(news.hops.len()));
        let rtt = news.rtt.unwrap_or_default();
        for hop in there.iter().filter(|hop| hop.n > 0 || hop.did.is_none()) {
            // Of folded hops the records are gone, but an answer goes back the way that the ping came, over the same names.
            let folded = hop.did.is_none() && hop.verdict == Verdict::Folded;
            for more in 0..if folded { hop.count } else { 1 } {
                let n = hop.n.saturating_add(more);
                let again = back.first().and_then(|turn| {
                    let n = (2 * u16::from(turn.n)).checked_sub(u16::from(n))?;
                    back.iter().find(|other| u16::from(other.n) == n && !other.turn)
                });
                let did = hop.did.as_deref().or(again.filter(|_| folded).and_then(|again| again.did.as_deref()));
                // Without a record of who answered nothing is known of the number.
                let (n, count) = if turn.is_none() { (1, 1) } else { (n, if folded { 1 } else { hop.count }) };
                let row = self.row(n, count, did);
                row.saw(hop.verdict);
                if n == 1 && count == 1 {
                    row.addr = Some(first);
                }
                if let Some(rtt) = away(hop, back).and_then(|away| rtt.checked_sub(away)) {
                    row.rtt.add(rtt);
                }
            }
        }
        if let Some(end) = self.rows.iter_mut().find(|row| row.target) {
            end.saw(back.first().map_or(Verdict::Unsigned, |hop| hop.verdict));
            end.rtt.add(rtt);
            end.zone = zone.map(str::to_owned);
            if let Some(turn) = back.first() {
                end.n = turn.n;
                end.addr = (turn.n == 1).then_some(first);
            }
        }
        self.rows.sort_by_key(|row| (row.target, row.n));
    }

    fn row(&mut self, n: u8, count: u8, did: Option<&str>) -> &mut Row {
        let known = self.rows.iter().position(|row| !row.target && row.n == n && row.did.as_deref() == did);
        let at = known.unwrap_or_else(|| {
            self.rows.push(Row { did: did.map(str::to_owned), ..Row::new(n, count) });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// One object for each hop.
    pub(super) fn tell(&self, out: &mut Out, sent: u64) {
        for row in &self.rows {
            out.json("hop", |o| {
                let n = if row.n == u8::MAX { "null".to_owned() } else { row.n.to_string() };
                let addr = row.addr.map(|addr| addr.to_string());
                o.raw("n", n)
                    .maybe("did", row.did.as_deref())
                    .maybe("addr", addr.as_deref())
                    .rounded("rtt_ms", row.rtt.average(), 3)
                    .rounded("loss", Some(row.loss(sent)), 4)
                    .maybe("zone", row.zone.as_deref())
                    .str("verdict", verdict_name(row.verdict))
            });
        }
    }

    /// The table, as wide as the terminal.
    pub(super) fn show(&self, out: &mut Out, sent: u64) {
        let name = out.columns().saturating_sub(BESIDE).clamp(LEAST_NAME, MOST_NAME);
        out.flow("", |flow| {
            flow.word(Color::Bold, "  n").text(Color::Bold, &format!("{:<name$}", "hop"));
            let figures = format!("{:>5} {:>8} {:>8} {:>8}", "loss", "last", "average", "worst");
            flow.text(Color::Bold, &figures).text(Color::Bold, "verdict");
        });
        for row in &self.rows {
            out.flow("", |flow| row.put(flow, sent, name));
        }
    }

    /// The graph.
    pub(super) fn graph(&self, out: &mut Out) {
        let quoted = |name: &str| format!("{name:?}");
        out.line(|line, _| line.extend_from_slice(b"digraph path {\n  rankdir=LR;"));
        let mut before = quoted(&self.own);
        for row in &self.rows {
            let name = row.did.clone().unwrap_or_else(|| format!("{} at {}", row.nameless(), row.n));
            let (name, style) = (quoted(&name), if row.verdict == Some(Verdict::Changed) { "color=red," } else { "" });
            let rtt = row.rtt.average().map_or_else(|| "?".to_owned(), |ms| format!("{ms:.1} ms"));
            let verdict = verdict_name(row.verdict);
            out.line(|line, _| {
                let _ =
                    write!(line, "  {name} [{style}tooltip=\"{verdict}\"];\n  {before} -> {name} [label=\"{rtt}\"];");
            });
            before = name;
        }
        out.line(|line, _| line.extend_from_slice(b"}"));
    }

    /// Whether nobody was found to have changed anything.
    pub(super) fn is_clean(&self) -> bool {
        self.rows.iter().all(|row| row.verdict != Some(Verdict::Changed))
    }
}

impl Row {
    fn new(n: u8, count: u8) -> Self {
        Self { n, count, did: None, addr: None, seen: 0, rtt: Rtt::default(), verdict: None, zone: None, target: false }
    }

    fn saw(&mut self, verdict: Verdict) {
        self.seen += 1;
        let worse = |verdict| match verdict {
            Verdict::Ok => 1,
            Verdict::Folded => 2,
            Verdict::Changed => 4,
            _ => 3,
        };
        if self.verdict.is_none_or(|was| worse(verdict) > worse(was)) {
            self.verdict = Some(verdict);
        }
    }

    /// What stands in the place of a name that is not known.
    fn nameless(&self) -> String {
        let how = if self.verdict == Some(Verdict::Folded) { "folded" } else { "unsigned" };
        format!("{} {how}", self.count)
    }

    /// The share of pings whose answer did not show it.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits than a float has")]
    fn loss(&self, sent: u64) -> f64 {
        if sent == 0 { 0.0 } else { 1.0 - self.seen.min(sent) as f64 / sent as f64 }
    }

    fn put(&self, flow: &mut Flow<'_>, sent: u64, name: usize) {
        let n = if self.n == u8::MAX { "?".to_owned() } else { self.n.to_string() };
        flow.word(Color::Plain, &format!("{n:>3}"));
        let mut hop = Vec::new();
        match &self.did {
            Some(did) => escape::put_quoted(&mut hop, Text::new(did), name),
            None => hop.extend_from_slice(format!("({})", self.nameless()).as_bytes()),
        }
        let color = if self.did.is_some() { Color::Plain } else { Color::Yellow };
        flow.piece(color, |line| {
            line.extend_from_slice(&hop);
            line.resize(line.len() + name.saturating_sub(escape::columns_of(&hop)), b' ');
        });
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let some = |value: f64| (self.rtt.count > 0).then_some(value);
        let figures = [ms(some(self.rtt.last)), ms(self.rtt.average()), ms(some(self.rtt.most))];
        let loss = format!("{:.0}%", 100.0 * self.loss(sent));
        flow.text(Color::Plain, &format!("{loss:>5} {:>8} {:>8} {:>8}", figures[0], figures[1], figures[2]));
        let color = match self.verdict {
            Some(Verdict::Ok | Verdict::Folded) => Color::Green,
            Some(Verdict::Changed) | None => Color::Red,
            Some(_) => Color::Yellow,
        };
        flow.text(color, &format!("{:<8}", verdict_name(self.verdict)));
        if let Some(zone) = &self.zone {
            flow.text(Color::Plain, zone);
        }
    }
}

/// How long a ping was away from this hop, by its own clock: from its record of the way there to that of the way back.
fn away(hop: &PathHop, back: &[PathHop]) -> Option<Duration> {
    let did = hop.did.as_deref()?;
    let again = back.iter().find(|other| !other.turn && other.did.as_deref() == Some(did))?;
    let micros = again.when?.as_micros().checked_sub(hop.when?.as_micros())?;
    u64::try_from(micros).ok().map(Duration::from_micros)
}
