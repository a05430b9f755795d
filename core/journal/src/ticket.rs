//! A line's way to the disk, to be waited for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::fail::Failure;
use crate::queue::Place;
use crate::shared::Leads;

/// A line that is queued. It resolves when the line is on the medium, or is known not to be written.
///
/// Queued lines go to the disk when the first ticket among them is awaited or [waited for](Self::wait), together with all others
/// queued by then. A ticket that is dropped sends them off as well: the line is written, only nobody hears of it.
#[must_use = "await it: until it resolves, the line is not written"]
pub struct Ticket {
    place: Place,
    journal: Arc<dyn Leads>,
    /// Somebody has been told to write.
    awaited: bool,
}

impl Ticket {
    pub(crate) fn new(place: Place, journal: Arc<dyn Leads>) -> Self {
        Self { place, journal, awaited: false }
    }

    /// What became of the line, if that is known by now.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), Failure>> {
        self.place.outcome()
    }

    /// Wait on this thread, which may become the one that writes.
    ///
    /// # Errors
    /// The line is not written.
    pub fn wait(mut self) -> Result<(), Failure> {
        self.awaited = true;
        // Of many tickets that are waited for one by one, most are settled with the first.
        match self.place.outcome() {
            Some(outcome) => outcome,
            None => self.journal.clone().wait_place(&self.place),
        }
    }
}

impl Future for Ticket {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.awaited = true;
        match self.place.outcome() {
            Some(outcome) => Poll::Ready(outcome),
            None => self.journal.clone().poll_place(&self.place, cx),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.awaited && self.place.outcome().is_none() {
            self.journal.clone().start();
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("outcome", &self.outcome()).finish_non_exhaustive()
    }
}
