//! `sluis signal rank`: the order of the brokers for a key.

use std::io::Write as _;

use sluis_signal::pool::Broker;
use sluis_signal::rank::{Family, Ranked, interleave};

use super::args::RankArgs;
use super::pool;
use crate::fail::Fail;
use crate::key::file;
use crate::output::{Color, Out, Style, tell};

/// Print it, both families in turns.
pub(super) fn rank(out: &mut Out, args: &RankArgs) -> Result<(), Fail> {
    let key = file::signal_public(&args.key).map_err(Fail::into_usage)?;
    let pool = pool::read(&args.brokers)?;
    if pool.is_weighted() {
        tell("The pool has weights, which sidewire ignores: its peers look for each other in another order.");
    }
    let order = |family| {
        let numbered = pool.order(key.as_bytes(), family).into_iter().enumerate();
        numbered.map(|(at, (broker, ranked))| (at + 1, broker, ranked)).collect::<Vec<_>>()
    };
    let order = interleave(&order(Family::V4), &order(Family::V6));
    for (at, (family_n, broker, ranked)) in order.iter().enumerate() {
        put(out, at + 1, *family_n, broker, ranked);
    }
    if out.style == Style::Json {
        out.json("summary", |o| o.raw("brokers", order.len()).raw("faults", pool.faults().len()));
    }
    Ok(())
}

fn put(out: &mut Out, n: usize, family_n: usize, broker: &Broker, ranked: &Ranked) {
    let family = match broker.family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    };
    let (score, weight) = (ranked.hash.score(ranked.weight), f64::from(ranked.weight.thousandths()) / 1000.0);
    match out.style {
        Style::Json => out.json("broker", |o| {
            o.raw("n", n)
                .str("family", family)
                .raw("family_n", family_n)
                .str("broker", &broker.to_string())
                .rounded("score", Some(score), 15)
                .rounded("weight", Some(weight), 3)
        }),
        Style::Text => out.line(|line, paint| {
            let _ = write!(line, "{n:>4}  {family}  {score:>9.4}  ");
            paint.put(line, Color::Bold, |line| drop(write!(line, "{broker}")));
        }),
    }
}
