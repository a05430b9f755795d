//! Frames signed as 1.3.1 does: its own answers, and what it leaves open.

use serde_json::{Value as Json, json};
use sluis_core::data::Value;
use sluis_core::identity::{PublicKey, SecretKey, Signer as _};
use sluis_core::{Seed, Wall};
use sluis_mux::signed::{Guard, Place, SKEW_S, VERSION, Wrong, canonical_without, check, is_signed, sign};

use crate::common::{path, rows, str};

fn wall(seconds: f64) -> Wall {
    #[expect(clippy::cast_possible_truncation, reason = "a time of a table")]
    Wall::from_micros((seconds * 1e6).round() as i64)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_signed_are_the_bytes_of_the_reference() {
    let mut seen = 0;
    let lines = std::fs::read_to_string(path("fixtures/v131_frames.jsonl")).unwrap();
    for (row, line) in rows("v131_frames.jsonl").iter().zip(lines.lines()) {
        if row["fn"] != "canonical_without" {
            continue;
        }
        // As it is written: it has numbers that others would round.
        let line = Value::from_json(line).unwrap();
        let text = line.get("value").unwrap().json_text().unwrap();
        let excluded: Vec<&str> = row["excluded"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let bytes = canonical_without(Value::from_json(text).unwrap(), &excluded).unwrap();
        assert_eq!(hex(&bytes), str(row, "bytes_hex"), "{row}");
        seen += 1;
    }
    assert_eq!(seen, 10);
}

#[test]
fn frames_are_believed_as_by_the_reference() {
    let all = rows("v131_frames.jsonl");
    let keys: Vec<(String, PublicKey)> = ["A", "B"]
        .iter()
        .map(|name| {
            let seed = if *name == "A" { [1; 32] } else { [2; 32] };
            (str(&all[0], name).to_owned(), SecretKey::from_seed(&seed).public())
        })
        .collect();
    let mut seen = 0;
    for row in all.iter().filter(|row| row["fn"] == "verify_mux_frame") {
        // How a key is written is a matter of whoever has it: ours are read elsewhere.
        let text = str(row, "public_key").trim().to_lowercase();
        let text = text.strip_prefix("ed25519:").unwrap_or(&text);
        let Some((_, key)) = keys.iter().find(|(hex, _)| hex == text) else { continue };
        if row["skew_sec"] == 0 {
            continue;
        }
        let frame = row["frame"].to_string();
        let checked = check(Value::from_json(&frame).unwrap(), key, wall(row["now"].as_f64().unwrap()));
        let reason = checked.map_or_else(|wrong| wrong.to_string(), |()| "verified-mux-frame".into());
        // Python's True is a number, and one that is long ago.
        let expected = if row["name"] == "ts bool" { "missing-ts" } else { str(&row["result"], "reason") };
        assert_eq!(reason, expected, "{row}");
        seen += 1;
    }
    assert!(seen >= 27, "{seen}");
}

fn key(n: u64) -> SecretKey {
    SecretKey::generate(&mut Seed::from_u64(n).fork("key"))
}

const NOW: f64 = 1_700_000_000.0;
const PLACE: Place<'_> = Place { from: "alice", to: "bob", intent: "chat" };

fn made(n: u8) -> String {
    sign(&key(1), &PLACE, u64::from(n), wall(NOW), r#"{"text":"h\u00e9 \ud83d\ude00"}"#, &[n; 16]).unwrap()
}

/// Sign whatever it is.
fn signed(mut frame: Json, by: &SecretKey) -> String {
    let text = frame.to_string();
    let bytes = canonical_without(Value::from_json(&text).unwrap(), &["sig"]).unwrap();
    frame["sig"] = Json::String(format!("ed25519:{}", hex(&by.sign(&bytes).unwrap())));
    frame.to_string()
}

#[test]
fn a_frame_counts_once_and_on_its_own_channel_and_under_a_key_that_is_known() {
    let mut guard = Guard::new(wall(NOW - 10.0));
    let public = key(1).public();
    let frame = made(1);
    let value = Value::from_json(&frame).unwrap();
    assert!(is_signed(value) && check(value, &public, wall(NOW)).is_ok());
    let mut admit = |frame: &str, place: Place<'_>, key: Option<&PublicKey>, now: f64| {
        guard.admit(wall(now), Value::from_json(frame).unwrap(), &place, key)
    };
    // Nobody vouches for himself.
    assert_eq!(admit(&frame, PLACE, None, NOW), Err(Wrong::UnknownKey));
    assert_eq!(admit(&frame, PLACE, Some(&key(2).public()), NOW), Err(Wrong::Signature));
    for other in [Place { from: "carol", ..PLACE }, Place { to: "carol", ..PLACE }, Place { intent: "mail", ..PLACE }] {
        assert_eq!(admit(&frame, other, Some(&public), NOW), Err(Wrong::OtherChannel), "{other:?}");
    }
    assert_eq!(admit(&frame, PLACE, Some(&public), NOW), Ok(()));
    for later in [0.0, 1.0, 119.0, 120.0] {
        assert_eq!(admit(&frame, PLACE, Some(&public), NOW + later), Err(Wrong::Replayed));
    }
    // The same under another spelling of its signature.
    let sig = frame.find("ed25519:").unwrap();
    let upper = format!("{}{}", &frame[..sig], frame[sig + 8..].to_uppercase());
    assert_eq!(admit(&upper, PLACE, Some(&public), NOW), Err(Wrong::Replayed));
    assert_eq!(admit(&made(2), PLACE, Some(&public), NOW), Ok(()));
    assert_eq!(admit(&frame, PLACE, Some(&public), NOW + 121.0), Err(Wrong::Stale));
}

#[test]
fn no_member_can_be_moved_into_another_one() {
    let frame = json!({"v": VERSION, "from_aint": "alice.aint", "to_aint": "bob.aint", "intent": "chat", "seq": 1,
        "ts": 1_700_000_000, "payload": 1, "nonce": "n", "a": 1, "b": 2});
    let good = signed(frame.clone(), &key(1));
    assert!(check(Value::from_json(&good).unwrap(), &key(1).public(), wall(NOW)).is_ok());
    // The reference finds the same bytes, and the same signature good, when `b` is put into the name of `a`.
    for name in ["a=1\u{1f}b", "a=1", "\u{1f}"] {
        let mut moved: Json = serde_json::from_str(&good).unwrap();
        let members = moved.as_object_mut().unwrap();
        for gone in ["a", "b"] {
            members.remove(gone);
        }
        members.insert(name.into(), json!(2));
        let moved = moved.to_string();
        assert_eq!(check(Value::from_json(&moved).unwrap(), &key(1).public(), wall(NOW)), Err(Wrong::Ambiguous));
    }
    let twice = good.replacen("\"b\":2", "\"b\":2,\"a\":3", 1);
    assert!(check(Value::from_json(&twice).unwrap(), &key(1).public(), wall(NOW)).is_err());
}

#[test]
fn what_is_remembered_is_bounded_and_one_signer_costs_the_others_nothing() {
    let mut guard = Guard::new(wall(NOW - 10.0));
    let (alice, carol) = (key(1), key(3));
    let mut admit = |from: &str, by: &SecretKey, n: u16, now: f64| {
        let place = Place { from, ..PLACE };
        let mut nonce = [0; 16];
        nonce[..2].copy_from_slice(&n.to_be_bytes());
        let frame = sign(by, &place, 0, wall(now), "1", &nonce).unwrap();
        guard.admit(wall(now), Value::from_json(&frame).unwrap(), &place, Some(&by.public()))
    };
    let refused = (0..8_200).find(|n| admit("alice", &alice, *n, NOW) == Err(Wrong::TooMany));
    assert_eq!(refused, Some(8_192));
    assert_eq!(admit("carol", &carol, 0, NOW), Ok(()));
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let later = NOW + SKEW_S as f64 + 1.0;
    assert_eq!(admit("alice", &alice, 0, later), Ok(()));
}

/// What was believed before a restart is not believed again after it.
#[test]
fn a_frame_from_before_the_beginning_is_not_believed() {
    let (public, frame) = (key(1).public(), made(1));
    let value = Value::from_json(&frame).unwrap();
    let admit = |guard: &mut Guard, now: f64| guard.admit(wall(now), value, &PLACE, Some(&public));
    assert_eq!(admit(&mut Guard::new(wall(NOW - 10.0)), NOW + 1.0), Ok(()));
    for began in [-1.9, -1.0, 0.0, 0.001, 1.0, 60.0] {
        assert_eq!(admit(&mut Guard::new(wall(NOW + began)), NOW + began.max(0.0)), Err(Wrong::Stale), "{began}");
    }
}

/// Whatever one guard believes, whenever, no other one that begins later believes again: nor where the clock of its signer is ahead.
#[test]
fn a_frame_from_the_future_does_not_come_again_after_a_restart() {
    let (public, frame) = (key(1).public(), made(1));
    let value = Value::from_json(&frame).unwrap();
    let admit = |guard: &mut Guard, now: f64| guard.admit(wall(now), value, &PLACE, Some(&public));
    let mut believed = 0;
    // Tenths of a second that the signer's clock is ahead.
    for ahead in (0..1_200).map(|tenths| f64::from(tenths) / 10.0) {
        let at = NOW - ahead;
        if admit(&mut Guard::new(wall(at - 100.0)), at).is_ok() {
            believed += 1;
            // Another one begins at once, or later, and is shown it at any time.
            for began in [0.0, 0.1, 1.0, 1.9, 3.0] {
                let mut next = Guard::new(wall(at + began));
                let again = (0..130).find(|later| admit(&mut next, at + began + f64::from(*later)).is_ok());
                assert_eq!(again, None, "{ahead} s ahead, begun after {began} s");
            }
        }
    }
    assert_eq!(believed, 21, "what is up to two seconds ahead");
    // A clock that was set forward and is set back.
    let mut guard = Guard::new(wall(NOW - 10.0));
    assert_eq!(admit(&mut guard, NOW), Ok(()));
    let late = signed_at(NOW + 500.0);
    assert_eq!(guard.admit(wall(NOW + 500.0), Value::from_json(&late).unwrap(), &PLACE, Some(&public)), Ok(()));
    assert_eq!(admit(&mut guard, NOW + 1.0), Err(Wrong::Stale));
}

fn signed_at(when: f64) -> String {
    sign(&key(1), &PLACE, 0, wall(when), "1", &[9; 16]).unwrap()
}
