//! Asking a hub, ours or the reference's.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderValue};
use hyper::{Request, Uri};
use sluis_net::{ClientTls, MaybeTls, Proxy, Runtime, Tls, TrustError, dial, handshake, within};

use crate::body::{self, Unread, Whole};
use crate::io::HyperIo;

/// How long a connection may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Longest answer in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// Where a hub is: `http://HOST:PORT` or `https://HOST:PORT`, with a path in front of its own where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no [`Url`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a URL of a hub is like https://hub.example:8443")]
pub struct UrlError;

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UrlError),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(UrlError)?.to_owned();
        if uri.query().is_some() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(UrlError);
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port, path: uri.path().trim_end_matches('/').to_owned() })
    }
}

/// Without its path, which may hold a token.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "https" } else { "http" }, self.host, self.port)
    }
}

impl Url {
    /// Whether it is one over TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Its name or address, IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A request to it.
    pub(crate) fn request(&self, method: &str, path: &str, body: String) -> hyper::http::Result<Request<Whole>> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.path));
        request.header(header::HOST, format!("{}:{}", self.host, self.port)).body(Whole::from(body))
    }
}

/// Why a hub could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It cannot be reached.
    #[error("{url} cannot be reached: {error}")]
    Connect {
        /// Where.
        url: Url,
        /// Why.
        error: io::Error,
    },
    /// Whoever answers there is not believed.
    #[error("{url} is not believed: {error}")]
    Tls {
        /// Where.
        url: Url,
        /// Why.
        error: io::Error,
    },
    /// There is nobody to believe.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The answer did not come, or not in time, or is no HTTP.
    #[error("{url} gave no answer: {why}")]
    Answer {
        /// Where.
        url: Url,
        /// Why.
        why: String,
    },
    /// No WebSocket was to be had.
    #[error("{url} refused the socket: {status} {body}")]
    Refused {
        /// Where.
        url: Url,
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Somebody who asks a hub.
#[derive(Clone, Debug)]
pub struct Client<R> {
    pub(crate) runtime: R,
    pub(crate) url: Url,
    tls: Option<ClientTls>,
    token: Option<String>,
    time: Duration,
    proxy: Option<Proxy>,
}

impl<R: Runtime> Client<R> {
    /// A client of the hub at `url`; `tls` says whom it believes, where the URL is one over TLS. It shows this token, and waits for an
    /// answer at most this long.
    #[must_use]
    pub fn new(runtime: R, url: Url, tls: Option<ClientTls>, token: Option<String>, time: Duration) -> Self {
        Self { runtime, url, tls, token, time, proxy: None }
    }

    /// The same, through a proxy where there is one.
    #[must_use]
    pub fn through(mut self, proxy: Option<Proxy>) -> Self {
        self.proxy = proxy;
        self
    }

    /// Ask something: the path begins with that of the hub, `/api/mux/status` say. The name of the hub is looked up by the system,
    /// which blocks for as long as that takes.
    ///
    /// # Errors
    /// It cannot be reached, is not believed, or does not answer.
    pub async fn ask(&self, method: &str, path: &str, body: Option<String>) -> Result<Reply, ClientError> {
        let mut sender = self.connect(false).await?;
        let request = self.request(method, path, body)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| self.no_answer(&error))?;
            let status = response.status().as_u16();
            let body = self.text(response.into_body()).await?;
            Ok(Reply { status, body })
        };
        within(&self.runtime, self.time, exchange).await.unwrap_or_else(|| Err(self.no_answer(&"it takes too long")))
    }

    pub(crate) async fn text(&self, body: hyper::body::Incoming) -> Result<String, ClientError> {
        let bytes = body::read(body, MAX_ANSWER).await.map_err(|unread| match unread {
            Unread::TooLong => self.no_answer(&"it is too long"),
            Unread::Lost => self.no_answer(&"it is cut off"),
        })?;
        String::from_utf8(bytes).map_err(|_| self.no_answer(&"it is not UTF-8"))
    }

    pub(crate) fn no_answer(&self, why: &dyn fmt::Display) -> ClientError {
        ClientError::Answer { url: self.url.clone(), why: why.to_string() }
    }

    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Result<Request<Whole>, ClientError> {
        let has_body = body.is_some();
        let request = self.url.request(method, path, body.unwrap_or_default());
        let mut request = request.map_err(|error| self.no_answer(&error))?;
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| self.no_answer(&"the token cannot stand in a header"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        if has_body {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(request)
    }

    /// A connection on which to ask; one that can become something else where `upgrades`.
    pub(crate) async fn connect(&self, upgrades: bool) -> Result<SendRequest<Whole>, ClientError> {
        let failed = |error| ClientError::Connect { url: self.url.clone(), error };
        let stream = self.dial().await.map_err(failed)?;
        let stream = self.encrypted(stream).await?;
        let (sender, connection) =
            http1::handshake(HyperIo::new(stream)).await.map_err(|error| self.no_answer(&error))?;
        self.runtime.spawn(async move {
            // What goes wrong with it shows in the answer.
            let _ = if upgrades { connection.with_upgrades().await } else { connection.await };
        });
        Ok(sender)
    }

    async fn dial(&self) -> io::Result<R::Tcp> {
        let host = self.url.host();
        if let Some(proxy) = &self.proxy {
            return proxy.dial(&self.runtime, host, self.url.port).await;
        }
        let found = within(&self.runtime, CONNECT_TIME, self.runtime.resolve(host, self.url.port)).await;
        dial(&self.runtime, &found.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?, CONNECT_TIME).await
    }

    async fn encrypted(&self, stream: R::Tcp) -> Result<MaybeTls<R::Tcp>, ClientError> {
        if !self.url.tls {
            return Ok(MaybeTls::Plain(stream));
        }
        let tls = self.tls.as_ref().ok_or(TrustError::NoSystemRoots)?.connect(&self.url.host)?;
        let done: io::Result<Tls<R::Tcp>> = handshake(&self.runtime, stream, tls).await;
        let stream = done.map_err(|error| ClientError::Tls { url: self.url.clone(), error })?;
        Ok(MaybeTls::Tls(Box::new(stream)))
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn urls() {
        let url: Url = "https://hub.example".parse().unwrap();
        assert_eq!((url.to_string(), url.is_tls()), ("https://hub.example:443".into(), true));
        let url: Url = "http://[::1]:8443/as/secret/".parse().unwrap();
        assert_eq!((url.to_string(), url.path.as_str()), ("http://[::1]:8443".into(), "/as/secret"));
        for wrong in ["", "hub:8443", "ftp://hub", "https://", "https://user@hub", "http://hub?x=1"] {
            assert!(wrong.parse::<Url>().is_err(), "{wrong}");
        }
    }
}
