//! `sluis ctl`: a command for a node that runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use crate::args::CtlArgs;
use crate::common::Common;
use crate::fail::Fail;
use crate::input::HubCommand;
use crate::output::{Out, Style, tell};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Send the command, and print what came of it; the exit code is 0 when it was done.
pub(crate) fn run(common: Common, args: &CtlArgs) -> Result<ExitCode, Fail> {
    let path = args.socket.display();
    let words: Vec<String> = args.command.iter().map(|word| quoted(word)).collect();
    let command = words.join(" ");
    // Said here, where it can be told from what the node finds.
    if HubCommand::parse(&command).map_err(Fail::usage)?.is_none() {
        return Err(Fail::usage("name a command: `sluis ctl PATH help` lists what there is"));
    }
    let connection = UnixStream::connect(&args.socket).map_err(|why| {
        Fail::runtime(format!("no node answers at {path} ({why}), start one with `sluis listen --control {path}`"))
    })?;
    let broken = |why: std::io::Error| Fail::runtime(format!("the node at {path} does not answer ({why})"));
    connection.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    let mut out = Out::new(common, false);
    let style = if out.style == Style::Json { "json " } else { "" };
    (&connection).write_all(format!("{style}{command}\n").as_bytes()).map_err(broken)?;
    for line in BufReader::new(&connection).lines() {
        let line = line.map_err(broken)?;
        let (kind, rest) = line.split_at_checked(1).unwrap_or_default();
        match kind {
            ">" => out.line(|to, _| to.extend_from_slice(rest.as_bytes())),
            "!" => tell(&format!("sluis ctl: {rest}.")),
            "." | "?" => {
                out.finish().map_err(|why| Fail::output(&why))?;
                return Ok(if kind == "." { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            _ => break,
        }
    }
    Err(Fail::runtime(format!("the node at {path} hung up before it said what came of this")))
}

/// A word of the command line as a word of the command: with blanks or control characters as a JSON text.
fn quoted(word: &str) -> String {
    if !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return word.to_owned();
    }
    let mut line = Vec::new();
    crate::output::json::put_text(&mut line, sluis_core::framing::Text::new(word));
    String::from_utf8_lossy(&line).into_owned()
}
