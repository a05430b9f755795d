//! A crowd on a simulated local network that comes up in one moment: who knows whom after how long, how many answers each device hears, and what a flood from one sender does.
//!
//! ```text
//! lan [DEVICES (1000)] [INTERVALS (2)]
//! ```
//!
//! Exits with 1 where a device does not know a name that it wants after two intervals, or hears more than five answers a second on average of the seconds in which it hears any.

use std::io::Write as _;
use std::process::ExitCode;

use sluis_core::discovery::DiscoveryConfig;
use sluis_core::framing::{Encoding, Packet, PingType, RoutingMode, Text, Value};
use sluis_core::node::{LanConfig, NodeConfig};
use sluis_core::sim::Lan;
use sluis_core::time::iso;
use sluis_core::{Did, Duration};

/// How often devices call.
const INTERVAL: Duration = Duration::from_secs(60);
/// Names that each device wants: those so many places behind its own.
const WANTED: [usize; 3] = [1, 37, 411];

/// Beacons of one sender in a second.
const FLOOD: u32 = 100_000;

fn name(n: usize) -> String {
    format!("jis:device:{n:05}")
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let (Ok(devices), Ok(intervals)) = (args.next().unwrap_or(Ok(1000)), args.next().unwrap_or(Ok(2))) else {
        let _ = writeln!(std::io::stderr(), "lan: write `lan [DEVICES] [INTERVALS]`, both numbers");
        return ExitCode::from(2);
    };
    match crowd(devices.max(2), u32::try_from(intervals).unwrap_or(2)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "lan: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Let the crowd call, and print what came of it; whether it is as it should be.
fn crowd(devices: usize, intervals: u32) -> Result<bool, Box<dyn std::error::Error>> {
    let mut config = LanConfig::default();
    config.discovery = DiscoveryConfig { interval: INTERVAL, ..DiscoveryConfig::default() };
    let mut lan = Lan::new(1);
    lan.lose(10);
    for n in 0..devices {
        lan.add(NodeConfig::new(Did::new(&name(n))?), &config, &[0])?;
    }
    let wanted = |n: usize| WANTED.map(|behind| name((n + behind) % devices));
    for n in 0..devices {
        for did in wanted(n).iter().filter(|did| **did != name(n)) {
            lan.with(n, |node, now| node.seek(now, did))?;
        }
    }
    lan.run(INTERVAL * intervals);
    let missed = (0..devices)
        .flat_map(|n| wanted(n).map(|did| (n, did)))
        .filter(|(n, did)| *did != name(*n) && lan.node(*n).neighbour(did).is_none())
        .count();
    let heard: Vec<u32> = lan.heard_alone().collect();
    let sum: u64 = heard.iter().copied().map(u64::from).sum();
    let (most, seconds) = (heard.iter().max().copied().unwrap_or(0), heard.len().max(1));
    let above = heard.iter().filter(|heard| **heard > 5).count();
    let known: usize = (0..devices).map(|n| lan.node(n).neighbours().count()).sum();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{devices} devices, {intervals} intervals of {} s, 1 % of datagrams lost", INTERVAL.as_secs())?;
    writeln!(out, "wanted names that are not known: {missed}")?;
    writeln!(out, "neighbours known: {:.1} a device", ratio(known as u64, devices))?;
    let average = ratio(sum, seconds);
    writeln!(
        out,
        "answers heard: {sum}; in a second with any {average:.2} on average, {most} at most, in {above} of {seconds} more than 5"
    )?;
    drop(out);
    Ok(flood()? && missed == 0 && average <= 5.0)
}

/// A hundred thousand beacons within a second from one sender, each under another name, and what they leave; whether a device that was known before is known and heard after it.
fn flood() -> Result<bool, Box<dyn std::error::Error>> {
    let (mut lan, config) = (Lan::new(2), LanConfig::default());
    for n in 0..2 {
        lan.add(NodeConfig::new(Did::new(&name(n))?), &config, &[0])?;
    }
    lan.run(Duration::from_secs(2));
    let mut frame = [0; 2048];
    for n in 0..FLOOD {
        let (did, mut stamp) = (format!("jis:flood:{n:06}"), [0; 32]);
        let packet = Packet {
            packet_id: Text::new("ping_0123456789abcdef"),
            source_did: Text::new(&did),
            target_did: Text::new("broadcast"),
            ping_type: PingType::Discover,
            routing_mode: RoutingMode::Broadcast,
            intent: Text::new("discover"),
            payload: Value::EMPTY_OBJECT,
            nonce: Text::new("00112233445566778899aabbccddeeff"),
            timestamp: Text::new(iso::format(lan.clock().wall, &mut stamp)),
            ..Packet::default()
        };
        let len = packet.encode(Encoding::Json, &mut frame)?;
        lan.shout("10.9.9.9:7150".parse()?, 0, frame.get(..len).unwrap_or_default());
        lan.run(Duration::from_micros(10));
    }
    let (most, before) = (DiscoveryConfig::default().max_per_address + 1, lan.clock());
    let left = lan.node(0).neighbours().count();
    lan.run(INTERVAL * 2);
    let heard = lan.node(0).neighbour(&name(1)).is_some_and(|known| known.heard > before.mono);
    writeln!(
        std::io::stdout(),
        "{FLOOD} beacons of one sender in a second leave {left} neighbours of {most} at most; the other device is heard: {heard}"
    )?;
    Ok(left <= most && heard)
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ratio(sum: u64, of: usize) -> f64 {
    sum as f64 / of as f64
}
