//! ISO 8601 timestamps as Python reads and writes them.
//!
//! [`parse`] takes what `datetime.fromisoformat` of CPython 3.11 takes after every `Z` was replaced by `+00:00`, as the reference
//! does: calendar and week dates with or without dashes, any character between date and time, parts of a time, offsets
//! down to fractions of a second, and that parser's oddities. Only texts over [`MAX_TEXT`] bytes are refused although Python
//! would read them (it takes any number of fraction digits). [`format()`] writes what `isoformat()` writes of a UTC time.

use super::Wall;

/// Longest text in bytes that [`parse`] looks at.
pub const MAX_TEXT: usize = 128;

/// Bytes of the longest text that [`format()`] writes.
pub const FORMAT_LEN: usize = 32;

/// 0001-01-01T00:00:00Z, the earliest time that can be written.
const FIRST: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z, the last one.
const LAST: i64 = 253_402_300_799_999_999;

const DAY_US: i64 = 86_400_000_000;
const SECOND_US: i64 = 1_000_000;

/// Read a timestamp; without an offset it is UTC. Fraction digits beyond microseconds are cut off.
#[must_use]
pub fn parse(text: &str) -> Option<Wall> {
    parse_zoned(text).map(|(wall, _)| wall)
}

/// As [`parse`], and whether the text says how far from UTC it is: a time without that is only as good as the guess where it
/// was written.
#[must_use]
pub fn parse_zoned(text: &str) -> Option<(Wall, bool)> {
    usual(text.as_bytes()).or_else(|| anything(text)).map(|(micros, zoned)| (Wall::from_micros(micros), zoned))
}

/// The form that both sides write: `YYYY-MM-DDTHH:MM:SS[.ffffff]` and `+00:00`, `Z` or nothing. `None`: not that, or out of
/// range; let [`anything`] decide.
fn usual(text: &[u8]) -> Option<(i64, bool)> {
    let (stamp, rest) = text.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] = *stamp else {
        return None;
    };
    let micros = match *rest {
        [b'.', a, b, c, d, e, f, b'+', b'0', b'0', b':', b'0', b'0']
        | [b'.', a, b, c, d, e, f, b'Z']
        | [b'.', a, b, c, d, e, f] => two(a, b)? * 10_000 + two(c, d)? * 100 + two(e, f)?,
        [b'+', b'0', b'0', b':', b'0', b'0'] | [b'Z'] | [] => 0,
        _ => return None,
    };
    let days = days_of_date(two(y0, y1)? * 100 + two(y2, y3)?, two(m0, m1)?, two(d0, d1)?)?;
    let time = time_of_day(two(h0, h1)?, two(n0, n1)?, two(s0, s1)?)?;
    let zoned = !matches!(rest, [] | [b'.', _, _, _, _, _, _]);
    Some((i64::from(days) * DAY_US + i64::from(time) * SECOND_US + i64::from(micros), zoned))
}

/// The number that two digits are.
fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Seconds since midnight. There are no leap seconds.
fn time_of_day(hour: u32, minute: u32, second: u32) -> Option<u32> {
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days since 1970-01-01 of a date in the years 1 to 9999.
fn days_of_date(year: u32, month: u32, day: u32) -> Option<i32> {
    const DAYS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let longest = *DAYS.get(month.wrapping_sub(1) as usize)? + u32::from(month == 2 && is_leap(year));
    if year == 0 || year > 9999 || day == 0 || day > longest {
        return None;
    }
    // Years and months counted from March, so that the leap day is the last of its year.
    let (y, m) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    // From 0000-03-01 to 1970-01-01.
    i32::try_from(days).ok().map(|days| days - 719_468)
}

/// Days since 1970-01-01 of a day of an ISO week.
fn days_of_week_date(year: u32, week: u32, day: u32) -> Option<i32> {
    let new_year = days_of_date(year, 1, 1)?;
    // 1970-01-01 was a Thursday; 0 is Monday.
    let weekday = (new_year + 3).rem_euclid(7);
    let has_53 = weekday == 3 || (weekday == 2 && is_leap(year));
    if week == 0 || week > 53 || (week == 53 && !has_53) || day == 0 || day > 7 {
        return None;
    }
    // Week 1 is the one with the first Thursday.
    let first_monday = new_year - weekday + if weekday > 3 { 7 } else { 0 };
    let days = first_monday + i32::try_from((week - 1) * 7 + day - 1).ok()?;
    // Not beyond 9999-12-31.
    (i64::from(days) * DAY_US <= LAST).then_some(days)
}

/// What Python reads, in all its forms.
fn anything(text: &str) -> Option<(i64, bool)> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut buffer = [0; MAX_TEXT + 16];
    let mut len = 0;
    for byte in text.bytes() {
        let written: &[u8] = if byte == b'Z' { b"+00:00" } else { core::slice::from_ref(&byte) };
        buffer.get_mut(len..len + written.len())?.copy_from_slice(written);
        len += written.len();
    }
    let text = Text(buffer.get(..len)?);
    if len < 7 {
        return None;
    }
    let date_len = text.date_len()?;
    let days = text.date(date_len)?;
    let (mut time, mut offset) = (0, None);
    if len > date_len {
        // One character of any kind stands between date and time.
        let separator = match text.at(date_len) {
            0..0x80 => 1,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
            _ => 2,
        };
        (time, offset) = Text(text.0.get(date_len + separator..)?).time_and_offset()?;
    }
    Some((i64::from(days) * DAY_US + time - offset.unwrap_or(0), offset.is_some()))
}

/// A text that ends in as many NUL characters as anybody looks at, as it does in C.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn at(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn digit(&self, at: usize) -> Option<u32> {
        let digit = self.at(at).wrapping_sub(b'0');
        (digit <= 9).then_some(u32::from(digit))
    }

    fn digits(&self, at: usize, count: usize) -> Option<u32> {
        (at..at + count).try_fold(0, |n, at| Some(n * 10 + self.digit(at)?))
    }

    /// Where the date ends. `YYYYWww` and `YYYYWwwD` can both be followed by digits; then their number decides, and
    /// `YYYY-Www-D` is a date unless two digits follow the dash, which are then an hour.
    fn date_len(&self) -> Option<usize> {
        let len = self.0.len();
        if len == 7 {
            return Some(7);
        }
        match (self.at(4), self.at(5)) {
            (b'-', b'W') if len > 8 && self.at(8) == b'-' => match len {
                9 => None,
                _ if len > 10 && self.digit(10).is_some() => Some(8),
                _ => Some(10),
            },
            (b'-', b'W') => Some(8),
            (b'-', _) => Some(10),
            (b'W', _) => {
                let end = (7..len).find(|at| self.digit(*at).is_none()).unwrap_or(len);
                Some(if end < 9 { end } else { 7 + end % 2 })
            }
            _ => Some(8),
        }
    }

    /// Days since 1970-01-01 of the date in the first `len` bytes.
    fn date(&self, len: usize) -> Option<i32> {
        let year = self.digits(0, 4)?;
        let dashes = usize::from(self.at(4) == b'-');
        let at = 4 + dashes;
        if self.at(at) == b'W' {
            let week = self.digits(at + 1, 2)?;
            let at = at + 3;
            if at >= len {
                return days_of_week_date(year, week, 1);
            }
            if dashes == 1 && self.at(at) != b'-' {
                return None;
            }
            return days_of_week_date(year, week, self.digit(at + dashes)?);
        }
        let month = self.digits(at, 2)?;
        if dashes == 1 && self.at(at + 2) != b'-' {
            return None;
        }
        days_of_date(year, month, self.digits(at + 2 + dashes, 2)?)
    }

    /// Microseconds since midnight, and microseconds east of UTC where that is said.
    fn time_and_offset(&self) -> Option<(i64, Option<i64>)> {
        let sign = (0..self.0.len()).find(|at| matches!(self.at(*at), b'+' | b'-'));
        let end = sign.unwrap_or(self.0.len());
        let (clock, rest) = self.clock(0, end)?;
        let time = i64::from(time_of_day(clock.hour, clock.minute, clock.second)?) * SECOND_US + clock.micros();
        let Some(sign) = sign else { return (!rest).then_some((time, None)) };
        // Before a sign, one more character is overlooked: `12:00:00 +00:00`.
        let (east, rest) = self.clock(sign + 1, self.0.len())?;
        let seconds = i64::from(east.hour) * 3600 + i64::from(east.minute) * 60 + i64::from(east.second);
        let offset = seconds * SECOND_US + east.micros();
        if rest || offset >= DAY_US {
            return None;
        }
        // No whole second: taken for UTC, fraction or not.
        let offset = if seconds == 0 { 0 } else { offset };
        Some((time, Some(if self.at(sign) == b'-' { -offset } else { offset })))
    }

    /// `HH[[:]MM[[:]SS[.ffffff]]]` in `from..end`, and whether something is left over at the end.
    fn clock(&self, from: usize, end: usize) -> Option<(Clock, bool)> {
        let mut clock = Clock::default();
        let mut at = from;
        let mut colons = true;
        for part in 0..3 {
            let value = self.digits(at, 2)?;
            match part {
                0 => clock.hour = value,
                1 => clock.minute = value,
                _ => clock.second = value,
            }
            let next = self.at(at + 2);
            at += 3;
            if part == 0 {
                colons = next == b':';
            }
            if at >= end {
                return Some((clock, next != 0));
            }
            match next {
                b':' if colons => {}
                b'.' | b',' => break,
                _ if !colons => at -= 1,
                _ => return None,
            }
        }
        clock.digits = (end - at).min(6);
        clock.fraction = self.digits(at, clock.digits)?;
        at += clock.digits;
        while self.digit(at).is_some() {
            at += 1;
        }
        Some((clock, self.at(at) != 0))
    }
}

#[derive(Default)]
struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
    fraction: u32,
    digits: usize,
}

impl Clock {
    fn micros(&self) -> i64 {
        (self.digits..6).fold(i64::from(self.fraction), |n, _| n * 10)
    }
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        #[allow(clippy::cast_possible_truncation)] // digits
        {
            pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        }
        n += 1;
    }
    pairs
};

/// Write a time as Python's `isoformat()` writes it in UTC: `2025-01-15T12:00:00.000123+00:00`, without the fraction when that is
/// 0. Times outside of the years 1 to 9999 are written as the nearest that is inside.
pub fn format(wall: Wall, out: &mut [u8; FORMAT_LEN]) -> &str {
    let micros = wall.as_micros().clamp(FIRST, LAST) - FIRST;
    // Both fit: 3,652,059 days and 86,400,000,000 microseconds a day. Unsigned, so that dividing is multiplying.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let (days, of_day) = ((micros as u64 / DAY_US as u64) as u32, micros as u64 % DAY_US as u64);
    #[allow(clippy::cast_possible_truncation)]
    let (second, micro) = ((of_day / 1_000_000) as u32, (of_day % 1_000_000) as u32);
    let (year, month, day) = date_of_days(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let pair = |n: u32| PAIRS.get(n as usize).copied().unwrap_or(*b"??");
    let ([y0, y1], [y2, y3], [m0, m1], [d0, d1]) = (pair(year / 100), pair(year % 100), pair(month), pair(day));
    let ([h0, h1], [n0, n1], [s0, s1]) = (pair(hour), pair(minute), pair(second));
    let ([a, b], [c, d], [e, f]) = (pair(micro / 10_000), pair(micro / 100 % 100), pair(micro % 100));
    *out = [
        y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1, b'.', a, b, c, d, e, f,
        b'+', b'0', b'0', b':', b'0', b'0',
    ];
    let mut len = FORMAT_LEN;
    if micro == 0 {
        out.copy_within(26.., 19);
        len = 25;
    }
    core::str::from_utf8(out.get(..len).unwrap_or_default()).unwrap_or_default()
}

/// Year, month and day, from days since 0001-01-01.
const fn date_of_days(days: u32) -> (u32, u32, u32) {
    // Counted from 0000-03-01: four centuries, within them years of March to February.
    let days = days + 306;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests;
