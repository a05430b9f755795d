//! `sluis key`: files for the owner's eyes only, and forms that other tools read.

use std::fs;
use std::process::Command;

use crate::common::folder::Folder;
use crate::common::json::Json;

#[test]
fn a_new_key_is_for_its_owner_and_is_not_written_over() {
    let folder = Folder::new("keys-new");
    let made = folder.json(&["key", "new", "hub.key"]);
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
    let folder = Folder::new("keys-show");
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
    let folder = Folder::new("keys-modes");
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
    let folder = Folder::new("keys-forms");
    let made = folder.json(&["key", "new", "hub.key"]);
    for format in ["pem", "hex", "note", "openssh"] {
        let text = folder.prints(&["key", "export", "hub.key", "--format", format]);
        folder.write("hub.pub", &text);
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
    let folder = Folder::new("keys-broken");
    folder.write("text", "hello\n");
    folder.write("bytes", [0xff; 32]);
    folder.write("long", vec![b'a'; 70_000]);
    folder.write("weak", "0".repeat(64));
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
    // The sentence says what to do, too, whoever reads the file, and that stays as it is.
    let whole = {
        folder.prints(&["key", "new", "hub.key"]);
        folder.text("hub.key")
    };
    folder.write("cut.key", &whole[..whole.len() / 2]);
    folder.write("mixed.key", whole.replace("MC4C", "MC4D"));
    #[cfg(unix)]
    ["cut.key", "mixed.key"].iter().for_each(|file| folder.set_mode(file, 0o600));
    let listen = ["listen", "--did", "jis:a:b", "--bind", "127.0.0.1:0", "--duration", "100ms", "--key"];
    let ping = ["ping", "jis:a:b", "127.0.0.1:9", "--intent", "t", "--timeout", "100ms", "--key"];
    let trace = ["trace", "jis:a:b", "127.0.0.1:9", "--count", "1", "--timeout", "0.1", "--key"];
    let relay = ["relay", "--did", "jis:a:b", "--bind", "127.0.0.1:0", "--duration", "100ms", "--key"];
    let readers = [&["key", "show"][..], &["key", "export"], &["key", "revoke"], &listen, &ping, &trace, &relay];
    for file in ["text", "bytes", "weak", "cut.key", "mixed.key"] {
        let before = fs::read(folder.0.join(file)).expect("a file");
        for reader in readers {
            let sentence = folder.fails(1, &[reader, &[file]].concat());
            assert!(sentence.contains(file) && sentence.contains("sluis key new"), "{reader:?}: {sentence}");
        }
        assert_eq!(fs::read(folder.0.join(file)).expect("a file"), before);
    }
    let pins = [&listen[..5], &["--pin", "jis:x:y=weak"]].concat();
    let to = [&ping[..7], &["--pin", "weak"]].concat();
    let to_named = [&ping[..7], &["--pin", "jis:a:b=weak"]].concat();
    let traced = [&trace[..7], &["--pin", "jis:x:y=weak"]].concat();
    for args in [&["pin", "add", "jis:a:b", "weak", "--state", "state"][..], &pins, &to, &to_named, &traced] {
        let sentence = folder.fails(1, args);
        assert!(sentence.contains("weak: ") && sentence.contains("sluis key new"), "{args:?}: {sentence}");
    }
}

/// Other people's tools, where they are.
#[test]
fn openssl_and_ssh_keygen_read_our_keys() {
    let folder = Folder::new("keys-others");
    let made = folder.json(&["key", "new", "hub.key"]);
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

#[test]
fn statements_are_one_line_that_both_keys_sign() {
    let folder = Folder::new("keys-statements");
    let old = folder.json(&["key", "new", "old.key"]);
    let new = folder.json(&["key", "new", "new.key"]);
    let printed = folder.prints(&["key", "rotate", "old.key", "new.key"]);
    assert_eq!(printed.lines().count(), 1);
    let said = Json::parse(&printed);
    assert_eq!((said.str("type"), said.str("old")), ("sluis-key-rotation", old.str("public")));
    assert_eq!((said.str("new"), said.str("new_signature").len()), (new.str("public"), 128));
    let said = folder.json(&["key", "revoke", "old.key"]);
    assert_eq!((said.str("type"), said.str("key")), ("sluis-key-revocation", old.str("public")));
    assert!(said.str("signature").len() == 128 && said.get("at") != &Json::Null);

    let why = folder.fails(2, &["key", "rotate", "old.key", "old.key"]);
    assert!(why.contains("cannot take its own place"), "{why}");
    folder.prints(&["key", "export", "new.key", "--format", "hex"]);
    fs::write(folder.0.join("new.pub"), new.str("public")).expect("a file can be written");
    let why = folder.fails(1, &["key", "rotate", "old.key", "new.pub"]);
    assert!(why.contains("new.pub"), "{why}");
    folder.fails(1, &["key", "revoke", "nowhere.key"]);
    folder.fails(1, &["key", "revoke", "/dev/zero"]);
}

#[test]
fn a_key_that_cannot_be_shown_is_there_all_the_same() {
    let folder = Folder::new("keys-full");
    let Ok(full) = fs::File::options().write(true).open("/dev/full") else { return };
    let out = folder.command(&["key", "new", "hub.key"]).stdout(full).output().expect("sluis runs");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("the key is written to hub.key, but cannot"), "{said}");
    let shown = folder.json(&["key", "show", "hub.key"]);
    assert!(shown.str("t").ends_with("+00:00"), "{shown:?}");
}
