//! The two ends of a measurement, each a process of its own.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluis_benches::memory::{Asker, Listen};
use sluis_benches::nodes::{Packets, Pair, hub, sensor};
use sluis_benches::samples::ENCODINGS;
use sluis_core::framing::Encoding;

use crate::args::{Contestant, EncodingName, End, Role, RuntimeName};
use crate::quick::Quick;
use crate::runtime::{Runtime, Smol, Tokio};
use crate::{echo, place};

/// What a sensor measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    /// Microseconds, if it was one at a time.
    pub(crate) p50: f64,
}

pub(crate) fn encoding(name: EncodingName) -> Encoding {
    let wanted = name.to_string();
    ENCODINGS.iter().find(|(_, name)| *name == wanted).map_or(Encoding::Json, |(encoding, _)| *encoding)
}

/// A request and a response as they really are.
pub(crate) fn messages(encoding: Encoding) -> (Vec<u8>, Vec<u8>) {
    let mut pair = Pair::new(0.9, encoding);
    let mut request = pair.ask().to_vec();
    let mut answers = Packets::default();
    let _ = pair.tell_hub(&mut request, &mut answers);
    (request, answers.get(0).to_vec())
}

fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn open() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(anywhere())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Be one end.
pub(crate) fn run(end: &End) -> Result<(), String> {
    place::pin(end.core)?;
    match (end.role, end.runtime) {
        (Role::Hub, RuntimeName::Tokio) => answer::<Tokio>(end),
        (Role::Hub, RuntimeName::Smol) => answer::<Smol>(end),
        (Role::Sensor { to, count, in_flight }, RuntimeName::Tokio) => ask::<Tokio>(end, to, count, in_flight),
        (Role::Sensor { to, count, in_flight }, RuntimeName::Smol) => ask::<Smol>(end, to, count, in_flight),
    }
}

/// Answer until the other process closes our input.
fn answer<R: Runtime>(end: &End) -> Result<(), String> {
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let said = |addr: SocketAddr| println!("{}", json!({ "addr": addr.to_string() }));
    let (_, response) = messages(encoding(end.encoding));
    let done: io::Result<()> = R::block_on(async {
        match end.contestant {
            Contestant::Sluis => {
                let mut line = R::line(anywhere()).map_err(io::Error::other)?;
                said(R::addr(&line));
                R::run(&mut line, &mut hub(0.9), &mut Listen::default()).await.map(|_| ())
            }
            Contestant::Plain => {
                let socket = open()?;
                said(socket.local_addr()?);
                echo::serve::<R>(&R::open(socket)?, &response).await
            }
            Contestant::Single | Contestant::Batched => {
                let socket = open()?;
                said(socket.local_addr()?);
                Quick::<R>::new(socket, &response, end.contestant == Contestant::Batched)?.serve().await
            }
        }
    });
    done.map_err(|e| format!("{}: {e}", end.contestant))
}

/// Ask: a tenth to warm up, then what counts.
fn ask<R: Runtime>(end: &End, to: SocketAddr, count: u64, in_flight: u64) -> Result<(), String> {
    let (request, _) = messages(encoding(end.encoding));
    let warm_up = (count / 10).max(in_flight);
    let mut rtts = Vec::with_capacity(usize::try_from(warm_up.max(count)).unwrap_or(0));
    let done: io::Result<Duration> = R::block_on(async {
        match end.contestant {
            Contestant::Sluis => {
                let (mut line, mut node) = (R::line(anywhere()).map_err(io::Error::other)?, sensor());
                let mut asker = Asker::new(encoding(end.encoding), in_flight, to.into());
                asker.stop = true;
                asker.left = warm_up;
                R::run(&mut line, &mut node, &mut asker).await?;
                asker.left = count;
                asker.answered = 0;
                if in_flight == 1 {
                    asker.rtts = std::mem::take(&mut rtts);
                }
                let began = Instant::now();
                R::run(&mut line, &mut node, &mut asker).await?;
                let took = began.elapsed();
                rtts = asker.rtts;
                if asker.answered == count {
                    Ok(took)
                } else {
                    Err(io::Error::other(format!("{} were lost", asker.lost)))
                }
            }
            Contestant::Plain => {
                let socket = R::open(open()?)?;
                echo::ask::<R>(&socket, to, &request, warm_up, in_flight, &mut rtts).await?;
                rtts.clear();
                echo::ask::<R>(&socket, to, &request, count, in_flight, &mut rtts).await
            }
            Contestant::Single | Contestant::Batched => {
                let mut quick = Quick::<R>::new(open()?, &request, end.contestant == Contestant::Batched)?;
                quick.ask(to, warm_up, in_flight, &mut rtts).await?;
                rtts.clear();
                quick.ask(to, count, in_flight, &mut rtts).await
            }
        }
    });
    let took = done.map_err(|e| format!("{}: {e}", end.contestant))?;
    rtts.sort_unstable();
    let p50 = rtts.get(rtts.len() / 2).map_or(0.0, |nanos| *nanos as f64 / 1000.0);
    println!("{}", json!({ "per_second": count as f64 / took.as_secs_f64(), "p50": p50 }));
    Ok(())
}

/// A process that is one end; ends with us.
struct Process {
    child: Child,
    /// Closing it ends a hub.
    _input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(end: &End) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| format!("cannot find myself: {e}"))?;
        let mut command = Command::new(program);
        command.args(end.to_args()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("cannot start an end: {e}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or("an end without output")?);
        Ok(Self { child, _input: input, output: BufReader::new(output) })
    }

    fn line(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|e| e.to_string())?;
        serde_json::from_str(&line).map_err(|_| "an end gave up; what it said stands above".to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Start both ends, let them measure, and stop them.
pub(crate) fn measure(
    runtime: RuntimeName,
    contestant: Contestant,
    encoding: EncodingName,
    cores: (usize, usize),
    count: u64,
    in_flight: u64,
) -> Result<Measured, String> {
    let mut end = End { role: Role::Hub, runtime, contestant, encoding, core: cores.0 };
    let mut hub = Process::start(&end)?;
    let said = hub.line()?;
    let to = said["addr"].as_str().and_then(|addr| addr.parse().ok()).ok_or("a hub without an address")?;
    end.role = Role::Sensor { to, count, in_flight };
    end.core = cores.1;
    let said = Process::start(&end)?.line()?;
    let number = |name: &str| said[name].as_f64().ok_or_else(|| format!("a sensor that does not say {name}"));
    Ok(Measured { per_second: number("per_second")?, p50: number("p50")? })
}
