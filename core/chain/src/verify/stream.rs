//! The verifier that is fed bytes.

use alloc::vec::Vec;

use super::chunk::Checked;
use super::cover::Against;
use super::finding::Finding;
use super::hook::Checker;
use super::settings::Settings;
use super::split::{Piece, Splitter};
use super::verifier::{Sequencer, Summary};
use sluis_core::{Seed, SipKey};

/// Bytes that are gathered before they are looked at.
const PIECE: usize = 64 << 10;

/// Verifies a file of tokens that comes in pieces of any size, and tells what it finds as it goes.
///
/// It does no I/O. It holds 64 KiB (or the longest line), and some 22 to 26 bytes for each token, 8 more for each that
/// stands before its parent.
pub struct Verifier<'k, 't, C: Checker = ()> {
    settings: Settings<'k>,
    key: SipKey,
    splitter: Splitter,
    checked: Checked<C::Note>,
    order: Sequencer<'t, C>,
    spare: Vec<u8>,
}

impl<C: Checker> core::fmt::Debug for Verifier<'_, '_, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Verifier").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<'k, 't> Verifier<'k, 't> {
    /// Check tokens, and nothing that only some kinds of them have. The seed keys the table of ids.
    #[must_use]
    pub fn new(settings: Settings<'k>, against: Option<Against<'t>>, seed: &Seed) -> Self {
        Self::with_checker(settings, against, seed, ())
    }
}

impl<'k, 't, C: Checker> Verifier<'k, 't, C> {
    /// Check what another room knows of, too.
    #[must_use]
    pub fn with_checker(settings: Settings<'k>, against: Option<Against<'t>>, seed: &Seed, checker: C) -> Self {
        Self {
            key: seed.fork("verify.ids").sip_key(),
            splitter: Splitter::new(PIECE, settings.max_line),
            checked: Checked::default(),
            order: Sequencer::new(&settings, against, checker),
            settings,
            spare: Vec::new(),
        }
    }

    /// Take in bytes of the file. `found` is called for what is found, in no other order than that of the file, save for
    /// what only later lines give away.
    pub fn push(&mut self, mut bytes: &[u8], found: &mut dyn FnMut(Finding)) {
        while !bytes.is_empty() {
            let room = self.splitter.room();
            let (now, later) = bytes.split_at_checked(room.len()).unwrap_or((bytes, &[]));
            if let Some(front) = room.get_mut(..now.len()) {
                front.copy_from_slice(now);
            }
            bytes = later;
            self.splitter.filled(now.len());
            if self.splitter.is_full() {
                self.take(false, found);
            }
        }
    }

    fn take(&mut self, last: bool, found: &mut dyn FnMut(Finding)) {
        while let Some(piece) = self.splitter.take(core::mem::take(&mut self.spare), last) {
            match piece {
                Piece::Lines(lines) => {
                    let leaves = self.order.wants_leaves();
                    self.checked.fill::<C>(&self.settings, &self.key, leaves, &lines);
                    self.order.fold(&lines, &mut self.checked, found);
                    self.spare = lines;
                    self.spare.clear();
                }
                Piece::Long(long) => self.order.fold_long(&long, self.settings.max_line, found),
            }
        }
    }

    /// The file has ended: what is left to be said, and what was seen. The checker comes back as well.
    pub fn finish(mut self, found: &mut dyn FnMut(Finding)) -> (Summary, C) {
        self.take(true, found);
        self.order.finish(&self.settings, found)
    }
}
