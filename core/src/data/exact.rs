//! Whether a value comes out of a writer as it went in.

use super::json;
use super::number::Number;
use super::sink::SliceSink;
use super::value::{Repr, Value};
use super::walk::{Order, Walk};

impl<'a> Value<'a> {
    /// Whether [`write_json`](Self::write_json) writes the very value that was read: no object in it has a key twice, of which
    /// only the last would be written, and every number is printed as the same number, whatever its form (`1.50` is `1.5`, but
    /// `1e-400` is not `0.0`, nor `1.00000000000000000001` the same as `1.0`).
    ///
    /// It says nothing of values that JSON has no form for; see also [`is_finite`](Self::is_finite). Without `alloc` it is `false`
    /// for what is too large to be compared on the stack.
    #[must_use]
    pub fn is_exact(self) -> bool {
        let known = self.known();
        // What is known to be as the reference writes it holds no other numbers than it prints.
        let numbers = known.spaced || known.wire || self.json_text().is_none_or(json::numbers_are_exact);
        numbers
            && (known.unique
                || self.json_spaced().is_some_and(|(text, _)| json::is_unique(text))
                || self.has_no_key_twice())
    }

    /// The long way: writers pass over a key that comes again.
    fn has_no_key_twice(self) -> bool {
        let mut written = 0_usize;
        for event in Walk::new(self, Order::AsWritten) {
            if event.is_err() {
                return false;
            }
            written += 1;
        }
        written == self.tokens().count()
    }

    /// The bytes as which it was read: JSON text or msgpack.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        match self.repr() {
            Repr::Json(text) => text.as_bytes(),
            Repr::Msgpack(bytes) => bytes,
        }
    }
}

/// Whether the float that a numeral is read as is printed as the same number.
pub(super) fn prints_the_same(numeral: &str) -> bool {
    let Ok(read) = numeral.parse::<f64>() else { return false };
    let mut room = [0; 40];
    let mut printed = SliceSink::new(&mut room);
    if !read.is_finite() || Number::Float(read).write(&mut printed).is_err() {
        return false;
    }
    core::str::from_utf8(printed.written()).is_ok_and(|printed| Decimal::of(numeral) == Decimal::of(printed))
}

/// The number that a numeral stands for: equal where the numbers are, however they are written.
struct Decimal<'a> {
    negative: bool,
    /// Digits before and behind the point.
    whole: &'a str,
    fraction: &'a str,
    /// The power of ten of the last digit of the fraction.
    exponent: i64,
}

impl<'a> Decimal<'a> {
    fn of(numeral: &'a str) -> Self {
        let (mantissa, exponent) = numeral.split_once(['e', 'E']).unwrap_or((numeral, "0"));
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // An exponent that no integer holds is none of a number that a float prints.
        let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX / 2);
        let behind = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        Self { negative, whole, fraction, exponent: exponent.saturating_sub(behind) }
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// The digits from the first to the last that is not zero, how many these are, and the power of ten of the last of them.
    fn significant(&self) -> (impl Iterator<Item = u8>, usize, i64) {
        let zeros = self.digits().rev().take_while(|digit| *digit == b'0').count();
        let leading = self.digits().take_while(|digit| *digit == b'0').count();
        let count = (self.whole.len() + self.fraction.len()).saturating_sub(leading).saturating_sub(zeros);
        let exponent = self.exponent.saturating_add(i64::try_from(zeros).unwrap_or(i64::MAX));
        // Zero has no digits, and no power of ten.
        (self.digits().skip(leading).take(count), count, if count == 0 { 0 } else { exponent })
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        let ((a, a_count, a_exponent), (b, b_count, b_exponent)) = (self.significant(), other.significant());
        self.negative == other.negative && a_count == b_count && a_exponent == b_exponent && a.eq(b)
    }
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn what_a_writer_would_change_is_not_exact() {
        for exact in [
            "{}",
            r#"{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}"#,
            r#"{"b":1.50,"a":[1e2,100e-2,0e99999999999999999999,-0.00]}"#,
            "[9007199254740994.0,1e22,5e-324,1E+300]",
            "[123456789012345678901234567890, 18446744073709551615]",
            r#"["1e-400", "\"9007199254740993.0", "\\", "\ud800"]"#,
            "[ 0.1 , 100000000000000000000000.0 ]",
        ] {
            assert!(Value::from_json(exact).unwrap().is_exact(), "{exact}");
        }
        for changed in [
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": 1, "a": 1}"#,
            r#"[{"x":{"b":1,"c":2,"b":1}}]"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b": 1, "a": {"z": 1, "z": 2}}"#,
            "1e-400",
            "[0.0,-1e-999999999999999999999]",
            "9007199254740993.0",
            "[1.00000000000000000001]",
            "[\"1.5\\\\\", 2e99999]",
            "{\"a\": 1.50000000000000000001}",
            "0.1000000000000000055511151231257827",
        ] {
            assert!(!Value::from_json(changed).unwrap().is_exact(), "{changed}");
        }
        assert!(Value::from_msgpack(b"\x82\xa1a\x01\xa1b\x02").unwrap().is_exact());
        assert!(!Value::from_msgpack(b"\x82\xa1a\x01\xa1a\x02").unwrap().is_exact());
        // A text and a byte string are two keys.
        assert!(Value::from_msgpack(b"\x82\xa1a\x01\xc4\x01a\x02").unwrap().is_exact());
    }
}
