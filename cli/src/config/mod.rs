//! The configuration file of `listen`: TOML, every part optional, unknown fields refused.

pub(crate) mod template;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use sluis_core::Did;
use sluis_core::airlock::{Gate, GateConfig, Pod, Rule, glob};
use sluis_core::framing::{PingType, Zone};
use sluis_core::limits::MAX_INTENT;
use sluis_core::node::Caps;
use toml::Spanned;

use crate::values::{self, JsonText, Place, Trust};

/// What a configuration file says, checked.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) did: Option<Did>,
    pub(crate) bind: Option<Place>,
    pub(crate) allow_legacy: Vec<String>,
    pub(crate) reply: Option<JsonText>,
    pub(crate) trust: Vec<Trust>,
    pub(crate) gate: GateConfig,
    pub(crate) rules: Vec<Rule<String>>,
    /// Intent pattern and payload.
    pub(crate) replies: Vec<(String, JsonText)>,
    pub(crate) caps: Caps,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    did: Option<Spanned<String>>,
    bind: Option<Spanned<String>>,
    #[serde(default)]
    allow_legacy: Vec<Spanned<String>>,
    reply: Option<Spanned<String>>,
    #[serde(default)]
    trust: BTreeMap<Spanned<String>, Spanned<f64>>,
    thresholds: Option<Spanned<Thresholds>>,
    #[serde(default)]
    rules: Vec<Spanned<RuleEntry>>,
    #[serde(default)]
    replies: Vec<ReplyEntry>,
    caps: Option<CapsEntry>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thresholds {
    groen: Option<f64>,
    rood: Option<f64>,
    otherwise: Option<Zone>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    name: String,
    id: Option<String>,
    zone: Zone,
    source_did: Option<String>,
    intent: Option<String>,
    pod_id: Option<String>,
    #[serde(default)]
    no_pod: bool,
    ping_type: Option<PingType>,
    min_trust: Option<f64>,
    #[serde(default)]
    any: bool,
    priority: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyEntry {
    intent: Spanned<String>,
    reply: Spanned<String>,
}

/// The caps that `listen` makes use of; each is left at its default when it is not named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CapsEntry {
    peers: Option<u32>,
    peer_bytes: Option<usize>,
    waiting: Option<u32>,
    waiting_per_sender: Option<u32>,
    waiting_per_name: Option<u32>,
    waiting_per_address: Option<u32>,
    events: Option<u32>,
    event_bytes: Option<usize>,
    transmits: Option<u32>,
    transmit_bytes: Option<usize>,
    replies: Option<u32>,
}

/// The longest configuration in bytes: a thousand rules take a tenth of it.
const LONGEST: usize = 4 << 20;

impl Config {
    /// Read a regular file; nothing else is opened or waited for, since a node that runs reads it again.
    ///
    /// # Errors
    /// One sentence that names the file, the line and the mend.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let text = crate::files::read_text(path, LONGEST)
            .map_err(|why| format!("--config: cannot read {name} ({why}), name a TOML file that can be read"))?;
        Self::parse(&text).map_err(|wrong| wrong.sentence(&name.to_string(), &text))
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let file: File = toml::from_str(text).map_err(|why| Wrong::from_toml(&why))?;
        let mut config = Self {
            did: file.did.map(|did| checked("did", &did, values::own_did)).transpose()?,
            bind: file.bind.map(|bind| checked("bind", &bind, values::place)).transpose()?,
            reply: file.reply.map(|reply| checked("reply", &reply, values::exact_json)).transpose()?,
            gate: gate(file.thresholds)?,
            caps: file.caps.as_ref().map(caps).unwrap_or_default(),
            ..Self::default()
        };
        for pattern in &file.allow_legacy {
            config.allow_legacy.push(checked("allow_legacy", pattern, values::pattern)?);
        }
        for (did, score) in file.trust {
            let name = checked("trust", &did, values::trusted_did)?;
            let value = values::score_of(*score.get_ref()).map_err(|why| Wrong::at("trust", score.span(), why))?;
            config.trust.push(Trust { did: name.as_str().to_owned(), score: value });
        }
        config.rules = rules(file.rules, config.gate)?;
        for entry in file.replies {
            let reply = checked("replies", &entry.reply, values::exact_json)?;
            let intent = checked("replies", &entry.intent, reply_pattern)?;
            config.replies.push((intent, reply));
        }
        Ok(config)
    }
}

/// The intents that a reply is for.
fn reply_pattern(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("intent = \"\" matches only an empty intent, write a pattern like a.* or *".to_owned());
    }
    if text.len() > MAX_INTENT {
        return Err(format!("an intent has at most {MAX_INTENT} bytes, this pattern has {}; shorten it", text.len()));
    }
    glob::check_seen(text).map_err(|why| why.to_string())?;
    glob::check(text).map_err(|why| format!("{why}; write one like a.* or *"))?;
    Ok(text.to_owned())
}

fn gate(thresholds: Option<Spanned<Thresholds>>) -> Result<GateConfig, Wrong> {
    let mut gate = GateConfig::default();
    let Some(thresholds) = thresholds else { return Ok(gate) };
    let Thresholds { groen, rood, otherwise } = *thresholds.get_ref();
    gate.otherwise = otherwise;
    gate.groen = groen.unwrap_or(gate.groen);
    gate.rood = rood.unwrap_or(gate.rood);
    let mend =
        |why| Wrong::at("thresholds", thresholds.span(), format!("{why}, write groen = 0.7 and rood = 0.3, say"));
    gate.check().map_err(mend)?;
    Ok(gate)
}

fn caps(entry: &CapsEntry) -> Caps {
    let mut caps = Caps::default();
    let &CapsEntry { peers, peer_bytes, waiting, waiting_per_sender, events, event_bytes, .. } = entry;
    caps.peers = peers.unwrap_or(caps.peers);
    caps.peer_bytes = peer_bytes.unwrap_or(caps.peer_bytes);
    caps.waiting = waiting.unwrap_or(caps.waiting);
    caps.waiting_per_sender = waiting_per_sender.unwrap_or(caps.waiting_per_sender);
    caps.waiting_per_name = entry.waiting_per_name.unwrap_or(caps.waiting_per_name);
    caps.waiting_per_address = entry.waiting_per_address.unwrap_or(caps.waiting_per_address);
    caps.events = events.unwrap_or(caps.events);
    caps.event_bytes = event_bytes.unwrap_or(caps.event_bytes);
    caps.transmits = entry.transmits.unwrap_or(caps.transmits);
    caps.transmit_bytes = entry.transmit_bytes.unwrap_or(caps.transmit_bytes);
    caps.replies = entry.replies.unwrap_or(caps.replies);
    caps
}

/// The rules, each tried on a gate so that it is refused here, where its line is known.
fn rules(entries: Vec<Spanned<RuleEntry>>, config: GateConfig) -> Result<Vec<Rule<String>>, Wrong> {
    let mut gate = Gate::new(config).map_err(|why| Wrong::at("thresholds", 0..0, why.to_string()))?;
    let mut rules = Vec::with_capacity(entries.len());
    for entry in entries {
        let span = entry.span();
        let wrong = |why: String| Wrong::at("rules", span.clone(), why);
        let rule = entry.into_inner().into_rule().map_err(wrong)?;
        if gate.rules().iter().any(|known| known.id == rule.id) {
            return Err(wrong(format!("there is a rule `{}` already, give this one an `id` of its own", rule.id)));
        }
        gate.add_rule(&rule).map_err(|why| wrong(format!("{why}, change this rule")))?;
        rules.push(rule);
    }
    Ok(rules)
}

impl RuleEntry {
    fn into_rule(self) -> Result<Rule<String>, String> {
        for (field, text) in [("source_did", &self.source_did), ("intent", &self.intent)] {
            if text.as_deref() == Some("") {
                return Err(format!(
                    "{field} = \"\" matches only what is empty, leave it out or write a pattern like a.*"
                ));
            }
        }
        if self.pod_id.as_deref() == Some("") {
            return Err(
                "pod_id = \"\" matches only a pod without a name, write no_pod = true for pings without one".to_owned()
            );
        }
        let id = self.id.unwrap_or_else(|| self.name.clone());
        let mut rule = Rule::new(id, self.name, self.zone);
        rule.pod_id = match (self.pod_id, self.no_pod) {
            (Some(_), true) => return Err("`pod_id` and `no_pod` exclude each other, leave one out".to_owned()),
            (Some(pod), false) => Some(Pod::Is(pod)),
            (None, true) => Some(Pod::None),
            (None, false) => None,
        };
        rule.source_did = self.source_did;
        rule.intent = self.intent;
        rule.ping_type = self.ping_type;
        rule.min_trust = self.min_trust;
        rule.any = self.any;
        rule.priority = self.priority.unwrap_or(rule.priority);
        Ok(rule)
    }
}

/// What is wrong with a file, and where.
#[derive(Debug)]
pub(crate) struct Wrong {
    span: Option<Range<usize>>,
    why: String,
}

impl Wrong {
    pub(crate) fn at(field: &str, span: Range<usize>, why: impl Into<String>) -> Self {
        Self { span: Some(span), why: format!("{field}: {}", why.into()) }
    }

    pub(crate) fn from_toml(error: &toml::de::Error) -> Self {
        let words: Vec<&str> = error.message().split_whitespace().collect();
        Self { span: error.span(), why: format!("{}, mend that", words.join(" ")) }
    }

    pub(crate) fn sentence(&self, file: &str, text: &str) -> String {
        let Some(before) = self.span.as_ref().and_then(|span| text.get(..span.start)) else {
            return format!("{file}: {}", self.why);
        };
        let number = before.matches('\n').count();
        let line = text.lines().nth(number).unwrap_or_default().trim();
        let line: String = line.chars().take(80).collect();
        format!("{file}, line {} (`{line}`): {}", number + 1, self.why)
    }
}

fn checked<T>(field: &str, text: &Spanned<String>, check: impl Fn(&str) -> Result<T, String>) -> Result<T, Wrong> {
    check(text.get_ref()).map_err(|why| Wrong::at(field, text.span(), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Config::parse(text).map_err(|wrong| wrong.sentence("f.toml", text)).unwrap_err()
    }

    #[test]
    fn everything_can_be_said_and_nothing_must() {
        assert!(Config::parse("").unwrap().did.is_none());
        let config = Config::parse(
            r#"
            did = "jis:home:hub"
            bind = "[::1]:0"
            allow_legacy = ["jis:home:*"]
            reply = '{"ok":true}'
            trust = { "jis:home:sensor" = 0.9, "jis:home:door" = 1 }
            thresholds = { groen = 0.8 }
            caps = { peers = 10, waiting = 2 }
            [[rules]]
            name = "doors wait"
            zone = "GEEL"
            intent = "door.*"
            ping_type = "intent"
            no_pod = true
            priority = 80
            [[replies]]
            intent = "temperature.*"
            reply = '{"celsius":21.5}'
            "#,
        )
        .unwrap();
        assert_eq!(config.did.unwrap().as_str(), "jis:home:hub");
        assert_eq!((config.gate.groen, config.gate.rood), (0.8, 0.3));
        assert_eq!((config.caps.peers, config.caps.waiting, config.caps.events), (10, 2, Caps::default().events));
        assert_eq!((config.rules[0].id.as_str(), config.rules[0].priority), ("doors wait", 80));
        assert_eq!((config.trust.len(), config.replies.len(), config.allow_legacy.len()), (2, 1, 1));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, parts) in [
            ("did = \"a\"\ntrsut = 1", &["f.toml, line 2", "unknown field `trsut`", "`trust`"][..]),
            ("bind = 7150", &["line 1 (`bind = 7150`)", "integer"]),
            ("bind = \"x\"", &["line 1", "bind: write HOST:PORT"]),
            ("\n\n[trust]\n\"jis:a\" = 2.0", &["line 4", "trust: a score is a number from 0 to 1"]),
            ("reply = '{'", &["line 1", "reply: this is not JSON"]),
            ("reply = 'NaN'", &["line 1", "reply: a number in it is not finite"]),
            ("reply = '[1e-400]'", &["line 1", "reply: a key stands twice in an object, or a number"]),
            ("[[replies]]\nintent = \"a\"\nreply = \"[1e400]\"", &["line 3", "replies: a number in it is not finite"]),
            ("thresholds = { groen = 0.1 }", &["thresholds: the ROOD threshold must not be above"]),
            ("[[rules]]\nname = \"x\"\nzone = \"BLAUW\"", &["line 3", "`GROEN`"]),
            (
                "[[rules]]\nname = \"x\"\nzone = \"GROEN\"",
                &["line 1", "rules: a rule without conditions", "any = true"],
            ),
            ("[[rules]]\nname = \"x\"\nzone = \"ROOD\"\nintent = \"a*b\"", &["line 1", "intent: a star stands for"]),
            (
                "[[rules]]\nname = \"x\"\nzone = \"ROOD\"\nintent = \"\"",
                &["line 1", "intent = \"\" matches only", "leave it out"],
            ),
            (
                "[[rules]]\nname = \"x\"\nzone = \"ROOD\"\nsource_did = \"\"",
                &["line 1", "source_did = \"\" matches only"],
            ),
            ("[[rules]]\nname = \"x\"\nzone = \"ROOD\"\npod_id = \"\"", &["line 1", "no_pod = true"]),
            ("[[replies]]\nintent = \"\"\nreply = \"1\"", &["line 2", "intent"]),
            ("[[rules]]\nname = \"x\"\nzone = \"ROOD\"\npod_id = \"guest-*\"", &["line 1", "a rule for each pod"]),
            ("[[rules]]\nname = \"x\"\nzone = \"ROOD\"\nmin_trust = 1.5", &["line 1", "from 0 to 1"]),
            (
                "[[rules]]\nname = \"x\"\nzone = \"ROOD\"\nsource_did = \"jis:a\\u0001\"",
                &["line 1", "source_did: a control character", "write it without"],
            ),
            ("[[rules]]\nname = \"x\"\nzone = \"ROOD\"\nintent = \"door.* \"", &["line 1", "intent: a control"]),
            ("allow_legacy = [\"jis:a\\u0001*\"]", &["line 1", "allow_legacy: a control", "write it without"]),
            ("[[replies]]\nintent = \"a.\\u0001\"\nreply = \"1\"", &["line 2", "replies: a control"]),
            ("[[replies]]\nintent = \"a*b\"\nreply = \"1\"", &["line 2", "replies: a star stands"]),
            ("[trust]\n\"jis:a\\u0001\" = 0.9", &["line 2", "must not contain control"]),
            ("[trust]\n\"jis:a \" = 0.9", &["line 2", "no blanks"]),
            ("[trust]\n\"jis:x:*\" = 0.9", &["line 2", "trust is set for one DID", "source_did = \"jis:x:*\""]),
            ("[thresholds]\notherwise = \"x\"", &["line 2", "`GEEL`"]),
            ("[[rules]]\nname = \"x\"", &["line 1", "missing field `zone`"]),
            ("[caps]\npears = 1", &["line 2", "unknown field `pears`"]),
            ("did = ", &["line 1"]),
            ("did = \"a\"\ndid = \"b\"", &["line 2", "duplicate key"]),
        ] {
            let said = refused(text);
            assert!(parts.iter().all(|part| said.contains(part)) && !said.contains('\n'), "{said}");
        }
    }
}
