//! Vouches as records of a store.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::{Expiry, Vouch, VouchError, VouchRegistry};
use crate::time::Wall;

impl VouchRegistry {
    /// The vouch with this id as a record: lines of the voucher, the trust that is lent, the end, and each name that is vouched for. A name has no line breaks.
    pub(crate) fn write(&self, id: &str) -> Option<String> {
        let (voucher, trust, expires) = self.get(id)?;
        let mut out = String::new();
        // A string takes everything.
        let _ = write!(out, "{voucher}\n{trust}\n");
        let _ = match expires {
            Expiry::Never => write!(out, "never"),
            Expiry::After(end) => write!(out, "{}", end.as_micros()),
            Expiry::Unreadable => write!(out, "over"),
        };
        self.vouched_by(id).for_each(|did| _ = write!(out, "\n{did}"));
        Some(out)
    }

    /// Take in what [`write`](Self::write) wrote; false if the record is damaged.
    pub(crate) fn read(&mut self, id: &str, record: &str, wall: Wall) -> Result<bool, VouchError> {
        let mut lines = record.split('\n');
        let (Some(voucher_did), Some(Ok(voucher_trust)), Some(end)) =
            (lines.next(), lines.next().map(str::parse::<f64>), lines.next())
        else {
            return Ok(false);
        };
        let expires = match end {
            "never" => Expiry::Never,
            "over" => Expiry::Unreadable,
            micros => match micros.parse() {
                Ok(micros) => Expiry::After(Wall::from_micros(micros)),
                Err(_) => return Ok(false),
            },
        };
        let vouched: Vec<&str> = lines.collect();
        let vouch = Vouch { id, voucher_did, voucher_trust, factor: 1.0, vouched: &vouched, expires };
        self.add(&vouch, wall).map(|_| true)
    }
}
