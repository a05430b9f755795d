//! The application of one agent: it says, thinks about what it hears, and takes it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::{Instant, Machine as _, Now};
use sluis_mux::channel::{ChannelId, Fault, Kind, SendError};
use sluis_mux::native::{Channel, Client, Event};

use super::rogue::MARK;

/// How long an application looks at a message before it takes it.
const THINKING: Duration = Duration::from_millis(200);

/// One agent's application, and what is to be checked of it.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) peer: String,
    /// It opens so many channels, those of its pair; these are those that are open.
    pub(super) opens: usize,
    pub(super) open: Vec<Channel>,
    pub(super) names: BTreeMap<Channel, ChannelId>,
    pub(super) to_say: VecDeque<usize>,
    pub(super) said: BTreeMap<ChannelId, Vec<Vec<u8>>>,
    pub(super) acked: BTreeMap<ChannelId, u64>,
    pub(super) heard: BTreeMap<ChannelId, Vec<Vec<u8>>>,
    pub(super) taken: BTreeMap<ChannelId, u64>,
    /// What it has heard, when, and not taken yet: it thinks about everything for a moment.
    pub(super) thinks: VecDeque<(Instant, Channel, u64)>,
    /// Channels that are over without being done: tampered with, or given up. And why those were that were not what they should be.
    pub(super) lost: BTreeSet<ChannelId>,
    pub(super) faults: Vec<Fault>,
    /// Those that were closed in peace; and whether all are to be.
    pub(super) closed: BTreeSet<ChannelId>,
    pub(super) closes: bool,
    /// Channels that its client has.
    pub(super) left: usize,
    /// It looks at nothing.
    pub(super) slow: bool,
    pub(super) most_held: usize,
    pub(super) number: u64,
}

#[derive(Clone, Default)]
pub(super) struct AsAgent(pub(super) Rc<RefCell<Desk>>);

impl Desk {
    /// A channel is over that was not closed.
    fn lose(&mut self, channel: Channel) {
        self.open.retain(|other| *other != channel);
        self.lost.extend(self.names.remove(&channel));
    }

    /// Channels of which it waits for something: they are neither closed nor lost.
    pub(super) fn waits(&self) -> usize {
        self.names.values().filter(|name| !self.closed.contains(*name)).count()
    }
}

impl AsAgent {
    fn hear(desk: &mut Desk, now: Now, client: &mut Client) {
        loop {
            let Some(event) = client.poll_event() else { return };
            let mut accept = None;
            match event {
                Event::Incoming(channel, opening, _) => {
                    desk.names.insert(channel, opening.channel);
                    accept = Some(channel);
                }
                Event::Message(channel, number, _, body) => {
                    let Some(name) = desk.names.get(&channel) else { continue };
                    desk.heard.entry(*name).or_default().push(body.to_vec());
                    desk.thinks.push_back((now.mono + THINKING, channel, number));
                }
                Event::Opened(channel, _) => desk.open.push(channel),
                Event::Acked(channel, upto) => {
                    let Some(name) = desk.names.get(&channel) else { continue };
                    // The end of a channel is a message, too, and nobody's but the machine's.
                    let said = desk.said.get(name).map_or(0, Vec::len) as u64;
                    desk.acked.insert(*name, upto.min(said));
                }
                Event::Broken(channel, fault) => {
                    desk.faults.push(fault);
                    desk.lose(channel);
                }
                Event::Abandoned(channel, _) | Event::Refused(channel, _) => desk.lose(channel),
                Event::Finished(channel, _) => client.close(now, channel, "done too"),
                Event::Closed(channel) => desk.closed.extend(desk.names.get(&channel)),
                _ => {}
            }
            if let Some(channel) = accept {
                client.accept(now, channel);
            }
        }
    }

    fn take(desk: &mut Desk, now: Now, client: &mut Client) {
        while let Some((_, channel, number)) = desk.thinks.pop_front_if(|(at, ..)| *at <= now.mono) {
            if let Some(name) = desk.names.get(&channel) {
                desk.taken.insert(*name, number);
            }
            client.take(now, channel, number);
        }
    }

    fn say(desk: &mut Desk, now: Now, client: &mut Client) {
        if desk.closes {
            desk.open.drain(..).for_each(|channel| client.close(now, channel, "done"));
            return;
        }
        while desk.names.len() < desk.opens {
            let Ok(channel) = client.open(now, &desk.peer, "vpn:tunnel", "{}") else { return };
            let Some(opened) = client.channel(channel) else { return };
            desk.names.insert(channel, opened.opening().channel);
        }
        // Until there is nothing to say, or no channel has room.
        let mut full = 0;
        while full < desk.opens
            && let Some(size) = desk.to_say.front().copied()
        {
            let at = usize::try_from(desk.number).unwrap_or_default() % desk.opens;
            let Some(channel) = desk.open.get(at).copied() else { return };
            let Some(name) = client.channel(channel).map(|open| open.opening().channel) else { return };
            desk.names.insert(channel, name);
            let mut text =
                format!("{}{}{} ", desk.number, std::str::from_utf8(MARK).unwrap_or_default(), desk.peer).into_bytes();
            text.resize(text.len() + size, b'.');
            match client.send(now, channel, Kind::Bytes, &text) {
                Ok(_) => {
                    desk.said.entry(name).or_default().push(text);
                    desk.to_say.pop_front();
                    full = 0;
                }
                Err(SendError::Full) => full += 1,
                Err(_) => return,
            }
            desk.number += 1;
        }
    }
}

impl App<Client> for AsAgent {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        let desk = &mut *self.0.borrow_mut();
        desk.left = client.channels();
        if desk.opens == 0 {
            desk.most_held = desk.most_held.max(client.held());
        }
        if !desk.slow {
            Self::hear(desk, now, client);
            Self::take(desk, now, client);
            Self::say(desk, now, client);
            desk.left = client.channels();
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        let desk = self.0.borrow();
        desk.thinks.front().filter(|_| !desk.slow).map(|(at, ..)| *at)
    }
}
