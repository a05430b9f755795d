use super::{Adversary, AdversaryContext, Passage, Passing};

/// Changes what passes: bits, bytes, lengths.
#[derive(Clone, Copy, Debug)]
pub struct Tamperer {
    /// Probability that a datagram is changed.
    pub zeal: f64,
}

impl Adversary for Tamperer {
    fn pass(&mut self, context: &mut AdversaryContext<'_>, passing: &mut Passing<'_>) -> Passage {
        if passing.bytes.is_empty() || !context.rng.chance(self.zeal) {
            return Passage::Go;
        }
        let len = passing.bytes.len();
        let at = context.rng.index(len);
        match context.rng.below(5) {
            0 => passing.bytes[at] ^= 1 << context.rng.below(8),
            1 => passing.bytes[at] = context.rng.u64() as u8,
            2 => passing.bytes.truncate(at),
            3 => passing.bytes.push(0),
            _ => {
                // Another digit for a digit, another letter for a letter: it stays readable.
                if let Some(byte) = passing.bytes[at..].iter_mut().find(|b| b.is_ascii_alphanumeric()) {
                    *byte = if *byte == b'9' || *byte == b'z' || *byte == b'Z' { *byte - 1 } else { *byte + 1 };
                }
            }
        }
        Passage::Go
    }
}
