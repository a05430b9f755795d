//! Pool files: TOML of ours, JSON of the reference.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::broker::{Broker, Secret, shown};
use super::{MAX_FILE, Pool};
use crate::rank::{Family, Weight};

/// Why a pool file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Longer than [`MAX_FILE`].
    #[error("it is longer than {MAX_FILE} bytes, that is no pool")]
    TooLong,
    /// Neither TOML nor JSON; what the parser says.
    #[error("it cannot be read: {0}")]
    Syntax(String),
    /// Readable, but there are no brokers where they should be.
    #[error("it names no brokers: write [[broker]] with a url, or take the reference's JSON")]
    NoBrokers,
    /// There is a key beside the brokers.
    #[error("`{0}` is no key of a pool, the only one is [[broker]]")]
    UnknownKey(String),
}

pub(super) fn parse(text: &str) -> Result<Pool, PoolError> {
    if text.len() > MAX_FILE {
        return Err(PoolError::TooLong);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        let root = serde_json::from_str(text).map_err(|why| PoolError::Syntax(why.to_string()))?;
        return reference(&root);
    }
    // One kind of value for both: what a person writes has no dates in it.
    let root: Map<String, Value> = toml::from_str(text).map_err(|why| PoolError::Syntax(why.message().to_owned()))?;
    if let Some(key) = root.keys().find(|key| *key != "broker") {
        return Err(PoolError::UnknownKey(shown(key)));
    }
    let entries = root.get("broker").and_then(Value::as_array).ok_or(PoolError::NoBrokers)?;
    let mut pool = Pool::default();
    for (at, entry) in entries.iter().enumerate() {
        match entry.as_object().ok_or_else(|| "it is no table".to_owned()).and_then(ours) {
            Ok(brokers) => pool.add(brokers),
            Err(why) => pool.faults.push(format!("broker {}: {why}", at + 1)),
        }
    }
    Ok(pool)
}

/// The brokers of one `[[broker]]`.
fn ours(entry: &Map<String, Value>) -> Result<Vec<Broker>, String> {
    const KEYS: [&str; 7] = ["url", "family", "user", "password", "ca", "weight", "rate"];
    // A key that was misspelt may have been the one that protects.
    if let Some(key) = entry.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("`{}` is no key of a broker, the keys are {}", shown(key), KEYS.join(", ")));
    }
    let text = |key: &str| match entry.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
        Some(_) => Err(format!("{key} is no text")),
    };
    let url = text("url")?.ok_or("it has no url, write mqtt://HOST[:PORT]")?;
    let mut brokers = Broker::from_url(&url)?;
    if let Some(family) = text("family")? {
        let wanted = match family.as_str() {
            "v4" => Family::V4,
            "v6" => Family::V6,
            _ => return Err("family is v4 or v6".to_owned()),
        };
        brokers.retain(|broker| broker.family == wanted);
        if brokers.is_empty() {
            return Err(format!("its address is not of the family {family}"));
        }
    }
    let (user, password, ca) = (text("user")?, text("password")?.map(Secret::new), text("ca")?);
    if password.is_some() && user.is_none() {
        return Err("a password needs a user".to_owned());
    }
    if ca.is_some() && brokers.iter().any(|broker| !broker.tls) {
        return Err("ca is for mqtts, without TLS it protects nothing".to_owned());
    }
    let weight = entry.get("weight").map_or(Ok(Weight::ONE), weight)?;
    let rate = entry.get("rate").map(rate).transpose()?;
    for broker in &mut brokers {
        (broker.user, broker.password, broker.ca) = (user.clone(), password.clone(), ca.clone());
        (broker.weight, broker.rate) = (weight, rate);
    }
    Ok(brokers)
}

fn weight(value: &Value) -> Result<Weight, String> {
    let thousandths = value.as_f64().map(|number| (number * 1000.0).round());
    // In range, and whole.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let thousandths = thousandths.filter(|n| (1.0..=1e9).contains(n)).map(|n| n as u32);
    thousandths.and_then(Weight::from_thousandths).ok_or_else(|| "weight is a number from 0.001 to 1000000".to_owned())
}

fn rate(value: &Value) -> Result<u32, String> {
    let rate = value.as_u64().and_then(|rate| u32::try_from(rate).ok());
    rate.filter(|rate| (1..=1_000_000).contains(rate))
        .ok_or_else(|| "rate is a whole number from 1 to 1000000".to_owned())
}

/// JSON of the reference. Its keys for the families are `IP4` in code, `IPv4` in its list, and what those stand for.
fn reference(root: &Value) -> Result<Pool, PoolError> {
    let root = root.get("MQTT").unwrap_or(root);
    let mut pool = Pool::default();
    let mut found = false;
    for (family, names) in [(Family::V4, ["IP4", "IPv4", "2"]), (Family::V6, ["IP6", "IPv6", "10"])] {
        for servers in names.iter().filter_map(|name| root.get(name)).filter_map(Value::as_object) {
            found = true;
            match servers.get("UDP").and_then(Value::as_array) {
                // The infrastructure list: groups of aliases, of which the first counts.
                Some(groups) => {
                    for group in groups {
                        pool.take(family, listed(group));
                    }
                }
                None => {
                    for (host, entry) in servers {
                        pool.take(family, served(host, entry));
                    }
                }
            }
        }
    }
    if found { Ok(pool) } else { Err(PoolError::NoBrokers) }
}

impl Pool {
    /// Take a broker of the reference, or say why not.
    fn take(&mut self, family: Family, broker: Result<Broker, String>) {
        match broker {
            Ok(broker) => self.add([Broker { family, ..broker }]),
            Err(why) => self.faults.push(why),
        }
    }
}

/// `[{"fqns": […], "ip": …, "port": …, …}, …]`: known by the first of its names in their order, or by its address.
fn listed(group: &Value) -> Result<Broker, String> {
    let entry = group.get(0).and_then(Value::as_object).ok_or("an entry of the list is no group of servers")?;
    let names = entry.get("fqns").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).min();
    let host = names.or_else(|| entry.get("ip").and_then(Value::as_str)).unwrap_or_default();
    theirs(host, entry)
}

/// `"host": {"port": …, …}`, as documented; what works has the host inside, too.
fn served(key: &str, entry: &Value) -> Result<Broker, String> {
    let entry = entry.as_object().ok_or_else(|| format!("{}: it is no object", shown(key)))?;
    theirs(entry.get("host").and_then(Value::as_str).unwrap_or(key), entry)
}

fn theirs(host: &str, entry: &Map<String, Value>) -> Result<Broker, String> {
    let say = |why: &str| format!("{}: {why}", shown(host));
    let port = entry.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let port = port.filter(|port| *port != 0).ok_or_else(|| say("a port is a number from 1 to 65535"))?;
    let text = |key: &str| match entry.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
        Some(_) => Err(say(&format!("{key} is no text"))),
    };
    let (user, password) = (text("user")?, text("password")?.map(Secret::new));
    if password.is_some() && user.is_none() {
        return Err(say("a password needs a user"));
    }
    let weight = entry.get("weight").map_or(Ok(Weight::ONE), weight).map_err(|why| say(&why))?;
    let broker = Broker::of_host(host, port, false)?.into_iter().next().ok_or_else(|| say("it is no host"))?;
    Ok(Broker { user, password, weight, ..broker })
}
