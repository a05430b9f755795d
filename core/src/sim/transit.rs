//! Datagrams on their way.

use alloc::vec::Vec;

/// Where a datagram comes from, as far as the world knows; nodes never see this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The number of a packet, unique in its world; every copy with the same sender, nonce and stamp has it. 0: somebody
    /// outside of the rules made it or changed one of these, or it is a response.
    pub serial: u64,
    /// The sender made it and nobody has changed it since.
    pub genuine: bool,
}

/// Between whom a datagram is on its way. What the receiver needs is kept here, so that it need not look at what the sender keeps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    /// The edge it seems to have come along: from the address on it to its receiver.
    pub(super) edge: u32,
    /// The other direction.
    pub(super) back: u32,
    /// The receiver.
    pub(super) to: u32,
}

/// A datagram on its way.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    pub(super) bytes: Vec<u8>,
    pub(super) way: Way,
    pub(super) origin: Option<Origin>,
    next_free: u32,
}

/// All datagrams on their way, in buffers that are used over and over.
#[derive(Debug, Default)]
pub(super) struct Transit {
    datagrams: Vec<InFlight>,
    /// One more than the number of the first free one; 0 is none.
    free: u32,
    len: usize,
}

impl Transit {
    /// Put a datagram in; its number.
    pub(super) fn put(&mut self, bytes: &[u8], way: Way, origin: Origin) -> u32 {
        self.len += 1;
        let number = match self.free.checked_sub(1) {
            Some(number) => {
                self.free = self.datagrams[number as usize].next_free;
                number
            }
            None => {
                self.datagrams.push(InFlight::default());
                self.datagrams.len() as u32 - 1
            }
        };
        let datagram = &mut self.datagrams[number as usize];
        datagram.bytes.clear();
        datagram.bytes.extend_from_slice(bytes);
        datagram.way = way;
        datagram.origin = Some(origin);
        number
    }

    /// One that is on its way.
    pub(super) fn get(&self, number: u32) -> Option<(&[u8], Way, Origin)> {
        let datagram = self.datagrams.get(number as usize)?;
        Some((&datagram.bytes, datagram.way, datagram.origin?))
    }

    /// One that is on its way, to change it.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut InFlight> {
        self.datagrams.get_mut(number as usize).filter(|datagram| datagram.origin.is_some())
    }

    /// The bytes of one that arrives, which are its receiver's to change.
    pub(super) fn bytes_mut(&mut self, number: u32) -> Option<(&mut [u8], Origin)> {
        let datagram = self.datagrams.get_mut(number as usize)?;
        Some((&mut datagram.bytes, datagram.origin?))
    }

    /// It has arrived, or never will.
    pub(super) fn free(&mut self, number: u32) {
        if let Some(datagram) = self.datagrams.get_mut(number as usize)
            && datagram.origin.take().is_some()
        {
            datagram.next_free = self.free;
            self.free = number + 1;
            self.len -= 1;
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }
}
