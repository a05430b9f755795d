//! `sluis mux pipe`: one channel, and what is sent on it.

use std::collections::VecDeque;
use std::io::BufRead as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sluis_core::data::Value;
use sluis_core::driver::App;
use sluis_core::identity::Signer;
use sluis_core::{Instant, Machine as _, Now, Rng};
use sluis_mux::channel::{Fault, Kind, MAX_MESSAGE, SendError};
use sluis_mux::native::{Channel, Client, Event, Lost};
use sluis_mux::signed::{Place, sign};
use sluis_udp::SystemClock;

use super::args::PipeArgs;
use super::native::{Reach, Reached, reason, tell_connected, tell_lost, tell_opened, tell_resumed};
use super::on_runtime;
use super::orders::Orders;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::Out;
use crate::run;
use crate::signals::Asked;

/// What a hub says of an agent that is not there, and when it is asked again.
const NOT_THERE: &str = "the agent is not there";
const RETRY: Duration = Duration::from_millis(250);
/// How long the other end may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// Lines that are read ahead.
const AHEAD: usize = 256;

/// Send until everything was acknowledged. Exit code 1 when something was not.
pub(super) fn run(common: Common, args: &PipeArgs) -> Result<ExitCode, Fail> {
    let mut reach = Reach::read(&args.hub, &args.agent, &args.keys)?;
    reach.sign(args);
    let orders = Orders::catch(false).map_err(Fail::runtime)?;
    let source = match args.count {
        Some(count) => Source::Made { left: count, body: vec![b'x'; args.size as usize] },
        None => Source::Lines(Lines::begin().map_err(Fail::runtime)?),
    };
    let mut pipe = Pipe::new(common, args, orders, source);
    if args.sign_131 {
        pipe.sealer =
            Some(Sealer { signer: reach.signer().ok_or_else(no_key)?, nonces: run::seed()?.fork("mux sign 131") });
    }
    on_runtime!(common.runtime, runtime => {
        let (io, mut client) = reach.client(runtime, SystemClock::new().now())?;
        sluis_net::run(io, &mut client, &mut pipe).await.map_err(Fail::runtime)
    })?;
    pipe.summary();
    pipe.out.finish().map_err(|why| Fail::output(&why))?;
    if let Some(why) = pipe.failed {
        return Err(Fail::runtime(why));
    }
    Ok(if pipe.acked == pipe.sent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn no_key() -> Fail {
    Fail::usage("--sign-131 wants --key, the file of the key to sign with")
}

/// What makes frames of tibet-mux 1.3.1.
struct Sealer {
    signer: Arc<dyn Signer + Send + Sync>,
    nonces: Rng,
}

impl Sealer {
    /// The frame of a message: its JSON text.
    fn seal(&mut self, args: &PipeArgs, now: Now, seq: u64, body: &[u8]) -> Result<Vec<u8>, String> {
        let payload = std::str::from_utf8(body).ok().filter(|text| Value::from_json(text).is_ok());
        // Made messages are texts.
        let made = args.count.map(|_| format!("\"{}\"", String::from_utf8_lossy(body)));
        let payload = made.as_deref().or(payload).ok_or("a line is not JSON, and --sign-131 signs JSON only")?;
        let place = Place { from: &args.agent, to: &args.target, intent: &args.intent };
        let mut nonce = [0; 16];
        self.nonces.fill(&mut nonce);
        let frame = sign(&*self.signer, &place, seq, now.wall, payload, &nonce).map_err(|why| why.to_string())?;
        Ok(frame.into_bytes())
    }
}

/// What is sent.
enum Source {
    Made { left: u64, body: Vec<u8> },
    Lines(Lines),
}

/// The lines of standard input, read by a thread of their own.
#[derive(Clone)]
struct Lines(Arc<Mutex<Read>>);

#[derive(Default)]
struct Read {
    lines: VecDeque<Vec<u8>>,
    ended: bool,
    waker: Option<Waker>,
    reader: Option<std::thread::Thread>,
}

impl Lines {
    fn begin() -> std::io::Result<Self> {
        let lines = Self(Arc::default());
        let read = lines.clone();
        std::thread::Builder::new().name("stdin".into()).spawn(move || read.read())?;
        Ok(lines)
    }

    fn read(&self) {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let more = stdin.read_until(b'\n', &mut line).is_ok_and(|len| len > 0);
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if more {
                state.lines.push_back(line);
            }
            state.ended = !more;
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
            if !more {
                return;
            }
            while state.lines.len() >= AHEAD {
                state.reader = Some(std::thread::current());
                drop(state);
                std::thread::park();
                state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// The next line; `Ready(None)` at the end.
    fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Vec<u8>>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = state.reader.take() {
            reader.unpark();
        }
        match state.lines.pop_front() {
            Some(line) => Poll::Ready(Some(line)),
            None if state.ended => Poll::Ready(None),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Source {
    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Vec<u8>>> {
        match self {
            Self::Lines(lines) => lines.poll_next(cx),
            Self::Made { left: 0, .. } => Poll::Ready(None),
            Self::Made { left, body } => {
                *left -= 1;
                Poll::Ready(Some(body.clone()))
            }
        }
    }
}

struct Pipe<'a> {
    args: &'a PipeArgs,
    out: Out,
    orders: Orders,
    source: Source,
    channel: Option<Channel>,
    retry: Option<Instant>,
    open: bool,
    name: String,
    reached: Reached,
    began: Option<Instant>,
    ended: Option<Instant>,
    /// Since when there is no connection.
    lost: Option<Instant>,
    /// What has no room yet, and when what is not acknowledged was sent.
    next: Option<Vec<u8>>,
    times: VecDeque<Instant>,
    exhausted: bool,
    /// Everything was acknowledged; the other end is waited for until then.
    closing: Option<Instant>,
    over: bool,
    sent: u64,
    acked: u64,
    bytes: u64,
    received: u64,
    round_trips: Duration,
    failed: Option<String>,
    /// Why the channel is over.
    ended_as: Option<String>,
    sealer: Option<Sealer>,
}

impl<'a> Pipe<'a> {
    fn new(common: Common, args: &'a PipeArgs, orders: Orders, source: Source) -> Self {
        Self {
            out: Out::new(common, args.quiet).timed(),
            args,
            orders,
            source,
            channel: None,
            retry: None,
            open: false,
            name: String::new(),
            reached: None,
            began: None,
            ended: None,
            lost: None,
            next: None,
            times: VecDeque::new(),
            exhausted: false,
            closing: None,
            over: false,
            sent: 0,
            acked: 0,
            bytes: 0,
            received: 0,
            round_trips: Duration::ZERO,
            failed: None,
            ended_as: None,
            sealer: None,
        }
    }

    fn fail(&mut self, why: impl Into<String>) {
        self.failed.get_or_insert(why.into());
        self.over = true;
    }

    /// Hear what happened; a message is to be taken.
    fn hear(&mut self, now: Now, event: &Event<'_>) -> Option<(Channel, u64)> {
        match event {
            Event::Connected(hub) => {
                tell_connected(&mut self.out, &self.args.agent, hub, self.reached);
            }
            Event::Disconnected(Lost::Refused, _) => {
                self.fail("the hub does not let this agent in, see --token-file and --key");
            }
            Event::Disconnected(why, _) if !self.open => {
                self.fail(format!("the hub cannot be reached: {}", reason(*why)));
            }
            Event::Disconnected(why, pause) => {
                self.lost.get_or_insert(now.mono);
                tell_lost(&mut self.out, *why, *pause);
            }
            Event::Opened(_, proof) => {
                self.open = true;
                tell_opened(&mut self.out, self.args, &self.name, self.reached, *proof);
            }
            // It may be about to come.
            Event::Refused(_, reason) if reason == NOT_THERE => {
                (self.channel, self.retry) = (None, Some(now.mono + RETRY));
            }
            // It is on no native connection, and who has its key wants that proven.
            Event::Broken(_, Fault::Unproven) if !self.open => {
                (self.channel, self.retry) = (None, Some(now.mono + RETRY));
            }
            Event::Refused(_, reason) => self.fail(format!("the channel is refused: {reason}")),
            Event::Message(channel, number, _, body) => {
                self.received += 1;
                self.bytes += body.len() as u64;
                return Some((*channel, *number));
            }
            Event::Acked(_, upto) => self.acknowledged(now, *upto),
            Event::Resumed(_) => tell_resumed(&mut self.out, now.mono, self.lost.take(), 1),
            Event::Broken(_, fault) => {
                let (name, acked) = (&self.name, self.acked);
                self.out.event("tampered", |o| o.str("channel_id", name).raw("seq", acked), |_| {});
                self.ended_as = Some("tampered".into());
                self.fail(fault.to_string());
            }
            // All was taken, and its signature for that did not come.
            Event::Abandoned(_, 0) if self.closing.is_some() => {
                self.ended_as = Some("unsigned".into());
                self.over = true;
            }
            Event::Abandoned(_, missing) => {
                self.ended_as = Some("lost".into());
                self.fail(format!("the other end did not come back, {missing} messages are not acknowledged"));
            }
            Event::Finished(_, reason) if self.closing.is_none() => {
                self.ended_as = Some(reason.clone());
                self.fail("the other end has closed the channel");
            }
            Event::Closed(_) => {
                self.ended_as = Some("client_close".into());
                self.over = true;
            }
            _ => {}
        }
        None
    }

    fn acknowledged(&mut self, now: Now, upto: u64) {
        while self.acked < upto.min(self.sent) {
            self.acked += 1;
            let Some(at) = self.times.pop_front() else { break };
            let took = now.mono.saturating_since(at);
            self.round_trips += took;
            let seq = self.acked;
            self.out.event(
                "sent",
                |o| o.raw("seq", seq).raw("acked", true).rounded("ms", Some(took.as_secs_f64() * 1000.0), 3),
                |_| {},
            );
        }
        self.ended = Some(now.mono);
    }

    fn send(&mut self, cx: &Context<'_>, now: Now, client: &mut Client, channel: Channel) {
        while self.open && self.closing.is_none() && self.sent - self.acked < u64::from(self.args.in_flight) {
            let body = match self.next.take() {
                Some(body) => body,
                None => match self.source.poll_next(cx) {
                    Poll::Pending => return,
                    Poll::Ready(Some(body)) => match self.sealer.as_mut() {
                        None => body,
                        Some(sealer) => match sealer.seal(self.args, now, self.sent, &body) {
                            Ok(frame) => frame,
                            Err(why) => return self.fail(why),
                        },
                    },
                    Poll::Ready(None) => {
                        self.exhausted = true;
                        break;
                    }
                },
            };
            let kind = if self.sealer.is_some() { Kind::Json } else { Kind::Bytes };
            match client.send(now, channel, kind, &body) {
                Ok(_) => {
                    self.sent += 1;
                    self.bytes += body.len() as u64;
                    self.times.push_back(now.mono);
                }
                Err(SendError::Full) => {
                    self.next = Some(body);
                    return;
                }
                Err(SendError::TooLong) => return self.fail(format!("a message has at most {MAX_MESSAGE} bytes")),
                Err(why) => return self.fail(why.to_string()),
            }
        }
        if self.exhausted && self.acked == self.sent && self.closing.is_none() {
            self.closing = Some(now.mono + GOODBYE);
            client.close(now, channel, "client_close");
        }
    }

    /// The channel is over, if it was ever open: for the reason that it was closed for, or because nobody waits for more.
    fn closed(&mut self) {
        if self.open {
            let reason = self.ended_as.take().unwrap_or_else(|| "given_up".into());
            let (name, frames, bytes) = (&self.name, self.sent + self.received, self.bytes);
            self.out.event(
                "closed",
                |o| o.str("channel_id", name).str("reason", &reason).raw("frames", frames).raw("bytes", bytes),
                |_| {},
            );
        }
    }

    fn summary(&mut self) {
        self.closed();
        let (sent, acked, received, bytes) = (self.sent, self.acked, self.received, self.bytes);
        let elapsed = self.began.zip(self.ended).map(|(began, ended)| ended.saturating_since(began).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (per_second, rtt) = (
            elapsed.filter(|elapsed| *elapsed > 0.0).map(|elapsed| acked as f64 / elapsed),
            (acked > 0).then(|| self.round_trips.as_secs_f64() * 1000.0 / acked as f64),
        );
        self.out.summary(
            "summary",
            |o| {
                let o = o.raw("sent", sent).raw("acked", acked).raw("lost", sent - acked).raw("received", received);
                o.raw("bytes", bytes).rounded("per_second", per_second, 1).rounded("rtt_ms", rtt, 3)
            },
            |flow| {
                flow.words(&format!("{sent} sent, {acked} acknowledged by the other end's application"));
            },
        );
    }
}

impl App<Client> for Pipe<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        self.began.get_or_insert(now.mono);
        self.reached = client.reached();
        while let Some(event) = client.poll_event() {
            let take = self.hear(now, &event);
            if let Some((channel, number)) = take {
                client.take(now, channel, number);
            }
        }
        if self.channel.is_none() && self.retry.is_none_or(|at| at <= now.mono) {
            let metadata = self.args.metadata.as_ref().map_or("{}", |json| json.as_json());
            match client.open(now, &self.args.target, &self.args.intent, metadata) {
                Ok(channel) => {
                    self.retry = None;
                    self.name = client.channel(channel).map(|it| it.opening().channel.to_string()).unwrap_or_default();
                    self.channel = Some(channel);
                }
                Err(why) => self.fail(why.to_string()),
            }
        }
        let late = self.began.is_some_and(|began| now.mono.saturating_since(began) >= self.args.timeout);
        if late && !self.open {
            let why = if self.channel.is_none() { NOT_THERE } else { "the channel is not open in time" };
            self.fail(why);
        }
        if let Some(channel) = self.channel.filter(|_| !self.over) {
            self.send(cx, now, client, channel);
        }
        let gone = self.closing.is_some_and(|until| until <= now.mono);
        if gone || self.orders.poll_next(cx) == Some(Asked::Stop) || self.out.is_broken() {
            self.over = true;
        }
        self.out.flush();
        if self.over {
            client.shut_down(now);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        if self.open {
            return self.closing;
        }
        let timeout = self.began.map(|began| began + self.args.timeout);
        [timeout, self.retry].into_iter().flatten().min()
    }
}
