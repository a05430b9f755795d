//! Feeding a node what it was fed before.

use alloc::string::{String, ToString};

use super::line::{Line, Version};
use super::read::{BadRecord, Object};
use super::recorded::{Recordable, Recorded, Sink};
use crate::node::Node;

/// Why a recording does not replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A line cannot be read.
    #[error("line {line} {what}")]
    Unreadable {
        /// Its number, from 1.
        line: usize,
        /// What is odd about it.
        what: &'static str,
    },
    /// There is nothing in it.
    #[error("there is no recording of a node in this")]
    Empty,
    /// The node did something else than it did when it was recorded.
    #[error("line {line} was {recorded:?} and is {replayed:?} now")]
    Differs {
        /// The line, from 1.
        line: usize,
        /// What was recorded; without the seed.
        recorded: String,
        /// What came of it this time; without the seed.
        replayed: String,
    },
}

/// A replayed recording.
#[derive(Debug)]
#[non_exhaustive]
pub struct Replayed<M = Node> {
    /// The node (or other machine) as it was at the end.
    pub node: M,
    /// Inputs that it was fed.
    pub inputs: usize,
}

/// Replay the recording of one node; every output must be as it was.
///
/// # Errors
/// The line that cannot be read, or the first that comes out different.
pub fn replay(text: &str) -> Result<Replayed, ReplayError> {
    run(text, Replay::new())
}

/// Replay one node out of a recording of several, such as that of a simulated network. Where the node was started more
/// than once, every start is replayed and the last one returned. With the feature `sim` this also replays nodes that were
/// simulated with a protection switched off.
///
/// # Errors
/// As [`replay`].
pub fn replay_labelled(text: &str, node: u32) -> Result<Replayed, ReplayError> {
    run(text, Replay::labelled(node))
}

fn run(text: &str, mut replay: Replay) -> Result<Replayed, ReplayError> {
    for line in text.lines() {
        replay.line(line)?;
    }
    replay.finish()
}

/// A replay that is given its recording line by line, however long that is.
#[derive(Debug)]
pub struct Replay<M = Node> {
    label: Option<u32>,
    lines: usize,
    /// The line that says that the recording has an end.
    file: usize,
    inputs: usize,
    node: Option<Recorded<M>>,
    version: Version,
    wrote: String,
    end: RecordingEnd,
}

/// Whether all of a recording is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordingEnd {
    /// It does not say whether it has an end: it is not of a file, or was made by an earlier version.
    #[default]
    Unknown,
    /// It says that it has an end, and that has not come: it was cut there, or is still being made.
    Missing,
    /// The end has come.
    Reached,
}

impl Default for Replay {
    fn default() -> Self {
        Self::new()
    }
}

impl Replay {
    /// Of the recording of one node.
    #[must_use]
    pub const fn new() -> Self {
        Self::of_machine(None)
    }

    /// Of one node out of a recording of several, as in [`replay_labelled`]; lines of others are passed over.
    #[must_use]
    pub const fn labelled(node: u32) -> Self {
        Self::of_machine(Some(node))
    }
}

impl<M: Recordable> Replay<M> {
    /// Of the recording of any machine, or of the one with this number out of a recording of several.
    #[must_use]
    pub const fn of_machine(label: Option<u32>) -> Self {
        Self {
            label,
            lines: 0,
            file: 0,
            inputs: 0,
            node: None,
            version: Version::Two,
            wrote: String::new(),
            end: RecordingEnd::Unknown,
        }
    }

    /// The next line. After an error there is nothing to be had from further ones.
    ///
    /// # Errors
    /// It cannot be read, or comes out different.
    pub fn line(&mut self, line: &str) -> Result<(), ReplayError> {
        self.lines += 1;
        let number = self.lines;
        let unreadable = |BadRecord(what)| ReplayError::Unreadable { line: number, what };
        let object = Object::parse(line).map_err(unreadable)?;
        match (self.label, object.has("node")) {
            (None, true) => return Err(unreadable(BadRecord("is of a network: one of its nodes has to be chosen"))),
            (Some(label), _) if object.number("node").ok() != Some(label) => return Ok(()),
            _ => {}
        }
        let input = object.text("in").map_err(unreadable)?;
        let started = input == "start";
        match (&*input, self.node.is_some(), self.end) {
            // It comes before the start, so that it is in whatever is left of a file; in earlier recordings it comes behind it.
            ("file", ..) => {
                (self.end, self.file) = (RecordingEnd::Missing, number);
                return Ok(());
            }
            ("start", _, RecordingEnd::Reached) => self.end = RecordingEnd::Unknown,
            (_, _, RecordingEnd::Reached) => return Err(unreadable(BadRecord("comes after the end of the recording"))),
            ("end", true, _) => {
                if object.has("lines") && object.u64("lines").map_err(unreadable)? != (number - self.file - 1) as u64 {
                    return Err(unreadable(BadRecord(
                        "counts other lines than are there: some were taken out, or put in",
                    )));
                }
                self.end = RecordingEnd::Reached;
                return Ok(());
            }
            _ => {}
        }
        let node = match &mut self.node {
            node if started => {
                self.version = version(object).map_err(unreadable)?;
                node.insert(start(object, self.label, self.version).map_err(unreadable)?)
            }
            None => return Err(unreadable(BadRecord("comes before the start of the node"))),
            Some(node) => {
                node.feed(&input, object, self.version).map_err(unreadable)?;
                self.inputs += 1;
                node
            }
        };
        self.wrote.clear();
        node.take_lines(&mut self.wrote);
        let (recorded, replayed) = (line.trim_end(), self.wrote.trim_end());
        if recorded == replayed {
            return Ok(());
        }
        let shown = |line: &str| if started { without_seed(line) } else { line.into() };
        Err(ReplayError::Differs { line: number, recorded: shown(recorded), replayed: shown(replayed) })
    }

    /// Inputs that the node was fed so far.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Whether all of the recording has come.
    #[must_use]
    pub const fn end(&self) -> RecordingEnd {
        self.end
    }

    /// The end of the recording: the node as it is now.
    ///
    /// # Errors
    /// [`ReplayError::Empty`].
    pub fn finish(self) -> Result<Replayed<M>, ReplayError> {
        let inputs = self.inputs;
        self.node.map(|node| Replayed { node: node.into_inner(), inputs }).ok_or(ReplayError::Empty)
    }
}

/// The start of a node without its seed: differences are shown to people.
fn without_seed(line: &str) -> String {
    const KEY: &str = "\"seed\":\"";
    let Some((before, rest)) = line.split_once(KEY) else { return line.to_string() };
    let after = rest.find('"').and_then(|end| rest.get(end..)).unwrap_or_default();
    [before, KEY, "...", after].concat()
}

fn version(line: Object<'_>) -> Result<Version, BadRecord> {
    Version::from_number(line.u64("version")?).ok_or(BadRecord("is of a version that this program does not know"))
}

/// Make the machine that was recorded.
fn start<M: Recordable>(line: Object<'_>, label: Option<u32>, version: Version) -> Result<Recorded<M>, BadRecord> {
    let mut again = Line::new(version);
    let machine = M::start(line, label.is_some(), &mut again)?;
    let again = again.finish();
    Ok(Recorded::begin(machine, (label, version), Sink::Keep(String::new()), |line| line.members(&again)))
}
