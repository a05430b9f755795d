//! A node's configuration as JSON and back.

use alloc::string::ToString;

use super::line::{Line, Version};
use super::read::{BadRecord, Object};
use super::{overlay, relay};
use crate::Did;
use crate::framing::{Encoding, Zone};
use crate::node::{Identity, NodeConfig, Require, SessionPolicy};
use crate::session::Suites;
use crate::time::Wall;

/// The fields of a configuration by kind, written once for both directions: a field that is added and forgotten here
/// makes `every_setting_is_recorded` fail.
macro_rules! settings {
    (
        floats: $($float:ident).+ $(, $($floats:ident).+)*;
        numbers: $($number:ident).+ $(, $($numbers:ident).+)*;
        spans: $($span:ident).+ $(, $($spans:ident).+)*;
    ) => {
        /// Write a configuration.
        pub(crate) fn write(config: &NodeConfig, version: Version) -> alloc::string::String {
            let mut line = Line::new(version);
            line.text("did", config.did.as_str());
            settings!(@floats config, line, ($($float).+) $(($($floats).+))*);
            settings!(@numbers config, line, ($($number).+) $(($($numbers).+))*);
            settings!(@spans config, line, ($($span).+) $(($($spans).+))*);
            // Microseconds since the Unix epoch, or nothing.
            let not_before = config.not_before.map(|wall| wall.as_micros().to_string());
            line.text("not_before", not_before.as_deref().unwrap_or_default());
            line.span("heartbeat", config.heartbeat);
            line.text("tell_heartbeats", if config.tell_heartbeats { "yes" } else { "no" });
            line.text("heartbeat_encoding", encoding_name(config.heartbeat_encoding));
            if version >= Version::Two {
                line.number("caps.waiting_per_name", config.caps.waiting_per_name.into());
                line.number("caps.waiting_per_address", config.caps.waiting_per_address.into());
                line.number("caps.open_per_address", config.caps.open_per_address.into());
                line.text("gate.otherwise", config.gate.otherwise.map_or("", Zone::as_str));
                line.text("keep_last_rood", if config.keep_last_rood { "yes" } else { "no" });
                write_newer(config, &mut line);
            }
            line.finish()
        }

        /// Read a configuration, with the key of the node where whoever reads it has that.
        pub(super) fn read(
            object: Object<'_>,
            version: Version,
            identity: Option<Identity>,
        ) -> Result<NodeConfig, BadRecord> {
            let did = Did::new(&object.text("did")?).map_err(|_| BadRecord("has no DID"))?;
            let mut config = NodeConfig::new(did);
            config.$($float).+ = object.parsed(stringify!($($float).+))?;
            $(config.$($floats).+ = object.parsed(stringify!($($floats).+))?;)*
            config.$($number).+ = object.number(stringify!($($number).+))?;
            $(config.$($numbers).+ = object.number(stringify!($($numbers).+))?;)*
            config.$($span).+ = object.sure_span(stringify!($($span).+))?;
            $(config.$($spans).+ = object.sure_span(stringify!($($spans).+))?;)*
            config.not_before = match &*object.text("not_before")? {
                "" => None,
                micros => Some(Wall::from_micros(micros.parse().map_err(|_| BadRecord("has no time in not_before"))?)),
            };
            config.heartbeat = object.span("heartbeat")?;
            config.tell_heartbeats = &*object.text("tell_heartbeats")? == "yes";
            config.heartbeat_encoding = encoding(&object.text("heartbeat_encoding")?)?;
            // No recording had this bound at first.
            config.caps.waiting_per_name = match object.has("caps.waiting_per_name") {
                true => object.number("caps.waiting_per_name")?,
                false => u32::MAX,
            };
            if version >= Version::Two {
                config.caps.waiting_per_address = object.number("caps.waiting_per_address")?;
                config.caps.open_per_address = object.number("caps.open_per_address")?;
                config.gate.otherwise = match &*object.text("gate.otherwise")? {
                    "" => None,
                    zone => Some(Zone::from_wire(zone).ok_or(BadRecord("has an unknown zone"))?),
                };
                config.keep_last_rood = &*object.text("keep_last_rood")? == "yes";
                read_newer(object, &mut config, identity)?;
            } else {
                // There were no such bounds.
                (config.caps.waiting_per_address, config.caps.open_per_address) = (u32::MAX, u32::MAX);
            }
            Ok(config)
        }
    };
    (@floats $config:ident, $line:ident, $(($($field:ident).+))+) => {
        $($line.float(stringify!($($field).+), $config.$($field).+);)+
    };
    (@numbers $config:ident, $line:ident, $(($($field:ident).+))+) => {
        $($line.number(stringify!($($field).+), $config.$($field).+ as u64);)+
    };
    (@spans $config:ident, $line:ident, $(($($field:ident).+))+) => {
        $($line.span(stringify!($($field).+), Some($config.$($field).+));)+
    };
}

settings! {
    floats: gate.groen, gate.rood;
    numbers: gate.max_rules, gate.max_rule_bytes, trust.max_entries, trust.max_bytes,
        vouches.max_vouches, vouches.max_vouched, vouches.max_for_one, vouches.max_bytes,
        replay.per_sender, replay.max_senders, replay.max_entries, replay.max_bytes,
        caps.peers, caps.peer_bytes, caps.waiting, caps.waiting_per_sender, caps.open, caps.requests,
        caps.events, caps.event_bytes, caps.transmits, caps.transmit_bytes, caps.replies,
        caps.reply_bytes;
    spans: replay.window, replay.skew, request_timeout, decision_timeout, answer_timeout, waiting_expiry,
        peer_cleanup, peer_stale;
}

/// Settings that are younger than their version of recordings: written where they are not as they always were.
fn write_newer(config: &NodeConfig, line: &mut Line) {
    let usual = NodeConfig::new(config.did.clone());
    for (name, value, usual) in [
        ("pins.max_pins", config.pins.max_pins as u64, usual.pins.max_pins as u64),
        ("pins.max_retired", config.pins.max_retired as u64, usual.pins.max_retired as u64),
        ("caps.verifications", config.caps.verifications.into(), usual.caps.verifications.into()),
        ("caps.first_uses", config.caps.first_uses.into(), usual.caps.first_uses.into()),
        ("caps.changes", config.caps.changes.into(), usual.caps.changes.into()),
    ] {
        if value != usual {
            line.number(name, value);
        }
    }
    if config.require != usual.require {
        let require = match config.require {
            Require::Nothing => "nothing",
            Require::Signed => "signed",
            Require::Session => "session",
        };
        line.text("require", require);
    }
    if config.accept_older != usual.accept_older {
        line.span("accept_older", Some(config.accept_older));
    }
    if config.durable {
        line.text("durable", "yes");
    }
    write_sessions(config, line);
    overlay::write_settings(config, line);
    relay::write_settings(config, line);
    // Never the secret.
    if let Some(identity) = &config.identity {
        line.hex("identity", identity.public().as_bytes());
    }
}

fn read_newer(object: Object<'_>, config: &mut NodeConfig, identity: Option<Identity>) -> Result<(), BadRecord> {
    if object.has("identity") {
        let public = object.hex("identity")?;
        config.identity = identity.filter(|identity| identity.public().as_bytes()[..] == public[..]);
        if config.identity.is_none() {
            return Err(BadRecord("is of a node that signs: the key is not in its recording"));
        }
    }
    if object.has("pins.max_pins") {
        config.pins.max_pins = object.number("pins.max_pins")?;
    }
    if object.has("pins.max_retired") {
        config.pins.max_retired = object.number("pins.max_retired")?;
    }
    if object.has("caps.verifications") {
        config.caps.verifications = object.number("caps.verifications")?;
    }
    if object.has("caps.first_uses") {
        config.caps.first_uses = object.number("caps.first_uses")?;
    }
    if object.has("caps.changes") {
        config.caps.changes = object.number("caps.changes")?;
    }
    config.require = match object.maybe("require")?.as_deref() {
        None | Some("nothing") => Require::Nothing,
        Some("signed") => Require::Signed,
        Some("session") => Require::Session,
        Some(_) => return Err(BadRecord("demands what this program does not know")),
    };
    if object.has("accept_older") {
        config.accept_older = object.sure_span("accept_older")?;
    }
    config.durable = object.maybe("durable")?.as_deref() == Some("yes");
    read_sessions(object, config)?;
    overlay::read_settings(object, config)?;
    relay::read_settings(object, config)
}

/// The bounds of sessions, for both directions.
macro_rules! session_caps {
    ($config:expr, |$name:ident, $field:ident, $usual:ident| $do:expr) => {
        session_caps!(@ $config, |$name, $field, $usual| $do; sessions half_open outgoing stamps handshakes_per_second
            handshakes_per_source cookies_per_second)
    };
    (@ $config:expr, |$name:ident, $field:ident, $usual:ident| $do:expr; $($cap:ident)+) => {
        let usual = crate::session::Caps::default();
        $({
            let ($name, $field, $usual) = (concat!("session_caps.", stringify!($cap)), &mut $config.$cap, usual.$cap);
            $do
        })+
    };
}

fn write_sessions(config: &NodeConfig, line: &mut Line) {
    match config.sessions {
        SessionPolicy::Off => {}
        SessionPolicy::Auto => _ = line.text("sessions", "auto"),
        SessionPolicy::Require => _ = line.text("sessions", "require"),
    }
    // It was the first, as long as there was no choice.
    match config.suites {
        _ if config.sessions == SessionPolicy::Off => {}
        Suites::One => {}
        Suites::Two => _ = line.text("suites", "2"),
        Suites::Any => _ = line.text("suites", "any"),
    }
    let mut caps = config.session_caps;
    session_caps!(caps, |name, field, usual| if *field != usual {
        line.number(name, *field as u64);
    });
}

fn read_sessions(object: Object<'_>, config: &mut NodeConfig) -> Result<(), BadRecord> {
    config.sessions = match object.maybe("sessions")?.as_deref() {
        None => SessionPolicy::Off,
        Some("auto") => SessionPolicy::Auto,
        Some("require") => SessionPolicy::Require,
        Some(_) => return Err(BadRecord("has sessions that this program does not know")),
    };
    config.suites = match object.maybe("suites")?.as_deref() {
        None if config.sessions == SessionPolicy::Off => config.suites,
        None => Suites::One,
        Some("2") => Suites::Two,
        Some("any") => Suites::Any,
        Some(_) => return Err(BadRecord("has suites that this program does not know")),
    };
    session_caps!(config.session_caps, |name, field, usual| *field =
        if object.has(name) { object.number(name)? } else { usual });
    Ok(())
}

/// The name of an encoding in a recording.
pub(super) const fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "json",
        Encoding::Msgpack => "msgpack",
        Encoding::Postcard => "postcard",
    }
}

/// The encoding of this name.
pub(super) fn encoding(name: &str) -> Result<Encoding, BadRecord> {
    match name {
        "json" => Ok(Encoding::Json),
        "msgpack" => Ok(Encoding::Msgpack),
        "postcard" => Ok(Encoding::Postcard),
        _ => Err(BadRecord("has an unknown encoding")),
    }
}
