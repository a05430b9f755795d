//! The sockets on which agents are there: what waits to be written to each.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;

use sluis_core::table::{Heap, Slab, SlotId};

use super::ChannelId;
use super::frame::{Item, Note, What};
use crate::access::{Caller, Credential};

/// Bytes of events that may wait in a socket; one that is longer passes when nothing else waits.
const OUT_BYTES: usize = 65_536;

/// Answers that may wait in a socket before no more is to be read from it.
const OUT_TEXTS: usize = 256;

/// Most frames that a socket may ask for at once.
pub const MAX_CREDIT: u32 = 4096;

/// Names a socket (or any other place where an agent listens).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(SlotId);

/// How a socket wants its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// At most this many frames that were not acknowledged.
    pub credit: Option<u32>,
    /// It checks tags: it is given the keys, and payloads as the text that was hashed.
    pub mac: bool,
}

#[derive(Debug)]
enum Out {
    Answer(String),
    Item(Item),
}

/// Frames that were handed out under credit and not acknowledged.
#[derive(Debug)]
struct Credit {
    most: usize,
    unacknowledged: VecDeque<Item>,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) agent: u32,
    pub(super) name: Arc<str>,
    pub(super) credential: Option<Arc<Credential>>,
    pub(super) mac: bool,
    /// No more is to be read from it or written to it.
    pub(super) ended: bool,
    out: VecDeque<Out>,
    /// Bytes of events in `out`, and of what is not acknowledged.
    held: usize,
    /// Frames in `out`.
    frames: usize,
    credit: Option<Credit>,
    /// It is among those that are ready: once, whether they are asked for or not.
    ready: bool,
}

impl Socket {
    pub(super) fn new(agent: u32, name: Arc<str>, credential: Option<Arc<Credential>>, options: SocketOptions) -> Self {
        let most = options.credit.map(|most| most.clamp(1, MAX_CREDIT) as usize);
        Self {
            agent,
            name,
            credential,
            mac: options.mac,
            ended: false,
            out: VecDeque::new(),
            held: 0,
            frames: 0,
            credit: most.map(|most| Credit { most, unacknowledged: VecDeque::new() }),
            ready: false,
        }
    }

    /// Whether an item of this size has room.
    pub(super) fn takes(&self, size: usize, frame: bool) -> bool {
        let credit = self.credit.as_ref();
        let in_credit = credit.is_none_or(|credit| credit.unacknowledged.len() + self.frames < credit.most);
        !self.ended && (self.held == 0 || self.held + size <= OUT_BYTES) && (!frame || in_credit)
    }

    /// Whether more may be read from it.
    fn is_quiet(&self) -> bool {
        !self.ended && self.out.len() < OUT_TEXTS
    }

    /// Events that were not written, and those that were not acknowledged, oldest first.
    pub(super) fn undelivered(self) -> impl Iterator<Item = Item> {
        let unacknowledged = self.credit.map(|credit| credit.unacknowledged).unwrap_or_default();
        let unwritten = self.out.into_iter().filter_map(|out| match out {
            Out::Answer(_) => None,
            Out::Item(item) => Some(item),
        });
        unacknowledged.into_iter().chain(unwritten)
    }

    /// Frames of a channel up to this one were taken; whether there were any.
    fn acknowledge(&mut self, channel: ChannelId, upto: u64, notes: &mut VecDeque<Note>) -> bool {
        let Some(credit) = &mut self.credit else { return false };
        let (before, mut freed) = (credit.unacknowledged.len(), 0);
        credit.unacknowledged.retain(|item| {
            let taken = matches!(&item.what, What::Frame { channel: c, seq, .. } if *c == channel && *seq <= upto);
            if taken {
                freed += item.size();
                notes.extend(item.note());
            }
            !taken
        });
        self.held -= freed;
        credit.unacknowledged.len() < before
    }
}

/// Every socket.
#[derive(Debug)]
pub(super) struct Sockets {
    slab: Slab<Socket, Heap>,
    /// Those with something to write that has not been asked for yet.
    ready: VecDeque<SocketId>,
    /// Frames that were taken, where their senders want to know.
    pub(super) notes: VecDeque<Note>,
}

impl Sockets {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slab: Slab::new(capacity), ready: VecDeque::new(), notes: VecDeque::new() }
    }

    pub(super) fn insert(&mut self, socket: Socket) -> Option<SocketId> {
        self.slab.insert(socket).ok().map(SocketId)
    }

    pub(super) fn remove(&mut self, id: SocketId) -> Option<Socket> {
        let socket = self.slab.remove(id.0)?;
        if socket.ready {
            self.ready.retain(|other| *other != id);
        }
        Some(socket)
    }

    pub(super) fn get(&self, id: SocketId) -> Option<&Socket> {
        self.slab.get(id.0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketId, &Socket)> {
        self.slab.iter().map(|(id, socket)| (SocketId(id), socket))
    }

    pub(super) fn is_quiet(&self, id: SocketId) -> bool {
        self.get(id).is_some_and(Socket::is_quiet)
    }

    fn push(&mut self, id: SocketId, out: Out) {
        let Some(socket) = self.slab.get_mut(id.0) else { return };
        socket.out.push_back(out);
        self.wake(id);
    }

    fn wake(&mut self, id: SocketId) {
        let Some(socket) = self.slab.get_mut(id.0) else { return };
        if !core::mem::replace(&mut socket.ready, true) {
            self.ready.push_back(id);
        }
    }

    pub(super) fn answer(&mut self, id: SocketId, text: String) {
        self.push(id, Out::Answer(text));
    }

    pub(super) fn give(&mut self, id: SocketId, item: Item) {
        let Some(socket) = self.slab.get_mut(id.0) else { return };
        socket.held += item.size();
        socket.frames += usize::from(item.is_frame());
        self.push(id, Out::Item(item));
    }

    pub(super) fn acknowledge(&mut self, id: SocketId, channel: ChannelId, upto: u64) -> bool {
        self.slab.get_mut(id.0).is_some_and(|socket| socket.acknowledge(channel, upto, &mut self.notes))
    }

    /// End a socket: what waits in it is not written any more.
    pub(super) fn end(&mut self, id: SocketId) {
        if let Some(socket) = self.slab.get_mut(id.0) {
            socket.ended = true;
        }
        self.wake(id);
    }

    /// The next text to write.
    pub(super) fn next_text(&mut self, id: SocketId) -> Option<String> {
        let socket = self.slab.get_mut(id.0)?;
        if socket.ended {
            return None;
        }
        let mut item = match socket.out.pop_front()? {
            Out::Answer(text) => return Some(text),
            Out::Item(item) => item,
        };
        let text = item.render(socket.mac, false);
        socket.frames -= usize::from(item.is_frame());
        match &mut socket.credit {
            Some(credit) if item.is_frame() => {
                item.read = true;
                credit.unacknowledged.push_back(item);
            }
            _ => {
                socket.held -= item.size();
                self.notes.extend(item.note());
            }
        }
        Some(text)
    }

    /// A socket that has something to write, or has ended.
    pub(super) fn next_ready(&mut self) -> Option<SocketId> {
        while let Some(id) = self.ready.pop_front() {
            if let Some(socket) = self.slab.get_mut(id.0) {
                socket.ready = false;
                return Some(id);
            }
        }
        None
    }
}

impl super::Switchboard {
    /// Whose socket it is, and whether it checks tags; `None` for one that has ended.
    pub(crate) fn who(&self, id: SocketId) -> Option<(Caller, Arc<str>, bool)> {
        let socket = self.sockets.get(id).filter(|socket| !socket.ended)?;
        let caller = socket.credential.as_ref().map_or(Caller::Anyone, |entry| Caller::Agent(Arc::clone(entry)));
        Some((caller, Arc::clone(&socket.name), socket.mac))
    }

    /// Let a socket have an answer.
    pub(crate) fn answer(&mut self, id: SocketId, text: String) {
        self.sockets.answer(id, text);
    }
}
