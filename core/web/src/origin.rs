//! Which pages may use a hub.
//!
//! A browser sends a page's cookies and nothing else along with what the page asks, so a hub with tokens is safe from pages that have
//! none. An open hub believes every name: any page on any site could use it on its visitor's machine. So there a page must come from
//! the hub itself, under a name that nobody else can point at it, or be allowed by the operator.

use std::net::IpAddr;

/// Whether a page may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No page asks, or one that may without being told so.
    Yes,
    /// One that is allowed: its browser is told.
    Told(String),
    /// No.
    No,
}

/// Judge a request by its `Origin` and `Host` headers.
pub(crate) fn judge(origin: Option<&str>, host: Option<&str>, allowed: &[String], open: bool) -> Verdict {
    let Some(origin) = origin else { return Verdict::Yes };
    if allowed.iter().any(|one| one == origin || one == "*") {
        return Verdict::Told(origin.to_owned());
    }
    let own = host.is_some_and(|host| {
        let page = origin.split_once("://").map(|(_, page)| page);
        page == Some(host) && is_address(host)
    });
    if own || !open { Verdict::Yes } else { Verdict::No }
}

/// `localhost` or an address, with a port or without: no name that somebody else's name server could point here.
fn is_address(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Verdict, judge};

    #[test]
    fn pages_of_others_do_not_use_an_open_hub() {
        let allowed = ["https://app.example".to_owned()];
        for (origin, host, verdict) in [
            (None, Some("localhost:8443"), Verdict::Yes),
            (Some("http://localhost:8443"), Some("localhost:8443"), Verdict::Yes),
            (Some("http://127.0.0.1:1"), Some("127.0.0.1:1"), Verdict::Yes),
            (Some("http://[::1]:1"), Some("[::1]:1"), Verdict::Yes),
            (Some("http://localhost:1"), Some("localhost:8443"), Verdict::No),
            (Some("https://evil.example"), Some("localhost:8443"), Verdict::No),
            // A name that its owner has pointed at this machine.
            (Some("http://evil.example:1"), Some("evil.example:1"), Verdict::No),
            (Some("null"), Some("localhost:8443"), Verdict::No),
            (Some("https://app.example"), Some("localhost:1"), Verdict::Told("https://app.example".into())),
        ] {
            assert_eq!(judge(origin, host, &allowed, true), verdict, "{origin:?} at {host:?}");
        }
        // With tokens a page that has one may be anywhere.
        assert_eq!(judge(Some("https://evil.example"), Some("hub"), &allowed, false), Verdict::Yes);
    }
}
