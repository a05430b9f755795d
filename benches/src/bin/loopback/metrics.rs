//! What it costs a node to have its metrics read once a second.
//!
//! Two figures: the processor time of a scrape, as a share of the second until the next, of a node that has nothing else to do; and what is left of the round trips of one that has.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use sluis_benches::contest::median;
use sluis_benches::report::{Report, Row};
use sluis_benches::samples::{HUB, SENSOR};

use crate::args::{Args, Contestant, EncodingName, End, Role, RuntimeName};
use crate::ends::{Process, anywhere, run_sensor};
use crate::place;

/// Between two scrapes.
const EVERY: Duration = Duration::from_secs(1);
/// How long a node takes to begin, at most.
const START: Duration = Duration::from_secs(10);
/// Scrapes of the node without anything else to do.
const SCRAPES: u32 = 200;
/// How many pings are under way at once.
const IN_FLIGHT: u64 = 64;

/// A node of the program, where its pings go and where its metrics are.
struct Node {
    process: Process,
    addr: SocketAddr,
    metrics: SocketAddr,
}

impl Node {
    fn start(program: &Path, core: usize) -> Result<Self, String> {
        // It says nothing of each ping, and so not where it is either: ports that are free now are still free in a moment.
        let place = |addr: io::Result<SocketAddr>| addr.map_err(|why| format!("no port is free: {why}"));
        let addr = place(UdpSocket::bind(anywhere()).and_then(|socket| socket.local_addr()))?;
        let metrics = place(TcpListener::bind(anywhere()).and_then(|listener| listener.local_addr()))?;
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string()]).arg(program).args(["listen", "--did", HUB, "--quiet"]);
        command.args(["--bind", &addr.to_string(), "--metrics", &metrics.to_string()]);
        command.args(["--allow-legacy", "--trust", &format!("{SENSOR}=0.9")]);
        let node = Self { process: Process::start(&mut command)?, addr, metrics };
        let began = Instant::now();
        while let Err(why) = scrape(metrics) {
            if began.elapsed() > START {
                return Err(why);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(node)
    }

    /// Nanoseconds that all of its threads were on a processor.
    fn busy(&self) -> Result<f64, String> {
        let threads = format!("/proc/{}/task", self.process.id());
        let threads = fs::read_dir(&threads).map_err(|why| format!("{threads}: {why}"))?;
        let of = |thread: fs::DirEntry| {
            let stat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<f64>().ok()
        };
        Ok(threads.filter_map(Result::ok).filter_map(of).sum())
    }
}

fn scrape(at: SocketAddr) -> Result<usize, String> {
    let read = || {
        let mut stream = TcpStream::connect(at)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut page = Vec::new();
        stream.read_to_end(&mut page).map(|_| page)
    };
    let page = read().map_err(|why| format!("cannot scrape {at}: {why}"))?;
    if page.starts_with(b"HTTP/1.1 200") { Ok(page.len()) } else { Err("the metrics are not served".to_owned()) }
}

/// Scrapes once a second, the first time at once, until this is dropped.
fn scraper(at: SocketAddr) -> Sender<()> {
    let (stop, stopped) = channel();
    thread::spawn(move || while scrape(at).is_ok() && stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {});
    stop
}

/// Measure, and report.
pub(crate) fn compare(args: &Args, program: &Path) -> Result<(), String> {
    let cores = args.cores.map_or_else(place::two_cores, Ok)?;
    let node = Node::start(program, cores.0)?;
    // The first ones grow what the others use.
    (0..10).try_for_each(|_| scrape(node.metrics).map(|_| ()))?;
    let before = node.busy()?;
    let mut bytes = 0;
    for _ in 0..SCRAPES {
        bytes = scrape(node.metrics)?;
    }
    let each = (node.busy()? - before) / f64::from(SCRAPES);
    drop(node);
    let mut ratios = Vec::new();
    for turn in 0..args.turns {
        let mut rates = [0.0; 2];
        for step in 0..2 {
            let scraped = (turn + step) % 2;
            rates[scraped] = rate(args, program, cores, scraped == 1)?;
        }
        ratios.push(rates[1] / rates[0]);
    }
    let mut report = Report::new("loopback", args.json);
    let what = format!("processor time of a scrape of {bytes} bytes, share of a second");
    report.add(&Row { what, value: each / 1e7, unit: "%", target: Some(1.0), floor: None, nanos: Some(each) });
    let what = format!("round trips while scraped once a second ÷ without, {IN_FLIGHT} in flight");
    let value = median(&mut ratios);
    report.at_least(&Row { what, value, unit: "×", target: Some(0.99), floor: None, nanos: None });
    report.finish();
    Ok(())
}

/// Round trips a second with a node of the program.
fn rate(args: &Args, program: &Path, cores: (usize, usize), scraped: bool) -> Result<f64, String> {
    let node = Node::start(program, cores.0)?;
    let _scraper = scraped.then(|| scraper(node.metrics));
    let (contestant, encoding) = (Contestant::Sluis, EncodingName::Json);
    let end = End { role: Role::Hub, runtime: RuntimeName::Tokio, contestant, encoding, core: cores.0 };
    let measured = run_sensor(&end, cores.1, node.addr, args.count, IN_FLIGHT)?;
    Ok(measured.per_second)
}
