//! The verifier against files that are right, and against everything that can be done to them.

mod attack;
mod basics;
mod causes;
mod fixtures;

use std::string::String;
use std::vec::Vec;

use super::{Against, Finding, Kind, Settings, Summary, Verifier};
use crate::log::merkle::{Frontier, NodeHash, leaf_hash};
use crate::log::note::Checkpoint;
use crate::log::{Log, Protection};
use crate::token::{Hash32, Token};
use sluis_core::data::{Text, Value};
use sluis_core::identity::{MacKey, SecretKey};
use sluis_core::{Instant, Now, Seed, Wall};

pub(super) const NOW: Wall = Wall::from_micros(1_736_942_400_000_000);

pub(super) fn now(seconds: i64) -> Now {
    Now::new(Instant::ZERO, Wall::from_micros(NOW.as_micros() + seconds * 1_000_000))
}

pub(super) fn signer() -> SecretKey {
    SecretKey::generate(&mut Seed::from_u64(5).fork("signer"))
}

/// What a test log is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) mac: bool,
    pub(super) sealed: bool,
}

pub(super) fn mac() -> MacKey {
    MacKey::new(b"the key of the tests")
}

/// Lines without line feeds.
pub(super) type Lines = Vec<String>;

pub(super) fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// A log of so many entries, each the parent of the next.
pub(super) fn log(entries: usize, made: Made) -> Lines {
    let (mac, signer) = (mac(), signer());
    let mut log = Log::new(&Seed::from_u64(9));
    let mut parent: Option<String> = None;
    let mut out = [0; 2048];
    (0..entries)
        .map(|i| {
            let erin = std::format!(r#"{{"n": {i}, "what": "caf\u00e9"}}"#);
            let draft = Token {
                action: Text::new("step"),
                actor: Text::new("jis:home:hub"),
                erin: Value::from_json(&erin).unwrap(),
                eraan: Value::from_json(r#"["doc:1"]"#).unwrap(),
                eromheen: Value::from_json(r#"{"node": "n1"}"#).unwrap(),
                erachter: Text::new("because"),
                parent_id: parent.as_deref().map(Text::new),
                ..Token::default()
            };
            let protection =
                Protection { mac: made.mac.then_some(&mac), seal: if made.sealed { Some(&signer) } else { None } };
            let made = log.append(now(i64::try_from(i).unwrap()), &draft, protection, &mut out).unwrap();
            parent = Some(String::from(made.token_id.unwrap().as_str()));
            String::from_utf8(out[..made.len - 1].to_vec()).unwrap()
        })
        .collect()
}

pub(super) fn leaves(lines: &[String]) -> Vec<NodeHash> {
    lines.iter().map(|line| leaf_hash(line.as_bytes())).collect()
}

/// A checkpoint over these lines.
pub(super) fn checkpoint(lines: &[String]) -> Checkpoint<'static> {
    let tree = Frontier::from_leaves(leaves(lines));
    Checkpoint::new("example.com/log", tree.size(), tree.root()).unwrap()
}

/// What a verifier is given beside the file.
pub(super) fn settings(made: Made) -> Settings<'static> {
    Settings { mac: made.mac.then(mac), now: Some(now(100_000).wall), ..Settings::default() }
}

pub(super) fn run(file: &[u8], settings: Settings<'_>, against: Option<Against<'_>>) -> (Vec<Finding>, Summary) {
    let mut found = Vec::new();
    let mut verifier = Verifier::new(settings, against, &Seed::from_u64(1));
    verifier.push(file, &mut |finding| found.push(finding));
    let (summary, ()) = verifier.finish(&mut |finding| found.push(finding));
    assert_eq!(summary.findings, found.len() as u64);
    (found, summary)
}

/// Kind and line of everything found.
pub(super) fn kinds(found: &[Finding]) -> Vec<(Kind, u64)> {
    found.iter().map(|finding| (finding.kind, finding.line)).collect()
}

pub(super) fn id(line: &str) -> String {
    Token::parse(line).unwrap().token_id.to_cow().into_owned()
}

/// The same line with another link and other members, its hash made anew: what somebody without the key can do. A line that
/// cannot be read stays as it is.
pub(super) fn forge(line: &str, change: &dyn Fn(&str) -> String, link: Option<NodeHash>) -> String {
    let mut line = change(line);
    let Ok(token) = Token::parse(&line) else { return line };
    if let (Some(old), Some(link)) = (token.prev(), link) {
        line = line.replace(&std::format!("{old}"), &std::format!("{}", Hash32(link)));
    }
    let Ok(token) = Token::parse(&line) else { return line };
    let said = token.content_hash.to_cow().into_owned();
    let hash = std::format!("{}", token.content_hash(None).unwrap());
    if said.is_empty() { line } else { line.replace(&said, &hash) }
}
