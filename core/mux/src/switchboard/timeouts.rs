//! What time does: frames that nobody fetched, frames that were held back, closed channels, agents that are long gone.

use sluis_core::{Instant, Now};

use super::Switchboard;
use super::frame::{Item, What};
use super::ports::PortOrder;

/// Most agents, channels and names that one call looks at; more are left for the next call, which is due at once.
const WORK: usize = 1024;

impl Switchboard {
    /// When [`handle_timeout`](Self::handle_timeout) is due; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let closed = self.oldest_closed().map(|(at, _)| at + self.config.closed_time);
        self.agents.deadline().into_iter().chain(closed).chain(self.ports.deadline()).min()
    }

    /// Do what is due. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Now) {
        for _ in 0..WORK {
            let Some(agent) = self.agents.due(now.mono) else { break };
            self.expire(agent, now);
            self.pump(agent, now.mono);
            if self.agents.at(agent).is_some_and(|agent| agent.first_due(now.mono).is_some()) {
                self.wake_inbox(agent);
            }
            self.settle(agent, now.mono);
        }
        for _ in 0..WORK {
            if !self.port_is_due(now) {
                break;
            }
        }
        for _ in 0..WORK {
            let due = self.oldest_closed().filter(|(at, _)| *at + self.config.closed_time <= now.mono);
            let Some((_, slot)) = due else { break };
            self.forget_channel(slot, now.mono);
        }
        for _ in 0..WORK {
            if !self.agents.forget_idle(now.mono) {
                break;
            }
        }
    }

    /// Drop what has waited too long, and tell those who sent it.
    fn expire(&mut self, slot: u32, now: Now) {
        while let Some(agent) = self.agents.at_mut(slot)
            && agent.backlog.front().is_some_and(|item| item.queued + self.config.queue_time <= now.mono)
            && let Some(item) = agent.take(0)
        {
            if item.is_frame() && !item.read {
                self.totals.expired += 1;
                self.tell_sender(&item, now.mono);
            }
        }
    }

    /// Tell the sender of a frame, if it is there, that nobody fetched it.
    pub(super) fn tell_sender(&mut self, item: &Item, now: Instant) {
        let What::Frame { channel, from, seq, noted, .. } = &item.what else { return };
        if let Some(way) = noted {
            return self.ports.tell(PortOrder::Lost(*channel, *way));
        }
        let owner = self.channels.get(*channel).and_then(|channel| channel.owner);
        let Some(sender) = self.agents.find(from) else { return };
        let notice = self.item(sender, now, now, What::Expired { channel: *channel, seq: *seq });
        if self.agents.at(sender).is_some_and(|agent| !agent.sockets.is_empty())
            && self.has_room(sender, owner, notice.size(), false)
        {
            self.hand_over(sender, owner, notice, now);
            self.settle(sender, now);
        }
    }

    /// The channel that was closed first of those that are kept, and when.
    fn oldest_closed(&self) -> Option<(Instant, u32)> {
        let slot = self.channels.ended.front()?;
        Some((self.channels.at(slot)?.closed.as_ref()?.mono, slot))
    }

    /// Make room by forgetting the channel that was closed first; whether there was one.
    pub(super) fn forget_oldest_closed(&mut self) -> bool {
        let oldest = self.oldest_closed();
        if let Some((at, slot)) = oldest {
            self.forget_channel(slot, at);
        }
        oldest.is_some()
    }

    fn forget_channel(&mut self, slot: u32, now: Instant) {
        let Some(target) = self.channels.at(slot).map(|channel| channel.target) else { return };
        if let Some(agent) = self.agents.at_mut(target) {
            agent.incoming.remove(&mut self.channels.slab, slot);
        }
        self.drop_ports(slot);
        if let Some(channel) = self.channels.remove(slot) {
            self.kept -= channel.held();
        }
        self.settle(target, now);
    }
}
