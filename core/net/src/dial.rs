//! Connecting to whichever address answers first.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::{Runtime, within};

/// Between two attempts (RFC 8305 5).
const APART: Duration = Duration::from_millis(250);

type Attempt<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Connect to one of these addresses within this time: IPv6 and IPv4 in turn, the next 250 ms after the one before or as soon as that
/// has failed, whoever answers first (RFC 8305).
///
/// # Errors
/// The last attempt's error, when all have failed; that time is over; that there is no address.
pub async fn dial<R: Runtime>(runtime: &R, addrs: &[SocketAddr], time: Duration) -> io::Result<R::Tcp> {
    dial_from(runtime, addrs, [None; 2], time).await.map(|(stream, _)| stream)
}

/// As [`dial`], from these addresses of ours (IPv4, IPv6), and says who answered.
pub(crate) async fn dial_from<R: Runtime>(
    runtime: &R,
    addrs: &[SocketAddr],
    from: [Option<IpAddr>; 2],
    time: Duration,
) -> io::Result<(R::Tcp, SocketAddr)> {
    let addrs = interleaved(addrs);
    if addrs.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    let raced = within(runtime, time, race(runtime, addrs, from)).await;
    raced.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::TimedOut, "nobody answered in time")))
}

async fn race<R: Runtime>(
    runtime: &R,
    addrs: Vec<SocketAddr>,
    [v4, v6]: [Option<IpAddr>; 2],
) -> io::Result<(R::Tcp, SocketAddr)> {
    let mut addrs = addrs.into_iter();
    let mut attempts: Vec<(SocketAddr, Attempt<R::Tcp>)> = Vec::new();
    let mut next: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    poll_fn(|cx| {
        loop {
            let mut at = 0;
            while let Some((addr, attempt)) = attempts.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok((stream, *addr))),
                    Poll::Ready(Err(error)) => {
                        failed = error;
                        drop(attempts.swap_remove(at));
                        next = None;
                    }
                }
            }
            if next.as_mut().is_some_and(|wait| wait.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
            match addrs.next() {
                Some(addr) => {
                    let from = if addr.is_ipv4() { v4 } else { v6 };
                    attempts.push((addr, Box::pin(runtime.connect(addr, from))));
                    next = Some(Box::pin(runtime.sleep(APART)));
                }
                None if attempts.is_empty() => {
                    return Poll::Ready(Err(std::mem::replace(&mut failed, io::ErrorKind::NotFound.into())));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// The families in turn, beginning with that of the first address.
fn interleaved(addrs: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addrs.first() else { return Vec::new() };
    let (mut same, mut other): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addrs.iter().partition(|addr| addr.is_ipv6() == first.is_ipv6());
    same.reverse();
    other.reverse();
    let mut out = Vec::with_capacity(addrs.len());
    while out.len() < addrs.len() {
        out.extend(same.pop());
        out.extend(other.pop());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::interleaved;
    use std::net::SocketAddr;

    #[test]
    fn families_take_turns() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (a, b, c) = (addr("[::1]:1"), addr("[::2]:1"), addr("192.0.2.1:1"));
        assert_eq!(interleaved(&[a, b, c]), [a, c, b]);
        assert_eq!(interleaved(&[c, a, b]), [c, a, b]);
        assert_eq!(interleaved(&[]), []);
    }
}
