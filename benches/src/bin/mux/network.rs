//! Channels over TCP and TLS on loopback, beside the `yamux` and `h2` crates over the same, and a plain echo.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_io::{AsyncRead as _, AsyncWrite as _};
use sluis_benches::contest::{self, Runner, Stopwatch};
use sluis_benches::mux::{Job, Peer, Progress, Sender};
use sluis_benches::report::{Report, Row};
use sluis_core::Security;
use sluis_tokio::net;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use crate::streams::{Futures, Place, TlsPair, listener, pair, plain_pair};

/// Bytes that may be under way.
const IN_FLIGHT: usize = 1 << 20;

pub(crate) fn run(report: &mut Report, rounds: usize) {
    let tls = TlsPair::new();
    for (over, tls, target) in [("TCP", None, 1.2), ("TLS", Some(&tls), 1.1)] {
        for channels in [1, 100] {
            let what = format!("64 KiB writes, {channels} channels, over {over}");
            let runners = [yamux(channels, tls, 65_536), ours(channels, tls, 65_536)];
            super::rate(report, rounds, &what, target, runners);
        }
    }
    let what = |floor| format!("128 B messages, 100 channels, over TCP, beside {floor}");
    super::rate(report, rounds, &what("h2"), 2.0, [h2(100, 128), ours(100, None, 128)]);
    super::rate(report, rounds, &what("yamux"), 6.0, [yamux(100, None, 128), ours(100, None, 128)]);
    ping_pong(report, rounds);
}

fn ping_pong(report: &mut Report, rounds: usize) {
    let mut ours = Ours::new(1, None, [Some([1; 32]), Some([2; 32])], 1, true);
    let mut yamux = Yamux::new(1, None, true);
    let mut runners = [
        echo(128),
        Runner::custom("yamux", move |n| yamux.ask(n, 128)),
        Runner::custom("channel with tags", move |n| ours.run(n, 128)),
    ];
    let standings = contest::run(&mut runners, rounds);
    for (standing, target) in standings.iter().skip(1).zip([None, Some(1.3)]) {
        report.add(&Row {
            what: format!("128 B there and back, one at a time, over TCP: {}", standing.name),
            value: standing.ratio,
            unit: "×",
            target,
            floor: Some((standings[0].name, standings[0].nanos)),
            nanos: Some(standing.nanos),
        });
    }
}

fn ours(channels: usize, tls: Option<&TlsPair>, size: usize) -> Runner<'static> {
    let in_flight = (IN_FLIGHT / size) as u64;
    let mut ours = Ours::new(channels, tls, [None; 2], in_flight, false);
    Runner::custom("channels", move |n| ours.run(n, size))
}

/// Our channels, on the drivers that everything of ours runs on. Each message is acknowledged.
struct Ours {
    job: Rc<Job>,
    progress: Rc<Progress>,
    place: Place,
}

impl Ours {
    fn new(channels: usize, tls: Option<&TlsPair>, keys: [Option<[u8; 32]>; 2], in_flight: u64, echo: bool) -> Self {
        let (place, job, progress) = (Place::new(), Rc::new(Job::default()), Rc::new(Progress::default()));
        let app = |job, progress, channels| Sender {
            job,
            progress,
            channels,
            wanted: 0,
            in_flight,
            sent: 0,
            echo,
            text: vec![7; 65_536],
        };
        let told = |is_told: bool| is_told.then(|| Rc::clone(&progress));
        let mut near = app(Some(Rc::clone(&job)), told(echo), channels);
        let mut far = app(None, told(!echo), 0);
        place.run(async {
            let (socket, addr) = listener();
            let mut server = net::streams();
            server.listen(socket, tls.map(|tls| tls.server.clone())).expect("it listens");
            let mut client = net::streams();
            let number = tls.map(|tls| client.add_tls(tls.client.clone()).expect("the first"));
            let security = number.map_or(Security::Plain, Security::Tls);
            spawn_local(async move {
                let mut peer = Peer::dialled(keys[1]);
                peer.end.echoes = echo;
                net::run(server, &mut peer, &mut far).await.expect("it runs");
            });
            spawn_local(async move {
                let mut peer = Peer::dialling(addr.port(), security, keys[0]);
                net::run(client, &mut peer, &mut near).await.expect("it runs");
            });
        });
        let mut this = Self { job, progress, place };
        this.run(channels as u64, 1);
        this
    }

    fn run(&mut self, count: u64, size: usize) -> Duration {
        let began = Stopwatch::start();
        let goal = self.progress.count() + count;
        self.job.give(count, size);
        self.place.run(poll_fn(|cx| self.progress.poll_reached(cx, goal)));
        began.elapsed()
    }
}

fn yamux(streams: usize, tls: Option<&TlsPair>, size: usize) -> Runner<'static> {
    let mut yamux = Yamux::new(streams, tls, false);
    Runner::custom("yamux", move |n| yamux.run(n, size))
}

/// Two connections of the crate, each in a task.
struct Yamux {
    streams: Vec<yamux::Stream>,
    /// Bytes that came.
    progress: Rc<Progress>,
    text: Vec<u8>,
    next: usize,
    place: Place,
}

impl Yamux {
    fn new(count: usize, tls: Option<&TlsPair>, echo: bool) -> Self {
        let (place, progress) = (Place::new(), Rc::new(Progress::default()));
        let streams = place.run(async {
            let [near, far] = pair(tls.cloned()).await.map(Futures);
            let mut far = yamux::Connection::new(far, yamux::Config::default(), yamux::Mode::Server);
            let progress = Rc::clone(&progress);
            spawn_local(async move {
                while let Some(Ok(stream)) = poll_fn(|cx| far.poll_next_inbound(cx)).await {
                    spawn_local(read(stream, Rc::clone(&progress), echo));
                }
            });
            let mut near = yamux::Connection::new(near, yamux::Config::default(), yamux::Mode::Client);
            let mut streams = Vec::new();
            for _ in 0..count {
                streams.push(poll_fn(|cx| near.poll_new_outbound(cx)).await.expect("room"));
            }
            spawn_local(async move { while poll_fn(|cx| near.poll_next_inbound(cx)).await.is_some() {} });
            streams
        });
        let mut this = Self { streams, progress, text: vec![7; 65_536], next: 0, place };
        if !echo {
            this.run(count as u64, 1);
        }
        this
    }

    fn run(&mut self, count: u64, size: usize) -> Duration {
        let began = Stopwatch::start();
        let Self { streams, progress, text, next, place } = self;
        let mut sent = progress.count();
        place.run(async {
            for _ in 0..count {
                let at = *next % streams.len();
                write(&mut streams[at], &text[..size]).await;
                *next += 1;
                sent += size as u64;
                let most = sent.saturating_sub(IN_FLIGHT as u64);
                poll_fn(|cx| progress.poll_reached(cx, most)).await;
            }
            poll_fn(|cx| progress.poll_reached(cx, sent)).await;
        });
        began.elapsed()
    }

    /// Send, and wait for the same to come back, so many times.
    fn ask(&mut self, count: u64, size: usize) -> Duration {
        let began = Stopwatch::start();
        let Self { streams, text, place, .. } = self;
        let stream = &mut streams[0];
        place.run(async {
            let mut room = vec![0; size];
            for _ in 0..count {
                write(stream, &text[..size]).await;
                let mut got = 0;
                while got < size {
                    got += poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut room)).await.expect("it is open");
                }
            }
        });
        began.elapsed()
    }
}

async fn write(stream: &mut yamux::Stream, mut text: &[u8]) {
    while !text.is_empty() {
        let taken = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, text)).await.expect("it is open");
        text = &text[taken..];
    }
}

async fn read(mut stream: yamux::Stream, progress: Rc<Progress>, echo: bool) {
    let mut room = vec![0; 65_536];
    loop {
        match poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut room)).await {
            Ok(0) | Err(_) => return,
            Ok(len) if echo => write(&mut stream, &room[..len]).await,
            Ok(len) => progress.set(progress.count() + len as u64),
        }
    }
}

/// Requests of `h2` whose bodies stay open, on windows that never fill.
fn h2(count: usize, size: usize) -> Runner<'static> {
    let (place, progress) = (Place::new(), Rc::new(Progress::default()));
    let (mut streams, answers) = place.run(async {
        let [near, far] = plain_pair().await;
        let counted = Rc::clone(&progress);
        spawn_local(async move {
            let mut builder = h2::server::Builder::new();
            builder.initial_window_size(16 << 20).initial_connection_window_size(64 << 20);
            let mut server = builder.handshake::<_, Bytes>(far).await.expect("the same protocol");
            while let Some(Ok((request, answer))) = server.accept().await {
                spawn_local(consume(request.into_body(), Rc::clone(&counted), answer));
            }
        });
        let (mut ask, connection) = h2::client::handshake(near).await.expect("the same protocol");
        spawn_local(async move { connection.await.expect("it lives") });
        let (mut streams, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            ask = ask.ready().await.expect("it lives");
            let request = http::Request::post("http://bench/").body(()).expect("a request");
            let (answer, stream) = ask.send_request(request, false).expect("room");
            answers.push(answer);
            streams.push(stream);
        }
        (streams, (answers, ask))
    });
    let (text, next) = (Bytes::from(vec![7; size]), Cell::new(0_usize));
    Runner::custom("h2", move |count| {
        let _ = &answers;
        let began = Stopwatch::start();
        let mut sent = progress.count();
        place.run(async {
            for _ in 0..count {
                let at = next.replace(next.get() + 1) % streams.len();
                streams[at].send_data(text.clone(), false).expect("it is open");
                sent += size as u64;
                let most = sent.saturating_sub(IN_FLIGHT as u64);
                poll_fn(|cx| progress.poll_reached(cx, most)).await;
            }
            poll_fn(|cx| progress.poll_reached(cx, sent)).await;
        });
        began.elapsed()
    })
}

/// Count what comes. The request stays unanswered as long as its body is open.
async fn consume(mut body: h2::RecvStream, progress: Rc<Progress>, answer: h2::server::SendResponse<Bytes>) {
    while let Some(Ok(bytes)) = body.data().await {
        body.flow_control().release_capacity(bytes.len()).expect("it came");
        progress.set(progress.count() + bytes.len() as u64);
    }
    drop(answer);
}

/// As a tutorial writes it: what comes goes back.
fn echo(size: usize) -> Runner<'static> {
    let place = Place::new();
    let mut near = place.run(async {
        let [near, far] = plain_pair().await;
        spawn_local(serve(far));
        near
    });
    let (text, mut room) = (vec![7; size], vec![0; size]);
    Runner::custom("plain echo", move |count| {
        let began = Stopwatch::start();
        place.run(async {
            for _ in 0..count {
                near.write_all(&text).await.expect("it is open");
                near.read_exact(&mut room).await.expect("it is open");
            }
        });
        began.elapsed()
    })
}

async fn serve(mut stream: TcpStream) {
    let mut room = vec![0; 65_536];
    while let Ok(len @ 1..) = stream.read(&mut room).await {
        stream.write_all(&room[..len]).await.expect("it is open");
    }
}
