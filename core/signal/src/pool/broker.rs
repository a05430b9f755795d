//! One broker of a pool.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use zeroize::Zeroizing;

use crate::rank::{Family, Weight};

/// A broker, reached by one family.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broker {
    /// By which family it is reached.
    pub family: Family,
    /// Its host as the pool spells it: a name, or an address without brackets. It is hashed as it is spelled.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS from the first byte on.
    pub tls: bool,
    /// Who we are there; without it anonymous.
    pub user: Option<String>,
    /// And how we show that.
    pub password: Option<Secret>,
    /// A file with the roots to trust instead of the system's, with TLS only.
    pub ca: Option<String>,
    /// How much it draws compared to others.
    pub weight: Weight,
    /// Publishes a second that it takes from us, where it says so; otherwise it depends on where it is.
    pub rate: Option<u32>,
}

/// A password. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keep a password.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// What is kept.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

/// As a pool file names it, without user and password.
impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl Broker {
    /// The broker of a URL, for each family by which its host may be reached: a name has both, an address its own.
    ///
    /// # Errors
    /// One sentence.
    pub fn from_url(url: &str) -> Result<Vec<Self>, String> {
        let shown = shown(url);
        let (tls, rest) = match url.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(format!("`{shown}` is no broker, write mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")),
        };
        if rest.contains('@') {
            // Not shown: there is a password in it.
            return Err("a broker's URL has no user in it, write user and password into the pool file".to_owned());
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(format!("`{shown}` has a path, which a broker has not: leave it out"));
        }
        let (host, port) = split_port(rest).ok_or_else(|| {
            format!("`{shown}` has more than one colon, write an IPv6 address in brackets: mqtt://[::1]:1883")
        })?;
        let port = match port {
            None if tls => 8883,
            None => 1883,
            Some(text) => port_number(text).ok_or_else(|| format!("`{shown}`: a port is a number from 1 to 65535"))?,
        };
        let bracketed = rest.starts_with('[');
        if bracketed && host.parse::<Ipv6Addr>().is_err() {
            return Err(format!("`{shown}`: what stands in brackets is no IPv6 address"));
        }
        Ok(Self::of_host(host, port, tls)?.into_iter().collect())
    }

    /// A broker for each family by which the host may be reached.
    pub(super) fn of_host(host: &str, port: u16, tls: bool) -> Result<Vec<Self>, String> {
        check_host(host)?;
        let families: &[Family] = match (host.parse::<Ipv4Addr>(), host.parse::<Ipv6Addr>()) {
            (Ok(_), _) => &[Family::V4],
            (_, Ok(_)) => &[Family::V6],
            _ => &[Family::V4, Family::V6],
        };
        let broker = |family: &Family| Self {
            family: *family,
            host: host.to_owned(),
            port,
            tls,
            user: None,
            password: None,
            ca: None,
            weight: Weight::ONE,
            rate: None,
        };
        Ok(families.iter().map(broker).collect())
    }
}

/// A host that can be dialled: an address, or a name in ASCII.
fn check_host(host: &str) -> Result<(), String> {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() {
        return Err("a broker without a host, write its name or address".to_owned());
    }
    if host.len() > 255 || !(host.chars().all(name) || host.parse::<Ipv6Addr>().is_ok()) {
        return Err(format!("`{}` is no name or address of a host", shown(host)));
    }
    Ok(())
}

pub(super) fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// A host without its brackets, and its port; `None` where it cannot be told which is which.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

/// The start of a text that somebody else wrote, without what a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}
