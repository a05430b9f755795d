//! A crowd on a simulated local network that comes up in one moment: who knows whom after how long, how many answers each device hears, and what a flood from one sender does.
//!
//! ```text
//! lan [DEVICES (1000)] [INTERVALS (2)] | --test
//! ```
//!
//! `--test`: with 50 devices, and a small flood. Exits with 1 where a device does not know a name that it wants after two intervals, or hears more than five answers a second on average of the seconds in which it hears any.

use std::io::Write as _;
use std::process::ExitCode;

use sluis_core::Duration;
use sluis_core::sim::{Crowd, Flood};

/// How often devices call.
const INTERVAL: Duration = Duration::from_secs(60);
/// Names that each device wants: those so many places behind its own.
const WANTED: [usize; 3] = [1, 37, 411];

/// Beacons of one sender in a second.
const FLOOD: u32 = 100_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--test"] {
        return ended(crowd(50, 2, FLOOD / 100));
    }
    let (first, second) = (words.first().map(|word| word.parse()), words.get(1).map(|word| word.parse()));
    let (Ok(devices), Ok(intervals), 0..=2) = (first.unwrap_or(Ok(1000_usize)), second.unwrap_or(Ok(2)), words.len())
    else {
        let _ = writeln!(std::io::stderr(), "lan: write `lan [DEVICES] [INTERVALS]`, both numbers, or `lan --test`");
        return ExitCode::from(2);
    };
    ended(crowd(devices.max(2), intervals, FLOOD))
}

fn ended(held: Result<bool, Box<dyn std::error::Error>>) -> ExitCode {
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "lan: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Let the crowd call, and print what came of it; whether it is as it should be.
fn crowd(devices: usize, intervals: u32, beacons: u32) -> Result<bool, Box<dyn std::error::Error>> {
    let crowd = Crowd { devices, interval: INTERVAL, intervals, loss: 10, wanted: &WANTED, seed: 1 };
    let report = crowd.run()?;
    let (sum, most, seconds) = (report.answers(), report.most(), report.heard.len().max(1));
    let (above, missed) = (report.above(5), report.missed.len());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{devices} devices, {intervals} intervals of {} s, 1 % of datagrams lost", INTERVAL.as_secs())?;
    writeln!(out, "wanted names that are not known: {missed}")?;
    writeln!(out, "neighbours known: {:.1} a device", ratio(report.known as u64, devices))?;
    match report.complete {
        Some(intervals) => writeln!(out, "everybody knows everybody after {intervals} intervals")?,
        None => writeln!(out, "not everybody knows everybody after {intervals} intervals")?,
    }
    let average = ratio(sum, seconds);
    writeln!(
        out,
        "answers heard: {sum}; in a second with any {average:.2} on average, {most} at most, in {above} of {seconds} more than 5"
    )?;
    let (left, heard) = Flood { beacons, seed: 2 }.run()?;
    writeln!(
        out,
        "{beacons} beacons of one sender in a second leave {left} neighbours of {} at most; the other device is heard: {heard}",
        Flood::most()
    )?;
    Ok(left <= Flood::most() && heard && missed == 0 && average <= 5.0)
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ratio(sum: u64, of: usize) -> f64 {
    sum as f64 / of as f64
}
