//! One operation done to the node.

use sluis_core::airlock::{Expiry, Rule, Vouch};
use sluis_core::framing::{Value, ValueBuf, Zone};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{AnswerError, Ping, Reply};
use sluis_core::{Duration, Machine, Wall};

use super::build;
use super::ledger::{Asked, choose};
use super::ops::{self, Op};
use super::world::World;

impl World {
    pub(super) fn act(&mut self, op: &Op<'_>) {
        match *op {
            Op::Raw { from, bytes } => self.receive(ops::path(from), bytes),
            Op::Frame { from, flags, payload } => {
                let mut frame = vec![b'T', b'P', 1, flags];
                frame.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
                frame.extend(payload);
                self.receive(ops::path(from), &frame);
            }
            Op::Ping(ref sent) => {
                let bytes = build::ping(sent, self.now.wall);
                self.receive(ops::path(sent.from), &bytes);
            }
            Op::Replay { which, from, damage } => {
                let Some((path, mut bytes)) = choose(&self.ledger.kept, which).cloned() else { return };
                build::damage(&mut bytes, damage);
                self.receive(from.map_or(path, ops::path), &bytes);
            }
            Op::Answer(ref answer) => {
                let Some(asked) = choose(&self.ledger.requests, answer.which) else { return };
                let Some(packet_id) = &asked.packet_id else { return };
                let bytes = build::response(answer, packet_id, &asked.whom, self.now.wall);
                let path = answer.from.map_or(asked.path, ops::path);
                self.receive(path, &bytes);
            }
            Op::Ask { whom, at, encoding, intent, payload, seconds } => {
                let (whom, intent, payload) = (ops::did(whom), ops::intent(intent), ops::payload(payload));
                let mut ping = Ping::new(&whom, ops::path(at), &intent);
                ping.payload = build::value(&payload);
                ping.encoding = ops::encoding(encoding);
                ping.timeout = seconds.map(|s| Duration::from_secs(s.into()));
                self.ask(&ping);
            }
            Op::Respond { which, payload } => self.respond(which, build::value(&ops::payload(payload))),
            Op::Decide { which, approve } => self.decide(which, approve),
            Op::Forget { which } => {
                let Some(id) = choose(&self.ledger.requests, which).map(|asked| asked.id) else { return };
                let forgotten = self.node.forget(id);
                let asked = self.ledger.request(id);
                assert!(!forgotten || !asked.over, "it was over");
                asked.over |= forgotten;
                asked.forgotten |= forgotten;
                assert!(!self.node.forget(id));
            }
            Op::Events { count, kind } => {
                for _ in 0..count % 8 {
                    self.event(kind);
                }
            }
            Op::Transmits { count, room } => {
                for _ in 0..count % 8 {
                    self.transmit(usize::from(room).min(MAX_DATAGRAM_V6));
                }
            }
            Op::Drain => self.drain(),
            _ => self.command(op),
        }
    }

    /// What the operator says, and what the clocks do.
    fn command(&mut self, op: &Op<'_>) {
        match *op {
            Op::Trust { whom, percent } => {
                let trust = if percent == u8::MAX { f64::NAN } else { f64::from(percent) / 100.0 };
                if let Ok(stored) = self.node.set_trust(&ops::did(whom), trust) {
                    assert!((0.0..=1.0).contains(&stored));
                }
            }
            Op::Distrust { whom } => {
                let did = ops::did(whom);
                self.node.remove_trust(&did);
                assert!(!self.node.remove_trust(&did));
            }
            Op::Rule { id, remove, whom, intent, zone, priority } => {
                let id = ops::rule_id(id);
                if remove {
                    self.node.remove_rule(&id);
                    return;
                }
                let mut rule = Rule::new(id.clone(), id, Zone::ALL[usize::from(zone) % Zone::ALL.len()]);
                rule.source_did = whom.map(ops::did);
                rule.intent = intent.map(ops::pattern);
                rule.priority = priority.into();
                rule.any = !rule.has_conditions();
                let _ = self.node.add_rule(&rule);
            }
            Op::Reply { intent, payload } => {
                let own = |n| ValueBuf::new(build::value(&ops::payload(n))).expect("a payload of ours");
                let _ =
                    self.node.set_reply(&ops::pattern(intent), payload.map_or(Reply::Later, |n| Reply::Now(own(n))));
            }
            Op::Vouch { id, whom, percent, seconds, revoke } => {
                let (id, did) = (format!("vouch{}", id % 6), ops::did(whom));
                if revoke {
                    self.node.revoke_vouch(&id);
                    return;
                }
                let end = |s: u8| self.now.wall.saturating_add(Duration::from_secs(s.into()));
                let vouch = Vouch {
                    id: &id,
                    voucher_did: "jis:voucher",
                    voucher_trust: f64::from(percent) / 100.0,
                    factor: 1.0,
                    vouched: &[&did],
                    expires: seconds.map_or(Expiry::Never, |s| Expiry::After(end(s))),
                };
                let _ = self.node.vouch(&vouch, self.now.wall);
            }
            Op::Pass { ticks, scale } => {
                let tick = [1_u64, 1_000_000, 1_000_000_000, 15_000_000_000][usize::from(scale % 4)];
                self.pass(Duration::from_nanos(u64::from(ticks) * tick));
            }
            Op::Step { seconds, scale } => {
                let by = i64::from(seconds) * [1_000, 1_000_000, 3_600_000_000][usize::from(scale % 3)];
                self.now.wall = Wall::from_micros(self.now.wall.as_micros() + by);
                self.latest = self.latest.max(self.now.wall);
            }
            Op::Timeout => self.node.handle_timeout(self.now),
            _ => unreachable!("{op:?} is done elsewhere"),
        }
    }

    /// Both clocks go on.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall = self.now.wall.saturating_add(time);
        self.latest = self.latest.max(self.now.wall);
    }

    fn ask(&mut self, ping: &Ping<'_>) {
        let before = self.tables();
        let result = self.node.ping(self.now, ping);
        let after = self.tables();
        self.ledger.note(&format!("{result:?}"));
        match result {
            Err(_) => assert_eq!(after, before, "a ping that was refused left something"),
            Ok(id) => {
                assert_eq!((after.requests, after.transmits), (before.requests + 1, before.transmits + 1));
                let (path, whom) = (ping.path, ping.target.to_owned());
                self.ledger.asked(Asked {
                    id,
                    path,
                    whom,
                    packet_id: None,
                    pending: false,
                    over: false,
                    queued: 0,
                    forgotten: false,
                });
            }
        }
    }

    fn respond(&mut self, which: u8, payload: Value<'_>) {
        let Some(told) = choose(&self.ledger.open, which).cloned() else { return };
        let before = self.tables();
        match self.node.respond(self.now, told.id, payload) {
            Ok(()) => {
                assert_eq!(self.tables().transmits, before.transmits + 1);
                self.ledger.owe(told.from, &told.packet_id);
                self.ledger.open.retain(|other| other.id != told.id);
                assert_eq!(self.node.respond(self.now, told.id, payload), Err(AnswerError::Gone));
            }
            Err(why) => {
                assert_ne!(why, AnswerError::Gone, "it was open");
                assert_eq!(self.tables(), before, "a refused answer changed something");
            }
        }
    }

    fn decide(&mut self, which: u8, approve: bool) {
        let Some(told) = choose(&self.ledger.waiting, which).cloned() else { return };
        let before = self.tables();
        let result = if approve {
            self.node.approve(self.now, told.id)
        } else {
            self.node.reject(self.now, told.id).map(|()| None)
        };
        let after = self.tables();
        self.ledger.note(&format!("{result:?}"));
        match result {
            Ok(open) => {
                assert_eq!(after.waiting, before.waiting - 1);
                // The decision is told, and of an approved sender that it is a peer now, perhaps in a lost one's place.
                let peers_told = after.events - before.events - 1;
                let want: &[usize] = match after.peers - before.peers {
                    0 if approve => &[0, 2],
                    0 => &[0],
                    _ => &[1],
                };
                assert!(approve || after.peers == before.peers, "only an approved sender becomes a peer");
                assert!(want.contains(&peers_told), "{peers_told} events about peers");
                self.ledger.waiting.retain(|other| other.id != told.id);
                assert_eq!(self.node.approve(self.now, told.id), Err(AnswerError::Gone));
                assert_eq!(self.node.reject(self.now, told.id), Err(AnswerError::Gone));
                match open {
                    None if !approve && after.transmits == before.transmits => {}
                    None => {
                        assert_eq!(after.transmits, before.transmits + 1);
                        self.ledger.owe(told.from, &told.packet_id);
                    }
                    Some(open) => {
                        assert_eq!((after.open, after.transmits), (before.open + 1, before.transmits));
                        self.ledger.approved.insert(told.id, open);
                        let super::ledger::Told { from, packet_id, .. } = told;
                        self.ledger.open.push(super::ledger::Told { id: open, from, packet_id });
                    }
                }
            }
            Err(why) => {
                assert_ne!(why, AnswerError::Gone, "it waited");
                assert!(approve, "whatever waits can be rejected");
                assert_eq!(after, before, "a refused decision changed something");
            }
        }
    }
}
