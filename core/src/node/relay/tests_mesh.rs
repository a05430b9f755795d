//! Invariants of relaying nodes in random meshes: relays die and come back, datagrams are lost, one relay sends something else than it signs.

use std::collections::BTreeSet;
use std::format;

use proptest::prelude::*;

use super::tests_net::{Kind, Net, path, start};
use crate::framing::Decision;
use crate::node::Ping;
use crate::relay::RelayConfig;
use crate::time::Duration;

const NODES: usize = 8;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// One asks another, over its first neighbour that is up.
    Ask(usize, usize),
    Fail(usize),
    Return(usize),
    /// From now on this share of datagrams is lost.
    Lose(u8),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..NODES, 0..NODES).prop_map(|(from, to)| Op::Ask(from, to)),
        1 => (0..NODES).prop_map(Op::Fail),
        2 => (0..NODES).prop_map(Op::Return),
        1 => (0..3_u8).prop_map(Op::Lose),
        2 => (0..8000_u64).prop_map(Op::Wait),
    ]
}

struct Mesh {
    net: Net,
    edges: BTreeSet<(usize, usize)>,
    asked: usize,
}

impl Mesh {
    /// A ring with chords.
    fn new(chords: &[(usize, usize)], liar: Option<usize>) -> Self {
        let mut net = Net::new();
        for n in 0..NODES {
            net.add(start(n, &format!("jis:mesh:n{n}"), Some(RelayConfig::default())));
        }
        net.all_know_all();
        let ring = (0..NODES).map(|n| (n, (n + 1) % NODES));
        let edges: BTreeSet<_> = ring.chain(chords.iter().copied()).filter(|(a, b)| a != b).collect();
        edges.iter().for_each(|(a, b)| net.neighbours(*a, *b));
        liar.into_iter().for_each(|n| net.members[n].kind = Kind::Liar);
        Self { net, edges, asked: 0 }
    }

    fn ask(&mut self, from: usize, to: usize) -> bool {
        let near = |edge: &(usize, usize)| match *edge {
            (a, b) if a == from => Some(b),
            (a, b) if b == from => Some(a),
            _ => None,
        };
        let up = |n: &usize| self.net.members[*n].up && *n != to;
        let Some(first) = self.edges.iter().filter_map(near).find(up) else { return false };
        if from == to || !self.net.members[from].up {
            return false;
        }
        let (relay, target, now) = (self.net.did(first), self.net.did(to), self.net.now);
        let mut ping = Ping::over(&target, &relay, path(first), "temperature.read");
        (ping.trace, ping.max_hops, ping.timeout) = (true, Some(10), Some(Duration::from_secs(5)));
        self.asked += 1;
        self.net.node(from).ping(now, &ping).is_ok()
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Ask(from, to) => _ = self.ask(from, to),
            Op::Fail(n) => self.net.members[n].up = false,
            Op::Return(n) => self.net.members[n].up = true,
            Op::Lose(share) => {
                self.net.lose = match share {
                    0 => |_| false,
                    1 => |n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).is_multiple_of(10),
                    _ => |n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).is_multiple_of(3),
                }
            }
            Op::Wait(millis) => self.net.run(millis),
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        self.net.check_books();
        for member in &self.net.members {
            let stats = member.node.relay_stats().unwrap();
            prop_assert!(stats.forwarded <= self.asked as u64, "a ping went through one relay twice");
            prop_assert!(stats.answered <= stats.forwarded);
            // Nobody can be certain over lines on which anybody writes, so nobody is named.
            let named = member.news.iter().flat_map(|news| &news.tampered).find(|found| found.relay.is_some());
            prop_assert!(named.is_none(), "{named:?}");
        }
        // Everybody who is asked has all his neighbours send him a copy at most.
        let most = self.net.got.values().max().copied().unwrap_or(0);
        prop_assert!(most as usize <= NODES, "{most} copies at one node");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_loops_nobody_is_wronged_and_what_can_be_answered_is(
        chords in prop::collection::vec((0..NODES, 0..NODES), 0..6),
        liar in prop::option::weighted(0.3, 0..NODES),
        ops in prop::collection::vec(op(), 1..40),
        last in (0..NODES, 0..NODES),
    ) {
        let mut mesh = Mesh::new(&chords, liar);
        for op in ops {
            mesh.run(op);
        }
        mesh.net.run(40_000);
        mesh.check()?;
        // Once all are up again and nothing is lost, three tries at most bring an answer.
        mesh.net.lose = |_| false;
        mesh.net.members.iter_mut().for_each(|member| (member.up, member.kind) = (true, Kind::Node));
        mesh.net.run(400_000);
        let (from, to) = last;
        mesh.net.members[from].ended.clear();
        let mut asked = false;
        for _ in 0..3 {
            asked |= mesh.ask(from, to);
            mesh.net.run(6000);
        }
        let answered = mesh.net.members[from].ended.iter().any(|(_, decision)| *decision == Some(Decision::Accept));
        prop_assert!(answered || !asked, "{:?}", mesh.net.members[from].ended);
        mesh.check()?;
    }
}
