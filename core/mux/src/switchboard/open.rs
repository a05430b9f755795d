//! Coming and going: sockets, and the opening and closing of channels.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use core::net::SocketAddr;

use sluis_core::data::{Style, Value};
use sluis_core::identity::MacKey;
use sluis_core::limits::{MAX_DID, MAX_INTENT};
use sluis_core::table::{Chain, Link};
use sluis_core::{Instant, Now};

use super::channel::{Channel, Closed, Spent, Way, opening};
use super::frame::{Item, What};
use super::sockets::Socket;
use super::{ChannelId, Invalid, Party, Refusal, SocketId, SocketOptions, Switchboard, Transport};
use crate::access::Caller;
use crate::agent::normalise;
use crate::news::{News, Via};
use crate::proof::{CLOSE, Direction, Running, Tag};
use crate::write::{Object, put_hex};

/// Longest metadata of a channel in bytes of JSON.
const MAX_METADATA: usize = 4096;

/// Longest reason for closing a channel in bytes.
const MAX_REASON: usize = 256;

/// What is asked for when a channel is opened.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// Who opens it: an empty name is the hub's own. Whoever shows a token has one name only.
    pub agent: &'a str,
    /// To whom.
    pub target: &'a str,
    /// What for.
    pub intent: &'a str,
    /// Anything the target should know; an object.
    pub metadata: Option<Value<'a>>,
    /// The socket on which it is asked for: it is whoever's socket it is that opens the channel, which is closed with the socket.
    pub socket: Option<SocketId>,
}

/// A channel that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its name.
    pub channel: ChannelId,
    /// The tag that stands for the opening.
    pub tag: Tag,
}

impl Switchboard {
    /// Open a channel, and tell the target.
    ///
    /// # Errors
    /// Not allowed, no room, or a text that is too long.
    pub fn open(&mut self, now: Now, caller: &Caller, ask: &Open<'_>) -> Result<Opened, Refusal> {
        let via = if ask.socket.is_some() { Via::WebSocket } else { Via::Rest };
        self.open_via(now, caller, ask, via)
    }

    /// As [`open`](Self::open), on this.
    pub(super) fn open_via(&mut self, now: Now, caller: &Caller, ask: &Open<'_>, via: Via) -> Result<Opened, Refusal> {
        let (agent, target) = self.names(caller, ask)?;
        let metadata = ask.metadata.map(checked_metadata).transpose()?.flatten();
        let open =
            self.agents.find(&agent).and_then(|slot| self.agents.at(slot)).map_or(0, |agent| agent.outgoing.len());
        if open >= self.config.max_channels {
            return Err(Refusal::TooManyChannels(self.config.max_channels));
        }
        if self.channels.slab.is_full() && !self.forget_oldest_closed() {
            return Err(Refusal::HubFull("channel"));
        }
        let from = self.agents.ensure(&agent, now).ok_or(Refusal::HubFull("agent"))?;
        let Some(to) = self.agents.ensure(&target, now) else {
            self.settle(from, now.mono);
            return Err(Refusal::HubFull("agent"));
        };
        let opened = self.connect(now, (from, to), ask, metadata);
        if let (true, Ok(opened)) = (self.config.tells, &opened) {
            self.tell_opened(opened.channel, via);
        }
        self.settle(from, now.mono);
        self.settle(to, now.mono);
        opened
    }

    /// Who opens a channel to whom.
    fn names(&self, caller: &Caller, ask: &Open<'_>) -> Result<(String, String), Refusal> {
        let agent = match ask.socket.and_then(|socket| self.sockets.get(socket)) {
            Some(socket) => socket.name.to_string(),
            None if ask.agent.is_empty() => self.config.agent.clone(),
            None => normalise(ask.agent),
        };
        let target = normalise(ask.target);
        for (field, length, most) in [
            ("agent", agent.len(), MAX_DID),
            ("target", target.len(), MAX_DID),
            ("intent", ask.intent.len(), MAX_INTENT),
        ] {
            if length > most {
                return Err(Refusal::invalid(field, Invalid::TooLong(most)));
            }
        }
        let Caller::Agent(entry) = caller else { return Ok((agent, target)) };
        if *agent != *entry.name {
            return Err(Refusal::NotYourName { is: entry.name.to_string(), says: agent });
        }
        if !entry.allows(ask.intent, &target) {
            return Err(Refusal::NotAllowed { agent, intent: ask.intent.into(), target });
        }
        Ok((agent, target))
    }

    fn connect(
        &mut self,
        now: Now,
        (from, to): (u32, u32),
        ask: &Open<'_>,
        metadata: Option<Box<str>>,
    ) -> Result<Opened, Refusal> {
        let name = |slot| self.agents.at(slot).map(|agent| Arc::clone(&agent.name)).ok_or(Refusal::HubFull("agent"));
        let (agent_name, target_name) = (name(from)?, name(to)?);
        let id = self.fresh_id();
        let (open, accept) = opening(&agent_name, &target_name, ask.intent, metadata.as_deref().unwrap_or("{}"), id);
        let way = |direction| Way { frames: 0, running: Running::new(direction, open.as_bytes(), accept.as_bytes()) };
        let intent = self.intents.resolve(ask.intent);
        let (route, budget) = (intent.route, intent.budget);
        let mut channel = Channel {
            id,
            agent: from,
            target: to,
            agent_name,
            target_name: Arc::clone(&target_name),
            intent: ask.intent.into(),
            route,
            budget,
            metadata,
            owner: ask.socket,
            opened: now.wall,
            last_activity: now.wall,
            closed: None,
            out: way(Direction::Out),
            back: way(Direction::Back),
            bytes: 0,
            spent: Spent::default(),
            tag_count: 0,
            tags: VecDeque::new(),
            recent: VecDeque::new(),
            ports: [None, None],
            by_id: Chain::default(),
            outgoing: Link::default(),
            incoming: Link::default(),
            ended: Link::default(),
        };
        let tag = channel.out.running.tag(&MacKey::new(&self.key_of(id)));
        channel.push_tag(tag);
        let natively = self.ports.has(&target_name);
        let event = self.incoming_event(&channel);
        let item = self.item(to, now.mono, now.mono, event);
        if !natively && !self.has_room(to, None, item.size(), false) {
            return Err(Refusal::QueueFull(target_name.to_string()));
        }
        let slot = self.channels.insert(channel).ok_or(Refusal::HubFull("channel"))?.slot();
        if let Some(agent) = self.agents.at_mut(from) {
            agent.outgoing.push_back(&mut self.channels.slab, slot);
        }
        if let Some(agent) = self.agents.at_mut(to) {
            agent.incoming.push_back(&mut self.channels.slab, slot);
        }
        self.totals.opened += 1;
        if natively {
            self.bind(id, Direction::Out);
        } else {
            self.hand_over(to, None, item, now.mono);
        }
        Ok(Opened { channel: id, tag })
    }

    fn tell_opened(&mut self, id: ChannelId, via: Via) {
        let Some(channel) = self.channels.get(id) else { return };
        self.news.push(News::Opened {
            channel: id.to_string().into(),
            agent: Arc::clone(&channel.agent_name),
            target: Arc::clone(&channel.target_name),
            intent: channel.intent.clone(),
            backend: self.intents.resolve(&channel.intent).backend.into(),
            via,
            proven: false,
        });
    }

    /// The connection of a socket is up, and comes from there: told as news, where that is wanted.
    pub fn came_from(&mut self, id: SocketId, from: Option<SocketAddr>) {
        if let (true, Some(socket)) = (self.config.tells, self.sockets.get(id)) {
            self.news.push(News::Connected { agent: Arc::clone(&socket.name), via: Via::WebSocket, from });
        }
    }

    fn fresh_id(&mut self) -> ChannelId {
        loop {
            let id = ChannelId(self.ids.u64());
            if self.channels.find(id).is_none() {
                return id;
            }
        }
    }

    fn incoming_event(&self, channel: &Channel) -> What {
        let event = Object::event("channel_incoming").text("channel_id", &channel.id.to_string());
        let event = event.text("agent", &channel.agent_name).text("intent", &channel.intent);
        let event = event.json("route", &self.route_json(channel)).json("metadata", channel.metadata());
        let mut event = event.finish();
        event.pop();
        What::Incoming { channel: channel.id, event: event.into(), mac: self.mac_members(channel).into() }
    }

    /// The members of an event that give out what is needed to check the tags of a channel; nothing on a connection that others can
    /// read.
    pub(super) fn mac_members(&self, channel: &Channel) -> String {
        if self.config.transport == Transport::Plain {
            return String::new();
        }
        let [mut key, mut out, mut back] = [const { String::new() }; 3];
        put_hex(&mut key, &self.key_of(channel.id));
        put_hex(&mut out, channel.out.running.hash());
        put_hex(&mut back, channel.back.running.hash());
        format!(",\"mac_key\":\"{key}\",\"mac_start\":{{\"out\":\"{out}\",\"back\":\"{back}\"}}")
    }

    /// Close a channel, and tell the other end. Closing a closed one changes nothing.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], and a reason that is too long.
    pub fn close(&mut self, now: Now, caller: &Caller, id: ChannelId, reason: &str) -> Result<(), Refusal> {
        self.close_by(now, caller.into(), id, reason)
    }

    pub(crate) fn close_by(&mut self, now: Now, party: Party<'_>, id: ChannelId, reason: &str) -> Result<(), Refusal> {
        let slot = self.channels.find(id).ok_or(Refusal::NotFound)?;
        let direction = self.direction(slot, party)?;
        if reason.len() > MAX_REASON {
            return Err(Refusal::invalid("reason", Invalid::TooLong(MAX_REASON)));
        }
        self.close_slot(now, slot, direction, reason);
        Ok(())
    }

    /// Which way the frames of a party go on a channel.
    pub(super) fn direction(&self, slot: u32, party: Party<'_>) -> Result<Direction, Refusal> {
        let channel = self.channels.at(slot).ok_or(Refusal::NotFound)?;
        match party {
            Party::Anyone => Ok(Direction::Out),
            Party::Named(name) => channel.direction_of(name).ok_or(Refusal::NotFound),
        }
    }

    pub(super) fn close_slot(&mut self, now: Now, slot: u32, direction: Direction, reason: &str) {
        let Some(channel) = self.channels.at(slot).filter(|channel| channel.is_open()) else { return };
        let (id, from, to, owner) = (channel.id, channel.agent, channel.target, channel.owner);
        let key = MacKey::new(&self.key_of(id));
        let Some(channel) = self.channels.at_mut(slot) else { return };
        channel.closed = Some(Box::new(Closed { reason: reason.into(), wall: now.wall, mono: now.mono }));
        let running = &mut channel.way_mut(direction).running;
        running.record(CLOSE, reason.as_bytes());
        let tag = running.tag(&key);
        channel.push_tag(tag);
        if let Some(agent) = self.agents.at_mut(from) {
            agent.outgoing.remove(&mut self.channels.slab, slot);
        }
        self.channels.ended.push_back(&mut self.channels.slab, slot);
        self.totals.closed += 1;
        if self.config.tells
            && let Some(channel) = self.channels.at(slot)
        {
            let (frames, bytes) = (channel.frames(), channel.bytes);
            self.news.push(News::Closed { channel: id.to_string().into(), reason: reason.into(), frames, bytes });
        }
        let (hears, socket) = match direction {
            Direction::Out => (to, None),
            Direction::Back => (from, owner),
        };
        if self.close_ports(slot, direction, reason) {
            self.settle(from, now.mono);
            self.settle(to, now.mono);
            return;
        }
        // A channel is closed once, so that what is told of it is bounded by the number of channels.
        let item = self.item(hears, now.mono, now.mono, What::Closed { channel: id, reason: reason.into() });
        self.hand_over(hears, socket, item, now.mono);
        self.settle(from, now.mono);
        self.settle(to, now.mono);
    }

    /// Close every open channel that an agent has opened.
    pub(super) fn close_all(&mut self, now: Now, agent: u32, reason: &str) {
        while let Some(slot) = self.agents.at(agent).and_then(|agent| agent.outgoing.front()) {
            self.close_slot(now, slot, Direction::Out, reason);
        }
    }

    /// An agent is there: it hears at once what waits for it, and what comes from now on. Whoever comes last is heard first.
    ///
    /// `agent` is the name in the query of a WebSocket; whoever shows a token is called what the token says.
    ///
    /// # Errors
    /// Another name than that of the token, a name that is too long, a key asked for without TLS, or no room.
    pub fn attach(
        &mut self,
        now: Now,
        caller: &Caller,
        agent: &str,
        options: SocketOptions,
    ) -> Result<SocketId, Refusal> {
        let name = if agent.is_empty() { self.config.agent.clone() } else { crate::agent::of_socket(agent) };
        let credential = match caller {
            Caller::Anyone => None,
            Caller::Agent(entry) if agent.is_empty() || *name == *entry.name => Some(Arc::clone(entry)),
            Caller::Agent(entry) => return Err(Refusal::NotYourName { is: entry.name.to_string(), says: name }),
        };
        let name = credential.as_ref().map_or(name, |entry| entry.name.to_string());
        if name.len() > MAX_DID {
            return Err(Refusal::invalid("agent", Invalid::TooLong(MAX_DID)));
        }
        if options.mac && self.config.transport == Transport::Plain {
            return Err(Refusal::invalid("mac", Invalid::NeedsTls));
        }
        let slot = self.agents.ensure(&name, now).ok_or(Refusal::HubFull("agent"))?;
        let id = self.sockets.insert(Socket::new(slot, name.as_str().into(), credential, options));
        if let (Some(id), Some(agent)) = (id, self.agents.at_mut(slot)) {
            agent.sockets.push(id);
        }
        self.pump(slot, now.mono);
        self.settle(slot, now.mono);
        id.ok_or(Refusal::HubFull("socket"))
    }

    /// A socket is gone: its channels are closed, and what was not written to it waits for the agent's next one.
    pub fn detach(&mut self, now: Now, id: SocketId) {
        let Some(socket) = self.sockets.remove(id) else { return };
        let slot = socket.agent;
        if let Some(agent) = self.agents.at_mut(slot) {
            agent.sockets.retain(|other| *other != id);
            socket.undelivered().for_each(|item| agent.put_back(item));
        }
        let owned: alloc::vec::Vec<u32> = self.channels_of(slot, Some(id)).map(|(slot, _)| slot).collect();
        for channel in owned {
            self.close_slot(now, channel, Direction::Out, "ws_disconnect");
        }
        self.pump(slot, now.mono);
        self.settle(slot, now.mono);
    }

    /// The open channels of an agent, oldest first; with a socket only those opened on it.
    pub(super) fn channels_of(&self, agent: u32, socket: Option<SocketId>) -> impl Iterator<Item = (u32, &Channel)> {
        let list = self.agents.at(agent).map(|agent| &agent.outgoing);
        let slots = list.into_iter().flat_map(|list| list.iter(&self.channels.slab));
        let channels = slots.filter_map(|slot| Some((slot, self.channels.at(slot)?)));
        channels.filter(move |(_, channel)| socket.is_none_or(|socket| channel.owner == Some(socket)))
    }

    /// Something that an agent is to be told.
    pub(super) fn item(&mut self, to: u32, now: Instant, due: Instant, what: What) -> Item {
        let number = self.agents.at_mut(to).map_or(0, super::agents::Agent::next_number);
        Item { number, queued: now, due, read: false, what }
    }
}

/// The text of an object that is not empty.
fn checked_metadata(value: Value<'_>) -> Result<Option<Box<str>>, Refusal> {
    let text = passable(value, "metadata", MAX_METADATA)?;
    Ok((text != "{}").then(|| text.into()))
}

/// The compact text of a value that can be passed on to anybody.
pub(super) fn passable(value: Value<'_>, field: &'static str, most: usize) -> Result<String, Refusal> {
    if !value.is_finite() {
        return Err(Refusal::invalid(field, Invalid::NotFinite));
    }
    if has_lone_surrogate(value) {
        return Err(Refusal::invalid(field, Invalid::LoneSurrogate));
    }
    let mut text = alloc::vec::Vec::new();
    let written = value.write_json(&mut text, Style::WIRE);
    match String::from_utf8(text) {
        Ok(text) if written.is_ok() && text.len() <= most => Ok(text),
        _ => Err(Refusal::invalid(field, Invalid::TooLong(most))),
    }
}

fn has_lone_surrogate(value: Value<'_>) -> bool {
    use sluis_core::data::ValueToken;
    value.tokens().any(|token| match token {
        ValueToken::Str(text) | ValueToken::Key(text) => text.as_str().is_none() && text.chars().any(|c| c.is_err()),
        _ => false,
    })
}
