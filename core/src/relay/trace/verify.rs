//! Reading a trace: who it went over, and who changed it.

use super::record::{MAX_RECORDS, Record, Trace, flag};
use crate::framing::Digest;
use crate::identity::PublicKey;
use crate::relay::faults::Faults;
use crate::time::Wall;

/// What whoever reads a trace knows for himself.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The [digest](super::ping_digest) of what arrived, ping or response.
    pub arrived: &'a Digest,
    /// The hops that a ping had travelled when it arrived; `None` for a response.
    pub hop_count: Option<i64>,
    /// Who it came from, where that is certain, as in [`Deed::Passed`](super::Deed::Passed).
    pub from: Option<&'a str>,
    /// The source of the ping, and the digest of the ping that it sent, where we know it because we sent it ourselves.
    pub asked: Option<(&'a str, &'a Digest)>,
    /// Of a response: in whose name it is.
    pub responder: Option<&'a str>,
}

/// What the trace tells of one hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Verdict {
    /// It passed on what it received.
    Ok,
    /// It changed the packet, by its own word or against it.
    Changed,
    /// It signed nothing that can be verified: a reference relay, say, or one whose key is not known.
    Unsigned,
    /// It was there, and is bound by the link of who came behind it; its record was folded for room.
    Folded,
}

/// One hop, or several of which there is nothing to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop<'a> {
    /// Its number: 0 is the source, and behind who answered it goes on counting on the way back.
    pub n: u8,
    /// How many hops this is about.
    pub count: u8,
    /// Its name: as it says itself, if it signed nothing that can be verified.
    pub did: Option<&'a str>,
    /// When it says that it was, by its own clock.
    pub when: Option<Wall>,
    /// What to think of it.
    pub verdict: Verdict,
    /// Whether it is the one who answered.
    pub turn: bool,
}

/// What about a packet was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Field {
    /// What it says: any member but `hop_count`.
    Content,
    /// The number of hops was counted back.
    HopCount,
    /// The records themselves: one was put in the place of another.
    Trace,
}

/// A place where the trace does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tampered<'a> {
    /// Who did it, where only one can have.
    pub relay: Option<&'a str>,
    /// The last one before that who signed, and the first one behind it; `None` for whoever is beyond the ends of the trace: the
    /// source, or ourselves. Where nobody is named it was one of these two or somebody between them.
    pub between: (Option<&'a str>, Option<&'a str>),
    /// What was changed.
    pub field: Field,
}

/// The most places that a report tells of.
const MOST_PLACES: usize = 8;

/// What a trace tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report<'a> {
    hops: heapless::Vec<Hop<'a>, { 3 * MAX_RECORDS + 1 }>,
    tampered: heapless::Vec<Tampered<'a>, MOST_PLACES>,
}

impl<'a> Report<'a> {
    /// Every hop, in order.
    #[must_use]
    pub fn hops(&self) -> &[Hop<'a>] {
        &self.hops
    }

    /// Every place where something does not fit, in order: at most eight.
    #[must_use]
    pub fn tampered(&self) -> &[Tampered<'a>] {
        &self.tampered
    }

    /// The first hop whose record does not fit.
    #[must_use]
    pub fn first(&self) -> Option<&Tampered<'a>> {
        self.tampered.first()
    }

    fn hop(&mut self, record: &Record<'a>, verdict: Verdict) {
        let hop = Hop {
            n: record.hop,
            count: 1,
            did: Some(record.did),
            when: Some(record.when()),
            verdict,
            turn: record.is_turn(),
        };
        // There is room for every record and two gaps in front of each.
        let _ = self.hops.push(hop);
    }

    /// Hops of which nothing is known, from this number on.
    fn gap(&mut self, n: u8, count: u8, verdict: Verdict) {
        if count > 0 {
            let _ = self.hops.push(Hop { n, count, did: None, when: None, verdict, turn: false });
        }
    }

    fn found(&mut self, relay: Option<&'a str>, between: (Option<&'a str>, Option<&'a str>), field: Field) {
        let _ = self.tampered.push(Tampered { relay, between, field });
    }
}

/// Verify a trace: whose records hold, and where they do not fit.
///
/// `keys` gives the key that a name is known by. Somebody is named only for what an honest hop never signs: `docs/trace.md` has the
/// claim and the proof. This verifies one signature for each record, at most [`MAX_RECORDS`], and allocates nothing.
#[must_use]
pub fn verify<'a>(
    trace: Option<Trace<'a>>,
    known: &Known<'a>,
    keys: impl FnMut(&str) -> Option<PublicKey>,
) -> Report<'a> {
    verify_with(trace, known, keys, Faults::default())
}

/// The same, with protections that can be switched off.
pub(crate) fn verify_with<'a>(
    trace: Option<Trace<'a>>,
    known: &Known<'a>,
    mut keys: impl FnMut(&str) -> Option<PublicKey>,
    faults: Faults,
) -> Report<'a> {
    // An answer whose trace was lost on the way back tells nothing of the ping.
    let of_ping = known.responder.is_none() || trace.iter().flat_map(Trace::records).any(|record| record.is_turn());
    let nobodys = known.responder.is_some_and(|responder| keys(responder).is_none());
    let (report, before) = (Report::default(), None);
    let mut walk = Walk { faults, report, before, known, of_ping, nobodys, unsigned: false, turned: false, turns: 0 };
    for record in trace.iter().flat_map(Trace::records) {
        if keys(record.did).is_some_and(|key| record.is_by(&key)) {
            walk.signed(&record);
        } else {
            walk.unsigned(&record);
        }
    }
    walk.end()
}

/// A trace that is read from front to back.
struct Walk<'a, 'k> {
    faults: Faults,
    report: Report<'a>,
    /// The last record that holds.
    before: Option<Record<'a>>,
    known: &'k Known<'a>,
    /// It begins with records of the ping.
    of_ping: bool,
    /// The key of who answers is not known: that this is the answer to the ping nobody can be held to, and the one is not compared with
    /// the other.
    nobodys: bool,
    /// There was a record behind that which does not hold.
    unsigned: bool,
    /// And by one of them the ping became an answer.
    turned: bool,
    turns: u8,
}

impl<'a> Walk<'a, '_> {
    /// A record that nobody can be held to.
    fn unsigned(&mut self, record: &Record<'a>) {
        self.unsigned = true;
        if self.nobodys && record.is_turn() {
            self.turned = true;
            self.turns = self.turns.saturating_add(1);
        }
        self.report.hop(record, Verdict::Unsigned);
    }

    fn signed(&mut self, record: &Record<'a>) {
        let fits = match self.before {
            None => self.first(record),
            Some(before) => self.behind(&before, record),
        };
        let by_own_word = self.by_own_word(record);
        let named = if fits.is_err() || by_own_word { Verdict::Changed } else { Verdict::Ok };
        self.report.hop(record, named);
        (self.before, self.unsigned, self.turned) = (Some(*record), false, false);
    }

    /// The first record that holds. It is not to blame for what came before it.
    fn first(&mut self, record: &Record<'a>) -> Result<(), Named> {
        if !self.unsigned {
            let folded = record.depth.min(record.hop);
            self.report.gap(0, folded, Verdict::Folded);
            self.report.gap(folded, record.hop - folded, Verdict::Unsigned);
        }
        let Some((source, asked)) = self.known.asked.filter(|_| self.of_ping && !self.turned) else { return Ok(()) };
        if record.has(flag::ORIGIN) {
            if record.did != source || record.passed != *asked {
                self.report.found(None, (None, Some(record.did)), Field::Trace);
            }
        } else if record.received != *asked {
            self.report.found(None, (Some(source), Some(record.did)), Field::Content);
        }
        Ok(())
    }

    /// A record behind another one, both of which hold.
    fn behind(&mut self, before: &Record<'a>, record: &Record<'a>) -> Result<(), Named> {
        let between = (Some(before.did), Some(record.did));
        let (steps, deeper) = (record.hop.saturating_sub(before.hop), record.depth.saturating_sub(before.depth));
        let adjacent = deeper == 1 && !self.unsigned;
        if !self.unsigned {
            let folded = deeper.saturating_sub(1);
            self.report.gap(before.hop.saturating_add(1), folded, Verdict::Folded);
            self.report.gap(before.hop.saturating_add(deeper), steps.saturating_sub(deeper), Verdict::Unsigned);
        }
        if adjacent && record.link != Record::link_to(before.bytes) {
            // What this one signed belongs to another record: somebody behind it put them together.
            self.report.found(None, between, Field::Trace);
            return Ok(());
        }
        let same = self.turned || record.received == before.passed;
        if same && steps > 0 {
            return Ok(());
        }
        let field = if same { Field::HopCount } else { Field::Content };
        // An honest hop says so when what it gets does not fit. One that signs without a word changed it, or covers for who did.
        let silent = adjacent && !record.has(flag::GAP | flag::DISPUTE);
        let culprit = if self.faults.blame_neighbour() { before.did } else { record.did };
        self.report.found(silent.then_some(culprit), between, field);
        if silent { Err(Named) } else { Ok(()) }
    }

    /// Whether a record says of itself what an honest hop never does.
    fn by_own_word(&mut self, record: &Record<'a>) -> bool {
        let own = (Some(record.did), Some(record.did));
        if record.has(flag::TURN) {
            self.turns += 1;
            // Who signs an answer in somebody else's name made it, and a ping is none. But he need not have signed this one.
            let forged = self.known.responder != Some(record.did);
            let is_this = record.passed == *self.known.arrived;
            if forged && is_this {
                self.report.found(Some(record.did), own, Field::Content);
            }
            return forged && is_this;
        }
        let changed = record.passed != record.received;
        if changed {
            self.report.found(Some(record.did), own, Field::Content);
        }
        changed
    }

    /// What arrived, against what the last record says was passed on.
    fn end(mut self) -> Report<'a> {
        let &Known { arrived, hop_count, from, responder, .. } = self.known;
        let came = hop_count.map(|hops| u8::try_from(hops.clamp(0, 255)).unwrap_or(u8::MAX));
        let Some(last) = self.before else {
            if !self.unsigned {
                self.report.gap(0, came.map_or(1, |came| came.saturating_add(1)), Verdict::Unsigned);
            }
            return self.report;
        };
        if let Some(came) = came.filter(|_| !self.unsigned) {
            self.report.gap(last.hop.saturating_add(1), came.saturating_sub(last.hop), Verdict::Unsigned);
        }
        let same = self.turned || last.passed == *arrived;
        let counted = came.is_none_or(|came| came >= last.hop);
        let turns = u8::from(responder.is_some() && self.of_ping);
        if same && counted && self.turns == turns {
            return self.report;
        }
        let field = match (same, counted) {
            (false, _) => Field::Content,
            (true, false) => Field::HopCount,
            (true, true) => Field::Trace,
        };
        // It came to us from who signed last, for certain: then he sent something else than he signed.
        let named = !self.unsigned && field != Field::Trace && from == Some(last.did);
        if named && let Some(hop) = self.report.hops.iter_mut().rfind(|hop| hop.did == Some(last.did)) {
            hop.verdict = Verdict::Changed;
        }
        // Records of an answer behind a ping, or none where there should be: that may have happened anywhere.
        let before = Some(last.did).filter(|_| field != Field::Trace);
        self.report.found(named.then_some(last.did), (before, None), field);
        self.report
    }
}

/// The record is the word of who changed something.
struct Named;
