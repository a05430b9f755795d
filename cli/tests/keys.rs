//! `sluis key`: files for the owner's eyes only, and forms that other tools read.

#[path = "common/mod.rs"]
mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use common::json::Json;

/// A folder of its own for a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("keys-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    fn sluis(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
        command.args(args).current_dir(&self.0).env_remove("NO_COLOR").output().expect("sluis runs")
    }

    /// What it prints when all goes well.
    #[track_caller]
    fn prints(&self, args: &[&str]) -> String {
        let out = self.sluis(args);
        assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0), "{args:?}: {out:?}");
        String::from_utf8(out.stdout).expect("UTF-8")
    }

    /// The one sentence with which it fails.
    #[track_caller]
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let out = self.sluis(args);
        let said = String::from_utf8(out.stderr).expect("UTF-8");
        assert_eq!((out.status.code(), out.stdout.len()), (Some(code), 0), "{args:?}: {said}");
        assert!(said.lines().count() == 1 && said.ends_with(".\n"), "{args:?}: {said}");
        said
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name)).expect("it is there").permissions().mode() & 0o7777
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(mode)).expect("a mode can be set");
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("it is there")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_new_key_is_for_its_owner_and_is_not_written_over() {
    let folder = Folder::new("new");
    let made = Json::parse(&folder.prints(&["key", "new", "hub.key", "--json"]));
    assert_eq!((made.str("event"), made.str("file"), made.str("algorithm")), ("key", "hub.key", "ed25519"));
    assert_eq!((made.get("secret"), made.str("public").len()), (&Json::Bool(true), 64));
    assert_eq!(folder.mode("hub.key"), 0o600);
    let before = folder.text("hub.key");
    assert!(before.starts_with("-----BEGIN PRIVATE KEY-----\n") && before.ends_with("-----END PRIVATE KEY-----\n"));

    let said = folder.fails(1, &["key", "new", "hub.key"]);
    assert!(said.starts_with("sluis key new: hub.key is there already") && said.contains("--force"), "{said}");
    assert_eq!(folder.text("hub.key"), before);
    let again = Json::parse(&folder.prints(&["key", "new", "hub.key", "--force", "--json"]));
    assert!(folder.text("hub.key") != before && again.str("public") != made.str("public"));
    assert_eq!((folder.mode("hub.key"), fs::read_dir(&folder.0).expect("a folder").count()), (0o600, 1));
    // Not through a link either.
    std::os::unix::fs::symlink("hub.key", folder.0.join("link")).expect("a link can be made");
    folder.fails(1, &["key", "new", "link"]);
    let said = folder.fails(1, &["key", "new", "nowhere/hub.key"]);
    assert!(said.contains("cannot write nowhere/hub.key"), "{said}");
}

#[test]
fn the_secret_is_never_shown() {
    let folder = Folder::new("show");
    let made = folder.prints(&["key", "new", "hub.key"]);
    let shown = folder.prints(&["key", "show", "hub.key"]);
    assert_eq!(made, shown);
    let secret = folder.text("hub.key").lines().nth(1).expect("a body").to_owned();
    for args in
        [&["key", "show", "hub.key", "-vv"][..], &["key", "show", "hub.key", "--json"], &["key", "export", "hub.key"]]
    {
        let said = folder.prints(args);
        assert!(!said.contains(&secret) && !said.contains("PRIVATE"), "{said}");
    }
    let json = Json::parse(&folder.prints(&["key", "show", "hub.key", "--json"]));
    for word in [json.str("public"), json.str("fingerprint")] {
        assert!(shown.contains(word), "{shown}");
    }
}

#[test]
fn a_secret_that_others_may_read_is_refused_with_the_mend() {
    let folder = Folder::new("modes");
    folder.prints(&["key", "new", "hub key"]);
    for mode in [0o640, 0o604, 0o644, 0o660, 0o610, 0o777] {
        folder.set_mode("hub key", mode);
        for args in [&["key", "show", "hub key"][..], &["key", "export", "hub key"]] {
            let said = folder.fails(1, args);
            assert!(said.contains("chmod 600 'hub key'") && said.contains(&format!("{mode:03o}")), "{said}");
        }
    }
    for mode in [0o600, 0o400, 0o700] {
        folder.set_mode("hub key", mode);
        folder.prints(&["key", "show", "hub key"]);
    }
}

#[test]
fn every_form_reads_back_as_the_same_key() {
    let folder = Folder::new("forms");
    let made = Json::parse(&folder.prints(&["key", "new", "hub.key", "--json"]));
    for format in ["pem", "hex", "note", "openssh"] {
        let text = folder.prints(&["key", "export", "hub.key", "--format", format]);
        fs::write(folder.0.join("hub.pub"), &text).expect("a file can be written");
        // A public key is for all.
        folder.set_mode("hub.pub", 0o644);
        let shown = Json::parse(&folder.prints(&["key", "show", "hub.pub", "--json"]));
        assert_eq!((shown.str("public"), shown.get("secret")), (made.str("public"), &Json::Bool(false)), "{format}");
        let json = Json::parse(&folder.prints(&["key", "export", "hub.key", "--format", format, "--json"]));
        assert_eq!((json.str("format"), json.str("text")), (format, text.trim_end()));
    }
    assert_eq!(folder.prints(&["key", "export", "hub.key", "--format", "hex"]).trim_end(), made.str("public"));
    let note = folder.prints(&["key", "export", "hub.key", "--format", "note", "--name", "example.org/hub"]);
    assert!(note.starts_with("example.org/hub+"), "{note}");
    let said = folder.fails(2, &["key", "export", "hub.key", "--format", "note", "--name", "a hub"]);
    assert!(said.starts_with("sluis key export: --name `a hub`"), "{said}");
}

#[test]
fn what_is_no_key_is_named() {
    let folder = Folder::new("broken");
    fs::write(folder.0.join("text"), "hello\n").expect("a file can be written");
    fs::write(folder.0.join("bytes"), [0xff; 32]).expect("a file can be written");
    fs::write(folder.0.join("long"), vec![b'a'; 70_000]).expect("a file can be written");
    fs::write(folder.0.join("weak"), "0".repeat(64)).expect("a file can be written");
    for (file, said) in [
        ("nowhere", "cannot read nowhere"),
        ("text", "text: a public key is 64 lower-case hex digits"),
        ("bytes", "bytes: this is no text"),
        ("long", "longer than 65536 bytes"),
        ("weak", "weak: this Ed25519 public key is weak"),
        (".", "cannot read ."),
    ] {
        let sentence = folder.fails(1, &["key", "show", file]);
        assert!(sentence.contains(said), "{sentence}");
    }
}

/// Other people's tools, where they are.
#[test]
fn openssl_and_ssh_keygen_read_our_keys() {
    let folder = Folder::new("others");
    let made = Json::parse(&folder.prints(&["key", "new", "hub.key", "--json"]));
    let run = |tool: &str, args: &[&str]| {
        let out = Command::new(tool).args(args).current_dir(&folder.0).output();
        assert!(out.is_ok() || std::env::var_os("CI").is_none(), "CI has no {tool}: install it");
        out.ok().map(|out| {
            assert!(out.status.success(), "{tool}: {out:?}");
            String::from_utf8(out.stdout).expect("UTF-8")
        })
    };
    let exported = folder.prints(&["key", "export", "hub.key"]);
    match run("openssl", &["pkey", "-in", "hub.key", "-pubout"]) {
        Some(theirs) => assert_eq!(theirs, exported),
        None => eprintln!("no openssl here: this was not tried"),
    }
    fs::write(folder.0.join("hub.pub"), folder.prints(&["key", "export", "hub.key", "--format", "openssh"]))
        .expect("a file");
    match run("ssh-keygen", &["-lf", "hub.pub"]) {
        Some(theirs) => assert_eq!(theirs.split(' ').nth(1), Some(made.str("fingerprint")), "{theirs}"),
        None => eprintln!("no ssh-keygen here: this was not tried"),
    }
}
