//! `sluis signal demo`: two peers and three brokers in one process, of which one lies and one dies.

use std::cell::RefCell;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sluis_core::driver::{App, Clock, StreamIo as _};
use sluis_core::{Instant, Machine as _, Now, Security, Seed};
use sluis_net::{NetStreams, Runtime};
use sluis_signal::broker::Settings;
use sluis_signal::key::{PublicKey, SecretKey};
use sluis_signal::rank::{Family, Weight};
use sluis_signal::rendezvous::{Config, Delivered, Event, Message, NotDelivered, Place, Rendezvous};
use sluis_signal::server::{Fault, Faults, Server, ServerLimits};

use super::listen::put;
use super::send::sent;
use crate::common::{Common, Runtime as Choice};
use crate::fail::Fail;
use crate::output::{Color, Out};
use crate::parts::{All, Part};
use crate::run;

const BROKERS: usize = 3;
/// How long a message is tried; the story ends when one is not delivered.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the peers may take to join.
const JOIN: Duration = Duration::from_secs(10);

/// A step: what is told of it, what is done to the broker that Alice's messages take first, and what she then says.
struct Step {
    text: &'static str,
    fault: Option<Fault>,
    /// To which broker of Bob's order.
    at: usize,
    says: &'static [&'static str],
}

const STEPS: [Step; 4] = [
    Step {
        text: "Alice knows only Bob's public key. Both find the same order of brokers, and meet.",
        fault: None,
        at: 0,
        says: &["good morning"],
    },
    Step {
        text: "She says the same again, twice: that is two messages, each handed over once.",
        fault: None,
        at: 0,
        says: &["good morning", "good morning"],
    },
    Step {
        text: "The first broker begins to lie: it acknowledges everything and delivers nothing.",
        fault: Some(Fault::PubackWithoutDelivery),
        at: 0,
        says: &["can you hear me?"],
    },
    Step {
        text: "The second broker dies. One is left, and it is enough.",
        fault: Some(Fault::Die),
        at: 1,
        says: &["still there?", "good night"],
    },
];

/// Who shares the story; each is woken when it moves on.
struct Stage {
    out: Out,
    names: Vec<String>,
    /// The brokers in Bob's order.
    order: Vec<usize>,
    faults: [Option<Fault>; BROKERS],
    /// The step that is played, from 0, as soon as both have joined.
    step: Option<usize>,
    /// What Alice has still to say in it.
    to_say: Vec<&'static str>,
    open: usize,
    /// What Bob is to hear in it.
    expected: Vec<&'static str>,
    heard: Vec<String>,
    joined: [bool; 2],
    messages: u64,
    acked: u64,
    good: bool,
    over: bool,
    wakers: Vec<Waker>,
    began: Option<Instant>,
}

type Shared = Rc<RefCell<Stage>>;

/// Play it; the exit code is 0 when everything went as it says.
pub(super) fn run(common: Common) -> Result<ExitCode, Fail> {
    let seed = run::seed()?;
    let cannot = |why| Fail::runtime(format!("no port on 127.0.0.1 ({why})"));
    let listeners: std::io::Result<Vec<TcpListener>> =
        (0..BROKERS).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let listeners = listeners.map_err(cannot)?;
    let ports: std::io::Result<Vec<u16>> = listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect();
    let places: Vec<Place> = ports.map_err(cannot)?.into_iter().map(place).collect();
    let key = |name: &str| SecretKey::generate(&mut seed.fork(name));
    let keys = [key("alice"), key("bob")];
    let bob = keys[1].public();
    let stage = Rc::new(RefCell::new(Stage::new(common, &places, &bob)));
    let cast = Cast { seed, places, listeners, keys, bob };
    let ended = match common.runtime {
        Choice::Tokio => sluis_tokio::block_on(async { cast.play(sluis_tokio::net::streams, &stage)?.await }),
        Choice::Smol => sluis_smol::block_on(async { cast.play(sluis_smol::net::streams, &stage)?.await }),
    };
    ended.map_err(|why| Fail::runtime(format!("the network cannot be used ({why})")))?;
    let mut stage = stage.borrow_mut();
    stage.out.finish().map_err(|why| Fail::output(&why))?;
    Ok(if stage.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn place(port: u16) -> Place {
    Place {
        family: Family::V4,
        host: Ipv4Addr::LOCALHOST.to_string(),
        port,
        weight: Weight::ONE,
        security: Security::Plain,
        settings: Settings { rate: 1000, burst: 1000, ..Settings::default() },
    }
}

/// Who plays.
struct Cast {
    seed: Seed,
    places: Vec<Place>,
    listeners: Vec<TcpListener>,
    keys: [SecretKey; 2],
    bob: PublicKey,
}

impl Cast {
    /// All of them in one task.
    fn play<R: Runtime, C: Clock + 'static>(
        self,
        streams: impl Fn() -> NetStreams<R, C>,
        stage: &Shared,
    ) -> std::io::Result<All> {
        let mut parts: Vec<Part> = Vec::new();
        for (at, listener) in self.listeners.into_iter().enumerate() {
            let mut io = streams();
            io.listen(listener, None)?;
            let mut machine = Server::new(ServerLimits::default(), self.seed.fork(&format!("server {at}")));
            let mut app = AsBroker { stage: Rc::clone(stage), at };
            parts.push(Box::pin(async move { sluis_net::run(io, &mut machine, &mut app).await.map(drop) }));
        }
        let [alice, bob] = self.keys;
        for (who, key) in [(0, alice), (1, bob)] {
            let (io, mut seed) = (streams(), [0; 32]);
            self.seed.fork(&format!("peer {who}")).fill(&mut seed);
            let seed = Seed::new(seed);
            let mut machine = Rendezvous::new(Config::new(key, self.places.clone()), &seed, io.now());
            let mut app = AsPeer { stage: Rc::clone(stage), who, to: self.bob };
            parts.push(Box::pin(async move { sluis_net::run(io, &mut machine, &mut app).await.map(drop) }));
        }
        Ok(All(parts))
    }
}

impl Stage {
    fn new(common: Common, places: &[Place], bob: &PublicKey) -> Self {
        let names: Vec<String> = places.iter().map(|place| format!("mqtt://{}:{}", place.host, place.port)).collect();
        let candidates = places.iter().map(|place| sluis_signal::rank::Candidate {
            family: place.family,
            host: &place.host,
            port: place.port,
            weight: place.weight,
        });
        let order = sluis_signal::rank::order(bob.as_bytes(), candidates).into_iter().map(|row| row.index).collect();
        Self {
            out: Out::new(common, false).timed(),
            names,
            order,
            faults: [None; BROKERS],
            step: None,
            to_say: Vec::new(),
            open: 0,
            expected: Vec::new(),
            heard: Vec::new(),
            joined: [false; 2],
            messages: 0,
            acked: 0,
            good: true,
            over: false,
            wakers: Vec::new(),
            began: None,
        }
    }

    /// Everybody looks again.
    fn wake(&mut self) {
        self.out.flush();
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// Begin the next step, or end.
    fn next(&mut self, now: Now) {
        let n = self.step.map_or(0, |step| step + 1);
        self.step = Some(n);
        match STEPS.get(n) {
            None => self.end(now),
            Some(step) => {
                self.tell(n, step.text, None);
                let broker = self.order.get(step.at).and_then(|at| self.faults.get_mut(*at));
                if let (Some(fault), Some(broker)) = (step.fault, broker) {
                    *broker = Some(fault);
                }
                self.to_say = step.says.iter().rev().copied().collect();
                self.expected = step.says.to_vec();
                self.heard.clear();
            }
        }
        self.wake();
    }

    fn tell(&mut self, n: usize, text: &str, ok: Option<bool>) {
        self.out.event(
            "step",
            |o| {
                let o = o.raw("n", n + 1).str("text", text);
                match ok {
                    None => o.raw("ok", "null"),
                    Some(ok) => o.raw("ok", ok),
                }
            },
            |flow| {
                match ok {
                    None => flow.text(Color::Bold, &format!("{}. {text}", n + 1)),
                    Some(true) => flow.words("As told."),
                    Some(false) => flow.text(Color::Bold, "That did not go as told."),
                };
            },
        );
    }

    /// Whether a step has come to its end.
    fn look(&mut self, now: Now) {
        let Some(n) = self.step.filter(|n| *n < STEPS.len()) else { return };
        if self.open > 0 || !self.to_say.is_empty() {
            return;
        }
        let ok = self.heard == self.expected && self.good;
        self.good &= ok;
        self.tell(n, STEPS[n].text, Some(ok));
        if ok { self.next(now) } else { self.end(now) }
    }

    fn end(&mut self, now: Now) {
        let (messages, acked, good) = (self.messages, self.acked, self.good);
        let elapsed = self.began.map(|began| now.mono.saturating_since(began).as_secs_f64());
        self.out.summary(
            "summary",
            |o| o.raw("messages", messages).raw("acked", acked).raw("ok", good).rounded("elapsed_s", elapsed, 3),
            |flow| {
                let all = if good { "All went as told." } else { "It did not go as told." };
                flow.words(&format!("{messages} messages handed over, {acked} acknowledged. {all}"));
            },
        );
        self.over = true;
        self.wake();
    }

    fn sent(&mut self, now: Now, number: u64, outcome: Result<Delivered, NotDelivered>) {
        self.open -= 1;
        match outcome {
            Ok(_) => self.acked += 1,
            Err(_) => self.good = false,
        }
        let name = outcome.ok().and_then(|delivered| self.names.get(delivered.broker)).cloned();
        sent(&mut self.out, number, outcome, name.as_deref());
        self.look(now);
    }

    fn message(&mut self, now: Now, message: &Message) {
        self.messages += 1;
        self.heard.push(String::from_utf8_lossy(&message.body).into_owned());
        let name = self.names.get(message.broker).cloned().unwrap_or_default();
        put(&mut self.out, self.messages, message, &name, &[], now.wall);
        self.out.flush();
    }
}

struct AsBroker {
    stage: Shared,
    at: usize,
}

impl App<Server> for AsBroker {
    fn poll(&mut self, cx: &mut Context<'_>, _: Now, machine: &mut Server) -> Poll<()> {
        let mut stage = self.stage.borrow_mut();
        stage.wakers.push(cx.waker().clone());
        if let Some(fault) = stage.faults.get(self.at).copied().flatten() {
            machine.set_faults(Faults::default().with(fault, 1000));
        }
        if stage.over { Poll::Ready(()) } else { Poll::Pending }
    }
}

struct AsPeer {
    stage: Shared,
    who: usize,
    to: PublicKey,
}

impl App<Rendezvous> for AsPeer {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, machine: &mut Rendezvous) -> Poll<()> {
        let mut stage = self.stage.borrow_mut();
        stage.out.poll(cx, now.wall);
        stage.wakers.retain(|waker| !waker.will_wake(cx.waker()));
        stage.wakers.push(cx.waker().clone());
        let began = *stage.began.get_or_insert(now.mono);
        while let Some(event) = machine.poll_event() {
            match event {
                Event::Message(message) => {
                    stage.message(now, &message);
                    machine.confirm(now, &message.key);
                }
                Event::Sent { number, outcome, .. } => stage.sent(now, number, outcome),
                _ => {}
            }
        }
        let (joined, wanted) = machine.joined();
        stage.joined[self.who] |= joined == wanted;
        if stage.step.is_none() && stage.joined == [true; 2] {
            stage.next(now);
        }
        if stage.step.is_none() && now.mono.saturating_since(began) >= JOIN && !stage.over {
            stage.good = false;
            stage.end(now);
        }
        while self.who == 0
            && let Some(text) = stage.to_say.pop()
        {
            if machine.send(now, &self.to, Arc::from(text.as_bytes()), true, TIMEOUT).is_ok() {
                stage.open += 1;
            } else {
                stage.good = false;
            }
        }
        if stage.over { Poll::Ready(()) } else { Poll::Pending }
    }

    fn deadline(&self) -> Option<Instant> {
        let stage = self.stage.borrow();
        stage.began.filter(|_| stage.step.is_none()).map(|began| began + JOIN)
    }
}
