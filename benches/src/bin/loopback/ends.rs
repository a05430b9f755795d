//! The two ends of a measurement, each a process of its own.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluis_benches::memory::{Asker, Listen};
use sluis_benches::nodes::{Packets, Pair, hub, sealed_hub, sealed_sensor, sensor};
use sluis_benches::samples::ENCODINGS;
use sluis_core::framing::Encoding;

use crate::args::{Contestant, EncodingName, End, Role, RuntimeName};
use crate::quick::Quick;
use crate::runtime::{Runtime, Smol, Tokio};
use crate::{echo, flood, forward, place};

/// What a sensor measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    /// Microseconds, if it was one at a time.
    pub(crate) p50: f64,
    /// How many requests of ours nobody answered within a second.
    pub(crate) lost: f64,
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

pub(crate) fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub(crate) fn open() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(anywhere())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Be one end.
pub(crate) fn run(end: &End) -> Result<(), String> {
    place::pin(end.core)?;
    match (end.role, end.runtime) {
        (Role::Flood { to, rate }, _) => flood::run(end, to, rate),
        (Role::Forward { .. } | Role::Far { .. } | Role::Near { .. }, RuntimeName::Tokio) => forward::run::<Tokio>(end),
        (Role::Forward { .. } | Role::Far { .. } | Role::Near { .. }, RuntimeName::Smol) => forward::run::<Smol>(end),
        (Role::Hub, RuntimeName::Tokio) => answer::<Tokio>(end),
        (Role::Hub, RuntimeName::Smol) => answer::<Smol>(end),
        (Role::Sensor { to, count, in_flight }, RuntimeName::Tokio) => ask::<Tokio>(end, to, count, in_flight),
        (Role::Sensor { to, count, in_flight }, RuntimeName::Smol) => ask::<Smol>(end, to, count, in_flight),
    }
}

/// End this process when the other closes our input.
pub(crate) fn end_with_input() {
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
}

/// Tell the other process where we are.
pub(crate) fn said(addr: SocketAddr) {
    println!("{}", json!({ "addr": addr.to_string() }));
}

/// Answer until the other process closes our input.
fn answer<R: Runtime>(end: &End) -> Result<(), String> {
    end_with_input();
    let (_, response) = messages(encoding(end.encoding));
    let done: io::Result<()> = R::block_on(async {
        match end.contestant {
            Contestant::Sluis | Contestant::Sealed => {
                let mut line = R::line(anywhere()).map_err(io::Error::other)?;
                said(R::addr(&line));
                let mut hub =
                    if end.contestant == Contestant::Sealed { sealed_hub(R::now(&line), 0.9) } else { hub(0.9) };
                R::run(&mut line, &mut hub, &mut Listen::default()).await.map(|_| ())
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
    let mut lost = 0;
    let done: io::Result<Duration> = R::block_on(async {
        match end.contestant {
            Contestant::Sluis | Contestant::Sealed => {
                let mut line = R::line(anywhere()).map_err(io::Error::other)?;
                let mut node =
                    if end.contestant == Contestant::Sealed { sealed_sensor(R::now(&line)) } else { sensor() };
                let mut asker = Asker::new(encoding(end.encoding), in_flight, to.into());
                asker.stop = true;
                asker.left = warm_up;
                asker.timeout = Some(Duration::from_secs(1));
                R::run(&mut line, &mut node, &mut asker).await?;
                asker.left = count;
                asker.lost = 0;
                if in_flight == 1 {
                    asker.rtts = std::mem::take(&mut rtts);
                }
                let began = Instant::now();
                R::run(&mut line, &mut node, &mut asker).await?;
                let took = began.elapsed();
                rtts = asker.rtts;
                lost = asker.lost;
                Ok(took)
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
    println!("{}", json!({ "per_second": (count - lost) as f64 / took.as_secs_f64(), "p50": p50, "lost": lost }));
    Ok(())
}

/// A process that is one end; ends with us.
pub(crate) struct Process {
    child: Child,
    /// Closing it ends a hub or a flood.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// This program as one end.
    pub(crate) fn of_this(end: &End) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| format!("cannot find myself: {e}"))?;
        Self::start(Command::new(program).args(end.to_args()))
    }

    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("cannot start an end: {e}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or("an end without output")?);
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// Have it come to its end.
    fn stop(&mut self) {
        self.input = None;
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next of what it has to say.
    pub(crate) fn line(&mut self) -> Result<Value, String> {
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
    let end = End { role: Role::Hub, runtime, contestant, encoding, core: cores.0 };
    let (_hub, to) = start_hub(&end)?;
    let measured = run_sensor(&end, cores.1, to, count, in_flight)?;
    if measured.lost > 0.0 { Err(format!("{contestant}: {} were lost", measured.lost)) } else { Ok(measured) }
}

/// The same of encrypted sessions while handshakes are begun at this rate, before and after the session came up; how many of them came a second.
pub(crate) fn measure_flooded(
    runtime: RuntimeName,
    encoding: EncodingName,
    cores: (usize, usize),
    (count, in_flight): (u64, u64),
    rate: u64,
) -> Result<(Measured, f64), String> {
    let end = End { role: Role::Hub, runtime, contestant: Contestant::Sealed, encoding, core: cores.0 };
    let (_hub, to) = start_hub(&end)?;
    let mut flood = Process::of_this(&End { role: Role::Flood { to, rate }, core: cores.1, ..end.clone() })?;
    flood.line()?;
    let measured = run_sensor(&end, cores.1, to, count, in_flight)?;
    flood.stop();
    let said = flood.line()?["per_second"].as_f64().ok_or("a flood that does not say how fast it was")?;
    Ok((measured, said))
}

/// Start an end that says where it is.
pub(crate) fn start_hub(end: &End) -> Result<(Process, SocketAddr), String> {
    let mut hub = Process::of_this(end)?;
    let said = hub.line()?;
    let to = said["addr"].as_str().and_then(|addr| addr.parse().ok()).ok_or("a hub without an address")?;
    Ok((hub, to))
}

/// Have somebody ask this hub.
pub(crate) fn run_sensor(
    hub: &End,
    core: usize,
    to: SocketAddr,
    count: u64,
    in_flight: u64,
) -> Result<Measured, String> {
    let end = End { role: Role::Sensor { to, count, in_flight }, core, ..hub.clone() };
    let said = Process::of_this(&end)?.line()?;
    let number = |name: &str| said[name].as_f64().ok_or_else(|| format!("a sensor that does not say {name}"));
    Ok(Measured { per_second: number("per_second")?, p50: number("p50")?, lost: number("lost")? })
}
