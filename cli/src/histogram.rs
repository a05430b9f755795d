//! Percentiles of any number of durations in bounded memory.

use std::time::Duration;

/// Sub-buckets to a power of two: a value is known to 1 part in 1,024.
const BITS: u32 = 10;
const SUB: u64 = 1 << BITS;

/// A log-linear histogram of nanoseconds. It grows with the largest value, to 440 KiB at most.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    len: u64,
    min: u64,
    max: u64,
}

impl Histogram {
    /// Count one duration.
    pub(crate) fn add(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let at = bucket(nanos);
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] += 1;
        self.min = if self.len == 0 { nanos } else { self.min.min(nanos) };
        self.max = self.max.max(nanos);
        self.len += 1;
    }

    /// How many were counted.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// The smallest, exactly.
    pub(crate) fn min(&self) -> Option<Duration> {
        (self.len > 0).then(|| Duration::from_nanos(self.min))
    }

    /// The largest, exactly.
    pub(crate) fn max(&self) -> Option<Duration> {
        (self.len > 0).then(|| Duration::from_nanos(self.max))
    }

    /// The value that `percent` of all are not above (nearest rank), to 1 part in 1,024.
    pub(crate) fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (u128::from(self.len) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.buckets.iter().position(|n| {
            seen += u128::from(*n);
            seen >= rank
        })?;
        Some(Duration::from_nanos(middle(at).clamp(self.min, self.max)))
    }
}

/// Values below `SUB` have a bucket each; above, every power of two has `SUB` of them.
fn bucket(nanos: u64) -> usize {
    let shift = (64 - nanos.leading_zeros()).saturating_sub(BITS + 1);
    let at = u64::from(shift) * SUB + (nanos >> shift);
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The middle of a bucket.
fn middle(at: usize) -> u64 {
    let at = at as u64;
    let shift = (at / SUB).saturating_sub(1);
    let low = (at - shift * SUB) << shift;
    low + (1 << shift >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(d: Option<Duration>) -> u64 {
        u64::try_from(d.unwrap().as_nanos()).unwrap()
    }

    #[test]
    fn every_value_falls_into_a_bucket_that_is_near_it() {
        let mut last = 0;
        for n in (0..5000).chain((0..64).flat_map(|b| [(1 << b) - 1, 1 << b, (1 << b) + (1 << b >> 1)])) {
            let m = middle(bucket(n));
            assert!(m.abs_diff(n) <= n / 1024, "{n} {m}");
            last = last.max(bucket(n));
        }
        assert!(bucket(u64::MAX) < 56 * 1024 && last <= bucket(u64::MAX));
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut h = Histogram::default();
        assert_eq!((h.min(), h.percentile(50), h.max()), (None, None, None));
        for n in (1..=1000).rev() {
            h.add(Duration::from_nanos(n));
        }
        assert_eq!(h.len(), 1000);
        assert_eq!([nanos(h.percentile(50)), nanos(h.percentile(90)), nanos(h.percentile(99))], [500, 900, 990]);
        assert_eq!((nanos(h.min()), nanos(h.max()), nanos(h.percentile(100))), (1, 1000, 1000));
    }

    #[test]
    fn one_value_is_every_percentile() {
        let mut h = Histogram::default();
        h.add(Duration::from_nanos(123_456_789));
        for p in [0, 1, 50, 99, 100] {
            assert_eq!(nanos(h.percentile(p)), 123_456_789);
        }
    }
}
