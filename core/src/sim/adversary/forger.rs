use super::{Adversary, AdversaryContext, Passage, Passing, written};
use crate::framing::{Decision, Frame, Message, Number, Packet, Response, Text, Value};
use crate::sim::names::Name;
use crate::sim::world::FORGED;
use crate::time::{Duration, iso};

/// Makes up answers to what passes, before the real one can come: in the right name from a wrong address, and from the
/// right address in a wrong name. And pings in the names of others.
#[derive(Clone, Copy, Debug)]
pub struct Forger {
    /// Probability that a ping gets a forged answer, or a forged twin.
    pub zeal: f64,
    /// Whether it also answers in the right name from the right address, which nobody can tell without keys.
    pub everything: bool,
}

impl Adversary for Forger {
    fn pass(&mut self, context: &mut AdversaryContext<'_>, passing: &mut Passing<'_>) -> Passage {
        if context.rng.chance(self.zeal)
            && let Ok(Frame { message: Message::Packet(packet), encoding }) = Frame::decode(passing.bytes)
        {
            if context.rng.chance(0.5) {
                // In the name and from the address of who was asked: that only a signature can tell.
                let (address, name) = if self.everything && context.rng.chance(0.5) {
                    (passing.to, Name::of(passing.to))
                } else if context.rng.chance(0.5) {
                    (context.me, Name::of(passing.to))
                } else {
                    (passing.to, Name::of(context.me))
                };
                let response = answer(&packet, &name, context);
                let bytes = written(|out| response.encode(encoding, out));
                context.send(Duration::from_micros(10), address, passing.from, 0, bytes);
            } else {
                twin(&packet, context, passing);
            }
        }
        Passage::Go
    }
}

fn answer<'a>(packet: &Packet<'a>, name: &'a Name, context: &mut AdversaryContext<'_>) -> Response<'a> {
    let decision = if context.rng.chance(0.2) { Decision::Pending } else { Decision::Accept };
    Response {
        response_id: Text::new("resp_00000000deadbeef"),
        in_response_to: packet.packet_id,
        responder_did: Text::new(name.as_str()),
        decision,
        payload: Value::from_json(FORGED).unwrap_or(Value::EMPTY_OBJECT),
        capabilities: Value::EMPTY_ARRAY,
        trust_score: Number::Float(1.0),
        fira_breakdown: Value::EMPTY_OBJECT,
        tibet_token_id: None,
        timestamp: packet.timestamp,
        rtt_ms: None,
        airlock_zone: Text::new("GROEN"),
        applied_rule: None,
        proof: None,
    }
}

/// A fresh ping in the name of the one that passes, from an address that is not its own.
fn twin(packet: &Packet<'_>, context: &mut AdversaryContext<'_>, passing: &Passing<'_>) {
    let mut nonce = [0; 32];
    for digit in &mut nonce {
        *digit = b'a' + context.rng.below(6) as u8;
    }
    let mut stamp = [0; 32];
    let timestamp = iso::format(context.wall(), &mut stamp);
    let nonce = core::str::from_utf8(&nonce).unwrap_or_default();
    let forged = Packet { nonce: Text::new(nonce), timestamp: Text::new(timestamp), ..*packet };
    let encoding = context.encoding;
    let bytes = written(|out| forged.encode(encoding, out));
    context.send(Duration::from_micros(10), context.me, passing.to, 0, bytes);
}
