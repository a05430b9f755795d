//! Pool files: ours, the reference's, and what is wrong with either.
#![cfg(feature = "std")]

mod common;

use common::{key, rows, text};
use sluis_signal::pool::{MAX_BROKERS, MAX_FILE, Pool, PoolError};
use sluis_signal::rank::{Family, Weight};

fn names(pool: &Pool) -> Vec<(Family, String)> {
    pool.brokers().iter().map(|broker| (broker.family, broker.to_string())).collect()
}

#[test]
fn toml_has_all_that_a_broker_needs() {
    let pool = Pool::parse(
        r#"
        [[broker]]
        url = "mqtts://Broker.Example.org"
        user = "me"
        password = "hunter2"
        ca = "ca.pem"
        weight = 2.5
        rate = 100
        [[broker]]
        url = "mqtt://[2001:db8::1]:1884"
        [[broker]]
        url = "mqtt://192.0.2.1/"
        [[broker]]
        url = "mqtt://lan"
        family = "v6"
        weight = 1
        "#,
    )
    .unwrap();
    assert_eq!(pool.faults(), [""; 0]);
    let name = |family, text: &str| (family, text.to_owned());
    assert_eq!(
        names(&pool),
        [
            name(Family::V4, "mqtts://Broker.Example.org:8883"),
            name(Family::V6, "mqtts://Broker.Example.org:8883"),
            name(Family::V6, "mqtt://[2001:db8::1]:1884"),
            name(Family::V4, "mqtt://192.0.2.1:1883"),
            name(Family::V6, "mqtt://lan:1883"),
        ]
    );
    let first = &pool.brokers()[0];
    assert_eq!((first.user.as_deref(), first.ca.as_deref(), first.rate), (Some("me"), Some("ca.pem"), Some(100)));
    assert_eq!((first.weight, first.tls), (Weight::from_thousandths(2500).unwrap(), true));
    assert_eq!(first.password.as_ref().map(|secret| secret.reveal()), Some("hunter2"));
    assert!(pool.is_weighted() && !format!("{pool:?}").contains("hunter2"));
    assert!(!Pool::parse("[[broker]]\nurl = \"mqtt://a\"").unwrap().is_weighted());
}

/// What its `servers=` takes: as documented (which crashes there), as it works, as `json.dumps` writes the numbers of the families; and its
/// infrastructure list, alone or within the whole file.
#[test]
fn the_references_own_pools_are_read() {
    let documented = r#"{"IP4":{"broker.example.com":{"port":1883,"weight":1.0}},"IP6":{"broker.example.com":{"port":1883,"weight":1.0}}}"#;
    let works = r#"{"2":{"broker.example.com":{"host":"broker.example.com","ip":"192.0.2.1","port":1883,"user":null}},
                    "10":{"broker.example.com":{"host":"broker.example.com","port":1883,"user":null,"password":null}}}"#;
    let list = r#"{"IPv4":{"UDP":[[{"ip":"192.0.2.9","port":1883,"user":null,"password":null,"fqns":["z.example.com","broker.example.com"]},
                    {"ip":"192.0.2.8","port":9,"fqns":["another"]}]],"TCP":[]},
                   "IPv6":{"UDP":[[{"ip":"2001:41d0:0303:4831:0000:0000:0000:0001","port":1883,"user":"u","password":"p","fqns":[]}]],"TCP":[]}}"#;
    let expected = |six: &str| {
        [(Family::V4, "mqtt://broker.example.com:1883".to_owned()), (Family::V6, format!("mqtt://{six}:1883"))]
    };
    for text in [documented, works] {
        let pool = Pool::parse(text).unwrap();
        assert_eq!((&names(&pool)[..], pool.faults().len()), (&expected("broker.example.com")[..], 0));
    }
    for text in [list.to_owned(), format!(r#"{{"NTP":{{}},"MQTT":{list},"timestamp":1}}"#)] {
        let pool = Pool::parse(&text).unwrap();
        assert_eq!(names(&pool), expected("[2001:41d0:0303:4831:0000:0000:0000:0001]"));
        assert_eq!((pool.brokers()[1].user.as_deref(), pool.faults().len()), (Some("u"), 0));
    }
}

/// One odd entry stops the start there.
#[test]
fn an_entry_that_cannot_be_used_is_one_sentence_and_the_rest_work() {
    for (entry, said) in [
        ("", "it has no url"),
        ("url = 7", "url is no text"),
        (r#"url = "http://a""#, "`http://a` is no broker, write mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"),
        (r#"url = "mqtt://""#, "a broker without a host"),
        (r#"url = "mqtt://a b""#, "`a b` is no name or address of a host"),
        (r#"url = "mqtt://a:0""#, "a port is a number from 1 to 65535"),
        (r#"url = "mqtt://a:65536""#, "a port is a number from 1 to 65535"),
        (r#"url = "mqtt://a:+1""#, "a port is a number from 1 to 65535"),
        (r#"url = "mqtt://::1""#, "write an IPv6 address in brackets"),
        (r#"url = "mqtt://[lan]""#, "what stands in brackets is no IPv6 address"),
        (r#"url = "mqtt://a/topic""#, "has a path"),
        (r#"url = "mqtt://me:hunter2@a""#, "has no user in it"),
        ("url = \"mqtt://a\"\nfamily = \"v5\"", "family is v4 or v6"),
        ("url = \"mqtt://192.0.2.1\"\nfamily = \"v6\"", "its address is not of the family v6"),
        ("url = \"mqtt://a\"\npassword = \"hunter2\"", "a password needs a user"),
        ("url = \"mqtt://a\"\npasword = \"hunter2\"", "`pasword` is no key of a broker"),
        ("url = \"mqtt://a\"\nca = \"x\"", "ca is for mqtts"),
        ("url = \"mqtt://a\"\nweight = 0", "weight is a number from 0.001 to 1000000"),
        ("url = \"mqtt://a\"\nweight = nan", "weight is a number from 0.001 to 1000000"),
        ("url = \"mqtt://a\"\nrate = 0", "rate is a whole number from 1 to 1000000"),
        ("url = \"mqtt://b\"", "mqtt://b:1883 is named twice"),
    ] {
        let pool = Pool::parse(&format!(
            "[[broker]]\nurl = \"mqtt://b\"\n[[broker]]\n{entry}\n[[broker]]\nurl = \"mqtt://192.0.2.7\"\n"
        ))
        .unwrap();
        assert!(pool.faults()[0].contains(said), "{entry}: {:?}", pool.faults());
        assert!(
            pool.faults().iter().all(|fault| !fault.contains("hunter2") && !fault.contains('\n')),
            "{:?}",
            pool.faults()
        );
        assert_eq!(pool.brokers().len(), 3, "{entry}");
    }
    let json = r#"{"IP4":{"":{"port":1},"a":7,"b":{},"c":{"port":70000},"d":{"port":1,"user":5},"e":{"port":1,"password":"x"},
                   "f":{"port":1,"weight":-1},"ü":{"port":1},"good":{"port":1883}}}"#;
    let pool = Pool::parse(json).unwrap();
    assert_eq!((names(&pool).len(), pool.faults().len()), (1, 8), "{:?}", pool.faults());
}

#[test]
fn what_is_no_pool_is_said() {
    assert_eq!(Pool::parse("").map(|_| ()), Err(PoolError::NoBrokers));
    assert_eq!(Pool::parse("{}").map(|_| ()), Err(PoolError::NoBrokers));
    assert_eq!(Pool::parse("broker = 7").map(|_| ()), Err(PoolError::NoBrokers));
    assert_eq!(
        Pool::parse("[[brokers]]\nurl = \"mqtt://a\"").map(|_| ()),
        Err(PoolError::UnknownKey("brokers".to_owned()))
    );
    assert_eq!(Pool::parse(&" ".repeat(MAX_FILE + 1)).map(|_| ()), Err(PoolError::TooLong));
    for broken in ["{", "[[broker", "{\"IP4\":NaN}"] {
        let why = Pool::parse(broken).unwrap_err();
        assert!(matches!(&why, PoolError::Syntax(text) if !text.contains('\n')), "{why:?}");
    }
    let many: String =
        (0..MAX_BROKERS + 5).map(|n| format!("[[broker]]\nurl = \"mqtt://n{n}\"\nfamily = \"v4\"\n")).collect();
    let pool = Pool::parse(&many).unwrap();
    assert_eq!((pool.brokers().len(), pool.faults().len()), (MAX_BROKERS, 5));
}

/// The same order as the reference, from its own pool.
#[test]
fn a_pool_of_the_reference_has_the_references_order() {
    let rows = rows("rendezvous.jsonl");
    let row = rows
        .iter()
        .find(|row| row["pool"] == "twenty_dual" && row["pub"] == "bob" && row["order"]["IP6"].is_array())
        .unwrap();
    let servers = |name: &str| {
        let entries = row[name].as_array().unwrap().iter().map(|host| format!(r#"{host}:{{"port":1883}}"#));
        format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
    };
    let json = format!(r#"{{"IP4":{},"IP6":{}}}"#, servers("pool_order_v4"), servers("pool_order_v6"));
    let pool = Pool::parse(&json).unwrap();
    for (family, name) in [(Family::V4, "IP4"), (Family::V6, "IP6")] {
        let ours: Vec<String> =
            pool.order(key("bob").public().as_bytes(), family).iter().map(|(broker, _)| broker.host.clone()).collect();
        let theirs: Vec<&str> =
            row["order"][name].as_array().unwrap().iter().map(|entry| text(entry, "host")).collect();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn brokers_can_be_named_one_by_one() {
    let mut pool = Pool::default();
    pool.add_urls(["mqtt://a", "mqtt://192.0.2.1", "ftp://b"]);
    assert_eq!((names(&pool).len(), pool.faults().len()), (3, 1));
}
