use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use proptest::prelude::*;

use super::{Chain, Chained, Fixed, Index, Link, Linked, List, Slab, SlotId, Storage};

struct Age;
struct Key;

#[derive(Debug)]
struct Row {
    value: u64,
    link: Link,
    chain: Chain,
}

impl Linked<Age> for Row {
    fn link(&self) -> &Link {
        &self.link
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Chained<Key> for Row {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

/// A poor hash on purpose: chains get long and all meet in the same buckets.
fn hash(value: u64) -> u64 {
    value % 7
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    Remove(usize),
    PopFront,
    Touch(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(
        prop_oneof![
            3 => (0..40u64).prop_map(Op::Insert),
            1 => any::<prop::sample::Index>().prop_map(|i| Op::Remove(i.index(64))),
            1 => Just(Op::PopFront),
            1 => any::<prop::sample::Index>().prop_map(|i| Op::Touch(i.index(64))),
        ],
        0..300,
    )
}

/// Slab, list and index together against a plain queue.
fn against_model<S: Storage>(capacity: usize, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut slab: Slab<Row, S> = Slab::new(capacity);
    let (mut list, mut index): (List<Age>, Index<Key, S>) = (List::new(), Index::new());
    let mut model: VecDeque<(SlotId, u64)> = VecDeque::new();
    let mut dead: Vec<SlotId> = Vec::new();
    for op in ops {
        match op {
            Op::Insert(value) => {
                let row = Row { value, link: Link::default(), chain: Chain::default() };
                match slab.insert(row) {
                    Ok(id) => {
                        prop_assert!(list.push_back(&mut slab, id.slot()));
                        prop_assert!(!list.push_back(&mut slab, id.slot()));
                        index.insert(&mut slab, id.slot(), hash(value));
                        model.push_back((id, value));
                    }
                    Err(row) => {
                        prop_assert_eq!(row.value, value);
                        prop_assert_eq!(model.len(), slab.capacity());
                    }
                }
            }
            Op::Touch(at) if !model.is_empty() => {
                let row = model.remove(at % model.len()).unwrap();
                prop_assert!(list.move_to_back(&mut slab, row.0.slot()));
                model.push_back(row);
            }
            Op::Remove(at) if !model.is_empty() => {
                let (id, value) = model.remove(at % model.len()).unwrap();
                prop_assert!(index.remove(&mut slab, id.slot()));
                prop_assert!(!index.remove(&mut slab, id.slot()));
                prop_assert!(list.remove(&mut slab, id.slot()));
                prop_assert!(!list.remove(&mut slab, id.slot()));
                prop_assert_eq!(slab.remove(id).map(|r| r.value), Some(value));
                dead.push(id);
            }
            Op::PopFront => {
                prop_assert_eq!(list.front(), model.front().map(|(id, _)| id.slot()));
                if let Some((id, value)) = model.pop_front() {
                    prop_assert!(index.remove(&mut slab, id.slot()) && list.remove(&mut slab, id.slot()));
                    prop_assert_eq!(slab.remove_at(id.slot()).map(|r| r.value), Some(value));
                    dead.push(id);
                }
            }
            Op::Touch(_) | Op::Remove(_) => {}
        }
        prop_assert_eq!((slab.len(), list.len(), index.len()), (model.len(), model.len(), model.len()));
        prop_assert!(list.iter(&slab).eq(model.iter().map(|(id, _)| id.slot())));
        prop_assert!(dead.iter().all(|id| slab.get(*id).is_none()));
        let mut count: BTreeMap<u64, usize> = BTreeMap::new();
        for (id, value) in &model {
            prop_assert_eq!(slab.get(*id).map(|r| r.value), Some(*value));
            *count.entry(*value).or_default() += 1;
        }
        for value in 0..40 {
            let mut found = 0;
            let none = index.find(&slab, hash(value), |r| {
                found += usize::from(r.value == value);
                false
            });
            prop_assert_eq!((none, found), (None, count.get(&value).copied().unwrap_or(0)));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn inline_tables_agree_with_a_queue(ops in ops()) {
        against_model::<Fixed<24>>(24, ops)?;
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn heap_tables_agree_with_a_queue(ops in ops()) {
        against_model::<super::Heap>(200, ops)?;
    }
}

#[cfg(feature = "alloc")]
#[test]
fn heap_tables_start_empty_and_hold_what_they_say() {
    let mut slab: Slab<[u64; 3], super::Heap> = Slab::new(10_000);
    assert_eq!(slab.heap_bytes(), 0);
    for i in 0..10_000 {
        let promised = slab.heap_bytes() + slab.growth_bytes();
        slab.insert([i; 3]).unwrap();
        assert_eq!(slab.heap_bytes(), promised);
    }
    assert!(slab.insert([0; 3]).is_err());
    let ideal = 10_000 * Slab::<[u64; 3], super::Heap>::SLOT_BYTES;
    assert!(slab.heap_bytes() >= ideal && slab.heap_bytes() < ideal + ideal / 20, "{} {ideal}", slab.heap_bytes());
}

#[cfg(feature = "alloc")]
#[test]
fn a_heap_table_with_a_few_entries_is_small() {
    let mut slab: Slab<[u64; 3], super::Heap> = Slab::new(10_000);
    for i in 1..60 {
        slab.insert([i; 3]).unwrap();
        let rows = usize::try_from(i).unwrap() * Slab::<[u64; 3], super::Heap>::SLOT_BYTES;
        assert!(slab.heap_bytes() <= 128 + rows + rows / 2, "{i} {}", slab.heap_bytes());
    }
}

#[test]
fn ids_survive_a_round_trip_and_junk_finds_nothing() {
    let mut slab: Slab<u8, Fixed<4>> = Slab::new(4);
    let id = slab.insert(7).unwrap();
    assert_eq!(slab.get(SlotId::from_bits(id.to_bits())), Some(&7));
    for bits in [1, u64::MAX, 1 << 32, u64::from(u32::MAX)] {
        assert_eq!(slab.get(SlotId::from_bits(bits)), None);
    }
    slab.remove(id);
    let again = slab.insert(8).unwrap();
    assert_eq!((again.slot(), slab.get(id)), (id.slot(), None));
}
