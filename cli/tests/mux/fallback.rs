//! Native connections where nothing but HTTP/1.1 is to be had: over the same connection, inside a WebSocket.

use std::future::{pending, poll_fn};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use sluis_core::Seed;
use sluis_core::data::hex;
use sluis_core::identity::PublicKey;
use sluis_mux::switchboard::Config;
use sluis_mux::{Access, Credential, access};
use sluis_net::{Accept as _, ByteStream, ClientTls, Runtime, ServerTls, Trust, dial, handshake};
use sluis_tokio::net::Tokio;

use crate::common::folder::Folder;
use crate::common::process::Process;
use crate::hub::{Hub, json};
use crate::on_both;

on_both! {
    a_hub_that_is_only_asked_for_http_carries_native_connections_and_binds_keys_to_them
    behind_a_middlebox_a_token_passes_and_a_key_only_where_both_ends_say_so
    every_client_goes_through_a_proxy_that_is_asked_for
}

/// TLS that nothing but HTTP/1.1 is spoken over.
fn http_only(folder: &Folder) -> ServerTls {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    ServerTls::self_signed(&folder.0.join("middle"), names, &["http/1.1"]).unwrap()
}

fn key(folder: &Folder, name: &str) -> PublicKey {
    let made = json(&folder.ends(0, &["key", "new", &format!("{name}.pem"), "--json"]));
    let mut bytes = [0; 32];
    hex::parse(made["public"].as_str().unwrap().as_bytes(), &mut bytes).unwrap();
    PublicKey::from_bytes(bytes).unwrap()
}

/// Send bulk from alice to bob, both on native connections there; what is said of the channel, and of how it ended.
fn talk(folder: &Folder, runtime: &str, url: &str, pin: &str, who: &[[&str; 2]; 2]) -> (Value, Value) {
    let reach = ["--runtime", runtime, "--url", url, "--pin", pin, "--json"];
    let listen = ["mux", "listen", "--native", "--agent", "bob", "--quiet", "--agent-key", "alice=alice.pem"];
    let keys = ["--key", "bob.pem"];
    let bob = [&listen[..], &keys, &who[1], &reach].concat();
    let bob = Process::spawn("sluis mux listen", &mut folder.command(&bob));
    let pipe = ["mux", "pipe", "--agent", "alice", "--target", "bob", "--intent", "stream", "--count", "200"];
    let keys = ["--size", "20000", "--key", "alice.pem", "--agent-key", "bob=bob.pem", "--timeout", "30s"];
    let said = folder.ends(0, &[&pipe[..], &keys, &who[0], &reach].concat());
    drop(bob);
    let lines: Vec<Value> = said.lines().map(json).collect();
    let opened = lines.iter().find(|line| line["event"] == "opened").unwrap_or_else(|| panic!("{lines:?}"));
    (opened.clone(), lines.last().unwrap().clone())
}

fn a_hub_that_is_only_asked_for_http_carries_native_connections_and_binds_keys_to_them(runtime: &'static str) {
    let folder = Folder::new(&format!("fallback-{runtime}"));
    let credential = |name: &str| Credential {
        name: name.into(),
        token_sha256: access::token_hash(name),
        key: Some(key(&folder, name)),
        may: vec!["*".into()],
        to: vec!["*".into()],
    };
    let mut config = Config::new("node");
    config.access = Access::agents(vec![credential("alice"), credential("bob")]).unwrap();
    let tls = http_only(&folder);
    let pin = tls.fingerprint().to_string();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        sluis_tokio::block_on(async {
            let clock = sluis_udp::SystemClock::new();
            let hub = sluis_web::Hub::new(Tokio, config, sluis_web::Options::default(), &Seed::from_u64(1), clock);
            hub.serve(Tokio.listen(socket).unwrap(), Some(tls), pending()).await.unwrap();
        });
    });
    // Their keys show who they are: signed with the exporter of this very connection.
    let (opened, summary) = talk(&folder, runtime, &url, &pin, &[["--color", "never"]; 2]);
    assert_eq!(opened["proof"], "end");
    assert_eq!((&summary["acked"], &summary["lost"], &summary["bytes"]), (&200.into(), &0.into(), &4_000_000.into()));
}

/// What one side has said and the other one has not taken.
#[derive(Default)]
struct Way {
    bytes: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl Way {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl ByteStream,
        to: &mut impl ByteStream,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.taken < self.bytes.len() {
                self.taken += ready!(to.poll_write(cx, &self.bytes[self.taken..]))?;
            }
            if self.ended {
                return to.poll_close(cx);
            }
            self.bytes.resize(7_001, 0);
            match from.poll_read(cx, &mut self.bytes) {
                Poll::Ready(Ok(len)) => (self.taken, self.ended) = (0, self.bytes.drain(len..).len() == 7_001),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.bytes.clear();
                    self.taken = 0;
                    let _ = to.poll_flush(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Ends TLS, offers nothing but HTTP/1.1, and goes on to the hub the same way.
fn middlebox(folder: &Folder, hub: SocketAddr, pin: &str) -> (SocketAddr, String) {
    let server = http_only(folder);
    let client = ClientTls::new(Trust::Pinned(pin.parse().unwrap()), &["http/1.1"]).unwrap();
    let pin = server.fingerprint().to_string();
    let (say, where_to) = mpsc::channel();
    thread::spawn(move || {
        sluis_tokio::block_on(async {
            let mut listener = Tokio.listen(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
            say.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
                let (server, client) = (server.accept().unwrap(), client.connect("localhost").unwrap());
                Tokio.spawn(async move {
                    let Ok(mut here) = handshake(&Tokio, stream, server).await else { return };
                    assert_ne!(here.alpn(), Some(&b"sluis-mux/1"[..]));
                    let there = dial(&Tokio, &[hub], Duration::from_secs(10)).await.unwrap();
                    let mut there = handshake(&Tokio, there, client).await.unwrap();
                    let (mut on, mut back) = (Way::default(), Way::default());
                    poll_fn(|cx| {
                        let (one, other) = (on.poll(cx, &mut here, &mut there), back.poll(cx, &mut there, &mut here));
                        if one.is_pending() && other.is_pending() { Poll::Pending } else { Poll::Ready(()) }
                    })
                    .await;
                });
            }
        });
    });
    (where_to.recv().unwrap(), pin)
}

fn behind_a_middlebox_a_token_passes_and_a_key_only_where_both_ends_say_so(runtime: &'static str) {
    for proxy in [false, true] {
        let folder = Folder::new(&format!("fallback-middle-{proxy}-{runtime}"));
        for name in ["alice", "bob"] {
            let token = folder.ends(0, &["mux", "token", name, "--agents", "agents.toml"]);
            folder.write(&format!("{name}.token"), token);
            let public = key(&folder, name);
            let agents = std::fs::read_to_string(folder.0.join("agents.toml")).unwrap();
            folder.write("agents.toml", format!("{agents}key = \"{public}\"\n"));
        }
        let args = ["--agents", "agents.toml", "--self-signed", "certs"];
        let args = if proxy { [&args[..], &["--behind-proxy"]].concat() } else { args.to_vec() };
        let hub = Hub::in_folder(folder, runtime, &args);
        let to = hub.url.strip_prefix("https://").unwrap().parse().unwrap();
        let (addr, pin) = middlebox(&hub.folder, to, hub.fingerprint.as_deref().unwrap());
        let url = format!("https://{addr}");
        if proxy {
            // A signature that is bound to no connection.
            let (opened, summary) = talk(&hub.folder, runtime, &url, &pin, &[["--behind-proxy", "-v"]; 2]);
            assert_eq!((&opened["proof"], &summary["acked"]), (&"end".into(), &200.into()));
            continue;
        }
        let tokens = [["--token-file", "alice.token"], ["--token-file", "bob.token"]];
        let (opened, summary) = talk(&hub.folder, runtime, &url, &pin, &tokens);
        // The middlebox carries what it cannot change.
        assert_eq!((&opened["proof"], &summary["acked"]), (&"end".into(), &200.into()));
        let keyed =
            ["mux", "pipe", "--url", &url, "--pin", &pin, "--agent", "alice", "--target", "bob", "--intent", "stream"];
        let out = hub.folder.sluis(&[&keyed[..], &["--key", "alice.pem", "--count", "1"]].concat());
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(1) && said.contains("does not let this agent in"), "{said}");
    }
}

/// A proxy that passes on what it is asked for with CONNECT, and counts that.
fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut near, counts) = (stream.unwrap(), Arc::clone(&counts));
            thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && near.read(&mut byte).is_ok_and(|len| len == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let place = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
                counts.fetch_add(1, Ordering::Relaxed);
                let mut far = TcpStream::connect(place).unwrap();
                near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
                let _ = io::copy(&mut near, &mut far);
                let _ = far.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    (url, asked)
}

fn every_client_goes_through_a_proxy_that_is_asked_for(runtime: &'static str) {
    let hub = Hub::of("mux-proxy", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    let (url, asked) = proxy();
    let through = ["--proxy", &url];
    let came = || asked.load(Ordering::Relaxed);
    hub.ask("alice", "status", &through);
    assert_eq!(came(), 1);
    // A WebSocket and a native connection.
    let mut bob = hub.listen("bob", &[&through[..], &["--count", "3"]].concat());
    assert_eq!(came(), 3);
    let pipe = ["--agent", "alice", "--target", "bob", "--intent", "chat", "--count", "3", "--json"];
    let said = hub.asked(0, Some("alice"), "pipe", &[&through[..], &pipe].concat());
    assert_eq!(came(), 4);
    let connected = said.lines().map(json).find(|line| line["event"] == "connected").unwrap();
    assert_eq!(
        (&connected["via"], &connected["from"]),
        (&"native".into(), &Value::Null),
        "whom a proxy talks to is not known"
    );
    assert_eq!(bob.finish().0, 0);
    // One that is not there is not gone round.
    assert!(hub.refused("alice", "status", &["--proxy", "http://127.0.0.1:1"]).contains("cannot be reached"));
}
