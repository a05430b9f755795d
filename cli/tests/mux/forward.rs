//! TCP connections through a hub: `mux pipe --forward` on the one side, `mux serve --backend` on the other.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use serde_json::Value;

use crate::common::folder::Folder;
use crate::common::process::Process;
use crate::hub::{Hub, json};
use crate::on_both;

on_both! {
    bytes_come_out_as_they_went_in_and_each_direction_ends_by_itself
    a_service_that_takes_nothing_holds_back_its_own_sender_alone
    what_breaks_is_reset_at_the_other_end_and_what_is_not_there_is_said
    whoever_may_not_reach_a_service_is_refused
    a_connection_outlives_cuts_on_the_way
    standard_input_and_output_are_a_connection_of_their_own
    a_service_is_proven_by_the_key_of_its_hub
}

/// Bytes of a pattern that does not repeat soon.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (0..len).map(|_| u8::try_from(next() & 255).unwrap()).collect()
}

/// Write in pieces of odd sizes, and end.
fn write(mut stream: &TcpStream, bytes: &[u8], seed: u64) {
    let sizes = noise(seed, 512);
    let (mut rest, mut n) = (bytes, 0);
    while !rest.is_empty() {
        let size = (usize::from(sizes[n % 512]) * usize::from(sizes[(n + 1) % 512]) + 1).min(rest.len());
        stream.write_all(&rest[..size]).unwrap();
        (rest, n) = (&rest[size..], n + 1);
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

/// A service that does this with each connection.
fn service(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), Arc::clone(&serve));
            thread::spawn(move || serve(stream));
        }
    });
    addr
}

/// A hub before services, and a local port that leads to each.
fn hub(name: &str, runtime: &'static str, services: &[(&str, SocketAddr)]) -> (Hub, Vec<(Process, SocketAddr)>) {
    let backends: Vec<String> = services.iter().map(|(intent, addr)| format!("--backend={intent}={addr}")).collect();
    let args: Vec<&str> = backends.iter().map(String::as_str).chain(["--self-signed", "certs"]).collect();
    let hub = Hub::of(name, runtime, &["alice"], &args);
    let ports = services.iter().map(|(intent, _)| forward(&hub, "alice", intent)).collect();
    (hub, ports)
}

/// The service of an echo.
fn echo() -> SocketAddr {
    service(|stream| {
        let mut back = stream.try_clone().unwrap();
        std::io::copy(&mut &stream, &mut back).unwrap();
        back.shutdown(Shutdown::Write).unwrap();
    })
}

fn forward(hub: &Hub, agent: &str, intent: &str) -> (Process, SocketAddr) {
    let pipe = hub.spawn(agent, "pipe", &["--target", "node", "--intent", intent, "--forward", "127.0.0.1:0"]);
    let listening = json(&pipe.line());
    assert_eq!(listening["event"], "listening");
    let addr = listening["address"].as_str().unwrap().parse().unwrap();
    (pipe, addr)
}

/// The next event of this name.
fn event(process: &Process, name: &str) -> Value {
    loop {
        let said = json(&process.line());
        if said["event"] == name {
            return said;
        }
    }
}

fn read(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Whatever is sent there, the connection does not end in order.
#[track_caller]
fn reset(addr: SocketAddr) {
    let mut stream = TcpStream::connect(addr).unwrap();
    let mut bytes = Vec::new();
    // The system says it once, to whichever comes first.
    let ended = stream.write_all(&[1; 100_000]).and_then(|()| stream.read_to_end(&mut bytes)).map_err(|why| why.kind());
    assert!(matches!(ended, Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{ended:?}: {bytes:?}");
}

fn bytes_come_out_as_they_went_in_and_each_direction_ends_by_itself(runtime: &'static str) {
    let (up, down) = (noise(1, 3_000_000), noise(2, 2_500_000));
    let (heard, hears) = mpsc::channel();
    // One says everything while it listens, the other one only once it has heard the end.
    let at_once = {
        let (heard, down) = (heard.clone(), down.clone());
        service(move |stream| {
            thread::scope(|scope| {
                scope.spawn(|| write(&stream, &down, 3));
                heard.send(read(&stream)).unwrap();
            });
        })
    };
    let afterwards = {
        let down = down.clone();
        service(move |stream| {
            heard.send(read(&stream)).unwrap();
            write(&stream, &down, 4);
        })
    };
    let (_hub, ports) = hub("forward", runtime, &[("stream", at_once), ("vpn:tunnel", afterwards)]);
    for (pipe, addr) in &ports {
        let stream = TcpStream::connect(addr).unwrap();
        let got = thread::scope(|scope| {
            scope.spawn(|| write(&stream, &up, 5));
            read(&stream)
        });
        assert!(got == down && hears.recv().unwrap() == up);
        let closed = event(pipe, "closed");
        assert_eq!((&closed["reason"], &closed["sent"]), (&"client_close".into(), &up.len().into()));
        assert_eq!(closed["received"], down.len());
    }
}

fn a_service_that_takes_nothing_holds_back_its_own_sender_alone(runtime: &'static str) {
    let (asleep, wake) = mpsc::channel::<()>();
    let wake = std::sync::Mutex::new(wake);
    let stalled = service(move |stream| {
        let _ = wake.lock().unwrap().recv();
        drop(stream);
    });
    let (_hub, ports) = hub("forward-stalled", runtime, &[("stream", stalled), ("vpn:tunnel", echo())]);
    let taken = Arc::new(AtomicUsize::new(0));
    let stuck = {
        let (taken, mut stream) = (Arc::clone(&taken), TcpStream::connect(ports[0].1).unwrap());
        // Ends with an error once the service is gone.
        thread::spawn(move || {
            while let Ok(len) = stream.write(&[7; 65_536]) {
                taken.fetch_add(len, Ordering::Relaxed);
            }
        })
    };
    event(&ports[0].0, "opened");
    let bytes = noise(6, 8_000_000);
    for _ in 0..3 {
        let stream = TcpStream::connect(ports[1].1).unwrap();
        let got = thread::scope(|scope| {
            scope.spawn(|| write(&stream, &bytes, 7));
            read(&stream)
        });
        assert!(got == bytes);
    }
    // Four socket buffers of the system, and what the protocol keeps.
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken < 40_000_000, "{taken} bytes are kept for a service that takes none");
    drop(asleep);
    stuck.join().unwrap();
    assert_ne!(event(&ports[0].0, "closed")["reason"], "client_close");
}

fn what_breaks_is_reset_at_the_other_end_and_what_is_not_there_is_said(runtime: &'static str) {
    // What is closed before all that came was read, is reset.
    let breaks = service(|mut stream| {
        stream.write_all(b"a part").unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
    });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (hub, ports) = hub("forward-broken", runtime, &[("stream", breaks), ("vpn:tunnel", nobody)]);
    reset(ports[0].1);
    assert_eq!(event(&ports[0].0, "closed")["reason"], "the other end has ended it: connection_lost");
    reset(ports[1].1);
    let why = "it is refused: the service behind vpn:tunnel does not answer: connection refused";
    assert_eq!(event(&ports[1].0, "closed")["reason"], why);
    // Of an intent that no service is behind: it does not wait for somebody to come.
    let (pipe, addr) = forward(&hub, "alice", "file:sync");
    reset(addr);
    assert_eq!(event(&pipe, "closed")["reason"], "it is refused: there is no such service");
}

fn whoever_may_not_reach_a_service_is_refused(runtime: &'static str) {
    let folder = Folder::new(&format!("forward-may-{runtime}"));
    for (agent, limits) in [("alice", ["--may", "chat"]), ("bob", ["--to", "carol"])] {
        let token = folder.ends(0, &[&["mux", "token", agent, "--agents", "agents.toml"], &limits[..]].concat());
        std::fs::write(folder.0.join(format!("{agent}.token")), token).unwrap();
    }
    let backend = format!("stream={}", echo());
    let args = ["--agents", "agents.toml", "--self-signed", "certs", "--backend", &backend];
    let hub = Hub::in_folder(folder, runtime, &args);
    for agent in ["alice", "bob"] {
        let (pipe, addr) = forward(&hub, agent, "stream");
        // The port goes on.
        for _ in 0..2 {
            reset(addr);
            assert_eq!(event(&pipe, "closed")["reason"], "it is refused: it is not allowed");
        }
    }
}

/// Leads to an address, and resets each of the first connections after so many bytes of what comes back.
fn cutter(to: SocketAddr, cuts: Vec<usize>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, made) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&made);
    thread::spawn(move || {
        for (n, here) in listener.incoming().enumerate() {
            let (here, there) = (here.unwrap(), TcpStream::connect(to).unwrap());
            count.fetch_add(1, Ordering::Relaxed);
            let (mut from, mut on) = (here.try_clone().unwrap(), there.try_clone().unwrap());
            let after = cuts.get(n).copied();
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut on);
                let _ = on.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let most = after.map_or(u64::MAX, |after| after as u64);
                let _ = std::io::copy(&mut (&there).take(most), &mut &here);
                let _ = (here.shutdown(Shutdown::Both), there.shutdown(Shutdown::Both));
            });
        }
    });
    (addr, made)
}

fn a_connection_outlives_cuts_on_the_way(runtime: &'static str) {
    let backend = format!("stream={}", echo());
    let hub = Hub::start("forward-cut", runtime, &["--open", "--plain", "--backend", &backend]);
    let (way, made) = cutter(hub.url.strip_prefix("http://").unwrap().parse().unwrap(), vec![700_000, 300_000]);
    let url = format!("http://{way}");
    let args = ["mux", "pipe", "--runtime", runtime, "--url", &url, "--agent", "alice", "--target", "node"];
    let forward = ["--intent", "stream", "--forward", "127.0.0.1:0", "--json"];
    let pipe = Process::spawn("sluis mux pipe", &mut hub.folder.command(&[&args[..], &forward].concat()));
    let addr: SocketAddr = json(&pipe.line())["address"].as_str().unwrap().parse().unwrap();
    let (bytes, stream) = (noise(8, 3_000_000), TcpStream::connect(addr).unwrap());
    let got = thread::scope(|scope| {
        scope.spawn(|| write(&stream, &bytes, 9));
        read(&stream)
    });
    assert!(got == bytes);
    assert_eq!(event(&pipe, "closed")["reason"], "client_close");
    assert_eq!(made.load(Ordering::Relaxed), 3, "it was cut as often as it was meant to be");
}

fn standard_input_and_output_are_a_connection_of_their_own(runtime: &'static str) {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let backends = [format!("stream={}", echo()), format!("vpn:tunnel={nobody}")];
    let args = ["--self-signed", "certs", "--backend", &backends[0], "--backend", &backends[1]];
    let hub = Hub::of("forward-bytes", runtime, &["alice"], &args);
    let pipe = |intent: &str| {
        let args = ["--agent", "alice", "--target", "node", "--intent", intent, "--bytes"];
        let mut command = hub.command("alice", "pipe", &args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let bytes = noise(10, 2_000_000);
    let mut child = pipe("stream");
    let mut stdin = child.stdin.take().unwrap();
    let out = thread::scope(|scope| {
        scope.spawn(|| {
            stdin.write_all(&bytes).unwrap();
            drop(stdin);
        });
        child.wait_with_output().unwrap()
    });
    assert!(out.status.success() && out.stdout == bytes, "{}", String::from_utf8_lossy(&out.stderr));
    let out = pipe("vpn:tunnel").wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("does not answer: connection refused"), "{said}");
    assert!(out.stdout.is_empty());
}

/// What a service says is its hub's word: with its key, and not with another one.
fn a_service_is_proven_by_the_key_of_its_hub(runtime: &'static str) {
    let folder = Folder::new(&format!("forward-key-{runtime}"));
    for name in ["alice", "hub", "other"] {
        folder.ends(0, &["key", "new", &format!("{name}.pem")]);
    }
    let token = folder.ends(0, &["mux", "token", "alice", "--agents", "agents.toml"]);
    folder.write("alice.token", token);
    let backend = format!("stream={}", echo());
    let args = ["--agents", "agents.toml", "--self-signed", "certs", "--backend", &backend, "--key", "hub.pem"];
    let hub = Hub::in_folder(folder, runtime, &args);
    let bytes = noise(5, 300_000);
    for (known, proof) in [("node=hub.pem", Some("end")), ("node=other.pem", None)] {
        let args = ["--target", "node", "--intent", "stream", "--forward", "127.0.0.1:0", "--key", "alice.pem"];
        let pipe = hub.spawn("alice", "pipe", &[&args[..], &["--agent-key", known]].concat());
        let addr: SocketAddr = json(&pipe.line())["address"].as_str().unwrap().parse().unwrap();
        let Some(proof) = proof else {
            reset(addr);
            continue;
        };
        let stream = TcpStream::connect(addr).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| write(&stream, &bytes, 3));
            assert!(read(&stream) == bytes);
        });
        assert_eq!(event(&pipe, "opened")["proof"], proof);
    }
}
