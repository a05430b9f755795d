//! How a connection comes about: dialled or let in, with TLS where there are settings, and what it becomes where that came up to another
//! protocol.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sluis_core::driver::Established;
use sluis_core::{End, Family};

use crate::dial::dial_from;
use crate::{ByteStream, ClientTls, MaybeTls, Proxy, Runtime, ServerTls, Tls, handshake};

/// How long looking a name up and connecting may take together; a machine may give up earlier.
const DIAL_TIME: Duration = Duration::from_secs(30);

pub(crate) type Attempt<S> = Pin<Box<dyn Future<Output = Result<(MaybeTls<S>, Established), Failed>> + Send>>;

pub(crate) type Carry<S> = Arc<dyn Fn(MaybeTls<S>) -> Carrying + Send + Sync>;
pub(crate) type Carrying = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send>>;

/// What is made of a connection that came up to another protocol.
pub(crate) struct Fallback<S> {
    pub(crate) unless: Box<[u8]>,
    pub(crate) carry: Carry<S>,
}

impl<S> Clone for Fallback<S> {
    fn clone(&self) -> Self {
        Self { unless: self.unless.clone(), carry: Arc::clone(&self.carry) }
    }
}

/// Why an attempt failed, for the machine and for people.
pub(crate) struct Failed {
    pub(crate) end: End,
    pub(crate) to: String,
    pub(crate) why: io::Error,
}

/// Whom to connect to.
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) family: Family,
    pub(crate) from: [Option<IpAddr>; 2],
    pub(crate) proxy: Option<Proxy>,
}

impl Target {
    pub(crate) fn failed(&self, end: End, why: io::Error) -> Failed {
        let bracket = self.host.contains(':');
        let (open, close) = if bracket { ("[", "]") } else { ("", "") };
        Failed { end, to: format!("{open}{}{close}:{}", self.host, self.port), why }
    }

    fn takes(&self, addr: &SocketAddr) -> bool {
        match self.family {
            Family::Any => true,
            Family::V4 => addr.is_ipv4(),
            Family::V6 => addr.is_ipv6(),
        }
    }
}

/// Go on with what a connection becomes where it came up to another protocol.
async fn carried<R: Runtime>(
    runtime: &R,
    target: &Target,
    stream: MaybeTls<R::Tcp>,
    established: Established,
    fallback: Option<Fallback<R::Tcp>>,
) -> Result<(MaybeTls<R::Tcp>, Established), Failed> {
    let Some(fallback) = fallback.filter(|it| established.alpn.as_deref() != Some(&*it.unless)) else {
        return Ok((stream, established));
    };
    let carrying = crate::within(runtime, crate::HANDSHAKE_TIME, (fallback.carry)(stream)).await;
    match carrying.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => Ok((MaybeTls::Carried(stream), established)),
        Err(why) if why.kind() == io::ErrorKind::TimedOut => Err(target.failed(End::Timeout, why)),
        Err(why) => Err(target.failed(End::Refused, why)),
    }
}

/// Connect, and go on with what that becomes.
pub(crate) async fn establish<R: Runtime>(
    runtime: R,
    target: Target,
    tls: Option<ClientTls>,
    fallback: Option<Fallback<R::Tcp>>,
) -> Result<(MaybeTls<R::Tcp>, Established), Failed> {
    let fallback = fallback.filter(|_| tls.is_some());
    let (stream, established) = connect(&runtime, &target, tls).await?;
    carried(&runtime, &target, stream, established, fallback).await
}

async fn connect<R: Runtime>(
    runtime: &R,
    target: &Target,
    tls: Option<ClientTls>,
) -> Result<(MaybeTls<R::Tcp>, Established), Failed> {
    if let Some(proxy) = &target.proxy {
        let dialled = proxy.dial(runtime, &target.host, target.port).await;
        let stream = dialled.map_err(|why| target.failed(end_of_dial(&why), why))?;
        // Whom the proxy talks to is not known.
        let remote = SocketAddr::from(([0, 0, 0, 0], target.port));
        return secure(runtime, target, stream, remote, tls).await;
    }
    let found = crate::within(runtime, DIAL_TIME, runtime.resolve(&target.host, target.port)).await;
    let found = found.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
    let addrs = found.map_err(|why| target.failed(End::UnknownHost, why))?;
    let addrs: Vec<SocketAddr> = addrs.into_iter().filter(|addr| target.takes(addr)).collect();
    if addrs.is_empty() {
        let why = io::Error::new(io::ErrorKind::NotFound, "the name has no address of that family");
        return Err(target.failed(End::UnknownHost, why));
    }
    let dialled = dial_from(runtime, &addrs, target.from, DIAL_TIME).await;
    let (stream, remote) = dialled.map_err(|why| target.failed(end_of_dial(&why), why))?;
    secure(runtime, target, stream, remote, tls).await
}

/// Put TLS on a connection, where there are settings for it.
async fn secure<R: Runtime>(
    runtime: &R,
    target: &Target,
    stream: R::Tcp,
    remote: SocketAddr,
    tls: Option<ClientTls>,
) -> Result<(MaybeTls<R::Tcp>, Established), Failed> {
    let Some(tls) = tls else { return Ok((MaybeTls::Plain(stream), Established::plain(remote))) };
    let untrusted = |why| target.failed(end_of_handshake(&why), why);
    let tls = tls.connect(&target.host).map_err(|why| untrusted(io::Error::other(why)))?;
    let stream = handshake(runtime, stream, tls).await.map_err(untrusted)?;
    secured(stream, remote).map_err(untrusted)
}

/// Let somebody in.
pub(crate) fn greet<R: Runtime>(
    runtime: R,
    stream: R::Tcp,
    remote: SocketAddr,
    tls: Option<&ServerTls>,
) -> Attempt<R::Tcp> {
    let Some(tls) = tls.map(ServerTls::accept) else {
        return Box::pin(async move { Ok((MaybeTls::Plain(stream), Established::plain(remote))) });
    };
    Box::pin(async move {
        let failed = |why: io::Error| Failed { end: end_of_handshake(&why), to: remote.to_string(), why };
        let tls = tls.map_err(|why| failed(io::Error::other(why)))?;
        let stream = handshake(&runtime, stream, tls).await.map_err(failed)?;
        secured(stream, remote).map_err(failed)
    })
}

fn secured<S>(stream: Tls<S>, remote: SocketAddr) -> io::Result<(MaybeTls<S>, Established)>
where
    S: ByteStream,
{
    let alpn = stream.alpn().map(Box::from);
    let exporter = Some(stream.exporter()?);
    Ok((MaybeTls::Tls(Box::new(stream)), Established { remote, alpn, exporter }))
}

fn end_of_dial(why: &io::Error) -> End {
    match why.kind() {
        io::ErrorKind::ConnectionRefused => End::Refused,
        io::ErrorKind::TimedOut => End::Timeout,
        _ => End::Unreachable,
    }
}

fn end_of_handshake(why: &io::Error) -> End {
    if why.kind() == io::ErrorKind::TimedOut { End::Timeout } else { End::Untrusted }
}
