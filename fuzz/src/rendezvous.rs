//! Bytes as what happens to a rendezvous: a hostile broker, streams that come and go, time, and an application.

use std::collections::BTreeSet;
use std::sync::Arc;

use sluis_core::time::Duration;
use sluis_core::{Durable as _, Instant, Machine as _, Now, Security, Seed, StoreError, Wall};
use sluis_signal::broker::{End, Order, Settings};
use sluis_signal::key::SecretKey;
use sluis_signal::mqtt::{MAX_PACKET, Publish, Reader, encode};
use sluis_signal::rank::{Family, Weight};
use sluis_signal::rendezvous::{Config, Event, Legacy, Place, Rendezvous};

const BROKERS: usize = 2;

/// Each step is a byte that says what, and one that says how much. Nothing fails badly, orders make sense, what is written is MQTT, every
/// send ends once, and in the end something is due.
pub fn rendezvous(data: &[u8]) {
    let key = |n| SecretKey::from_bytes(&[n; 32]).expect("a key");
    let place = |n| Place {
        family: Family::V4,
        host: format!("n{n}"),
        port: 1,
        weight: Weight::ONE,
        security: Security::Plain,
        settings: Settings::default(),
    };
    let mut mono = Instant::ZERO + Duration::from_secs(1000);
    let at = |mono: Instant| {
        Now::new(mono, Wall::from_micros(1_736_942_400_000_000 + i64::try_from(mono.as_nanos() / 1000).unwrap_or(0)))
    };
    // Every other input with messages in the clear, and with what is known kept.
    let odd = data.first().is_some_and(|byte| byte % 2 == 1);
    let legacy = if odd { Legacy::Everybody } else { Legacy::Nobody };
    let config = Config { legacy, keeps: odd, ..Config::new(key(1), (0..BROKERS).map(place).collect()) };
    let mut machine = Rendezvous::new(config, &Seed::from_u64(1), at(mono));
    let topic = machine.public_key().to_string();
    let mut up = [false; BROKERS];
    let mut readers = [(); BROKERS].map(|()| Reader::new(MAX_PACKET));
    let (mut open, mut last) = (BTreeSet::new(), Vec::new());

    for step in data.chunks(2).take(600) {
        let (what, much) = (step[0], step.get(1).copied().unwrap_or_default());
        let (now, broker) = (at(mono), usize::from(what) / 16 % BROKERS);
        match what % 10 {
            0 => mono = mono + Duration::from_millis(u64::from(much) * u64::from(much) * 4),
            1 if up[broker] => {
                machine.broker_bytes(now, broker, &[0x20, 2, 0, 0, 0x90, 3, 0, 1, 1]);
            }
            2 if up[broker] => {
                // Something that it wrote itself, perhaps touched, as a message to it.
                let mut payload: Vec<u8> = last.clone();
                if let Some(byte) = payload.get_mut(usize::from(much)) {
                    *byte ^= what;
                }
                let publish =
                    Publish { topic: &topic, payload: &payload, id: Some(7), retain: false, duplicate: false };
                let mut wire = vec![0; payload.len() + 200];
                let len = encode::publish(&publish, &mut wire).expect("room");
                machine.broker_bytes(now, broker, &wire[..len]);
            }
            3 if up[broker] => {
                machine.broker_bytes(now, broker, &[what, much, 0, 1, much]);
            }
            4 if up[broker] => {
                machine.broker_end(now, broker, End::Lost);
                up[broker] = false;
            }
            5 | 6 => {
                let to = key(2 + much % 3).public();
                let body = Arc::from(vec![what; usize::from(much)]);
                if let Ok(number) = machine.send(now, &to, body, what < 128, Duration::from_secs(u64::from(much))) {
                    assert!(open.insert((to, number)));
                }
            }
            7 if up[broker] => {
                // PUBACKs.
                machine.broker_bytes(now, broker, &[0x40, 2, 0, much.max(1)]);
            }
            _ => {}
        }
        let now = at(mono);
        machine.handle_timeout(now);
        while let Some((broker, order)) = machine.broker_order() {
            match order {
                Order::Dial => {
                    assert!(!up[broker], "dialled twice");
                    if what % 3 == 0 {
                        machine.broker_end(now, broker, End::Unreachable);
                    } else {
                        readers[broker] = Reader::new(MAX_PACKET);
                        machine.broker_up(now, broker);
                        up[broker] = true;
                    }
                }
                Order::Abort | Order::Finish => {
                    if order == Order::Finish {
                        machine.broker_end(now, broker, End::Ended);
                    }
                    up[broker] = false;
                }
            }
        }
        for broker in 0..BROKERS {
            let mut out = vec![0; 40 + usize::from(much)];
            let len = machine.broker_output(now, broker, &mut out);
            assert!(len == 0 || up[broker], "written to a stream that is not");
            let mut rest = &out[..len];
            while let (Some(packet), taken) = readers[broker].read(rest).expect("it writes MQTT") {
                if let sluis_signal::mqtt::Packet::Publish(publish) = packet {
                    last = publish.payload.to_vec();
                }
                rest = &rest[taken..];
            }
        }
        keep(&mut machine, now, what);
        while let Some(event) = machine.poll_event() {
            match event {
                Event::Sent { to, number, .. } => assert!(open.remove(&(to, number)), "a send that ends twice"),
                Event::Message(message) => {
                    machine.confirm(now, &message.key);
                }
                _ => {}
            }
        }
        assert!(machine.deadline().is_some());
    }
    // All sends end.
    for _ in 0..40 {
        mono = mono + Duration::from_secs(10);
        machine.handle_timeout(at(mono));
        while let Some(event) = machine.poll_event() {
            if let Event::Sent { to, number, .. } = event {
                assert!(open.remove(&(to, number)));
            }
        }
    }
    assert!(open.is_empty(), "{} sends never end", open.len());
}

/// What is to be kept is, or is not.
fn keep(machine: &mut Rendezvous, now: Now, what: u8) {
    let mut upto = None;
    while let Some(op) = machine.poll_store() {
        upto = Some(op.seq());
    }
    if let Some(upto) = upto {
        let result = if what.is_multiple_of(7) { Err(StoreError::Failed) } else { Ok(()) };
        machine.handle_stored(now, upto, result);
    }
}
