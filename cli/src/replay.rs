//! `sluis replay`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sluis_core::record::{Capture, RecordingEnd, Replay, ReplayError};

use crate::args::ReplayArgs;
use crate::capture::cannot_make;
use crate::common::Common;
use crate::fail::Fail;
use crate::files;
use crate::output::{Color, Out, Style, escape, tell};

/// The file name that stands for standard output.
const STDOUT: &str = "-";

/// No line of a recording is nearly this long: the longest hold a datagram, or a payload that was escaped twice.
const LONGEST: u64 = 16 << 20;

/// How much of a differing line people get to see.
const SHOWN: usize = 160;

/// Replay a recording; the exit code is 0 when every output is as recorded.
pub(crate) fn run(common: Common, args: &ReplayArgs) -> Result<ExitCode, Fail> {
    let to_stdout = args.pcap.as_deref() == Some(Path::new(STDOUT));
    if to_stdout && common.json {
        return Err(Fail::usage("--json and --pcap - both write to standard output, name a file"));
    }
    let name = args.file.display();
    let unreadable = |why: &io::Error| Fail::usage(format!("cannot read {name} ({why}), check the name"));
    if args.file.is_dir() {
        return Err(Fail::usage(format!("cannot read {name} (it is a folder), name a recording")));
    }
    let file = files::open(&args.file).map_err(|why| unreadable(&why))?;
    let mut lines = Lines { file: BufReader::new(file), line: Vec::new(), number: 0 };
    let mut pcap = args.pcap.as_deref().map(|path| Pcap::create(path, args.node)).transpose()?;
    let mut replay = args.node.map_or_else(Replay::new, Replay::labelled);
    let mut difference = None;
    while let Some(line) = lines.next(&args.file)? {
        if difference.is_none()
            && let Err(why) = replay.line(line)
        {
            match why {
                ReplayError::Differs { .. } => difference = Some(why),
                why => return Err(Trouble::Recording(why).into_fail(&args.file, replay.inputs())),
            }
        }
        match pcap.as_mut().map(|pcap| pcap.line(line)) {
            Some(Err(Trouble::Recording(_))) if difference.is_some() => break,
            Some(written) => written.map_err(|why| why.into_fail(&args.file, replay.inputs()))?,
            // Without a capture to write, nothing further is to be learned.
            None if difference.is_some() => break,
            None => {}
        }
    }
    let (inputs, end) = (replay.inputs(), replay.end());
    replay.finish().map_err(|why| Trouble::Recording(why).into_fail(&args.file, inputs))?;
    let datagrams = pcap.map(Pcap::finish).transpose().map_err(|why| why.into_fail(&args.file, inputs))?;
    let outcome = Outcome { same: difference.is_none(), end, inputs, datagrams };
    if to_stdout {
        outcome.tell(difference.as_ref());
        return Ok(outcome.code());
    }
    let mut out = Out::new(common, false).timed();
    if let Some(ReplayError::Differs { line, recorded, replayed }) = &difference {
        differs(&mut out, *line, recorded, replayed);
    }
    outcome.summary(&mut out, lines.number);
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(outcome.code())
}

/// What came of it.
struct Outcome {
    same: bool,
    end: RecordingEnd,
    inputs: usize,
    datagrams: Option<u64>,
}

impl Outcome {
    /// Success is that all of it was there and came out the same, as far as can be known.
    fn code(&self) -> ExitCode {
        if self.same && self.end != RecordingEnd::Missing { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// What there is to be said of the end of the recording, where all that is there came out the same.
    const fn about_end(&self) -> &'static str {
        match self.end {
            RecordingEnd::Reached => "",
            RecordingEnd::Missing => "; its end is missing: it was cut, or is still being made",
            RecordingEnd::Unknown => "; it cannot say whether it was cut",
        }
    }

    /// In words on standard error: standard output is the capture.
    fn tell(&self, difference: Option<&ReplayError>) {
        let (inputs, datagrams) = (self.inputs, self.datagrams.unwrap_or(0));
        if let Some(ReplayError::Differs { line, .. }) = difference {
            tell(&format!("sluis replay: different from line {line} on"));
        } else {
            let end = self.about_end();
            tell(&format!(
                "sluis replay: {inputs} inputs, every output as recorded; {datagrams} datagrams written{end}"
            ));
        }
    }

    fn summary(&self, out: &mut Out, lines: usize) {
        let Self { same, end, inputs, datagrams } = self;
        match out.style {
            Style::Json => out.json("summary", |object| {
                let object = object.raw("same", same).raw("lines", lines).raw("inputs", inputs);
                let object = match datagrams {
                    Some(datagrams) => object.raw("datagrams", datagrams),
                    None => object.raw("datagrams", "null"),
                };
                // Behind the first difference nobody looks for it.
                match end {
                    RecordingEnd::Reached => object.raw("cut", false),
                    RecordingEnd::Missing if *same => object.raw("cut", true),
                    RecordingEnd::Missing | RecordingEnd::Unknown => object.raw("cut", "null"),
                }
            }),
            Style::Text => out.line(|line, paint| {
                if *same {
                    match end {
                        RecordingEnd::Missing => paint.text(line, Color::Red, "cut"),
                        _ => paint.text(line, Color::Green, "the same"),
                    }
                    let _ = write!(line, ": {inputs} inputs, every output as recorded");
                } else {
                    let _ = write!(line, "{inputs} inputs were replayed");
                }
                if let Some(datagrams) = datagrams {
                    let _ = write!(line, "; {datagrams} datagrams written");
                }
                if *same {
                    line.extend_from_slice(self.about_end().as_bytes());
                }
            }),
        }
    }
}

/// The lines of a file, one at a time.
struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
    number: usize,
}

impl Lines {
    fn next(&mut self, path: &Path) -> Result<Option<&str>, Fail> {
        let fail = |number: usize, what: &str| Fail::runtime(format!("{}: line {number} {what}", path.display()));
        self.line.clear();
        let read = self.file.by_ref().take(LONGEST).read_until(b'\n', &mut self.line);
        let read = read.map_err(|why| fail(self.number + 1, &format!("cannot be read ({why})")))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if read as u64 == LONGEST {
            return Err(fail(self.number, "is longer than any line of a recording"));
        }
        let text = std::str::from_utf8(&self.line).map_err(|_| fail(self.number, "is not UTF-8"))?;
        Ok(Some(text.trim_end_matches(['\r', '\n'])))
    }
}

/// What can go wrong on the way.
enum Trouble {
    Recording(ReplayError),
    Pcap(PathBuf, io::Error),
}

impl Trouble {
    fn into_fail(self, recording: &Path, inputs: usize) -> Fail {
        let name = recording.display();
        match self {
            Self::Recording(why @ ReplayError::Empty) => Fail::runtime(format!("{name}: {why}")),
            Self::Recording(why) if inputs == 0 && is_log(recording) => Fail::runtime(format!(
                "{name} is a log of tokens, no recording of a node (that is --capture): see `sluis chain verify {name}` ({why})"
            )),
            Self::Recording(why) if inputs == 0 => {
                Fail::runtime(format!("{name} is no recording that can be replayed: {why}"))
            }
            Self::Recording(why) => Fail::runtime(format!("{name}: {why}; what came before it is as recorded")),
            Self::Pcap(path, why) if path == Path::new(STDOUT) => Fail::output(&why),
            Self::Pcap(path, why) => {
                Fail::runtime(format!("cannot write {} ({why}), make room and try again", path.display()))
            }
        }
    }
}

/// Whether a file begins like a log of tokens.
fn is_log(path: &Path) -> bool {
    let mut start = [0; 16];
    let read = files::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|n| start[..n].starts_with(b"{\"token_id\":"))
}

/// The file of `--pcap`.
struct Pcap {
    path: PathBuf,
    file: BufWriter<Box<dyn Write>>,
    capture: Capture,
    block: Vec<u8>,
    done: bool,
}

impl Pcap {
    /// Make the file, for its owner alone: the datagrams are in it in full.
    fn create(path: &Path, node: Option<u32>) -> Result<Self, Fail> {
        let file: Box<dyn Write> = if path == Path::new(STDOUT) {
            Box::new(io::stdout())
        } else {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            Box::new(options.open(path).map_err(|why| cannot_make("write", path, &why))?)
        };
        let mut capture = node.map_or_else(Capture::new, Capture::labelled);
        let mut block = Vec::new();
        capture.begin(&mut block);
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), capture, block, done: false })
    }

    fn line(&mut self, line: &str) -> Result<(), Trouble> {
        self.capture.line(line, &mut self.block).map_err(Trouble::Recording)?;
        self.file.write_all(&self.block).map_err(|why| Trouble::Pcap(self.path.clone(), why))?;
        self.block.clear();
        Ok(())
    }

    /// How many datagrams are in it.
    fn finish(mut self) -> Result<u64, Trouble> {
        self.done = true;
        let written = self.file.write_all(&self.block).and_then(|()| self.file.flush());
        written.map(|()| self.capture.datagrams()).map_err(|why| Trouble::Pcap(self.path.clone(), why))
    }
}

impl Drop for Pcap {
    /// A recording that could not be read leaves no empty file behind.
    fn drop(&mut self) {
        if !self.done && self.capture.datagrams() == 0 && self.path != Path::new(STDOUT) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn differs(out: &mut Out, number: usize, recorded: &str, replayed: &str) {
    match out.style {
        Style::Json => out.json("difference", |object| {
            object.raw("line", number).str("recorded", recorded).str("replayed", replayed)
        }),
        Style::Text => {
            out.line(|line, paint| {
                paint.text(line, Color::Red, "different");
                let _ = write!(line, " from line {number} on");
            });
            let same = recorded.chars().zip(replayed.chars()).take_while(|(a, b)| a == b).count();
            for (who, text) in [("recorded", recorded), ("replayed", replayed)] {
                let shown = around(text, same);
                out.line(|line, _| escape::put(line, &format!("  {who}: {shown}")));
            }
        }
    }
}

/// What is shown of a long line: what is around the first difference.
fn around(text: &str, same: usize) -> String {
    let skip = same.saturating_sub(SHOWN / 4);
    let mut shown: String = text.chars().skip(skip).take(SHOWN).collect();
    if skip > 0 {
        shown.insert_str(0, "...");
    }
    if text.chars().nth(skip + SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{SHOWN, around};

    #[test]
    fn long_lines_are_shown_around_the_difference() {
        assert_eq!(around("short", 2), "short");
        let long = "é".repeat(1000);
        let shown = around(&long, 500);
        assert!(shown.starts_with("...é") && shown.ends_with("é...") && shown.chars().count() == SHOWN + 6);
        assert_eq!(around(&long, 2000), "...");
    }
}
