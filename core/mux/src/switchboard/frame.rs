//! What is handed to an agent, and what is kept of it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use sluis_core::{Instant, Wall};

use super::ChannelId;
use crate::proof::{Direction, Tag};
use crate::write::Object;

/// Bytes that an item counts as besides its texts.
const ITEM_OVERHEAD: usize = 128;

/// Longest payload of a frame that is kept for `recent_frames`.
const KEPT_PAYLOAD: usize = 2048;

/// A frame of which its sender wants to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) channel: ChannelId,
    pub(super) way: Direction,
    pub(super) seq: u64,
}

/// Something that an agent is told.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its number among all that this agent is told.
    pub(super) number: u64,
    /// When it was accepted.
    pub(super) queued: Instant,
    /// Not to be handed on before.
    pub(super) due: Instant,
    /// Somebody has read it, without saying so yet.
    pub(super) read: bool,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// Somebody opened a channel to it.
    Incoming {
        channel: ChannelId,
        /// The event without its closing brace.
        event: Box<str>,
        /// The members for those who check tags.
        mac: Box<str>,
    },
    /// A frame.
    Frame {
        channel: ChannelId,
        from: Arc<str>,
        seq: u64,
        tag: Tag,
        body: Arc<str>,
        /// Which way it goes, where its sender wants to know when it was taken.
        noted: Option<Direction>,
    },
    /// The other side closed a channel.
    Closed { channel: ChannelId, reason: Box<str> },
    /// A frame that it sent was not fetched in time.
    Expired { channel: ChannelId, seq: u64 },
}

impl Item {
    /// How much of a queue it takes.
    pub(super) fn size(&self) -> usize {
        let text = match &self.what {
            What::Incoming { event, mac, .. } => event.len() + mac.len(),
            What::Frame { body, .. } => return frame_size(body.len()),
            What::Closed { reason, .. } => reason.len(),
            What::Expired { .. } => 0,
        };
        text + ITEM_OVERHEAD
    }

    /// The channel that it is about.
    pub(super) const fn channel(&self) -> ChannelId {
        match &self.what {
            What::Incoming { channel, .. }
            | What::Frame { channel, .. }
            | What::Closed { channel, .. }
            | What::Expired { channel, .. } => *channel,
        }
    }

    /// Whom to note as taken.
    pub(super) const fn note(&self) -> Option<Note> {
        match &self.what {
            What::Frame { channel, seq, noted: Some(way), .. } => {
                Some(Note { channel: *channel, way: *way, seq: *seq })
            }
            _ => None,
        }
    }

    pub(super) const fn is_frame(&self) -> bool {
        matches!(self.what, What::Frame { .. })
    }

    /// The event as an agent hears it; `mac` for one that checks tags, `numbered` for one that reads an inbox.
    pub(super) fn render(&self, mac: bool, numbered: bool) -> String {
        let mut event = match &self.what {
            What::Incoming { event, mac: key, .. } => {
                let key = if mac { &**key } else { "" };
                format!("{event}{key}}}")
            }
            What::Frame { channel, from, seq, tag, body, .. } => {
                let event = Object::event("frame").text("channel_id", &format!("{channel}")).text("from", from);
                let event = event.number("seq", *seq);
                let event = if mac { event.text("raw", body) } else { event.json("payload", body) };
                event.hex("tbz_hash", tag).text("proof", "hop").finish()
            }
            What::Closed { channel, reason } => Object::event("channel_closed")
                .text("channel_id", &format!("{channel}"))
                .text("reason", reason)
                .finish(),
            What::Expired { channel, seq } => {
                Object::event("frame_expired").text("channel_id", &format!("{channel}")).number("seq", *seq).finish()
            }
        };
        if numbered {
            event.pop();
            event.push_str(&format!(",\"n\":{}}}", self.number));
        }
        event
    }
}

/// How much of a queue a frame with a body of this length takes.
pub(super) const fn frame_size(body: usize) -> usize {
    body + ITEM_OVERHEAD
}

/// A frame that is kept for whoever looks at the channel.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) seq: u64,
    /// Only of frames that came back from the target.
    pub(super) back: bool,
    pub(super) tag: Tag,
    pub(super) time: Wall,
    /// Its payload, where that is kept, and else its length.
    pub(super) body: Result<Arc<str>, usize>,
}

impl Recent {
    /// Keep a frame, and its payload where that is short and there is `room` for it.
    pub(super) fn new(seq: u64, back: bool, tag: Tag, time: Wall, body: &Arc<str>, room: usize) -> Self {
        let kept = body.len() <= KEPT_PAYLOAD.min(room);
        Self { seq, back, tag, time, body: if kept { Ok(Arc::clone(body)) } else { Err(body.len()) } }
    }

    /// Bytes of payload that are held.
    pub(super) fn held(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.len())
    }
}
