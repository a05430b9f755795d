//! Puts together what was found about every line, in the order of the file.

mod end;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::chunk::Checked;
use super::cover::{Against, Cover, Step, Verdict};
use super::finding::{Finding, Kind};
use super::hook::{Checker, Place, Problem};
use super::ids::{Ids, Parent, Seen};
use super::late::Late;
use super::line::{Flags, Record, too_long};
use super::links::{Blame, Links};
use super::settings::Settings;
use super::split::LongLine;
use super::trail::{Passed, Trail, name};
use crate::log::merkle::{Frontier, NodeHash};
use crate::token::{Hash32, PREV_PREFIX};

/// What a verifier has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Lines, blank ones included.
    pub lines: u64,
    /// Entries: lines that are not blank.
    pub entries: u64,
    /// How many of them are tokens that can be read.
    pub tokens: u64,
    /// What was found.
    pub findings: u64,
    /// Some entry links to the one before it.
    pub linked: bool,
    /// Events that tokens of the file say were not recorded ([`GAP`](crate::token::GAP)). Nothing was changed there, but the file is not
    /// all that happened.
    pub lost: u64,
    /// How many entries have no link, the first one left out.
    pub unlinked: u64,
    /// The leaf hash of the last entry, for the file that continues this one.
    pub last: Option<NodeHash>,
    /// The root of the tree of all entries, where [`Settings::tree`] asked for it.
    pub root: Option<NodeHash>,
}

/// The part that sees every line in its order.
pub(super) struct Order<'t, C> {
    checker: C,
    links: Links,
    cover: Option<Cover<'t>>,
    frontier: Option<Frontier>,
    ids: Ids,
    trail: Trail,
    late: Late,
    /// Who the cover will speak about.
    suspect: Option<(Passed, Option<String>)>,
    summary: Summary,
    /// Something was found that may change how many entries there are, and what they are.
    gaps: bool,
    /// Entries under the checkpoint about which something was found that may be why its root is another.
    changed: u64,
    /// What was found about the last entry is of that kind.
    last_changed: bool,
}

/// Whether what is found may be why the entry is not the one under the checkpoint. What honest entries say of themselves is no
/// reason, or it would hide that another one was exchanged.
const fn is_change(kind: Kind) -> bool {
    !matches!(kind, Kind::BadTimestamp | Kind::FutureTimestamp | Kind::Other(_))
}

/// Where findings go, and how many went there.
pub(super) struct Out<'f> {
    pub(super) found: &'f mut dyn FnMut(Finding),
    pub(super) count: u64,
}

impl Out<'_> {
    pub(super) fn put(&mut self, finding: Finding) {
        self.count += 1;
        (self.found)(finding);
    }
}

fn link_text(hash: NodeHash) -> String {
    format!("{PREV_PREFIX}{}", Hash32(hash))
}

fn hex(hash: NodeHash) -> String {
    Hash32(hash).to_string()
}

impl<'t, C: Checker> Order<'t, C> {
    pub(super) fn new(settings: &Settings<'_>, against: Option<Against<'t>>, checker: C) -> Self {
        Self {
            checker,
            links: Links::new(settings.start),
            cover: against.map(Cover::new),
            frontier: settings.tree.then(Frontier::new),
            ids: Ids::new(),
            trail: Trail::new(),
            late: Late::new(),
            suspect: None,
            summary: Summary {
                lines: 0,
                entries: 0,
                tokens: 0,
                findings: 0,
                linked: false,
                lost: 0,
                unlinked: 0,
                last: None,
                root: None,
            },
            gaps: false,
            changed: 0,
            last_changed: false,
        }
    }

    /// Whether the leaf hash of every line is needed.
    pub(super) const fn wants_leaves(&self) -> bool {
        self.cover.is_some() || self.frontier.is_some()
    }

    /// Take in a run of lines.
    pub(super) fn fold(&mut self, chunk: &[u8], checked: &mut Checked<C::Note>, found: &mut dyn FnMut(Finding)) {
        let mut out = Out { found, count: 0 };
        self.ids.expect(checked.records.iter().map(|record| record.id));
        let mut notes = checked.notes.drain(..).peekable();
        for (i, record) in checked.records.iter_mut().enumerate() {
            let mut passed = Passed {
                line: self.summary.lines + u64::from(record.line) + 1,
                ids: None,
                reported: record.problem.is_some(),
                at: record.at,
                len: record.len,
            };
            self.confirm(record);
            self.own(chunk, record, &passed, &mut out);
            self.place(chunk, record, &mut passed, &mut out);
            if !record.flags.has(Flags::FALSE) || record.flags.has(Flags::ID) {
                self.summary.tokens += 1;
                self.follow(chunk, record, &mut passed, &mut out);
            }
            if record.flags.has(Flags::FALSE) && !record.flags.has(Flags::ID) {
                self.checker.unread();
            }
            while let Some((_, note)) = notes.next_if(|(at, _)| *at as usize == i) {
                let place = Place {
                    line: passed.line,
                    entry: self.summary.entries,
                    reported: passed.reported,
                    shaken: self.gaps || self.links.in_doubt(),
                };
                if let Some(problem) = self.checker.fold(place, note)
                    && !passed.reported
                {
                    self.report(chunk, record, &mut passed, problem, &mut out);
                }
            }
            self.trail.push(passed);
            self.summary.entries += 1;
            self.summary.last = Some(record.leaf);
        }
        self.summary.lines += u64::from(checked.lines);
        self.summary.lost = self.summary.lost.saturating_add(checked.lost);
        self.summary.findings += out.count;
        self.trail.end_of_chunk(chunk);
    }

    /// Take in a line that was too long to be read.
    pub(super) fn fold_long(&mut self, long: &LongLine, max_line: usize, found: &mut dyn FnMut(Finding)) {
        let mut flags = Flags::default();
        flags.add(Flags::FALSE);
        let record = Record {
            at: 0,
            len: 0,
            line: 0,
            flags,
            id: 0,
            parent: 0,
            leaf: long.leaf,
            link: [0; 32],
            problem: Some(Box::new(too_long(long.len, max_line))),
        };
        let mut checked = Checked { records: Vec::from([record]), lines: 1, ..Checked::default() };
        self.fold(&[], &mut checked, found);
    }

    /// An entry to which the next one links is as it was then, whatever is wrong with it.
    fn confirm(&mut self, record: &Record) {
        let linked = record.flags.has(Flags::LINK) && self.summary.last == Some(record.link);
        if core::mem::take(&mut self.last_changed) && linked {
            self.changed -= 1;
        }
    }

    /// Something is said about the entry so many places before the one in hand (0).
    fn change(&mut self, back: u64, kind: Kind) {
        let covered = self.summary.entries.checked_sub(back).zip(self.cover.as_ref());
        if is_change(kind) && covered.is_some_and(|(entry, cover)| cover.covers(entry)) {
            self.changed += 1;
            self.last_changed |= back == 0;
        }
    }

    /// What is wrong with the line by itself.
    fn own(&mut self, chunk: &[u8], record: &mut Record, passed: &Passed, out: &mut Out<'_>) {
        let Some(problem) = record.problem.take() else { return };
        let mut problem = *problem;
        if problem.kind == Kind::BrokenLine && record.flags.has(Flags::TORN) {
            problem.expected = Some(String::from("a whole line, with a line feed"));
        }
        let line = record.bytes(chunk);
        if record.flags.has(Flags::FALSE) {
            self.late.suspect(problem.kind, passed.line, line);
        }
        let token_id = if record.flags.has(Flags::ID) { name(line) } else { None };
        self.change(0, problem.kind);
        out.put(Finding {
            line: passed.line,
            token_id,
            kind: problem.kind,
            expected: problem.expected,
            actual: problem.actual,
        });
    }

    fn report(&mut self, chunk: &[u8], record: &Record, passed: &mut Passed, problem: Problem, out: &mut Out<'_>) {
        passed.reported = true;
        self.links.blame(1);
        self.change(0, problem.kind);
        if let Some(index) = passed.ids.take() {
            self.ids.disbelieve(index);
        }
        out.put(Finding {
            line: passed.line,
            token_id: name(record.bytes(chunk)),
            kind: problem.kind,
            expected: problem.expected,
            actual: problem.actual,
        });
    }

    /// Whether the entry is the one that belongs here.
    fn place(&mut self, chunk: &[u8], record: &Record, passed: &mut Passed, out: &mut Out<'_>) {
        let mut blamed = passed.reported;
        if let Some(frontier) = &mut self.frontier {
            frontier.push(record.leaf);
        }
        if let Some(cover) = &mut self.cover {
            let step = cover.step(record.leaf, passed.reported);
            let verdict = cover.verdict();
            if let Some(verdict) = verdict {
                self.say(verdict, out);
            }
            match step {
                Step::Good => {}
                Step::Suspect => self.suspect = Some((*passed, name(record.bytes(chunk)))),
                Step::Follows => passed.reported = true,
            }
            blamed |= step != Step::Good;
        }
        let flags = record.flags;
        let link = flags.has(Flags::LINK).then_some(record.link);
        self.summary.linked |= link.is_some();
        self.summary.unlinked += u64::from(link.is_none() && self.summary.entries > 0);
        if let Some(blame) = self.links.step(link, record.leaf, flags.has(Flags::SEALED), blamed) {
            self.blame(chunk, blame, Some((record, passed)), out);
        }
    }

    /// What the cover found about an earlier line.
    fn say(&mut self, verdict: Verdict, out: &mut Out<'_>) {
        let Some((passed, token_id)) = self.suspect.take() else { return };
        if passed.reported || self.trail.is_reported(passed.line) {
            return;
        }
        // It is still the same line, wherever it is now.
        if let Some(index) = self.trail.report(passed.line) {
            self.ids.disbelieve(index);
        }
        self.gaps = true;
        let expected = verdict.expected.map(hex).unwrap_or_default();
        let (index, count) = (verdict.index, verdict.count);
        let (expected, actual) = match verdict.kind {
            Kind::Dropped => (format!("entry {index}: {expected}"), format!("{count} entries before it are gone")),
            Kind::Inserted => {
                (format!("entry {index}: {expected}"), format!("{count} entries that are not in the log"))
            }
            Kind::Swapped => (format!("entry {index}: {expected}"), String::from("an entry from another place")),
            _ => (format!("entry {index}: {expected}"), String::from("another entry")),
        };
        out.put(Finding {
            line: passed.line,
            token_id,
            kind: verdict.kind,
            expected: Some(expected),
            actual: Some(actual),
        });
    }

    /// A link does not fit.
    fn blame(&mut self, chunk: &[u8], blame: Blame, this: Option<(&Record, &mut Passed)>, out: &mut Out<'_>) {
        self.gaps = true;
        let (back, kind, expected, actual) = match blame {
            Blame::This { expected, actual } => (
                0,
                Kind::Link,
                expected.map(link_text),
                Some(actual.map_or_else(|| String::from("no link"), link_text)),
            ),
            Blame::Headless { actual } => (0, Kind::Dropped, Some(String::from("no link")), Some(link_text(actual))),
            Blame::Before { back, expected, actual } => (back, Kind::Link, Some(hex(expected)), Some(hex(actual))),
            Blame::Inserted { back, .. } => (back, Kind::Inserted, None, None),
            Blame::Swapped { back } => (back, Kind::Swapped, None, None),
        };
        if back == 0
            && let Some((record, passed)) = this
        {
            self.report(chunk, record, passed, Problem { kind, expected, actual }, out);
            return;
        }
        let Some(passed) = self.trail.back(back) else { return };
        if passed.reported {
            return;
        }
        self.change(back, kind);
        let token_id = self.trail.name(back, chunk);
        if let Some(index) = self.trail.report(passed.line) {
            self.ids.disbelieve(index);
        }
        out.put(Finding { line: passed.line, token_id, kind, expected, actual });
    }

    /// Its id, and what it follows from.
    fn follow(&mut self, chunk: &[u8], record: &Record, passed: &mut Passed, out: &mut Out<'_>) {
        if passed.reported {
            self.ids.add_false(record.id, passed.line);
            return;
        }
        let parent = record.flags.has(Flags::PARENT).then_some(record.parent);
        let (seen, parent) = self.ids.add(record.id, parent, passed.line);
        if let Parent::Waits(place) = parent {
            self.late.wait(place, passed.line, record.bytes(chunk));
        }
        let problem = match seen {
            Seen::New(index) => {
                passed.ids = Some(index);
                return;
            }
            Seen::Before(line) => {
                let (expected, actual) = (String::from("an id of its own"), format!("the id of line {line}"));
                Problem { kind: Kind::DuplicateId, expected: Some(expected), actual: Some(actual) }
            }
            Seen::Itself(index) => {
                passed.ids = Some(index);
                let actual = name(record.bytes(chunk));
                Problem { kind: Kind::ParentCycle, expected: Some(String::from("another token")), actual }
            }
            Seen::Full => {
                let expected = format!("at most {} tokens", super::ids::MAX_TOKENS);
                Problem { kind: Kind::Other("too_many"), expected: Some(expected), actual: None }
            }
        };
        self.report(chunk, record, passed, problem, out);
    }
}
