//! Whatever clients do, in any order: what is accepted is heard, by the right one, or told of.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluis_mux::switchboard::SocketId;

use crate::closed::Closed;

/// What a client may do to a hub, in any order.
#[derive(Clone, Debug)]
enum Op {
    Attach(u8, Option<u32>),
    Detach(u8),
    Open(u8, u8),
    Send(u8, u8, u16),
    Close(u8, u8),
    Read(u8),
    Ack(u8, u8, u8),
    Inbox(u8),
    Pass(u32),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0..3_u8, prop::option::of(1..3_u32)).prop_map(|(agent, credit)| Op::Attach(agent, credit)),
        (0..4_u8).prop_map(Op::Detach),
        (0..3_u8, 0..3_u8).prop_map(|(agent, target)| Op::Open(agent, target)),
        (0..3_u8, 0..8_u8, 0..20_000_u16).prop_map(|(agent, channel, size)| Op::Send(agent, channel, size)),
        (0..3_u8, 0..8_u8, 0..300_u16).prop_map(|(agent, channel, size)| Op::Send(agent, channel, size)),
        (0..3_u8, 0..8_u8).prop_map(|(agent, channel)| Op::Close(agent, channel)),
        (0..4_u8).prop_map(Op::Read),
        (0..4_u8, 0..8_u8, 0..10_u8).prop_map(|(socket, channel, seq)| Op::Ack(socket, channel, seq)),
        (0..3_u8).prop_map(Op::Inbox),
        prop_oneof![0..500_u32, 0..400_000_u32].prop_map(Op::Pass),
    ];
    prop::collection::vec(op, 1..120)
}

const NAMES: [&str; 3] = ["alice", "bob", "mallory"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever clients do: every accepted frame is heard (on a socket or in an inbox), in order on its channel, or the hub says that
    /// it expired; nobody hears a frame of a channel that is not his; no queue passes its cap.
    #[test]
    fn nothing_is_accepted_and_then_lost(ops in ops()) {
        let mut hub = Closed::new();
        let mut world = World::default();
        for op in ops {
            world.act(&mut hub, op);
        }
        // In the end everybody comes and reads all.
        hub.pass(60_000);
        for name in NAMES {
            let socket = hub.socket(name, "").unwrap();
            world.sockets.push((socket, name, true));
        }
        for at in 0..world.sockets.len() {
            world.read(&mut hub, at);
        }
        let missing = world.accepted.difference(&world.heard).count() as u64;
        prop_assert_eq!(missing, hub.board.totals().expired, "frames neither heard nor told of");
    }
}

#[derive(Default)]
struct World {
    sockets: Vec<(SocketId, &'static str, bool)>,
    channels: Vec<(String, &'static str, &'static str)>,
    /// Channel, sender, number.
    accepted: BTreeSet<(String, String, u64)>,
    heard: BTreeSet<(String, String, u64)>,
}

impl World {
    fn act(&mut self, hub: &mut Closed, op: Op) {
        match op {
            Op::Attach(agent, credit) if self.sockets.len() < 40 => {
                let name = NAMES[usize::from(agent)];
                let query = credit.map_or_else(String::new, |credit| format!("credit={credit}"));
                self.sockets.push((hub.socket(name, &query).unwrap(), name, true));
            }
            Op::Attach(..) => {}
            Op::Detach(at) => {
                let now = hub.now();
                if let Some((socket, _, there)) = self.sockets.iter_mut().rev().nth(at.into()).filter(|s| s.2) {
                    hub.board.detach(now, *socket);
                    *there = false;
                }
            }
            Op::Open(agent, target) => {
                let (agent, target) = (NAMES[usize::from(agent)], NAMES[usize::from(target)]);
                let body = json!({"agent": agent, "target": target, "intent": "chat"});
                let (status, answer) = hub.post(agent, "open", body);
                if status == 200 {
                    self.channels.push((answer["channel_id"].as_str().unwrap().into(), agent, target));
                }
            }
            Op::Send(agent, channel, size) => {
                let name = NAMES[usize::from(agent)];
                let Some((id, from, to)) = self.channels.iter().rev().nth(channel.into()) else { return };
                let (status, answer) = hub.send(name, id, json!("x".repeat(size.into())));
                assert!(status == 200 || [404, 409].contains(&status), "{answer}");
                assert!(status != 200 || name == *from || name == *to);
                if status == 200 {
                    self.accepted.insert((id.clone(), name.into(), answer["seq"].as_u64().unwrap()));
                }
            }
            Op::Close(agent, channel) => {
                let Some((id, ..)) = self.channels.iter().rev().nth(channel.into()) else { return };
                hub.post(NAMES[usize::from(agent)], "close", json!({"channel_id": id}));
            }
            Op::Read(at) => {
                let at = self.sockets.len().wrapping_sub(1 + usize::from(at));
                if self.sockets.get(at).is_some_and(|socket| socket.2) {
                    self.read(hub, at);
                }
            }
            Op::Ack(at, channel, seq) => {
                let Some((socket, ..)) = self.sockets.iter().rev().nth(at.into()) else { return };
                let Some((id, ..)) = self.channels.iter().rev().nth(channel.into()) else { return };
                hub.say(*socket, &json!({"action": "ack", "channel_id": id, "seq": seq}));
            }
            Op::Inbox(agent) => {
                let name = NAMES[usize::from(agent)];
                let (_, inbox) = hub.get(name, "inbox");
                self.listen(name, inbox["events"].as_array().unwrap());
                hub.get(name, &format!("inbox?after={}", inbox["after"]));
            }
            Op::Pass(millis) => hub.pass(millis.into()),
        }
    }

    fn read(&mut self, hub: &mut Closed, at: usize) {
        let (socket, name, _) = self.sockets[at];
        let events = hub.hear(socket);
        self.listen(name, &events);
    }

    fn listen(&mut self, name: &str, events: &[Value]) {
        for event in events.iter().filter(|event| event["event"] == "frame") {
            let id = event["channel_id"].as_str().unwrap();
            let (_, from, to) =
                self.channels.iter().find(|channel| channel.0 == id).expect("a channel that was opened");
            let sender = event["from"].as_str().unwrap();
            assert!((sender == *from && name == *to) || (sender == *to && name == *from), "{name} hears {event}");
            self.heard.insert((id.into(), sender.into(), event["seq"].as_u64().unwrap()));
        }
    }
}
