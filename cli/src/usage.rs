//! A wrong command line gets one sentence that names the mend.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, Error};

/// The commands, and for those that have some, what can be done.
const COMMANDS: &[(&str, &[&str])] = &[
    ("listen", &[]),
    ("ping", &[]),
    ("relay", &[]),
    ("trace", &[]),
    ("ctl", &[]),
    ("replay", &[]),
    ("discover", &[]),
    ("key", &["new", "show", "export", "rotate", "revoke"]),
    ("pin", &["add", "remove", "list"]),
    ("signal", &["id", "rank", "listen", "send", "probe", "broker", "demo"]),
    (
        "chain",
        &[
            "new", "add", "run", "plan", "start", "complete", "close", "verify", "find", "show", "prove", "export",
            "demo",
        ],
    ),
    ("mux", &["serve", "listen", "pipe", "demo", "open", "send", "close", "channels", "status", "intents", "token"]),
    ("overlay", &["register", "resolve", "find", "verify", "status", "export", "import", "demo"]),
    ("token", &["new", "list", "revoke"]),
    ("vouch", &["new", "show", "revoke"]),
    ("doctor", &[]),
    ("config", &["template"]),
    ("completions", &[]),
    ("man", &[]),
    ("demo", &[]),
];

/// Other names of commands.
const ALIASES: &[(&str, &str)] = &[("send", "ping")];

/// When help is coloured: `--color` counts for it, too, wherever it stands.
pub(crate) fn color_wanted(args: &[OsString]) -> ColorChoice {
    let before_command = args.iter().take_while(|arg| *arg != "--").map(|arg| arg.to_str().unwrap_or_default());
    let mut words = before_command.peekable();
    let mut choice = ColorChoice::Auto;
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--color") {
            Some("") => words.peek().copied(),
            Some(value) => value.strip_prefix('='),
            None => None,
        };
        choice = match value {
            Some("always") => ColorChoice::Always,
            Some("never") => ColorChoice::Never,
            Some("auto") => ColorChoice::Auto,
            _ => choice,
        };
    }
    choice
}

/// What to say about a command line that clap refused.
pub(crate) fn sentence(error: &Error, args: &[String]) -> String {
    let help = format!("`{} --help` lists what there is", spoken(args));
    let arg = text(error, ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::MissingSubcommand => {
            format!("name a command: {} (`{} --help` tells what they do)", listed(args, "or"), spoken(args))
        }
        ErrorKind::InvalidSubcommand => {
            let name = short(&text(error, ContextKind::InvalidSubcommand));
            format!("there is no command `{name}`, the commands are {}", listed(args, "and"))
        }
        ErrorKind::MissingRequiredArgument => format!("{} is missing, add it; {help}", arg.replace(", ", " and ")),
        ErrorKind::UnknownArgument => unknown(error, &arg, args, &help),
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg) {
            other if other == arg || other.is_empty() => format!("{arg} is given more than once, give it once"),
            other => format!("{arg} does not go with {other}, leave one of them out; {help}"),
        },
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("{} `{}`: {why}", flag(&arg), short(&text(error, ContextKind::InvalidValue)))
        }
        ErrorKind::InvalidValue => {
            let (value, valid) = (text(error, ContextKind::InvalidValue), text(error, ContextKind::ValidValue));
            match (value.as_str(), valid.as_str()) {
                ("", "") => format!("{} needs a value, write it behind the flag", flag(&arg)),
                ("", valid) => format!("{} needs a value: one of {valid}", flag(&arg)),
                (value, valid) => format!("{} `{}`: write one of {valid}", flag(&arg), short(value)),
            }
        }
        ErrorKind::TooManyValues => format!("{} takes no value, leave it out", flag(&arg)),
        ErrorKind::NoEquals => format!("{} takes its value behind an equals sign", flag(&arg)),
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8, write it in UTF-8".into(),
        _ => {
            let shown = error.to_string();
            let first = shown.lines().next().unwrap_or_default();
            format!("{}; {help}", first.trim_start_matches("error: "))
        }
    }
}

fn unknown(error: &Error, arg: &str, args: &[String], help: &str) -> String {
    if args.windows(2).any(|pair| pair[0] == "--allow-legacy" && pair[1] == arg) {
        return format!("--allow-legacy takes its pattern behind an equals sign: --allow-legacy={arg}");
    }
    let mut out = format!("there is no argument `{arg}` here");
    let similar = text(error, ContextKind::SuggestedArg);
    let _ = if similar.is_empty() {
        write!(out, ", leave it out; {help}")
    } else {
        write!(out, ", did you mean {similar}? {help}")
    };
    out
}

/// `sluis` and the command that is meant, as far as one can tell.
fn spoken(args: &[String]) -> String {
    match command(args) {
        Some(command) => format!("sluis {command}"),
        None => "sluis".to_owned(),
    }
}

/// The command that is meant, as far as one can tell: `ping`, or `key new`.
pub(crate) fn command(args: &[String]) -> Option<String> {
    let (at, name, parts) = meant(args)?;
    match args.iter().skip(at + 1).find(|arg| parts.contains(&arg.as_str())) {
        Some(part) => Some(format!("{name} {part}")),
        None => Some(name.to_owned()),
    }
}

/// Where the command stands among the arguments, and what it is.
fn meant(args: &[String]) -> Option<(usize, &'static str, &'static [&'static str])> {
    let known = |arg: &String| {
        let arg = ALIASES.iter().find(|(alias, _)| alias == arg).map_or(arg.as_str(), |(_, name)| name);
        COMMANDS.iter().find(|(name, _)| *name == arg)
    };
    args.iter().enumerate().skip(1).find_map(|(at, arg)| known(arg).map(|(name, parts)| (at, *name, *parts)))
}

/// The commands that could have been meant.
fn listed(args: &[String], last: &str) -> String {
    let all: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
    let names = meant(args).map(|(_, _, parts)| parts).filter(|parts| !parts.is_empty()).unwrap_or(&all);
    match names.split_last() {
        Some((end, [])) => (*end).to_owned(),
        Some((end, start)) => format!("{} {last} {end}", start.join(", ")),
        None => String::new(),
    }
}

/// The start of a value: enough to recognise it.
pub(crate) fn short(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}

/// The flag without the name of its value.
fn flag(arg: &str) -> &str {
    let name = arg.split([' ', '=', '[']).next().filter(|name| !name.is_empty()).unwrap_or(arg);
    name.trim_matches(['<', '>', '[', ']', '.'])
}

/// What clap knows of that kind, as words.
fn text(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(one)) => one.clone(),
        Some(ContextValue::Strings(many)) => many.join(", "),
        Some(ContextValue::Number(n)) => n.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colour_of_help_is_asked_for_anywhere() {
        let wanted = |line: &str| color_wanted(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for (line, choice) in [
            ("sluis --help", ColorChoice::Auto),
            ("sluis --color never --help", ColorChoice::Never),
            ("sluis ping --help --color=never", ColorChoice::Never),
            ("sluis --color always ping --help", ColorChoice::Always),
            ("sluis --color blue --help", ColorChoice::Auto),
            ("sluis chain run c --step s -- ls --color never", ColorChoice::Auto),
            ("sluis --colors never", ColorChoice::Auto),
        ] {
            assert_eq!(wanted(line), choice, "{line}");
        }
    }
}
