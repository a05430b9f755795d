//! Wrong command lines and configurations: exit code 2, one sentence on standard error that names the mend, nothing on
//! standard output.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn sluis(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluis")).args(args).env_remove("NO_COLOR").output().expect("sluis runs")
}

/// The one sentence with which these arguments are refused.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = sluis(args);
    let said = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{args:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    assert!(said.starts_with("sluis") && said.ends_with(".\n"), "{args:?}: {said}");
    assert!(!said.trim_end().contains(char::is_control), "{args:?}: {said}");
    said
}

#[test]
fn every_wrong_flag_gets_one_sentence_with_the_mend() {
    const LISTEN: &[&str] = &["listen", "--did", "jis:a"];
    const PING: &[&str] = &["ping", "jis:a", "127.0.0.1:9", "--intent", "x"];
    let cases: &[(&[&str], &[&str], &str)] = &[
        (
            &[],
            &[],
            "name a command: listen, ping, relay, trace, ctl, replay, discover, key, pin, signal, chain, mux, overlay, token, vouch, doctor, config, completions, man or demo",
        ),
        (&[], &["--json"], "name a command"),
        (
            &[],
            &["fly"],
            "there is no command `fly`, the commands are listen, ping, relay, trace, ctl, replay, discover, key, pin, signal, chain, mux, overlay, token, vouch, doctor, config, completions, man and demo",
        ),
        (&[], &["route"], "there is no command `route`"),
        (&[], &["help", "fly"], "there is no command `fly`"),
        (&[], &["\u{1b}[2J\u{202e}x\ny"], r"there is no command `\x1b[2J\u{202e}x\x0ay`"),
        (&[], &["--\u{1b}x\u{3164}"], r"there is no argument `--\x1bx\u{3164}`"),
        (&["listen"], &[], "add --did DID"),
        (&["listen"], &["--did"], "--did needs a value"),
        (&["listen"], &["--did", ""], "a DID must not be empty"),
        (&["listen"], &["--did", "broadcast"], "`broadcast` is no name"),
        (&["listen"], &["--did", "jis:\u{1b}[2J"], "must not contain control characters"),
        (LISTEN, &["--did", "jis:b"], "--did <DID> is given more than once"),
        (LISTEN, &["--route", "x"], "there is no argument `--route`"),
        (LISTEN, &["--mode", "x"], "there is no argument `--mode`"),
        (LISTEN, &["--trsut", "x"], "did you mean --trust?"),
        (LISTEN, &["jis:b"], "there is no argument `jis:b`"),
        (LISTEN, &["--trust", "jis:b"], "--trust `jis:b`: write DID=SCORE, like jis:home:sensor=0.9"),
        (LISTEN, &["--trust", "jis:b=2"], "a score is a number from 0 to 1"),
        (LISTEN, &["--trust", "jis:b=nan"], "a score is a number from 0 to 1"),
        (LISTEN, &["--trust", "=0.5"], "a DID must not be empty"),
        (LISTEN, &["--bind", "7150"], "--bind `7150`: write HOST:PORT"),
        (LISTEN, &["--bind", "::1:7150"], "[::1]:7150"),
        (LISTEN, &["--bind", "127.0.0.1:70000"], "the port is a number from 0 to 65535"),
        (LISTEN, &["--allow-legacy", "jis:*"], "--allow-legacy=jis:*"),
        (LISTEN, &["--allow-legacy="], "a pattern must not be empty"),
        (LISTEN, &["--allow-legacy=jis:a\u{1}*"], r"--allow-legacy `jis:a\x01*`: a control character"),
        (LISTEN, &["--allow-legacy=jis:home:* "], "is not seen: write it without"),
        (LISTEN, &["--allow-legacy=jis:*:door"], "write one like jis:home:*"),
        (LISTEN, &["--reply", "{x}"], "--reply `{x}`: this is not JSON"),
        (LISTEN, &["--reply", r#"{"a":1e400,"b":NaN}"#], "is not finite and has no JSON"),
        (LISTEN, &["--count", "0"], "write a whole number from 1 up"),
        (LISTEN, &["--count", "1.5"], "write a whole number from 1 up"),
        (LISTEN, &["--duration", "-1"], "a time cannot be negative"),
        (LISTEN, &["--duration", "soon"], "write seconds like 10 or 1.5, or a number and its unit like 100ms"),
        (LISTEN, &["--trust", "jis:\u{7}b\n=0.5"], r"--trust `jis:\x07b\x0a=0.5`"),
        (&["listen"], &["--did", "jis home"], "a DID has no blanks"),
        (&["listen"], &["--did", "hub"], "write one like jis:home:hub"),
        (LISTEN, &["--trust", "jis home=0.5"], "a DID has no blanks"),
        (LISTEN, &["--max-bytes", "0"], "write a number of bytes from 1 up, like 1000000, 64k or 1G"),
        (&["send"], &["jis:a"], "--intent <INTENT> is missing"),
        (LISTEN, &["--duration", "1e99"], "more than a hundred years"),
        (LISTEN, &["--config", "/nowhere/hub.toml"], "cannot read /nowhere/hub.toml"),
        (LISTEN, &["--runtime", "rayon"], "--runtime `rayon`: write one of tokio, smol"),
        (LISTEN, &["--color", "blue"], "write one of auto, always, never"),
        (LISTEN, &["--quiet=yes"], "--quiet takes no value"),
        (&["ping"], &[], "<TARGET-DID>"),
        (&["ping"], &["jis:a"], "--intent <INTENT>"),
        (&["ping"], &["jis:a", "127.0.0.1:9"], "--intent <INTENT> is missing, add it"),
        (&["ping"], &["jis:a", "127.0.0.1", "--intent", "x"], "HOST:PORT `127.0.0.1`: write HOST:PORT"),
        (&["ping"], &["jis:a", "127.0.0.1:0", "--intent", "x"], "nobody can be reached at port 0"),
        (&["ping"], &["jis:a", "127.0.0.1:9", "--intent", ""], "write one like temperature.read"),
        (PING, &["--payload", "{\"a\":"], "--payload `{\"a\":`: this is not JSON"),
        (PING, &["--payload", "[-Infinity]"], "is not finite and has no JSON"),
        (PING, &["--payload", "-1e400"], "is not finite and has no JSON"),
        (PING, &["--encoding", "xml"], "write one of json, msgpack, postcard"),
        (PING, &["--priority", "high"], "write one of urgent, normal, lazy"),
        (PING, &["--count", "-1"], "write a whole number from 0 up; 0 is without end"),
        (PING, &["--did", "jis home"], "a DID has no blanks"),
        (PING, &["--in-flight", "0"], "from 1 to 65536"),
        (PING, &["--in-flight", "65537"], "from 1 to 65536"),
        (PING, &["--timeout", "0"], "it must be more than 0"),
        (PING, &["--interval", "-0.1"], "a time cannot be negative"),
        (PING, &["--bind", "[::1]:0"], "not of the same family"),
        (PING, &["--did", "jis:a"], "a node does not ping itself"),
        (PING, &["--purpose"], "--purpose needs a value"),
        (PING, &["--trust", "jis:a=1"], "there is no argument `--trust`"),
        (LISTEN, &["--capture"], "--capture needs a value"),
        (
            LISTEN,
            &["--bind", "127.0.0.1:0", "--capture", "/nowhere/x.jsonl"],
            "cannot record in /nowhere/x.jsonl: there is no such folder",
        ),
        (LISTEN, &["--capture", "/dev/null"], "/dev/null is there already, name a new file"),
        (LISTEN, &["--control", "/dev/null"], "/dev/null is there already and is no socket"),
        (
            LISTEN,
            &["--bind", "127.0.0.1:0", "--control", "/nowhere/x"],
            "cannot make the socket /nowhere/x: there is no such folder",
        ),
        (
            LISTEN,
            &["--bind", "127.0.0.1:0", "--log", "/nowhere/x"],
            "cannot write to /nowhere/x: there is no such folder",
        ),
        (&["ctl"], &[], "<PATH> and <COMMAND>... is missing"),
        (&["ctl"], &["x"], "<COMMAND>"),
        (&["ctl"], &["x", "fly"], "`fly` is no command here, write approve NUMBER"),
        (&["ctl"], &["x", "approve"], "write approve NUMBER"),
        (&["ctl"], &["x", "trust", "jis:a=2"], "a score is a number from 0 to 1"),
        (&["replay"], &[], "<FILE> is missing"),
        (&["replay"], &["/nowhere/x.jsonl"], "cannot read /nowhere/x.jsonl"),
        (&["replay"], &["/"], "cannot read /"),
        (&["replay"], &["/dev/null", "--node", "-1"], "--node `-1`: write the number of a node"),
        (&["replay"], &["Cargo.toml", "--pcap", "Cargo.toml"], "Cargo.toml is there already, name a new file"),
        (&["replay"], &["Cargo.toml", "--pcap", "/nowhere/x"], "cannot write /nowhere/x: there is no such folder"),
        (&["replay"], &["Cargo.toml", "--pcap", "-", "--json"], "--json and --pcap - both write to standard output"),
        (&["replay"], &["/dev/null", "--count", "1"], "there is no argument `--count`"),
        (&["key"], &[], "name a command: new, show, export, rotate or revoke"),
        (&["key"], &["fly"], "there is no command `fly`, the commands are new, show, export, rotate and revoke"),
        (&["key", "new"], &[], "<FILE> is missing, add it"),
        (&["key", "new"], &["a", "b"], "there is no argument `b`"),
        (&["key", "show"], &["a", "--force"], "there is no argument `--force`"),
        (&["key", "export"], &["a", "--format", "der"], "write one of pem, hex, note, openssh"),
        (
            &["chain"],
            &[],
            "name a command: new, add, run, plan, start, complete, close, verify, find, show, prove, export or demo",
        ),
        (&["chain"], &["fly"], "there is no command `fly`"),
        (&["chain", "new"], &[], "<FILE> is missing, add it"),
        (&["chain", "new"], &["c", "--owner", ""], "a DID must not be empty"),
        (&["chain", "add"], &["c"], "--action <ACTION> is missing, add it"),
        (&["chain", "add"], &["c", "--action", ""], "--action ``: it must not be empty"),
        (&["chain", "add"], &["c", "--action", "a", "--erin", "{"], "this is not JSON"),
        (&["chain", "add"], &["c", "--action", "a", "--eromheen", "[]"], "write a JSON object"),
        (&["chain", "add"], &["c", "--action", "a", "--eraan", "prev:sha256:00"], "the log itself writes"),
        (&["chain", "add"], &["c", "--action", "a", "--state", "done"], "write one of created, detected"),
        (&["chain", "add"], &["c", "--action", "a", "--actor", "\u{1b}"], "control characters"),
        (&["chain", "run"], &["c", "--step", "s"], "is missing, add it"),
        (&["chain", "run"], &["c", "--", "true"], "--step <NAME> is missing, add it"),
        (&["chain", "verify"], &[], "is missing, add it"),
        (&["chain", "add"], &["c", "--action", "events_lost"], "is what `listen --record` writes"),
        (&["chain", "add"], &["c", "--action", "a", "--erin", "NaN"], "is not finite"),
        (&["chain", "complete"], &["c", "--step", "s", "--data", "1e400"], "is not finite"),
        (&["chain", "complete"], &["c", "--step", "s", "--input-data", "[NaN]"], "is not finite"),
        (&["chain", "start"], &["c", "--step", "s", "--data", "-1e999"], "is not finite"),
        (&["chain", "complete"], &["c", "--step", "s", "--skip", "--output", "X"], "does not go with"),
        (&["chain", "complete"], &["c", "--step", "s", "--skip", "--skip"], "--skip is given more than once"),
        (LISTEN, &["--log", "x", "--record", "./x"], "--record and --log are one file"),
        (LISTEN, &["--log", "/dev/../tmp/x.tree", "--record", "/tmp/x"], "are one file"),
        (LISTEN, &["--log", "/proc/self/cwd/x", "--record", "x"], "--record and --log are one file"),
        (LISTEN, &["--log", "x", "--capture", "x"], "--log and --capture are one file"),
        (LISTEN, &["--log", "Cargo.toml", "--config", "./Cargo.toml"], "--log and --config are one file"),
        (&["chain", "find"], &["c", "--since", "yesterday"], "write a time like"),
        (&["chain", "find"], &["c", "--limit", "0"], "write a whole number from 1 up"),
        (&["chain", "prove"], &["c"], "<ID|LINE> is missing, add it"),
        (&["chain", "export"], &["c"], "--key <FILE> is missing, add it"),
        (&["chain", "demo"], &["--scenario", "boat"], "write one of drone, ai, spiffe"),
        (&["demo"], &["x"], "there is no argument `x`"),
    ];
    for (start, rest, said) in cases {
        let args = [*start, rest].concat();
        let sentence = refused(&args);
        assert!(sentence.contains(said), "{args:?}: {sentence}");
        if let Some(command) = start.first() {
            let command = if *command == "send" { &"ping" } else { command };
            let command = if matches!(*command, "key" | "chain") { start.join(" ") } else { (*command).to_owned() };
            assert!(sentence.starts_with(&format!("sluis {command}: ")), "{args:?}: {sentence}");
        }
    }
}

#[test]
fn what_no_datagram_carries_is_refused_before_it_is_sent() {
    let large = format!("\"{}\"", "x".repeat(66_000));
    let sentence = refused(&["ping", "jis:a", "127.0.0.1:9", "--intent", "x", "--payload", &large]);
    assert!(sentence.contains("--payload: ") && sentence.contains("send less"), "{sentence}");
    let sentence = refused(&["ping", "jis:a", "127.0.0.1:9", "--intent", "x", "--purpose", &"x".repeat(66_000)]);
    assert!(sentence.contains("--purpose: ") && sentence.contains("write less"), "{sentence}");
    let broken = format!("[{}", "1,".repeat(10_000));
    let sentence = refused(&["ping", "jis:a", "127.0.0.1:9", "--intent", "x", "--payload", &broken]);
    assert!(sentence.len() < 300 && sentence.contains("1,1,1..."), "{sentence}");
    let huge = ["--payload", "123456789012345678901234567890", "--encoding", "msgpack"];
    let sentence = refused(&[&["ping", "jis:a", "127.0.0.1:9", "--intent", "x"], &huge[..]].concat());
    assert!(sentence.contains("choose another --encoding"), "{sentence}");
}

#[test]
fn a_reply_that_no_new_sender_would_get_is_refused_at_start() {
    let reply = format!("\"{}\"", "x".repeat(1200));
    let sentence = refused(&["listen", "--did", "jis:a", "--bind", "127.0.0.1:0", "--reply", &reply]);
    let numbers: Vec<usize> =
        sentence.split(' ').filter_map(|word| word.trim_end_matches([')', ';']).parse().ok()).collect();
    let [answer, most, ping] = numbers[..] else { panic!("three sizes: {sentence}") };
    assert!(answer > 1200 && answer > most && most == 3 * ping, "{sentence}");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("large-reply.toml");
    fs::write(&file, format!("did = \"jis:a\"\n[[replies]]\nintent = \"b.*\"\nreply = '{reply}'\n")).expect("written");
    let sentence = refused(&["listen", "--config", file.to_str().expect("UTF-8")]);
    assert!(sentence.contains("replies, intent `b.*`: an answer with it takes "), "{sentence}");
}

/// The row `pattern_unknown_key_ignored` of the reference's table `airlock.jsonl`, which its gate lets everybody through.
const UNKNOWN_CONDITION: &str = "did = \"jis:a\"\n[[rules]]\nname = \"r\"\nzone = \"ROOD\"\ntarget_did = \"nobody\"\n";
const UNKNOWN_CONDITION_SAID: &str = "unknown field `target_did`";

#[test]
fn a_row_that_no_rule_of_ours_can_express_is_listed_with_what_the_configuration_says() {
    let deviations = include_str!("../../../core/tests/deviations.toml");
    let (_, row) = deviations.split_once("row = \"pattern_unknown_key_ignored\"").expect("it is listed");
    let (row, _) = row.split_once("[[").expect("others follow");
    assert!(row.contains(&format!("ours = \"{UNKNOWN_CONDITION_SAID}\"")), "{row}");
}

#[test]
fn a_broken_configuration_is_named_with_its_line() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for (i, (text, said)) in [
        ("did = \"jis:a\"\ntrsut = 1\n", "line 2 (`trsut = 1`): unknown field `trsut`, expected one of `did`"),
        ("did = \"jis:a\"\n\nbind = 7150\n", "line 3 (`bind = 7150`)"),
        ("did = \"\"", "line 1 (`did = \"\"`): did: a DID must not be empty"),
        ("did = \"jis:a\"\n[trust]\n\"jis:b\" = 7", "line 3 (`\"jis:b\" = 7`): trust: a score is a number from 0 to 1"),
        ("did = \"jis:a\"\nreply = '{'", "line 2 (`reply = '{'`): reply: this is not JSON"),
        ("thresholds = { groen = 0.2, rood = 0.3 }", "thresholds: "),
        ("[[rules]]\nname = \"x\"\nzone = \"BLAUW\"", "line 3"),
        (UNKNOWN_CONDITION, UNKNOWN_CONDITION_SAID),
        ("did = [", "line 1"),
        ("bind = \"127.0.0.1:0\"", "add --did DID (or `did` to the configuration)"),
    ]
    .iter()
    .enumerate()
    {
        let file = dir.join(format!("broken-{i}.toml"));
        fs::write(&file, text).expect("a file can be written");
        let name = file.to_str().expect("UTF-8");
        let sentence = refused(&["listen", "--config", name]);
        assert!(sentence.contains(said), "{text:?}: {sentence}");
        if i < 9 {
            assert!(sentence.contains(name), "{text:?}: {sentence}");
        }
    }
}

#[test]
fn help_has_examples_and_goes_to_standard_output() {
    for args in [
        &["--help"][..],
        &["listen", "--help"],
        &["ping", "--help"],
        &["replay", "--help"],
        &["key", "--help"],
        &["key", "new", "--help"],
        &["key", "show", "--help"],
        &["key", "export", "--help"],
        &["chain", "--help"],
        &["chain", "new", "--help"],
        &["chain", "add", "--help"],
        &["chain", "run", "--help"],
        &["chain", "close", "--help"],
        &["chain", "verify", "--help"],
        &["chain", "find", "--help"],
        &["chain", "show", "--help"],
        &["chain", "prove", "--help"],
        &["chain", "export", "--help"],
        &["chain", "demo", "--help"],
        &["demo", "--help"],
        &["ping", "-h"],
        &["ctl", "--help"],
        &["help"],
        &["help", "ping"],
        &["help", "chain", "run"],
        &["chain", "help", "run"],
        &["send", "--help"],
    ] {
        let Output { status, stdout, stderr } = sluis(args);
        let help = String::from_utf8(stdout).expect("UTF-8");
        assert_eq!((status.code(), stderr.len()), (Some(0), 0), "{args:?}");
        assert!(help.contains("Examples:\n  sluis ") && !help.contains('\u{1b}'), "{args:?}: {help}");
        assert!(help.contains("--runtime") && help.contains("--color"), "{args:?}: {help}");
    }
    let version = sluis(&["--version"]);
    let text = String::from_utf8(version.stdout).expect("UTF-8");
    assert_eq!(version.status.code(), Some(0));
    let about = text.trim_end().strip_prefix(concat!("sluis ", env!("CARGO_PKG_VERSION"), " (")).expect("the version");
    assert!(about.contains("features") && about.ends_with(')'), "{text}");
    if PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.git")).exists() {
        let commit = about.strip_prefix("commit ").and_then(|about| about.split(',').next()).expect("a commit");
        assert!(commit.len() >= 7 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
    }
}

#[test]
fn help_that_cannot_be_written_is_a_failure() {
    for args in [&["--help"][..], &["ping", "--help"], &["help", "listen"], &["--version"]] {
        let Ok(full) = fs::File::options().write(true).open("/dev/full") else { return };
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
        let out = command.args(args).stdout(full).stderr(std::process::Stdio::piped()).output().expect("sluis runs");
        let said = String::from_utf8(out.stderr).expect("UTF-8");
        assert_eq!(out.status.code(), Some(1), "{args:?}: {said}");
        assert!(
            said.starts_with("sluis: cannot write to standard output (") || said.contains("No space left"),
            "{said}"
        );
    }
}

#[test]
fn flags_have_short_names_and_times_have_units() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let addr = nobody.local_addr().expect("an address").to_string();
    let args = ["ping", "jis:a", &addr, "--intent", "x", "-q", "-c", "3", "-i", "10ms", "-t", "50ms"];
    let out = sluis(&args);
    let said = String::from_utf8(out.stdout).expect("UTF-8");
    assert_eq!(out.status.code(), Some(1));
    assert!(said.starts_with("3 sent, 0 received, 3 lost: ") && said.lines().count() <= 2, "{said}");
    let out = sluis(&["send", "jis:a", &addr, "--intent", "x", "-t", "50ms"]);
    let said = String::from_utf8(out.stdout).expect("UTF-8");
    assert!(said.contains("\n1 sent, 0 received, 1 lost: "), "one ping: {said}");
    let out = sluis(&["listen", "--did", "jis:a", "--bind", "127.0.0.1:0", "--duration", "20ms", "-q", "-c", "1"]);
    assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0), "{out:?}");
}
