//! How a client reaches its hub.

use std::net::IpAddr;
use std::time::Duration;

use sluis_net::{ClientTls, Proxy, Runtime, Trust};
use sluis_web::Client;

use super::args::HubArgs;
use crate::fail::Fail;
use crate::files;

/// What REST and WebSocket are spoken over.
pub(super) const HTTP: &str = "http/1.1";
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Largest file of a token or of authorities in bytes.
const MAX_FILE: usize = 4 << 20;

/// What a client is made of; read before anything is connected.
pub(super) struct Settings {
    pub(super) tls: Option<ClientTls>,
    pub(super) token: Option<String>,
    pub(super) proxy: Option<Proxy>,
}

impl Settings {
    /// For REST and WebSocket.
    pub(super) fn read(hub: &HubArgs) -> Result<Self, Fail> {
        Self::read_for(hub, &[HTTP])
    }

    /// For a connection of these protocols, the preferred first.
    pub(super) fn read_for(hub: &HubArgs, alpn: &[&str]) -> Result<Self, Fail> {
        let read = |path: &std::path::Path| {
            files::read(path, MAX_FILE).map_err(|why| Fail::usage(format!("cannot read {} ({why})", path.display())))
        };
        let trust = match (&hub.ca, hub.pin) {
            (Some(path), _) => Trust::Authorities(read(path)?),
            (None, Some(pin)) => Trust::Pinned(pin),
            (None, None) => Trust::System,
        };
        let asked = hub.ca.is_some() || hub.pin.is_some();
        if asked && !hub.url.is_tls() {
            return Err(Fail::usage("--ca and --pin are for https, write the URL like https://localhost:8443"));
        }
        let tls = hub.url.is_tls().then(|| ClientTls::new(trust, alpn)).transpose().map_err(Fail::usage)?;
        let token = match &hub.token_file {
            None => None,
            Some(path) => {
                let text = String::from_utf8(read(path)?).unwrap_or_default().trim().to_owned();
                if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(Fail::usage(format!(
                        "{} holds no token, make one with `sluis mux token`",
                        path.display()
                    )));
                }
                Some(text)
            }
        };
        Ok(Self { tls, token, proxy: proxy(hub)? })
    }

    pub(super) fn client<R: Runtime>(self, runtime: R, hub: &HubArgs) -> Client<R> {
        Client::new(runtime, hub.url.clone(), self.tls, self.token, ANSWER_TIME).through(self.proxy)
    }
}

/// The proxy that was asked for, or that of the environment.
fn proxy(hub: &HubArgs) -> Result<Option<Proxy>, Fail> {
    if hub.proxy.is_some() || !hub.url.is_tls() {
        return Ok(hub.proxy.clone());
    }
    let variable = |names: [&str; 2]| names.into_iter().find_map(|name| std::env::var(name).ok());
    let Some(text) = variable(["HTTPS_PROXY", "https_proxy"]).filter(|text| !text.is_empty()) else { return Ok(None) };
    let spared = variable(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    if is_spared(hub.url.host(), &spared) {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|why| Fail::usage(format!("HTTPS_PROXY: {why}")))
}

/// Whether a host is reached without a proxy: this machine, and what the list names, which may be the end of a name.
fn is_spared(host: &str, list: &str) -> bool {
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let named = |entry: &str| {
        let entry = entry.trim().trim_start_matches('.');
        let ends = host.strip_suffix(entry).is_some_and(|before| before.is_empty() || before.ends_with('.'));
        !entry.is_empty() && (entry == "*" || ends)
    };
    here || list.split(',').any(named)
}

#[cfg(test)]
mod tests {
    use super::is_spared;

    #[test]
    fn this_machine_and_what_is_named_is_reached_without_a_proxy() {
        for host in ["localhost", "127.0.0.1", "::1", "hub.example", "a.hub.example"] {
            assert!(is_spared(host, "other, .hub.example"), "{host}");
        }
        for host in ["ahub.example", "192.0.2.1", "example"] {
            assert!(!is_spared(host, "other,hub.example,"), "{host}");
        }
        assert!(is_spared("192.0.2.1", "*"));
    }
}
