//! What can be said only at the end of the file.

use alloc::format;
use alloc::string::String;

use super::super::cover::Whole;
use super::super::finding::{Finding, Kind};
use super::super::hook::Checker;
use super::super::settings::Settings;
use super::{Out, Sequencer, Summary, hex};
use crate::log::merkle::Frontier;

impl<C: Checker> Sequencer<'_, C> {
    /// The file has ended.
    pub(in super::super) fn finish(mut self, settings: &Settings<'_>, found: &mut dyn FnMut(Finding)) -> (Summary, C) {
        let mut out = Out { found, count: 0 };
        if let Some(blame) = self.links.finish() {
            self.blame(&[], blame, None);
        }
        let entries = self.summary.entries;
        let whole = self.cover.as_mut().map(|cover| cover.finish(entries));
        self.verdicts(None);
        self.trail.say_until(u64::MAX, |finding| out.put(finding));
        if let Some(whole) = whole {
            self.whole(whole, &mut out);
        }
        self.line_ends(&mut out);
        self.parents(settings, &mut out);
        let Out { found, count } = out;
        let mut more = 0;
        self.checker.finish(&mut |finding| {
            more += 1;
            found(finding);
        });
        self.summary.findings += count + more;
        self.summary.root = self.frontier.as_ref().map(Frontier::root);
        (self.summary, self.checker)
    }

    /// The file against its checkpoint. Without the leaf hashes, what was found may be all there is to it: that is so if the entries
    /// are those under the checkpoint once what was found is undone.
    fn whole(&mut self, whole: Whole, out: &mut Out<'_>) {
        let end = self.trail.back(1).map_or(0, |passed| passed.line);
        let root = self.cover.as_ref().map(|cover| cover.root());
        let explained = root.is_some_and(|root| self.mend.take().is_some_and(|mend| mend.explains(&root)));
        match whole {
            Whole::Short { next, size } if !explained => out.put(Finding {
                line: end + 1,
                token_id: None,
                kind: Kind::Truncated,
                expected: Some(format!("{size} entries")),
                actual: Some(format!("the end before entry {next}")),
            }),
            Whole::Other { expected, actual, size } if !explained => out.put(Finding {
                line: end + 1,
                token_id: None,
                kind: Kind::Root,
                expected: Some(format!("{} for {size} entries", hex(expected))),
                actual: Some(hex(actual)),
            }),
            Whole::Good | Whole::Short { .. } | Whole::Other { .. } => {}
        }
    }

    /// Carriage returns that were put before line feeds.
    fn line_ends(&self, out: &mut Out<'_>) {
        let Some(line) = self.returns.first else { return };
        let count = self.returns.lines;
        out.put(Finding {
            line,
            token_id: None,
            kind: Kind::LineEnd,
            expected: Some(String::from("a line feed behind the entry")),
            actual: Some(format!("a carriage return before it, as in {count} lines")),
        });
    }

    /// Parents that nobody is, and circles.
    fn parents(&mut self, settings: &Settings<'_>, out: &mut Out<'_>) {
        let Self { ids, deferred, gaps, .. } = self;
        let mut explained = deferred.explain(settings, gaps.lost, gaps.first_lost.unwrap_or(u64::MAX));
        ids.resolve(|line, parent, place| {
            if explained.covers(line, parent, deferred.parent(place)) {
                return;
            }
            let (token_id, parent) = deferred.names(place);
            let actual = Some(String::from("none in the file"));
            out.put(Finding { line, token_id, kind: Kind::MissingParent, expected: parent, actual });
        });
        ids.circles(|lines| {
            // The first of them that waited for its parent can be named.
            let (mut first, mut length) = (None, 0_u64);
            for line in lines {
                length += 1;
                first = Some(first.map_or(line, |first: u64| first.min(line)));
            }
            let Some(line) = first else { return };
            let (token_id, parent) = deferred.names_of_line(line);
            let actual = parent.map(|parent| format!("{parent}, and so on through {length} tokens"));
            let expected = Some(String::from("a token that does not follow from it"));
            out.put(Finding { line, token_id, kind: Kind::ParentCycle, expected, actual });
        });
    }
}
