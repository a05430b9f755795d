//! How a story is told: lines for people, or JSON objects.

use std::io::Write as _;

use sluis_chain::verify::Finding;

use crate::chain::verify::{finding_json, finding_text};
use crate::output::{Color, Out, Style, escape};
use crate::view::padded;

pub(super) struct Teller<'o> {
    out: &'o mut Out,
    steps: u32,
    title: &'static str,
    wrong: bool,
    ever_wrong: bool,
}

impl<'o> Teller<'o> {
    pub(super) const fn new(out: &'o mut Out) -> Self {
        Self { out, steps: 0, title: "", wrong: false, ever_wrong: false }
    }

    /// What the story is about.
    pub(super) fn introduce(&mut self, title: &str) {
        if self.out.style == Style::Text {
            if self.steps > 0 {
                self.out.line(|_, _| {});
            }
            self.out.line(|line, paint| paint.text(line, Color::Bold, title));
        }
    }

    /// What comes next.
    pub(super) fn step(&mut self, title: &'static str) {
        self.step_done();
        (self.steps, self.title, self.wrong) = (self.steps + 1, title, false);
        let n = self.steps;
        match self.out.style {
            Style::Json => self.step_json("null"),
            Style::Text => {
                self.out.line(|_, _| {});
                self.out.line(|line, paint| {
                    let _ = write!(line, "{n} ");
                    paint.text(line, Color::Bold, title);
                });
            }
        }
        self.out.flush();
    }

    fn step_json(&mut self, ok: &str) {
        let (n, title) = (self.steps, self.title);
        self.out.json("step", |o| o.raw("step", n).str("title", title).raw("ok", ok));
    }

    fn step_done(&mut self) {
        if self.steps > 0 && self.out.style == Style::Json {
            self.step_json(if self.wrong { "false" } else { "true" });
        }
    }

    /// Who, and what they do.
    pub(super) fn says(&mut self, who: &str, what: &str) {
        if self.out.style == Style::Text {
            self.out.line(|line, _| {
                line.extend_from_slice(b"  ");
                padded(line, 12, |line| escape::put(line, who));
                escape::put(line, what);
            });
        }
        self.out.flush();
    }

    /// What a check found.
    pub(super) fn found(&mut self, findings: &[Finding]) {
        for finding in findings {
            self.out.style_of(finding);
        }
        if findings.is_empty() && self.out.style == Style::Text {
            self.out.line(|line, paint| {
                line.extend_from_slice(b"  ");
                padded(line, 12, |line| line.extend_from_slice(b"verify"));
                paint.text(line, Color::Green, "nothing found");
            });
        }
        self.out.flush();
    }

    /// Something that must be so for the story to be true.
    pub(super) fn check(&mut self, so: bool, what: &str) {
        if so {
            return;
        }
        (self.wrong, self.ever_wrong) = (true, true);
        match self.out.style {
            Style::Text => self.out.line(|line, paint| {
                paint.put(line, Color::Red, |line| drop(write!(line, "  This should not be: {what}")));
            }),
            Style::Json => crate::output::tell(&format!("sluis chain demo: this should not be: {what}")),
        }
    }

    /// The end; whether everything went as told.
    pub(super) fn finish(mut self) -> bool {
        self.step_done();
        let (steps, good) = (self.steps, !self.ever_wrong);
        match self.out.style {
            Style::Json => self.out.json("summary", |o| o.raw("steps", steps).raw("ok", good)),
            Style::Text => {
                self.out.line(|_, _| {});
                self.out.line(|line, paint| match good {
                    true => paint.text(line, Color::Green, &format!("All {steps} steps went as told.")),
                    false => paint.text(line, Color::Red, "Not everything went as told."),
                });
            }
        }
        good
    }
}

impl Out {
    /// A finding, indented for people.
    fn style_of(&mut self, finding: &Finding) {
        match self.style {
            Style::Json => self.json("finding", |object| finding_json(object, finding)),
            Style::Text => self.line(|line, paint| {
                line.extend_from_slice(b"  ");
                padded(line, 12, |line| line.extend_from_slice(b"verify"));
                finding_text(line, paint, finding);
            }),
        }
    }
}
