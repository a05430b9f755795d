//! The file of `--auto-vouch`: TOML, unknown fields refused, every rule checked when it is loaded.
//!
//! ```toml
//! [[rules]]
//! name = "sensors"
//! device_type = "sensor"
//! required_capabilities = ["temperature"]
//! source_pattern = "jis:home:.*"
//! pod_id = "kitchen"
//! ```

use std::path::Path;

use serde::Deserialize;
use sluis_core::discovery::{AutoVouch, RuleDraft};
use toml::Spanned;

use crate::config::Wrong;
use crate::fail::Fail;
use crate::files;

/// The longest file in bytes: 64 rules take far less.
const LONGEST: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rules: Vec<Spanned<VouchRule>>,
}

/// A rule that lets devices in: all conditions that it has must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VouchRule {
    name: String,
    device_type: Option<String>,
    #[serde(default)]
    required_capabilities: Vec<String>,
    source_pattern: Option<String>,
    #[serde(default)]
    any: bool,
    pod_id: Option<String>,
}

impl VouchRule {
    /// Use it as a draft.
    pub(crate) fn with<R>(&self, used: impl FnOnce(&RuleDraft<'_>) -> R) -> R {
        let required: Vec<&str> = self.required_capabilities.iter().map(String::as_str).collect();
        used(&RuleDraft {
            name: &self.name,
            device_type: self.device_type.as_deref(),
            required_capabilities: &required,
            source_pattern: self.source_pattern.as_deref(),
            any: self.any,
            pod: self.pod_id.as_deref(),
        })
    }
}

/// Read the rules of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<VouchRule>, Fail> {
    let name = path.display();
    let text = files::read_text(path, LONGEST).map_err(|why| {
        Fail::usage(format!("--auto-vouch: cannot read {name} ({why}), name a TOML file that can be read"))
    })?;
    parse(&text).map_err(|wrong| Fail::usage(format!("--auto-vouch: {}", wrong.sentence(&name.to_string(), &text))))
}

/// Each rule is tried here, where its line is known.
fn parse(text: &str) -> Result<Vec<VouchRule>, Wrong> {
    let file: File = toml::from_str(text).map_err(|why| Wrong::from_toml(&why))?;
    let mut tried = AutoVouch::new();
    let mut rules = Vec::with_capacity(file.rules.len());
    for entry in file.rules {
        let span = entry.span();
        let rule = entry.into_inner();
        rule.with(|draft| tried.add(draft)).map_err(|why| Wrong::at("rules", span, why.to_string()))?;
        rules.push(rule);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn rules_are_checked_when_they_are_loaded_and_what_is_wrong_has_its_line() {
        let good = "[[rules]]\nname = \"sensors\"\ndevice_type = \"sensor\"\nrequired_capabilities = [\"t\"]\nsource_pattern = \"jis:.*\"\npod_id = \"k\"";
        assert_eq!(parse(good).unwrap().len(), 1);
        assert_eq!(parse("").unwrap().len(), 0);
        for (text, parts) in [
            ("\n[[rules]]\nname = \"x\"", &["f.toml, line 2", "without conditions", "any = true"][..]),
            ("[[rules]]\nname = \"x\"\nany = true\ndevice_type = \"a\"", &["line 1", "no other conditions"]),
            ("[[rules]]\nname = \"x\"\nsource_pattern = \"(\"", &["line 1", "rules: "]),
            ("[[rules]]\nname = \"\"\nany = true", &["line 1", "the name of a rule"]),
            ("[[rules]]\nname = \"x\"\nany = true\npods = 1", &["line 4", "unknown field `pods`"]),
            ("[[rules]]\nname = 1", &["line 2", "string"]),
            ("[[rules]\n", &["line 1"]),
        ] {
            let said = parse(text).map_err(|wrong| wrong.sentence("f.toml", text)).unwrap_err();
            assert!(parts.iter().all(|part| said.contains(part)) && !said.contains('\n'), "{said}");
        }
    }
}
