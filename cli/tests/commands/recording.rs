//! `listen --capture` and `replay`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::json::Json;
use crate::on_both;
use crate::sluis::{DOOR, HUB, Listen, Ping, Raw, SENSOR, assert_counts, command};

on_both! {
    a_real_node_is_recorded_and_replays
    a_node_that_never_listened_leaves_no_file
    a_full_disk_ends_the_recording_and_not_the_node
    files_grow_no_further_than_they_may
}

/// A new folder for one test.
fn folder(name: &str, runtime: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{runtime}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn replay(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(&[&["replay"], args].concat()).output().expect("sluis runs");
    (status.code(), String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"))
}

/// A recording of everything that can happen to a listening node in a second.
fn record(runtime: &str, file: &Path) {
    let mut listen = Listen::start(runtime, &["--capture", text(file), "--reply", r#"{"opened":true}"#]);
    for encoding in ["json", "msgpack", "postcard"] {
        let args = ["--count", "5", "--interval", "0", "--encoding", encoding];
        assert_eq!(Ping::start(runtime, SENSOR, &listen.addr, &args).finish().0, 0);
        (0..5).for_each(|_| drop(listen.expect("ping")));
    }
    for word in ["approve", "reject"] {
        let ping = Ping::start(runtime, DOOR, &listen.addr, &["--count", "1", "--timeout", "50"]);
        let heard = listen.expect("ping");
        listen.process.say(&format!("{word} {}", heard.str("packet_id")));
        listen.expect("decided");
        ping.finish();
    }
    listen.process.say("trust jis:test:late=0.8");
    listen.expect("trust");
    listen.process.say("stats");
    // Lines are obeyed in order.
    Json::parse(&listen.process.line());
    let raw = Raw::new(listen.addr());
    let frame = Raw::frame(SENSOR, "ping_twice", "x", "n1");
    raw.send(&frame);
    listen.expect("ping");
    for datagram in [b"TP\x01\xffgarbage", &frame[..], &Raw::frame("jis:nobody", "ping_rood", "x", "n2")] {
        raw.send(datagram);
    }
    let late = Ping::start(runtime, "jis:test:late", &listen.addr, &["--count", "1"]);
    assert_eq!(late.finish().0, 0);
    let (_, summary) = listen.quit();
    assert_counts(&summary, &[("received", 22), ("accepted", 17), ("pending", 2)]);
}

fn a_real_node_is_recorded_and_replays(runtime: &str) {
    let folder = folder("recorded", runtime);
    let (file, pcap) = (folder.join("hub.jsonl"), folder.join("hub.pcapng"));
    record(runtime, &file);
    let recorded = fs::read_to_string(&file).expect("it is there");
    let lines = recorded.lines().count();

    let (code, out, err) = replay(&[text(&file), "--pcap", text(&pcap), "--json"]);
    assert_eq!((code, &*err), (Some(0), ""), "{out}");
    let summary = Json::parse(out.trim_end());
    assert_eq!((summary.str("event"), summary.get("same")), ("summary", &Json::Bool(true)));
    // 22 came, and 15 + 2 * 2 + 1 + 1 went.
    assert_counts(&summary, &[("lines", lines as u64), ("inputs", lines as u64 - 3), ("datagrams", 43)]);
    assert_eq!((summary.get("cut"), summary.find("t").is_some()), (&Json::Bool(false), true));
    let capture = fs::read(&pcap).expect("it is there");
    assert_eq!(packets(&capture), 43);
    #[cfg(unix)]
    for path in [&file, &pcap] {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o777, 0o600);
    }

    // The capture on standard output, for `tshark -i -`; the words beside it.
    let piped = command(&["replay", text(&file), "--pcap", "-"]).output().expect("sluis runs");
    assert_eq!((piped.status.code(), piped.stdout), (Some(0), capture));
    assert!(String::from_utf8_lossy(&piped.stderr).ends_with("43 datagrams written\n"), "{:?}", piped.stderr);

    let (code, out, err) = replay(&[text(&file)]);
    assert_eq!((code, err), (Some(0), String::new()));
    assert_eq!(out, format!("the same: {} inputs, every output as recorded\n", lines - 3));

    // One that was cut at any line is not the same; one from before recordings had ends cannot say.
    let whole: Vec<&str> = recorded.split_inclusive('\n').collect();
    let cut = folder.join("cut.jsonl");
    for end in [lines - 1, lines / 2, 2] {
        fs::write(&cut, whole[..end].concat()).expect("written");
        let (code, out, _) = replay(&[text(&cut)]);
        assert!(code == Some(1) && out.starts_with("cut: ") && out.contains("its end is missing"), "{out}");
        let (code, out, _) = replay(&[text(&cut), "--json"]);
        let summary = Json::parse(out.trim_end());
        assert_eq!((code, summary.get("cut"), summary.get("same")), (Some(1), &Json::Bool(true), &Json::Bool(true)));
    }
    fs::write(&cut, whole[0]).expect("written");
    let (code, out, err) = replay(&[text(&cut)]);
    assert_eq!((code, &*out), (Some(1), ""), "nothing but the first line");
    assert!(err.contains("there is no recording of a node in this"), "{err}");
    // Those of before say behind the start whether they have an end.
    let earlier = [&[whole[1], whole[0]], &whole[2..lines - 1], &["{\"in\":\"end\"}\n"]].concat();
    for (end, expected) in [(lines, Some(0)), (lines - 1, Some(1)), (2, Some(1))] {
        fs::write(&cut, earlier[..end].concat()).expect("written");
        assert_eq!(replay(&[text(&cut)]).0, expected, "{end}");
    }
    fs::write(&cut, whole[1..lines - 1].concat()).expect("written");
    let (code, out, _) = replay(&[text(&cut)]);
    assert!(code == Some(0) && out.starts_with("the same: ") && out.contains("cannot say whether it was cut"), "{out}");
    fs::write(&cut, [&recorded, whole[2]].concat()).expect("written");
    let (code, _, err) = replay(&[text(&cut)]);
    assert!(code == Some(1) && err.contains("comes after the end of the recording"), "{err}");

    // A line that was taken out of the middle is missed, even where no output shows it, and so is one too many.
    let only_looked = whole.iter().position(|line| line.contains("\"in\":\"poll_")).expect("a poll");
    for at in [only_looked, lines / 2, lines - 2] {
        fs::write(&cut, [&whole[..at], &whole[at + 1..]].concat().concat()).expect("written");
        assert_eq!(replay(&[text(&cut)]).0, Some(1), "without {}", whole[at]);
    }
    fs::write(&cut, [&whole[..2], &whole[lines - 1..]].concat().concat()).expect("written");
    let (code, out, err) = replay(&[text(&cut)]);
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(err.contains("counts other lines than are there"), "{err}");

    // Another decision of the same node is found, on its line; what follows is still captured.
    let at = recorded.lines().position(|line| line.contains("\"out\":\"Ok(Waiting)\"")).expect("the door waited");
    let other = folder.join("other.jsonl");
    fs::write(&other, recorded.replacen("\"out\":\"Ok(Waiting)\"", "\"out\":\"Ok(Accepted)\"", 1)).expect("written");
    let more = folder.join("other.pcapng");
    let (code, out, err) = replay(&[text(&other), "--json", "--pcap", text(&more)]);
    assert_eq!((code, &*err), (Some(1), ""));
    let told: Vec<Json> = out.lines().map(Json::parse).collect();
    assert_eq!(told.len(), 2, "{out}");
    assert_eq!((told[0].str("event"), told[0].count("line")), ("difference", at as u64 + 1));
    assert!(told[0].str("recorded").contains("Ok(Accepted)") && told[0].str("replayed").contains("Ok(Waiting)"));
    assert_eq!(told[1].get("same"), &Json::Bool(false));
    assert_counts(&told[1], &[("inputs", at as u64 - 1), ("datagrams", 43)]);
    let (code, out, _) = replay(&[text(&other)]);
    assert!(code == Some(1) && out.starts_with(&format!("different from line {} on\n", at + 1)), "{out}");
    assert!(out.lines().all(|line| line.chars().count() < 200), "{out}");

    // A node that was started in another way is found too, and its seed is not shown.
    let (_, seed) = recorded.split_once("\"seed\":\"").expect("a seed");
    fs::write(&other, recorded.replacen("\"version\":2", "\"version\":2,\"x\":0", 1)).expect("written");
    let (code, out, err) = replay(&[text(&other)]);
    assert!(code == Some(1) && out.starts_with("different from line 2 on\n"), "{out}");
    assert!(!out.contains(&seed[..16]) && !err.contains(&seed[..16]), "{out}{err}");

    for (text_of_it, why) in [
        ("", "there is no recording of a node in this"),
        ("hello\n", "is no recording that can be replayed: line 1 is not a JSON object"),
        (&recorded[..recorded.len() - 9], "is not a JSON object; what came before it is as recorded"),
        (&format!("{{\"node\":0,{}", &recorded[1..]), "one of its nodes has to be chosen"),
    ] {
        fs::write(&other, text_of_it).expect("written");
        let (code, out, err) = replay(&[text(&other), "--json"]);
        assert_eq!((code, &*out, err.lines().count()), (Some(1), "", 1), "{err}");
        assert!(err.starts_with("sluis replay: ") && err.contains(why) && err.ends_with(".\n"), "{err}");
    }
    fs::remove_dir_all(folder).expect("it was ours");
}

/// How many packet blocks a pcapng file has.
fn packets(mut file: &[u8]) -> usize {
    let word = |at: &[u8]| u32::from_le_bytes(at.try_into().expect("four bytes"));
    let mut count = 0;
    while let Some(head) = file.get(..8) {
        count += usize::from(word(&head[..4]) == 6);
        file = &file[word(&head[4..]) as usize..];
    }
    count
}

fn a_node_that_never_listened_leaves_no_file(runtime: &str) {
    let folder = folder("unheard", runtime);
    let file = folder.join("hub.jsonl");
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let addr = taken.local_addr().expect("an address").to_string();
    let listen = ["listen", "--did", HUB, "--runtime", runtime, "--capture", text(&file)];
    let log = folder.join("log.jsonl");
    let out =
        command(&[&listen[..], &["--bind", &addr, "--record", text(&log)]].concat()).output().expect("sluis runs");
    assert_eq!((out.status.code(), fs::read_dir(&folder).expect("a folder").count()), (Some(1), 0), "no file is left");
    fs::write(&file, "mine").expect("written");
    let out = command(&[&listen[..], &["--bind", "127.0.0.1:0"]].concat()).output().expect("sluis runs");
    let said = String::from_utf8(out.stderr).expect("UTF-8");
    assert_eq!((out.status.code(), out.stdout.len(), said.lines().count()), (Some(2), 0, 1), "{said}");
    assert!(said.contains("hub.jsonl is there already, name a new file or remove it"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");
    fs::remove_dir_all(folder).expect("it was ours");
}

fn a_full_disk_ends_the_recording_and_not_the_node(runtime: &str) {
    if cfg!(not(unix)) {
        return;
    }
    let folder = folder("full", runtime);
    let file = folder.join("hub.jsonl");
    // A file that may not grow beyond a few kilobytes stands for the disk.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";
    let listen = ["listen", "--did", HUB, "--allow-legacy", "--trust", "jis:test:sensor=0.9", "--runtime", runtime];
    let mut limited = Command::new("sh");
    limited.args(["-c", script, env!("CARGO_BIN_EXE_sluis")]).args(listen);
    limited.args(["--bind", "127.0.0.1:0", "--capture", text(&file), "--count", "100", "--duration", "50", "--json"]);
    let mut hub = limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh runs");
    let mut out = BufReader::new(hub.stdout.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    let listening = Json::parse(&out.next().expect("it listens"));
    let args = ["--count", "100", "--interval", "0", "--timeout", "50"];
    assert_eq!(Ping::start(runtime, SENSOR, listening.str("addr"), &args).finish().0, 0, "the node goes on");
    let summary = Json::parse(&out.last().expect("a summary"));
    assert_counts(&summary, &[("received", 100), ("accepted", 100)]);
    let out = hub.wait_with_output().expect("it ends");
    let said = String::from_utf8(out.stderr).expect("UTF-8");
    assert_eq!((out.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("sluis listen: cannot go on recording in "), "{said}");
    assert!(said.contains("make room and start again; listening goes on."), "{said}");
    // What there is of it ends with a whole line, and replays; that it is cut is said.
    let (code, out, err) = replay(&[text(&file)]);
    assert_eq!((code, err, out.starts_with("cut: ")), (Some(1), String::new(), true));
    fs::remove_dir_all(folder).expect("it was ours");
}

fn files_grow_no_further_than_they_may(runtime: &str) {
    let folder = folder("max", runtime);
    let (file, log) = (folder.join("hub.jsonl"), folder.join("log.jsonl"));
    let args = ["--capture", text(&file), "--record", text(&log), "--max-bytes", "8k", "--count", "60"];
    let mut listen = Listen::start(runtime, &args);
    let ping = ["--count", "60", "--interval", "0"];
    assert_eq!(Ping::start(runtime, SENSOR, &listen.addr, &ping).finish().0, 0, "the node goes on");
    let (code, lines) = listen.process.finish();
    let summary = Json::parse(lines.last().expect("a summary"));
    let record = summary.get("record");
    assert_eq!((code, summary.count("accepted")), (1, 60), "not everything was recorded");
    assert!(record.count("recorded") > 5 && record.count("lost") > 5, "{record:?}");
    let said = listen.process.stderr();
    assert!(said.contains("hub.jsonl has grown to --max-bytes 8192"), "{said}");
    assert_eq!(said.matches("log.jsonl: it has grown to --max-bytes").count(), 1, "{said}");
    assert!(!said.contains("no token in it says so"), "the last token says so: {said}");
    for path in [&file, &log] {
        let length = fs::metadata(path).expect("it is there").len();
        assert!((4096..=8192).contains(&length), "{path:?}: {length}");
        assert!(fs::read_to_string(path).expect("UTF-8").ends_with("}\n"));
    }
    let (code, out, err) = replay(&[text(&file)]);
    assert_eq!((code, err, out.starts_with("cut: ")), (Some(1), String::new(), true));
    let verify = command(&["chain", "verify", text(&log)]).output().expect("sluis runs");
    assert_eq!(verify.status.code(), Some(0), "{verify:?}");
    // One taken for the other is named as what it is.
    let verify = command(&["chain", "verify", text(&file)]).output().expect("sluis runs");
    let said = String::from_utf8(verify.stderr).expect("UTF-8");
    assert_eq!((verify.status.code(), verify.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("is what `listen --capture` recorded") && said.contains("see `sluis replay "), "{said}");
    let (code, _, said) = replay(&[text(&log)]);
    assert!(code == Some(1) && said.contains("is a log of tokens") && said.contains("sluis chain verify"), "{said}");
    let tokens = fs::read_to_string(&log).expect("UTF-8");
    let end = Json::parse(tokens.lines().last().expect("a token"));
    assert_eq!((end.str("action"), end.get("erin").count("count")), ("events_lost", record.count("lost")));
    fs::remove_dir_all(folder).expect("it was ours");
}
