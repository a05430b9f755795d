//! Numbers as the wire has them: integers and floats are different things, and integers have no size limit.

use core::fmt;

use super::sink::{Full, Sink, SliceSink};

/// CPython refuses integers with more digits than this.
pub(super) const MAX_INT_DIGITS: usize = 4300;

/// A number, borrowed where it does not fit a machine word.
#[derive(Clone, Copy, Debug)]
pub enum Number<'a> {
    /// An integer within `i64`.
    Int(i64),
    /// An integer above `i64::MAX` and within `u64`.
    Uint(u64),
    /// An integer outside both: its decimal digits as JSON writes them, with `-` in front when negative.
    Big(BigInt<'a>),
    /// A float, not finite ones included.
    Float(f64),
}

/// The decimal digits of an integer outside `i64` and `u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BigInt<'a>(&'a str);

impl<'a> BigInt<'a> {
    /// `None` unless these are such digits, no more of them than CPython reads, and the number really is outside.
    pub(crate) fn from_digits(digits: &'a str) -> Option<Self> {
        let unsigned = digits.strip_prefix('-').unwrap_or(digits).as_bytes();
        let good = matches!(unsigned, [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit));
        let outside = digits.parse::<i64>().is_err() && digits.parse::<u64>().is_err();
        (good && outside && unsigned.len() <= MAX_INT_DIGITS).then_some(Self(digits))
    }

    /// The digits, with `-` in front when negative and without leading zeros.
    #[must_use]
    pub(crate) const fn digits(self) -> &'a str {
        self.0
    }
}

impl<'a> Number<'a> {
    /// The value of a number literal that a JSON scanner has already checked.
    pub(crate) fn from_json_literal(literal: &'a str) -> Self {
        match literal.as_bytes() {
            b"NaN" => return Self::Float(f64::NAN),
            b"Infinity" => return Self::Float(f64::INFINITY),
            b"-Infinity" => return Self::Float(f64::NEG_INFINITY),
            bytes if bytes.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) => {
                return Self::Float(literal.parse().unwrap_or(f64::NAN));
            }
            _ => {}
        }
        if let Ok(n) = literal.parse::<i64>() {
            return Self::Int(n);
        }
        literal.parse::<u64>().map_or(Self::Big(BigInt(literal)), Self::Uint)
    }

    /// The nearest float. An integer beyond the range of floats becomes infinite.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "nearest is what is promised")]
            Self::Int(n) => n as f64,
            #[expect(clippy::cast_precision_loss, reason = "nearest is what is promised")]
            Self::Uint(n) => n as f64,
            Self::Big(n) => n.0.parse().unwrap_or(f64::NAN),
            Self::Float(x) => x,
        }
    }

    /// Write it as Python's `json.dumps` does: `1`, `1.0`, `1e+16`, `1e-07`, `-0.0`, `NaN`, `Infinity`.
    ///
    /// # Errors
    /// [`Full`] when the sink is full.
    pub fn write(self, sink: &mut impl Sink) -> Result<(), Full> {
        match self {
            Self::Int(n) => sink.put(itoa::Buffer::new().format(n).as_bytes()),
            Self::Uint(n) => sink.put(itoa::Buffer::new().format(n).as_bytes()),
            Self::Big(n) => sink.put(n.0.as_bytes()),
            Self::Float(x) => write_float(x, sink),
        }
    }
}

/// Same kind and same value, so that equal numbers are written alike: `1` is not `1.0`, `0.0` is not `-0.0`, and not a
/// number equals itself.
impl PartialEq for Number<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Big(a), Self::Big(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
            _ => false,
        }
    }
}

impl Eq for Number<'_> {}

impl From<i64> for Number<'_> {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<u64> for Number<'_> {
    fn from(n: u64) -> Self {
        i64::try_from(n).map_or(Self::Uint(n), Self::Int)
    }
}

impl From<f64> for Number<'_> {
    fn from(x: f64) -> Self {
        Self::Float(x)
    }
}

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Out<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl Sink for Out<'_, '_> {
            fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
                let text = core::str::from_utf8(bytes).map_err(|_| Full)?;
                self.0.write_str(text).map_err(|_| Full)
            }
        }
        self.write(&mut Out(f)).map_err(|_| fmt::Error)
    }
}

/// The shortest digits that read back as the same float, laid out as Python's `repr`: exponent form below `1e-04` and
/// from `1e+16`, exponents of at least two digits, otherwise at least one digit after the point.
fn write_float(x: f64, sink: &mut impl Sink) -> Result<(), Full> {
    if let Some(units) = in_ten_thousandths(x) {
        return write_ten_thousandths(units, sink);
    }
    if x.is_finite() {
        return write_shortest(x, sink);
    }
    sink.put(match x {
        _ if x.is_nan() => b"NaN",
        _ if x > 0.0 => b"Infinity",
        _ => b"-Infinity",
    })
}

/// The same for any float that is finite.
fn write_shortest(x: f64, sink: &mut impl Sink) -> Result<(), Full> {
    let mut printed = zmij::Buffer::new();
    let printed = printed.format_finite(x).as_bytes();
    let mut all = [0; 32];
    let (digits, exponent) = split_digits(printed, &mut all);
    let mut room = [0; 40];
    let mut out = SliceSink::new(&mut room);
    if printed.first() == Some(&b'-') {
        out.put(b"-")?;
    }
    lay_out(digits, exponent, &mut out)?;
    sink.put(out.written())
}

/// A positive float that is nearest to a number of at most nine digits before and four behind the point: that number, in
/// units of 0.0001. Trust scores and sensor readings are like that.
///
/// Of at most 15 digits no two numbers have the same nearest float, so this one has the shortest digits that read back.
fn in_ten_thousandths(x: f64) -> Option<u64> {
    if !(1e-4..1e9).contains(&x) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 1 to 1e13")]
    let units = (x * 1e4 + 0.5) as u64;
    // Both are exact and division rounds to the nearest.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let back = units as f64 / 1e4;
    (back.to_bits() == x.to_bits()).then_some(units)
}

fn write_ten_thousandths(units: u64, sink: &mut impl Sink) -> Result<(), Full> {
    sink.put(itoa::Buffer::new().format(units / 10_000).as_bytes())?;
    let digit = |place: u64| b'0' + (units / place % 10).to_le_bytes()[0];
    let fraction = [b'.', digit(1000), digit(100), digit(10), digit(1)];
    let places = match units {
        _ if units.is_multiple_of(1000) => 1,
        _ if units.is_multiple_of(100) => 2,
        _ if units.is_multiple_of(10) => 3,
        _ => 4,
    };
    sink.put(&fraction[..=places])
}

/// The significant digits of a printed float, and the power of ten of the first of them. Zero is one digit `0`.
fn split_digits<'b>(printed: &[u8], all: &'b mut [u8; 32]) -> (&'b [u8], i32) {
    let (mantissa, exponent) = match printed.iter().position(|b| *b == b'e') {
        Some(at) => (&printed[..at], core::str::from_utf8(&printed[at + 1..]).ok().and_then(|e| e.parse().ok())),
        None => (printed, Some(0)),
    };
    let mut exponent: i32 = exponent.unwrap_or(0) - 1;
    let (mut len, mut before_point) = (0, true);
    for b in mantissa {
        match b {
            b'.' => before_point = false,
            b'0'..=b'9' => {
                if let Some(room) = all.get_mut(len) {
                    *room = *b;
                    len += 1;
                }
                exponent += i32::from(before_point);
            }
            _ => {}
        }
    }
    let digits = all.get(..len).unwrap_or_default();
    let Some(first) = digits.iter().position(|b| *b != b'0') else { return (b"0", 0) };
    let last = digits.iter().rposition(|b| *b != b'0').unwrap_or(first);
    (&digits[first..=last], exponent - i32::try_from(first).unwrap_or(0))
}

fn lay_out(digits: &[u8], exponent: i32, out: &mut SliceSink<'_>) -> Result<(), Full> {
    const ZEROS: &[u8] = b"0000000000000000";
    if let -4..=-1 = exponent {
        let zeros = usize::try_from(-1 - exponent).unwrap_or(0);
        out.put(b"0.")?;
        out.put(&ZEROS[..zeros])?;
        return out.put(digits);
    }
    if let 0..=15 = exponent {
        let whole = usize::try_from(exponent + 1).unwrap_or(0);
        let Some((before, after)) = digits.split_at_checked(whole) else {
            out.put(digits)?;
            out.put(&ZEROS[..whole - digits.len()])?;
            return out.put(b".0");
        };
        out.put(before)?;
        out.put(b".")?;
        return out.put(if after.is_empty() { b"0" } else { after });
    }
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, b""));
    out.put(first)?;
    if !rest.is_empty() {
        out.put(b".")?;
        out.put(rest)?;
    }
    out.put(if exponent < 0 { b"e-" } else { b"e+" })?;
    let size = exponent.unsigned_abs();
    if size < 10 {
        out.put(b"0")?;
    }
    out.put(itoa::Buffer::new().format(size).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::{in_ten_thousandths, write_float, write_shortest};

    /// Both ways of writing a float, if both are open to it.
    fn agree(x: f64) -> bool {
        let (mut short, mut shortest) = (Vec::new(), Vec::new());
        write_float(x, &mut short).unwrap();
        write_shortest(x, &mut shortest).unwrap();
        short == shortest
    }

    proptest! {
        #[test]
        fn short_numbers_are_written_as_all_others_are(units in 1_u64..10_000_000_000_000, places in 0..5) {
            let x = units as f64 / 10_f64.powi(places);
            for x in [x, x.next_up(), x.next_down(), x / 1e4, -x] {
                prop_assert!(agree(x), "{x:?}");
            }
        }
    }

    #[test]
    fn ends_of_the_range() {
        for x in [1e-4, 0.000_05, 1e-5, 1e9, 999_999_999.999_9, 0.5, 1.0, 21.5, 0.0, -0.0, 100.25] {
            for x in [x, f64::next_up(x), f64::next_down(x)] {
                assert!(agree(x), "{x:?}");
            }
        }
        assert_eq!(in_ten_thousandths(0.9), Some(9_000));
        assert_eq!(in_ten_thousandths(0.1 + 0.2), None);
    }
}
