//! Looking ahead, so that a large world is not slower than its memory.
//!
//! The nodes of a large world fit into no cache. Every event finds its node in main memory, and because each place that
//! it needs is found by way of another, it waits dozens of times, each time for a single line. Therefore a few events that are
//! about to happen are looked at together: what the first of them needs first, what the second needs first, and so on, then what
//! they need next. Nobody waits for the answers, so the waits of all of them become one. Nothing but time depends on it.

use core::hint::black_box;

use super::World;
use super::member::Role;
use super::net::Net;
use crate::node::Node;
use crate::sim::agenda::Due;

/// How many events are looked at together.
const AHEAD: usize = 32;

/// Bytes that memory is fetched in.
const LINE: usize = 64;

/// From so many members on a world is large: what fewer keep fits into the caches.
pub(super) const LARGE: usize = 1024;

/// Whom an event is about, and along which of its edges: the one to who sent it something, or all.
#[derive(Clone, Copy)]
struct Touch {
    member: u32,
    edge: u32,
    edges: usize,
}

impl World {
    /// Have what the next few events need at hand.
    pub(super) fn look_ahead(&mut self) {
        let mut buffer = [Touch { member: 0, edge: 0, edges: 0 }; AHEAD];
        let Self { net: Net { agenda, post, edges, starts, .. }, members, errands, .. } = self;
        let edges_of = |member| starts.get(member as usize).copied().unwrap_or(0);
        let (mut count, mut seen) = (0, 0);
        for due in agenda.next_few(AHEAD) {
            buffer[count] = match due {
                Due::Mail(datagram) => match post.get(datagram) {
                    Some((bytes, way, _)) => {
                        seen ^= bytes.iter().step_by(LINE).fold(0, |sum, byte| sum ^ u64::from(*byte));
                        Touch { member: way.to, edge: way.back, edges: 1 }
                    }
                    None => continue,
                },
                Due::Timer(member) => Touch { member, edge: edges_of(member), edges: 4 },
                Due::Errand(place) => match errands.member(place) {
                    Some(member) => Touch { member, edge: edges_of(member), edges: 4 },
                    None => continue,
                },
                Due::Plan(_) => continue,
            };
            count += 1;
        }
        let touches = &buffer[..count];
        for touch in touches.iter() {
            let few = edges.get(touch.edge as usize..).unwrap_or_default().iter().take(touch.edges);
            seen ^= few.fold(0, |sum, edge| sum ^ edge.got ^ u64::from(edge.to));
            if let Some(member) = members.get(touch.member as usize) {
                seen ^= member.armed ^ member.books.handed ^ u64::from(member.touched) ^ member.clock.origin();
            }
        }
        let mut nodes: [Option<&Node>; AHEAD] = [None; AHEAD];
        for (node, touch) in nodes.iter_mut().zip(touches.iter()) {
            if let Some(Role::Node(here)) = members.get(touch.member as usize).map(|m| &m.role) {
                *node = Some(here);
            }
        }
        for level in 0..Node::LEVELS {
            for node in nodes[..count].iter().flatten() {
                seen ^= node.touch(level);
            }
        }
        black_box(seen);
    }
}
