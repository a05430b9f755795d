//! `sluis signal`, and the keys it takes.

use std::process::Command;

use crate::common::folder::Folder;
use crate::common::json::Json;

/// The test identity `alice` of the reference's fixtures.
const ALICE: &str = "023ec81016ef3b169fc1037aae19807b86673cf83aff3523da4ce74e1939f379c5";
const ALICE_SECRET: &str = "4fd866dc3986210bbd2077fdfd71b5b0309fd7270e909ccb73e41fb32f10124e";

fn alice(folder: &Folder) {
    folder.write("secret.hex", format!("{ALICE_SECRET}\n"));
    folder.set_mode("secret.hex", 0o600);
    folder.prints(&["key", "new", "alice.key", "--kind", "secp256k1", "--import", "secret.hex"]);
}

#[test]
fn keys_for_signalling_are_made_taken_over_and_shown() {
    let folder = Folder::new("signal-keys");
    let made = folder.json(&["key", "new", "signal.key", "--kind", "secp256k1"]);
    assert_eq!((made.str("event"), made.str("algorithm"), made.get("secret")), ("key", "secp256k1", &Json::Bool(true)));
    assert_eq!((made.str("public").len(), folder.mode("signal.key")), (66, 0o600));
    assert_eq!(folder.json(&["key", "show", "signal.key"]).str("public"), made.str("public"));
    let said = folder.prints(&["key", "show", "signal.key"]);
    assert!(said.starts_with("signal.key: secp256k1 secret key\n") && said.contains(made.str("public")), "{said}");

    alice(&folder);
    assert_eq!(folder.prints(&["signal", "id", "alice.key"]), format!("{ALICE}\n"));
    let id = folder.json(&["signal", "id", "alice.key"]);
    assert_eq!((id.str("event"), id.str("file"), id.str("public_key")), ("id", "alice.key", ALICE));
    // Nobody sees the secret.
    for args in [
        &["key", "show", "alice.key", "-vv"][..],
        &["key", "show", "alice.key", "--json"],
        &["signal", "id", "alice.key"],
    ] {
        assert!(!folder.prints(args).contains(ALICE_SECRET));
    }
    // The public key in both forms is read back.
    for format in ["hex", "pem"] {
        folder.write("alice.pub", folder.prints(&["key", "export", "alice.key", "--format", format]));
        folder.set_mode("alice.pub", 0o644);
        let shown = folder.json(&["key", "show", "alice.pub"]);
        assert_eq!((shown.str("public"), shown.get("secret")), (ALICE, &Json::Bool(false)));
        assert_eq!(folder.prints(&["signal", "id", "alice.pub"]), format!("{ALICE}\n"));
    }
    for format in ["note", "openssh"] {
        let said = folder.fails(2, &["key", "export", "alice.key", "--format", format]);
        assert!(said.contains("a secp256k1 key has no such form, write pem or hex"), "{said}");
    }
}

#[test]
fn a_key_that_is_taken_over_is_checked_like_any_other() {
    let folder = Folder::new("signal-import");
    let import = |text: &str, mode: u32, code: i32| {
        folder.write("secret.hex", text);
        folder.set_mode("secret.hex", mode);
        folder.fails(code, &["key", "new", "x.key", "--kind", "secp256k1", "--import", "secret.hex"])
    };
    for (text, said) in [
        ("", "write its 32 bytes as 64 hex digits"),
        ("xyz", "write its 32 bytes as 64 hex digits"),
        (&"0".repeat(64), "no secp256k1 secret key"),
        (&"f".repeat(64), "no secp256k1 secret key"),
    ] {
        let sentence = import(text, 0o600, 1);
        assert!(sentence.contains(said) && !folder.0.join("x.key").exists(), "{sentence}");
    }
    let sentence = import(ALICE_SECRET, 0o644, 1);
    assert!(sentence.contains("chmod 600 secret.hex") && !folder.0.join("x.key").exists(), "{sentence}");
    let sentence = folder.fails(2, &["key", "new", "x.key", "--import", "secret.hex"]);
    assert!(sentence.contains("--import is for keys of --kind secp256k1"), "{sentence}");
    // Capitals mean the same.
    folder.set_mode("secret.hex", 0o600);
    folder.write("secret.hex", ALICE_SECRET.to_uppercase());
    let made = folder.json(&["key", "new", "x.key", "--kind", "secp256k1", "--import", "secret.hex"]);
    assert_eq!(made.str("public"), ALICE);
    // There already.
    folder.fails(1, &["key", "new", "x.key", "--kind", "secp256k1", "--import", "secret.hex"]);
}

#[test]
fn a_key_of_the_wrong_kind_is_one_sentence() {
    let folder = Folder::new("signal-kinds");
    alice(&folder);
    folder.prints(&["key", "new", "hub.key"]);
    let said = folder.fails(2, &["signal", "id", "hub.key"]);
    assert!(
        said.contains("sluis signal id: hub.key: this is an Ed25519 key") && said.contains("--kind secp256k1"),
        "{said}"
    );
    let said = folder.fails(2, &["signal", "rank", "hub.key", "--broker", "mqtt://a"]);
    assert!(said.contains("signalling needs a secp256k1 key"), "{said}");
    let said = folder.fails(1, &["chain", "new", "log.jsonl", "--key", "alice.key", "--name", "example.org/log"]);
    assert!(said.contains("this is a secp256k1 key"), "{said}");
    folder.set_mode("alice.key", 0o640);
    let said = folder.fails(2, &["signal", "id", "alice.key"]);
    assert!(said.contains("chmod 600 alice.key"), "{said}");
    folder.fails(2, &["signal", "id", "nowhere"]);
    let said = folder.fails(2, &["signal", "rank", "nowhere", "--broker", "mqtt://a"]);
    assert!(said.contains("`nowhere` is no file and no public key"), "{said}");
}

/// What a node is started with is looked at before anything is dialled.
#[test]
fn a_node_that_cannot_be_is_one_sentence() {
    let folder = Folder::new("signal-node");
    alice(&folder);
    folder.prints(&["key", "new", "hub.key"]);
    folder.write("alice.pub", folder.prints(&["key", "export", "alice.key", "--format", "hex"]));
    folder.set_mode("alice.pub", 0o644);
    folder.write("none.toml", "");
    let broker = ["--broker", "mqtt://127.0.0.1:1"];
    for (args, said) in [
        (&["--key", "hub.key", broker[0], broker[1]][..], "signalling needs a secp256k1 key"),
        (&["--key", "alice.pub", broker[0], broker[1]], "name the file with the secret key"),
        (&["--key", "nowhere", broker[0], broker[1]], "nowhere"),
        (&["--key", "alice.key"], "no brokers are named, add --pool FILE or --broker URL"),
        (&["--key", "alice.key", "--pool", "none.toml"], "it names no brokers"),
        (&["--key", "alice.key", "--broker", "ftp://127.0.0.1"], "no broker that is named can be used"),
        (&["--key", "alice.key", broker[0], broker[1], "--did", "jis:a:b"], "--id-key"),
        (&["--key", "alice.key", broker[0], broker[1], "--id-key", "hub.key"], "--did"),
        (&["--key", "alice.key", broker[0], broker[1], "--did", "jis:a:b", "--id-key", "alice.key"], "secp256k1 key"),
        (&["--key", "alice.key", broker[0], broker[1], "--pin", "jis:a:b"], "write DID=KEY"),
        (&["--key", "alice.key", broker[0], broker[1], "--allow-legacy=x"], "`x` is no file and no public key"),
    ] {
        for command in [&["signal", "listen"][..], &["signal", "send", ALICE, "--text", "x"]] {
            let out = folder.sluis(&[command, args].concat());
            let text = String::from_utf8_lossy(&out.stderr);
            assert!(out.status.code() == Some(2) && text.contains(said), "{command:?} {args:?}: {text}");
        }
    }
    // Open to others.
    folder.set_mode("alice.key", 0o640);
    let sentence = folder.fails(2, &["signal", "listen", "--key", "alice.key", broker[0], broker[1]]);
    assert!(sentence.contains("chmod 600 alice.key"), "{sentence}");
    folder.set_mode("alice.key", 0o600);
    // Nobody is there: that is said, and it goes on.
    let out =
        folder.sluis(&["signal", "listen", "--key", "alice.key", broker[0], broker[1], "--duration", "1", "--json"]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(0) && text.contains("No broker can be reached; they are tried again."), "{text}");
    assert!(String::from_utf8_lossy(&out.stdout).contains(r#""reason":"unreachable""#), "{out:?}");
}

/// The order and the scores that the reference finds for alice among three brokers (`three_v4` of its fixtures).
#[test]
fn brokers_are_ranked_as_the_reference_ranks_them() {
    let folder = Folder::new("signal-rank");
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/signal/tests/fixtures/rendezvous.jsonl");
    let rows = std::fs::read_to_string(fixtures).expect("the fixtures of sluis-signal");
    let mut seen = 0;
    for row in rows.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")) {
        if !["two_v4", "three_v4", "eight_v4", "dual", "twenty_dual"].iter().any(|pool| row["pool"] == **pool)
            || row["local_afs"].as_array().is_none_or(|families| families.len() != 2)
            // No point of the curve: nobody's key.
            || ["low", "high"].iter().any(|name| row["pub"] == **name)
        {
            continue;
        }
        let servers = |name: &str| {
            let hosts = row[name].as_array().expect("hosts").iter();
            hosts.map(|host| format!(r#"{host}:{{"port":1883}}"#)).collect::<Vec<_>>().join(",")
        };
        folder.write(
            "pool.json",
            format!(r#"{{"IP4":{{{}}},"IP6":{{{}}}}}"#, servers("pool_order_v4"), servers("pool_order_v6")),
        );
        let key = row["dest_pub_hex"].as_str().expect("a key");
        let events = folder.events(0, &["signal", "rank", key, "--pool", "pool.json"]);
        let (summary, brokers) = events.split_last().expect("events");
        let turns = row["interleave_buckets"].as_array().expect("turns");
        assert_eq!((brokers.len(), summary.str("event")), (turns.len(), "summary"));
        for (ours, theirs) in brokers.iter().zip(turns) {
            let (family, host) = (theirs[0].as_str().expect("a family"), theirs[1].as_str().expect("a host"));
            let host_in_url = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            assert_eq!(ours.str("broker"), format!("mqtt://{host_in_url}:1883"));
            assert_eq!(ours.str("family"), if family == "IP4" { "v4" } else { "v6" });
            let scored = row["order"][family].as_array().expect("an order").iter().find(|entry| entry["host"] == host);
            let score: f64 =
                scored.expect("scored")["score_repr"].as_str().expect("a score").parse().expect("a number");
            assert!((ours.number("score") - score).abs() < 1e-12, "{host}");
        }
        seen += 1;
    }
    assert!(seen >= 9, "{seen}");
}

#[test]
fn odd_entries_are_said_and_the_rest_is_ranked() {
    let folder = Folder::new("signal-odd");
    folder.write(
        "pool.toml",
        "[[broker]]\nurl = \"mqtt://192.0.2.1\"\nweight = 2\n[[broker]]\nurl = \"http://a\"\n[[broker]]\nurl = \"mqtts://[2001:db8::1]\"\n",
    );
    let out =
        folder.sluis(&["signal", "rank", ALICE, "--pool", "pool.toml", "--broker", "mqtt://192.0.2.2:1884", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        said.contains("broker 2: `http://a` is no broker") && said.contains("has weights, which sidewire ignores"),
        "{said}"
    );
    let events: Vec<Json> = String::from_utf8_lossy(&out.stdout).lines().map(Json::parse).collect();
    let names: Vec<&str> = events[..3].iter().map(|event| event.str("broker")).collect();
    assert!(names.contains(&"mqtts://[2001:db8::1]:8883") && names.contains(&"mqtt://192.0.2.2:1884"), "{names:?}");
    assert_eq!((events[3].count("brokers"), events[3].count("faults")), (3, 1));
    let text = folder.sluis(&["signal", "rank", ALICE, "--broker", "mqtt://192.0.2.2"]);
    assert!(String::from_utf8_lossy(&text.stdout).starts_with("   1  v4  "), "{text:?}");

    for (args, said) in [
        (&["signal", "rank", ALICE][..], "no brokers are named, add --pool FILE or --broker URL"),
        (&["signal", "rank", ALICE, "--broker", "x"], "no broker that is named can be used"),
        (&["signal", "rank", ALICE, "--pool", "nowhere"], "cannot read nowhere"),
        (&["signal", "rank", ALICE, "--pool", "empty"], "it names no brokers"),
        (&["signal", "rank", ALICE, "--pool", "bytes"], "pools are UTF-8"),
        (&["signal"], "name a command: id, rank, listen, send, probe, broker or demo"),
        (&["signal", "moo"], "there is no command `moo`"),
    ] {
        folder.write("empty", "");
        folder.write("bytes", [0xff; 8]);
        let sentence = folder.sluis(args);
        let text = String::from_utf8_lossy(&sentence.stderr);
        assert!(sentence.status.code() == Some(2) && text.contains(said), "{args:?}: {text}");
    }
}

/// Other people's tools, where they are.
#[test]
fn openssl_reads_our_keys_and_we_read_its() {
    let folder = Folder::new("signal-openssl");
    alice(&folder);
    let run = |args: &[&str]| {
        let out = Command::new("openssl").args(args).current_dir(&folder.0).output();
        assert!(out.is_ok() || std::env::var_os("CI").is_none(), "CI has no openssl: install it");
        out.ok().map(|out| {
            assert!(out.status.success(), "{out:?}");
            String::from_utf8(out.stdout).expect("UTF-8")
        })
    };
    let Some(theirs) = run(&["pkey", "-in", "alice.key", "-pubout"]) else {
        eprintln!("no openssl here: this was not tried");
        return;
    };
    folder.write("theirs.pub", theirs);
    folder.set_mode("theirs.pub", 0o644);
    assert_eq!(folder.prints(&["signal", "id", "theirs.pub"]), format!("{ALICE}\n"));
    let made = run(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"]).expect("as before");
    folder.write("made.key", made);
    folder.set_mode("made.key", 0o600);
    assert_eq!(folder.prints(&["signal", "id", "made.key"]).len(), 67);
    // Another curve is another kind.
    let other = run(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]).expect("as before");
    folder.write("made.key", other);
    folder.fails(2, &["signal", "id", "made.key"]);
}
