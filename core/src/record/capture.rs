//! The datagrams of a recording, for Wireshark.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ReplayError;
use super::pcapng;
use super::read::{BadRecord, Object};
use crate::limits::DEFAULT_PORT;

/// Takes the datagrams out of a recording of one node, as [`pcapng`], line by line.
///
/// The node's own address is as far as the recording knows it: what
/// [`Recorded::note_address`](super::Recorded::note_address) said (else port 7150), and for each datagram the local address
/// of its [`Path`](crate::Path) if it has one. Outgoing datagrams bear the time at which the driver took them.
///
/// ```
/// # use sluis_core::record::{Capture, Lines, ReplayError};
/// # fn capture(recording: &str) -> Result<Vec<u8>, ReplayError> {
/// let (mut capture, mut file) = (Capture::new(), Vec::new());
/// capture.begin(&mut file);
/// for line in recording.lines() {
///     capture.line(line, &mut file)?;
/// }
/// # Ok(file)
/// # }
/// # assert!(capture("").is_ok());
/// ```
#[derive(Debug, Default)]
pub struct Capture {
    label: Option<u32>,
    own: Option<SocketAddr>,
    lines: usize,
    datagrams: u64,
}

impl Capture {
    /// Of a recording that is about to be read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of one node out of a recording of several; lines of others are passed over.
    #[must_use]
    pub fn labelled(node: u32) -> Self {
        Self { label: Some(node), ..Self::default() }
    }

    /// Write the beginning of the file to the end of `out`.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        pcapng::begin(out);
    }

    /// Take the next line, and write its datagram, if it has one, to the end of `out`.
    ///
    /// # Errors
    /// [`ReplayError::Unreadable`].
    pub fn line(&mut self, line: &str, out: &mut Vec<u8>) -> Result<(), ReplayError> {
        self.lines += 1;
        self.take(line, out).map_err(|BadRecord(what)| ReplayError::Unreadable { line: self.lines, what })
    }

    /// Datagrams so far.
    #[must_use]
    pub const fn datagrams(&self) -> u64 {
        self.datagrams
    }

    fn take(&mut self, line: &str, out: &mut Vec<u8>) -> Result<(), BadRecord> {
        let object = Object::parse(line)?;
        if self.label.is_some() && object.number("node").ok() != self.label {
            return Ok(());
        }
        let outgoing = match &*object.text("in")? {
            "address" => {
                self.own = Some(object.parsed("addr")?);
                return Ok(());
            }
            "datagram" => false,
            "poll_transmit" if object.has("hex") => true,
            _ => return Ok(()),
        };
        let (path, bytes) = (object.path()?, object.hex("hex")?);
        let own = self.own(path.remote, path.local);
        let (from, to) = if outgoing { (own, path.remote) } else { (path.remote, own) };
        // What was before 1970 the format cannot say.
        let nanos = u64::try_from(object.at()?.wall.as_micros()).unwrap_or(0).saturating_mul(1000);
        pcapng::datagram(out, nanos, from, to, &bytes);
        self.datagrams += 1;
        Ok(())
    }

    /// Our end of a datagram's way, of the same family as the other.
    fn own(&self, remote: SocketAddr, local: Option<IpAddr>) -> SocketAddr {
        let same = |ip: &IpAddr| ip.is_ipv4() == remote.is_ipv4();
        let any = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let ip = local.filter(same).or(self.own.map(|own| own.ip()).filter(same)).unwrap_or(any);
        SocketAddr::new(ip, self.own.map_or(DEFAULT_PORT, |own| own.port()))
    }
}
