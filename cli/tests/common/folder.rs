//! A folder of a test's own, and `sluis` in it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::json::Json;

/// A folder of its own for a test; gone afterwards.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
        command
            .args(args)
            .current_dir(&self.0)
            .env_remove("NO_COLOR")
            .env_remove("SPIFFE_ENDPOINT_SOCKET")
            .stdin(std::process::Stdio::null());
        command
    }

    pub(crate) fn sluis(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("sluis runs")
    }

    /// What it prints when it ends with this exit code.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, args: &[&str]) -> String {
        let out = self.sluis(args);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {out:?}");
        String::from_utf8(out.stdout).expect("UTF-8")
    }

    /// What it prints when all goes well and nothing is to be said beside.
    #[track_caller]
    pub(crate) fn prints(&self, args: &[&str]) -> String {
        let out = self.sluis(args);
        assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0), "{args:?}: {out:?}");
        String::from_utf8(out.stdout).expect("UTF-8")
    }

    /// The one JSON object that it prints, which bears its time.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Json {
        timed(&self.prints(&with_json(args)))
    }

    /// The JSON objects that it prints when it ends with this exit code, each of which bears its time.
    #[track_caller]
    pub(crate) fn events(&self, code: i32, args: &[&str]) -> Vec<Json> {
        self.ends(code, &with_json(args)).lines().map(timed).collect()
    }

    /// The one sentence with which it fails.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let out = self.sluis(args);
        let said = String::from_utf8(out.stderr).expect("UTF-8");
        assert_eq!((out.status.code(), out.stdout.len()), (Some(code), 0), "{args:?}: {said}");
        assert!(said.lines().count() == 1 && said.ends_with(".\n"), "{args:?}: {said}");
        said
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), bytes).expect("a file can be written");
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    #[cfg(unix)]
    pub(crate) fn mode(&self, name: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(self.0.join(name)).expect("it is there").permissions().mode() & 0o7777
    }

    #[cfg(unix)]
    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(mode)).expect("a mode can be set");
    }
}

/// An object, with its time where it is an event and no document.
#[track_caller]
fn timed(line: &str) -> Json {
    let object = Json::parse(line);
    let is_time = |t: &Json| matches!(t, Json::Text(t) if sluis_core::time::iso::parse(t).is_some());
    let is_timed = object.find("event").is_none() || object.find("t").is_some_and(is_time);
    assert!(is_timed, "without its time: {line}");
    object
}

/// The flag behind the name of the command: at the end it might be another command's.
fn with_json<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let (name, rest) = args.split_at(2);
    [name, &["--json"], rest].concat()
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
