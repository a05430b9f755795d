//! `sluis chain show`: the chain in the terminal, one token a line, what is broken marked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use sluis_chain::token::Token;
use sluis_chain::verify::Finding;
use sluis_chain::workload::{Entry, Plan, Planned, Step};
use sluis_core::data::Number;

use super::args::ShowArgs;
use super::check::{self, Checked};
use super::judge::Keys;
use super::verify::{finding_json, finding_text};
use super::{read, unchecked};
use crate::fail::Fail;
use crate::output::json::Object;
use crate::output::{Color, Out, Paint, Style, escape};

/// Findings that are told in full; of the lines with further ones it is only marked that there is something.
const MAX_FINDINGS: usize = 10_000;

/// Columns of what happened and of who did it, two spaces behind them included, and how much of a timestamp is shown.
struct Columns {
    what: usize,
    actor: usize,
    stamp: Range<usize>,
}

/// A terminal of 80 columns is filled by a step, its exit code, who ran it and when.
const NARROW: Columns = Columns { what: 34, actor: 18, stamp: 5..19 };
const WIDE: Columns = Columns { what: 36, actor: 26, stamp: 0..19 };
/// From here on there is room for the reason, too.
const WIDE_FROM: usize = 110;

/// What is wrong with which line.
#[derive(Default)]
struct Findings {
    told: BTreeMap<u64, Vec<Finding>>,
    count: usize,
    /// Of lines with findings that are not told, a bit each.
    marked: Vec<u64>,
}

impl Findings {
    fn put(&mut self, finding: &Finding) {
        if self.count < MAX_FINDINGS || finding.line == 0 {
            self.count += 1;
            return self.told.entry(finding.line).or_default().push(finding.clone());
        }
        let Ok(word) = usize::try_from(finding.line / 64) else { return };
        if word >= self.marked.len() {
            self.marked.resize(word + 1, 0);
        }
        if let Some(bits) = self.marked.get_mut(word) {
            *bits |= 1 << (finding.line % 64);
        }
    }

    fn told(&self, line: u64) -> &[Finding] {
        self.told.get(&line).map_or(&[], Vec::as_slice)
    }

    /// Whether something is wrong with a line.
    fn has(&self, line: u64) -> bool {
        let bits = usize::try_from(line / 64).ok().and_then(|word| self.marked.get(word)).copied().unwrap_or(0);
        self.told.contains_key(&line) || bits >> (line % 64) & 1 == 1
    }
}

/// Draw the chain.
pub(super) fn show(out: &mut Out, args: &ShowArgs) -> Result<ExitCode, Fail> {
    let keys = Arc::new(Keys::read(&args.judge)?);
    let mut findings = Findings::default();
    let checked = check::check(&args.file, &[], &args.judge, &keys, &mut |finding| findings.put(finding))?;
    match out.style {
        Style::Json => draw_json(out, args, &findings, &checked)?,
        Style::Text => draw(out, args, &findings, &checked)?,
    }
    Ok(if checked.findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether a line is among those that are asked for.
fn wanted(args: &ShowArgs, checked: &Checked, findings: &Findings, line: u64) -> bool {
    line > checked.summary.lines.saturating_sub(args.limit) || findings.has(line)
}

fn draw_json(out: &mut Out, args: &ShowArgs, findings: &Findings, checked: &Checked) -> Result<(), Fail> {
    read::lines(&args.file, |number, line| {
        if !wanted(args, checked, findings, number) {
            return;
        }
        let token = line.and_then(|line| Token::parse_bytes(line).ok());
        out.json("token", |o| {
            let o = o.raw("line", number);
            let o = match &token {
                None => ["token_id", "action", "actor", "timestamp", "state"]
                    .into_iter()
                    .fold(o, |o, key| o.maybe(key, None)),
                Some(token) => o
                    .text("token_id", token.token_id)
                    .text("action", token.action)
                    .text("actor", token.actor)
                    .text("timestamp", token.timestamp)
                    .str("state", token.state.as_str()),
            };
            let step = token.as_ref().and_then(Entry::read);
            let step = if let Some(Ok(Entry::Step(step))) = &step { Some(step) } else { None };
            let name = step.map(|step| step.name.to_cow());
            let o = o.maybe("step", name.as_deref());
            let o = match step.and_then(exit_code) {
                Some(code) => o.raw("exit_code", code),
                None => o.maybe("exit_code", None),
            };
            o.raw("linked", token.is_some_and(|token| token.prev().is_some()))
                .raw("signed", token.is_some_and(|token| !token.signature.is_empty()))
                .with("finding", |line| put_finding(line, findings, number))
        });
    })?;
    // What is wrong with the whole, and with lines that are not there.
    let lines = 1..=checked.summary.lines;
    for finding in findings.told.iter().filter(|(line, _)| !lines.contains(line)).flat_map(|(_, all)| all) {
        out.json("finding", |object| finding_json(object, finding));
    }
    out.json("summary", |o| {
        o.str("file", &args.file.display().to_string())
            .raw("lines", checked.summary.lines)
            .raw("findings", checked.findings)
            .raw("ok", checked.findings == 0)
    });
    Ok(())
}

/// The first thing that is wrong with a line.
fn put_finding(line: &mut Vec<u8>, findings: &Findings, number: u64) {
    match findings.told(number).first() {
        None if findings.has(number) => Object::new(line).raw("kind", "null").end(),
        None => line.extend_from_slice(b"null"),
        Some(finding) => Object::new(line)
            .str("kind", finding.kind.as_str())
            .maybe("expected", finding.expected.as_deref())
            .maybe("actual", finding.actual.as_deref())
            .end(),
    }
}

/// The picture as it grows.
struct Picture<'o> {
    out: &'o mut Out,
    width: usize,
    /// The number of the line drawn last.
    last: u64,
    /// Tokens since then that were left out.
    hidden: u64,
    /// The line before is broken, so what follows hangs on nothing.
    broken: bool,
}

fn draw(out: &mut Out, args: &ShowArgs, findings: &Findings, checked: &Checked) -> Result<(), Fail> {
    title(out, &args.file, checked);
    let mut picture = Picture { width: width(), out, last: 0, hidden: 0, broken: false };
    findings.told(0).iter().for_each(|finding| picture.finding(finding));
    read::lines(&args.file, |number, line| {
        if wanted(args, checked, findings, number) {
            picture.token(number, line, findings);
        } else {
            picture.hidden += 1;
        }
    })?;
    // What is wrong with lines that are not there.
    let beyond = checked.summary.lines.saturating_add(1)..;
    findings.told.range(beyond).flat_map(|(_, all)| all).for_each(|finding| picture.finding(finding));
    summary(out, checked);
    Ok(())
}

fn title(out: &mut Out, file: &Path, checked: &Checked) {
    out.line(|line, paint| {
        paint.put(line, Color::Bold, |line| escape::put(line, &file.display().to_string()));
        if let Some(held) = &checked.checkpoint {
            line.extend_from_slice(b", log ");
            escape::put(line, &held.origin);
        }
    });
}

fn summary(out: &mut Out, checked: &Checked) {
    let Checked { summary, findings, .. } = checked;
    let tokens = if summary.tokens == 1 { "1 token".to_owned() } else { format!("{} tokens", summary.tokens) };
    out.line(|line, paint| match findings {
        0 => paint.text(line, Color::Green, &format!("{tokens}, nothing found")),
        1 => paint.text(line, Color::Red, &format!("{tokens}, 1 finding")),
        n => paint.text(line, Color::Red, &format!("{tokens}, {n} findings")),
    });
    let width = width();
    for unchecked in unchecked::of(checked) {
        let text: String = format!("not checked: {}", unchecked.text).chars().take(width).collect();
        out.line(|line, paint| paint.text(line, Color::Dim, &text));
    }
}

impl Picture<'_> {
    fn token(&mut self, number: u64, line: Option<&[u8]>, findings: &Findings) {
        let wrong = findings.has(number);
        if self.hidden > 0 {
            let text = format!("{} {} in between", self.hidden, if self.hidden == 1 { "token" } else { "tokens" });
            self.row(&[(Color::Dim, " ┊        ".to_owned()), (Color::Dim, text)]);
            self.hidden = 0;
        }
        let token = line.and_then(|line| Token::parse_bytes(line).ok());
        let linked = token.is_some_and(|token| token.prev().is_some());
        if self.last > 0 {
            // The link between the two: it holds, it is broken, or there is none.
            match (self.broken, linked) {
                (true, _) => self.row(&[(Color::Red, " ╳".to_owned())]),
                (false, true) => self.row(&[(Color::Dim, " │".to_owned())]),
                (false, false) => self.row(&[(Color::Dim, " ·".to_owned())]),
            }
        }
        let (mark, color) = if wrong { ("✗", Color::Red) } else { ("●", Color::Green) };
        let mut parts = vec![(color, format!(" {mark} ")), (Color::Dim, format!("{number:>5}  "))];
        match token {
            None => parts.push((Color::Red, "no token".to_owned())),
            Some(token) => {
                let text = |text: sluis_core::framing::Text<'_>| escape::safe(&text.to_cow()).into_owned();
                let seal = if token.signature.is_empty() { ' ' } else { '§' };
                let columns = if self.width < WIDE_FROM { NARROW } else { WIDE };
                let (what, rest) = happened(&token);
                parts.push((Color::Bold, ending(&escape::safe(&what), &rest, columns.what)));
                parts.push((Color::Plain, format!("{seal} {}", column(&text(token.actor), columns.actor))));
                parts.push((Color::Dim, format!("{}  ", when(&text(token.timestamp), columns.stamp))));
                parts.push((Color::Plain, text(token.erachter)));
            }
        }
        self.row(&parts);
        let told = findings.told(number);
        told.iter().for_each(|finding| self.finding(finding));
        if wrong && told.is_empty() {
            self.row(&[(Color::Red, format!(" ╰─▶ line {number}: see `sluis chain verify`"))]);
        }
        (self.last, self.broken) = (number, wrong);
    }

    /// What is wrong, never cut: it is what one came for.
    fn finding(&mut self, finding: &Finding) {
        self.out.line(|line, paint| {
            paint.text(line, Color::Red, " ╰─▶ ");
            finding_text(line, paint, finding);
        });
    }

    /// Parts in their colours, as many characters as there is room for.
    fn row(&mut self, parts: &[(Color, String)]) {
        let mut room = self.width;
        self.out.line(|line, paint| {
            for (color, text) in parts {
                let cut: String = text.chars().take(room).collect();
                room -= cut.chars().count();
                put(line, paint, *color, &cut);
            }
        });
    }
}

fn put(line: &mut Vec<u8>, paint: Paint, color: Color, text: &str) {
    paint.text(line, color, text);
}

/// What a token says has happened: of a step its name, and how it ended.
fn happened(token: &Token<'_>) -> (String, String) {
    if let Some(Ok(plan)) = Plan::read(token) {
        let word = if matches!(plan.said, Planned::Added { .. }) { "planned" } else { "started" };
        return (plan.name.to_cow().into_owned(), format!(": {word}"));
    }
    match Entry::read(token) {
        Some(Ok(Entry::Step(step))) => {
            let exit = exit_code(&step).map_or_else(String::new, |code| format!(", exit {code}"));
            (step.name.to_cow().into_owned(), format!(": {}{exit}", step.status))
        }
        _ => (token.action.to_cow().into_owned(), String::new()),
    }
}

/// With which code the command of a step ended, where there was one.
fn exit_code(step: &Step<'_>) -> Option<i64> {
    match step.metadata.get("exit_code")?.as_number()? {
        Number::Int(code) => Some(code),
        _ => None,
    }
}

/// A text in a column of its own: what does not fit gives way to an ellipsis, so that nothing runs into the next column.
fn column(text: &str, width: usize) -> String {
    ending(text, "", width)
}

/// The same, with an end that is never cut.
fn ending(text: &str, end: &str, width: usize) -> String {
    let columns = |text: &str| escape::columns_of(text.as_bytes());
    let room = width.saturating_sub(2).saturating_sub(columns(end));
    let mut out = String::new();
    if columns(text) <= room {
        out.push_str(text);
    } else {
        let mut left = room.saturating_sub(1);
        for c in text.chars() {
            let takes = columns(c.encode_utf8(&mut [0; 4]));
            let Some(rest) = left.checked_sub(takes) else { break };
            left = rest;
            out.push(c);
        }
        out.push('…');
    }
    out.push_str(end);
    let pad = width.saturating_sub(columns(&out));
    out.extend(std::iter::repeat_n(' ', pad));
    out
}

/// A timestamp to the second, or a part of it.
fn when(timestamp: &str, part: Range<usize>) -> String {
    let short: String = timestamp.chars().skip(part.start).take(part.len()).collect();
    short.replacen('T', " ", 1)
}

/// Characters in a row of the terminal; as many as there are where nobody cuts them.
fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    #[cfg(unix)]
    let terminal = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    #[cfg(not(unix))]
    let terminal = None;
    columns.or(terminal).filter(|columns| *columns > 0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_never_touch() {
        assert_eq!(column("jis:hub", 10), "jis:hub   ");
        assert_eq!(column("jis:hub1", 10), "jis:hub1  ");
        assert_eq!(column("jis:hub:12", 10), "jis:hub…  ");
        assert_eq!(column("é温é温é温é温é", 10), "é温é温é…  ", "some take two columns");
        assert_eq!(ending("compile", ": failed, exit 7", 30), "compile: failed, exit 7       ");
        assert_eq!(ending("compile everything", ": failed, exit 7", 30), "compile eve…: failed, exit 7  ");
    }

    #[test]
    fn eighty_columns_are_enough() {
        let narrow = " ● ".chars().count() + 7 + NARROW.what + 2 + NARROW.actor + NARROW.stamp.len();
        assert!(narrow <= 80, "{narrow}");
        assert_eq!(when("2026-01-15T12:00:00.123456+00:00", NARROW.stamp), "01-15 12:00:00");
    }
}
