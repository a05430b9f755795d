//! `sluis signal rank`: the order of the brokers for a key.

use std::io::Write as _;

use sluis_signal::pool::Broker;
use sluis_signal::rank::{Family, Ranked, interleave};

use super::args::RankArgs;
use super::check::{self, Found};
use super::pool;
use crate::common::Common;
use crate::fail::Fail;
use crate::key::file;
use crate::output::{Color, Out, Style, tell};

/// Print it, both families in turns.
pub(super) fn rank(common: Common, out: &mut Out, args: &RankArgs) -> Result<(), Fail> {
    let key = file::signal_public(&args.whose).map_err(Fail::into_usage)?;
    let pool = pool::read(&args.brokers)?;
    if pool.is_weighted() {
        tell("The pool has weights, which sidewire ignores: its peers look for each other in another order.");
    }
    let order = |family| {
        let numbered = pool.order(key.as_bytes(), family).into_iter().enumerate();
        numbered.map(|(at, (broker, ranked))| (at + 1, broker, ranked)).collect::<Vec<_>>()
    };
    let order = interleave(&order(Family::V4), &order(Family::V6));
    let found = args.check.then(|| check::all(common, &pool, args)).transpose()?;
    for (at, (family_n, broker, ranked)) in order.iter().enumerate() {
        let found = found.as_ref().map(|found| found.of(broker));
        put(out, (at + 1, *family_n), broker, ranked, found.as_ref());
    }
    if out.style == Style::Json {
        out.json("summary", |o| {
            let o = o.raw("brokers", order.len()).raw("faults", pool.faults().len());
            match &found {
                Some(found) => o.raw("up", found.up()),
                None => o,
            }
        });
    }
    Ok(())
}

fn put(out: &mut Out, (n, family_n): (usize, usize), broker: &Broker, ranked: &Ranked, found: Option<&Found>) {
    let family = match broker.family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    };
    let (score, weight) = (ranked.hash.score(ranked.weight), f64::from(ranked.weight.thousandths()) / 1000.0);
    match out.style {
        Style::Json => out.json("broker", |o| {
            let o = o
                .raw("n", n)
                .str("family", family)
                .raw("family_n", family_n)
                .str("broker", &broker.to_string())
                .rounded("score", Some(score), 15)
                .rounded("weight", Some(weight), 3);
            match found {
                None => o,
                Some(Found::Up(rtt)) => {
                    o.raw("up", true).rounded("rtt_ms", Some(super::send::millis(*rtt)), 3).raw("reason", "null")
                }
                Some(Found::Down(why)) => o.raw("up", false).raw("rtt_ms", "null").str("reason", why),
            }
        }),
        Style::Text => out.line(|line, paint| {
            let _ = write!(line, "{n:>4}  {family}  {score:>9.4}  ");
            paint.put(line, Color::Bold, |line| drop(write!(line, "{broker}")));
            match found {
                None => {}
                Some(Found::Up(rtt)) => drop(write!(line, "  {:.1} ms", super::send::millis(*rtt))),
                Some(Found::Down(why)) => drop(write!(line, "  {why}")),
            }
        }),
    }
}
