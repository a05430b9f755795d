//! How what happens in the overlay looks, as JSON and for people.

use sluis_core::Wall;
use sluis_core::framing::Text;
use sluis_core::identity::PublicKey;
use sluis_core::node::{FoundDevice, OverlayNews, Resolution};

use crate::output::{Color, Out};
use crate::token::hex;

fn fingerprint(key: PublicKey) -> String {
    key.fingerprint().to_string()
}

/// A record of ours, or of a device that registered here.
pub(crate) fn registered(out: &mut Out, did: &str, endpoint: Option<&str>, (seq, expires): (u64, u64)) {
    out.event(
        "registered",
        |o| o.str("did", did).maybe("endpoint", endpoint).raw("seq", seq).raw("expires", expires),
        |flow| {
            flow.word(Color::Green, "registered").quoted("", Text::new(did));
            flow.words(&endpoint.map_or_else(|| "without an endpoint".to_owned(), |at| format!("at {at}")));
        },
    );
}

/// Where a name is.
pub(crate) fn resolved(out: &mut Out, wall: Wall, found: &Resolution) {
    let age = found.heard.map(|heard| wall.micros_since(heard).max(0) / 1_000_000);
    let key = found.key.map(fingerprint);
    let null = |number: Option<String>| number.unwrap_or_else(|| "null".to_owned());
    out.event(
        "resolved",
        |o| {
            o.str("did", &found.did)
                .str("endpoint", &found.endpoint)
                .str("source", found.source.as_str())
                .raw("seq", null(found.seq.map(|seq| seq.to_string())))
                .raw("age_s", null(age.map(|age| age.to_string())))
                .maybe("fingerprint", key.as_deref())
        },
        |flow| {
            flow.quoted("", Text::new(&found.did)).words("is at");
            flow.word(Color::Bold, &found.endpoint).text(Color::Dim, found.source.as_str());
            key.iter().for_each(|key| _ = flow.text(Color::Plain, key));
        },
    );
}

/// A device that can do what was asked for.
pub(crate) fn found(out: &mut Out, device: &FoundDevice) {
    let key = fingerprint(device.key);
    out.event(
        "found",
        |o| {
            o.str("did", &device.did)
                .maybe("addr", device.endpoint.as_deref())
                .with("capabilities", |line| {
                    line.push(b'[');
                    for (n, capability) in device.capabilities.iter().enumerate() {
                        if n > 0 {
                            line.push(b',');
                        }
                        crate::output::json::put_text(line, Text::new(capability));
                    }
                    line.push(b']');
                })
                .str("fingerprint", &key)
                .raw("bound", device.bound)
                .raw("seq", device.seq)
                .raw("expires", device.expires)
        },
        |flow| {
            flow.word(Color::Bold, "found").quoted("", Text::new(&device.did));
            device.endpoint.iter().for_each(|at| _ = flow.words(&format!("at {at}")));
            flow.text(Color::Plain, &key);
            if !device.bound {
                flow.text(Color::Yellow, "by its own word: no pin says that the key is the one of this name");
            }
        },
    );
}

/// Whether a key answered.
pub(crate) struct Verified<'a> {
    pub(crate) did: &'a str,
    pub(crate) verified: bool,
    pub(crate) score: Option<f64>,
    pub(crate) key: Option<PublicKey>,
    pub(crate) rtt_ms: Option<f64>,
    pub(crate) addr: Option<std::net::SocketAddr>,
}

pub(crate) fn verified(out: &mut Out, verified: &Verified<'_>) {
    let key = verified.key.map(fingerprint);
    let addr = verified.addr.map(|addr| addr.to_string());
    out.event(
        "verified",
        |o| {
            o.str("did", verified.did)
                .raw("verified", verified.verified)
                .rounded("trust_score", verified.score, 4)
                .maybe("fingerprint", key.as_deref())
                .rounded("rtt_ms", verified.rtt_ms, 3)
                .maybe("addr", addr.as_deref())
        },
        |flow| {
            match verified.verified {
                true => flow.word(Color::Green, "verified"),
                false => flow.word(Color::Red, "not verified"),
            };
            flow.quoted("", Text::new(verified.did));
            addr.iter().for_each(|addr| _ = flow.words(&format!("at {addr}")));
            key.iter().for_each(|key| _ = flow.text(Color::Plain, key));
        },
    );
}

/// Somebody joined, or we did: `did` is the other side.
pub(crate) fn joined(out: &mut Out, did: &str, key: PublicKey, token: &[u8], trust: f64) {
    let (key, token) = (fingerprint(key), hex(token));
    out.event(
        "joined",
        |o| o.str("did", did).str("token", &token).str("fingerprint", &key).raw("trust_score", trust),
        |flow| {
            flow.word(Color::Green, "joined").quoted("", Text::new(did)).text(Color::Plain, &key);
            flow.words(&format!("by the token {token}, trust {trust}"));
        },
    );
}

/// What others did at this node.
pub(crate) fn news(out: &mut Out, news: &OverlayNews) {
    match news {
        OverlayNews::Registered { did, endpoint, seq, expires, .. } => {
            registered(out, did, endpoint.as_deref(), (*seq, *expires));
        }
        OverlayNews::Moved { did, from, to } => {
            let (from, to) = (from.as_deref(), to.as_deref());
            out.event(
                "moved",
                |o| o.str("did", did).maybe("from", from).maybe("to", to),
                |flow| {
                    flow.word(Color::Yellow, "moved").quoted("", Text::new(did));
                    flow.words(&format!("from {} to {}", from.unwrap_or("nowhere"), to.unwrap_or("nowhere")));
                },
            );
        }
        OverlayNews::Joined { did, key, token, trust } => joined(out, did, *key, token, *trust),
        OverlayNews::Verified { did, key, path, took, score } => {
            let rtt_ms = took.map(|took| took.as_secs_f64() * 1000.0);
            let (score, key, addr) = (*score, Some(*key), Some(path.remote));
            verified(out, &Verified { did, verified: took.is_some(), score, key, rtt_ms, addr });
        }
        OverlayNews::Vouched { id, voucher, named, expires } => {
            let id = hex(id);
            out.event(
                "vouched",
                |o| {
                    let o = o.str("id", &id).str("voucher_did", voucher).raw("expires", expires);
                    o.raw("vouched", named.len())
                },
                |flow| {
                    flow.quoted("", Text::new(voucher)).words(&format!("vouches for {} names ({id})", named.len()));
                },
            );
        }
        OverlayNews::VouchRevoked { id } => {
            let id = hex(id);
            out.event(
                "vouch_revoked",
                |o| o.str("id", &id),
                |flow| {
                    flow.word(Color::Yellow, "revoked").words(&format!("the vouch {id}"));
                },
            );
        }
        _ => {}
    }
}
