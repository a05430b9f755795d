//! A page in a real browser that is an agent: what a native client checks, it checks with WebCrypto.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use base64ct::{Base64, Encoding as _};
use rcgen::PublicKeyData as _;
use serde_json::{Value, json as value};
use sha2::{Digest as _, Sha256};

use crate::common::process::Process;
use crate::hub::{Hub, json};
use crate::on_both;

on_both! {
    a_page_in_chromium_opens_channels_and_checks_every_tag
}

const CHANNELS: usize = 20;
const MESSAGES: usize = 10;

/// Chromium, or loud words that nothing was tried; in CI its absence is a failure.
fn chromium() -> Option<PathBuf> {
    let found = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/local/bin/chromium"].map(PathBuf::from);
    let found = found.into_iter().find(|path| path.exists());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "CI has no chromium: install it");
    if found.is_none() {
        // Not `eprintln!`: the test harness would keep that to itself.
        let said = b"\nNO CHROMIUM HERE: that a page in a browser is a client of a hub was NOT tried\n";
        let _ = std::io::stderr().write_all(said);
    }
    found
}

/// Serve the page to whoever asks; where it is.
fn page() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let Some(first) = lines.next() else { return };
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let (status, body) = if first.starts_with("GET /?") { (200, PAGE) } else { (404, "") };
                let head = "Content-Type: text/html; charset=utf-8\r\nConnection: close";
                let _ =
                    write!(&stream, "HTTP/1.1 {status} -\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            });
        }
    });
    origin
}

const PAGE: &str = include_str!("page.html");

/// By what the browser knows the certificate of a hub that nobody vouches for: the SHA-256 of its public key.
fn key_hash(hub: &Hub) -> String {
    let pem: String = hub.folder.text("certs/key.pem").lines().filter(|line| !line.starts_with("---")).collect();
    let pair = rcgen::KeyPair::try_from(Base64::decode_vec(&pem).unwrap()).unwrap();
    Base64::encode_string(&Sha256::digest(pair.subject_public_key_info()))
}

/// Show a page to nobody, with a profile of its own below `target/`, and without a word to anybody but this machine.
fn browse(chromium: PathBuf, hub: &Hub, url: &str) -> Process {
    let profile = hub.folder.0.join("profile");
    let mut command = Command::new(chromium);
    command.env("HOME", &profile).arg(format!("--user-data-dir={}", profile.display()));
    // In containers there is no sandbox to be had; the page is ours.
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]);
    command.arg(format!("--ignore-certificate-errors-spki-list={}", key_hash(hub)));
    command.args(["--enable-logging=stderr", url]);
    Process::spawn("chromium", &mut command)
}

fn a_page_in_chromium_opens_channels_and_checks_every_tag(runtime: &'static str) {
    let Some(chromium) = chromium() else { return };
    let origin = page();
    let args = ["--self-signed", "certs", "--allow-origin", &origin];
    let hub = Hub::of("mux-browser", runtime, &["page", "bob", "judge"], &args);
    // It believes every name, but no page from elsewhere.
    let certs = hub.folder.0.join("certs");
    let open = Hub::start("mux-browser-open", runtime, &["--open", "--self-signed", certs.to_str().unwrap()]);
    let (bob, judge) = (hub.listen("bob", &["--echo"]), hub.listen("judge", &["--count", "1"]));
    let url = format!("{origin}/?hub={}&token={}&open={}", hub.url, hub.token("page"), open.url);
    let browser = browse(chromium, &hub, &url);
    browser.wait_for_stderr("the verdict is sent");
    assert_eq!(json(&judge.line())["event"], "incoming");
    let verdict = json(&judge.line());
    assert_eq!((&verdict["from"], &verdict["verified"]), (&value!("page"), &value!(true)));
    let all = CHANNELS * MESSAGES;
    let found = value!({"channels": CHANNELS, "acked": all, "verified": all, "altered": "found",
        "listed": CHANNELS, "foreign": ["rejected", "rejected"]});
    assert_eq!(verdict["payload"], found);
    // Bob has heard the same, and has checked it, too.
    let mut heard: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for _ in 0..CHANNELS + all {
        let event = json(&bob.line());
        let of = heard.entry(event["channel_id"].as_str().unwrap().to_owned()).or_default();
        if event["event"] == "frame" {
            assert_eq!((&event["verified"], &event["from"]), (&value!(true), &value!("page")), "{event}");
            of.push(event["payload"]["n"].clone());
        }
    }
    let in_order: Vec<Value> = (0..MESSAGES).map(|n| value!(n)).collect();
    assert_eq!((heard.len(), heard.values().all(|of| *of == in_order)), (CHANNELS, true), "{heard:?}");
    drop(browser);
    // The page was turned away for where it came from, not because the hub could not be reached.
    assert_eq!(open.end()["rejected"]["foreign_page"], 2);
}
