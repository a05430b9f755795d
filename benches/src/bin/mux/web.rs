//! The dialogue in JSON: frames over a WebSocket beside an echo of tokio-tungstenite, and by REST beside an echo of hyper.

use std::convert::Infallible;
use std::future::pending;
use std::io::Read as _;
use std::thread;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sluis_benches::contest::{self, Runner, Standing, Stopwatch};
use sluis_benches::report::{Report, Row};
use sluis_core::Seed;
use sluis_mux::Access;
use sluis_mux::switchboard::Config;
use sluis_net::Runtime as _;
use sluis_tokio::net::Tokio;
use sluis_udp::SystemClock;
use sluis_web::{Hub, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::streams::{Place, listener, plain_pair};

pub(crate) fn run(report: &mut Report, rounds: usize) {
    let (standings, row) = compare(rounds, "WebSocket send and its ack, one at a time", [echoed(1), acknowledged(1)]);
    report.add(&Row { value: standings[1].ratio, target: Some(1.3), ..row });
    let pipelined = "WebSocket send and its ack, 200 pipelined: rate";
    let answered = "REST send and its answer, one at a time: rate";
    for (what, runners) in [(pipelined, [echoed(200), acknowledged(200)]), (answered, [hyper_echo(), rest()])] {
        let (standings, row) = compare(rounds, what, runners);
        report.at_least(&Row { value: 1.0 / standings[1].ratio, target: Some(0.6), ..row });
    }
}

/// Run both; what is to be said of that, but for the result.
fn compare(rounds: usize, what: &str, mut runners: [Runner<'_>; 2]) -> (Vec<Standing>, Row) {
    let standings = contest::run(&mut runners, rounds);
    let floor = Some((standings[0].name, standings[0].nanos));
    let nanos = Some(standings[1].nanos);
    let row = Row { what: what.to_owned(), value: 0.0, unit: "×", target: None, floor, nanos };
    (standings, row)
}

const PAYLOAD: &str = r#"{"text":"how it is where it is","n":17}"#;

type Socket = WebSocketStream<TcpStream>;

/// Ask a socket the same so often; each text that comes back is an answer.
fn asks(name: &'static str, place: Place, mut socket: Socket, text: String, in_flight: u64) -> Runner<'static> {
    let text = Message::text(text);
    Runner::custom(name, move |count| {
        let began = Stopwatch::start();
        place.run(async {
            let mut left = count;
            while left > 0 {
                let some = left.min(in_flight);
                for _ in 0..some {
                    socket.feed(text.clone()).await.expect("it is open");
                }
                socket.flush().await.expect("it is open");
                for _ in 0..some {
                    let answer = socket.next().await.expect("an answer").expect("it is open");
                    assert!(answer.is_text() && !answer.into_data().starts_with(b"{\"error\""), "an answer");
                }
                left -= some;
            }
        });
        began.elapsed()
    })
}

/// An echo, as a tutorial writes it.
fn echoed(in_flight: u64) -> Runner<'static> {
    let place = Place::new();
    let socket = place.run(async {
        let [near, far] = plain_pair().await;
        spawn_local(async move {
            let mut socket = tokio_tungstenite::accept_async(far).await.expect("the same protocol");
            while let Some(Ok(message)) = socket.next().await {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        });
        tokio_tungstenite::client_async("ws://bench/", near).await.expect("the same protocol").0
    });
    asks("tokio-tungstenite echo", place, socket, send("ch-0123456789abcdef"), in_flight)
}

fn send(channel: &str) -> String {
    format!(r#"{{"action":"send","channel_id":"{channel}","payload":{PAYLOAD}}}"#)
}

/// A hub whose agent `bob` takes whatever comes, unread, on a thread of his own: what he does is neither the sender's nor the hub's work.
async fn hub() -> std::net::SocketAddr {
    let (socket, addr) = listener();
    let mut config = Config::new("node");
    config.access = Access::Open;
    let hub = Hub::new(Tokio, config, Options::default(), &Seed::from_u64(1), SystemClock::new());
    let listener = Tokio.listen(socket).expect("it listens");
    spawn_local(async move { hub.serve(listener, None, pending()).await.expect("it serves") });
    let bob = enter(addr, "bob").await;
    let mut bob = bob.into_inner().into_std().expect("it is open");
    bob.set_nonblocking(false).expect("it can be set");
    thread::spawn(move || {
        let mut room = vec![0; 65_536];
        while matches!(bob.read(&mut room), Ok(1..)) {}
    });
    addr
}

async fn enter(addr: std::net::SocketAddr, agent: &str) -> Socket {
    let stream = TcpStream::connect(addr).await.expect("it listens");
    stream.set_nodelay(true).expect("it can be set");
    let url = format!("ws://{addr}/api/mux/ws?agent={agent}");
    tokio_tungstenite::client_async(url, stream).await.expect("it is let in").0
}

/// Each frame is handed to bob as well.
fn acknowledged(in_flight: u64) -> Runner<'static> {
    let place = Place::new();
    let (socket, channel) = place.run(async {
        let addr = hub().await;
        let mut socket = enter(addr, "alice").await;
        socket.send(Message::text(r#"{"action":"open","target":"bob","intent":"stream"}"#)).await.expect("it is open");
        let opened = socket.next().await.expect("an answer").expect("it is open").into_text().expect("a text");
        (socket, channel(&opened))
    });
    asks("hub", place, socket, send(&channel), in_flight)
}

fn channel(opened: &str) -> String {
    let opened: serde_json::Value = serde_json::from_str(opened).expect("JSON");
    opened["channel_id"].as_str().unwrap_or_else(|| panic!("{opened}")).to_owned()
}

/// A client of HTTP/1.1 that does no more than it must.
struct Plain {
    stream: TcpStream,
    room: Vec<u8>,
}

impl Plain {
    fn new(stream: TcpStream) -> Self {
        Self { stream, room: vec![0; 65_536] }
    }

    async fn ask(&mut self, request: &[u8]) -> &str {
        self.stream.write_all(request).await.expect("it is open");
        let mut have = 0;
        loop {
            let len = self.stream.read(&mut self.room[have..]).await.expect("it is open");
            assert!(len > 0, "it is open");
            have += len;
            let text = std::str::from_utf8(&self.room[..have]).expect("text");
            let Some(head) = text.find("\r\n\r\n") else { continue };
            let length = text[..head].split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            if have == head + 4 + length.and_then(|length| length.parse::<usize>().ok()).expect("a length") {
                let text = std::str::from_utf8(&self.room[..have]).expect("text");
                assert!(text.starts_with("HTTP/1.1 200"), "{text}");
                return &text[head + 4..];
            }
        }
    }
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn posts(name: &'static str, place: Place, mut client: Plain, request: String) -> Runner<'static> {
    Runner::custom(name, move |count| {
        let began = Stopwatch::start();
        place.run(async {
            for _ in 0..count {
                client.ask(request.as_bytes()).await;
            }
        });
        began.elapsed()
    })
}

fn frame(channel: &str) -> String {
    post("/api/mux/send", &format!(r#"{{"channel_id":"{channel}","payload":{PAYLOAD}}}"#))
}

fn hyper_echo() -> Runner<'static> {
    let place = Place::new();
    let client = place.run(async {
        let [near, far] = plain_pair().await;
        spawn_local(async move {
            let service = service_fn(|request: Request<Incoming>| async move {
                Ok::<_, Infallible>(Response::new(request.into_body()))
            });
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service).await
        });
        Plain::new(near)
    });
    posts("hyper echo", place, client, frame("ch-0123456789abcdef"))
}

fn rest() -> Runner<'static> {
    let place = Place::new();
    let (client, channel) = place.run(async {
        let addr = hub().await;
        let stream = TcpStream::connect(addr).await.expect("it listens");
        stream.set_nodelay(true).expect("it can be set");
        let mut client = Plain::new(stream);
        let open = post("/api/mux/open", r#"{"agent":"alice","target":"bob","intent":"stream"}"#);
        let opened = channel(client.ask(open.as_bytes()).await);
        (client, opened)
    });
    posts("hub", place, client, frame(&channel))
}
