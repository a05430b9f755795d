//! What files are to an operating system, where systems differ.

use std::fs::File;
use std::io;
use std::path::Path;

/// What tells one file from another: its volume and its number there.
pub(crate) type Identity = (u64, u64);

/// What tells the file of this name from another; `None` if there is none.
pub(crate) fn identity_at(path: &Path) -> io::Result<Option<Identity>> {
    match find(path) {
        Ok(identity) => Ok(Some(identity)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
pub(crate) use unix::{identity, names, read_at, sync_folder, write_at};
#[cfg(windows)]
pub(crate) use windows::{identity, names, read_at, sync_folder, write_at};

#[cfg(unix)]
use unix::find;
#[cfg(windows)]
use windows::find;

#[cfg(unix)]
mod unix {
    use super::{File, Identity, Path, io};
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    pub(super) fn find(path: &Path) -> io::Result<Identity> {
        let about = std::fs::metadata(path)?;
        Ok((about.dev(), about.ino()))
    }

    pub(crate) fn identity(file: &File) -> io::Result<Identity> {
        let about = file.metadata()?;
        Ok((about.dev(), about.ino()))
    }

    /// How many names an open file still has.
    pub(crate) fn names(file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.nlink())
    }

    pub(crate) fn read_at(file: &File, at: u64, out: &mut [u8]) -> io::Result<usize> {
        file.read_at(out, at)
    }

    pub(crate) fn write_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<usize> {
        file.write_at(bytes, at)
    }

    /// Wait until all that was done to the names in a folder is on the medium.
    pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

#[cfg(windows)]
mod windows {
    use super::{File, Identity, Path, io};
    use std::os::windows::fs::FileExt as _;

    use winapi_util::file::information;

    pub(super) fn find(path: &Path) -> io::Result<Identity> {
        identity(&File::open(path)?)
    }

    pub(crate) fn identity(file: &File) -> io::Result<Identity> {
        let about = information(file)?;
        Ok((about.volume_serial_number(), about.file_index()))
    }

    /// How many names an open file still has.
    pub(crate) fn names(file: &File) -> io::Result<u64> {
        Ok(information(file)?.number_of_links())
    }

    // These move the file's cursor, which nothing in this crate uses.

    pub(crate) fn read_at(file: &File, at: u64, out: &mut [u8]) -> io::Result<usize> {
        file.seek_read(out, at)
    }

    pub(crate) fn write_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<usize> {
        file.seek_write(bytes, at)
    }

    /// Folders cannot be synced here: NTFS writes changes of names through its own journal, in order.
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
