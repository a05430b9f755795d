//! `sluis config template`: a file to begin with.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::common::Common;
use crate::fail::Fail;
use crate::output::{Out, Style};

/// The file: what is active in it says what counts without it.
const TEMPLATE: &str = include_str!("template.toml");

#[derive(Debug, Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a configuration file with every setting, its default and what it does
    Template,
}

impl ConfigCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Template => "config template",
        }
    }
}

pub(crate) const EXAMPLES: &str = r#"Examples:
  sluis config template > hub.toml
  sluis listen --config hub.toml

The file is taken as it is: change its name (`did`), and what else is to differ.

--json prints {"event":"template","text"}."#;

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &ConfigCommand) -> Result<ExitCode, Fail> {
    let ConfigCommand::Template = command;
    let mut out = Out::new(common, false).timed();
    match out.style {
        Style::Json => out.json("template", |o| o.str("text", TEMPLATE)),
        Style::Text => out.line(|line, _| line.extend_from_slice(TEMPLATE.trim_end().as_bytes())),
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use sluis_core::airlock::GateConfig;
    use sluis_core::node::Caps;

    use super::TEMPLATE;
    use crate::config::Config;
    use crate::values::Place;

    /// The same with every example in use.
    fn in_use() -> String {
        let used = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
            _ => line.to_owned(),
        };
        TEMPLATE.lines().map(used).collect::<Vec<_>>().join("\n")
    }

    fn read(text: &str) -> Config {
        Config::parse(text).unwrap_or_else(|wrong| panic!("{}", wrong.sentence("template", text)))
    }

    #[test]
    fn what_is_set_is_what_counts_without_it() {
        let config = read(TEMPLATE);
        assert_eq!(config.bind, Some(Place::default()));
        assert_eq!(config.caps, Caps::default());
        assert_eq!(config.gate, GateConfig::default());
        assert_eq!(
            config.reply.map(|reply| reply.as_value().as_json().map(str::to_owned)),
            Some(Some("{}".to_owned()))
        );
        assert!(config.trust.is_empty() && config.rules.is_empty() && config.replies.is_empty());
    }

    #[test]
    fn every_example_is_taken() {
        let config = read(&in_use());
        assert_eq!((config.trust.len(), config.rules.len(), config.replies.len()), (1, 3, 1));
        assert!(config.gate.otherwise.is_some() && !config.allow_legacy.is_empty());
    }

    /// The reader itself says which settings there are: whoever adds one finds it missing here.
    #[test]
    fn every_setting_stands_in_it() {
        let text = in_use();
        let rule = "[[rules]]\nname = \"x\"\nzone = \"GEEL\"\n";
        for (table, before) in [
            ("", ""),
            ("[thresholds]", "[thresholds]\n"),
            ("[caps]", "[caps]\n"),
            ("[[rules]]", rule),
            ("[[replies]]", "[[replies]]\n"),
        ] {
            let wrong = Config::parse(&format!("{before}unheard_of = 1\n")).unwrap_err().sentence("f", "");
            let (_, known) =
                wrong.split_once("expected one of ").or_else(|| wrong.split_once("expected ")).unwrap_or_default();
            let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            assert!(known.len() > 1, "{wrong}");
            for key in known {
                let stands = |line: &str| line.starts_with(&format!("{key} = "));
                let mut found = false;
                let mut now = "";
                for line in text.lines() {
                    if line.starts_with('[') {
                        now = line;
                    }
                    let is_table = table.is_empty() && (line == format!("[{key}]") || line == format!("[[{key}]]"));
                    found |= is_table || now == table && stands(line);
                }
                assert!(found, "`{key}` of `{table}` is missing");
            }
        }
    }
}
