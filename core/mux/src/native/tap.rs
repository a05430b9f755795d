//! Looking at what passes on a channel between two agents, for whoever runs the hub: how many messages, how it ends, what is signed for.
//!
//! A tap changes nothing and decides nothing: the two ends find out by themselves what is wrong. It holds no messages, only the bodies of
//! records that open, sign and close. What it cannot make sense of it does not look at any more.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use sha2::{Digest as _, Sha256};
use sluis_core::identity::{PublicKey, Signature};

use crate::channel::record::{HEAD, MAX_CONTROL};
use crate::channel::{ChannelId, MAX_MESSAGE, Opening, Resume, cut, read_accept};
use crate::news::{News, Statement, Via};
use crate::proof::{ACCEPT, BYTES, CLOSE, Direction, JSON, OPEN, REFUSE, RESUME, Running, SIGN, TAG_LEN};

/// What passes one way.
#[derive(Debug, Default)]
struct Way {
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the body that have not come.
    left: usize,
    /// Bytes of it that are a tag, and of a message without that.
    tag: usize,
    length: usize,
    /// The body, of a record that is kept; the hash of it, of a message.
    body: Vec<u8>,
    hash: Option<Sha256>,
    /// Messages that passed, the end included, and of those that are to come how many have passed before.
    count: u64,
    again: u64,
    /// Of these, those that passed before it was looked at.
    base: u64,
    bytes: u64,
    running: Option<Running>,
    start: [u8; 32],
    key: Option<PublicKey>,
    /// The reason for the end, and whether that was signed for.
    reason: Option<Box<str>>,
    signed_end: bool,
    /// How many messages were signed for.
    signed: u64,
}

/// One channel.
#[derive(Debug)]
pub(super) struct Tap {
    opening: Opening,
    open: Vec<u8>,
    backend: Box<str>,
    /// Signatures are looked for.
    witnesses: bool,
    tells: bool,
    ways: [Way; 2],
    is_open: bool,
    is_proven: bool,
    is_refused: bool,
    /// Which way ended first.
    first_end: Option<usize>,
    /// What passes on these streams makes no sense.
    blind: bool,
    /// It goes on, once the target says so, too: how many messages its opener says to have.
    resumes: Option<u64>,
    news: VecDeque<News>,
}

impl Tap {
    /// For a channel that is opened, by the body of its OPEN, which was read; `key`: that of its opener, where it has signed.
    pub(super) fn new(
        mut opening: Opening,
        open: &[u8],
        key: Option<PublicKey>,
        backend: Box<str>,
        (tells, witnesses): (bool, bool),
    ) -> Self {
        // It is told to nobody, and is long.
        opening.metadata = Box::default();
        let mut ways: [Way; 2] = Default::default();
        ways[0].key = key;
        Self {
            opening,
            open: open.to_vec(),
            backend,
            witnesses,
            tells,
            ways,
            is_open: false,
            is_proven: false,
            is_refused: false,
            first_end: None,
            blind: false,
            resumes: None,
            news: VecDeque::new(),
        }
    }

    /// For a channel that goes on here and was opened at another hub, before this one was started say: what it can be told of begins now.
    /// Nothing can be said of its signatures, which are for what passed there, too.
    pub(super) fn elsewhere(resume: &Resume, is_proven: bool, backend: Box<str>, what: (bool, bool)) -> Self {
        let opening = Opening {
            channel: resume.channel,
            agent: resume.agent.clone(),
            target: resume.target.clone(),
            intent: resume.intent.clone(),
            metadata: Box::default(),
        };
        Self { is_proven, ..Self::new(opening, b"", None, backend, what) }
    }

    /// Who has opened the channel, and its name.
    pub(super) fn named(&self) -> (Box<str>, ChannelId) {
        (self.opening.agent.clone(), self.opening.channel)
    }

    fn id(&self) -> Box<str> {
        self.opening.channel.to_string().into()
    }

    /// Whether it goes on like this: it was open, and leads there.
    pub(super) fn is_resumed_by(&self, resume: &Resume) -> bool {
        self.is_open && self.opening.target == resume.target && self.opening.intent == resume.intent
    }

    /// Its opener wants to go on, on new streams, and has so many messages.
    pub(super) fn go_on(&mut self, received: u64) {
        for way in &mut self.ways {
            (way.have, way.left, way.hash) = (0, 0, None);
            way.body = Vec::new();
        }
        (self.blind, self.resumes) = (false, Some(received));
    }

    /// What is to be told.
    pub(super) fn poll(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Both ends have sent their last message, and signed for it where they do; or it was never opened.
    pub(super) fn is_over(&self) -> bool {
        let is_checked = |way: &Way| self.is_proven && self.witnesses && way.running.is_some();
        let ended = |way: &Way| way.reason.is_some() && (way.signed_end || !is_checked(way));
        self.is_refused || !self.is_open || self.ways.iter().all(ended)
    }

    /// It may be signed for once more.
    pub(super) fn may_be_signed(&self) -> bool {
        self.is_proven && self.witnesses && self.ways.iter().any(|way| way.running.is_some() && !way.signed_end)
    }

    /// No more of it passes: what is to be told then.
    pub(super) fn closed(&self) -> Option<News> {
        let reason = self.first_end.and_then(|way| self.ways.get(way)).and_then(|way| way.reason.clone());
        let ways = || self.ways.iter();
        let ends = ways().filter(|way| way.reason.is_some()).count() as u64;
        (self.is_open && self.tells).then(|| News::Closed {
            channel: self.id(),
            reason: reason.unwrap_or_else(|| "native_disconnect".into()),
            frames: ways().map(|way| way.count - way.base).sum::<u64>() - ends,
            bytes: ways().map(|way| way.bytes).sum(),
        })
    }

    /// Look at what passes from one side (0: that of the opener).
    pub(super) fn look(&mut self, side: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.blind {
            let Some(way) = self.ways.get_mut(side) else { return };
            if way.have < HEAD {
                let some = bytes.iter().take(HEAD - way.have);
                let used = some.len();
                way.head.iter_mut().skip(way.have).zip(some).for_each(|(to, from)| *to = *from);
                way.have += used;
                bytes = bytes.get(used..).unwrap_or_default();
                if way.have < HEAD {
                    return;
                }
                let tag = if self.is_proven { TAG_LEN } else { 0 };
                if !way.begin(tag, self.witnesses) {
                    self.blind = true;
                    return;
                }
            }
            let (some, rest) = bytes.split_at(way.left.min(bytes.len()));
            way.take(some);
            bytes = rest;
            if way.left == 0 {
                way.have = 0;
                self.whole(side);
            }
        }
    }

    /// A record has passed.
    fn whole(&mut self, side: usize) {
        let Some(way) = self.ways.get_mut(side) else { return };
        let (kind, body) = (way.head[0], mem::take(&mut way.body));
        if let Some(received) = self.resumes {
            // Nothing else stands before the target's answer: what does is for nobody. A refusal leaves all as it was.
            match kind {
                RESUME if side == 1 => self.resumed(received, &body),
                _ => self.blind = true,
            }
            return;
        }
        match kind {
            ACCEPT if side == 1 && !self.is_open => self.accepted(&body),
            REFUSE if side == 1 && !self.is_open => self.is_refused = true,
            JSON | BYTES | CLOSE => {
                if let Some(again) = way.again.checked_sub(1) {
                    way.again = again;
                    return;
                }
                way.count += 1;
                way.bytes += way.length as u64;
                if let (Some(running), Some(hash)) = (&mut way.running, way.hash.take()) {
                    running.end(hash);
                }
                if kind == CLOSE {
                    let tag = if self.is_proven { TAG_LEN } else { 0 };
                    let reason = body.get(tag..).map(alloc::string::String::from_utf8_lossy).unwrap_or_default();
                    way.reason = Some(cut(&reason).into());
                    self.first_end.get_or_insert(side);
                }
            }
            SIGN => self.signed(side, &body),
            _ => {}
        }
    }

    fn accepted(&mut self, accept: &[u8]) {
        let open = mem::take(&mut self.open);
        self.is_open = true;
        // One whose signature does not hold is no channel for its opener either.
        let Ok(signed) = read_accept(&open, accept) else {
            self.is_refused = true;
            return;
        };
        let [out, back] = &mut self.ways;
        back.key = signed.map(|signed| signed.key);
        self.is_proven = out.key.is_some() && back.key.is_some();
        if self.is_proven && self.witnesses {
            for (way, direction) in [(out, Direction::Out), (back, Direction::Back)] {
                let running = Running::new(direction, &open, accept);
                way.start = *running.hash();
                way.running = Some(running);
            }
        }
        self.tell_opened();
    }

    fn tell_opened(&mut self) {
        if self.tells {
            self.news.push_back(News::Opened {
                channel: self.id(),
                agent: Arc::from(&*self.opening.agent),
                target: Arc::from(&*self.opening.target),
                intent: self.opening.intent.clone(),
                backend: self.backend.clone(),
                via: Via::Native,
                proven: self.is_proven,
            });
        }
    }

    /// The target goes on, too: both have said how many messages of the other's they have, and those behind come again, or for the
    /// first time. Where that cannot be, the opener finds out, and nothing of these streams counts.
    fn resumed(&mut self, received: u64, body: &[u8]) {
        let answer = Resume::parts(body).and_then(|(_, text)| Resume::read(text)).ok();
        let [out, back] = &mut self.ways;
        if let (false, Some(answer)) = (self.is_open, &answer) {
            // Both say how much passed elsewhere.
            (out.count, out.base) = (answer.received, answer.received);
            (back.count, back.base) = (received, received);
            self.is_open = true;
            self.tell_opened();
        }
        let [out, back] = &mut self.ways;
        let again =
            answer.and_then(|answer| out.count.checked_sub(answer.received)).zip(back.count.checked_sub(received));
        self.resumes = None;
        match again {
            Some(again) => (out.again, back.again) = again,
            None => self.blind = true,
        }
    }

    fn signed(&mut self, side: usize, body: &[u8]) {
        let Some(way) = self.ways.get_mut(side) else { return };
        let signature = body.split_first_chunk::<8>().and_then(|(_, rest)| Signature::try_from(rest).ok());
        let (Some(running), Some(key), Some(signature)) = (&way.running, way.key, signature) else { return };
        // One that comes again stands behind a message that came again.
        if way.again > 0 || running.count() <= way.signed {
            return;
        }
        let statement = Statement {
            channel: self.opening.channel.to_string().into(),
            agent: Arc::from(&*self.opening.agent),
            target: Arc::from(&*self.opening.target),
            intent: self.opening.intent.clone(),
            way: if side == 0 { Direction::Out } else { Direction::Back },
            key,
            count: running.count(),
            start: way.start,
            hash: *running.hash(),
            signature,
        };
        if statement.verify() {
            way.signed = statement.count;
            way.signed_end = way.reason.is_some();
            self.news.push_back(News::Signed(Box::new(statement)));
        }
    }
}

impl Way {
    /// The head of a record is whole; `false` where it is none.
    fn begin(&mut self, tag: usize, hashes: bool) -> bool {
        let [kind, a, b, c] = self.head;
        self.left = u32::from_be_bytes([0, a, b, c]) as usize;
        self.tag = 0;
        self.hash = None;
        if matches!(kind, JSON | BYTES | CLOSE) {
            self.tag = tag;
            if hashes && self.again == 0 {
                self.hash = self.running.as_ref().map(|running| running.begin(kind));
            }
            self.length = if kind == CLOSE { 0 } else { self.left.saturating_sub(tag) };
        }
        let most = if matches!(kind, JSON | BYTES) { MAX_MESSAGE + TAG_LEN } else { MAX_CONTROL };
        self.left <= most && self.left >= self.tag && kind != OPEN
    }

    /// Some of its body.
    fn take(&mut self, some: &[u8]) {
        self.left -= some.len();
        let [kind, ..] = self.head;
        if !matches!(kind, JSON | BYTES) {
            self.body.extend_from_slice(some);
        }
        let tag = self.tag.min(some.len());
        self.tag -= tag;
        if let (Some(hash), Some(some)) = (&mut self.hash, some.get(tag..)) {
            hash.update(some);
        }
    }
}
