//! What the reference's page promises and its code does not keep, and what is promised here besides.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluis_core::Seed;
use sluis_mux::rest::{Answer, Wait, read_inbox};
use sluis_mux::switchboard::{Config, SocketId, Switchboard, Transport};
use sluis_mux::talk::talk;
use sluis_mux::{Access, Caller, access};

use crate::closed::{Closed, everybody};
use crate::common::at;

#[test]
fn without_a_token_nothing_is_answered() {
    let mut hub = Closed::new();
    hub.open("alice", "bob", "chat");
    for token in ["", "wrong", "Alice"] {
        for (method, target) in
            [("GET", "status"), ("GET", "intents"), ("GET", "channels?agent=alice"), ("POST", "open"), ("GET", "nope")]
        {
            let response = hub.done(token, method, target, &json!({"agent": "alice", "target": "b", "intent": "chat"}));
            assert_eq!(response.status, 401, "{target}");
            assert!(response.headers.contains(&("www-authenticate", "Bearer".into())));
            assert!(!response.body.contains("alice"));
        }
        // Before an upgrade, as at the reference.
        assert_eq!(hub.socket(token, "agent=alice").unwrap_err().status, 403);
    }
    assert_eq!(hub.board.totals().opened, 1);
}

#[test]
fn somebody_elses_channels_are_not_there() {
    let mut hub = Closed::new();
    let channel = hub.open("alice", "bob", "chat");
    let socket = hub.socket("mallory", "agent=mallory").unwrap();
    assert_eq!(hub.get("mallory", &format!("channel/{channel}")).0, 404);
    assert_eq!(hub.send("mallory", &channel, json!("i am not alice")).0, 404);
    assert_eq!(hub.post("mallory", "close", json!({"channel_id": channel})).0, 404);
    for action in ["send", "close"] {
        hub.say(socket, &json!({"action": action, "channel_id": channel, "payload": 1}));
        assert_eq!(hub.hear(socket), [json!({"error": "channel_not_found", "channel_id": channel})]);
    }
    for target in ["channels?agent=alice", "by-target?target=bob", "inbox?agent=bob"] {
        assert_eq!(hub.get("mallory", target).0, 401, "{target}");
    }
    let (status, _) = hub.post("mallory", "open", json!({"agent": "alice", "target": "bob", "intent": "chat"}));
    assert_eq!(status, 401);
    assert_eq!(hub.socket("mallory", "agent=alice").unwrap_err().status, 403);
    // Its two ends see it, and it is as it was.
    for end in ["alice", "bob"] {
        let (status, detail) = hub.get(end, &format!("channel/{channel}"));
        assert_eq!((status, &detail["state"], &detail["frames_sent"]), (200, &json!("open"), &json!(0)));
    }
}

#[test]
fn a_quota_is_filled_by_its_owner_only() {
    let mut hub = Closed::new();
    for _ in 0..32 {
        hub.open("mallory", "bob", "chat");
        let (status, _) = hub.post("mallory", "open", json!({"agent": "alice", "target": "bob", "intent": "chat"}));
        assert_eq!(status, 401);
    }
    let (status, answer) = hub.post("mallory", "open", json!({"agent": "mallory", "target": "bob", "intent": "chat"}));
    assert_eq!((status, answer), (429, json!({"detail": "Max 32 open channels per agent"})));
    hub.open("alice", "bob", "chat");
}

#[test]
fn an_agent_does_what_its_entry_allows() {
    let mut hub = Closed::new();
    hub.open("carol", "bob", "call:voice");
    for (target, intent) in [("bob", "file:sync"), ("alice", "chat")] {
        let (status, _) = hub.post("carol", "open", json!({"agent": "carol", "target": target, "intent": intent}));
        assert_eq!(status, 403, "{intent} to {target}");
    }
}

#[test]
fn what_is_sent_arrives_and_says_so() {
    let mut hub = Closed::new();
    let bob = hub.socket("bob", "agent=bob").unwrap();
    let alice = hub.socket("alice", "agent=alice").unwrap();
    hub.say(alice, &json!({"action": "open", "target": "bob", "intent": "chat", "metadata": {"lang": "nl"}}));
    let opened = hub.hear(alice).remove(0);
    let id = opened["channel_id"].clone();
    let incoming = hub.hear(bob);
    assert_eq!(
        incoming,
        [json!({"event": "channel_incoming", "channel_id": id, "agent": "alice", "intent": "chat",
        "route": {"backend": "ipoll", "description": "Text messaging via I-Poll"}, "metadata": {"lang": "nl"}})]
    );
    hub.say(alice, &json!({"action": "send", "channel_id": id, "payload": {"text": "hoi"}}));
    let ack = hub.hear(alice).remove(0);
    let frame = hub.hear(bob).remove(0);
    assert_eq!(
        frame,
        json!({"event": "frame", "channel_id": id, "from": "alice", "seq": 0,
        "payload": {"text": "hoi"}, "tbz_hash": ack["tbz_hash"], "proof": "hop"})
    );
    // The other way, with numbers of its own.
    hub.say(bob, &json!({"action": "send", "channel_id": id, "payload": "dag"}));
    assert_eq!(hub.hear(bob)[0]["event"], "frame_ack");
    let back = hub.hear(alice).remove(0);
    assert_eq!((&back["from"], &back["seq"], &back["payload"]), (&json!("bob"), &json!(0), &json!("dag")));
    hub.say(alice, &json!({"action": "close", "channel_id": id, "reason": "done"}));
    assert_eq!(hub.hear(bob), [json!({"event": "channel_closed", "channel_id": id, "reason": "done"})]);
}

#[test]
fn frames_wait_for_an_agent_that_is_away_and_come_in_order() {
    let mut hub = Closed::new();
    let channel = hub.open("alice", "bob", "chat");
    for n in 0..3 {
        let (status, sent) = hub.send("alice", &channel, json!(n));
        assert_eq!((status, &sent["delivered"], &sent["queued"]), (200, &json!(false), &json!(true)));
    }
    let first = hub.socket("bob", "agent=bob").unwrap();
    // Read in part, then lost: the rest is not.
    let now = hub.now();
    assert!(hub.board.poll_text(now, first).unwrap().contains("channel_incoming"));
    assert!(hub.board.poll_text(now, first).unwrap().contains("\"payload\":0"));
    hub.board.detach(now, first);
    assert_eq!(hub.send("alice", &channel, json!(3)).1["queued"], true);
    let second = hub.socket("bob", "agent=bob").unwrap();
    let payloads: Vec<Value> = hub.hear(second).iter().map(|event| event["payload"].clone()).collect();
    assert_eq!(payloads, [json!(1), json!(2), json!(3)]);
    assert_eq!(hub.send("alice", &channel, json!(4)).1["delivered"], true);
}

#[test]
fn a_full_queue_is_refused_and_an_old_frame_is_told_of() {
    let mut hub = Closed::new();
    let alice = hub.socket("alice", "agent=alice").unwrap();
    hub.say(alice, &json!({"action": "open", "target": "bob", "intent": "stream"}));
    let id = hub.hear(alice).remove(0)["channel_id"].as_str().unwrap().to_owned();
    let mut accepted = 0;
    loop {
        let (status, answer) = hub.send("alice", &id, json!("x".repeat(1000)));
        if status == 409 {
            assert_eq!(answer, json!({"detail": "Too much waits for bob already"}));
            break;
        }
        accepted += 1;
    }
    assert!((50..64).contains(&accepted), "{accepted} frames of 1,000 bytes in 64 KiB");
    hub.pass(299_999);
    assert_eq!(hub.board.totals().expired, 0);
    hub.pass(1);
    assert_eq!(hub.board.totals().expired, accepted);
    let told = hub.hear(alice);
    assert!(told.len() as u64 == accepted && told[0] == json!({"event": "frame_expired", "channel_id": id, "seq": 0}));
    // There is room again, and what comes now arrives.
    assert_eq!(hub.send("alice", &id, json!(1)).0, 200);
}

#[test]
fn an_inbox_is_read_at_least_once_and_emptied_only_when_that_is_said() {
    let mut hub = Closed::new();
    let channel = hub.open("alice", "bob", "chat");
    hub.send("alice", &channel, json!("one"));
    let read = |hub: &mut Closed, after: u64| -> (Vec<Value>, u64) {
        let (status, inbox) = hub.get("bob", &format!("inbox?after={after}"));
        assert_eq!((status, &inbox["agent"]), (200, &json!("bob")));
        let events = inbox["events"].as_array().unwrap().iter().map(|event| event["event"].clone()).collect();
        (events, inbox["after"].as_u64().unwrap())
    };
    let (events, last) = read(&mut hub, 0);
    assert_eq!(events, ["channel_incoming", "frame"]);
    assert_eq!(read(&mut hub, 0), (events, last));
    hub.send("alice", &channel, json!("two"));
    let (events, newest) = read(&mut hub, last);
    assert_eq!(events, ["frame"]);
    assert_eq!(read(&mut hub, newest).0, Vec::<Value>::new());
    // Long after everything about the agent was forgotten the numbers go on.
    hub.post("alice", "close", json!({"channel_id": channel}));
    read(&mut hub, u64::MAX >> 11);
    hub.pass(1_000_000);
    let channel = hub.open("alice", "bob", "chat");
    hub.send("alice", &channel, json!("three"));
    assert_eq!(read(&mut hub, newest).0, ["channel_incoming", "frame"]);
}

#[test]
fn who_waits_for_an_inbox_is_woken_and_has_what_comes() {
    let mut hub = Closed::new();
    let channel = hub.open("alice", "bob", "chat");
    let (_, inbox) = hub.get("bob", "inbox");
    let after = inbox["after"].as_u64().unwrap();
    let Answer::Wait(wait) = hub.ask("bob", "GET", &format!("inbox?after={after}&wait=999"), &Value::Null) else {
        panic!("an empty inbox is waited for");
    };
    assert_eq!(wait, Wait { agent: "bob".into(), after, at_most: sluis_mux::rest::MAX_WAIT });
    let now = hub.now();
    hub.board.wait_for_inbox(now, &wait.agent).unwrap();
    assert!(!hub.board.inbox_has_news(&wait.agent));
    assert_eq!(hub.send("alice", &channel, json!(1)).1["delivered"], true);
    assert!(hub.board.inbox_has_news(&wait.agent));
    assert_eq!(hub.board.poll_inbox().as_deref(), Some("bob"));
    assert_eq!(hub.board.poll_inbox(), None);
    hub.board.stop_waiting(now, &wait.agent);
    let answer: Value = serde_json::from_str(&read_inbox(&mut hub.board, now, &wait).body).unwrap();
    assert_eq!(answer["events"][0]["payload"], 1);
    assert_eq!(hub.send("alice", &channel, json!(2)).1["queued"], true);
}

#[test]
fn credit_holds_frames_back_until_they_are_acknowledged() {
    let mut hub = Closed::new();
    let bob = hub.socket("bob", "agent=bob&credit=2").unwrap();
    let channel = hub.open("alice", "bob", "chat");
    let delivered: Vec<bool> =
        (0..4).map(|n| hub.send("alice", &channel, json!(n)).1["delivered"].as_bool().unwrap()).collect();
    assert_eq!(delivered, [true, true, false, false]);
    let payloads = |events: &[Value]| -> Vec<Value> {
        events.iter().filter(|event| event["event"] == "frame").map(|event| event["payload"].clone()).collect()
    };
    assert_eq!(payloads(&hub.hear(bob)), [json!(0), json!(1)]);
    hub.say(bob, &json!({"action": "ack", "channel_id": channel, "seq": 0}));
    assert_eq!(payloads(&hub.hear(bob)), [json!(2)]);
    hub.say(bob, &json!({"action": "ack", "channel_id": channel, "seq": 9}));
    assert_eq!(payloads(&hub.hear(bob)), [json!(3)]);
    hub.say(bob, &json!({"action": "ack", "channel_id": "ch-0000000000000000", "seq": 9}));
    assert_eq!(hub.hear(bob)[0]["error"], "invalid_message");
    // What was not acknowledged comes again elsewhere.
    let now = hub.now();
    hub.board.detach(now, bob);
    let other = hub.socket("bob", "agent=bob").unwrap();
    assert_eq!(payloads(&hub.hear(other)), [json!(3)]);
    for wrong in ["credit=0", "credit=4097", "credit=x", "mac=2"] {
        assert_eq!(hub.socket("bob", wrong).unwrap_err().status, 422, "{wrong}");
    }
}

#[test]
fn one_bucket_for_an_agents_frames_of_an_intent() {
    let mut hub = Closed::new();
    let bob = hub.socket("bob", "agent=bob").unwrap();
    let first = hub.open("alice", "bob", "task");
    assert_eq!(hub.send("alice", &first, json!("a".repeat(49_998))).0, 200);
    hub.hear(bob);
    // Neither another channel nor a longer intent is a way around it.
    for intent in ["task", "task:urgent"] {
        let channel = hub.open("alice", "bob", intent);
        let response = hub.done("alice", "POST", "send", &json!({"channel_id": channel, "payload": "aaa"}));
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!((response.status, &body["retry_after_ms"]), (409, &json!(1)), "{body}");
        assert!(response.headers.contains(&("retry-after", "1".into())));
    }
    hub.post("alice", "close", json!({"channel_id": first}));
    let again = hub.open("alice", "bob", "task");
    assert_eq!(hub.send("alice", &again, json!("aaa")).0, 409);
    // Nobody else's is.
    let other = hub.open("mallory", "bob", "task");
    assert_eq!(hub.send("mallory", &other, json!("a".repeat(49_998))).0, 200);
    hub.hear(bob);
    let (status, answer) = hub.send("mallory", &other, json!("a".repeat(50_000)));
    assert_eq!((status, &answer["max_bytes"]), (409, &json!(50_000)));
    hub.pass(1);
    assert_eq!(hub.send("alice", &again, json!("aaa")).0, 200);
}

#[test]
fn intents_that_nobody_knows_share_a_bucket() {
    let mut hub = Closed::new();
    let bob = hub.socket("bob", "agent=bob").unwrap();
    let passed = (0..32).filter(|n| {
        hub.hear(bob);
        let channel = hub.open("alice", "bob", &format!("made:up:{n}"));
        hub.send("alice", &channel, json!("a".repeat(49_998))).0 == 200
    });
    assert_eq!(passed.count(), 2, "100,000 bytes at once, however they are called");
}

#[test]
fn chat_above_its_budget_passes_then_is_paced_then_refused() {
    let mut hub = Closed::new();
    let bob = hub.socket("bob", "agent=bob").unwrap();
    let channel = hub.open("alice", "bob", "chat");
    let outcomes: Vec<(u16, Value)> = (0..18)
        .map(|n| {
            let (status, answer) = hub.send("alice", &channel, json!(format!("{n:02}{}", "a".repeat(19_996))));
            let events = hub.hear(bob);
            assert_eq!(answer["delivered"] == true, events.iter().any(|event| event["event"] == "frame"));
            (status, answer["queued"].clone())
        })
        .collect();
    let kinds: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            (200, Value::Null) => "now",
            (200, _) => "paced",
            (_, _) => "refused",
        })
        .collect();
    // The burst and eight more at once; then as many as have room to wait, the others not.
    assert_eq!(kinds[..9], ["now"; 9]);
    assert_eq!(kinds[9..12], ["paced"; 3]);
    assert!(kinds[12..].iter().all(|kind| *kind == "refused"));
    // 20,000 bytes take 0.4 s at 50,000 a second, and order is kept.
    let mut heard = Vec::new();
    for _ in 0..13 {
        hub.pass(100);
        heard.extend(hub.hear(bob).iter().map(|event| (hub.clock, event["seq"].clone())));
    }
    assert_eq!(heard, [(400, json!(9)), (800, json!(10)), (1200, json!(11))]);
}

#[test]
fn a_wrong_message_is_answered_and_the_socket_lives() {
    let mut hub = Closed::new();
    let alice = hub.socket("alice", "agent=alice").unwrap();
    hub.say(alice, &json!({"action": "open", "target": "bob", "intent": "chat"}));
    let id = hub.hear(alice).remove(0)["channel_id"].as_str().unwrap().to_owned();
    let deep =
        format!("{{\"action\":\"send\",\"channel_id\":\"{id}\",\"payload\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    let payload = |json: &str| format!("{{\"action\":\"send\",\"channel_id\":\"{id}\",\"payload\":{json}}}");
    let messages = [
        "",
        "x",
        "[]",
        "null",
        "{\"action\":\"list\"} x",
        "{\"action\":\"open\",\"target\":5}",
        "{\"action\":\"open\",\"intent\":null}",
        "{\"action\":\"open\",\"metadata\":[1]}",
        "{\"action\":\"open\",\"target\":\"\\ud800\"}",
        "{\"action\":\"ack\"}",
        &deep,
        &payload("NaN"),
        &payload("1e400"),
        &payload("\"\\udc00\""),
        &payload("{\"\\ud800\":1}"),
    ];
    for message in messages {
        let now = hub.now();
        talk(&mut hub.board, now, alice, message);
        let heard = hub.hear(alice);
        assert_eq!(heard.len(), 1, "{message}");
        assert_eq!(heard[0]["error"], "invalid_message", "{message}");
    }
    let (_, detail) = hub.get("alice", &format!("channel/{id}"));
    assert_eq!((&detail["frames_sent"], &detail["recent_frames"]), (&json!(0), &json!([])));
    hub.say(alice, &json!({"action": "list"}));
    assert_eq!(hub.hear(alice)[0]["channels"][0]["id"], json!(id));
}

#[test]
fn memory_does_not_grow_with_what_was() {
    let mut hub = Closed::with(|config| config.max_all_channels = 40);
    let bob = hub.socket("bob", "agent=bob").unwrap();
    for n in 0..200 {
        let channel = hub.open("alice", "bob", "stream");
        for _ in 0..3 {
            hub.send("alice", &channel, json!("x".repeat(1000)));
        }
        hub.post("alice", "close", json!({"channel_id": channel, "reason": format!("r{n}")}));
        hub.hear(bob);
    }
    let (_, listed) = hub.get("bob", "by-target?target=bob&include_closed=1");
    assert_eq!(listed["count"], 40, "the oldest make room");
    let channel = listed["channels"][39]["id"].as_str().unwrap().to_owned();
    hub.pass(299_999);
    assert_eq!(hub.get("alice", &format!("channel/{channel}")).0, 200);
    hub.pass(1);
    assert_eq!(hub.get("alice", &format!("channel/{channel}")).0, 404);
    assert_eq!(hub.get("bob", "by-target?target=bob&include_closed=1").1["count"], 0);
    // Of a long channel the newest are kept.
    let channel = hub.open("alice", "bob", "stream");
    for _ in 0..300 {
        hub.send("alice", &channel, json!(1));
        hub.hear(bob);
    }
    let (_, detail) = hub.get("alice", &format!("channel/{channel}"));
    let length = |key: &str| detail[key].as_array().unwrap().len();
    assert_eq!((length("tbz_chain"), length("recent_frames")), (100, 10));
    assert_eq!(hub.post("alice", "close", json!({"channel_id": channel})).1["tbz_chain_length"], 302);
}

#[test]
fn a_payload_that_is_not_kept_says_how_long_it_was() {
    let mut hub = Closed::with(|config| config.kept_bytes = 100);
    let _bob = hub.socket("bob", "agent=bob").unwrap();
    let channel = hub.open("alice", "bob", "stream");
    for length in [60, 60, 5000] {
        hub.send("alice", &channel, json!("x".repeat(length)));
    }
    let (_, detail) = hub.get("alice", &format!("channel/{channel}"));
    let frames = &detail["recent_frames"];
    assert_eq!(frames[0]["payload"].as_str().unwrap().len(), 60);
    assert_eq!((&frames[1]["payload"], &frames[1]["payload_bytes"]), (&Value::Null, &json!(62)));
    assert_eq!(frames[2]["payload_bytes"], 5002);
}

#[test]
fn names_of_channels_cannot_be_guessed_and_never_collide() {
    let ids = |seed| {
        let mut config = Config::new("node");
        (config.access, config.max_channels) = (Access::Open, 4096);
        let mut board = Switchboard::new(config, &Seed::from_u64(seed), at(0));
        let ask =
            sluis_mux::switchboard::Open { agent: "a", target: "b", intent: "stream", metadata: None, socket: None };
        // The same agent, target, intent and time: the reference's name is the hash of these.
        (0..100).map(|_| board.open(at(0), &Caller::Anyone, &ask).unwrap().channel.to_string()).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(1).len(), 100);
    assert_eq!(ids(1), ids(1));
    assert!(ids(1).is_disjoint(&ids(2)));
}

#[test]
fn a_status_says_what_is_true() {
    let mut hub = Closed::with(|config| config.transport = Transport::Plain);
    let bob = hub.socket("bob", "agent=bob").unwrap();
    let channel = hub.open("alice", "bob", "chat");
    hub.send("alice", &channel, json!(1));
    for _ in 0..2 {
        hub.post("alice", "close", json!({"channel_id": channel}));
    }
    hub.hear(bob);
    let status = hub.get("alice", "status").1;
    assert_eq!(status["security"]["transport"], "none");
    assert_eq!(status["channels"], json!({"active": 0, "total_opened": 1, "total_closed": 1}));
    hub.pass(600_000);
    assert_eq!(hub.get("alice", "status").1["messages_routed"], 1, "also when the channel is forgotten");
    let tls = Closed::new().get("alice", "status").1;
    assert_eq!(tls["security"]["transport"], "TLS 1.3");
}

#[test]
fn closing_again_changes_nothing() {
    let mut hub = Closed::new();
    let bob = hub.socket("bob", "agent=bob").unwrap();
    let channel = hub.open("alice", "bob", "chat");
    let first = hub.post("alice", "close", json!({"channel_id": channel, "reason": "done"}));
    assert_eq!(hub.post("bob", "close", json!({"channel_id": channel, "reason": "again"})), first);
    assert_eq!(hub.hear(bob).iter().filter(|event| event["event"] == "channel_closed").count(), 1);
}

#[test]
fn an_agent_that_is_taken_out_is_cut_off() {
    let mut hub = Closed::new();
    let (alice, bob) = (hub.socket("alice", "agent=alice").unwrap(), hub.socket("bob", "agent=bob").unwrap());
    hub.say(alice, &json!({"action": "open", "target": "bob", "intent": "chat"}));
    hub.open("alice", "bob", "mail");
    hub.hear(bob);
    while hub.board.poll_ready().is_some() {}
    let mut table = everybody();
    table.retain(|entry| &*entry.name != "alice");
    let now = hub.now();
    hub.board.replace_access(now, Access::agents(table).unwrap());
    assert!(hub.board.is_ended(alice) && !hub.board.is_ended(bob));
    let ready: Vec<SocketId> = std::iter::from_fn(|| hub.board.poll_ready()).collect();
    assert!(ready.contains(&alice), "its connection is to be closed");
    assert_eq!(hub.board.poll_text(now, alice), None);
    hub.say(alice, &json!({"action": "list"}));
    assert_eq!(hub.hear(alice), Vec::<Value>::new());
    assert_eq!(hub.get("alice", "status").0, 401);
    let reasons: Vec<Value> = hub.hear(bob).iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["agent_removed", "agent_removed"]);
    // A new token is a new agent too.
    let mut table = everybody();
    table[1].token_sha256 = access::token_hash("other");
    hub.board.replace_access(now, Access::agents(table).unwrap());
    assert!(hub.board.is_ended(bob));
}

#[test]
fn tags_can_be_checked_and_tell_every_change() {
    use sluis_core::identity::MacKey;
    use sluis_mux::proof::JSON;
    let mut hub = Closed::new();
    let bob = hub.socket("bob", "agent=bob&mac=1").unwrap();
    let channel = hub.open("alice", "bob", "chat");
    for n in 0..3 {
        hub.send("alice", &channel, json!({"n": n, "text": "h\u{e9}"}));
    }
    let heard = hub.hear(bob);
    let unhex = |text: &Value| -> Vec<u8> {
        let text = text.as_str().unwrap();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let key = MacKey::new(&unhex(&heard[0]["mac_key"]));
    let verify = |frames: &[&Value]| {
        let mut hash = unhex(&heard[0]["mac_start"]["out"]);
        frames.iter().zip(1_u64..).all(|(frame, n)| {
            let mut text = hash.clone();
            text.extend(n.to_be_bytes());
            text.push(JSON);
            text.extend(frame["raw"].as_str().unwrap().as_bytes());
            hash = <sha2::Sha256 as sha2::Digest>::digest(&text).to_vec();
            key.tag(&hash)[..16] == unhex(&frame["tbz_hash"])[..]
        })
    };
    let (a, b, c) = (&heard[1], &heard[2], &heard[3]);
    assert!(verify(&[a, b, c]));
    let mut altered = b.clone();
    altered["raw"] = json!(b["raw"].as_str().unwrap().replace("1", "7"));
    for wrong in [&[a, c][..], &[b, a, c], &[a, a, b], &[a, &altered, c]] {
        assert!(!verify(wrong));
    }
    // The opener is given the same key, over TLS only.
    let alice = hub.socket("alice", "agent=alice&mac=1").unwrap();
    hub.say(alice, &json!({"action": "open", "target": "bob", "intent": "chat"}));
    let opened = hub.hear(alice).remove(0);
    let incoming = hub.hear(bob).remove(0);
    assert_eq!((&opened["mac_key"], &opened["mac_start"]), (&incoming["mac_key"], &incoming["mac_start"]));
    // What it sends as text is hashed and passed on as that text.
    let raw = "{\"b\": 1.0, \"a\": \"\u{e9}\"}";
    hub.say(alice, &json!({"action": "send", "channel_id": opened["channel_id"], "raw": raw}));
    assert_eq!(hub.hear(alice)[0]["event"], "frame_ack");
    assert_eq!(hub.hear(bob)[0]["raw"], raw);
    let mut plain = Closed::with(|config| config.transport = Transport::Plain);
    assert_eq!(plain.socket("bob", "agent=bob&mac=1").unwrap_err().status, 422);
    let asked = json!({"agent": "alice", "target": "bob", "intent": "chat"});
    assert_eq!(plain.post("alice", "open?mac=1", asked).0, 422);
}

#[test]
fn a_socket_that_is_not_read_is_not_read_from() {
    let mut hub = Closed::new();
    let alice = hub.socket("alice", "agent=alice").unwrap();
    let mut said = 0;
    while hub.board.may_read(alice) {
        hub.say(alice, &json!({"action": "list"}));
        said += 1;
    }
    assert_eq!(said, 256);
    hub.hear(alice);
    assert!(hub.board.may_read(alice));
}

#[test]
fn rooms_have_an_end() {
    let mut hub = Closed::with(|config| {
        (config.access, config.max_agents, config.max_sockets, config.max_all_channels) = (Access::Open, 4, 1, 2);
    });
    let open = |hub: &mut Closed, agent: &str, target: &str| {
        hub.post("", "open", json!({"agent": agent, "target": target, "intent": "chat"})).0
    };
    assert_eq!((open(&mut hub, "a", "b"), open(&mut hub, "c", "d")), (200, 200));
    assert_eq!(open(&mut hub, "a", "d"), 429, "channels");
    assert_eq!(hub.socket("", "agent=e").unwrap_err().status, 429, "agents");
    assert!(hub.socket("", "agent=a").is_ok());
    assert_eq!(hub.socket("", "agent=b").unwrap_err().status, 429, "sockets");
    for (field, body) in [
        ("agent", json!({"agent": "a".repeat(257), "target": "b", "intent": "chat"})),
        ("target", json!({"agent": "a", "target": "b".repeat(257), "intent": "chat"})),
        ("intent", json!({"agent": "a", "target": "b", "intent": "i".repeat(257)})),
        ("metadata", json!({"agent": "a", "target": "b", "intent": "i", "metadata": {"x": "y".repeat(5000)}})),
    ] {
        let (status, answer) = hub.post("", "open", body);
        assert_eq!((status, &answer["detail"][0]["loc"]), (422, &json!(["body", field])));
    }
}
