//! A wrong command line gets one sentence that names the mend.

use std::fmt::Write as _;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What to say about a command line that clap refused.
pub(crate) fn sentence(error: &Error, args: &[String]) -> String {
    let help = format!("`{} --help` lists what there is", spoken(args));
    let arg = text(error, ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::MissingSubcommand => {
            "name a command: listen, ping, replay or demo (`sluis --help` tells what they do)".into()
        }
        ErrorKind::InvalidSubcommand => {
            let name = text(error, ContextKind::InvalidSubcommand);
            format!("there is no command `{name}`, the commands are listen, ping, replay and demo")
        }
        ErrorKind::MissingRequiredArgument => format!("{} is missing, add it; {help}", arg.replace(", ", " and ")),
        ErrorKind::UnknownArgument => unknown(error, &arg, args, &help),
        ErrorKind::ArgumentConflict => format!("{arg} is given more than once, give it once"),
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

/// The command that is meant, as far as one can tell.
pub(crate) fn command(args: &[String]) -> Option<&str> {
    args.iter().skip(1).map(String::as_str).find(|arg| matches!(*arg, "listen" | "ping" | "replay" | "demo"))
}

/// The start of a value: enough to recognise it.
fn short(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}

/// The flag without the name of its value.
fn flag(arg: &str) -> &str {
    let name = arg.split([' ', '=', '[']).next().filter(|name| !name.is_empty()).unwrap_or(arg);
    name.trim_matches(['<', '>'])
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
