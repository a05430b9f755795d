//! The same on the caller's threads.

use std::io::{self, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use super::chunk::Checked;
use super::cover::Against;
use super::finding::Finding;
use super::hook::Checker;
use super::settings::Settings;
use super::split::{Piece, Splitter};
use super::verifier::{Sequencer, Summary};
use sluis_core::{Seed, SipKey};

/// Bytes of whole lines that one thread takes at a time: they stay in its cache.
const PIECE: usize = 256 << 10;

/// Verifies a file on as many threads as the caller gives it, with what [`Verifier`](super::Verifier) would find, in the same
/// order.
///
/// Each thread reads a piece of whole lines, checks them by itself, waits until everything before it was taken in, and takes
/// in its own. A thread holds 256 KiB (or the longest line) and some 150 bytes for each line in that.
///
/// ```
/// use std::sync::Mutex;
///
/// use sluis_core::Seed;
/// use sluis_chain::verify::{Parallel, Settings};
///
/// # fn main() -> std::io::Result<()> {
/// # let file = &b"not a token\n"[..];
/// let found = Mutex::new(Vec::new());
/// let seed = Seed::from_u64(1); // in production: a seed of the system's
/// let verify = Parallel::new(Settings::default(), None, &seed, (), file, |finding| found.lock().unwrap().push(finding));
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| verify.work());
///     }
/// });
/// let (summary, ()) = verify.finish()?;
/// assert_eq!((summary.lines, found.into_inner().unwrap().len()), (1, 1));
/// # Ok(())
/// # }
/// ```
pub struct Parallel<'k, 't, C: Checker, R, F> {
    settings: Settings<'k>,
    key: SipKey,
    leaves: bool,
    input: Mutex<Input<R>>,
    order: Mutex<InOrder<'t, C, F>>,
    next: Condvar,
}

struct Input<R> {
    reader: R,
    splitter: Splitter,
    /// Pieces given out.
    pieces: u64,
    ended: bool,
    error: Option<io::Error>,
}

struct InOrder<'t, C, F> {
    order: Sequencer<'t, C>,
    found: F,
    /// Pieces taken in.
    pieces: u64,
    /// A thread was lost with its piece.
    broken: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C: Checker, R, F> core::fmt::Debug for Parallel<'_, '_, C, R, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parallel").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<'k, 't, C: Checker, R: Read, F: FnMut(Finding)> Parallel<'k, 't, C, R, F> {
    /// Verify what `reader` gives. `found` is called for what is found, by whichever thread has its turn.
    #[must_use]
    pub fn new(
        settings: Settings<'k>,
        against: Option<Against<'t>>,
        seed: &Seed,
        checker: C,
        reader: R,
        found: F,
    ) -> Self {
        let order = Sequencer::new(&settings, against, checker);
        let splitter = Splitter::new(PIECE, settings.max_line);
        Self {
            key: seed.fork("verify.ids").sip_key(),
            leaves: order.wants_leaves(),
            input: Mutex::new(Input { reader, splitter, pieces: 0, ended: false, error: None }),
            order: Mutex::new(InOrder { order, found, pieces: 0, broken: false }),
            next: Condvar::new(),
            settings,
        }
    }

    /// Take part in the work until the end of the file, or until it cannot be read. Call it on each of the threads.
    pub fn work(&self) {
        let (mut checked, mut spare) = (Checked::default(), Vec::new());
        loop {
            let taken = lock(&self.input).take(core::mem::take(&mut spare));
            let Some((number, piece)) = taken else { return };
            let mut turn = Turn { of: self, done: false };
            if let Piece::Lines(lines) = &piece {
                checked.fill::<C>(&self.settings, &self.key, self.leaves, lines);
            }
            let mut order = lock(&self.order);
            while order.pieces != number && !order.broken {
                order = self.next.wait(order).unwrap_or_else(PoisonError::into_inner);
            }
            if order.broken {
                turn.done = true;
                return;
            }
            let InOrder { order: all, found, pieces, .. } = &mut *order;
            match piece {
                Piece::Lines(mut lines) => {
                    all.fold(&lines, &mut checked, found);
                    lines.clear();
                    spare = lines;
                }
                Piece::Long(long) => all.fold_long(&long, self.settings.max_line, found),
            }
            *pieces += 1;
            drop(order);
            turn.done = true;
            self.next.notify_all();
        }
    }

    /// Do what is left of the work, and say what only the whole file gives away. The checker comes back as well.
    ///
    /// # Errors
    /// The file could not be read to its end; what was found until then was said.
    pub fn finish(self) -> io::Result<(Summary, C)> {
        self.work();
        let input = self.input.into_inner().unwrap_or_else(PoisonError::into_inner);
        let order = self.order.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = input.error {
            return Err(error);
        }
        if order.broken {
            return Err(io::Error::other("a thread that took part in the work was lost"));
        }
        let InOrder { order, mut found, .. } = order;
        Ok(order.finish(&self.settings, &mut found))
    }
}

impl<R: Read> Input<R> {
    /// The next piece of the file, with its number.
    fn take(&mut self, mut spare: Vec<u8>) -> Option<(u64, Piece)> {
        while self.error.is_none() {
            if (self.splitter.is_full() || self.ended)
                && let Some(piece) = self.splitter.take(core::mem::take(&mut spare), self.ended)
            {
                self.pieces += 1;
                return Some((self.pieces - 1, piece));
            }
            if self.ended {
                return None;
            }
            match self.reader.read(self.splitter.room()) {
                Ok(0) => self.ended = true,
                Ok(bytes) => self.splitter.filled(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.error = Some(error),
            }
        }
        None
    }
}

/// Lets the others know if the thread that has this turn is lost.
struct Turn<'p, 'k, 't, C: Checker, R, F> {
    of: &'p Parallel<'k, 't, C, R, F>,
    done: bool,
}

impl<C: Checker, R, F> Drop for Turn<'_, '_, '_, C, R, F> {
    fn drop(&mut self) {
        if !self.done {
            lock(&self.of.order).broken = true;
            self.of.next.notify_all();
        }
    }
}
