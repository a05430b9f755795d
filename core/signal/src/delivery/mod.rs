//! Delivery: what was acknowledged was handed over exactly once, in order, and what was not is said.
//!
//! A [`Sender`] has the messages to one peer, an [`Inbox`] those of all peers; between them are [`Record`]s, in sealed packets that may be
//! lost, repeated and reordered by any number of brokers.
//!
//! - **Known by number**: a sender numbers its messages under a random epoch of its own (a new one after a restart without state). Their
//!   texts have no part in it: two equal messages are two messages.
//! - **In order**, unless a message is sent apart from it. Each carries the oldest number that its sender still tries: what is missing
//!   below that was given up, and nobody waits for it any more. No record of its own has to arrive for that.
//! - **An acknowledgement says that the application has it**: it leaves on [`Inbox::confirm`], and again for every copy that comes later.
//!   A message that its sender gave up is not acknowledged, whatever arrives of it later.
//! - **Nothing is forgotten early**: what is known of a sender's epoch stays until no packet of it can be opened any more. Where
//!   that takes too much room, new messages are refused as [`Refused::Busy`] and may come again.
//! - **Every send ends**, by its acknowledgement or by its time; an acknowledgement that comes later is [said too](Acked::Late).
//! - **Over a restart**, where what is known of epochs is [kept](Inbox::keeping): that a message is about to be handed over is on the medium
//!   before it is, and that it was is there before its acknowledgement leaves. One that was under way between the two when everything stopped
//!   is neither handed over again nor acknowledged: its sender is told that it is not known to have arrived.
//!
//! First a message goes to few brokers; without an answer to [more](Reach), and then to all, so that two sides that share one
//! live broker meet.

mod epochs;
mod inbox;
mod kept;
mod record;
mod sender;

pub use inbox::{Arrived, Handed, Inbox, InboxLimits, Received, Refused};
pub use kept::{EpochRecord, RecordError};
pub use record::{ACK, JOINED, JOINED_HEARD, MAX_ACKS, MESSAGE, Record, UNORDERED, message_overhead};
pub use sender::{Acked, MAX_MESSAGE, MAX_TIMEOUT, Reach, SendError, Sender, SenderLimits, Transmission};
