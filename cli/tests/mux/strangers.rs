//! What strangers send a hub over plain sockets, and what pages of others may.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::hub::Hub;
use crate::on_both;

on_both! {
    strangers_are_answered_or_cut_off
    pages_of_others_do_not_use_an_open_hub
}

fn connect(url: &str) -> TcpStream {
    let addr = url.split_once("://").unwrap().1;
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Send this and read to the end, however the other side ends it.
fn exchange(url: &str, request: &[u8]) -> String {
    let mut stream = connect(url);
    // The other side may have closed before it has read all.
    let _ = stream.write_all(request);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

/// How long it takes until the other side lets go of a connection on which this was said.
fn held(url: &str, said: &[u8]) -> Duration {
    let mut stream = connect(url);
    stream.write_all(said).unwrap();
    let began = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new());
    began.elapsed()
}

fn strangers_are_answered_or_cut_off(runtime: &'static str) {
    let plain = Hub::of("mux-strangers", runtime, &["alice"], &["--plain"]);
    let tls = Hub::of("mux-tls-strangers", runtime, &["alice"], &["--self-signed", "certs"]);
    let (token, to_plain, to_tls) = (plain.token("alice"), &plain.url, &tls.url);
    let hello = [22, 3, 1, 2, 0, 1, 0, 1, 252];
    std::thread::scope(|scope| {
        let waits = [
            scope.spawn(|| held(to_plain, b"")),
            scope.spawn(|| held(to_plain, b"GET /api/mux/status HTTP/1.1\r\nHo")),
            scope.spawn(|| held(to_tls, &hello)),
            scope.spawn(|| held(to_tls, b"")),
        ];
        let post = format!("POST /api/mux/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
        let huge = format!("{post}Content-Type: application/json\r\nContent-Length: 3000000\r\n\r\n");
        assert!(exchange(to_plain, huge.as_bytes()).starts_with("HTTP/1.1 413 "));
        // One that says nothing of its length is cut at the same point.
        let mut chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for _ in 0..40 {
            chunked.extend(b"10000\r\n");
            chunked.resize(chunked.len() + 0x10000, b' ');
            chunked.extend(b"\r\n");
        }
        assert!(exchange(to_plain, &chunked).starts_with("HTTP/1.1 413 "));
        // A zero begins a native connection, on which a data frame for stream 0 is a breach.
        let native = exchange(to_plain, &[0; 12]);
        assert!(native.is_empty() || native.starts_with('\0'), "{native}");
        for garbage in [&b"garbage\r\n\r\n"[..], b"GET / HTTP/9\r\n\r\n", &hello] {
            let answer = exchange(to_plain, garbage);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
        exchange(to_tls, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let upgrade = "GET /api/mux/ws?agent=alice HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let wrong = format!("{upgrade}Sec-WebSocket-Protocol: sluis.token.wrong\r\nConnection: close\r\n\r\n");
        assert!(exchange(to_plain, wrong.as_bytes()).starts_with("HTTP/1.1 403 "));
        let mut stream = connect(to_plain);
        stream.write_all(format!("{upgrade}Sec-WebSocket-Protocol: sluis.token.{token}\r\n\r\n").as_bytes()).unwrap();
        let mut answer = [0; 400];
        let len = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..len]).to_lowercase();
        // The sample of RFC 6455 1.3.
        assert!(answer.starts_with("http/1.1 101 ") && answer.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
        assert!(answer.contains(&format!("sluis.token.{token}")));
        // A frame without a mask, which no client may send.
        stream.write_all(b"\x81\x02{}").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        for wait in waits {
            let time = wait.join().unwrap();
            assert!((Duration::from_secs(9)..Duration::from_secs(40)).contains(&time), "let go after {time:?}");
        }
    });
    // And both hubs serve on.
    plain.ask("alice", "status", &[]);
    tls.ask("alice", "status", &[]);
}

fn pages_of_others_do_not_use_an_open_hub(runtime: &'static str) {
    let hub = Hub::start("mux-pages", runtime, &["--open", "--plain", "--allow-origin", "https://app.example"]);
    let host = hub.url.trim_start_matches("http://").to_owned();
    let ask = |method: &str, origin: &str, host: &str| {
        let request = format!(
            "{method} /api/mux/status HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        );
        exchange(&hub.url, request.as_bytes()).to_lowercase()
    };
    assert!(ask("GET", "https://evil.example", &host).starts_with("http/1.1 403 "));
    assert!(ask("GET", "http://evil.example", "evil.example").starts_with("http/1.1 403 "));
    assert!(ask("GET", &format!("http://{host}"), &host).starts_with("http/1.1 200 "));
    let told = ask("GET", "https://app.example", &host);
    assert!(told.starts_with("http/1.1 200 ") && told.contains("access-control-allow-origin: https://app.example"));
    assert!(ask("OPTIONS", "https://app.example", &host).starts_with("http/1.1 204 "));
}
