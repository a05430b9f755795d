//! Queues of bytes that borrow their memory, block by block, from one store: a queue that is empty holds none, and in steady state
//! nothing is allocated.

use alloc::vec::Vec;

/// Bytes of a block.
pub(super) const BLOCK: usize = 4096;

/// Blocks that are kept for the next use.
const SPARE: usize = 64;

/// No block.
const NONE: u32 = u32::MAX;

/// Bytes are appended to a block until it has [`BLOCK`] of them, for which it has room from the start; one without room is cold.
#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    next: u32,
}

/// The memory of one connection's queues.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    /// Free blocks that still have their memory ...
    warm: u32,
    spare: usize,
    /// ... and those that have none.
    cold: u32,
    used: usize,
}

impl Blocks {
    pub(super) const fn new() -> Self {
        Self { blocks: Vec::new(), warm: NONE, spare: 0, cold: NONE, used: 0 }
    }

    /// Bytes of the blocks that queues hold.
    pub(super) const fn held(&self) -> usize {
        self.used * BLOCK
    }

    /// Give memory back that nobody has needed for a while.
    pub(super) fn trim(&mut self) {
        if self.used == 0 {
            *self = Self::new();
        }
    }

    fn get(&self, at: u32) -> Option<&Block> {
        self.blocks.get(at as usize)
    }

    fn get_mut(&mut self, at: u32) -> Option<&mut Block> {
        self.blocks.get_mut(at as usize)
    }

    fn take(&mut self) -> u32 {
        self.used += 1;
        let from = if self.warm == NONE { self.cold } else { self.warm };
        let Some(block) = self.blocks.get_mut(from as usize) else {
            let at = u32::try_from(self.blocks.len()).unwrap_or(NONE);
            if self.blocks.len() < 4 {
                // An idle connection has one or two.
                self.blocks.reserve_exact(1);
            }
            self.blocks.push(Block { bytes: Vec::with_capacity(BLOCK), next: NONE });
            return at;
        };
        let next = core::mem::replace(&mut block.next, NONE);
        if self.warm == NONE {
            block.bytes = Vec::with_capacity(BLOCK);
            self.cold = next;
        } else {
            self.warm = next;
            self.spare -= 1;
        }
        from
    }

    /// Take a block back; the one behind it.
    fn give(&mut self, at: u32) -> u32 {
        let (warm, cold, keep) = (self.warm, self.cold, self.spare < SPARE);
        let Some(block) = self.get_mut(at) else { return NONE };
        let behind = core::mem::replace(&mut block.next, if keep { warm } else { cold });
        if keep {
            block.bytes.clear();
            self.warm = at;
            self.spare += 1;
        } else {
            block.bytes = Vec::new();
            self.cold = at;
        }
        self.used -= 1;
        behind
    }

    fn bytes(&self, at: u32) -> &[u8] {
        self.get(at).map_or(&[], |block| &block.bytes)
    }

    /// Append to a block as much as it has room for: how much that is.
    fn fill(&mut self, at: u32, bytes: &[u8]) -> usize {
        let Some(block) = self.get_mut(at) else { return 0 };
        let some = bytes.get(..BLOCK.saturating_sub(block.bytes.len())).unwrap_or(bytes);
        block.bytes.extend_from_slice(some);
        some.len()
    }
}

/// One queue. It must be [cleared](Self::clear) before it is dropped, or its blocks stay in use.
#[derive(Debug)]
pub(super) struct Queue {
    head: u32,
    tail: u32,
    /// Where the bytes begin in the first block. They end where those of the last block do.
    start: u16,
    len: u32,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { head: NONE, tail: NONE, start: 0, len: 0 }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Append bytes.
    pub(super) fn push(&mut self, blocks: &mut Blocks, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = blocks.fill(self.tail, bytes);
            // Not more than a block.
            self.len += u32::try_from(taken).unwrap_or_default();
            bytes = bytes.get(taken..).unwrap_or_default();
            if !bytes.is_empty() {
                self.append_block(blocks);
            }
        }
    }

    fn append_block(&mut self, blocks: &mut Blocks) {
        let fresh = blocks.take();
        match blocks.get_mut(self.tail) {
            Some(tail) => tail.next = fresh,
            None => (self.head, self.start) = (fresh, 0),
        }
        self.tail = fresh;
    }

    /// The first bytes: all that lie together.
    pub(super) fn front<'b>(&self, blocks: &'b Blocks) -> &'b [u8] {
        blocks.bytes(self.head).get(usize::from(self.start)..).unwrap_or_default()
    }

    /// Forget the first bytes.
    pub(super) fn advance(&mut self, blocks: &mut Blocks, count: u32) {
        let mut count = count.min(self.len);
        self.len -= count;
        while self.head != NONE {
            let here = u32::try_from(self.front(blocks).len()).unwrap_or_default();
            if count < here {
                self.start += u16::try_from(count).unwrap_or_default();
                return;
            }
            count -= here;
            let last = self.head == self.tail;
            (self.head, self.start) = (blocks.give(self.head), 0);
            if last {
                *self = Self::new();
                return;
            }
        }
    }

    /// Forget what is behind the first `keep` bytes.
    pub(super) fn truncate(&mut self, blocks: &mut Blocks, keep: u32) {
        if keep == 0 {
            return self.clear(blocks);
        }
        let (mut rest, mut at) = (keep.min(self.len), self.head);
        self.len = rest;
        let mut start = usize::from(self.start);
        while rest as usize > BLOCK - start {
            rest -= u32::try_from(BLOCK - start).unwrap_or_default();
            start = 0;
            let Some(block) = blocks.get(at) else { return };
            at = block.next;
        }
        let Some(block) = blocks.get_mut(at) else { return };
        block.bytes.truncate(start + rest as usize);
        let mut behind = core::mem::replace(&mut block.next, NONE);
        self.tail = at;
        while behind != NONE {
            behind = blocks.give(behind);
        }
    }

    /// Forget everything.
    pub(super) fn clear(&mut self, blocks: &mut Blocks) {
        self.advance(blocks, self.len);
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Blocks, Queue, SPARE};
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn all(queue: &Queue, blocks: &mut Blocks) -> Vec<u8> {
        let mut copy = Queue { ..*queue };
        let (mut out, mut left) = (Vec::new(), copy.len());
        while left > 0 {
            let front = copy.front(blocks).to_vec();
            let next = blocks.get(copy.head).unwrap().next;
            left -= u32::try_from(front.len()).unwrap();
            out.extend(front);
            (copy.head, copy.start) = (next, 0);
        }
        out
    }

    proptest! {
        #[test]
        fn queues_are_what_a_deque_is(ops in prop::collection::vec((0..4u8, 0..3usize, 0..10_000usize), 1..60)) {
            let mut blocks = Blocks::new();
            let mut queues = [Queue::new(), Queue::new(), Queue::new()];
            let mut models = [VecDeque::new(), VecDeque::new(), VecDeque::new()];
            for (n, (op, which, count)) in ops.into_iter().enumerate() {
                let (queue, model) = (&mut queues[which], &mut models[which]);
                match op {
                    0 | 1 => {
                        let bytes: Vec<u8> = (0..count).map(|i| u8::try_from((i * 7 + n) % 251).unwrap()).collect();
                        queue.push(&mut blocks, &bytes);
                        model.extend(bytes);
                    }
                    2 => {
                        queue.advance(&mut blocks, u32::try_from(count).unwrap());
                        model.drain(..count.min(model.len()));
                    }
                    _ => {
                        queue.truncate(&mut blocks, u32::try_from(count).unwrap());
                        model.truncate(count);
                    }
                }
                prop_assert_eq!(queue.len() as usize, model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                prop_assert_eq!(all(queue, &mut blocks), model.iter().copied().collect::<Vec<u8>>());
            }
            let held: usize = models.iter().map(VecDeque::len).sum();
            prop_assert!(blocks.held() <= held + 3 * 2 * BLOCK, "{} for {held}", blocks.held());
            queues.iter_mut().for_each(|queue| queue.clear(&mut blocks));
            prop_assert_eq!(blocks.held(), 0);
            prop_assert!(blocks.spare <= SPARE);
            blocks.trim();
            prop_assert!(blocks.blocks.is_empty());
        }
    }
}
