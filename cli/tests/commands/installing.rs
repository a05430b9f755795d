//! What an installation brings beside the program: completions, manual pages, a configuration to begin with.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::events::Speaker;
use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::common::process::Process;

/// Whether this machine has that program; where it is to be tested with it and has none, that is said.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        eprintln!("NOT TESTED with {program}: it is not here");
    }
    there
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_flags_and_values() {
    let folder = Folder::new("completions");
    folder.write("sluis.bash", folder.prints(&["completions", "bash"]));
    let complete = |words: &str, at: usize| {
        let last: Vec<&str> = words.split(' ').skip(at - 1).collect();
        let script = format!(
            "source sluis.bash; COMP_WORDS=({words}); COMP_CWORD={at}; _sluis sluis {} {}; echo \"${{COMPREPLY[@]}}\"",
            last[1], last[0]
        );
        let out = Command::new("bash").args(["-c", &script]).current_dir(&folder.0).output().expect("bash runs");
        assert!(out.status.success() && out.stderr.is_empty(), "{words}: {out:?}");
        let said = String::from_utf8(out.stdout).expect("UTF-8");
        said.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("sluis li", 1), ["listen"]);
    assert_eq!(complete("sluis config t", 2), ["template"]);
    assert_eq!(complete("sluis listen --allow-leg", 2), ["--allow-legacy"]);
    assert_eq!(complete("sluis listen --runtime s", 3), ["smol"]);
}

#[test]
fn every_shell_gets_a_script() {
    let folder = Folder::new("shells");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.prints(&["completions", shell]);
        assert!(script.contains("sluis") && script.contains("allow-legacy"), "{shell}");
        let mut command = folder.command(&["completions", shell, "--json"]);
        let object = Json::parse(String::from_utf8_lossy(&command.output().expect("sluis runs").stdout).trim_end());
        assert_eq!((object.str("event"), object.str("shell")), ("completions", shell));
        assert_eq!(object.str("text").trim_end(), script.trim_end());
        if matches!(shell, "zsh" | "fish") && has(shell) {
            folder.write("script", &script);
            let read = Command::new(shell).args(["-n", "script"]).current_dir(&folder.0).output().expect("it runs");
            assert!(read.status.success(), "{shell}: {read:?}");
        }
    }
    assert!(folder.fails(2, &["completions", "tcsh"]).contains("write one of bash, elvish, fish, powershell, zsh"));
    assert!(folder.fails(2, &["completions"]).contains("<SHELL> is missing"));
}

#[test]
fn every_command_gets_a_page_that_man_reads() {
    let folder = Folder::new("man");
    assert!(folder.prints(&["man", "deep/man1"]).contains("pages in deep/man1"));
    let mut pages: Vec<String> = fs::read_dir(folder.0.join("deep/man1"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    pages.sort();
    for page in ["sluis.1", "sluis-listen.1", "sluis-key-new.1", "sluis-config-template.1", "sluis-mux-serve.1"] {
        assert!(pages.iter().any(|have| have == page), "{page} is missing: {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("help")), "{pages:?}");
    let events = folder.events(0, &["man", "deep/man1"]);
    assert_eq!(events.len(), pages.len());
    for page in pages.iter().filter(|_| has("groff")) {
        let file = format!("deep/man1/{page}");
        let out =
            Command::new("groff").args(["-man", "-ww", "-Tutf8", "-rLL=200n", &file]).current_dir(&folder.0).output();
        let out = out.expect("groff runs");
        assert!(out.status.success() && out.stderr.is_empty(), "{page}: {}", String::from_utf8_lossy(&out.stderr));
        // Examples keep their lines.
        if page == "sluis-relay.1" {
            // Bold is a letter twice.
            let shown = String::from_utf8_lossy(&out.stdout).chars().fold(String::new(), |mut shown, c| {
                if c == '\u{8}' {
                    shown.pop();
                } else {
                    shown.push(c);
                }
                shown
            });
            assert!(shown.lines().any(|line| line.trim() == "--peer jis:mesh:west=192.0.2.2:7150"), "{shown}");
            assert!(shown.contains("--allow-legacy") && shown.contains("EXAMPLES"), "{shown}");
        }
    }
    folder.write("file", "");
    assert!(folder.fails(1, &["man", "file/man1"]).contains("cannot write file/man1"));
}

#[test]
fn the_template_is_taken_as_it_is() {
    let folder = Folder::new("template");
    let text = folder.prints(&["config", "template"]);
    folder.write("hub.toml", &text);
    let object = folder.json(&["config", "template"]);
    assert_eq!((object.str("event"), object.str("text")), ("template", text.as_str()));
    let mut command = folder.command(&["--json", "listen", "--config", "hub.toml", "--bind", "127.0.0.1:0"]);
    let mut hub = Process::spawn("sluis listen", &mut command);
    assert_eq!(Speaker::Listen.read(&hub.line()).str("did"), "jis:home:hub");
    hub.say("quit");
    assert_eq!(hub.finish().0, 0);
    assert_eq!(hub.stderr(), "");
    assert!(folder.fails(2, &["config"]).contains("name a command: template"));
}
