//! What a journal needs of a file system, so that a test can be one.

use std::io;

/// An open file.
pub trait File: Send + 'static {
    /// Its length in bytes.
    ///
    /// # Errors
    /// It is gone, or the system refuses.
    fn len(&mut self) -> io::Result<u64>;

    /// Read from an offset; 0 at the end.
    ///
    /// # Errors
    /// The system refuses.
    fn read_at(&mut self, at: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Write at an offset; fewer bytes than given may be taken.
    ///
    /// # Errors
    /// The system refuses; what was written before stays.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Cut it, or lengthen it with zeros.
    ///
    /// # Errors
    /// The system refuses.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Wait until everything written is on the medium.
    ///
    /// # Errors
    /// It is not; what was written since the last success may be lost, even if a later sync succeeds.
    fn sync(&mut self) -> io::Result<()>;

    /// Whether it is empty.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    fn is_empty(&mut self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Write all of it.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at); how much was written is not known then.
    fn write_all_at(&mut self, mut at: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(at, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    at += n as u64;
                    bytes = bytes.get(n..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fill the buffer, as far as the file goes.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    fn read_full_at(&mut self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while let Some(rest) = out.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.read_at(at + got as u64, rest) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Only if it is there.
    Existing,
    /// Only if it is there, and only to be read.
    Read,
    /// Make it if it is not there.
    Create,
    /// Make it, emptied if it is there.
    Empty,
}

/// The folder a journal lives in. Names are file names, without a path.
pub trait Folder: Send + 'static {
    /// Its files.
    type File: File;

    /// The folder for messages.
    fn display(&self) -> String;

    /// All names.
    ///
    /// # Errors
    /// The system refuses.
    fn names(&mut self) -> io::Result<Vec<String>>;

    /// Open for reading and, but for [`How::Read`], writing. `None`: not there, and it was not to be made.
    ///
    /// # Errors
    /// The system refuses.
    fn open(&mut self, name: &str, how: How) -> io::Result<Option<Self::File>>;

    /// Take the file for this writer alone, until it is dropped. `false`: another has it, or the name is another file's by now.
    ///
    /// # Errors
    /// The system refuses.
    fn lock(&mut self, name: &str, file: &mut Self::File) -> io::Result<bool>;

    /// Whether two names are one file.
    ///
    /// # Errors
    /// The system refuses; a name that is not there is no error.
    fn same(&mut self, a: &str, b: &str) -> io::Result<bool>;

    /// Give a file a second name.
    ///
    /// # Errors
    /// The system refuses. [`Unsupported`](io::ErrorKind::Unsupported) where files have one name only.
    fn link(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Rename, at once, over what may have had the name.
    ///
    /// # Errors
    /// The system refuses; `NotFound` if it is not there.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Take a name away, if it is there.
    ///
    /// # Errors
    /// The system refuses.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Wait until all that was done to names is on the medium.
    ///
    /// # Errors
    /// The system refuses.
    fn sync(&mut self) -> io::Result<()>;
}

/// Read a whole file, if it is there and not longer than `max`.
pub(crate) fn read_small<D: Folder>(folder: &mut D, name: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = folder.open(name, How::Read)? else { return Ok(None) };
    let len = usize::try_from(file.len()?).ok().filter(|&len| len <= max);
    let len = len.ok_or_else(|| io::Error::other(format!("larger than {max} bytes")))?;
    let mut bytes = vec![0; len];
    let got = file.read_full_at(0, &mut bytes)?;
    bytes.truncate(got);
    Ok(Some(bytes))
}

/// Put a small file in place of what has the name, so that at any time either the old one or the new one is there, whole. The
/// folder is still to be synced.
pub(crate) fn replace<D: Folder>(folder: &mut D, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = format!("{name}.new");
    let Some(mut file) = folder.open(&new, How::Empty)? else { return Err(io::ErrorKind::NotFound.into()) };
    file.write_all_at(0, bytes)?;
    file.sync()?;
    drop(file);
    folder.rename(&new, name)
}
