//! A flood of handshakes that nobody let in begins, each from an address that is not its sender's.
//!
//! The first messages are real ones, made for the hub's key: whoever knows that key and can forge addresses sends no better.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use quinn_udp::{Transmit, UdpSocketState};
use serde_json::json;
use sluis_benches::nodes::{hub_key, stranger};
use sluis_benches::samples::HUB;
use sluis_core::Now;
use sluis_core::driver::Io as _;
use sluis_core::session::Peer;

use crate::args::End;
use crate::place;
use crate::runtime::{Runtime as _, Tokio};

/// How many strangers there are, each at an address of its own.
const STRANGERS: u32 = 10_000;
/// How often the sender catches up with its rate.
const TICK: Duration = Duration::from_millis(1);

/// Send at this rate until the other process closes our input, then say how many a second it really was.
pub(crate) fn run(end: &End, to: SocketAddr, rate: u64) -> Result<(), String> {
    place::pin(end.core)?;
    let now = Tokio::block_on(async { Tokio::line((Ipv4Addr::LOCALHOST, 0).into()).map(|line| line.now()) })?;
    let messages = first_messages(now, to)?;
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let _ = io::stdin().read(&mut [0]);
        drop(stop);
    });
    println!("{}", json!({ "ready": messages.len() }));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(|e| e.to_string())?;
    let state = UdpSocketState::new((&socket).into()).map_err(|e| e.to_string())?;
    let began = Instant::now();
    let mut sent: u64 = 0;
    while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
        let due = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX) * rate / 1_000_000;
        while sent < due {
            let from = u32::try_from(sent % u64::from(STRANGERS)).unwrap_or(0);
            let source = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + from);
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents: &messages[from as usize],
                segment_size: None,
                src_ip: Some(source.into()),
            };
            // What the system has no room for is not sent again: a flood does not care.
            let _ = state.try_send((&socket).into(), &transmit);
            sent += 1;
        }
        std::thread::sleep(TICK);
    }
    println!("{}", json!({ "per_second": sent as f64 / began.elapsed().as_secs_f64() }));
    Ok(())
}

fn first_messages(now: Now, to: SocketAddr) -> Result<Vec<Vec<u8>>, String> {
    let hub = Peer::pinned(HUB, hub_key());
    let mut buf = [0; 1500];
    let first = |n| {
        let mut room = stranger(n);
        room.connect(now, &hub, to.into(), b"").map_err(|e| e.to_string())?;
        let sent = room.poll_transmit(now, &mut buf).ok_or("a handshake without a first message")?;
        Ok(buf[..sent.len].to_vec())
    };
    (0..STRANGERS).map(first).collect()
}
