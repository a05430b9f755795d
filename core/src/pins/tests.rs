//! Pins against a plain model, records in any order, and what a statement does.

use std::collections::{BTreeMap, BTreeSet};
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::{Change, Judgement, Origin, PinConfig, PinError, Pins, RecordError};
use crate::Seed;
use crate::data::Value;
use crate::identity::{MakeStatementError, PublicKey, SecretKey, Statement, StatementError};

const NAMES: [&str; 4] = ["jis:a", "jis:b", "jis:home:sensor", "é"];

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn public(n: u8) -> PublicKey {
    secret(n).public()
}

fn pins() -> Pins {
    Pins::new(PinConfig::default(), Seed::from_u64(7).fork("pins").sip_key())
}

fn json(statement: &Statement) -> String {
    let mut out = Vec::new();
    statement.write_json(&mut out).unwrap();
    assert!(out.len() <= Statement::MAX_JSON);
    String::from_utf8(out).unwrap()
}

fn read(text: &str) -> Result<Statement, StatementError> {
    Statement::read(Value::from_json(text).unwrap())
}

/// What a store would hold.
#[derive(Default)]
struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

impl Records {
    fn keep(&mut self, change: &Change) {
        match change.record() {
            Some((key, Some(value))) => drop(self.0.insert(key.to_vec(), value.to_vec())),
            Some((key, None)) => drop(self.0.remove(key)),
            None => {}
        }
    }

    fn load(&self, reversed: bool) -> Pins {
        let mut pins = pins();
        let mut records: Vec<_> = self.0.iter().collect();
        if reversed {
            records.reverse();
        }
        for (key, value) in records {
            assert_eq!(pins.restore(key, value), Ok(true));
        }
        pins
    }
}

#[derive(Clone, Debug)]
enum Op {
    Pin(usize, u8),
    Unpin(usize),
    Rotate(u8, u8),
    Revoke(u8),
    /// There was a session with the key of the name; whether that could be written.
    Session(usize, bool),
    /// The change before the last could not be written.
    FailLast(usize, u8),
}

fn op() -> impl Strategy<Value = Op> {
    let (name, key) = (0..NAMES.len(), 1..7_u8);
    prop_oneof![
        4 => (name.clone(), key.clone()).prop_map(|(name, key)| Op::Pin(name, key)),
        1 => name.clone().prop_map(Op::Unpin),
        2 => (key.clone(), key.clone()).prop_map(|(old, new)| Op::Rotate(old, new)),
        1 => key.clone().prop_map(Op::Revoke),
        2 => (name.clone(), any::<bool>()).prop_map(|(name, written)| Op::Session(name, written)),
        1 => (name, key).prop_map(|(name, key)| Op::FailLast(name, key)),
    ]
}

/// The rules, written down plainly.
#[derive(Default)]
struct Model {
    pins: BTreeMap<usize, u8>,
    retired: Vec<u8>,
    /// Names with whose key there was a session.
    sessions: BTreeSet<usize>,
}

impl Model {
    fn pin(&mut self, name: usize, key: u8) -> bool {
        let bound = self.pins.get(&name).copied();
        if self.retired.contains(&key) || bound.is_some_and(|k| k != key && !self.retired.contains(&k)) {
            return false;
        }
        if self.pins.insert(name, key) != Some(key) {
            self.sessions.remove(&name);
        }
        true
    }

    fn retire(&mut self, key: u8, new: Option<u8>) -> bool {
        if self.retired.contains(&key) || new.is_some_and(|new| self.retired.contains(&new) || new == key) {
            return false;
        }
        self.retired.push(key);
        if let Some(new) = new {
            self.pins.values_mut().filter(|k| **k == key).for_each(|k| *k = new);
        }
        true
    }

    fn judge(&self, name: usize, key: u8) -> Judgement {
        match self.pins.get(&name) {
            _ if self.retired.contains(&key) => Judgement::Retired,
            None => Judgement::Unpinned,
            Some(k) if *k == key => Judgement::Pinned,
            Some(_) => Judgement::OtherKey,
        }
    }

    fn agrees(&self, pins: &Pins) {
        for (n, name) in NAMES.iter().enumerate() {
            for key in 1..7 {
                assert_eq!(pins.judge(name, public(key)), self.judge(n, key), "{name} and key {key}");
            }
            let pin = pins.get(name).map(|pin| (pin.key, pin.revoked, pin.session));
            let bound = |k: &u8| (public(*k), self.retired.contains(k), self.sessions.contains(&n));
            assert_eq!(pin, self.pins.get(&n).map(bound));
        }
        assert_eq!(pins.len(), self.pins.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn pins_follow_the_rules_and_survive_in_any_order(ops in proptest::collection::vec(op(), 0..40)) {
        let (mut pins, mut model, mut records) = (pins(), Model::default(), Records::default());
        for op in ops {
            match op {
                Op::Pin(name, key) => {
                    let done = pins.pin(NAMES[name], public(key), Origin::Operator, 5);
                    prop_assert_eq!(done.is_ok(), model.pin(name, key));
                    done.iter().for_each(|change| records.keep(change));
                }
                Op::Unpin(name) => {
                    let done = pins.unpin(NAMES[name]);
                    prop_assert_eq!(done.is_some(), model.pins.remove(&name).is_some());
                    model.sessions.remove(&name);
                    done.iter().for_each(|change| records.keep(change));
                }
                Op::Rotate(old, new) if old == new => {}
                Op::Rotate(old, new) => {
                    let done = pins.retire(&Statement::rotation(&secret(old), &secret(new), 9).unwrap(), false);
                    prop_assert_eq!(done.is_ok(), model.retire(old, Some(new)));
                    done.iter().for_each(|change| records.keep(change));
                }
                Op::Revoke(key) => {
                    let done = pins.retire(&Statement::revocation(&secret(key), 9).unwrap(), false);
                    prop_assert_eq!(done.is_ok(), model.retire(key, None));
                    done.iter().for_each(|change| records.keep(change));
                }
                Op::Session(name, written) => {
                    let news = model.pins.contains_key(&name) && !model.sessions.contains(&name);
                    let done = pins.note_session(NAMES[name]);
                    prop_assert_eq!(done.is_some(), news);
                    if let Some(change) = done {
                        if written {
                            records.keep(&change);
                            model.sessions.insert(name);
                        } else {
                            prop_assert!(pins.undo(&change));
                        }
                    }
                }
                // Neither the model nor the records hear of it.
                Op::FailLast(name, key) => {
                    if let Ok(change) = pins.pin(NAMES[name], public(key), Origin::Approved, 6) {
                        prop_assert_eq!(pins.undo(&change), change.record().is_some());
                    }
                    if let Some(change) = pins.unpin(NAMES[name]) {
                        prop_assert!(pins.undo(&change));
                    }
                }
            }
            model.agrees(&pins);
        }
        model.agrees(&records.load(false));
        model.agrees(&records.load(true));
    }

    #[test]
    fn a_statement_that_was_changed_anywhere_is_none(at in 0..620_usize, to in any::<u8>(), rotation in any::<bool>()) {
        let statement = if rotation {
            Statement::rotation(&secret(1), &secret(2), 1_764_400_000).unwrap()
        } else {
            Statement::revocation(&secret(1), 1_764_400_000).unwrap()
        };
        let mut bytes = json(&statement).into_bytes();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        if let Ok(text) = core::str::from_utf8(&bytes) && let Ok(value) = Value::from_json(text) {
            // The same statement in another spelling is the same; anything else is refused.
            prop_assert!(Statement::read(value).is_ok_and(|read| read == statement) || Statement::read(value).is_err());
        }
    }
}

#[test]
fn statements_are_read_as_they_are_written() {
    let rotation = Statement::rotation(&secret(1), &secret(2), 7).unwrap();
    assert_eq!(read(&json(&rotation)), Ok(rotation));
    assert_eq!((rotation.key(), rotation.successor(), rotation.at()), (public(1), Some(public(2)), 7));
    let revocation = Statement::revocation(&secret(1), u64::MAX).unwrap();
    assert_eq!(read(&json(&revocation)), Ok(revocation));
    assert_eq!((revocation.successor(), revocation.at()), (None, (1 << 53) - 1));
    assert_eq!(Statement::peek(Value::from_json(&json(&rotation)).unwrap()), Ok(public(1)));
    let same = Statement::rotation(&secret(1), &secret(1), 7);
    assert_eq!(same, Err(MakeStatementError::Statement(StatementError::Same)));
}

#[test]
fn a_name_cannot_be_handed_over_to_a_key_that_is_not_asked() {
    let text = json(&Statement::rotation(&secret(1), &secret(2), 7).unwrap());
    let stranger = std::format!("{}", public(3));
    let forged = text.replace(&std::format!("{}", public(2)), &stranger);
    assert!(matches!(read(&forged), Err(StatementError::Signature("signature"))));
    // Signed by the old key over the right text, the new key's signature missing or by somebody else.
    let other = json(&Statement::rotation(&secret(1), &secret(3), 7).unwrap());
    let proof = |text: &str| String::from(text.split("new_signature\":\"").nth(1).unwrap().split('"').next().unwrap());
    let mixed = text.replace(&proof(&text), &proof(&other));
    assert_eq!(read(&mixed), Err(StatementError::Signature("new_signature")));
    let more = text.replace("\"at\"", "\"note\":1,\"at\"");
    assert!(matches!(read(&more), Err(StatementError::Form(_))));
    let twice = text.replace("\"at\":7", "\"at\":7,\"at\":7");
    assert!(matches!(read(&twice), Err(StatementError::Form(_))));
    for bad in ["{}", "[]", "null", r#"{"type":"sluis-key-rotation"}"#, r#"{"type":["sluis-key-revocation"]}"#] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn strangers_statements_leave_nothing() {
    let mut pins = pins();
    let statement = Statement::revocation(&secret(1), 7).unwrap();
    assert_eq!(pins.retire(&statement, true).unwrap_err(), PinError::Unknown);
    assert_eq!(pins.heap_bytes(), 0);
    let _ = pins.pin("jis:a", public(1), Origin::FirstUse, 1).unwrap();
    let _ = pins.retire(&statement, true).unwrap();
    let pin = pins.get("jis:a").unwrap();
    assert!(pin.revoked && pin.origin == Origin::FirstUse);
    assert_eq!(pins.judge("jis:a", public(2)), Judgement::OtherKey, "nothing is believed of the name");
    assert_eq!(pins.judge("jis:b", public(1)), Judgement::Retired, "under any name");
    let again = Statement::rotation(&secret(1), &secret(2), 8).unwrap();
    assert_eq!(pins.retire(&again, true).unwrap_err(), PinError::Retired, "who stole a key is too late");
    let _ = pins.pin("jis:a", public(2), Origin::Operator, 9).unwrap();
    assert_eq!(pins.judge("jis:a", public(2)), Judgement::Pinned);
}

#[test]
fn a_thief_cannot_rotate_a_key_twice_nor_back() {
    let mut pins = pins();
    let _ = pins.pin("jis:a", public(1), Origin::Operator, 1).unwrap();
    let _ = pins.retire(&Statement::rotation(&secret(1), &secret(2), 2).unwrap(), true).unwrap();
    let thief = Statement::rotation(&secret(1), &secret(3), 3).unwrap();
    assert_eq!(pins.retire(&thief, false).unwrap_err(), PinError::Retired);
    let back = Statement::rotation(&secret(2), &secret(1), 3).unwrap();
    assert_eq!(pins.retire(&back, false).unwrap_err(), PinError::Retired);
    assert_eq!(pins.judge("jis:a", public(2)), Judgement::Pinned);
}

#[test]
fn caps_hold() {
    let config = PinConfig { max_pins: 100, max_retired: 1 };
    let mut pins = Pins::new(config, Seed::from_u64(7).fork("pins").sip_key());
    for n in 0..64 {
        let _ = pins.pin(&std::format!("jis:{n}"), public(1), Origin::Operator, 1).unwrap();
    }
    assert_eq!(pins.pin("jis:64", public(1), Origin::Operator, 1).unwrap_err(), PinError::TooManyNames);
    for n in 64..100 {
        let _ = pins.pin(&std::format!("jis:{n}"), public(2), Origin::Operator, 1).unwrap();
    }
    assert_eq!(pins.pin("jis:100", public(2), Origin::Operator, 1).unwrap_err(), PinError::TooMany(100));
    assert_eq!(pins.pin("", public(2), Origin::Operator, 1).unwrap_err(), PinError::Did(crate::DidError::Empty));
    let merge = Statement::rotation(&secret(1), &secret(2), 1).unwrap();
    assert_eq!(pins.retire(&merge, true).unwrap_err(), PinError::TooManyNames);
    assert!(pins.retire(&Statement::revocation(&secret(2), 1).unwrap(), true).unwrap().record().is_some());
    let full = pins.retire(&Statement::revocation(&secret(1), 1).unwrap(), true).unwrap_err();
    assert_eq!(full, PinError::TooManyRetired(1));
    assert_eq!(pins.iter().filter(|pin| pin.revoked).count(), 36);
}

#[test]
fn damaged_records_are_said_and_change_nothing() {
    let mut records = Records::default();
    let mut whole = pins();
    records.keep(&whole.pin("jis:a", public(1), Origin::Operator, 1).unwrap());
    records.keep(&whole.retire(&Statement::revocation(&secret(1), 1).unwrap(), true).unwrap());
    for (key, value) in &records.0 {
        for cut in 0..value.len() {
            assert!(pins().restore(key, &value[..cut]).is_err());
        }
    }
    let (_, statement) = records.0.iter().find(|(key, _)| key[0] == b'r').unwrap();
    let mut other = std::vec![b'r'];
    other.extend_from_slice(public(2).as_bytes());
    assert_eq!(pins().restore(&other, statement), Err(RecordError::OtherKey));
    assert_eq!(pins().restore(b"x", b""), Ok(false));
    assert_eq!(pins().restore(b"", b""), Ok(false));
}
