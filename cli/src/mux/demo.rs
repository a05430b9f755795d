//! `sluis mux demo`: a hub and two agents over TLS in one process; a hub that alters what it carries, and a cut.

use std::cell::RefCell;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sluis_core::driver::{App, Clock, StreamIo as _};
use sluis_core::identity::{PublicKey, SecretKey};
use sluis_core::{Conn, End, Instant, Machine, Now, Order, Reject, Security, Seed, Streams, Up, Wants};
use sluis_mux::access::token_hash;
use sluis_mux::channel::{Fault, Kind, Proof, SendError};
use sluis_mux::native::{ALPN, Channel, Client, ClientConfig, Credentials, Event, Hub, HubConfig};
use sluis_mux::{Access, Credential};
use sluis_net::{ClientTls, NetStreams, Runtime, ServerTls, Trust};

use crate::common::{Common, Runtime as Choice};
use crate::fail::Fail;
use crate::output::{Color, Out};
use crate::parts::{All, Part};
use crate::run;

/// How long a step may take.
const STEP_TIME: Duration = Duration::from_secs(20);
/// A packet of voice, and the time between two.
const VOICE: usize = 160;
const VOICE_EVERY: Duration = Duration::from_millis(20);
/// Packets of a call, and pieces of the file, of 16 KiB each.
const PACKETS: u64 = 40;
const PIECES: u64 = 60;
const PIECE: usize = 16 * 1024;

/// What the hub alters.
const ORDER: &[u8] = b"pay 100 to bob";

const STEPS: [&str; 4] = [
    "Alice and Bob come to a hub over TLS 1.3, and show their keys. She calls him, and sends him a file beside it.",
    "A packet of voice leaves every 20 ms while the file takes what is left: Bob's application acknowledges each of them.",
    "All connections are cut in the middle of it. The channels go on where the last acknowledgement was.",
    "The hub begins to alter what it carries: \"pay 100 to bob\" becomes \"pay 900 to bob\". Bob's end finds it out.",
];

/// A hub that can be told to misbehave.
struct Rogue {
    hub: Hub,
    stage: Shared,
    conns: Vec<Conn>,
    cut: Vec<Conn>,
}

/// Who shares the story; each is woken when it moves on.
struct Stage {
    out: Out,
    step: usize,
    began: Option<Instant>,
    step_began: Option<Instant>,
    alters: bool,
    cut: bool,
    was_cut: bool,
    /// Agents that the hub has let in: who calls before the other one is there is refused.
    here: u32,
    opened: u32,
    voice: Sent,
    file: Sent,
    heard: u64,
    worst: Duration,
    resumed: u32,
    altered: u32,
    found: bool,
    good: bool,
    over: bool,
    wakers: Vec<Waker>,
}

/// What was sent on a channel in a step.
#[derive(Default)]
struct Sent {
    channel: Option<Channel>,
    left: u64,
    sent: u64,
    acked: u64,
    times: Vec<Instant>,
}

type Shared = Rc<RefCell<Stage>>;

/// Play it; the exit code is 0 when everything went as it says.
pub(super) fn run(common: Common) -> Result<ExitCode, Fail> {
    let seed = run::seed()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .map_err(|why| Fail::runtime(format!("no port on 127.0.0.1 ({why})")))?;
    let mut name = [0; 8];
    seed.fork("folder").fill(&mut name);
    let dir = std::env::temp_dir().join(format!("sluis-mux-demo-{:016x}", u64::from_le_bytes(name)));
    let tls = ServerTls::self_signed(&dir, vec![String::from("localhost")], &[ALPN]).map_err(Fail::runtime);
    // The key is in memory; nobody needs it on the disk any more.
    let _ = std::fs::remove_dir_all(&dir);
    let stage = Rc::new(RefCell::new(Stage::new(common)));
    let cast = Cast { seed, listener, tls: tls?, stage: Rc::clone(&stage) };
    let ended = match common.runtime {
        Choice::Tokio => sluis_tokio::block_on(async { cast.play(sluis_tokio::net::streams)?.await }),
        Choice::Smol => sluis_smol::block_on(async { cast.play(sluis_smol::net::streams)?.await }),
    };
    ended.map_err(|why| Fail::runtime(format!("the network cannot be used ({why})")))?;
    let mut stage = stage.borrow_mut();
    stage.out.finish().map_err(|why| Fail::output(&why))?;
    Ok(if stage.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Who plays.
struct Cast {
    seed: Seed,
    listener: TcpListener,
    tls: ServerTls,
    stage: Shared,
}

impl Cast {
    /// All of them in one task.
    fn play<R: Runtime, C: Clock + 'static>(self, streams: impl Fn() -> NetStreams<R, C>) -> std::io::Result<All> {
        let names = ["alice", "bob"];
        let key = |name: &str| SecretKey::generate(&mut self.seed.fork(name));
        let keys: Vec<(&str, PublicKey)> = names.iter().map(|name| (*name, key(name).public())).collect();
        let port = self.listener.local_addr()?.port();
        let mut io = streams();
        io.listen(self.listener, Some(self.tls.clone()))?;
        let mut config = HubConfig::new("hub");
        config.access = Access::agents(keys.iter().map(credential).collect()).map_err(std::io::Error::other)?;
        let hub = Hub::new(config, &own_seed(&self.seed, "hub"));
        let mut rogue = Rogue { hub, stage: Rc::clone(&self.stage), conns: Vec::new(), cut: Vec::new() };
        let mut app = AsHub(Rc::clone(&self.stage));
        let mut parts: Vec<Part> =
            vec![Box::pin(async move { sluis_net::run(io, &mut rogue, &mut app).await.map(drop) })];
        for (who, name) in names.into_iter().enumerate() {
            let mut io = streams();
            let trust = Trust::Pinned(self.tls.fingerprint());
            let tls = ClientTls::new(trust, &[ALPN]).map_err(std::io::Error::other)?;
            let number = io.add_tls(tls).ok_or(std::io::ErrorKind::OutOfMemory)?;
            let mut config = ClientConfig::new(name, "127.0.0.1", port);
            config.security = Security::Tls(number);
            config.credentials = Credentials::Key;
            config.signer = Some(Arc::new(key(name)));
            config.pins = keys.iter().map(|(name, key)| ((*name).into(), *key)).collect();
            let mut client = Client::new(config, &own_seed(&self.seed, name), io.now());
            let mut app = AsAgent { stage: Rc::clone(&self.stage), alice: who == 0, next_voice: None };
            parts.push(Box::pin(async move { sluis_net::run(io, &mut client, &mut app).await.map(drop) }));
        }
        Ok(All(parts))
    }
}

fn own_seed(seed: &Seed, name: &str) -> Seed {
    let mut bytes = [0; 32];
    seed.fork(&format!("seed of {name}")).fill(&mut bytes);
    Seed::new(bytes)
}

fn credential((name, key): &(&str, PublicKey)) -> Credential {
    let all = || vec!["*".into()];
    // Nobody has a token: the hash is that of the public key, which is none.
    let token_sha256 = token_hash(&key.to_string());
    Credential { name: (*name).into(), token_sha256, key: Some(*key), may: all(), to: all() }
}

impl Machine for Rogue {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        self.hub.handle_timeout(now);
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        let wants = self.hub.wants();
        Wants { orders: wants.orders || !self.cut.is_empty(), ..wants }
    }
}

impl Streams for Rogue {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        let conn = self.hub.handle_up(now, up)?;
        self.conns.push(conn);
        Ok(conn)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.hub.handle_bytes(now, conn, bytes)
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        self.conns.retain(|other| *other != conn);
        self.hub.handle_end(now, conn, end);
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        if let Some(conn) = self.cut.pop() {
            self.hub.handle_end(now, conn, End::Lost);
            return Some(Order::Abort(conn));
        }
        self.hub.poll_order(now)
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        let len = self.hub.poll_bytes(now, conn, out);
        let mut stage = self.stage.borrow_mut();
        let written = out.get_mut(..len).unwrap_or_default();
        if stage.alters
            && let Some(at) = written.windows(ORDER.len()).position(|window| window == ORDER)
            && let Some(digit) = written.get_mut(at + 4)
        {
            *digit = b'9';
            stage.altered += 1;
        }
        len
    }
}

struct AsHub(Shared);

impl App<Rogue> for AsHub {
    fn poll(&mut self, cx: &mut Context<'_>, _: Now, machine: &mut Rogue) -> Poll<()> {
        let mut stage = self.0.borrow_mut();
        stage.listen(cx);
        if std::mem::take(&mut stage.cut) {
            machine.cut.append(&mut machine.conns);
        }
        if stage.over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Stage {
    fn new(common: Common) -> Self {
        Self {
            out: Out::new(common, false).timed(),
            step: 0,
            began: None,
            step_began: None,
            alters: false,
            cut: false,
            was_cut: false,
            here: 0,
            opened: 0,
            voice: Sent::default(),
            file: Sent::default(),
            heard: 0,
            worst: Duration::ZERO,
            resumed: 0,
            altered: 0,
            found: false,
            good: true,
            over: false,
            wakers: Vec::new(),
        }
    }

    fn listen(&mut self, cx: &Context<'_>) {
        self.wakers.retain(|waker| !waker.will_wake(cx.waker()));
        self.wakers.push(cx.waker().clone());
    }

    fn tell(&mut self, ok: Option<bool>) {
        let (n, text) = (self.step + 1, STEPS.get(self.step).copied().unwrap_or_default());
        let (worst, step) = (self.worst.as_secs_f64() * 1000.0, self.step);
        self.out.event(
            "step",
            |o| {
                let o = o.raw("n", n).str("text", text);
                match ok {
                    None => o.raw("ok", "null"),
                    Some(ok) if step == 1 => o.raw("ok", ok).rounded("voice_worst_ms", Some(worst), 1),
                    Some(ok) => o.raw("ok", ok),
                }
            },
            |flow| {
                match ok {
                    None => flow.text(Color::Bold, &format!("{n}. {text}")),
                    Some(true) if step == 1 => {
                        flow.words(&format!("As told. The slowest packet took {worst:.1} ms there and back."))
                    }
                    Some(true) => flow.words("As told."),
                    Some(false) => flow.text(Color::Bold, "That did not go as told."),
                };
            },
        );
        self.out.flush();
    }

    /// Begin a step.
    fn begin(&mut self, now: Now) {
        self.step_began = Some(now.mono);
        self.tell(None);
        match self.step {
            1 | 2 => {
                (self.voice.left, self.file.left) = (PACKETS, PIECES);
                self.worst = Duration::ZERO;
            }
            3 => {
                self.alters = true;
                self.voice.left = 1;
            }
            _ => {}
        }
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// Whether a step has come to its end.
    fn look(&mut self, now: Now) {
        if self.over {
            return;
        }
        self.began.get_or_insert(now.mono);
        let Some(step_began) = self.step_began else { return self.begin(now) };
        let all = |sent: &Sent| sent.left == 0 && sent.acked == sent.sent;
        let done = match self.step {
            0 => self.opened == 2,
            1 => all(&self.voice) && all(&self.file) && self.heard == PACKETS + PIECES,
            2 => {
                if self.voice.left < PACKETS / 2 && !std::mem::replace(&mut self.was_cut, true) {
                    self.cut = true;
                    self.wakers.drain(..).for_each(Waker::wake);
                }
                self.resumed >= 2 && all(&self.voice) && all(&self.file) && self.heard == 2 * (PACKETS + PIECES)
            }
            _ => self.found && self.altered == 1,
        };
        let late = now.mono.saturating_since(step_began) >= STEP_TIME;
        if !done && !late && self.good {
            return;
        }
        self.good &= done;
        self.tell(Some(self.good));
        self.step += 1;
        if self.good && self.step < STEPS.len() {
            self.begin(now);
        } else {
            self.end(now);
        }
    }

    fn end(&mut self, now: Now) {
        let (heard, good) = (self.heard, self.good);
        let elapsed = self.began.map(|began| now.mono.saturating_since(began).as_secs_f64());
        self.out.summary(
            "summary",
            |o| o.raw("messages", heard).raw("ok", good).rounded("elapsed_s", elapsed, 3),
            |flow| {
                let all = if good { "All went as told." } else { "It did not go as told." };
                flow.words(&format!("{heard} messages, each handed over once. {all}"));
            },
        );
        self.out.flush();
        self.over = true;
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn acknowledged(&mut self, now: Now, channel: Channel, upto: u64) {
        let sent = if self.voice.channel == Some(channel) { &mut self.voice } else { &mut self.file };
        let before = sent.acked;
        sent.acked = sent.acked.max(upto);
        let took = sent.times.get(usize::try_from(before).unwrap_or(usize::MAX)).copied();
        if self.voice.channel == Some(channel)
            && let Some(at) = took
        {
            self.worst = self.worst.max(now.mono.saturating_since(at));
        }
    }
}

struct AsAgent {
    stage: Shared,
    alice: bool,
    next_voice: Option<Instant>,
}

impl AsAgent {
    fn hear(&mut self, stage: &mut Stage, now: Now, event: &Event<'_>) -> Option<(Channel, u64)> {
        match event {
            Event::Connected(_) => {
                stage.here += 1;
                stage.wakers.drain(..).for_each(Waker::wake);
            }
            Event::Incoming(channel, ..) => return Some((*channel, 0)),
            Event::Opened(_, proof) => {
                stage.opened += 1;
                stage.good &= matches!(proof, Proof::Pinned(_));
            }
            Event::Message(channel, number, ..) => {
                stage.heard += 1;
                return Some((*channel, *number));
            }
            Event::Acked(channel, upto) => stage.acknowledged(now, *channel, *upto),
            Event::Resumed(_) => stage.resumed += u32::from(self.alice),
            Event::Broken(_, fault) => {
                stage.found = *fault == Fault::Tampered && stage.alters;
                stage.good &= stage.found;
            }
            Event::Refused(..) | Event::Abandoned(..) => stage.good = false,
            _ => {}
        }
        None
    }

    /// Alice opens what she has not opened, and sends what is due.
    fn act(&mut self, stage: &mut Stage, now: Now, client: &mut Client) {
        if stage.voice.channel.is_none() && stage.here >= 2 {
            stage.voice.channel = client.open(now, "bob", "call:voice", "{}").ok();
            stage.file.channel = client.open(now, "bob", "file:sync", r#"{"name":"holiday.mov"}"#).ok();
        }
        let order = stage.step == 3;
        if let Some(channel) = stage.voice.channel.filter(|_| stage.voice.left > 0) {
            let due = self.next_voice.is_none_or(|at| at <= now.mono);
            let packet = [0x55; VOICE];
            let body = if order { ORDER } else { &packet[..] };
            if due && client.send(now, channel, Kind::Bytes, body).is_ok() {
                stage.voice.left -= 1;
                stage.voice.sent += 1;
                stage.voice.times.push(now.mono);
                self.next_voice = Some(now.mono + VOICE_EVERY);
            }
        }
        while let Some(channel) = stage.file.channel.filter(|_| stage.file.left > 0) {
            match client.send(now, channel, Kind::Bytes, &[0xaa; PIECE]) {
                Ok(_) => {
                    stage.file.left -= 1;
                    stage.file.sent += 1;
                }
                Err(SendError::Full) => break,
                Err(_) => {
                    stage.good = false;
                    break;
                }
            }
        }
    }
}

impl App<Client> for AsAgent {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        let shared = Rc::clone(&self.stage);
        let stage = &mut *shared.borrow_mut();
        stage.listen(cx);
        while let Some(event) = client.poll_event() {
            match self.hear(stage, now, &event) {
                Some((channel, 0)) => client.accept(now, channel),
                Some((channel, number)) => client.take(now, channel, number),
                None => {}
            }
        }
        stage.look(now);
        if self.alice && !stage.over && stage.opened == 2 || self.alice && stage.step == 0 {
            self.act(stage, now, client);
        }
        if stage.over {
            client.shut_down(now);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        let stage = self.stage.borrow();
        let late = stage.step_began.map(|began| began + STEP_TIME);
        let voice = self.next_voice.filter(|_| self.alice && stage.voice.left > 0);
        [late, voice].into_iter().flatten().min()
    }
}
