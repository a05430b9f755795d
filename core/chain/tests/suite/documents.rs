//! What `docs/chain-format.md` shows is what a log writes.
#![allow(clippy::disallowed_methods, reason = "the document is a file")]

use sluis_chain::log::{Log, LogHeader, Protection};
use sluis_chain::token::{Hash32, Token};
use sluis_core::data::{Text, Value};
use sluis_core::identity::SecretKey;
use sluis_core::{Instant, Now, Seed, Wall};

#[test]
fn the_example_of_the_chain_document_is_what_a_log_writes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/chain-format.md");
    let document = std::fs::read_to_string(path).unwrap();
    let key = SecretKey::from_seed(&[1; 32]);
    let header = LogHeader::new("example.com/door", Some(key.public())).to_string();
    let mut log = Log::new(&Seed::from_u64(1));
    let protection = Protection { seal: Some(&key), ..Protection::default() };
    let mut lines = String::new();
    for (second, action) in [(0, "door_opened"), (2, "door_closed")] {
        let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000 + second * 1_000_000));
        let draft = Token {
            action: Text::new(action),
            actor: Text::new("jis:home:door"),
            erin: Value::from_json(r#"{"by": "café", "b": 1.0}"#).unwrap(),
            header: (second == 0).then_some(Text::new(&header)),
            ..Token::default()
        };
        let mut line = [0; 2048];
        let made = log.append(now, &draft, protection, &mut line).unwrap();
        lines += std::str::from_utf8(&line[..made.len]).unwrap();
    }
    let example = format!("```text\n{lines}```\n\n```text\n{}\n```\n", Hash32(log.tree().root()));
    assert!(document.contains(&example), "docs/chain-format.md does not show\n{example}");
}
