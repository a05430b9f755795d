//! What the UDP adapters of every runtime share, written once: opening a socket, batches of datagrams over
//! `quinn-udp` (GSO and GRO where the kernel has them, one by one where it does not), the system's clocks and seed.
//!
//! An adapter adds what only its runtime knows, [`Readiness`] of a socket and a [`Timer`], and gets an
//! [`Io`](sluis_core::driver::Io): [`UdpIo`]. Applications use an adapter (`sluis-tokio`, `sluis-smol`), not this crate.
//!
//! * Every datagram's [`Path`](sluis_core::Path) says which of our addresses it came to, and an answer leaves from
//!   there.
//! * One machine can be served by several sockets ([`UdpIo::add`]), each with a number in the paths of its datagrams.
//! * Everybody on a local network can be called ([`UdpIo::discover`]): a socket for each interface and family joins the group, interfaces that come and go are followed, and the machine
//!   is [told](sluis_core::Datagrams::handle_network).
//! * A socket on `[::]` serves IPv4 too; IPv4 peers appear with plain IPv4 addresses.
//! * Datagrams above the path MTU go out fragmented, as with any ordinary socket and as the reference sends them (not on
//!   Windows, where they are not sent).
//!
//! Tested on Linux. FreeBSD, macOS and Windows: it compiles there and is checked for that, and no more.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(target_os = "linux", target_os = "android"))]
mod alarm;
mod bind;
mod clock;
mod interfaces;
mod io;
mod multicast;
mod node;
mod offload;
#[cfg(feature = "record")]
mod record;
mod surface;
mod sys;
#[cfg(all(test, unix))]
mod tests;
mod udp;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub use alarm::{Alarm, Watched};
pub use bind::{BindError, bind};
pub use clock::{SystemClock, system_seed};
pub use interfaces::{Interface, interfaces, reachable_at};
pub use io::{Timer, UdpIo};
pub use multicast::{Multicast, MulticastError};
pub use node::{NewNodeError, node};
pub use offload::{Offload, offload};
#[cfg(feature = "record")]
pub use record::{FileTape, TapeEnd};
pub use surface::{StoredTask, UdpTask, prepare, prepare_stored, run};
pub use sys::AsSocket;
pub(crate) use udp::Udp;
pub use udp::{Readiness, Refusals};
