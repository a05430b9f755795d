//! The values of flags: how each is written, and what is said when it is not.
//!
//! Every parser answers with the rest of a sentence that names the mend; the caller puts the flag before it.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use sluis_core::Did;
use sluis_core::airlock::{LegacyError, LegacyList};
use sluis_core::framing::Value;
use sluis_core::identity::PublicKey;
use sluis_core::limits::{BROADCAST, MAX_INTENT};
use sluis_core::relay::Rate;

use crate::fail::Fail;
use crate::key;
use crate::output::escape;

/// The longest time a flag may name: a hundred years.
const MAX_SECONDS: f64 = 100.0 * 365.25 * 86_400.0;

/// `--trust DID=SCORE`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trust {
    pub(crate) did: String,
    pub(crate) score: f64,
}

/// `--peer DID=HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) did: String,
    pub(crate) place: Place,
}

/// A JSON text that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonText(String);

impl JsonText {
    /// Its bytes.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The JSON as it was given.
    pub(crate) fn as_json(&self) -> &str {
        &self.0
    }

    /// The value that it holds.
    pub(crate) fn as_value(&self) -> Value<'_> {
        Value::from_json(&self.0).unwrap_or(Value::EMPTY_OBJECT)
    }
}

/// `HOST:PORT`, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    host: String,
    port: u16,
}

impl Place {
    /// The name or address.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The addresses that it stands for: one for a number, all that the resolver knows for a name.
    pub(crate) fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, self.port)]),
            // The resolver also understands an interface behind the address, like `fe80::1%eth0`.
            Err(_) => Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Default for Place {
    /// Where a node listens unless it is told otherwise.
    fn default() -> Self {
        Self { host: "0.0.0.0".to_owned(), port: sluis_core::limits::DEFAULT_PORT }
    }
}

/// Units of time, and the seconds in each; the longest names first.
const UNITS: [(&str, f64); 5] = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// A time: seconds, with a fraction if need be, or a number and its unit.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, seconds)| text.strip_suffix(name).map(|number| (number, *seconds)))
        .unwrap_or((text, 1.0));
    match number.parse::<f64>().map(|n| n * unit) {
        Ok(n) if n.is_finite() && (0.0..=MAX_SECONDS).contains(&n) => Ok(Duration::from_secs_f64(n)),
        Ok(n) if n < 0.0 => Err("a time cannot be negative, write one like 1.5 or 100ms".to_owned()),
        Ok(n) if n > MAX_SECONDS && n.is_finite() => {
            Err("that is more than a hundred years, write a time like 1.5 or 2h".to_owned())
        }
        _ => Err("write seconds like 10 or 1.5, or a number and its unit like 100ms, 2m or 1h".to_owned()),
    }
}

/// A time, more than none.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("it must be more than 0, write a time like 1.5 or 100ms".to_owned()),
        some => Ok(some),
    }
}

/// A number of bytes, in units of 1024 if one follows.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let units = [("k", 10), ("M", 20), ("G", 30)];
    let (number, shift) = units
        .iter()
        .find_map(|(unit, shift)| text.strip_suffix(unit).map(|number| (number, *shift)))
        .unwrap_or((text, 0));
    let bytes = number.parse::<u64>().ok().filter(|_| number.bytes().all(|b| b.is_ascii_digit()));
    match bytes.and_then(|n| n.checked_mul(1 << shift)) {
        Some(n @ 1..) => Ok(n),
        _ => Err("write a number of bytes from 1 up, like 1000000, 64k or 1G".to_owned()),
    }
}

/// How many: 1 or more.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(0) | Err(_) => Err("write a whole number from 1 up".to_owned()),
        Ok(n) => Ok(n),
    }
}

/// How many; 0 is without end.
pub(crate) fn count_or_none(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write a whole number from 0 up; 0 is without end".to_owned())
}

/// How many requests may be open at once.
pub(crate) fn in_flight(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(n @ 1..=65_536) => Ok(n),
        _ => Err("write a whole number from 1 to 65536".to_owned()),
    }
}

/// The number of a node in a network.
pub(crate) fn node(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "write the number of a node, from 0 up".to_owned())
}

/// A DID.
pub(crate) fn did(text: &str) -> Result<Did, String> {
    match Did::new(text) {
        Ok(did) if did.as_str() == BROADCAST => Err(format!("`{BROADCAST}` is no name, write a DID like jis:home:hub")),
        Ok(did) if did.as_str().chars().any(|c| c == ' ' || !escape::is_plain(c)) => {
            Err("a DID has no blanks and nothing that is not seen, write one like jis:home:hub".to_owned())
        }
        Ok(did) => Ok(did),
        Err(why) => Err(format!("{why}, write one like jis:home:hub")),
    }
}

/// The DID of a node of ours: like those of others, and of a kind that can be told apart from an ordinary word.
pub(crate) fn own_did(text: &str) -> Result<Did, String> {
    let did = did(text)?;
    match did.as_str().split_once(':') {
        Some((method, name)) if !method.is_empty() && !name.is_empty() => Ok(did),
        _ => Err("a DID has a method and a name, write one like jis:home:hub".to_owned()),
    }
}

/// The DID of a target, or `broadcast` for whoever is there.
pub(crate) fn target(text: &str) -> Result<String, String> {
    if text == BROADCAST { Ok(text.to_owned()) } else { Ok(did(text)?.as_str().to_owned()) }
}

/// An intent.
pub(crate) fn intent(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("it must not be empty, write one like temperature.read".to_owned()),
        1..=MAX_INTENT => Ok(text.to_owned()),
        n => Err(format!("an intent has at most {MAX_INTENT} bytes, this one has {n}; shorten it")),
    }
}

/// `DID=SCORE`, split at the last `=`: a DID may hold one.
pub(crate) fn trust(text: &str) -> Result<Trust, String> {
    let Some((name, score)) = text.rsplit_once('=') else {
        return Err("write DID=SCORE, like jis:home:sensor=0.9".to_owned());
    };
    let did = trusted_did(name)?.as_str().to_owned();
    Ok(Trust { did, score: score_of(score.parse().unwrap_or(f64::NAN))? })
}

/// A name and the key that speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) did: String,
    pub(crate) key: PublicKey,
}

/// `DID=KEY`: a DID may hold an equals sign, and so may the name of a file with a key.
///
/// # Errors
/// As [`Fail`]: a file that is named and holds no key is no mistake of the command line.
pub(crate) fn pin(text: &str) -> Result<Pin, Fail> {
    let mut why = Fail::usage("write DID=KEY, like jis:home:sensor=sensor.pub");
    for (at, _) in text.match_indices('=') {
        let (name, word) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
        match key::file::public(word) {
            Ok(key) => return Ok(Pin { did: did(name).map_err(Fail::usage)?.as_str().to_owned(), key }),
            Err(fail) => why = fail,
        }
    }
    Err(why)
}

/// `DID=HOST:PORT`, split at the last `=`: a DID may hold one.
pub(crate) fn neighbour(text: &str) -> Result<Neighbour, String> {
    let (name, at) = text.rsplit_once('=').ok_or("write DID=HOST:PORT, like jis:mesh:east=192.0.2.2:7150")?;
    Ok(Neighbour { did: did(name)?.as_str().to_owned(), place: remote_place(at)? })
}

/// `N/S`: so many in so many seconds, as many at once.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    const HOW: &str = "write N/S, so many in so many seconds, like 50/1, with N at least S";
    let (n, seconds) = text.split_once('/').ok_or(HOW)?;
    let whole = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|n| plain && *n > 0)
    };
    let (n, seconds) = whole(n).zip(whole(seconds)).filter(|(n, seconds)| n >= seconds).ok_or(HOW)?;
    Ok(Rate::new(n / seconds, n))
}

/// The DID of somebody to trust: trust is set for one name, never for a pattern.
pub(crate) fn trusted_did(text: &str) -> Result<Did, String> {
    let did = did(text)?;
    if text.contains('*') {
        return Err(format!(
            "trust is set for one DID and a star stands for nothing in it, name each DID, or write a rule with source_did = \"{text}\" \
             into the configuration"
        ));
    }
    Ok(did)
}

/// A pattern for DIDs, like `jis:home:*`.
pub(crate) fn pattern(text: &str) -> Result<String, String> {
    LegacyList::default().allow(text).map_err(|why| match why {
        LegacyError::TooLong(_) => format!("{why}; shorten it"),
        LegacyError::Star(_) => format!("{why}; write one like jis:home:*"),
        why => why.to_string(),
    })?;
    Ok(text.to_owned())
}

/// A score from 0 to 1.
pub(crate) fn score_of(score: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&score) { Ok(score) } else { Err("a score is a number from 0 to 1, like 0.9".to_owned()) }
}

/// A JSON text. The reference's parser also reads `NaN`, `Infinity` and numbers beyond the range of floats; they are refused, since
/// what would be sent for them is no JSON.
pub(crate) fn json(text: &str) -> Result<JsonText, String> {
    match Value::from_json(text) {
        Ok(value) if value.is_finite() => Ok(JsonText(text.to_owned())),
        Ok(_) => {
            Err("a number in it is not finite and has no JSON that others read, write another or a text".to_owned())
        }
        Err(why) => Err(format!("this is not JSON ({why}), write a value like '{{\"celsius\":21.5}}'")),
    }
}

/// The same for what is written anew, into a packet or a log: what would come out as something else is refused, too.
pub(crate) fn exact_json(text: &str) -> Result<JsonText, String> {
    let json = json(text)?;
    if json.as_value().is_exact() {
        return Ok(json);
    }
    Err("a key stands twice in an object, or a number has more digits than are kept, so that something else would be written: \
         write each key once, and such a number as a text"
        .to_owned())
}

/// `HOST:PORT`, with brackets around an IPv6 address.
pub(crate) fn place(text: &str) -> Result<Place, String> {
    const HOW: &str = "write HOST:PORT, like 192.0.2.7:7150 or [::1]:7150";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or(HOW)?,
        None => text.rsplit_once(':').ok_or(HOW)?,
    };
    let bracketed = text.starts_with('[');
    if host.is_empty() || bracketed != host.contains(':') || host.contains(char::is_whitespace) {
        return Err(HOW.to_owned());
    }
    // `parse` alone would take a sign.
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits => Ok(Place { host: host.to_owned(), port }),
        _ => Err("the port is a number from 0 to 65535, as in 192.0.2.7:7150".to_owned()),
    }
}

/// `HOST:PORT` of somebody to talk to.
pub(crate) fn remote_place(text: &str) -> Result<Place, String> {
    match place(text)? {
        Place { ref host, .. } if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) => {
            Err(format!("{host} is no address of anybody, write the one of the other end, such as 127.0.0.1"))
        }
        Place { port: 0, .. } => Err("nobody can be reached at port 0, write the port of the other end".to_owned()),
        place => Ok(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_units_and_bounds() {
        for (text, millis) in
            [("1.5", 1500), ("0", 0), ("1e-3", 1), ("100ms", 100), ("2s", 2000), ("1.5m", 90_000), ("1h", 3_600_000)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(time("250us"), Ok(Duration::from_micros(250)));
        for bad in [
            "", "x", "-1", "-1ms", "nan", "inf", "-inf", "1e300", "1e300h", "1,5", "s", "ms", "1 s", "1d", "1S", "1mss",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(some_time("0").is_err() && some_time("0ms").is_err());
        assert!(some_time("0.001").is_ok());
    }

    #[test]
    fn bytes_have_units() {
        for (text, n) in [("1", 1), ("64k", 65_536), ("2M", 2 << 20), ("1G", 1 << 30)] {
            assert_eq!(bytes(text), Ok(n), "{text}");
        }
        for bad in ["", "0", "0k", "-1", "+1", "1.5", "k", "1K", "1kb", "99999999999999999999", "99999999999G"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn trust_splits_at_the_last_equals_sign() {
        assert_eq!(trust("jis:a=b=0.5"), Ok(Trust { did: "jis:a=b".into(), score: 0.5 }));
        assert_eq!(trust("jis:home:x=1"), Ok(Trust { did: "jis:home:x".into(), score: 1.0 }));
        for bad in [
            "jis:a",
            "=0.5",
            "jis:a=",
            "jis:a=NaN",
            "jis:a=1.1",
            "jis:a=-0.1",
            "jis:a=x",
            "broadcast=0.5",
            "jis:x:*=1",
            "*=1",
        ] {
            assert!(trust(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn neighbours_and_rates() {
        let shown = |text| neighbour(text).map(|near| (near.did, near.place.to_string()));
        assert_eq!(shown("jis:a=b=[::1]:7150"), Ok(("jis:a=b".to_owned(), "[::1]:7150".to_owned())));
        assert!(
            neighbour("jis:a").is_err() && neighbour("=127.0.0.1:1").is_err() && neighbour("jis:a=0.0.0.0:1").is_err()
        );
        assert_eq!((rate("50/1"), rate("90/60")), (Ok(Rate::new(50, 50)), Ok(Rate::new(1, 90))));
        for bad in ["", "50", "/1", "0/1", "1/0", "1/2", "+5/1", "5/1s", "1.5/1", "99999999999/1"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn places_are_hosts_with_ports() {
        let shown = |text| place(text).map(|p| p.to_string());
        for good in ["127.0.0.1:0", "[::1]:7150", "localhost:65535", "[fe80::1%eth0]:1"] {
            assert_eq!(shown(good), Ok(good.to_owned()));
        }
        for bad in ["", "7150", ":7150", "::1:7150", "[::1]", "[::1]7150", "h:", "h:70000", "h:+1", "[h]:1", "a b:1"] {
            assert!(place(bad).is_err(), "{bad}");
        }
        assert!(remote_place("127.0.0.1:0").is_err());
        for nobody in ["0.0.0.0:7150", "[::]:7150"] {
            assert!(remote_place(nobody).unwrap_err().contains("no address of anybody"), "{nobody}");
        }
        assert_eq!(place("[::1]:5").unwrap().resolve().unwrap(), ["[::1]:5".parse().unwrap()]);
    }

    #[test]
    fn json_says_where_it_is_wrong() {
        assert!(json(r#"{"a":[1,2.5,"é"]}"#).is_ok());
        assert!(json("{\"a\":}").unwrap_err().contains("at byte 5"));
        for odd in ["NaN", "1e400", "[1, {\"a\": -Infinity}]", r#"{"a":1e400,"b":NaN}"#] {
            assert!(json(odd).unwrap_err().contains("is not finite"), "{odd}");
        }
        for changed in ["1e-400", r#"{"a":1,"a":2}"#, "[1.50000000000000000001]"] {
            assert!(json(changed).is_ok(), "{changed}");
            assert!(exact_json(changed).unwrap_err().contains("write each key once"), "{changed}");
        }
        assert!(exact_json(r#"{"a":1.50,"b":[1e300,123456789012345678901234567890]}"#).is_ok());
        assert!(json("1e300").is_ok() && json(&"9".repeat(400)).is_ok() && json("\"NaN\"").is_ok());
    }

    #[test]
    fn names_and_numbers() {
        assert!(did("broadcast").is_err() && target("broadcast").is_ok());
        assert!(did("").is_err() && did("a\u{1b}b").is_err());
        assert!(did("jis home").is_err() && did("jis:home\u{2800}").is_err() && did("jis:home ").is_err());
        assert!(own_did("jis:home:hub").is_ok() && did("hub").is_ok());
        assert!(own_did("hub").is_err() && own_did("jis:").is_err() && own_did(":hub").is_err());
        assert!(count_or_none("0") == Ok(0) && count_or_none("-1").is_err());
        assert!(count("0").is_err() && count("1").is_ok() && count("-1").is_err());
        assert!(in_flight("65537").is_err() && in_flight("64").is_ok());
        assert!(intent("").is_err() && intent(&"x".repeat(257)).is_err() && intent("a.b").is_ok());
    }
}
