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
//!
//! First a message goes to few brokers; without an answer to [more](Reach), and then to all, so that two sides that share one
//! live broker meet.

mod inbox;
mod record;
mod sender;

pub use inbox::{Handed, Inbox, InboxLimits, Received, Refused};
pub use record::{ACK, MAX_ACKS, MESSAGE, Record, UNORDERED, message_overhead};
pub use sender::{Acked, Reach, SendError, Sender, SenderLimits, Transmission};
