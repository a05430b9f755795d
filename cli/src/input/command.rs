//! What is asked of a node that runs: one command a line.

use std::path::PathBuf;

use sluis_core::airlock::SignedId;
use sluis_core::framing::Value;

use crate::token::args::TokenOrder;
use crate::values::{self, Pin, Trust};
use crate::{key, vouch};

/// What a line on standard input asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HubCommand {
    /// Decide about the waiting ping of this number or packet id, from this sender if there are several.
    Decide {
        approve: bool,
        packet_id: String,
        sender: Option<String>,
    },
    /// Pin the key of the waiting ping of this number to its sender, and let it in.
    ApprovePinned(u64),
    Trust(Trust),
    Pin(Pin),
    Unpin(String),
    /// Take in the statement of a key in this file.
    Accept(PathBuf),
    /// Take in the signed vouch, or the revocation of one, in this file.
    Vouch(PathBuf),
    /// Take back the signed vouch of this id.
    Revoke(SignedId),
    /// Make, list or revoke join tokens.
    Token(TokenOrder),
    /// Every ping that waits.
    List,
    Stats,
    Help,
    Quit,
}

/// The commands, and what each does.
pub(crate) const COMMANDS: [(&str, &str); 16] = [
    ("approve N|PACKET-ID", "let a waiting ping in"),
    ("approve N --pin", "the same, and pin its key to its sender"),
    ("reject N|PACKET-ID", "turn it away"),
    ("list", "print the pings that wait, and their numbers"),
    ("trust DID=SCORE", "trust a DID from now on"),
    ("pin DID KEY", "believe of a name only what this key signs"),
    ("unpin DID", "forget which key speaks for it"),
    ("accept FILE", "take in the statement of a key"),
    ("vouch FILE", "take in a signed vouch, or that one is revoked"),
    ("revoke ID", "take a signed vouch back"),
    ("token new", "make a join token; --uses N, --ttl TIME, --trust SCORE"),
    ("token list", "print the join tokens, without their secrets"),
    ("token revoke ID", "let nobody in by this token from now on"),
    ("stats", "print what was counted so far"),
    ("help", "print these commands"),
    ("quit", "end with the summary"),
];

impl HubCommand {
    /// Understand a line; none if it is empty.
    ///
    /// # Errors
    /// A sentence that names the mend.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, String> {
        let line = line.trim();
        let (verb, rest) = split(line);
        Ok(Some(match (verb, rest) {
            ("", _) => return Ok(None),
            ("approve" | "reject", "") => return Err(format!("write {verb} NUMBER")),
            ("approve", rest) if rest.split_whitespace().any(|word| word == "--pin") => {
                let mut words = rest.split_whitespace().filter(|word| *word != "--pin");
                match (words.next().and_then(|word| word.parse().ok()), words.next()) {
                    (Some(number), None) => Self::ApprovePinned(number),
                    _ => return Err("write approve NUMBER --pin, with the number that the ping was given".to_owned()),
                }
            }
            ("approve" | "reject", rest) => {
                let (packet_id, sender) = packet_id(rest)?;
                let sender = (!sender.is_empty()).then(|| sender.to_owned());
                Self::Decide { approve: verb == "approve", packet_id, sender }
            }
            ("trust", "") => return Err("write trust DID=SCORE, like trust jis:home:sensor=0.9".to_owned()),
            ("trust", text) => Self::Trust(values::trust(text).map_err(|why| format!("trust `{text}`: {why}"))?),
            ("pin", text) => Self::Pin(pin(text)?),
            ("unpin", "") => return Err("write unpin DID".to_owned()),
            ("unpin", did) => Self::Unpin(did.to_owned()),
            ("accept", "") => {
                return Err("write accept FILE, a file that `sluis key rotate` or `key revoke` wrote".to_owned());
            }
            ("accept", file) => Self::Accept(file.into()),
            ("vouch", "") => {
                return Err("write vouch FILE, a file that `sluis vouch new` or `vouch revoke` wrote".to_owned());
            }
            ("vouch", file) => Self::Vouch(file.into()),
            ("revoke", id) => {
                Self::Revoke(vouch::id(id).ok_or("write revoke ID, the 32 hex digits that the vouch was shown with")?)
            }
            ("token", rest) => Self::Token(TokenOrder::parse(rest)?),
            ("list", "") => Self::List,
            ("stats", "") => Self::Stats,
            ("help", "") => Self::Help,
            ("quit", "") => Self::Quit,
            ("list" | "stats" | "help" | "quit", _) => {
                return Err(format!("{verb} takes nothing behind it, write just {verb}"));
            }
            _ => {
                return Err(format!(
                    "`{verb}` is no command here, write approve NUMBER, reject NUMBER, list, trust DID=SCORE, pin DID KEY, unpin DID, \
                     accept FILE, vouch FILE, revoke ID, token new, token list, token revoke ID, stats, help or quit"
                ));
            }
        }))
    }
}

/// A name and its key. The key is what stands behind the last blank, or behind the one before in a line as in authorized_keys.
fn pin(text: &str) -> Result<Pin, String> {
    let mut why = "write pin DID KEY, like pin jis:home:sensor sensor.pub".to_owned();
    for (at, _) in text.match_indices(' ') {
        let (did, key) = text.split_at(at);
        match key::file::public(key.trim()) {
            Ok(key) => return Ok(Pin { did: values::did(did.trim())?.as_str().to_owned(), key }),
            Err(fail) => why = fail.to_string(),
        }
    }
    Err(why)
}

/// The first word, and what is behind it.
fn split(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

/// A packet id, and what is behind it. One that holds white space or control characters is written as a JSON text.
fn packet_id(text: &str) -> Result<(String, &str), String> {
    let Some(inside) = text.strip_prefix('"') else {
        let (word, rest) = split(text);
        return Ok((word.to_owned(), rest));
    };
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let unreadable = || format!("`{text}` is no JSON text, write the packet id as it was printed");
    let (quoted, rest) = text.split_at(end.ok_or_else(unreadable)? + 2);
    let value = Value::from_json(quoted).map_err(|_| unreadable())?;
    let id = value.as_text().ok_or_else(unreadable)?;
    Ok((id.to_cow().into_owned(), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_words() {
        let decide = |approve, packet_id: &str, sender: Option<&str>| {
            Ok(Some(HubCommand::Decide { approve, packet_id: packet_id.into(), sender: sender.map(Into::into) }))
        };
        assert_eq!(HubCommand::parse(" approve  ping_1\r\n"), decide(true, "ping_1", None));
        assert_eq!(HubCommand::parse("reject ping_1 jis:a"), decide(false, "ping_1", Some("jis:a")));
        assert_eq!(
            HubCommand::parse("trust jis:a=b=0.5"),
            Ok(Some(HubCommand::Trust(Trust { did: "jis:a=b".into(), score: 0.5 })))
        );
        assert_eq!(HubCommand::parse("stats"), Ok(Some(HubCommand::Stats)));
        assert_eq!(HubCommand::parse("quit\n"), Ok(Some(HubCommand::Quit)));
        for (command, _) in COMMANDS {
            let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
            let line = command.replace("N|PACKET-ID", "17").replace("N --", "17 --").replace("DID=SCORE", "jis:a=0.5");
            let line = line
                .replace("DID KEY", &format!("jis:a {key}"))
                .replace("token revoke ID", &format!("token revoke {}", &key[..16]))
                .replace("revoke ID", &format!("revoke {}", &key[..32]));
            assert!(matches!(HubCommand::parse(&line), Ok(Some(_))), "{line}");
        }
        assert_eq!(HubCommand::parse(" \n"), Ok(None));
        assert_eq!(HubCommand::parse(r#"approve "a \u001b\"b" jis:x y"#), decide(true, "a \u{1b}\"b", Some("jis:x y")));
        for bad in [
            "approve",
            "reject",
            r#"reject "a"#,
            r#"reject "\x""#,
            "trust",
            "trust a",
            "trust a=2",
            "stats 1",
            "quit now",
            "list all",
            "help me",
            "token",
            "token make",
            "token new --uses",
            "token new --trust 2",
            "token revoke 1",
            "token list all",
            "token new --help",
            "frobnicate",
        ] {
            assert!(HubCommand::parse(bad).is_err(), "{bad}");
        }
    }
}
