//! Opening files of others: regular files only, and never waiting for one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Open a regular file for reading. Nothing is waited for: a pipe that nobody writes to is refused as any pipe is.
///
/// # Errors
/// It is not there, the system refuses, or it is a folder, a pipe, a socket or a device.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    // A device is not even opened: that alone may have effects.
    regular(&fs::metadata(path)?)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }
    let file = options.open(path)?;
    // What the name stands for may have changed in between.
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Read a regular file that is not longer than `max` bytes.
///
/// # Errors
/// As [`open`], or it is longer.
pub(crate) fn read(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(io::Error::other(format!("it is longer than {max} bytes")));
    }
    Ok(bytes)
}

/// Read a regular file of UTF-8 that is not longer than `max` bytes.
///
/// # Errors
/// As [`read`], or it is not UTF-8.
pub(crate) fn read_text(path: &Path, max: usize) -> io::Result<String> {
    String::from_utf8(read(path, max)?).map_err(|_| io::Error::other("it is not UTF-8"))
}

fn regular(stat: &fs::Metadata) -> io::Result<()> {
    if stat.is_file() {
        return Ok(());
    }
    let what = if stat.is_dir() { "it is a folder" } else { "it is no regular file: a pipe, a socket or a device" };
    Err(io::Error::other(what))
}

/// A file that stands beside another one, which may be reached through a symbolic link: `FILE.tree` beside the file that the
/// link leads to.
pub(crate) fn beside(file: &Path, extension: &str) -> PathBuf {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut name = file.into_os_string();
    name.push(extension);
    PathBuf::from(name)
}

/// Links that are followed at most, as systems do.
pub(crate) const MAX_LINKS: usize = 40;

/// Where a file is, or will be: the same for every way to write its path, also through links to what is not there yet.
pub(crate) fn place(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if let Ok(resolved) = fs::canonicalize(&path) {
            return resolved;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (Ok(folder), Some(name)) = (fs::canonicalize(folder), path.file_name()) else { break };
        path = folder.join(name);
        match fs::read_link(&path) {
            Ok(target) => path = folder.join(target),
            Err(_) => return path,
        }
    }
    std::path::absolute(&path).unwrap_or(path)
}

/// Whether two places are one file, by whatever names.
pub(crate) fn same(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let identity = |path| fs::metadata(path).ok().map(|stat| (stat.dev(), stat.ino()));
        if identity(a).is_some_and(|a| Some(a) == identity(b)) {
            return true;
        }
    }
    a == b
}
