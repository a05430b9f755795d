//! A small machine whose state survives, to try stores with.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::driver::{Answer, Requests};
use crate::limits::{MAX_STORE_KEY, MAX_STORE_VALUE};
use crate::time::Now;
use crate::{Datagrams, Durable, Machine, Path, Reject, StoreError, StoreOp, StoreSeq, Transmit, Wants};

/// First byte of an answer to a change that is kept.
const KEPT: u8 = b'+';
/// First byte of an answer to a change that is not known to be.
const REFUSED: u8 = b'!';

/// Keeps what it is told, and answers once that is on the medium.
///
/// The datagram `key=value` is to keep a value, `key` to keep nothing under a key, `?` to answer at once. The answer is the same text behind
/// a `+` when it is kept, a `!` when that failed. [`change`](Self::change) does the same for the application, whose answer is a reply.
#[derive(Debug)]
pub struct Keeper {
    /// What is on the medium, as far as is known.
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
    /// On its way there, oldest first; so many of them were given out.
    waiting: VecDeque<Change>,
    given: usize,
    next: StoreSeq,
    cap: usize,
    queue: VecDeque<(Path, Vec<u8>)>,
    replies: VecDeque<Answer<u64, Result<(), StoreError>>>,
}

/// A change that waits for the medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub seq: StoreSeq,
    /// What it concerns.
    pub key: Vec<u8>,
    /// What is to be kept there.
    pub value: Option<Vec<u8>>,
    /// Who is to be told; `None` is the application.
    from: Option<Path>,
}

impl Keeper {
    /// With room for `cap` changes that wait, and what a store holds.
    pub fn new(cap: usize, kept: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        Self {
            kept: kept.into_iter().collect(),
            waiting: VecDeque::new(),
            given: 0,
            next: StoreSeq(1),
            cap,
            queue: VecDeque::new(),
            replies: VecDeque::new(),
        }
    }

    /// What is kept under a key, as far as that is known to be on the medium.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.kept.get(key).map(Vec::as_slice)
    }

    /// Everything that is kept, as far as that is known to be on the medium.
    #[must_use]
    pub const fn kept(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.kept
    }

    /// Keep a value, or nothing, under a key; which request that is.
    ///
    /// # Errors
    /// [`Reject::Busy`] when too many changes wait, [`Reject::TooLong`] when it is too large.
    pub fn change(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<u64, Reject> {
        self.enqueue(key, value, None).map(|seq| seq.0)
    }

    fn enqueue(&mut self, key: &[u8], value: Option<&[u8]>, from: Option<Path>) -> Result<StoreSeq, Reject> {
        if self.waiting.len() + self.queue.len() + self.replies.len() >= self.cap {
            return Err(Reject::Busy);
        }
        if key.len() > MAX_STORE_KEY || value.is_some_and(|value| value.len() > MAX_STORE_VALUE) {
            return Err(Reject::TooLong);
        }
        let seq = self.next;
        self.next = seq.next();
        let (key, value) = (key.to_vec(), value.map(<[u8]>::to_vec));
        self.waiting.push_back(Change { seq, key, value, from });
        Ok(seq)
    }

    fn answer(&mut self, change: Change, result: Result<(), StoreError>) {
        let Change { seq, key, value, from } = change;
        match from {
            Some(path) => {
                let mut text = alloc::vec![if result.is_ok() { KEPT } else { REFUSED }];
                text.extend_from_slice(&key);
                if let Some(value) = &value {
                    text.push(b'=');
                    text.extend_from_slice(value);
                }
                self.queue.push_back((path, text));
            }
            None => self.replies.push_back(Answer { id: seq.0, reply: result, last: true }),
        }
        if result.is_ok() {
            match value {
                Some(value) => drop(self.kept.insert(key, value)),
                None => drop(self.kept.remove(&key)),
            }
        }
    }
}

impl Machine for Keeper {
    type Event<'a> = ();

    fn handle_timeout(&mut self, _: Now) {}

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        Wants {
            events: !self.replies.is_empty(),
            output: !self.queue.is_empty(),
            store: self.given < self.waiting.len(),
            orders: false,
            at: None,
        }
    }
}

impl Durable for Keeper {
    fn poll_store(&mut self) -> Option<StoreOp<'_>> {
        let change = self.waiting.get(self.given)?;
        self.given += 1;
        match &change.value {
            Some(value) => StoreOp::put(change.seq, &change.key, value).ok(),
            None => StoreOp::remove(change.seq, &change.key).ok(),
        }
    }

    fn handle_stored(&mut self, _: Now, upto: StoreSeq, result: Result<(), StoreError>) {
        while let Some(change) = self.waiting.pop_front_if(|change| change.seq <= upto) {
            self.given = self.given.saturating_sub(1);
            self.answer(change, result);
        }
    }
}

impl Datagrams for Keeper {
    fn handle_datagram(&mut self, _: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        if bytes == b"?" {
            self.queue.push_back((path, b"+?".to_vec()));
            return Ok(());
        }
        let mut parts = bytes.splitn(2, |byte| *byte == b'=');
        let key = parts.next().unwrap_or_default().to_vec();
        let value = parts.next().map(<[u8]>::to_vec);
        self.enqueue(&key, value.as_deref(), Some(path)).map(drop)
    }

    fn poll_transmit(&mut self, _: Now, out: &mut [u8]) -> Option<Transmit> {
        let (_, bytes) = self.queue.front()?;
        out.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let (path, bytes) = self.queue.pop_front()?;
        Some(Transmit { path, len: bytes.len() })
    }
}

impl Requests for Keeper {
    type Id = u64;
    type Reply = Result<(), StoreError>;
    type Notice = ();

    fn poll_reply(&mut self) -> Option<Answer<u64, Self::Reply>> {
        self.replies.pop_front()
    }

    fn poll_notice(&mut self) -> Option<()> {
        None
    }

    fn cancel(&mut self, _: u64) {}

    fn ended(_: u64) -> Self::Reply {
        Err(StoreError::Failed)
    }
}
