//! Entries in the order of their keys, in one piece of memory that is kept while they come and go.

use alloc::collections::VecDeque;

/// Entries for which memory is kept in any case.
const KEPT: usize = 16;

/// A map for keys that mostly come in order and go from the front, such as numbers of messages: unlike a tree it asks for no memory with each.
#[derive(Clone, Debug)]
pub(crate) struct Row<K, V>(VecDeque<(K, V)>);

impl<K, V> Default for Row<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Row<K, V> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Give back memory that is not needed for what there is.
    pub(crate) fn rest(&mut self) {
        self.0.shrink_to(KEPT);
    }

    pub(crate) fn first(&self) -> Option<&K> {
        self.0.front().map(|(key, _)| key)
    }

    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        self.0.pop_front()
    }

    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }
}

impl<K: Ord + Copy, V> Row<K, V> {
    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(key))
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Put a value in the place of the one that a key had.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known = value;
                }
            }
            // Most come last.
            Err(at) if at == self.0.len() => self.0.push_back((key, value)),
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.place(key).ok()?;
        self.0.remove(at).map(|(_, value)| value)
    }

    /// The first key that is no lower than this.
    pub(crate) fn first_from(&self, key: &K) -> Option<&K> {
        let at = self.place(key).unwrap_or_else(|at| at);
        self.0.get(at).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_a_map_does(steps in proptest::collection::vec((0..4_u8, 0..20_u64, any::<u8>()), 0..200)) {
            let (mut row, mut map) = (Row::new(), BTreeMap::new());
            for (what, key, value) in steps {
                match what {
                    0 | 1 => {
                        row.insert(key, value);
                        map.insert(key, value);
                    }
                    2 => prop_assert_eq!(row.remove(&key), map.remove(&key)),
                    _ => prop_assert_eq!(row.pop_first(), map.pop_first()),
                }
                prop_assert!(row.iter().eq(map.iter()) && row.keys().eq(map.keys()) && row.values().eq(map.values()));
                prop_assert_eq!(row.first_from(&key), map.range(key..).next().map(|(key, _)| key));
                prop_assert_eq!((row.len(), row.is_empty(), row.first()), (map.len(), map.is_empty(), map.keys().next()));
                prop_assert_eq!((row.contains_key(&key), row.get_mut(&key).copied()), (map.contains_key(&key), map.get(&key).copied()));
                prop_assert!(row.iter_mut().map(|(key, value)| (*key, *value)).collect::<Vec<_>>().into_iter().eq(map.iter().map(|(key, value)| (*key, *value))));
            }
        }
    }
}
