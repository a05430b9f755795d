//! Who said what: every ping of an application has a number, so that what is heard can be held against it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::report::Invariant;
use crate::framing::{Number, Packet, Priority, RoutingMode, Value};
use crate::identity::PublicKey;
use crate::node::Received;
use crate::sim::names::{Name, key};

/// Why every ping is sent.
pub(super) const PURPOSE: &str = "simulation";

/// What forgers would like to be believed.
pub(in crate::sim) const FORGED: &str = "\"forged\"";

/// Everything that was asked.
#[derive(Debug)]
pub(super) struct Said {
    /// By its number less one.
    sayings: Vec<Saying>,
    /// The key of each node.
    keys: Vec<PublicKey>,
}

/// A ping.
#[derive(Debug)]
struct Saying {
    from: u32,
    to: u32,
    intent: &'static str,
    /// It was taken in by whom it was for.
    heard: bool,
}

impl Said {
    /// Nobody has said anything yet.
    pub(super) fn new(nodes: u32) -> Self {
        Self { sayings: Vec::new(), keys: (0..nodes).map(|n| key(n).public()).collect() }
    }

    /// The key of a node.
    pub(super) fn key(&self, node: u32) -> Option<&PublicKey> {
        self.keys.get(node as usize)
    }

    /// A ping is about to be sent: its number, which is its payload.
    pub(super) fn say(&mut self, from: u32, to: u32, intent: &'static str) -> u32 {
        self.sayings.push(Saying { from, to, intent, heard: false });
        self.sayings.len() as u32
    }

    /// A node took a ping in; what is wrong with that.
    pub(super) fn heard(&mut self, node: u32, received: &Received<'_>) -> Result<(), (Invariant, String)> {
        let packet = received.packet();
        let name = packet.source_did.as_str().unwrap_or_default();
        let saying = number(packet.payload).and_then(|number| self.sayings.get_mut(number.checked_sub(1)?));
        let Some(saying) = saying.filter(|saying| *Name::of(saying.from).as_str() == *name) else {
            let detail = format!("took in {:?} as said by {name:?}, who never said it", packet.payload);
            return Err((Invariant::NoForgery, detail));
        };
        if saying.to != node || !is_as_said(&packet, saying.intent) {
            let detail = format!("took in what {name:?} said to node {} as {packet:?}", saying.to);
            return Err((Invariant::NoForgery, detail));
        }
        if received.auth.key().as_ref() != self.keys.get(saying.from as usize) {
            let detail = format!("took in a ping of {name:?} that bears {:?}", received.auth);
            return Err((Invariant::NoForgery, detail));
        }
        if core::mem::replace(&mut saying.heard, true) {
            return Err((Invariant::NoReplay, format!("took in a ping of {name:?} a second time")));
        }
        Ok(())
    }

    /// A node believes that a ping of its was answered; what is wrong with that.
    pub(super) fn answered(&self, said: u32, payload: Value<'_>) -> Result<(), (Invariant, String)> {
        let saying = said.checked_sub(1).and_then(|at| self.sayings.get(at as usize));
        if !saying.is_some_and(|saying| saying.heard) {
            return Err((Invariant::NoForgery, "believed the answer to a ping that nobody has heard".into()));
        }
        if payload.as_text().is_some_and(|text| text == *FORGED.trim_matches('"')) {
            return Err((Invariant::NoForgery, "believed an answer that nobody gave".into()));
        }
        Ok(())
    }
}

fn number(payload: Value<'_>) -> Option<usize> {
    match payload.as_number()? {
        Number::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}

/// Whether everything is as applications send it that nobody on the way may change.
fn is_as_said(packet: &Packet<'_>, intent: &str) -> bool {
    let usual = Packet::default();
    packet.intent == *intent
        && packet.purpose == *PURPOSE
        && (packet.priority, packet.routing_mode) == (Priority::Normal, RoutingMode::Direct)
        && packet.max_hops == usual.max_hops
        && packet.pod_id.is_none()
        && packet.vouched_by.is_none()
}
