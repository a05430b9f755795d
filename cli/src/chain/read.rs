//! The reading side: lines of a file, one after the other, whoever wrote it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use sluis_chain::log::is_blank;

use super::progress::Progress;
use crate::fail::Fail;
use crate::files;

/// The longest line that is read; a longer one is passed over and counted as broken.
pub(super) const MAX_LINE: usize = 16 << 20;

/// A regular file that is read.
pub(super) fn open(path: &Path) -> Result<File, Fail> {
    if path.is_dir() {
        return Err(Fail::runtime(format!("{} is a folder, name a file", path.display())));
    }
    files::open(path).map_err(|why| cannot(path, &why))
}

/// Standard input, which may be a pipe.
pub(super) fn open_stdin() -> Result<File, Fail> {
    #[cfg(unix)]
    let stdin = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned();
    #[cfg(windows)]
    let stdin = std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned();
    stdin.map(File::from).map_err(|why| Fail::runtime(format!("cannot read standard input ({why})")))
}

pub(super) fn cannot(path: &Path, why: &io::Error) -> Fail {
    Fail::runtime(format!("cannot read {} ({why})", path.display()))
}

/// Read on until the first line that is not blank has come, into `front`; that line, without its line feed. `None` if there is
/// none, or it is too long.
pub(super) fn first_line<'f>(reader: &mut impl io::Read, front: &'f mut Vec<u8>) -> io::Result<Option<&'f [u8]>> {
    let mut start = 0;
    loop {
        let feed = front.get(start..).unwrap_or_default().iter().position(|byte| *byte == b'\n');
        if let Some(end) = feed.map(|at| start + at) {
            if front.get(start..end).is_some_and(|line| !is_blank(line)) {
                return Ok(front.get(start..end));
            }
            start = end + 1;
        } else if front.len() > MAX_LINE {
            return Ok(None);
        } else if io::Read::take(&mut *reader, 1 << 16).read_to_end(front)? == 0 {
            return Ok(front.get(start..).filter(|line| !is_blank(line)));
        }
    }
}

/// How a recording of a node begins: that in a file, and others, those of before included.
const RECORDINGS: [&[u8]; 2] = [b"{\"in\":\"file\",", b"{\"in\":\"start\","];

/// Refuse a file that is no log but the recording of a node, which looks like one at first sight.
pub(super) fn refuse_recording(path: &Path, first: Option<&[u8]>) -> Result<(), Fail> {
    if !first.is_some_and(|line| RECORDINGS.iter().any(|begin| line.starts_with(begin))) {
        return Ok(());
    }
    let name = path.display();
    Err(Fail::runtime(format!(
        "{name} is what `listen --capture` recorded, no log of tokens (that is --record): see `sluis replay {name}`"
    )))
}

/// Call `each` with the number and the bytes of every line that is not blank, without its line end. `None` stands for a line
/// that is too long. What is written behind its end meanwhile is not read.
pub(super) fn lines(path: &Path, mut each: impl FnMut(u64, Option<&[u8]>)) -> Result<u64, Fail> {
    let file = open(path)?;
    let mut progress = Progress::new(path, &file);
    let len = file.metadata().map_err(|why| cannot(path, &why))?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file.take(len));
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        let long = match read_line(&mut reader, &mut line) {
            Ok(None) => return Ok(number),
            Ok(Some(long)) => long,
            Err(why) => return Err(cannot(path, &why)),
        };
        number += 1;
        progress.more(line.len() + 1);
        if long {
            each(number, None);
        } else if !is_blank(&line) {
            each(number, Some(&line));
        }
    }
}

/// Read to the next line end; whether the line was too long to be kept. `None`: there is none.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    let (mut any, mut long) = (false, false);
    loop {
        let held = match reader.fill_buf() {
            Ok(held) => held,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            Err(why) => return Err(why),
        };
        if held.is_empty() {
            return Ok(any.then_some(long));
        }
        any = true;
        let end = held.iter().position(|byte| *byte == b'\n');
        let part = held.get(..end.unwrap_or(held.len())).unwrap_or_default();
        long |= line.len() + part.len() > MAX_LINE;
        if !long {
            line.extend_from_slice(part);
        }
        let used = end.map_or(held.len(), |at| at + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(long));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_first_that_is_not_blank() {
        for (file, line) in [
            ("", None),
            ("\n \u{a0}\n", None),
            ("one", Some("one")),
            ("\n\none\ntwo\n", Some("one")),
            (" \u{3000}\n x\n", Some(" x")),
        ] {
            let (mut rest, mut front) = (file.as_bytes(), Vec::new());
            let first = first_line(&mut rest, &mut front).unwrap().map(<[u8]>::to_vec);
            assert_eq!(first.as_deref(), line.map(str::as_bytes), "{file:?}");
            assert_eq!([&front, rest].concat(), file.as_bytes(), "nothing is lost of {file:?}");
        }
        let long = "x".repeat(MAX_LINE + 1);
        assert_eq!(first_line(&mut long.as_bytes(), &mut Vec::new()).unwrap(), None);
    }

    #[test]
    fn lines_end_with_a_line_feed_or_the_file() {
        let mut reader = BufReader::with_capacity(3, &b"one\n\nthree"[..]);
        let mut all = Vec::new();
        loop {
            let mut line = Vec::new();
            match read_line(&mut reader, &mut line).unwrap() {
                Some(long) => all.push((String::from_utf8(line).unwrap(), long)),
                None => break,
            }
        }
        assert_eq!(all, [("one".to_owned(), false), (String::new(), false), ("three".to_owned(), false)]);
    }
}
