use alloc::vec::Vec;

use super::{Adversary, AdversaryContext, Passage, Passing, written};
use crate::framing::{Decision, Encoding, Frame, Message, Packet, Priority, Response, RoutingMode, Text, Value};
use crate::identity::SecretKey;
use crate::sim::names::Name;
use crate::sim::world::FORGED;
use crate::time::Duration;

/// A man in the middle who rewrites what passes: purpose, priority, routing, hops, pod, intent, payload, target, encoding; who takes signatures off, and puts his
/// own on. Of answers the decision, the payload and what they answer.
#[derive(Debug)]
pub struct Alterer {
    /// Probability that a datagram is rewritten.
    pub zeal: f64,
    key: SecretKey,
}

impl Alterer {
    /// One that rewrites with this probability, and signs with this key.
    #[must_use]
    pub const fn new(zeal: f64, key: SecretKey) -> Self {
        Self { zeal, key }
    }

    /// A ping as it is to go on, and in which encoding.
    fn packet<'a>(
        &self,
        packet: Packet<'a>,
        encoding: Encoding,
        context: &mut AdversaryContext<'_>,
    ) -> (Encoding, Packet<'a>, bool) {
        let other = match encoding {
            Encoding::Json => Encoding::Postcard,
            Encoding::Msgpack | Encoding::Postcard => Encoding::Json,
        };
        let altered = match context.rng.below(13) {
            0 => Packet { purpose: Text::new("another"), ..packet },
            1 => Packet { priority: Priority::Urgent, ..packet },
            2 => Packet { routing_mode: RoutingMode::Mesh, ..packet },
            3 => Packet { max_hops: packet.max_hops + 1, ..packet },
            4 => Packet { pod_id: Some(Text::new("another")), ..packet },
            5 => Packet { vouched_by: Some(Text::new("jis:evil:friend")), ..packet },
            6 => Packet { intent: Text::new("door.open"), ..packet },
            7 => Packet { payload: Value::from_json(FORGED).unwrap_or(Value::NULL), ..packet },
            8 => Packet { nonce: Text::new("00112233445566778899aabbccddeeff"), ..packet },
            9 => Packet { proof: None, ..packet },
            10 => Packet { proof: None, signature: Text::new(""), ..packet },
            11 => return (other, packet, false),
            _ => return (encoding, Packet { purpose: Text::new("another"), ..packet }, true),
        };
        (encoding, altered, false)
    }

    /// The same with its own signature.
    fn resign(&self, packet: &Packet<'_>, encoding: Encoding) -> Vec<u8> {
        let Ok(made) = packet.sign(encoding, &self.key, &mut [0; 2048]) else { return Vec::new() };
        written(|out| made.on(*packet).encode(encoding, out))
    }
}

fn response<'a>(response: Response<'a>, context: &mut AdversaryContext<'_>) -> Response<'a> {
    match context.rng.below(5) {
        0 => Response { payload: Value::from_json(FORGED).unwrap_or(Value::NULL), ..response },
        1 => Response { payload: Value::from_json(FORGED).unwrap_or(Value::NULL), proof: None, ..response },
        2 => Response { decision: Decision::Pending, ..response },
        3 => Response { proof: None, ..response },
        _ => Response { in_response_to: Text::new("ping_0123456789abcdef"), ..response },
    }
}

impl Adversary for Alterer {
    fn pass(&mut self, context: &mut AdversaryContext<'_>, passing: &mut Passing<'_>) -> Passage {
        if !context.rng.chance(self.zeal) {
            return Passage::Go;
        }
        let Ok(Frame { message, encoding }) = Frame::decode(passing.bytes) else { return Passage::Go };
        let bytes = match message {
            // For somebody else, who may know the sender, too.
            Message::Packet(packet) if context.rng.chance(0.1) && !context.targets.is_empty() => {
                let other = context.targets[context.rng.index(context.targets.len())];
                let name = Name::of(other);
                let retargeted = Packet { target_did: Text::new(name.as_str()), ..packet };
                let bytes = written(|out| retargeted.encode(encoding, out));
                context.send(Duration::ZERO, passing.from, other, 0, bytes);
                return Passage::Go;
            }
            Message::Packet(packet) => match self.packet(packet, encoding, context) {
                (encoding, packet, true) => self.resign(&packet, encoding),
                (encoding, packet, false) => written(|out| packet.encode(encoding, out)),
            },
            Message::Response(answer) => {
                let answer = response(answer, context);
                written(|out| answer.encode(encoding, out))
            }
        };
        // What cannot be written in the other encoding goes on as it is.
        if !bytes.is_empty() {
            *passing.bytes = bytes;
        }
        Passage::Go
    }
}
