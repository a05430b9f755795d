//! Files that hold keys: the one place where they are read and written.
//!
//! Secrets are files for the owner's eyes only. One that group or others may do anything with is refused, with the command
//! that mends it; the check looks at the file that was opened, so nothing can be swapped in between.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sluis_core::data::hex;
use sluis_core::discovery::JoinToken;
use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{KeyError, MacKey, PublicKey, SecretKey};
use sluis_signal::key as signal;
use zeroize::Zeroizing;

use crate::fail::Fail;
use crate::files;

/// No key is longer; nor is a shared key read from a larger file.
const MAX_FILE: usize = 64 * 1024;

/// What a key file holds.
#[derive(Debug)]
pub(crate) enum Held {
    Secret(Box<SecretKey>),
    Public(PublicKey),
    /// secp256k1, for signalling.
    SignalSecret(Box<signal::SecretKey>),
    /// secp256k1, for signalling.
    SignalPublic(signal::PublicKey),
}

impl Held {
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::SignalSecret(_))
    }
}

/// The key in a file, secret or public, of either kind, in any form that is written here.
pub(crate) fn any(path: &Path) -> Result<Held, Fail> {
    let (file, bytes) = read(path)?;
    let text = text(path, &bytes)?;
    if text.contains("PRIVATE KEY") {
        private(path, &file)?;
        let text = text.trim_start();
        if let Ok(key) = signal::SecretKey::from_pem(text) {
            return Ok(Held::SignalSecret(Box::new(key)));
        }
        let key = SecretKey::from_pem(text).map_err(|why| no_key(path, why))?;
        return Ok(Held::Secret(Box::new(key)));
    }
    match signal_text(text) {
        Ok(key) => Ok(Held::SignalPublic(key)),
        Err(_) => public_text(text).map(Held::Public).map_err(|why| no_key(path, why)),
    }
}

/// The secret Ed25519 key in a file.
pub(crate) fn secret(path: &Path) -> Result<SecretKey, Fail> {
    match any(path)? {
        Held::Secret(key) => Ok(*key),
        Held::Public(_) => Err(wrong(path, "this is a public key, name the file with the secret key")),
        Held::SignalSecret(_) | Held::SignalPublic(_) => Err(wrong(path, FOR_SIGNALLING)),
    }
}

/// The public Ed25519 key in a file.
fn public_in(path: &Path) -> Result<PublicKey, Fail> {
    match any(path)? {
        Held::Secret(key) => Ok(key.public()),
        Held::Public(key) => Ok(key),
        Held::SignalSecret(_) | Held::SignalPublic(_) => Err(wrong(path, FOR_SIGNALLING)),
    }
}

/// The public key for signalling in a file.
pub(crate) fn signal_public_in(path: &Path) -> Result<signal::PublicKey, Fail> {
    match any(path)? {
        Held::SignalSecret(key) => Ok(key.public()),
        Held::SignalPublic(key) => Ok(key),
        Held::Secret(_) | Held::Public(_) => Err(wrong(path, NOT_FOR_SIGNALLING)),
    }
}

/// A public key for signalling as a person names it: 66 hex digits, or a file with it.
pub(crate) fn signal_public(word: &str) -> Result<signal::PublicKey, Fail> {
    match word.parse() {
        Ok(key) => Ok(key),
        Err(_) if Path::new(word).exists() => signal_public_in(Path::new(word)),
        Err(why) => Err(Fail::usage(format!("`{}` is no file and no public key: {why}", crate::usage::short(word)))),
    }
}

/// A secret key for signalling that somebody else wrote as hex digits: a file for the owner's eyes only, too.
pub(crate) fn import(path: &Path) -> Result<signal::SecretKey, Fail> {
    let (file, bytes) = read(path)?;
    private(path, &file)?;
    let mut digits = Zeroizing::new(text(path, &bytes)?.trim().as_bytes().to_vec());
    digits.make_ascii_lowercase();
    let mut number = Zeroizing::new([0; 32]);
    hex::parse(&digits, number.as_mut_slice())
        .ok_or_else(|| wrong(path, "this is no secret key: write its 32 bytes as 64 hex digits"))?;
    signal::SecretKey::from_bytes(&number).map_err(|why| wrong(path, why))
}

const FOR_SIGNALLING: &str =
    "this is a secp256k1 key, which is for signalling; here an Ed25519 key is needed: sluis key new FILE";
const NOT_FOR_SIGNALLING: &str =
    "this is an Ed25519 key; signalling needs a secp256k1 key: sluis key new FILE --kind secp256k1";

/// The shared key in a file: all of its bytes, save one line feed at their end.
pub(crate) fn mac(path: &Path) -> Result<MacKey, Fail> {
    let (file, bytes) = read(path)?;
    private(path, &file)?;
    let key = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    if key.is_empty() {
        return Err(wrong(path, "it is empty, write the shared key into it"));
    }
    Ok(MacKey::new(key))
}

/// The join token in a file, which is for its owner's eyes only, too.
pub(crate) fn token(path: &Path) -> Result<JoinToken, Fail> {
    let (file, bytes) = read(path)?;
    private(path, &file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(path, "this is no text, a join token is one line"))?;
    JoinToken::parse(text.trim()).map_err(|why| wrong(path, why))
}

/// A public key as a person names it: the key itself (hex, note or OpenSSH), or a file with it.
pub(crate) fn public(word: &str) -> Result<PublicKey, Fail> {
    match public_text(word) {
        Ok(key) => Ok(key),
        Err(_) if Path::new(word).exists() => public_in(Path::new(word)),
        Err(why) => Err(Fail::usage(format!("`{}` is no file and no public key: {why}", crate::usage::short(word)))),
    }
}

/// A public key for signalling: hex or PEM.
fn signal_text(text: &str) -> Result<signal::PublicKey, signal::KeyError> {
    let text = text.trim();
    if text.starts_with("-----BEGIN") { signal::PublicKey::from_pem(text) } else { text.parse() }
}

fn public_text(text: &str) -> Result<PublicKey, String> {
    let text = text.trim();
    if text.starts_with("-----BEGIN") {
        return PublicKey::from_pem(text).map_err(|why| why.to_string());
    }
    if text.starts_with("ssh-ed25519 ") {
        return PublicKey::from_openssh(text).map_err(|why| why.to_string());
    }
    if text.contains('+') {
        return NoteKey::parse(text).map(|key| key.key()).map_err(|why| why.to_string());
    }
    text.parse().map_err(|why| match why {
        KeyError::Hex => format!("{why}, or PEM, a note key, or an OpenSSH line"),
        why => why.to_string(),
    })
}

/// Write a new secret: mode 0600, nothing overwritten unless it is `force`d.
pub(crate) fn create(path: &Path, secret: &[u8], force: bool) -> Result<(), Fail> {
    let cannot = |why: io::Error| Fail::runtime(format!("cannot write {} ({why})", path.display()));
    if force {
        // Beside it first, then over it in one step: there is never half a key under its name.
        let beside = beside(path).map_err(cannot)?;
        fill(&beside, secret).and_then(|()| fs::rename(&beside, path)).map_err(|why| {
            let _ = fs::remove_file(&beside);
            cannot(why)
        })?;
    } else {
        match fill(path, secret) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {
                let what =
                    format!("{} is there already, name another file or add --force to replace it", path.display());
                return Err(Fail::runtime(what));
            }
            done => done.map_err(cannot)?,
        }
    }
    sync_parent(path);
    Ok(())
}

/// Make the file, which must not be there, and put everything into it; when that fails it is gone again.
fn fill(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret).and_then(|()| file.sync_all()).inspect_err(|_| drop(fs::remove_file(path)))
}

/// A name in the same folder that nobody has.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(format!(".{}.new", std::process::id()));
    Ok(path.with_file_name(new))
}

/// A name is kept through a power cut once its folder is written. Where that cannot be had, the file still is.
pub(crate) fn sync_parent(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(parent) {
        let _ = folder.sync_all();
    }
}

fn read(path: &Path) -> Result<(File, Zeroizing<Vec<u8>>), Fail> {
    let cannot = |why: io::Error| Fail::runtime(format!("cannot read {} ({why})", path.display()));
    let file = files::open(path).map_err(cannot)?;
    // Room from the start: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    (&file).take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > MAX_FILE {
        return Err(wrong(path, format_args!("it is longer than {MAX_FILE} bytes, that is no key: name another file")));
    }
    Ok((file, bytes))
}

fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, Fail> {
    std::str::from_utf8(bytes).map_err(|_| no_key(path, "this is no text, keys are PEM"))
}

/// Refuse a file that others than its owner may use.
fn private(path: &Path, file: &File) -> Result<(), Fail> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let stat = file.metadata().map_err(|why| wrong(path, why))?;
        let mode = stat.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Fail::runtime(format!(
                "{} is open to others (mode {mode:03o}) and holds a secret, close it: chmod 600 {}",
                path.display(),
                quoted(path)
            )));
        }
    }
    let _ = (path, file);
    Ok(())
}

/// A name as a shell takes it.
#[cfg(unix)]
fn quoted(path: &Path) -> String {
    let name = path.display().to_string();
    let name = if name.starts_with('-') { format!("./{name}") } else { name };
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !name.is_empty() && name.chars().all(plain) { name } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

/// What is in a file is no key, or not one to be believed.
fn no_key(path: &Path, why: impl std::fmt::Display) -> Fail {
    wrong(path, format_args!("{why}; bring it back from a copy, name another file, or make a key with `sluis key new`"))
}

fn wrong(path: &Path, why: impl std::fmt::Display) -> Fail {
    Fail::runtime(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_a_shell() {
        for (name, shown) in
            [("a/b.key", "a/b.key"), ("-x", "./-x"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$(x)", "'$(x)'")]
        {
            assert_eq!(quoted(Path::new(name)), shown);
        }
    }
}
