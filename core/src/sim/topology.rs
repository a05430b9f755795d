//! Who has a link to whom.

use alloc::vec::Vec;

use super::rng::SimRng;

/// The shape of a network. Nodes are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Topology {
    /// Each to the next.
    Line,
    /// All to the first.
    Star,
    /// Rows and columns, as square as the number allows.
    Grid,
    /// Each to as many others, chosen at random, as gives every node about this many links; connected.
    Random {
        /// Links of a node, on average.
        degree: u32,
    },
    /// Full meshes of this many nodes, chained by one link each; the links between clusters are of class 1, all others
    /// of class 0.
    Clusters {
        /// Nodes in a cluster.
        size: u32,
    },
}

/// A link between two nodes, used in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wire {
    /// One end.
    pub a: u32,
    /// The other end.
    pub b: u32,
    /// Which of the world's link configurations it has.
    pub class: u8,
}

impl Topology {
    /// The links between `nodes` nodes, each pair once.
    #[must_use]
    pub(crate) fn wires(self, nodes: u32, rng: &mut SimRng) -> Vec<Wire> {
        let wire = |a: u32, b: u32| Wire { a, b, class: 0 };
        let mut wires: Vec<Wire> = match self {
            Self::Line => (1..nodes).map(|b| wire(b - 1, b)).collect(),
            Self::Star => (1..nodes).map(|b| wire(0, b)).collect(),
            Self::Grid => {
                let columns = nodes.isqrt().max(1);
                let right = (0..nodes).filter(|a| (a + 1) % columns != 0).map(|a| wire(a, a + 1));
                let down = (0..nodes).map(|a| wire(a, a + columns));
                right.chain(down).filter(|w| w.b < nodes).collect()
            }
            Self::Random { degree } => {
                // A random tree keeps it connected; the rest is chosen freely.
                let tree = (1..nodes).map(|b| (rng.below(u64::from(b)) as u32, b)).collect::<Vec<_>>();
                let more = u64::from(nodes) * u64::from(degree) / 2;
                let count = u64::from(nodes);
                let free = (u64::from(nodes)..=more).map(|_| (rng.below(count) as u32, rng.below(count) as u32));
                tree.into_iter().chain(free).filter(|(a, b)| a != b).map(|(a, b)| wire(a.min(b), a.max(b))).collect()
            }
            Self::Clusters { size } => {
                let size = size.max(1);
                let inside = (0..nodes).flat_map(|a| {
                    let end = (a / size + 1).saturating_mul(size).min(nodes);
                    (a + 1..end).map(move |b| wire(a, b))
                });
                let between =
                    (0..nodes.saturating_sub(size)).step_by(size as usize).map(|a| Wire { a, b: a + size, class: 1 });
                inside.chain(between).collect()
            }
        };
        wires.sort_unstable();
        wires.dedup_by_key(|w| (w.a, w.b));
        wires
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::{SimRng, Topology};
    use crate::Seed;

    fn reached(topology: Topology, nodes: u32) -> (usize, usize) {
        let wires = topology.wires(nodes, &mut SimRng::new(&Seed::from_u64(3), "topology"));
        assert!(wires.iter().all(|w| w.a < w.b && w.b < nodes));
        let mut seen = vec![false; nodes as usize];
        let mut todo: Vec<u32> = (0..nodes.min(1)).collect();
        while let Some(at) = todo.pop() {
            if !core::mem::replace(&mut seen[at as usize], true) {
                todo.extend(wires.iter().filter(|w| w.a == at).map(|w| w.b));
                todo.extend(wires.iter().filter(|w| w.b == at).map(|w| w.a));
            }
        }
        (seen.into_iter().filter(|s| *s).count(), wires.len())
    }

    #[test]
    fn every_shape_is_connected_and_has_as_many_links_as_it_should() {
        assert_eq!(reached(Topology::Line, 10), (10, 9));
        assert_eq!(reached(Topology::Star, 10), (10, 9));
        assert_eq!(reached(Topology::Grid, 12), (12, 17));
        assert_eq!(reached(Topology::Clusters { size: 4 }, 12), (12, 20));
        let (nodes, links) = reached(Topology::Random { degree: 6 }, 1000);
        assert_eq!(nodes, 1000);
        assert!((2_900..=3_000).contains(&links), "{links}");
        for shape in [Topology::Line, Topology::Star, Topology::Grid, Topology::Random { degree: 6 }] {
            assert_eq!(reached(shape, 1), (1, 0));
            assert_eq!(reached(shape, 2), (2, 1));
        }
    }
}
