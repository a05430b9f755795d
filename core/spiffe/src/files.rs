//! Identities in files, as spire-agent (`api fetch x509 -write`) and spiffe-helper write them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::bundle::TrustBundles;
use crate::error::SpiffeError;
use crate::svid::Svid;

/// Where an identity lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SvidFiles {
    /// The certificates, leaf first: `svid.0.pem`.
    pub svid: PathBuf,
    /// The private key, readable by its owner only: `svid.0.key`.
    pub key: PathBuf,
}

impl SvidFiles {
    /// The files that spire-agent writes into a folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { svid: folder.join("svid.0.pem"), key: folder.join("svid.0.key") }
    }
}

impl Svid {
    /// Read an identity from files.
    ///
    /// # Errors
    /// Which file cannot be read or used, and why; [`SpiffeError::Exposed`] when others may read the key.
    pub fn from_files(files: &SvidFiles) -> Result<Self, SpiffeError> {
        let chain = read(&files.svid)?;
        let key = read_secret(&files.key)?;
        Self::from_pem(&chain, &key).map_err(|error| {
            let of_the_key = match &error {
                SpiffeError::Key(_) | SpiffeError::WrongKey { .. } => true,
                SpiffeError::Pem { wanted, .. } => *wanted == "private key",
                _ => false,
            };
            error.in_file(if of_the_key { &files.key } else { &files.svid })
        })
    }
}

impl TrustBundles {
    /// Trust the roots in a file for one trust domain; without a name for the one that the roots name.
    ///
    /// # Errors
    /// As [`add_pem`](Self::add_pem), with the file.
    pub fn add_file(&mut self, trust_domain: Option<&str>, path: &Path) -> Result<(), SpiffeError> {
        self.add_pem(trust_domain, &read(path)?).map_err(|error| error.in_file(path))
    }

    /// All the bundles of a command line, each as for [`add_argument`](Self::add_argument).
    ///
    /// # Errors
    /// As `add_file`.
    pub(crate) fn from_arguments(arguments: &[impl AsRef<str>]) -> Result<Self, SpiffeError> {
        let mut bundles = Self::new();
        arguments.iter().try_for_each(|argument| bundles.add_argument(argument.as_ref()))?;
        Ok(bundles)
    }

    /// The same as `add_file` from a command line: `FILE`, or `TRUST-DOMAIN=FILE`.
    ///
    /// # Errors
    /// As `add_file`.
    pub fn add_argument(&mut self, argument: &str) -> Result<(), SpiffeError> {
        match argument.split_once('=') {
            // A file may have such a name too.
            Some((name, file)) if !Path::new(argument).exists() => self.add_file(Some(name), Path::new(file)),
            _ => self.add_file(None, Path::new(argument)),
        }
    }
}

/// The largest file that is read.
const MAX_FILE: u64 = 4 << 20;

fn read(path: &Path) -> Result<Vec<u8>, SpiffeError> {
    let mut bytes = Vec::new();
    let read = open(path).and_then(|file| read_limited(&file, &mut bytes));
    read.map_err(|source| SpiffeError::Read { path: path.to_owned(), source })?;
    Ok(bytes)
}

fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, SpiffeError> {
    let failed = |source| SpiffeError::Read { path: path.to_owned(), source };
    let file = open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if about.permissions().mode() & 0o077 != 0 {
            return Err(SpiffeError::Exposed { path: path.to_owned() });
        }
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let room = usize::try_from(about.len().min(MAX_FILE)).unwrap_or(0).saturating_add(1);
    let mut secret = Zeroizing::new(Vec::with_capacity(room));
    read_limited(&file, &mut secret).map_err(failed)?;
    Ok(secret)
}

fn read_limited(file: &File, bytes: &mut Vec<u8>) -> io::Result<()> {
    file.take(MAX_FILE + 1).read_to_end(bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is longer than {MAX_FILE} bytes")));
    }
    Ok(())
}

/// Open a regular file, without waiting: neither pipes nor devices.
fn open(path: &Path) -> io::Result<File> {
    let regular = |about: fs::Metadata| match about.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is no regular file")),
    };
    regular(fs::metadata(path)?)?;
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }
    let file = options.open(path)?;
    // What the name stands for may have changed in between.
    regular(file.metadata()?)?;
    Ok(file)
}
