//! TLS over a pipe in memory whose every read and write is cut anywhere.

#![allow(unreachable_pub, reason = "the types of a trait's implementation are as public as the trait")]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::certs::pem;
use crate::{
    Accept, ByteStream, CertError, ClientTls, Fingerprint, Runtime, ServerTls, Tls, Trust, flush, handshake, read,
    write_all,
};

/// Bytes on the way in one direction, and whether more will come.
#[derive(Debug, Default)]
struct Way {
    bytes: VecDeque<u8>,
    closed: bool,
}

/// One end of a pipe. It moves `step` bytes at a time at most.
#[derive(Debug)]
pub struct End {
    incoming: Arc<Mutex<Way>>,
    outgoing: Arc<Mutex<Way>>,
    step: usize,
}

pub(crate) fn pipe(step: usize) -> (End, End) {
    let (a, b) = (Arc::<Mutex<Way>>::default(), Arc::<Mutex<Way>>::default());
    (End { incoming: a.clone(), outgoing: b.clone(), step }, End { incoming: b, outgoing: a, step })
}

impl ByteStream for End {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut way = self.incoming.lock().unwrap();
        let len = buf.len().min(self.step).min(way.bytes.len());
        if len == 0 && !way.closed {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        way.bytes.drain(..len).zip(buf).for_each(|(byte, room)| *room = byte);
        Poll::Ready(Ok(len))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut way = self.outgoing.lock().unwrap();
        let len = buf.len().min(self.step).min(1000_usize.saturating_sub(way.bytes.len()));
        if len == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        way.bytes.extend(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.lock().unwrap().closed = true;
        Poll::Ready(Ok(()))
    }
}

/// A runtime whose time never passes, or is over at once.
#[derive(Clone)]
struct Still {
    over: bool,
}

impl Accept for () {
    type Tcp = End;
    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(End, SocketAddr)>> {
        Poll::Pending
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Runtime for Still {
    type Tcp = End;
    type Listener = ();
    fn listen(&self, _: std::net::TcpListener) -> io::Result<()> {
        Ok(())
    }
    fn resolve(&self, _: &str, _: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::NotFound.into()))
    }
    fn connect(
        &self,
        _: SocketAddr,
        _: Option<std::net::IpAddr>,
    ) -> impl Future<Output = io::Result<End>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::ConnectionRefused.into()))
    }
    fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) {}
    fn sleep(&self, _: Duration) -> impl Future<Output = ()> + Send + Sync + 'static {
        let over = self.over;
        std::future::poll_fn(move |_| if over { Poll::Ready(()) } else { Poll::Pending })
    }
}

/// Run two futures side by side to their ends.
pub(crate) fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b, mut done) = (pin!(a), pin!(b), (None, None));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..10_000_000 {
        if done.0.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(&mut cx)
        {
            done.0 = Some(output);
        }
        if done.1.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(&mut cx)
        {
            done.1 = Some(output);
        }
        if let (Some(_), Some(_)) = &done {
            return (done.0.unwrap(), done.1.unwrap());
        }
    }
    panic!("they wait for each other");
}

fn made(days: std::ops::Range<i64>) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let today = time::OffsetDateTime::now_utc();
    params.not_before = today + time::Duration::days(days.start);
    params.not_after = today + time::Duration::days(days.end);
    let key = rcgen::KeyPair::generate().unwrap();
    (pem("CERTIFICATE", params.self_signed(&key).unwrap().der()), pem("PRIVATE KEY", &key.serialize_der()))
}

fn connected(server: &ServerTls, trust: Trust, step: usize) -> (io::Result<Tls<End>>, io::Result<Tls<End>>) {
    let (a, b) = pipe(step);
    let client = ClientTls::new(trust, &["http/1.1"]).unwrap().connect("localhost").unwrap();
    let still = Still { over: false };
    // Whoever fails lets go of its end.
    let closing = |result: io::Result<Tls<End>>, way: Arc<Mutex<Way>>| {
        way.lock().unwrap().closed |= result.is_err();
        result
    };
    let (to_server, to_client) = (a.outgoing.clone(), b.outgoing.clone());
    both(async { closing(handshake(&still, a, client).await, to_server) }, async {
        closing(handshake(&still, b, server.accept().unwrap()).await, to_client)
    })
}

#[test]
fn bytes_pass_however_they_are_cut_and_each_half_closes_alone() {
    let (chain, key) = made(-1..1);
    let server = ServerTls::from_pem(chain.as_bytes(), key.as_bytes(), &["http/1.1"]).unwrap();
    for step in [1, 7, 1000] {
        let (client, accepted) = connected(&server, Trust::Pinned(server.fingerprint()), step);
        let (mut client, mut accepted) = (client.unwrap(), accepted.unwrap());
        assert_eq!(client.alpn(), Some(&b"http/1.1"[..]));
        // An exporter that is the same at both ends: no other version than 1.3 is configured.
        assert_eq!(client.exporter().unwrap(), accepted.exporter().unwrap());
        let sent: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let send = async {
            write_all(&mut client, &sent).await?;
            flush(&mut client).await?;
            std::future::poll_fn(|cx| client.poll_close(cx)).await?;
            // The other direction is still open.
            let mut buf = [0; 16];
            let len = read(&mut client, &mut buf).await?;
            io::Result::Ok(buf[..len].to_vec())
        };
        let receive = async {
            let (mut all, mut buf) = (Vec::new(), [0; 777]);
            loop {
                match read(&mut accepted, &mut buf).await? {
                    0 => break,
                    len => all.extend_from_slice(&buf[..len]),
                }
            }
            write_all(&mut accepted, b"thanks").await?;
            flush(&mut accepted).await?;
            io::Result::Ok(all)
        };
        let (answer, received) = both(send, receive);
        assert_eq!((received.unwrap(), answer.unwrap()), (sent, b"thanks".to_vec()));
    }
}

#[test]
fn a_stream_that_is_cut_does_not_look_like_one_that_has_ended() {
    let (chain, key) = made(-1..1);
    let server = ServerTls::from_pem(chain.as_bytes(), key.as_bytes(), &[]).unwrap();
    let (client, accepted) = connected(&server, Trust::Pinned(server.fingerprint()), 1000);
    let (mut client, accepted) = (client.unwrap(), accepted.unwrap());
    accepted.stream.outgoing.lock().unwrap().closed = true;
    let (end, ()) = both(async { read(&mut client, &mut [0; 8]).await }, async {});
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn only_who_is_trusted_is_believed() {
    let (chain, key) = made(-1..1);
    let server = ServerTls::from_pem(chain.as_bytes(), key.as_bytes(), &[]).unwrap();
    let other = made(-1..1);
    let other = ServerTls::from_pem(other.0.as_bytes(), other.1.as_bytes(), &[]).unwrap();
    assert!(connected(&server, Trust::Pinned(other.fingerprint()), 1000).0.is_err());
    assert!(connected(&server, Trust::Authorities(made(-1..1).0.into_bytes()), 1000).0.is_err());
    assert!(connected(&server, Trust::Authorities(chain.into_bytes()), 1000).0.is_ok());
    assert!(ClientTls::new(Trust::Authorities(b"nothing".to_vec()), &[]).is_err());
    let shown = server.fingerprint().to_string();
    assert_eq!(shown.parse::<Fingerprint>().unwrap(), server.fingerprint());
    assert!(shown[1..].parse::<Fingerprint>().is_err() && "\u{e9}".repeat(32).parse::<Fingerprint>().is_err());
}

#[test]
fn a_certificate_that_cannot_serve_is_refused_with_the_reason() {
    let (chain, key) = made(-1..1);
    let pem = |chain: &str, key: &str| ServerTls::from_pem(chain.as_bytes(), key.as_bytes(), &[]).map(|_| ());
    assert!(matches!(pem(&chain, &made(-1..1).1), Err(CertError::Mismatch)));
    assert!(matches!(pem("", &key), Err(CertError::NoCertificate)));
    assert!(matches!(pem(&chain, &chain), Err(CertError::NoKey)));
    let (chain, key) = made(-9..-3);
    assert!(matches!(pem(&chain, &key), Err(CertError::Expired(2..=3))));
    let (chain, key) = made(3..9);
    assert!(matches!(pem(&chain, &key), Err(CertError::NotYet(3..=4))));
}

#[test]
fn a_certificate_is_exchanged_while_the_server_runs() {
    let dir = std::env::temp_dir().join(format!("sluis-net-{}", std::process::id()));
    let server = ServerTls::self_signed(&dir, vec!["localhost".into()], &[]).unwrap();
    let first = server.fingerprint();
    // The same again, not another one.
    assert_eq!(ServerTls::self_signed(&dir, vec!["localhost".into()], &[]).unwrap().fingerprint(), first);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(dir.join("key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let (chain, key) = made(-1..1);
    let (chain_file, key_file) = (dir.join("c2.pem"), dir.join("k2.pem"));
    std::fs::write(&chain_file, chain).unwrap();
    std::fs::write(&key_file, "broken").unwrap();
    assert!(server.replace(&chain_file, &key_file).is_err());
    assert_eq!(server.fingerprint(), first);
    std::fs::write(&key_file, key).unwrap();
    server.replace(&chain_file, &key_file).unwrap();
    assert_ne!(server.fingerprint(), first);
    assert!(connected(&server, Trust::Pinned(server.fingerprint()), 1000).0.is_ok());
    assert!(connected(&server, Trust::Pinned(first), 1000).0.is_err());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn half_a_handshake_ends_when_its_time_is_over() {
    let (chain, key) = made(-1..1);
    let server = ServerTls::from_pem(chain.as_bytes(), key.as_bytes(), &[]).unwrap();
    let (_a, b) = pipe(10);
    let (end, ()) = both(handshake(&Still { over: true }, b, server.accept().unwrap()), async {});
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
}
