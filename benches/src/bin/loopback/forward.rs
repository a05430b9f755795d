//! Packets of a circuit through a relay, beside a plain forwarder that passes datagrams of the same sizes on in the same batches.
//!
//! Both ends of the circuit are plain sockets on one core, the relay is alone on the other.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use sluis_benches::contest::median;
use sluis_benches::memory::Listen;
use sluis_benches::relaying::relay;
use sluis_benches::report::{Report, Row};
use sluis_benches::samples::{HUB, SENSOR, ping, response};
use sluis_core::Wall;
use sluis_core::framing::{Encoding, Packet, PingType, Response, RoutingMode, Text, Value};
use sluis_core::relay::{CIRCUIT_HEAD, CircuitPacket, Label};
use sluis_core::time::iso;

use crate::args::{Args, Contestant, EncodingName, End, Role, RuntimeName};
use crate::ends::{Process, anywhere, end_with_input, open, said, start_hub};
use crate::place;
use crate::quick::Quick;
use crate::runtime::Runtime;

/// Lengths of packets: a typical ping in a session, and as much as a path takes that nothing is known of.
const LENGTHS: [usize; 2] = [600, 1400];
/// How many packets are under way at once.
const IN_FLIGHT: u64 = 64;
/// Nothing takes as long unless packets were lost, of which none is sent again.
const LONGEST: Duration = Duration::from_secs(120);

/// Be one of the three.
pub(crate) fn run<R: Runtime>(end: &End) -> Result<(), String> {
    let done = match end.role {
        Role::Near { to, len, count, in_flight } => R::block_on(near::<R>(to, len, count, in_flight)),
        Role::Far { len } => R::block_on(far::<R>(len)),
        Role::Forward { to } => R::block_on(forward::<R>(end, to)),
        Role::Hub | Role::Sensor { .. } | Role::Flood { .. } => Err(io::ErrorKind::InvalidInput.into()),
    };
    done.map_err(|why| format!("{}: {why}", end.contestant))
}

async fn forward<R: Runtime>(end: &End, to: SocketAddr) -> io::Result<()> {
    end_with_input();
    if end.contestant == Contestant::Sluis {
        let mut line = R::line(anywhere()).map_err(io::Error::other)?;
        said(R::addr(&line));
        return R::run(&mut line, &mut relay(to.into()), &mut Listen::default()).await.map(|_| ());
    }
    let socket = open()?;
    said(socket.local_addr()?);
    Quick::<R>::new(socket, &[0], true)?.forward(to).await
}

async fn far<R: Runtime>(len: usize) -> io::Result<()> {
    end_with_input();
    let socket = UdpSocket::bind(anywhere())?;
    said(socket.local_addr()?);
    let mut frame = [0; 2048];
    let (_, relay) = socket.recv_from(&mut frame)?;
    let enters = Value::from_json(r#"{"circuit":true}"#).unwrap_or(Value::EMPTY_OBJECT);
    let answer = Response { payload: enters, ..response() };
    let answer_len = answer.encode(Encoding::Json, &mut frame).map_err(io::Error::other)?;
    socket.send_to(&frame[..answer_len], relay)?;
    socket.set_nonblocking(true)?;
    Quick::<R>::new(socket, &packet(len), true)?.serve().await
}

/// Ask for the circuit, then send through it: a tenth to warm up, then what counts.
async fn near<R: Runtime>(to: SocketAddr, len: usize, count: u64, in_flight: u64) -> io::Result<()> {
    std::thread::spawn(|| {
        std::thread::sleep(LONGEST);
        eprintln!("loopback: packets were lost on their way through the relay");
        std::process::exit(1);
    });
    let socket = UdpSocket::bind(anywhere())?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stamp = [0; 32];
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let wall = Wall::from_micros(i64::try_from(wall.as_micros()).map_err(io::Error::other)?);
    let timestamp = Text::new(iso::format(wall, &mut stamp));
    let asks = Packet { routing_mode: RoutingMode::Mesh, ping_type: PingType::Relay, timestamp, ..ping() };
    let mut frame = [0; 2048];
    let frame_len = asks.encode(Encoding::Json, &mut frame).map_err(io::Error::other)?;
    socket.send_to(&frame[..frame_len], to)?;
    socket.recv_from(&mut frame)?;
    socket.set_nonblocking(true)?;
    let mut quick = Quick::<R>::new(socket, &packet(len), true)?;
    let mut rtts = Vec::new();
    quick.ask(to, (count / 10).max(in_flight), in_flight, &mut rtts).await?;
    let took = quick.ask(to, count, in_flight, &mut rtts).await?;
    println!("{}", json!({ "per_second": 2.0 * count as f64 / took.as_secs_f64() }));
    Ok(())
}

/// A packet of the circuit that [`near`] asks for.
fn packet(len: usize) -> Vec<u8> {
    let label = Label::of("ping_0123456789abcdef", SENSOR, HUB);
    let mut packet = CircuitPacket::head(label, 16, len - CIRCUIT_HEAD).to_vec();
    packet.resize(len, 0xa5);
    packet
}

/// How many packets a second go through, both directions together.
fn measure(
    runtime: RuntimeName,
    contestant: Contestant,
    (near, relay): (usize, usize),
    (len, count): (usize, u64),
) -> Result<f64, String> {
    let end = |role, contestant, core| End { role, runtime, contestant, encoding: EncodingName::Json, core };
    let (_far, to) = start_hub(&end(Role::Far { len }, Contestant::Batched, near))?;
    let (_relay, to) = start_hub(&end(Role::Forward { to }, contestant, relay))?;
    let role = Role::Near { to, len, count, in_flight: IN_FLIGHT };
    let said = Process::of_this(&end(role, Contestant::Batched, near))?.line()?;
    said["per_second"].as_f64().ok_or_else(|| "an end that does not say how fast it was".to_owned())
}

/// Measure both in turn, and report.
pub(crate) fn compare(args: &Args) -> Result<(), String> {
    let cores = args.cores.map_or_else(place::two_cores, Ok)?;
    let mut report = Report::new("loopback", args.json);
    for runtime in args.runtimes.iter().copied() {
        for len in LENGTHS {
            let (mut ours, mut floor) = (Vec::new(), Vec::new());
            for turn in 0..args.turns {
                let mut both = [(Contestant::Sluis, &mut ours), (Contestant::Batched, &mut floor)];
                both.rotate_left(turn % 2);
                for (contestant, rates) in both {
                    rates.push(measure(runtime, contestant, cores, (len, args.count))?);
                }
            }
            let mut ratios: Vec<f64> = ours.iter().zip(&floor).map(|(ours, floor)| ours / floor).collect();
            for (name, rates) in [("a relay", &mut ours), ("a plain forwarder", &mut floor)] {
                let what = format!("packets of {len} bytes through {name} on {runtime}, {IN_FLIGHT} in flight");
                report.add(&Row { what, value: median(rates), unit: "/s", target: None, floor: None, nanos: None });
            }
            let what = format!("relay on {runtime} ÷ plain batched forwarder, {len} bytes");
            let value = median(&mut ratios);
            report.at_least(&Row { what, value, unit: "×", target: Some(0.9), floor: None, nanos: None });
        }
    }
    report.finish();
    Ok(())
}
