//! What became of the pings.

use std::time::Duration;

use sluis_core::framing::Decision;

use crate::histogram::Histogram;
use crate::output::json::Object;
use crate::view::millis;

/// Counters of a run. Each ping that was received counts once as accept, pending or reject.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Pings that were handed to the node.
    pub(super) sent: u64,
    /// Of those, pings that did not leave.
    pub(super) unsent: u64,
    /// Pings that had an answer.
    pub(super) received: u64,
    pub(super) accept: u64,
    pub(super) pending: u64,
    pub(super) reject: u64,
    /// Of first answers.
    rtt: Histogram,
}

impl Tally {
    /// Count an answer; `was_pending` when it is the decision after a pending one.
    pub(super) fn answer(&mut self, decision: Decision, was_pending: bool, rtt: Duration) {
        if was_pending {
            self.pending -= 1;
        } else {
            self.received += 1;
            self.rtt.add(rtt);
        }
        *match decision {
            Decision::Accept => &mut self.accept,
            Decision::Pending => &mut self.pending,
            Decision::Reject => &mut self.reject,
        } += 1;
    }

    /// Pings that left.
    fn left(&self) -> u64 {
        self.sent - self.unsent
    }

    fn lost(&self) -> u64 {
        self.left() - self.received
    }

    /// Pings answered in a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits than a float has")]
    fn per_second(&self, elapsed: Duration) -> f64 {
        if elapsed.is_zero() { 0.0 } else { self.received as f64 / elapsed.as_secs_f64() }
    }

    fn figures(&self) -> [(&'static str, Option<f64>); 5] {
        let at = |percent| self.rtt.percentile(percent);
        [("min", self.rtt.min()), ("p50", at(50)), ("p90", at(90)), ("p99", at(99)), ("max", self.rtt.max())]
            .map(|(name, rtt)| (name, rtt.map(millis)))
    }

    pub(super) fn json<'l>(&self, object: Object<'l>, elapsed: Duration) -> Object<'l> {
        object
            .raw("sent", self.left())
            .raw("received", self.received)
            .raw("lost", self.lost())
            .raw("accept", self.accept)
            .raw("pending", self.pending)
            .raw("reject", self.reject)
            .rounded("elapsed_s", Some(elapsed.as_secs_f64()), 6)
            .rounded("per_second", Some(self.per_second(elapsed)), 3)
            .object("rtt_ms", |o| self.figures().into_iter().fold(o, |o, (name, ms)| o.rounded(name, ms, 4)))
    }

    pub(super) fn text(&self, elapsed: Duration) -> String {
        let (sent, Self { received, accept, pending, reject, .. }) = (self.left(), self);
        format!(
            "{sent} sent, {received} received, {} lost: {accept} accepted, {pending} pending, {reject} refused; {:.3} s, \
             {:.1} per second",
            self.lost(),
            elapsed.as_secs_f64(),
            self.per_second(elapsed)
        )
    }

    /// The line about round-trip times; none when there are none.
    pub(super) fn rtt_text(&self) -> Option<String> {
        self.rtt.min()?;
        let figures = self.figures().map(|(name, ms)| format!("{name} {:.3}", ms.unwrap_or_default()));
        Some(format!("round trip in ms: {}", figures.join("  ")))
    }
}
