//! What is installed beside the program: completions for shells, and manual pages.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::Cli;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::{Out, Style};

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where the pages go: a folder, which is made if it is not there. Pages of the same names are replaced
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

pub(crate) const COMPLETIONS: &str = r#"Examples:
  sluis completions bash > ~/.local/share/bash-completion/completions/sluis
  sluis completions zsh > ~/.zfunc/_sluis
  sluis completions fish > ~/.config/fish/completions/sluis.fish

--json prints {"event":"completions","shell","text"}."#;

pub(crate) const MAN: &str = r#"Examples:
  sluis man ~/.local/share/man/man1
  man sluis-listen

--json prints {"event":"page","file"} for each."#;

/// Print the script.
pub(crate) fn completions(common: Common, args: &CompletionsArgs) -> Result<ExitCode, Fail> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sluis", &mut script);
    let mut out = Out::new(common, false).timed();
    match out.style {
        Style::Json => out.json("completions", |o| {
            o.str("shell", &args.shell.to_string()).str("text", &String::from_utf8_lossy(&script))
        }),
        Style::Text => out.line(|line, _| line.extend_from_slice(script.trim_ascii_end())),
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

/// Write the pages.
pub(crate) fn pages(common: Common, args: &ManArgs) -> Result<ExitCode, Fail> {
    let wrong = |path: &Path, why: &io::Error| Fail::runtime(format!("cannot write {} ({why})", path.display()));
    fs::create_dir_all(&args.dir).map_err(|why| wrong(&args.dir, &why))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut written = Vec::new();
    each(&command, &mut |command| {
        let file = args.dir.join(format!("{}.1", name(command)));
        page(command).and_then(|page| fs::write(&file, page)).map_err(|why| wrong(&file, &why))?;
        written.push(file);
        Ok(())
    })?;
    let mut out = Out::new(common, false).timed();
    match out.style {
        Style::Json => {
            written.iter().for_each(|file| out.json("page", |o| o.str("file", &file.to_string_lossy())));
        }
        Style::Text => out.flow("", |flow| {
            flow.words(&format!("{} pages in {}", written.len(), args.dir.display()));
        }),
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

/// A command and all below it that are shown.
fn each(command: &clap::Command, take: &mut impl FnMut(&clap::Command) -> Result<(), Fail>) -> Result<(), Fail> {
    take(command)?;
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| each(below, take))
}

/// `sluis-key-new`.
fn name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command.
fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).source(concat!("sluis ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_help() {
        verbatim(&text.to_string()).to_writer(&mut page)?;
    }
    Ok(ascii(&page).into_bytes())
}

/// Not every troff reads UTF-8.
fn ascii(page: &[u8]) -> String {
    String::from_utf8_lossy(page).chars().fold(String::with_capacity(page.len()), |mut all, c| {
        if c.is_ascii() {
            all.push(c);
        } else {
            let _ = write!(all, "\\[u{:04X}]", u32::from(c));
        }
        all
    })
}

/// What stands below the flags in `--help`, line by line: it has columns.
fn verbatim(text: &str) -> Roff {
    let (head, text) = match text.split_once('\n') {
        Some(("Examples:", rest)) => ("EXAMPLES", rest),
        _ => ("NOTES", text),
    };
    let mut roff = Roff::new();
    roff.control("SH", [head]).control("nf", []);
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff
}
