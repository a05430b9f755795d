//! The command line of `swarm`.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use sluis_core::framing::Encoding;
use sluis_core::sim::{Fault, Scenario, Setup};
use sluis_core::time::Duration;

/// More threads than any machine that this runs on has use for.
const MAX_JOBS: usize = 1024;

/// What a connection to a hub takes of channels, and some room.
const MAX_CHANNELS: u32 = 4000;

/// Which network.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// Nodes on datagrams.
    Network(Scenario),
    /// Pairs at brokers.
    Signal,
    /// Pairs at a hub.
    Mux,
    /// Devices on local networks.
    Lan,
    /// Relays among foes.
    Relay,
    /// Relays alone.
    Mesh,
}

impl Which {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network(scenario) => scenario.name(),
            Self::Signal => "signal",
            Self::Mux => "mux",
            Self::Lan => "lan",
            Self::Relay => "relay",
            Self::Mesh => "mesh",
        }
    }
}

/// A protection that is switched off.
#[derive(Clone, Copy, Debug)]
pub enum Protection {
    /// Of nodes on datagrams.
    Node(Fault),
    /// Of pairs at brokers.
    Signal(sluis_signal::Fault),
    /// Of pairs at a hub.
    Mux(sluis_mux::Fault),
}

impl Protection {
    /// If it is one of nodes.
    #[must_use]
    pub const fn of_nodes(self) -> Option<Fault> {
        match self {
            Self::Node(fault) => Some(fault),
            Self::Signal(_) | Self::Mux(_) => None,
        }
    }

    /// Whether this network has it.
    const fn is_of(self, scenario: Which) -> bool {
        match (scenario, self) {
            (Which::Network(_), Self::Node(fault)) => !fault.is_of_relays(),
            (Which::Relay, Self::Node(fault)) => fault.is_of_relays(),
            (Which::Signal, Self::Signal(_)) | (Which::Mux, Self::Mux(_)) => true,
            _ => false,
        }
    }

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node(fault) => fault.name(),
            Self::Signal(fault) => fault.name(),
            Self::Mux(fault) => fault.name(),
        }
    }
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Args {
    /// Which network.
    pub scenario: Which,
    /// Nodes under test.
    pub nodes: u32,
    /// Channels of each pair at a mux hub.
    pub channels: u32,
    /// The seeds.
    pub seeds: Range<u64>,
    /// Virtual time for each seed.
    pub span: Duration,
    /// How nodes write.
    pub encoding: Encoding,
    /// Threads.
    pub jobs: usize,
    /// A protection to switch off.
    pub fault: Option<Protection>,
    /// Where to record the only seed.
    pub record: Option<PathBuf>,
    /// JSON instead of text.
    pub json: bool,
}

/// What the command line comes to.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Print the help.
    Help,
    /// Run.
    Run(Box<Args>),
}

/// Read a command line, without the program's name.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Asked, String> {
    let mut words = words.into_iter();
    let (mut scenario, mut nodes, mut seeds) = (None, None, None);
    let mut off = None;
    let mut args = Args {
        scenario: Which::Signal,
        nodes: 0,
        channels: 2,
        seeds: 0..0,
        span: Duration::from_secs(60),
        encoding: Encoding::Postcard,
        jobs: 1,
        fault: None,
        record: None,
        json: false,
    };
    let mut given = Vec::new();
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        if given.contains(&flag) {
            return Err(format!("{flag} is given more than once, give it once"));
        }
        given.push(flag.clone());
        match flag.as_str() {
            "-h" | "--help" => return Ok(Asked::Help),
            "--json" if inline.is_some() => return Err("--json takes no value, leave it out".into()),
            "--json" => {
                args.json = true;
                continue;
            }
            _ => {}
        }
        let mut value = || inline.clone().or_else(|| words.next()).ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--scenario" => scenario = Some(which(&value()?)?),
            "--nodes" => nodes = Some(number(&flag, &value()?)?),
            "--channels" => args.channels = number(&flag, &value()?)?,
            "--seeds" => seeds = Some(range(&value()?)?),
            "--virtual" => args.span = seconds(&value()?)?,
            "--encoding" => args.encoding = encoding(&value()?)?,
            "--jobs" => args.jobs = number(&flag, &value()?)?,
            "--fault" => off = Some(value()?),
            "--record" => args.record = Some(value()?.into()),
            _ => return Err(format!("there is no option {flag:?}; --help lists all")),
        }
    }
    args.scenario = scenario.ok_or("--scenario is missing: random, say")?;
    // The same name may mean one protection of nodes and another of pairs.
    args.fault = off.map(|name| fault(&name, args.scenario)).transpose()?;
    args.nodes = nodes.ok_or("--nodes is missing: 100, say")?;
    args.seeds = seeds.ok_or("--seeds is missing: 0..100, say")?;
    check(&args)?;
    Ok(Asked::Run(Box::new(args)))
}

/// What can be wrong with values that are each right by themselves.
fn check(args: &Args) -> Result<(), String> {
    if !(1..=MAX_JOBS).contains(&args.jobs) {
        return Err(format!("--jobs takes a number of threads from 1 to {MAX_JOBS}"));
    }
    if let Some(file) = &args.record {
        if args.seeds.end - args.seeds.start != 1 {
            return Err("--record takes one seed: --seeds 7..8, say".into());
        }
        if !matches!(file.extension().and_then(|e| e.to_str()), Some("pcapng" | "jsonl")) {
            return Err("--record takes a file whose name ends in .pcapng or .jsonl".into());
        }
    }
    if args.channels != 2 && !matches!(args.scenario, Which::Mux) {
        return Err("--channels is for --scenario mux, leave it out".into());
    }
    if !(1..=MAX_CHANNELS).contains(&args.channels) {
        return Err(format!("--channels takes a number from 1 to {MAX_CHANNELS}"));
    }
    if args.fault.is_some_and(|fault| !fault.is_of(args.scenario)) {
        return Err(format!("--scenario {} has no such protection; --help lists those it has", args.scenario.name()));
    }
    let (name, least) = (args.scenario.name(), if matches!(args.scenario, Which::Relay | Which::Mesh) { 2 } else { 1 });
    let most = if matches!(args.scenario, Which::Mesh) { 100_000 } else { 10_000 };
    let scenario = match args.scenario {
        Which::Network(scenario) => scenario,
        _ if args.record.is_some() => {
            return Err(format!("--scenario {name} cannot be recorded, run its seed again instead"));
        }
        _ if (least..=most).contains(&args.nodes) => return Ok(()),
        _ => return Err(format!("--scenario {name} takes from {least} to {},000 nodes", most / 1000)),
    };
    // Impossible worlds are found before anything runs.
    scenario.config(&args.setup(args.seeds.start)).map(|_| ()).map_err(|e| e.to_string())
}

impl Args {
    /// What this seed's world is made of.
    #[must_use]
    pub fn setup(&self, seed: u64) -> Setup {
        let mut setup = Setup::new(self.nodes, seed);
        let fault = self.fault.and_then(Protection::of_nodes);
        (setup.encoding, setup.span, setup.fault) = (self.encoding, self.span, fault);
        setup
    }

    /// The command that runs this seed again, and nothing else.
    #[must_use]
    pub fn replay(&self, seed: u64) -> String {
        let mut command = format!(
            "cargo run --release -p sluis-benches --bin swarm -- --scenario {} --nodes {} --seeds {seed}..{} --virtual {} --encoding {}",
            self.scenario.name(),
            self.nodes,
            seed + 1,
            self.span.as_secs_f64(),
            name_of(self.encoding),
        );
        if matches!(self.scenario, Which::Mux) {
            let _ = write!(command, " --channels {}", self.channels);
        }
        if let Some(fault) = self.fault {
            command += " --fault ";
            command += fault.name();
        }
        command
    }
}

const fn name_of(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "json",
        Encoding::Msgpack => "msgpack",
        Encoding::Postcard => "postcard",
    }
}

fn number<N: std::str::FromStr>(flag: &str, text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{flag} takes a whole number, and {text:?} is none that fits"))
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let odd = || format!("--seeds takes two numbers, as in 0..100, not {text:?}");
    let (from, to) = text.split_once("..").ok_or_else(odd)?;
    let (from, to) = (from.parse().map_err(|_| odd())?, to.parse().map_err(|_| odd())?);
    if from >= to {
        return Err(format!("--seeds {text} is empty: the first number must be below the second"));
    }
    Ok(from..to)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let odd = || format!("--virtual takes seconds above 0 and up to a year, not {text:?}");
    let seconds: f64 = text.parse().map_err(|_| odd())?;
    if !(seconds > 0.0 && seconds <= 366.0 * 86_400.0) {
        return Err(odd());
    }
    // A nanosecond is as fine as time is here.
    Some(Duration::from_secs_f64(seconds)).filter(|span| !span.is_zero()).ok_or_else(odd)
}

fn encoding(text: &str) -> Result<Encoding, String> {
    [Encoding::Postcard, Encoding::Json, Encoding::Msgpack]
        .into_iter()
        .find(|encoding| name_of(*encoding) == text)
        .ok_or(format!("--encoding takes postcard, json or msgpack, not {text:?}"))
}

fn which(text: &str) -> Result<Which, String> {
    match text {
        "signal" => return Ok(Which::Signal),
        "mux" => return Ok(Which::Mux),
        "lan" => return Ok(Which::Lan),
        "relay" => return Ok(Which::Relay),
        "mesh" => return Ok(Which::Mesh),
        _ => {}
    }
    // The other scenarios are not ours to list.
    Scenario::from_name(text).map(Which::Network).map_err(|error| format!("{error}, signal, mux, lan, relay, mesh"))
}

fn fault(text: &str, scenario: Which) -> Result<Protection, String> {
    use sluis_signal::Fault as Signal;
    let node = Fault::from_name(text).map(Protection::Node);
    let pairs = Signal::from_name(text).map(Protection::Signal);
    let agents = sluis_mux::Fault::from_name(text).map(Protection::Mux);
    let fault = match scenario {
        Which::Network(_) | Which::Lan | Which::Relay | Which::Mesh => node.or(pairs).or(agents),
        Which::Signal => pairs.or(node).or(agents),
        Which::Mux => agents.or(pairs).or(node),
    };
    fault.ok_or_else(|| {
        let (nodes, pairs) = (Fault::ALL.map(Fault::name).join(", "), Signal::ALL.map(Signal::name).join(", "));
        let agents = sluis_mux::Fault::ALL.map(sluis_mux::Fault::name).join(", ");
        format!("there is no fault {text:?}; there are {nodes}, of signal {pairs}, and of mux {agents}")
    })
}

#[cfg(test)]
mod tests {
    use super::{Asked, parse};

    fn sentence(line: &str) -> String {
        match parse(line.split_whitespace().map(str::to_owned)) {
            Err(why) => why,
            Ok(asked) => panic!("{asked:?}"),
        }
    }

    #[test]
    fn impossible_networks_are_one_sentence() {
        assert_eq!(sentence("--scenario random --nodes 0 --seeds 0..1"), "a world needs at least one node");
        assert_eq!(
            sentence("--scenario moon --nodes 1 --seeds 0..1"),
            "there is no scenario \"moon\"; there are random, star, storm, partition, restart, heartbeat, adversary, signal, mux, lan, relay, mesh"
        );
        assert_eq!(
            sentence("--scenario random --nodes 1 --seeds 5..5"),
            "--seeds 5..5 is empty: the first number must be below the second"
        );
        assert!(sentence("--scenario random --nodes 1 --seeds 9..5").contains("is empty"));
        assert!(sentence("--scenario random --nodes 99999999 --seeds 0..1").starts_with("a world has at most"));
        assert!(sentence("--scenario random --nodes 4 --seeds 0..1 --fault x").starts_with("there is no fault"));
        assert!(sentence("--scenario random --nodes 4 --seeds 0..2 --record x.jsonl").contains("one seed"));
        assert!(
            sentence("--scenario signal --nodes 4 --seeds 0..1 --fault any-responder").contains("no such protection")
        );
        assert!(sentence("--scenario random --nodes 4 --seeds 0..1 --fault ack-early").contains("no such protection"));
        assert!(sentence("--scenario lan --nodes 4 --seeds 0..1 --fault any-responder").contains("no such protection"));
        assert!(sentence("--scenario relay --nodes 1 --seeds 0..1").contains("from 2 to 10,000 nodes"));
        assert!(sentence("--scenario mesh --nodes 100001 --seeds 0..1").contains("from 2 to 100,000 nodes"));
        for line in [
            "relay --fault any-responder",
            "mesh --fault no-hop-cap",
            "random --fault no-hop-cap",
            "relay --fault no-tag",
        ] {
            let why = sentence(&format!("--nodes 4 --seeds 0..1 --scenario {line}"));
            assert!(why.contains("no such protection"), "{line}: {why}");
        }
        assert!(sentence("--scenario lan --nodes 0 --seeds 0..1").contains("from 1 to 10,000 nodes"));
        assert!(sentence("--scenario signal --nodes 0 --seeds 0..1").contains("from 1 to 10,000 nodes"));
        assert_eq!(sentence("--nodes 1 --seeds 0..1"), "--scenario is missing: random, say");
        assert_eq!(sentence("--nodes"), "--nodes needs a value");
        assert_eq!(sentence("--nodes 1 --nodes=2"), "--nodes is given more than once, give it once");
        assert_eq!(sentence("--json=5"), "--json takes no value, leave it out");
        for jobs in ["0", "1025"] {
            let line = format!("--scenario random --nodes 4 --seeds 0..1 --jobs {jobs}");
            assert_eq!(sentence(&line), "--jobs takes a number of threads from 1 to 1024");
        }
        for span in ["0", "-1", "nan", "1e-12", "1e99"] {
            let line = format!("--scenario random --nodes 4 --seeds 0..1 --virtual {span}");
            assert!(sentence(&line).starts_with("--virtual takes seconds above 0"), "{span}");
        }
    }

    #[test]
    fn a_fault_is_one_of_its_scenario() {
        for (scenario, fault) in
            [("adversary", "accept-downgrade"), ("signal", "accept-downgrade"), ("relay", "blame-neighbour")]
        {
            let line = format!("--scenario {scenario} --nodes 4 --seeds 0..1 --fault {fault}");
            assert!(parse(line.split(' ').map(str::to_owned)).is_ok(), "{scenario}");
        }
    }

    #[test]
    fn the_replay_command_asks_for_the_same() {
        let line = "--scenario storm --nodes 12 --seeds 3..9 --virtual 2.5 --encoding json --fault answer-rood";
        let Ok(Asked::Run(args)) = parse(line.split(' ').map(str::to_owned)) else { panic!() };
        let command = args.replay(5);
        let (_, again) = command.split_once(" -- ").unwrap();
        let Ok(Asked::Run(again)) = parse(again.split(' ').map(str::to_owned)) else { panic!("{again}") };
        assert_eq!(again.seeds, 5..6);
        assert_eq!(again.replay(5), command);
    }
}
