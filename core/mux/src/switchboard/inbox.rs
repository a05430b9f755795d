//! The inbox: what waits for an agent, for clients that hold no socket open.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use sluis_core::Now;
use sluis_core::limits::MAX_DID;

use super::{Invalid, Refusal, Switchboard};
use crate::agent::normalise;

/// Bytes of events in one answer; a longer one comes alone.
const ANSWER_BYTES: usize = 65_536;

/// What an agent's inbox holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// Events, each with its number as member `n`.
    pub events: Vec<String>,
    /// The number to ask for next time: everything up to it is then taken out.
    pub last: u64,
}

impl Switchboard {
    /// Read what waits for an agent, behind number `after`; what has that number or one below is taken out for good.
    ///
    /// # Errors
    /// A name that is too long, or no room for another agent.
    pub(crate) fn inbox(&mut self, now: Now, agent: &str, after: u64) -> Result<Inbox, Refusal> {
        let Some(slot) = self.agents.find(&inbox_name(&self.config.agent, agent)?) else {
            return Ok(Inbox { events: Vec::new(), last: after });
        };
        let Some(agent) = self.agents.at_mut(slot) else {
            return Ok(Inbox { events: Vec::new(), last: after });
        };
        while agent.backlog.front().is_some_and(|item| item.number <= after) {
            self.sockets.notes.extend(agent.take(0).and_then(|item| item.note()));
        }
        let (mut inbox, mut bytes) = (Inbox { events: Vec::new(), last: after }, 0);
        for item in agent.backlog.iter_mut().filter(|item| item.number > after) {
            // What is held back ends the answer: numbers are taken out from the front.
            bytes += item.size();
            if item.due > now.mono || (bytes > ANSWER_BYTES && !inbox.events.is_empty()) {
                break;
            }
            item.read = true;
            inbox.last = item.number;
            inbox.events.push(item.render(false, true));
        }
        agent.inbox_ready = false;
        self.pump(slot, now.mono);
        self.settle(slot, now.mono);
        Ok(inbox)
    }

    /// Somebody waits for an agent's inbox from now on: what comes counts as delivered. To be followed by
    /// [`stop_waiting`](Self::stop_waiting).
    ///
    /// # Errors
    /// A name that is too long, or no room for another agent.
    pub fn wait_for_inbox(&mut self, now: Now, agent: &str) -> Result<(), Refusal> {
        let name = inbox_name(&self.config.agent, agent)?;
        let slot = self.agents.ensure(&name, now).ok_or(Refusal::HubFull("agent"))?;
        if let Some(agent) = self.agents.at_mut(slot) {
            agent.pollers = agent.pollers.saturating_add(1);
        }
        self.settle(slot, now.mono);
        Ok(())
    }

    /// Whoever waited for an agent's inbox does so no more.
    pub fn stop_waiting(&mut self, now: Now, agent: &str) {
        let Some(slot) = inbox_name(&self.config.agent, agent).ok().and_then(|name| self.agents.find(&name)) else {
            return;
        };
        if let Some(agent) = self.agents.at_mut(slot) {
            agent.pollers = agent.pollers.saturating_sub(1);
        }
        self.settle(slot, now.mono);
    }

    /// Whether an agent's inbox has got something since it was last read.
    #[must_use]
    pub fn inbox_has_news(&self, agent: &str) -> bool {
        let found = inbox_name(&self.config.agent, agent).ok().and_then(|name| self.agents.find(&name));
        found.and_then(|slot| self.agents.at(slot)).is_some_and(|agent| agent.inbox_ready)
    }

    /// The name of an agent for whose inbox somebody waits and which has got something; each is named once until it was read.
    pub fn poll_inbox(&mut self) -> Option<Arc<str>> {
        let name = self.mail.pop_front()?;
        if let Some(agent) = self.agents.find(&name).and_then(|slot| self.agents.at_mut(slot)) {
            agent.in_news = false;
        }
        Some(name)
    }

    pub(super) fn wake_inbox(&mut self, slot: u32) {
        let Some(agent) = self.agents.at_mut(slot) else { return };
        agent.inbox_ready = true;
        if agent.pollers > 0 && !core::mem::replace(&mut agent.in_news, true) {
            if self.mail.len() >= self.config.max_agents {
                // Names of agents that were forgotten since, and that nobody asked for.
                self.mail.pop_front();
            }
            self.mail.push_back(Arc::clone(&agent.name));
        }
    }
}

fn inbox_name(own: &str, agent: &str) -> Result<String, Refusal> {
    let name = if agent.is_empty() { own.into() } else { normalise(agent) };
    if name.len() > MAX_DID {
        return Err(Refusal::invalid("agent", Invalid::TooLong(MAX_DID)));
    }
    Ok(name)
}
