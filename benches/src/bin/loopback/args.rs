//! The command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

pub(crate) const HELP: &str = "\
Round trips over loopback: Sluis beside echo servers of the same sizes.

usage: loopback [--runtime tokio|smol] [--json] [--encoding json|msgpack|postcard]
                [--turns N (7)] [--count N (150000)] [--singles N (30000)] [--cores A,B] [--reference] [--quic] [--flood]
       loopback --relay [--runtime tokio|smol] [--json] [--turns N (7)] [--count N (150000)] [--cores A,B]
       loopback --metrics SLUIS [--json] [--turns N (7)] [--count N (150000)] [--cores A,B]

  --runtime    only this one (both unless told)
  --turns      how often everything is measured; medians count
  --count      round trips of one measurement with 64 in flight
  --singles    the same, one at a time
  --cores      where the two ends run (the first two that this process may use)
  --reference  measure two reference nodes as well (python3 and, once, PyPI are needed)
  --quic       measure datagrams of quinn as well (built from benches/quinn, once)
  --flood      what a known peer's session keeps of its pings while 100,000 handshakes a second come from addresses that are not theirs
  --relay      instead: what a relay passes on of a circuit a second, beside a plain forwarder of the same sizes and batches
  --metrics    instead: what it costs that program, a `sluis` of this version, to have its metrics read once a second
  --json       one object a line";

/// What to do.
#[derive(Debug)]
pub(crate) enum Mode {
    Help,
    Compare(Args),
    End(End),
}

/// A comparison.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) runtimes: Vec<RuntimeName>,
    pub(crate) encoding: EncodingName,
    pub(crate) turns: usize,
    pub(crate) count: u64,
    pub(crate) singles: u64,
    pub(crate) cores: Option<(usize, usize)>,
    pub(crate) reference: bool,
    pub(crate) quic: bool,
    pub(crate) flood: bool,
    pub(crate) relay: bool,
    /// The program whose metrics are read.
    pub(crate) metrics: Option<PathBuf>,
    pub(crate) json: bool,
}

/// One end of a measurement: a process that this program starts of itself.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) role: Role,
    pub(crate) runtime: RuntimeName,
    pub(crate) contestant: Contestant,
    pub(crate) encoding: EncodingName,
    pub(crate) core: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// Answers.
    Hub,
    /// Asks there, so often, so many at once.
    Sensor { to: SocketAddr, count: u64, in_flight: u64 },
    /// Begins so many handshakes a second there, from forged addresses.
    Flood { to: SocketAddr, rate: u64 },
    /// Passes on what comes from anywhere to there, and what comes from there back.
    Forward { to: SocketAddr },
    /// The far end of a circuit, which sends a packet of this length back for each that comes.
    Far { len: usize },
    /// The near end: sends packets of this length over the relay there, so many, so many at once.
    Near { to: SocketAddr, len: usize, count: u64, in_flight: u64 },
}

macro_rules! words {
    ($name:ident { $($variant:ident = $text:literal),+ }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),+ }

        impl $name {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),+ })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().find(|word| word.to_string() == text);
                found.copied().ok_or_else(|| format!("'{text}' is none of: {}", [$($text),+].join(", ")))
            }
        }
    };
}

words!(RuntimeName { Tokio = "tokio", Smol = "smol" });
words!(EncodingName { Json = "json", Msgpack = "msgpack", Postcard = "postcard" });
words!(Contestant { Sluis = "sluis", Sealed = "sluis-sessions", Plain = "plain-echo", Single = "quinn-udp-echo-single", Batched = "quinn-udp-echo" });

impl Args {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Mode, String> {
        let mut out = Self {
            runtimes: RuntimeName::ALL.to_vec(),
            encoding: EncodingName::Json,
            turns: 7,
            count: 150_000,
            singles: 30_000,
            cores: None,
            reference: false,
            quic: false,
            flood: false,
            relay: false,
            metrics: None,
            json: false,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--help" | "-h" => return Ok(Mode::Help),
                "--json" => out.json = true,
                "--reference" => out.reference = true,
                "--quic" => out.quic = true,
                "--flood" => out.flood = true,
                "--relay" => out.relay = true,
                "--metrics" => out.metrics = Some(value()?.into()),
                "--runtime" => out.runtimes = vec![value()?.parse().map_err(|e| format!("--runtime: {e}"))?],
                "--encoding" => out.encoding = value()?.parse().map_err(|e| format!("--encoding: {e}"))?,
                "--turns" => out.turns = positive(&arg, &value()?)?,
                "--count" => out.count = positive(&arg, &value()?)?,
                "--singles" => out.singles = positive(&arg, &value()?)?,
                "--cores" => {
                    let text = value()?;
                    let pair = text.split_once(',').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                    out.cores = Some(pair.ok_or_else(|| format!("--cores: '{text}' is not two numbers like 0,1"))?);
                }
                // As `ends::Process` writes it, in this order.
                "--end" => return end(&args.collect::<Vec<_>>()).ok_or_else(|| "--end is not for people".to_owned()),
                _ => return Err(format!("'{arg}' is not known")),
            }
        }
        Ok(Mode::Compare(out))
    }
}

fn positive<T: FromStr + PartialOrd + Default>(name: &str, text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|n| *n > T::default());
    number.ok_or_else(|| format!("{name}: '{text}' is not a number above 0"))
}

impl End {
    /// The arguments that bring this back in another process.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let mut args = vec!["--end".to_owned()];
        args.extend([self.runtime.to_string(), self.contestant.to_string(), self.encoding.to_string()]);
        args.push(self.core.to_string());
        let role = match self.role {
            Role::Hub => "hub".to_owned(),
            Role::Sensor { to, count, in_flight } => format!("sensor {to} {count} {in_flight}"),
            Role::Flood { to, rate } => format!("flood {to} {rate}"),
            Role::Forward { to } => format!("forward {to}"),
            Role::Far { len } => format!("far {len}"),
            Role::Near { to, len, count, in_flight } => format!("near {to} {len} {count} {in_flight}"),
        };
        args.extend(role.split(' ').map(str::to_owned));
        args
    }
}

fn end(args: &[String]) -> Option<Mode> {
    let [runtime, contestant, encoding, core, rest @ ..] = args else { return None };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let role = match rest[..] {
        ["hub"] => Role::Hub,
        ["flood", to, rate] => Role::Flood { to: to.parse().ok()?, rate: rate.parse().ok()? },
        ["sensor", to, count, in_flight] => {
            Role::Sensor { to: to.parse().ok()?, count: count.parse().ok()?, in_flight: in_flight.parse().ok()? }
        }
        ["forward", to] => Role::Forward { to: to.parse().ok()? },
        ["far", len] => Role::Far { len: len.parse().ok()? },
        ["near", to, len, count, in_flight] => Role::Near {
            to: to.parse().ok()?,
            len: len.parse().ok()?,
            count: count.parse().ok()?,
            in_flight: in_flight.parse().ok()?,
        },
        _ => return None,
    };
    Some(Mode::End(End {
        role,
        runtime: runtime.parse().ok()?,
        contestant: contestant.parse().ok()?,
        encoding: encoding.parse().ok()?,
        core: core.parse().ok()?,
    }))
}
