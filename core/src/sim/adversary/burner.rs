use super::{Adversary, AdversaryContext, Passage, Passing, written};
use crate::framing::{Frame, Message, Packet, Text};
use crate::time::Duration;

/// Sends the nonces of others ahead of them: in a name of its own, and unsigned in theirs, so that the true ping would be taken for a replay.
#[derive(Clone, Copy, Debug)]
pub struct Burner {
    /// Probability that a nonce is burned.
    pub zeal: f64,
}

impl Adversary for Burner {
    fn pass(&mut self, context: &mut AdversaryContext<'_>, passing: &mut Passing<'_>) -> Passage {
        if !context.rng.chance(self.zeal) {
            return Passage::Go;
        }
        let Ok(Frame { message: Message::Packet(packet), encoding }) = Frame::decode(passing.bytes) else {
            return Passage::Go;
        };
        let own = Packet { source_did: Text::new("jis:evil:stranger"), ..packet };
        let unsigned = Packet { proof: None, signature: Text::new(""), ..packet };
        for (from, copy) in [(context.me, own), (passing.from, unsigned)] {
            let bytes = written(|out| copy.encode(encoding, out));
            context.send(Duration::ZERO, from, passing.to, 0, bytes);
        }
        // And then the true one, as it was.
        let bytes = passing.bytes.clone();
        context.send(Duration::from_micros(1), passing.from, passing.to, passing.serial, bytes);
        Passage::Swallow
    }
}
