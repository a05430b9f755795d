//! The plain echo: one datagram a call, in and out, as a tutorial writes it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::runtime::Runtime;

/// Largest datagram that any of this deals with.
const BUFFER: usize = 2048;

/// Answer every datagram with `answer`, for ever.
pub(crate) async fn serve<R: Runtime>(socket: &R::Socket, answer: &[u8]) -> io::Result<()> {
    let mut buf = [0; BUFFER];
    loop {
        let (_, from) = R::recv_from(socket, &mut buf).await?;
        R::send_to(socket, answer, from).await?;
    }
}

/// Ask so often, so many at once; how long it took, and with one at once how long each took.
pub(crate) async fn ask<R: Runtime>(
    socket: &R::Socket,
    to: SocketAddr,
    request: &[u8],
    count: u64,
    in_flight: u64,
    rtts: &mut Vec<u64>,
) -> io::Result<Duration> {
    let mut buf = [0; BUFFER];
    let began = Instant::now();
    let mut asked = 0;
    while asked < count.min(in_flight) {
        R::send_to(socket, request, to).await?;
        asked += 1;
    }
    let mut at = began;
    for _ in 0..count {
        R::recv_from(socket, &mut buf).await?;
        if in_flight == 1 {
            let now = Instant::now();
            rtts.push(nanos(now - at));
            at = now;
        }
        if asked < count {
            R::send_to(socket, request, to).await?;
            asked += 1;
        }
    }
    Ok(began.elapsed())
}

pub(crate) fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
