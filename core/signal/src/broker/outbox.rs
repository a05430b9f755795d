//! What waits to be written to a broker, and what it has not acknowledged.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use sluis_core::Instant;
use sluis_core::time::Duration;

use super::{PublishError, Settings};
use crate::key::{PUBLIC_LEN, PublicKey};
use crate::mqtt::encode;

/// A packet that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: u64,
    pub(super) topic: [u8; 2 * PUBLIC_LEN],
    pub(super) payload: Arc<[u8]>,
}

/// A packet that the broker has not acknowledged.
#[derive(Debug)]
struct Sent {
    id: u16,
    ticket: u64,
    at: Instant,
}

#[derive(Debug)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// In the order in which they were sent.
    in_flight: VecDeque<Sent>,
    last_id: u16,
    /// When the next packet would leave if all left at the rate: the later it lies ahead, the more of the burst is used up.
    paced: Instant,
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, in_flight: VecDeque::new(), last_id: 1, paced: Instant::ZERO }
    }

    /// Forget all of a connection that is no more, save the pace: a new connection is the same broker.
    pub(super) fn clear(&mut self) {
        *self = Self { paced: self.paced, ..Self::new() };
    }

    pub(super) fn push(
        &mut self,
        settings: &Settings,
        to: &PublicKey,
        payload: Arc<[u8]>,
        ticket: u64,
    ) -> Result<(), PublishError> {
        if encode::publish_len(2 * PUBLIC_LEN, payload.len()) > settings.max_packet {
            return Err(PublishError::TooLong);
        }
        if self.waiting.len() >= settings.max_queue || self.bytes + payload.len() > settings.max_queue_bytes {
            return Err(PublishError::Full);
        }
        self.bytes += payload.len();
        self.waiting.push_back(Waiting { ticket, topic: to.to_hex(), payload });
        Ok(())
    }

    /// Take back all that waits under a ticket; whether there was anything.
    pub(super) fn cancel(&mut self, ticket: u64) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.ticket != ticket);
        self.bytes = self.waiting.iter().map(|waiting| waiting.payload.len()).sum();
        self.waiting.len() != before
    }

    #[cfg(feature = "sim")]
    pub(super) fn is_within_cap(&self, settings: &Settings) -> bool {
        self.waiting.len() <= settings.max_queue
            && self.bytes <= settings.max_queue_bytes
            && self.in_flight.len() <= settings.max_in_flight
    }

    /// Bytes of heap for what is known of the packets.
    pub(super) fn heap_bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<Waiting>() + self.in_flight.capacity() * size_of::<Sent>()
    }

    /// When the next packet may leave; `None` when there is none, or the broker has too many to acknowledge.
    pub(super) fn due(&self, settings: &Settings) -> Option<Instant> {
        let free = !self.waiting.is_empty() && self.in_flight.len() < settings.max_in_flight;
        free.then(|| self.paced - interval(settings) * settings.burst.saturating_sub(1))
    }

    /// The next packet, if it may leave now, with a packet id that none in flight has.
    pub(super) fn next(&mut self, settings: &Settings, now: Instant) -> Option<(u16, Waiting)> {
        self.due(settings).filter(|due| *due <= now)?;
        let waiting = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(waiting.payload.len());
        let id = self.fresh_id();
        self.in_flight.push_back(Sent { id, ticket: waiting.ticket, at: now });
        self.paced = self.paced.max(now) + interval(settings);
        Some((id, waiting))
    }

    /// The broker has a packet: under which ticket it was sent.
    pub(super) fn taken(&mut self, id: u16) -> Option<u64> {
        let at = self.in_flight.iter().position(|sent| sent.id == id)?;
        self.in_flight.remove(at).map(|sent| sent.ticket)
    }

    /// Since when the broker owes an acknowledgement.
    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        self.in_flight.front().map(|sent| sent.at)
    }

    /// Zero is none, and 1 is the subscription's. There are fewer in flight than ids.
    fn fresh_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.last_id > 1 && self.in_flight.iter().all(|sent| sent.id != self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// From one packet to the next at the rate.
fn interval(settings: &Settings) -> Duration {
    Duration::from_secs(1) / settings.rate.max(1)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::key::SecretKey;

    fn filled(settings: &Settings, count: u64) -> Outbox {
        let to = SecretKey::from_bytes(&[1; 32]).unwrap().public();
        let mut outbox = Outbox::new();
        for ticket in 0..count {
            outbox.push(settings, &to, Arc::from(&b"x"[..]), ticket).unwrap();
        }
        outbox
    }

    /// The counter of the reference skips zero and what is in flight (`mqtt_packet_ids.jsonl`); ours also that of the subscription.
    #[test]
    fn packet_ids_are_never_zero_and_never_twice_in_flight() {
        let settings = Settings { burst: 1_000_000, max_in_flight: 3, max_queue: 70_000, ..Settings::default() };
        let mut outbox = filled(&settings, 66_000);
        let (mut seen, mut now) = (Vec::new(), Instant::ZERO);
        let (first, _) = outbox.next(&settings, now).unwrap();
        for _ in 0..65_990 {
            now = now + Duration::from_secs(1);
            let (id, _) = outbox.next(&settings, now).unwrap();
            assert!(id > 1 && id != first);
            seen.push(id);
            outbox.taken(id).unwrap();
        }
        // 3 to 65,535, and from the start again.
        assert_eq!((seen[0], seen[65_532], seen[65_533]), (3, 65_535, 3));
        assert_eq!((outbox.taken(first), outbox.taken(first)), (Some(0), None));
    }

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_at_the_rate() {
        let settings = Settings::default();
        let mut outbox = filled(&settings, 120);
        let mut left = Vec::new();
        let mut now = Instant::ZERO + Duration::from_secs(1000);
        while let Some(due) = outbox.due(&settings) {
            now = now.max(due);
            while let Some((id, _)) = outbox.next(&settings, now) {
                left.push(now);
                outbox.taken(id);
            }
        }
        assert_eq!(left.len(), 120);
        assert!(left[..50].iter().all(|at| *at == left[0]));
        for window in left.windows(71) {
            // 20 a second beyond the burst, in any stretch.
            assert!(window[70].saturating_since(window[0]) >= Duration::from_millis(20 * 50));
        }
    }

    #[test]
    fn what_is_taken_back_is_not_written_and_frees_its_room() {
        let settings = Settings { max_queue: 3, ..Settings::default() };
        let mut outbox = filled(&settings, 3);
        let to = SecretKey::from_bytes(&[1; 32]).unwrap().public();
        let payload: Arc<[u8]> = Arc::from(&b"y"[..]);
        assert_eq!(outbox.push(&settings, &to, payload.clone(), 9), Err(PublishError::Full));
        assert!(outbox.cancel(1) && !outbox.cancel(1));
        assert_eq!(outbox.push(&settings, &to, payload, 9), Ok(()));
        let tickets: Vec<u64> =
            core::iter::from_fn(|| outbox.next(&settings, Instant::ZERO)).map(|(_, waiting)| waiting.ticket).collect();
        assert_eq!((tickets, outbox.bytes), (Vec::from([0, 2, 9]), 0));
        let long: Arc<[u8]> = alloc::vec![0; settings.max_packet].into();
        assert_eq!(outbox.push(&settings, &to, long, 1), Err(PublishError::TooLong));
    }
}
