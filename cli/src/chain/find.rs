//! `sluis chain find`.

use std::collections::VecDeque;
use std::io::Write as _;

use sluis_chain::token::Token;
use sluis_core::Wall;
use sluis_core::framing::{Text, Value};
use sluis_core::time::iso;
use sluis_tokio::SystemClock;

use super::args::FindArgs;
use super::read;
use super::values::Since;
use crate::fail::Fail;
use crate::output::{Color, Out, Style, tell};

/// Print the last tokens that match.
pub(super) fn find(out: &mut Out, args: &FindArgs) -> Result<(), Fail> {
    let since = args.since.map(|since| match since {
        Since::At(at) => at,
        Since::Ago(ago) => SystemClock::new().now().wall.saturating_sub(ago),
    });
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut last: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
    let (mut found, mut broken) = (0_u64, 0_u64);
    let lines = read::lines(&args.file, |number, line| {
        match line.and_then(|line| Some((line, Token::parse_bytes(line).ok()?))) {
            None => broken += 1,
            Some((line, token)) if matches(args, since, &token) => {
                found += 1;
                if last.len() == limit {
                    last.pop_front();
                }
                last.push_back((number, line.to_vec()));
            }
            Some(_) => {}
        }
    })?;
    for (number, line) in &last {
        show(out, *number, line);
    }
    if out.style == Style::Json {
        out.json("summary", |o| {
            o.str("file", &args.file.display().to_string())
                .raw("lines", lines)
                .raw("broken", broken)
                .raw("found", found)
                .raw("shown", last.len())
        });
    } else if found > last.len() as u64 {
        tell(&format!("sluis: {found} tokens match, these are the last {}; --limit shows more", last.len()));
    }
    if broken > 0 {
        let file = args.file.display();
        let lines =
            if broken == 1 { "1 line is no token and was" } else { &format!("{broken} lines are no tokens and were") };
        tell(&format!("sluis: {lines} passed over: see `sluis chain verify {file}`"));
    }
    Ok(())
}

fn matches(args: &FindArgs, since: Option<Wall>, token: &Token<'_>) -> bool {
    let is = |wanted: &Option<String>, text: Text<'_>| wanted.as_ref().is_none_or(|wanted| text == wanted.as_str());
    is(&args.action, token.action)
        && is(&args.actor, token.actor)
        && since.is_none_or(|since| {
            let at = token.timestamp.resolve(&mut [0; iso::MAX_TEXT]).ok().and_then(iso::parse);
            at.is_some_and(|at| at >= since)
        })
}

fn show(out: &mut Out, number: u64, line: &[u8]) {
    let Ok(text) = std::str::from_utf8(line) else { return };
    match out.style {
        Style::Json => {
            let value = Value::from_json(text).unwrap_or(Value::NULL);
            out.json("token", |o| o.raw("line", number).value("token", value));
        }
        Style::Text => {
            let Ok(token) = Token::parse(text) else { return };
            out.flow("", |flow| {
                flow.piece(Color::Plain, |line| drop(write!(line, "{number:>5}")));
                match token.timestamp.resolve(&mut [0; iso::MAX_TEXT]).ok().and_then(iso::parse) {
                    Some(at) => flow.text(Color::Dim, &iso::format(at, &mut [0; iso::FORMAT_LEN])[..19]),
                    None => flow.quoted("", token.timestamp),
                };
                flow.quoted("", token.actor).quoted("", token.action).quoted("", token.token_id);
                if !token.erachter.is_empty() {
                    flow.quoted("why ", token.erachter);
                }
            });
        }
    }
}
