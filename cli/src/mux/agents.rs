//! The file of agents: who may come in, and what for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Deserialize;
use sluis_mux::access::token_hash;
use sluis_mux::{Access, Credential, agent};

use super::args::TokenArgs;
use crate::fail::Fail;
use crate::files;

/// Largest file in bytes.
const MAX_FILE: usize = 4 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    agents: BTreeMap<String, Entry>,
}

/// What it may do is written down: whatever is not, is nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    token_sha256: String,
    /// The public key that it shows on native connections, in hex.
    key: Option<String>,
    may: Vec<String>,
    to: Vec<String>,
}

/// Who may come in.
pub(super) fn read(path: &Path) -> Result<Access, Fail> {
    let shown = path.display();
    let bytes = files::read(path, MAX_FILE).map_err(|why| Fail::usage(format!("cannot read {shown} ({why})")))?;
    let text = String::from_utf8(bytes).map_err(|_| Fail::usage(format!("{shown} is not UTF-8, write it anew")))?;
    let access = parse(&text).map_err(|why| Fail::usage(format!("{shown}: {why}")))?;
    Ok(access)
}

fn parse(text: &str) -> Result<Access, String> {
    let file = file(text)?;
    let credentials: Result<Vec<Credential>, String> = file.agents.into_iter().map(credential).collect();
    Access::agents(credentials?).map_err(|why| why.to_string())
}

/// What is written in it; else where it is wrong, in one line.
fn file(text: &str) -> Result<File, String> {
    toml::from_str(text).map_err(|why| {
        let at = why.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        format!("line {line}: {}, correct it", why.message().trim().replace('\n', ", "))
    })
}

fn credential((name, entry): (String, Entry)) -> Result<Credential, String> {
    let mut token_sha256 = [0; 32];
    if sluis_core::data::hex::parse(entry.token_sha256.as_bytes(), &mut token_sha256).is_none() {
        return Err(format!("token_sha256 of {name} is not 64 lower-case hex digits, make one with `sluis mux token`"));
    }
    let boxed = |list: Vec<String>| list.into_iter().map(Into::into).collect();
    let key = entry.key.map(|key| crate::key::file::public(&key)).transpose();
    let key = key.map_err(|_| format!("key of {name} is no public key, write the one that `sluis key show` prints"))?;
    Ok(Credential { name: name.into(), token_sha256, key, may: boxed(entry.may), to: boxed(entry.to) })
}

/// Make a token and add its hash to the file.
pub(super) fn add(args: &TokenArgs) -> Result<String, Fail> {
    let name = &args.name;
    if name.is_empty() || agent::normalise(name) != *name {
        let normal = agent::normalise(name);
        return Err(Fail::usage(format!("an agent is called {normal:?} there, write its name like that")));
    }
    if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Fail::usage(format!(
            "{name:?} has blanks or control characters in it, write a name without, like al-ice"
        )));
    }
    let before = match files::read_text(&args.agents, MAX_FILE) {
        Ok(text) => text,
        Err(why) if why.kind() == io::ErrorKind::NotFound => String::new(),
        Err(why) => return Err(Fail::runtime(format!("cannot read {} ({why})", args.agents.display()))),
    };
    let shown = args.agents.display();
    let known = file(&before).map_err(|why| Fail::usage(format!("{shown}: {why}")))?;
    if known.agents.keys().any(|other| agent::normalise(other) == *name) {
        return Err(Fail::usage(format!("{name} has a token in {shown}, take its entry out there to make a new one")));
    }
    let seed =
        sluis_tokio::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness: {why}")))?;
    let mut secret = [0; 32];
    seed.fork("mux token").fill(&mut secret);
    let token = hex(&secret);
    let list = |patterns: &[String]| {
        let patterns = if patterns.is_empty() { &["*".to_owned()][..] } else { patterns };
        patterns.iter().map(|text| toml::Value::from(text.as_str()).to_string()).collect::<Vec<_>>().join(", ")
    };
    let mut after = before;
    if !after.is_empty() && !after.ends_with('\n') {
        after.push('\n');
    }
    let key = toml::Value::from(name.as_str());
    let _ = write!(
        after,
        "[agents.{key}]\ntoken_sha256 = \"{}\"\nmay = [{}]\nto = [{}]\n",
        hex(&token_hash(&token)),
        list(&args.may),
        list(&args.to)
    );
    // What is wrong with an entry that was there before is found here.
    parse(&after).map_err(|why| Fail::usage(format!("{}: {why}", args.agents.display())))?;
    replace(&args.agents, after.as_bytes())
        .map_err(|why| Fail::runtime(format!("cannot write {} ({why})", args.agents.display())))?;
    Ok(token)
}

/// Write a file anew: it is the old one or the new one, never a part. Only its owner can read it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = files::beside(path, ".new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluis_mux::Caller;

    #[test]
    fn what_a_file_does_not_say_is_not_allowed() {
        let hash = hex(&token_hash("t"));
        let entry = |rest: &str| parse(&format!("[agents.alice]\ntoken_sha256 = \"{hash}\"\n{rest}"));
        let Some(Caller::Agent(alice)) = entry("may = [\"chat\"]\nto = []").unwrap().identify(Some("t")) else {
            panic!("no agent")
        };
        assert!(!alice.allows("chat", "bob"));
        for wrong in ["", "may = []", "to = []", "may = []\nto = []\nkey = \"x\"", "may = \"*\"\nto = []"] {
            assert!(entry(wrong).is_err(), "{wrong}");
        }
        assert!(parse("[agents.alice]\ntoken_sha256 = \"x\"\nmay = []\nto = []").is_err());
        assert!(parse("[agent.alice]").is_err());
        // Nobody is listed: nobody comes in.
        assert!(parse("").unwrap().identify(Some("t")).is_none());
    }
}
