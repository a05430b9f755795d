//! Tunnels through a proxy: HTTP CONNECT (RFC 9110 9.3.6).

use std::io;
use std::str::FromStr;

use crate::{ByteStream, HANDSHAKE_TIME, Runtime, dial, flush, read, within, write_all};

/// Longest answer of a proxy in bytes.
const MAX_ANSWER: usize = 8192;

/// A proxy that opens tunnels, as `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
}

/// Why a text is no [`Proxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is written like http://proxy.example:3128, without a name and password")]
pub struct ProxyError;

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':').ok_or(ProxyError)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
        if bare.is_empty() || bare.contains(odd) || bare.contains(':') && bare.len() == host.len() {
            return Err(ProxyError);
        }
        Ok(Self { host: bare.into(), port: port.parse().map_err(|_| ProxyError)? })
    }
}

impl Proxy {
    /// Connect to the proxy, and have it connect to this host.
    ///
    /// # Errors
    /// The proxy cannot be reached, or does not want to.
    pub async fn dial<R: Runtime>(&self, runtime: &R, host: &str, port: u16) -> io::Result<R::Tcp> {
        let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "the proxy does not answer in time"));
        let found = within(runtime, HANDSHAKE_TIME, runtime.resolve(&self.host, self.port)).await;
        let addrs = found.unwrap_or_else(late)?;
        let mut stream = dial(runtime, &addrs, HANDSHAKE_TIME).await?;
        let asked = within(runtime, HANDSHAKE_TIME, tunnel(&mut stream, host, port)).await;
        asked.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::TimedOut, "the proxy does not answer in time")))?;
        Ok(stream)
    }
}

/// Ask for a tunnel on a connection to a proxy. What comes behind the answer is the other end's.
async fn tunnel<S: ByteStream>(stream: &mut S, host: &str, port: u16) -> io::Result<()> {
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::ConnectionRefused, why));
    if host.contains(|c: char| c.is_ascii_control() || c.is_ascii_whitespace()) {
        return refused(String::from("a host has no blanks in its name"));
    }
    let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n");
    write_all(stream, request.as_bytes()).await?;
    flush(stream).await?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    // Byte by byte: none of what the other end sends first may be taken.
    while !answer.ends_with(b"\r\n\r\n") {
        if read(stream, &mut byte).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&byte);
        if answer.len() > MAX_ANSWER {
            return refused(String::from("the proxy answers at too great length"));
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let line = answer.lines().next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)).unwrap_or_default();
    if status.len() == 3 && status.starts_with('2') {
        return Ok(());
    }
    let shown: String = line.chars().filter(|c| !c.is_control()).take(100).collect();
    refused(format!("the proxy opens no tunnel: {shown}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Proxy, ProxyError, tunnel};
    use crate::tests::{both, pipe};
    use crate::{read, write_all};

    #[test]
    fn proxies_are_written_like_this() {
        let proxy = |text: &str| text.parse::<Proxy>().map(|proxy| (proxy.host, proxy.port));
        assert_eq!(proxy("http://proxy.example:3128/"), Ok(("proxy.example".into(), 3128)));
        assert_eq!(proxy("[::1]:8080"), Ok(("::1".into(), 8080)));
        for odd in ["", "proxy", "http://user:secret@proxy:1", "https://proxy:1", "::1:8080", "http://:1", "a b:1"] {
            assert_eq!(proxy(odd), Err(ProxyError), "{odd}");
        }
    }

    #[test]
    fn a_tunnel_takes_nothing_of_what_comes_through_it() {
        for (answer, good) in [
            ("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n", true),
            ("HTTP/1.0 204 \r\n\r\n", true),
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", false),
            ("nonsense\r\n\r\n", false),
        ] {
            let (mut near, mut far) = pipe(3);
            let ask = async {
                let asked = tunnel(&mut near, "hub.example", 443).await;
                let mut first = [0; 5];
                for byte in &mut first {
                    read(&mut near, std::slice::from_mut(byte)).await.unwrap();
                }
                (asked.is_ok(), first)
            };
            let serve = async {
                let (mut request, mut byte) = (Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") {
                    read(&mut far, &mut byte).await.unwrap();
                    request.extend_from_slice(&byte);
                }
                write_all(&mut far, format!("{answer}hello").as_bytes()).await.unwrap();
                String::from_utf8(request).unwrap()
            };
            let (asked, request) = both(ask, serve);
            assert_eq!(asked, (good, *b"hello"), "{answer}");
            assert_eq!(request, "CONNECT hub.example:443 HTTP/1.1\r\nHost: hub.example:443\r\n\r\n");
        }
    }
}
