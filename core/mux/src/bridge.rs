//! Between a switchboard and a hub of native connections: agents that speak JSON and agents on native connections reach each other.
//!
//! A channel goes to the newest native connection of its target, else to its WebSocket or its inbox, and waits for it where there is none.
//! What a bridge promises:
//!
//! - A message of a native agent is acknowledged when the other end took it: when it was written to a WebSocket (with credit: when that
//!   acknowledged it), or fetched out of the inbox. One that nobody fetched in time ends the channel.
//! - A native agent gets credit for no more than the other end takes, and what is above its budget waits.
//! - A frame of a JSON agent is `delivered` when the native stream has it.
//! - A native channel to the hub's own name, under which nobody listens, is refused at once.
//! - Nothing is proven from end to end (`hop`): at least one end has no key.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;

use sluis_core::Now;
use sluis_core::data::Value;

use crate::channel::{Kind, SendError};
use crate::native::{Hub, LocalEvent, LocalId};
use crate::proof::Direction;
use crate::switchboard::{ChannelId, Next, Open, PortOrder, Refusal, Switchboard};
use crate::write::{Object, put_text};

/// A message of bytes, for an agent that speaks JSON: as a text where it is one, else in base64.
fn as_json(body: &[u8]) -> String {
    let mut json = String::new();
    match core::str::from_utf8(body) {
        Ok(text) => put_text(&mut json, text),
        Err(_) => json = Object::new().text("base64", &base64(body)).finish(),
    }
    json
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for some in bytes.chunks(3) {
        let at = |n: usize| u32::from(some.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let digit = ALPHABET.get((bits >> (18 - 6 * n) & 63) as usize).copied().unwrap_or(b'=');
            text.push(char::from(if n <= some.len() { digit } else { b'=' }));
        }
    }
    text
}

/// Why a channel to the hub's own name is refused that is no service's.
const NO_SERVICE: &str = "there is no such service";

/// A channel's end on a native connection.
#[derive(Debug)]
struct End {
    channel: ChannelId,
    /// Which way frames go to it.
    to: Direction,
    /// What it sent and the other end has not taken: the number of the frame, that of the message, and whether it was taken before one in
    /// front of it.
    untaken: VecDeque<(u64, u64, bool)>,
    /// What it was sent for another native agent and has not taken: the number of the message, and the order that says so.
    owed: VecDeque<(u64, PortOrder)>,
}

impl End {
    const fn from(&self) -> Direction {
        match self.to {
            Direction::Out => Direction::Back,
            Direction::Back => Direction::Out,
        }
    }
}

/// Passes on what a switchboard and a hub have for each other. To be [run](Self::run) after everything that was done with either.
#[derive(Debug, Default)]
pub struct Bridge {
    ends: BTreeMap<LocalId, End>,
    ports: BTreeMap<(ChannelId, bool), LocalId>,
    /// Channels whose message has no room, by whom it is for.
    blocked: BTreeMap<Arc<str>, BTreeSet<LocalId>>,
}

impl Bridge {
    /// Between this hub and a switchboard: from now on channels to agents without a native connection are not refused.
    #[must_use]
    pub fn new(hub: &mut Hub) -> Self {
        hub.keep_locals();
        Self::default()
    }

    /// Pass on everything that can be.
    pub fn run(&mut self, now: Now, board: &mut Switchboard, hub: &mut Hub) {
        loop {
            if let Some(event) = hub.poll_local() {
                self.heard(now, event, board, hub);
            } else if let Some(order) = board.poll_port() {
                self.ordered(now, order, board, hub);
            } else {
                return;
            }
        }
    }

    fn join(&mut self, local: LocalId, channel: ChannelId, to: Direction) {
        self.ends.insert(local, End { channel, to, untaken: VecDeque::new(), owed: VecDeque::new() });
        self.ports.insert((channel, to == Direction::Back), local);
    }

    fn part(&mut self, local: LocalId) -> Option<End> {
        let end = self.ends.remove(&local)?;
        self.ports.remove(&(end.channel, end.to == Direction::Back));
        Some(end)
    }

    fn heard(&mut self, now: Now, event: LocalEvent, board: &mut Switchboard, hub: &mut Hub) {
        match event {
            LocalEvent::There(name) => board.native_there(now, &name),
            LocalEvent::Away(name) => board.native_away(&name),
            LocalEvent::Incoming(local) => self.incoming(now, local, board, hub),
            LocalEvent::Room(local) => {
                self.acked(now, local, board, hub);
                self.drain(now, local, board, hub);
            }
            LocalEvent::Message(local) => self.message(now, local, board, hub),
            LocalEvent::Finished(local, reason) => {
                if let Some(end) = self.ends.get(&local) {
                    board.close_native(now, end.channel, end.from(), &reason);
                }
            }
            LocalEvent::Gone(local, reason) => {
                if let Some(end) = self.part(local) {
                    let reason = if reason.is_empty() { "client_close" } else { &reason };
                    board.port_gone(now, end.channel, end.to, reason);
                }
            }
        }
    }

    /// An agent on a native connection opens a channel.
    fn incoming(&mut self, now: Now, local: LocalId, board: &mut Switchboard, hub: &mut Hub) {
        let (Some(opening), Some(caller)) = (hub.local(local), hub.caller_of(local)) else { return };
        if board.is_to_nobody_here(&opening.target) {
            // It would wait for an agent that is the hub, which reads no inbox: most likely a service is meant.
            return hub.refuse_local(now.mono, local, NO_SERVICE);
        }
        let metadata = Value::from_json(&opening.metadata).ok();
        let ask =
            Open { agent: &opening.agent, target: &opening.target, intent: &opening.intent, metadata, socket: None };
        match board.open_native(now, &caller, &ask) {
            Ok(opened) => {
                self.join(local, opened.channel, Direction::Back);
                hub.accept_local(now.mono, local);
            }
            Err(refusal) => hub.refuse_local(now.mono, local, &refusal.to_string()),
        }
    }

    /// A message of an agent on a native connection is to be passed on.
    fn message(&mut self, now: Now, local: LocalId, board: &mut Switchboard, hub: &mut Hub) {
        let Some(end) = self.ends.get_mut(&local) else { return };
        let Some((number, kind, body)) = hub.local_message(local) else { return };
        let sent = match (kind, core::str::from_utf8(body)) {
            (Kind::Json, Ok(text)) => board.send_native(now, end.channel, end.from(), text),
            _ => board.send_native(now, end.channel, end.from(), &as_json(body)),
        };
        match sent {
            Ok(sent) => {
                end.untaken.push_back((sent.seq, number, false));
                hub.passed(now.mono, local);
            }
            Err(Refusal::QueueFull(_)) => {
                if let Some(name) = board.await_room(end.channel, end.from()) {
                    self.blocked.entry(name).or_default().insert(local);
                }
            }
            Err(Refusal::Closed(_)) => {
                self.drain(now, local, board, hub);
                hub.hurry_local(now.mono, local);
            }
            // It can never be passed on: it is not acknowledged, and the channel ends.
            Err(_) => self.give_up(now, local, "message_not_passed_on", board, hub),
        }
    }

    /// End a channel whose native agent has to learn that something of it was not taken.
    fn give_up(&mut self, now: Now, local: LocalId, reason: &str, board: &mut Switchboard, hub: &mut Hub) {
        if let Some(end) = self.part(local) {
            hub.drop_local(now.mono, local);
            board.port_gone(now, end.channel, end.to, reason);
        }
    }

    fn ordered(&mut self, now: Now, order: PortOrder, board: &mut Switchboard, hub: &mut Hub) {
        let local = |channel: ChannelId, to: Direction| self.ports.get(&(channel, to == Direction::Back)).copied();
        match order {
            PortOrder::Open(channel) => {
                let Some([agent, target, intent, metadata]) = board.opening_of(channel) else { return };
                match hub.open_local(now.mono, agent, target, intent, metadata) {
                    Ok(local) => self.join(local, channel, Direction::Out),
                    Err(reason) => board.port_gone(now, channel, Direction::Out, reason),
                }
            }
            PortOrder::Ready(channel, to) => {
                if let Some(local) = local(channel, to) {
                    self.drain(now, local, board, hub);
                }
            }
            PortOrder::Taken(channel, way, seq) => {
                let from = if way == Direction::Out { Direction::Back } else { Direction::Out };
                if let Some(local) = local(channel, from) {
                    self.taken(now, local, seq, hub);
                }
            }
            PortOrder::Lost(channel, way) => {
                let from = if way == Direction::Out { Direction::Back } else { Direction::Out };
                if let Some(local) = local(channel, from) {
                    self.give_up(now, local, "frame_expired", board, hub);
                }
            }
            PortOrder::Relieved(name) => {
                for local in self.blocked.remove(&name).unwrap_or_default() {
                    self.message(now, local, board, hub);
                }
            }
        }
    }

    /// The other end took a frame: all messages up to the first that it has not taken are acknowledged.
    fn taken(&mut self, now: Now, local: LocalId, seq: u64, hub: &mut Hub) {
        let Some(end) = self.ends.get_mut(&local) else { return };
        if let Ok(at) = end.untaken.binary_search_by_key(&seq, |(seq, ..)| *seq)
            && let Some((.., taken)) = end.untaken.get_mut(at)
        {
            *taken = true;
        }
        let mut upto = None;
        while let Some((_, number, true)) = end.untaken.front() {
            upto = Some(*number);
            end.untaken.pop_front();
        }
        if let Some(upto) = upto {
            hub.take_local(now.mono, local, upto);
        }
    }

    /// The agent took what it was sent: whoever sent that on a native connection is told.
    fn acked(&mut self, now: Now, local: LocalId, board: &mut Switchboard, hub: &mut Hub) {
        let upto = hub.local_acked(local);
        while let Some(end) = self.ends.get_mut(&local)
            && let Some((_, order)) = end.owed.pop_front_if(|(number, _)| *number <= upto)
        {
            self.ordered(now, order, board, hub);
        }
    }

    /// Write what waits in a port to its native stream.
    fn drain(&mut self, now: Now, local: LocalId, board: &mut Switchboard, hub: &mut Hub) {
        let Some(end) = self.ends.get_mut(&local) else { return };
        let (channel, to) = (end.channel, end.to);
        while hub.local_room(local).is_some_and(|(messages, _)| messages > 0) {
            match board.next_of_port(now, channel, to) {
                None => break,
                Some(Next::Close(reason)) => {
                    hub.close_local(now.mono, local, &reason);
                    break;
                }
                Some(Next::Frame(text)) => match hub.send_local(now.mono, local, &text) {
                    Ok(number) => end.owed.extend(board.pop_port(now, channel, to).map(|order| (number, order))),
                    Err(SendError::Full) => break,
                    Err(_) => return self.give_up(now, local, "message_not_passed_on", board, hub),
                },
            }
        }
        board.set_room(channel, to, hub.local_room(local));
    }
}

#[cfg(test)]
mod tests {
    use super::{as_json, base64};

    #[test]
    fn base64_is_that_of_the_rfc() {
        let texts: [&[u8]; 7] = [b"", b"f", b"fo", b"foo", b"foob", b"fooba", b"foobar"];
        assert_eq!(texts.map(base64), ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!((as_json(b"a \"b\""), as_json(&[255])), (r#""a \"b\"""#.into(), r#"{"base64":"/w=="}"#.into()));
    }
}
