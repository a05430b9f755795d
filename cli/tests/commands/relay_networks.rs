//! Relays on real networks, each of which only two of them are on: one is killed, one alters what it passes on.

use std::time::{Duration, Instant};

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::common::process::Process;
use crate::relay::{Tamperer, did, keys, of, path, trace};
use crate::sluis::{HUB, SENSOR, command};
use crate::spaces::{Namespace, in_networks, tie};

use sluis_core::identity::SecretKey;

const PORT: u16 = 7150;
/// How often nodes say that they are there.
const HEARTBEAT: Duration = Duration::from_secs(30);

#[test]
fn on_real_networks_a_killed_relay_is_gone_around_and_one_that_alters_is_named() {
    in_networks("relay_networks::on_real_networks_a_killed_relay_is_gone_around_and_one_that_alters_is_named", inside);
}

/// A relay in a namespace, once it listens.
fn relay(space: &Namespace, folder: &Folder, (name, port): (&str, u16), peers: &[(&str, String)]) -> Process {
    let (did, key, bind) = (did(name), path(folder, &format!("{name}.key")), format!("0.0.0.0:{port}"));
    let mut command = space.sluis();
    command.args(["relay", "--json", "--did", &did, "--bind", &bind, "--key", &key, "--allow", "jis:test:*"]);
    for (peer, addr) in peers {
        command.args(["--peer", &format!("{peer}={addr}")]);
    }
    let process = Process::spawn("sluis relay", &mut command);
    assert_eq!(Json::parse(&process.line()).str("event"), "listening");
    process
}

fn hub(space: &Namespace, folder: &Folder) -> Process {
    let (key, bind) = (path(folder, "hub.key"), format!("0.0.0.0:{PORT}"));
    let mut command = space.sluis();
    command.args(["listen", "--json", "--did", HUB, "--bind", &bind, "--key", &key, "--allow-legacy"]);
    command.args(["--trust", "jis:test:sensor=0.9"]);
    for name in ["east", "mid", "west"] {
        command.args(["--pin", &format!("{}={}", did(name), path(folder, &format!("{name}.pub")))]);
    }
    let process = Process::spawn("sluis listen", &mut command);
    assert_eq!(Json::parse(&process.line()).str("event"), "listening");
    process
}

/// Whether a ping to the hub is accepted that begins at the relay at this address.
fn is_accepted(folder: &Folder, first: &str) -> bool {
    let (via, key, pin) =
        (format!("{}@{first}", did("east")), path(folder, "sensor.key"), format!("{HUB}={}", path(folder, "hub.pub")));
    let args = ["ping", HUB, "--intent", "test.it", "--json", "--did", SENSOR, "--key", &key, "--pin", &pin];
    let more = ["--via", &via, "--timeout", "4"];
    Process::spawn("sluis ping", &mut command(&[&args[..], &more].concat())).finish().0 == 0
}

fn inside() {
    // The key of the one that alters, in the place of the one in the middle.
    let (folder, secret) = (keys("networks", "tokio"), SecretKey::from_seed(&[7; 32]));
    folder.prints(&["key", "new", "spare.key"]);
    let [east, mid, spare, west, cellar] = [(); 5].map(|()| Namespace::new());
    // We are east's neighbour, and once west's.
    for (n, ends) in [
        (0, [None, Some(&east)]),
        (1, [Some(&east), Some(&mid)]),
        (2, [Some(&mid), Some(&west)]),
        (3, [Some(&east), Some(&spare)]),
        (4, [Some(&spare), Some(&west)]),
        (5, [Some(&west), Some(&cellar)]),
        (6, [None, Some(&west)]),
    ] {
        tie(n, ends);
    }
    let at = |n: u8| format!("10.78.{n}.2:{PORT}");
    let (_hub, to_west) = (hub(&cellar, &folder), did("west"));
    let _west = relay(&west, &folder, ("west", PORT), &[(HUB, at(5))]);
    let between = relay(&mid, &folder, ("mid", PORT), &[(&to_west, at(2))]);
    let first = relay(&east, &folder, ("east", PORT), &[(&did("mid"), at(1))]);
    let (code, events) = trace("tokio", &folder, &at(0), &["--count", "2", "--interval", "50ms"]);
    assert_eq!((code, of(&events, "tampered").len()), (0, 0), "{events:?}");
    assert_eq!(of(&events, "hop").last().map(|hop| hop.count("n")), Some(4), "{events:?}");

    // One that is not there any more is gone around, within the time of a heartbeat.
    drop(first);
    let _spare = relay(&spare, &folder, ("spare", PORT), &[(&to_west, at(4))]);
    let first = relay(&east, &folder, ("east", PORT), &[(&did("mid"), at(1)), (&did("spare"), at(3))]);
    assert!(is_accepted(&folder, &at(0)));
    drop(between);
    let since = Instant::now();
    while !is_accepted(&folder, &at(0)) {
        assert!(since.elapsed() < HEARTBEAT, "nothing goes around the relay that was killed");
    }
    assert!(since.elapsed() < HEARTBEAT, "it took {:?}", since.elapsed());
    assert!(is_accepted(&folder, &at(0)), "and from then on every ping does");
    drop(first);

    // One that alters is named by who asks.
    folder.write("mid.pub", format!("{}\n", secret.public()));
    let altering = Tamperer::start(did("mid"), secret, "0.0.0.0:0", at(6).parse().expect("an address"));
    let _first = relay(&east, &folder, ("east", PORT), &[(&did("mid"), format!("10.78.0.1:{}", altering.addr.port()))]);
    let (code, events) = trace("tokio", &folder, &at(0), &["--count", "1", "--timeout", "4"]);
    let tampered = of(&events, "tampered");
    assert!(code == 1 && !tampered.is_empty(), "{events:?}");
    assert!(tampered.iter().all(|found| found.str("relay") == did("mid")), "{events:?}");
}
