//! A file that is opened as a database, and not changed by that.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

const PAGE: usize = 4096;

/// What is written goes to memory, and is forgotten, so that a file can be read although it needs to be repaired after a crash.
#[derive(Debug)]
pub(crate) struct Trial(Mutex<State>);

#[derive(Debug)]
struct State {
    file: File,
    /// How much of the file still shows.
    shown: u64,
    len: u64,
    written: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Trial {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self(Mutex::new(State { file, shown: len, len, written: BTreeMap::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What stands in a page.
    fn page(&mut self, number: u64) -> io::Result<[u8; PAGE]> {
        if let Some(page) = self.written.get(&number) {
            return Ok(**page);
        }
        let mut page = [0; PAGE];
        let at = number * PAGE as u64;
        let there = usize::try_from(self.shown.saturating_sub(at)).unwrap_or(PAGE).min(PAGE);
        if let Some(part) = page.get_mut(..there).filter(|part| !part.is_empty()) {
            self.file.seek(SeekFrom::Start(at))?;
            self.file.read_exact(part)?;
        }
        Ok(page)
    }

    /// Do something to each part of a range that lies in one page: its number, where in it, and where in the range.
    fn each(
        &mut self,
        offset: u64,
        len: usize,
        mut each: impl FnMut(&mut Self, u64, usize, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let within = usize::try_from(at % PAGE as u64).unwrap_or_default();
            let size = (PAGE - within).min(len - done);
            each(self, at / PAGE as u64, within, done..done + size)?;
            done += size;
        }
        Ok(())
    }
}

impl StorageBackend for Trial {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut state = self.state();
        if offset.saturating_add(out.len() as u64) > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        state.each(offset, out.len(), |state, number, within, range| {
            let page = state.page(number)?;
            if let (Some(out), Some(part)) = (out.get_mut(range.clone()), page.get(within..within + range.len())) {
                out.copy_from_slice(part);
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut state = self.state();
        if len < state.len {
            state.shown = state.shown.min(len);
            let _ = state.written.split_off(&len.div_ceil(PAGE as u64));
            let within = usize::try_from(len % PAGE as u64).unwrap_or_default();
            if let Some(page) = state.written.get_mut(&(len / PAGE as u64)).filter(|_| within > 0) {
                page.get_mut(within..).unwrap_or_default().fill(0);
            }
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut state = self.state();
        state.len = state.len.max(offset.saturating_add(data.len() as u64));
        state.each(offset, data.len(), |state, number, within, range| {
            let mut page = state.page(number)?;
            if let (Some(part), Some(data)) = (page.get_mut(within..within + range.len()), data.get(range)) {
                part.copy_from_slice(data);
            }
            state.written.insert(number, Box::new(page));
            Ok(())
        })
    }

    // The directory is ours already.
    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
