//! GEEL: pings that wait, and what standard input decides about them.

use std::time::{Duration, Instant};

use crate::common::json::Json;
use crate::on_both;
use crate::sluis::{DOOR, Listen, Ping, Raw, SENSOR, assert_counts};

on_both! {
    a_decision_reaches_the_sender
    without_a_decision_it_times_out
    no_wait_is_done_at_pending
    one_packet_id_may_have_several_senders
    trust_can_be_given_while_it_runs
}

fn a_decision_reaches_the_sender(runtime: &str) {
    let mut listen = Listen::start(runtime, &["--reply", r#"{"opened":true}"#]);
    for (word, decision, payload, expected) in
        [("approve", "accept", r#"{"opened":true}"#, 0), ("reject", "reject", "{}", 1)]
    {
        let ping = Ping::start(runtime, DOOR, &listen.addr, &["--count", "1", "--timeout", "50"]);
        let heard = listen.expect("ping");
        assert_eq!((heard.str("zone"), heard.str("decision")), ("GEEL", "pending"));
        let first = ping.expect("response");
        assert_eq!((first.str("decision"), first.count("seq")), ("pending", 1));
        assert_eq!(first.get("packet_id"), heard.get("packet_id"));

        // By its number or by its packet id.
        let name = if word == "approve" { heard.count("wait").to_string() } else { heard.str("packet_id").to_owned() };
        listen.process.say(&format!("{word} {name}"));
        let decided = listen.expect("decided");
        assert_eq!((decided.get("wait"), decided.get("source_did")), (heard.get("wait"), heard.get("source_did")));
        assert_eq!((decided.get("intent"), decided.get("answered")), (heard.get("intent"), &Json::Bool(true)));
        assert_eq!((decided.get("packet_id"), decided.str("decision")), (heard.get("packet_id"), decision));
        let second = ping.expect("response");
        assert_eq!((second.str("decision"), second.count("seq")), (decision, 1));
        assert_eq!((second.get("packet_id"), second.get("payload")), (heard.get("packet_id"), &Json::parse(payload)));
        let (code, events, summary) = ping.finish();
        assert!(code == expected && events.is_empty(), "{code} {events:?}");
        assert_counts(&summary, &[("sent", 1), ("received", 1), ("lost", 0), ("pending", 0), (decision, 1)]);
        // Of the first answer, not of the decision.
        assert!((summary.get("rtt_ms").number("max") - first.number("rtt_ms")).abs() < 1e-3, "{summary:?}");
    }
    let (_, summary) = listen.quit();
    assert_counts(&summary, &[("received", 2), ("accepted", 0), ("pending", 2)]);
}

fn without_a_decision_it_times_out(runtime: &str) {
    let listen = Listen::start(runtime, &[]);
    let start = Instant::now();
    let args = ["--count", "2", "--in-flight", "2", "--interval", "0", "--timeout", "0.4"];
    let (code, events, summary) = Ping::start(runtime, DOOR, &listen.addr, &args).finish();
    assert!(start.elapsed() >= Duration::from_millis(400));
    let names: Vec<(&str, u64)> = events.iter().map(|event| (event.str("event"), event.count("seq"))).collect();
    assert_eq!(names, [("response", 1), ("response", 2), ("timeout", 1), ("timeout", 2)]);
    assert_eq!(code, 1);
    assert_counts(&summary, &[("sent", 2), ("received", 2), ("lost", 0), ("accept", 0), ("pending", 2), ("reject", 0)]);
    // Counted from the sending, not from the pending answer.
    assert!(summary.number("elapsed_s") < 5.0, "{summary:?}");
    listen.quit();
}

fn no_wait_is_done_at_pending(runtime: &str) {
    // More than may be open at once: what is done with makes room.
    let listen = Listen::start(runtime, &[]);
    let args = ["--count", "20", "--in-flight", "2", "--interval", "0", "--no-wait", "--timeout", "50"];
    let (code, events, summary) = Ping::start(runtime, DOOR, &listen.addr, &args).finish();
    assert_eq!((code, events.len()), (0, 20));
    assert!(events.iter().all(|event| event.str("decision") == "pending"));
    assert_counts(&summary, &[("received", 20), ("pending", 20), ("accept", 0)]);
    listen.quit();
}

fn one_packet_id_may_have_several_senders(runtime: &str) {
    let mut listen = Listen::start(runtime, &["--trust", "jis:test:gate=0.5"]);
    let raw = Raw::new(listen.addr());
    raw.send(&Raw::frame(DOOR, "same", "a", "n1"));
    raw.send(&Raw::frame("jis:test:gate", "same", "a", "n2"));
    raw.send(&Raw::frame(DOOR, "two words", "a", "n3"));
    for _ in 0..3 {
        listen.expect("ping");
    }
    for line in ["approve same", "approve nobody", "frobnicate", "approve"] {
        listen.process.say(line);
    }
    listen.process.say("approve same jis:test:gate");
    assert_eq!(listen.expect("decided").str("packet_id"), "same");
    listen.process.say("reject same");
    let decided = listen.expect("decided");
    assert_eq!((decided.str("packet_id"), decided.str("decision")), ("same", "reject"));
    listen.process.say(r#"approve "two words""#);
    assert_eq!(listen.expect("decided").str("packet_id"), "two words");
    listen.process.say("quit");
    let stderr = stderr_lines(&mut listen, 4);
    for (line, said) in stderr.iter().zip([
        "several pings same wait, write the number of the one you mean: 1 of \"jis:test:door\", 2 of ",
        "no ping nobody waits for a decision",
        "`frobnicate` is no command here, write approve NUMBER",
        "write approve NUMBER",
    ]) {
        assert!(line.contains(said), "{stderr:?}");
    }
    assert!(stderr[0].contains(DOOR) && stderr[0].contains("jis:test:gate"), "{stderr:?}");
    listen.finish();
}

/// What it said on standard error, once these many lines are there.
fn stderr_lines(listen: &mut Listen, n: usize) -> Vec<String> {
    let start = Instant::now();
    loop {
        let lines: Vec<String> = listen.process.stderr().lines().map(str::to_owned).collect();
        if lines.len() >= n {
            return lines;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{lines:?}");
        std::thread::yield_now();
    }
}

fn trust_can_be_given_while_it_runs(runtime: &str) {
    let mut listen = Listen::start(runtime, &["--trust", "jis:test:sensor=0.5"]);
    let ask = |listen: &Listen| {
        let (_, events, _) = Ping::start(runtime, SENSOR, &listen.addr, &["--count", "1", "--no-wait"]).finish();
        assert_eq!(events[0].get("decision"), listen.expect("ping").get("decision"));
        events[0].str("decision").to_owned()
    };
    assert_eq!(ask(&listen), "pending", "the last --trust of a DID counts");
    listen.process.say("trust jis:test:sensor=0.9");
    let told = Json::parse(&listen.process.line());
    assert_eq!((told.str("event"), told.str("source_did")), ("trust", "jis:test:sensor"));
    assert_eq!(told.get("change"), &Json::Null, "nothing is kept");
    listen.process.say("stats");
    // Answered after the trust was set: lines are obeyed in order.
    let stats = Json::parse(&listen.process.line());
    assert_eq!((stats.str("event"), stats.count("received"), stats.count("pending")), ("stats", 1, 1));
    assert_eq!(ask(&listen), "accept");
    listen.quit();
}
