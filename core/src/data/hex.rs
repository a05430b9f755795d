//! Lower-case hex without allocation: ids, nonces, signatures.

use super::sink::{Full, Sink};

/// The two lower-case digits of a byte. Without a table, so that a run of bytes is done many at a time.
#[must_use]
#[inline]
pub const fn pair(byte: u8) -> [u8; 2] {
    const fn nibble(n: u8) -> u8 {
        n + b'0' + if n > 9 { b'a' - b'9' - 1 } else { 0 }
    }
    [nibble(byte >> 4), nibble(byte & 15)]
}

/// The value of one hex digit of either case.
#[must_use]
pub const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The 16 digits of a number, most significant first.
#[must_use]
pub fn u64_digits(n: u64) -> [u8; 16] {
    let mut out = [0; 16];
    for (two, byte) in out.chunks_exact_mut(2).zip(n.to_be_bytes()) {
        two.copy_from_slice(&pair(byte));
    }
    out
}

/// Write two digits a byte.
///
/// # Errors
/// [`Full`] when the sink is full.
pub fn write(sink: &mut impl Sink, bytes: &[u8]) -> Result<(), Full> {
    bytes.iter().try_for_each(|byte| sink.put(&pair(*byte)))
}

/// Read exactly `out.len()` bytes from `2 * out.len()` lower-case digits; `None` for anything else, upper case included,
/// so that every value has one spelling.
#[must_use]
pub fn parse(text: &[u8], out: &mut [u8]) -> Option<()> {
    if text.len() != out.len().checked_mul(2)? {
        return None;
    }
    // All are looked at, whatever they are: no branch for each.
    let mut seen = 0;
    for (byte, [high, low]) in out.iter_mut().zip(text.as_chunks::<2>().0) {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    (seen < 16).then_some(())
}

/// The value of every byte as a lower-case digit; one with high bits set is none.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Read a number from exactly 16 lower-case digits.
#[must_use]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let text: &[u8; 16] = text.try_into().ok()?;
    // All sixteen are looked at, whatever they are: no branch for each.
    let (mut number, mut seen) = (0_u64, 0_u8);
    for byte in text {
        let value = VALUES[usize::from(*byte)];
        seen |= value;
        number = number << 4 | u64::from(value & 15);
    }
    (seen < 16).then_some(number)
}
