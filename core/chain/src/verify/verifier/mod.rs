//! Puts together what was found about every line, in the order of the file.

mod end;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::chunk::Checked;
use super::cover::{Against, Cover, Step, Verdict, Who};
use super::deferred::DeferredChecks;
use super::finding::{Finding, Kind, Weight};
use super::hook::{Checker, Place, Problem};
use super::ids::{Ids, Parent, Seen};
use super::line::{Flags, Record, too_long};
use super::links::{Blame, Few, Links};
use super::mend::{Entry, Mend};
use super::settings::{Settings, Start};
use super::split::LongLine;
use super::trail::{Passed, Trail, name};
use crate::log::merkle::{Frontier, NodeHash, leaf_hash};
use crate::token::{Hash32, PREV_PREFIX, Token};

/// What a verifier has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Lines, blank ones included.
    pub lines: u64,
    /// Entries: lines that are not blank.
    pub entries: u64,
    /// How many of them are tokens that can be read.
    pub tokens: u64,
    /// How many of these have no signature, or one of a kind that is none of ours: nothing says who wrote them.
    pub unsigned: u64,
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
pub(super) struct Sequencer<'t, C> {
    checker: C,
    links: Links,
    cover: Option<Cover<'t>>,
    /// Where there is a checkpoint without leaf hashes.
    mend: Option<Mend>,
    frontier: Option<Frontier>,
    ids: Ids,
    trail: Trail,
    deferred: DeferredChecks,
    /// Who the cover will speak about.
    suspect: Option<Suspect>,
    /// Entries that were found to stand where they do not belong, the last of them.
    misplaced: Few,
    summary: Summary,
    gaps: Gaps,
    returns: Returns,
    /// The leaf hash of the entry before without the carriage return at its end, and its line.
    returns_before: Option<(NodeHash, u64)>,
    header: Header,
    /// The file is the beginning of its log.
    fresh: bool,
}

/// An entry about which the cover will speak.
#[derive(Clone)]
struct Suspect {
    passed: Passed,
    token_id: Option<String>,
    leaf: NodeHash,
}

/// Places where entries are not what they were.
#[derive(Clone, Copy, Default)]
struct Gaps {
    count: u64,
    /// How many entries are gone, as far as that is known; one where it is not.
    lost: u64,
    /// The line behind which the first of them is gone.
    first_lost: Option<u64>,
}

/// Carriage returns that were put before line feeds.
#[derive(Clone, Copy, Default)]
struct Returns {
    first: Option<u64>,
    /// The last line with one.
    last: u64,
    lines: u64,
}

/// What was seen of the entry that begins the log.
#[derive(Default)]
struct Header {
    seen: bool,
    /// The first line, and the id of the token in it.
    first: u64,
    first_id: Option<String>,
    first_leaf: NodeHash,
}

/// What an entry is of the beginning of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Nothing,
    /// It begins this one.
    This,
    /// It begins a log, and this one has begun.
    Another,
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

/// The entries of a line of which it is known that line feeds in it are gone.
fn pieces(line: &[u8]) -> impl Iterator<Item = Entry> {
    const BEGIN: &[u8] = b"{\"token_id\"";
    let mut rest = Some(line);
    core::iter::from_fn(move || {
        let line = rest?;
        let next = line.windows(BEGIN.len()).skip(1).position(|part| part == BEGIN).map(|at| at + 1);
        let (piece, behind) = next.and_then(|at| line.split_at_checked(at)).unwrap_or((line, &[]));
        rest = Some(behind).filter(|behind| !behind.is_empty());
        let token = Token::parse_bytes(piece).ok();
        let link = token.and_then(|token| token.prev()).map(|link| link.0);
        let begins = token.is_some_and(|token| token.log_header().is_some());
        Some(Entry { leaf: leaf_hash(piece), link, begins, bare: None })
    })
}

/// How many tokens a line that cannot be read may have been: more than one where line feeds are gone.
fn tokens_in(line: &[u8]) -> u32 {
    const KEY: &[u8] = b"\"token_id\"";
    let count = line.windows(KEY.len()).filter(|part| *part == KEY).count();
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

impl<'t, C: Checker> Sequencer<'t, C> {
    pub(super) fn new(settings: &Settings<'_>, against: Option<Against<'t>>, checker: C) -> Self {
        let cover = against.map(Cover::new);
        Self {
            checker,
            links: Links::new(settings.start),
            mend: cover.as_ref().filter(|cover| !cover.has_tree()).map(|cover| Mend::new(cover.size())),
            cover,
            frontier: settings.tree.then(Frontier::new),
            ids: Ids::new(),
            trail: Trail::new(),
            deferred: DeferredChecks::new(),
            suspect: None,
            misplaced: Few::NONE,
            summary: Summary {
                lines: 0,
                entries: 0,
                tokens: 0,
                unsigned: 0,
                findings: 0,
                linked: false,
                lost: 0,
                unlinked: 0,
                last: None,
                root: None,
            },
            gaps: Gaps::default(),
            returns: Returns::default(),
            returns_before: None,
            header: Header::default(),
            fresh: settings.start == Start::Fresh,
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
            let weight = record.problem.as_ref().map(|problem| problem.kind.weight()).unwrap_or_default();
            let line = self.summary.lines + u64::from(record.line) + 1;
            let mut passed = Passed { line, ids: None, weight, at: record.at, len: record.len };
            let is_token = !record.flags.has(Flags::FALSE) || record.flags.has(Flags::ID);
            let tokens = if is_token { 1 } else { tokens_in(record.bytes(chunk)) };
            self.own(chunk, record, tokens, &passed);
            let begins = self.header(chunk, record, &mut passed);
            let belongs = self.place(chunk, record, tokens, begins, &mut passed);
            if is_token {
                self.summary.tokens += 1;
                self.summary.unsigned += u64::from(!record.flags.has(Flags::SEALED));
                self.follow(chunk, record, &mut passed);
            } else {
                self.checker.unread(tokens);
            }
            while let Some((_, note)) = notes.next_if(|(at, _)| *at as usize == i) {
                let place = Place {
                    line,
                    entry: self.summary.entries,
                    reported: passed.is_false(),
                    gaps: self.gaps.count,
                    lost: self.gaps.lost,
                };
                // One that belongs elsewhere neither follows what is here nor is followed.
                // That it says the same again as one before follows, where that was a copy of it that stands elsewhere.
                let copied = self.links.is_displaced(&record.leaf) || self.misplaced.has(&record.leaf);
                if belongs
                    && let Some(problem) = self.checker.fold(place, note)
                    && !(copied && problem.kind.is_repetition())
                {
                    self.report(chunk, record, &mut passed, problem);
                }
            }
            self.trail.push(passed, |finding| out.put(finding));
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
        let problem = Some(Box::new(too_long(long.len, max_line)));
        let record = Record { flags, leaf: long.leaf, problem, ..Record::EMPTY };
        let mut checked = Checked { records: Vec::from([record]), lines: 1, ..Checked::default() };
        self.fold(&[], &mut checked, found);
    }

    /// What is wrong with the line by itself.
    fn own(&mut self, chunk: &[u8], record: &mut Record, tokens: u32, passed: &Passed) {
        let Some(problem) = record.problem.take() else { return };
        let mut problem = *problem;
        if problem.kind == Kind::BrokenLine && record.flags.has(Flags::TORN) {
            problem.expected = Some(String::from("a whole line, with a line feed"));
        }
        let line = record.bytes(chunk);
        if record.flags.has(Flags::FALSE) {
            self.deferred.suspect(problem.kind, passed.line, tokens, line);
        }
        let token_id = if record.flags.has(Flags::ID) { name(line) } else { None };
        let Problem { kind, expected, actual, order } = problem;
        self.trail.put(Finding { line: passed.line, token_id, kind, expected, actual }, order);
    }

    /// Something is wrong with the entry in hand.
    fn report(&mut self, chunk: &[u8], record: &Record, passed: &mut Passed, problem: Problem) {
        let Problem { kind, expected, actual, order } = problem;
        if !kind.is_of_others() {
            passed.weight = passed.weight.max(kind.weight());
        }
        if passed.is_false() {
            self.links.blame(1);
            if let Some(index) = passed.ids.take() {
                self.ids.disbelieve(index);
            }
        }
        let token_id = name(record.bytes(chunk));
        self.trail.put(Finding { line: passed.line, token_id, kind, expected, actual }, order);
    }

    /// Entries from this line on, or before it, are not what they were; `lost` of them are gone.
    fn gap(&mut self, line: u64, lost: u64) {
        self.gaps.count += 1;
        self.gaps.lost += lost;
        if lost > 0 {
            let first = self.gaps.first_lost.unwrap_or(u64::MAX);
            self.gaps.first_lost = Some(first.min(line.saturating_sub(1)));
        }
        self.trail.forget_order(line);
    }

    /// The entry that begins a log is the first of its file. What this is of that.
    fn header(&mut self, chunk: &[u8], record: &Record, passed: &mut Passed) -> Begins {
        let entries = self.summary.entries;
        if entries == 0 {
            (self.header.first, self.header.first_id) = (passed.line, name(record.bytes(chunk)));
            self.header.first_leaf = record.leaf;
        }
        if !record.flags.has(Flags::HEADER) || record.flags.has(Flags::FALSE) {
            return Begins::Nothing;
        }
        if core::mem::replace(&mut self.header.seen, true) {
            let expected = Some(String::from("an entry of this log"));
            let actual = Some(String::from("one that begins a log"));
            self.gap(passed.line, 0);
            self.report(chunk, record, passed, Problem { kind: Kind::Inserted, expected, actual, order: false });
            return Begins::Another;
        }
        if entries > 1 && self.trail.is_dropped(self.header.first) {
            // It is the one that is gone there.
        } else if entries > 0 {
            self.trail.not_dropped(self.header.first);
            self.gap(self.header.first, 0);
            let finding = Finding {
                line: self.header.first,
                token_id: self.header.first_id.take(),
                kind: Kind::Inserted,
                expected: Some(format!("the entry that begins the log, which is in line {}", passed.line)),
                actual: Some(format!("{entries} entries before it")),
            };
            self.misplaced.push(self.header.first_leaf);
            if let Some(index) = self.trail.accuse(finding.line) {
                self.ids.disbelieve(index);
            }
            self.trail.put(finding, false);
        }
        Begins::This
    }

    /// Whether the entry is the one that belongs here. Of one that is no place of its own here, it is false.
    fn place(&mut self, chunk: &[u8], record: &mut Record, tokens: u32, begins: Begins, passed: &mut Passed) -> bool {
        let flags = record.flags;
        let link = flags.has(Flags::LINK).then_some(record.link);
        if let Some(frontier) = &mut self.frontier {
            frontier.push(record.leaf);
        }
        let bare = flags.has(Flags::RETURN).then(|| {
            let line = record.bytes(chunk);
            leaf_hash(line.strip_suffix(b"\r").unwrap_or(line))
        });
        if let Some(mend) = &mut self.mend {
            if tokens > 1 {
                pieces(record.bytes(chunk)).for_each(|entry| mend.step(entry, self.fresh));
            } else {
                let begins = flags.has(Flags::HEADER);
                mend.step(Entry { leaf: record.leaf, link, begins, bare }, self.fresh);
            }
        }
        let mut belongs = begins != Begins::Another;
        // The first of a log needs no link, wherever it stands.
        let mut blamed = passed.is_false() || (begins == Begins::This && self.summary.entries > 0);
        if let Some(cover) = &mut self.cover {
            let leaf = cover.pick(record.leaf, bare);
            let step = cover.step(leaf, tokens.into());
            if leaf != record.leaf {
                self.returns.see(passed.line);
            }
            self.verdicts(Some((chunk, record, passed)));
            match step {
                Step::Good => {}
                Step::Suspect => {
                    let token_id = name(record.bytes(chunk));
                    self.suspect = Some(Suspect { passed: *passed, token_id, leaf: record.leaf });
                }
                Step::Follows => passed.weight = Weight::Bytes,
                Step::Moved => (passed.weight, belongs) = (Weight::Bytes, false),
            }
            blamed |= step != Step::Good;
        }
        self.summary.linked |= link.is_some();
        self.summary.unlinked += u64::from(link.is_none() && self.summary.entries > 0);
        if let (Some(link), Some((bare, line))) = (link, self.returns_before)
            && link == bare
        {
            self.links.rename_last(bare);
            self.returns.see(line);
        }
        self.returns_before = bare.map(|bare| (bare, passed.line));
        let blame = self.links.step(link, record.leaf, flags.has(Flags::SEALED), blamed);
        belongs &= !self.links.is_moved() && !matches!(blame, Some(Blame::Inserted { back: 0, .. }));
        if let Some(blame) = blame {
            self.blame(chunk, blame, Some((record, passed)));
        }
        belongs
    }

    /// What the cover found.
    fn verdicts(&mut self, mut this: Option<(&[u8], &Record, &mut Passed)>) {
        while let Some(verdict) = self.cover.as_mut().and_then(Cover::verdict) {
            match (verdict.who, &mut this) {
                (Who::Suspect, _) => {
                    if let Some(Suspect { passed, token_id, leaf }) = self.suspect.clone() {
                        if matches!(verdict.kind, Kind::Swapped | Kind::Inserted) {
                            self.misplaced.push(leaf);
                        }
                        self.say(verdict, passed.line, token_id);
                    }
                }
                (Who::This, Some((chunk, record, passed))) => {
                    self.say(verdict, passed.line, name(record.bytes(chunk)));
                }
                (Who::This, None) => {}
            }
        }
    }

    /// What the cover found about a line.
    fn say(&mut self, verdict: Verdict, line: u64, token_id: Option<String>) {
        let Verdict { kind, index, count, .. } = verdict;
        self.gap(line, if matches!(kind, Kind::Dropped | Kind::Root) { count } else { 0 });
        // What is gone before it is not its own fault.
        if !kind.is_of_others()
            && let Some(index) = self.trail.accuse(line)
        {
            // It is still the same line, wherever it is now.
            self.ids.disbelieve(index);
        }
        let expected = verdict.expected.map(hex).unwrap_or_default();
        let actual = match kind {
            Kind::Dropped => format!("{count} entries before it are gone"),
            Kind::Inserted => format!("{count} entries that are not in the log"),
            Kind::Swapped => String::from("an entry from another place"),
            _ => String::from("another entry"),
        };
        let expected = Some(format!("entry {index}: {expected}"));
        self.trail.put(Finding { line, token_id, kind, expected, actual: Some(actual) }, false);
    }

    /// A link does not fit.
    fn blame(&mut self, chunk: &[u8], blame: Blame, this: Option<(&Record, &mut Passed)>) {
        // That the first entry links to another than the one before follows from it that others before it are gone.
        if let (Blame::This { actual: Some(_), .. }, Some((_, passed))) = (&blame, &this)
            && self.trail.is_dropped(passed.line)
        {
            return;
        }
        // With leaf hashes it is known how many are gone.
        let unknown = u64::from(!self.cover.as_ref().is_some_and(Cover::has_tree));
        let (back, lost, kind, expected, actual) = match blame {
            Blame::This { expected, actual } => {
                let actual = actual.map_or_else(|| String::from("no link"), link_text);
                (0, 0, Kind::Link, expected.map(link_text), Some(actual))
            }
            Blame::Headless { actual } => {
                (0, unknown, Kind::Dropped, Some(String::from("no link")), Some(link_text(actual)))
            }
            Blame::Before { back, expected, actual } => {
                (back, unknown, Kind::Link, Some(hex(expected)), Some(hex(actual)))
            }
            Blame::Inserted { back, .. } => (back, 0, Kind::Inserted, None, None),
            Blame::Swapped { back } => (back, 0, Kind::Swapped, None, None),
        };
        if let (0, Some((record, passed))) = (back, this) {
            self.gap(passed.line, lost);
            self.report(chunk, record, passed, Problem { kind, expected, actual, order: false });
            return;
        }
        let Some(passed) = self.trail.back(back) else { return };
        let token_id = self.trail.name(back, chunk);
        self.gap(passed.line, lost);
        if let Some(index) = self.trail.accuse(passed.line) {
            self.ids.disbelieve(index);
        }
        self.trail.put(Finding { line: passed.line, token_id, kind, expected, actual }, false);
    }

    /// Its id, and what it follows from.
    fn follow(&mut self, chunk: &[u8], record: &Record, passed: &mut Passed) {
        if passed.is_false() {
            self.ids.add_false(record.id, passed.line);
            return;
        }
        let parent = record.flags.has(Flags::PARENT).then_some(record.parent);
        let (seen, parent) = self.ids.add(record.id, parent, passed.line);
        if let Parent::Waits(place) = parent {
            self.deferred.wait(place, passed.line, record.bytes(chunk));
        }
        let (kind, expected, actual) = match seen {
            Seen::New(index) => {
                passed.ids = Some(index);
                return;
            }
            Seen::Before(line) => {
                let (expected, actual) = (String::from("an id of its own"), format!("the id of line {line}"));
                (Kind::DuplicateId, expected, Some(actual))
            }
            Seen::Itself(index) => {
                passed.ids = Some(index);
                (Kind::ParentCycle, String::from("another token"), name(record.bytes(chunk)))
            }
            Seen::Full => {
                let expected = format!("at most {} tokens", super::ids::MAX_TOKENS);
                (Kind::Other("too_many"), expected, None)
            }
        };
        self.report(chunk, record, passed, Problem { kind, expected: Some(expected), actual, order: false });
    }
}

impl Returns {
    /// A carriage return was found behind the entry in this line.
    fn see(&mut self, line: u64) {
        if self.last < line {
            self.first.get_or_insert(line);
            self.last = line;
            self.lines += 1;
        }
    }
}
