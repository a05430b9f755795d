//! The files that a step declares: under which names they stand in the log, and what is in them.
//!
//! A file is known by its resolved path, relative to the folder of the log, whatever it was called on the command line: neither an
//! absolute path, `..`, a symbolic link nor another folder to work in makes it another file. Only regular files have a content that
//! can be hashed, and that is read up to the length that they have when they are opened.
//!
//! Inputs are compared before and after the command: the file, its bytes, and the links and folders on the path by which it was
//! given. What was exchanged in between and put back is found by the times that the file system keeps of it. They do not tell that a folder
//! was moved away and back if files were made or removed in it, too.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use sluis_chain::token::Hash32;
use sluis_chain::workload::hash_value;
use sluis_core::data::{self, Value, canonical};

use crate::fail::Fail;
use crate::files;

/// Names of files, and the hashes of their contents in hex.
pub(super) type Hashes = BTreeMap<String, String>;

/// The folder that names are relative to: the one that holds the log.
#[derive(Clone, Debug)]
pub(super) struct Base(PathBuf);

/// What tells whether a file was written to, renamed or exchanged: volume, number, length, and the times at which its bytes and its
/// entry changed.
pub(super) type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// A declared file as it was when it was hashed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) hash: String,
    stamp: Stamp,
    /// The paths by which it was given.
    routes: Vec<Route>,
}

/// A path by which a file was given, and what stood on it.
#[derive(Clone, Debug)]
struct Route {
    given: PathBuf,
    passed: Vec<Passed>,
}

/// A link or a folder on a path.
#[derive(Clone, Copy, Debug)]
struct Passed {
    is_link: bool,
    stamp: Stamp,
}

/// Declared files by name.
pub(super) type Declared = BTreeMap<String, Seen>;

/// What became of the inputs while the command ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// They are as they were.
    None,
    /// Somebody wrote to this one, renamed or exchanged it, and its bytes are the same again.
    Touched(String),
    /// This one has other bytes, or cannot be read any more.
    Bytes(String),
}

impl Base {
    /// The folder of a log, which need not be there yet.
    pub(super) fn of(log: &Path) -> Result<Self, Fail> {
        // A link to the log is the log.
        let resolved = fs::canonicalize(log);
        let log = resolved.as_deref().unwrap_or(log);
        let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let cannot = |why| Fail::runtime(format!("cannot use the folder {} ({why}), make it first", folder.display()));
        fs::canonicalize(folder).map(Self).map_err(cannot)
    }

    /// The name of a file in the log.
    fn name(&self, resolved: &Path) -> String {
        let (mut base, mut rest) = (self.0.components().peekable(), resolved.components().peekable());
        while base.peek().is_some() && base.peek() == rest.peek() {
            base.next();
            rest.next();
        }
        let up = base.map(|_| Component::ParentDir);
        let path: PathBuf = up.chain(rest).collect();
        escape(&path)
    }

    /// Where the file of a name is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(unescape(name))
    }

    /// The name under which a file will stand that may not be there yet, and where it is.
    pub(super) fn expect(&self, path: &Path) -> (String, PathBuf) {
        let resolved = files::place(path);
        (self.name(&resolved), resolved)
    }

    /// Hash files.
    ///
    /// # Errors
    /// The first that cannot be read, and why.
    pub(super) fn hash<'p>(&self, paths: &'p [PathBuf]) -> Result<Declared, (&'p Path, io::Error)> {
        let mut all = Declared::new();
        for path in paths {
            let seen = || {
                // First the way, then the file: what is exchanged in between is found later.
                let route = Route::of(path)?;
                let resolved = fs::canonicalize(path)?;
                Ok((self.name(&resolved), route, hash(&resolved)?))
            };
            let (name, route, seen) = seen().map_err(|why| (path.as_path(), why))?;
            all.entry(name).or_insert(seen).routes.push(route);
        }
        Ok(all)
    }

    /// Names as they were given, of files that stand in the log under another one: each with that.
    pub(super) fn links(&self, declared: &Declared) -> Hashes {
        let given = declared.iter().flat_map(|(name, seen)| seen.routes.iter().map(move |route| (route, name)));
        let names = given.map(|(route, name)| (self.name(&route.given), name.clone()));
        names.filter(|(given, name)| given != name).collect()
    }

    /// Whether files are as they were when they were hashed, and are still where they were given.
    pub(super) fn compare(&self, before: &Declared) -> (Change, Hashes) {
        let (mut change, mut now) = (Change::None, Hashes::new());
        for (name, was) in before {
            let is = self.hash_resolved(name);
            let mut found = match &is {
                Some(is) if is.hash == was.hash && is.stamp == was.stamp => Change::None,
                Some(is) if is.hash == was.hash => Change::Touched(name.clone()),
                _ => Change::Bytes(name.clone()),
            };
            let mut hash = is.map(|is| is.hash);
            for route in &was.routes {
                let (outcome, other) = self.follow(&route.given, name, &was.hash);
                let outcome = if outcome == Change::None && !route.is_unchanged() {
                    Change::Touched(self.name(&route.given))
                } else {
                    outcome
                };
                if matches!(outcome, Change::Bytes(_)) {
                    hash = other;
                }
                found = found.or(outcome);
            }
            now.extend(hash.map(|hash| (name.clone(), hash)));
            change = change.or(found);
        }
        (change, now)
    }

    /// As [`compare`](Self::compare), where only the hashes are known, and the names that were given for some.
    pub(super) fn compare_hashes(&self, before: &Hashes, links: &Hashes) -> (Change, Hashes) {
        let (mut change, mut now) = (Change::None, Hashes::new());
        for (name, was) in before {
            let is = self.hash_resolved(name).map(|seen| seen.hash);
            if is.as_ref() != Some(was) {
                change = change.or(Change::Bytes(name.clone()));
            }
            now.extend(is.map(|hash| (name.clone(), hash)));
        }
        for (given, name) in links {
            let Some(was) = before.get(name) else { continue };
            let (found, other) = self.follow(&self.path(given), name, was);
            if matches!(found, Change::Bytes(_)) {
                now.remove(name);
                now.extend(other.map(|hash| (name.clone(), hash)));
            }
            change = change.or(found);
        }
        (change, now)
    }

    /// Hash the file of a name, which is that of a resolved path: a link that stands there now is another file.
    fn hash_resolved(&self, name: &str) -> Option<Seen> {
        let resolved = self.path(name);
        (fs::canonicalize(&resolved).ok()? == resolve_dots(&resolved)).then_some(())?;
        hash(&resolved).ok()
    }

    /// Whether a path still leads to the file of this name. Where it leads to another one, that is touched if the bytes are the
    /// same; else its hash.
    fn follow(&self, given: &Path, name: &str, hash_was: &str) -> (Change, Option<String>) {
        let resolved = fs::canonicalize(given).ok();
        if resolved.as_ref().is_some_and(|resolved| self.name(resolved) == name) {
            return (Change::None, None);
        }
        let is = resolved.and_then(|resolved| hash(&resolved).ok()).map(|seen| seen.hash);
        let given = self.name(given);
        if is.as_deref() == Some(hash_was) { (Change::Touched(given), is) } else { (Change::Bytes(given), is) }
    }

    /// Another name under which one of these files is known already: a hard link, say.
    pub(super) fn alias<'h>(&self, path: &Path, known: impl Iterator<Item = &'h String>) -> Option<&'h String> {
        let identity = |path: &Path| fs::metadata(path).ok().and_then(|stat| identity(&stat));
        let is = identity(path)?;
        known.into_iter().find(|name| identity(&self.path(name)) == Some(is))
    }
}

impl Change {
    /// The first that is worst.
    fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::None, _) | (Self::Touched(_), Self::Bytes(_)) => other,
            _ => self,
        }
    }
}

impl Route {
    /// Look at what stands on a path.
    fn of(given: &Path) -> io::Result<Self> {
        let given = std::path::absolute(given)?;
        Ok(Self { passed: passed(&given)?, given })
    }

    /// Whether the same links and folders stand on it as before, none of them exchanged or moved in between.
    fn is_unchanged(&self) -> bool {
        passed(&self.given).is_ok_and(|now| {
            now.len() == self.passed.len() && self.passed.iter().zip(&now).all(|(was, is)| was.is_unmoved(is))
        })
    }
}

impl Passed {
    /// Of a folder, files that were made or removed in it are no change; but then the time of its bytes changes, too.
    fn is_unmoved(&self, now: &Self) -> bool {
        let ((dev, inode, _, bytes, bytes_ns, entry, entry_ns), is) = (self.stamp, now.stamp);
        let same = self.is_link == now.is_link && (dev, inode) == (is.0, is.1);
        let same_bytes = (bytes, bytes_ns) == (is.3, is.4);
        let same_entry = (entry, entry_ns) == (is.5, is.6);
        same && (same_entry || (!self.is_link && !same_bytes))
    }
}

/// The links and folders on the way to a file, in the order in which they are passed.
fn passed(path: &Path) -> io::Result<Vec<Passed>> {
    let (mut all, mut links) = (Vec::new(), 0);
    let mut at = PathBuf::new();
    let mut left: Vec<PathBuf> = path.components().rev().map(|part| part.as_os_str().into()).collect();
    while let Some(part) = left.pop() {
        match part.as_os_str().as_encoded_bytes() {
            b"." => continue,
            b".." => {
                at.pop();
                continue;
            }
            _ => at.push(&part),
        }
        let stat = fs::symlink_metadata(&at)?;
        let is_link = stat.is_symlink();
        if is_link {
            links += 1;
            if links > files::MAX_LINKS {
                return Err(io::Error::other("too many symbolic links"));
            }
            left.extend(fs::read_link(&at)?.components().rev().map(|part| part.as_os_str().into()));
            at.pop();
        }
        if is_link || stat.is_dir() {
            all.push(Passed { is_link, stamp: stamp(&stat) });
        }
    }
    Ok(all)
}

/// A path whose `..` stand behind folders, without them.
fn resolve_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            out.pop();
        } else {
            out.push(part);
        }
    }
    out
}

/// Names and hashes alone.
pub(super) fn hashes(declared: &Declared) -> Hashes {
    declared.iter().map(|(name, seen)| (name.clone(), seen.hash.clone())).collect()
}

/// Hash what is in a regular file, and stamp it.
fn hash(path: &Path) -> io::Result<Seen> {
    use sha2::Digest as _;
    let file = files::open(path)?;
    let stat = file.metadata()?;
    let mut hash = sha2::Sha256::new();
    let mut left = stat.len();
    let mut buffer = vec![0; 1 << 16];
    let read = |file: &File, buffer: &mut [u8]| loop {
        match (&mut &*file).read(buffer) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    };
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = read(&file, buffer.get_mut(..most).unwrap_or_default())?;
        if n == 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        hash.update(buffer.get(..n).unwrap_or_default());
        left -= n as u64;
    }
    if read(&file, buffer.get_mut(..1).unwrap_or_default())? > 0 || stamp(&file.metadata()?) != stamp(&stat) {
        return Err(io::Error::other("it was written to while it was read"));
    }
    Ok(Seen { hash: Hash32(hash.finalize().into()).to_string(), stamp: stamp(&stat), routes: Vec::new() })
}

/// What changes with a file.
pub(super) fn stamp_of(path: &Path) -> io::Result<Stamp> {
    fs::metadata(path).map(|stat| stamp(&stat))
}

#[cfg(unix)]
fn stamp(stat: &fs::Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let (bytes, entry) = ((stat.mtime(), stat.mtime_nsec()), (stat.ctime(), stat.ctime_nsec()));
    (stat.dev(), stat.ino(), stat.len(), bytes.0, bytes.1, entry.0, entry.1)
}

#[cfg(not(unix))]
fn stamp(stat: &fs::Metadata) -> Stamp {
    let at = stat.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    (0, 0, stat.len(), i64::try_from(at.as_secs()).unwrap_or(0), i64::from(at.subsec_nanos()), 0, 0)
}

#[cfg(unix)]
fn identity(stat: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((stat.dev(), stat.ino()))
}

/// Here nothing tells that two names are one file.
#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// A path as a text that no other path has: bytes that are no UTF-8 as `\xff`, and a backslash as `\\`.
fn escape(path: &Path) -> String {
    let mut out = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', r"\\"));
        for byte in chunk.invalid() {
            let digits = data::hex::pair(*byte);
            out.push_str(r"\x");
            out.extend(digits.map(char::from));
        }
    }
    out
}

/// A word of a command as a text: as it is, or, where it is no UTF-8, with `\\xff` for what is not.
pub(super) fn word(word: &std::ffi::OsStr) -> String {
    word.to_str().map_or_else(|| escape(Path::new(word)), ToOwned::to_owned)
}

/// The path of a name.
fn unescape(name: &str) -> PathBuf {
    let (mut out, mut rest) = (Vec::with_capacity(name.len()), name.as_bytes());
    while let Some((byte, behind)) = rest.split_first() {
        let hex = |two: &[u8]| {
            let mut one = [0];
            data::hex::parse(two, &mut one).map(|()| one[0])
        };
        match (byte, behind) {
            (b'\\', [b'\\', after @ ..]) => {
                out.push(b'\\');
                rest = after;
            }
            (b'\\', [b'x', high, low, after @ ..]) if hex(&[*high, *low]).is_some() => {
                out.extend(hex(&[*high, *low]));
                rest = after;
            }
            _ => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    path_of(out)
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

/// SHA-256 over the names and hashes of files, as an object in canonical form; none for no files.
pub(super) fn hash_all(files: &Hashes) -> Option<Hash32> {
    if files.is_empty() { None } else { Some(hash_of(files)) }
}

/// The same, also of no files.
pub(super) fn hash_of(files: &Hashes) -> Hash32 {
    let json = to_json(files);
    // An object of texts has a canonical form.
    Value::from_json(&json).ok().and_then(|value| hash_value(value).ok()).unwrap_or(Hash32([0; 32]))
}

/// Names and hashes of files as a JSON object.
pub(super) fn to_json(files: &Hashes) -> String {
    let mut out = Vec::new();
    let members: Vec<(&str, canonical::Member<'_>)> =
        files.iter().map(|(name, hash)| (name.as_str(), hash.as_str().into())).collect();
    // A vector has always room, and texts have a form.
    let _ = canonical::write_object(&mut out, &members, canonical::Style::SPACED);
    String::from_utf8(out).unwrap_or_default()
}

/// The names and hashes in a JSON object; nothing where it is none, or holds anything else.
pub(super) fn from_json(value: Option<Value<'_>>) -> Hashes {
    let mut files = texts(value);
    if files.values().any(|hash| Hash32::from_hex(hash).is_none()) {
        files.clear();
    }
    files
}

/// The members of a JSON object of texts; nothing where it is none, or holds anything else.
pub(super) fn texts(value: Option<Value<'_>>) -> BTreeMap<String, String> {
    let Some(value) = value.filter(|value| value.is_object()) else { return BTreeMap::new() };
    let (mut out, mut key, mut depth) = (BTreeMap::new(), None, 0);
    for token in value.tokens() {
        match token {
            data::ValueToken::ObjectStart if depth == 0 => depth += 1,
            data::ValueToken::ObjectEnd => {}
            data::ValueToken::Key(text) => key = Some(text.to_cow().into_owned()),
            data::ValueToken::Str(text) => {
                if let Some(key) = key.take() {
                    out.insert(key, text.to_cow().into_owned());
                }
            }
            _ => return BTreeMap::new(),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_hashed_by_name_and_content() {
        let files = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), b.repeat(64))).collect();
        let one: Hashes = files(&[("a", "0"), ("b", "1")]);
        assert_eq!(to_json(&one), format!(r#"{{"a": "{}", "b": "{}"}}"#, one["a"], one["b"]));
        assert_eq!(from_json(Value::from_json(&to_json(&one)).ok()), one);
        assert_ne!(hash_all(&one), hash_all(&files(&[("a", "0"), ("b", "2")])));
        for odd in [r#", "c": 1}"#, r#", "c": "red"}"#, r#", "c": {}}"#, r#", "c": []}"#] {
            let odd = to_json(&one).replace('}', odd);
            assert_eq!(from_json(Value::from_json(&odd).ok()), Hashes::new(), "{odd}");
        }
        assert_eq!(hash_all(&Hashes::new()), None);
    }

    #[cfg(unix)]
    #[test]
    fn every_path_has_a_name_of_its_own() {
        use std::os::unix::ffi::OsStrExt as _;
        let all: [&[u8]; 8] =
            [b"a", b"part-\xff", b"part-\xfe", br"part-\xff", br"a\b", br"a\\b", "é".as_bytes(), b"\xc3"];
        let names: Vec<String> = all.iter().map(|path| escape(Path::new(std::ffi::OsStr::from_bytes(path)))).collect();
        assert_eq!(names[1..4], [r"part-\xff", r"part-\xfe", r"part-\\xff"]);
        for (i, (path, name)) in all.iter().zip(&names).enumerate() {
            assert_eq!(unescape(name).as_os_str().as_bytes(), *path);
            assert!(!names[..i].contains(name), "{name}");
        }
    }

    #[test]
    fn names_are_relative_to_the_folder_of_the_log() {
        let base = Base(PathBuf::from("/home/ci/logs"));
        for (path, name) in [
            ("/home/ci/logs/a.txt", "a.txt"),
            ("/home/ci/logs/x/a.txt", "x/a.txt"),
            ("/home/ci/main.c", "../main.c"),
            ("/etc/passwd", "../../../etc/passwd"),
        ] {
            assert_eq!(base.name(Path::new(path)), name);
        }
    }
}
