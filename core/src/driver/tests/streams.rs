//! Streams: cut anywhere, held back, broken, refused; beside datagrams.

use core::cell::RefCell;
use core::convert::Infallible;
use std::rc::Rc;
use std::vec::Vec;

use super::{Broken, Echo, FakeIo, Task, world as datagram_world};
use crate::driver::{Both, DatagramTransport, Driver, DriverConfig, Flow, Lend, StreamTransport};
use crate::sim::machines::{Call, StreamCaller, StreamEcho};
use crate::sim::streams::{HostId, Reach, StreamLink, StreamWorld};
use crate::time::{Duration, Now};
use crate::{Conn, Datagrams, End, Machine, Order, Path, Reject, Seed, Streams, Transmit, Up, Wants};

/// What an app is to do, and what it saw.
struct Stage<M> {
    todo: Vec<fn(&mut M, Now)>,
    stop: bool,
}

type Shared<M> = Rc<RefCell<Stage<M>>>;

fn stage<M>() -> Shared<M> {
    Rc::new(RefCell::new(Stage { todo: Vec::new(), stop: false }))
}

/// A caller with these calls; the calls as they stand are put on the stage at every turn.
fn caller(world: &mut StreamWorld, calls: Vec<Call>) -> (HostId, Shared<StreamCaller>, Rc<RefCell<Vec<Call>>>) {
    let mut machine = StreamCaller::default();
    for call in calls {
        machine.call(call);
    }
    let (stage, seen) = (stage::<StreamCaller>(), Rc::new(RefCell::new(machine.calls.clone())));
    let (script, shown) = (Rc::clone(&stage), Rc::clone(&seen));
    let app = move |now: Now, machine: &mut StreamCaller| {
        while machine.poll_event().is_some() {}
        let todo = core::mem::take(&mut script.borrow_mut().todo);
        todo.into_iter().for_each(|act| act(machine, now));
        shown.borrow_mut().clone_from(&machine.calls);
        if script.borrow().stop { Flow::Stop } else { Flow::Continue }
    };
    (world.add("caller", machine, app), stage, seen)
}

fn tell<M>(world: &mut StreamWorld, host: HostId, stage: &Shared<M>, act: fn(&mut M, Now)) {
    stage.borrow_mut().todo.push(act);
    world.wake(host);
}

#[derive(Default)]
struct Echoed {
    heard: u64,
    bytes: u64,
    most_held: usize,
    ends: Vec<End>,
}

/// An echo whose counts are seen.
fn echo(world: &mut StreamWorld, name: &str, streams: usize) -> (HostId, Rc<RefCell<Echoed>>) {
    listen(world, name, StreamEcho::new(streams))
}

fn listen(world: &mut StreamWorld, name: &str, machine: StreamEcho) -> (HostId, Rc<RefCell<Echoed>>) {
    let seen = Rc::new(RefCell::new(Echoed::default()));
    let shown = Rc::clone(&seen);
    let app = move |_: Now, echo: &mut StreamEcho| {
        let StreamEcho { heard, bytes, most_held, .. } = *echo;
        *shown.borrow_mut() = Echoed { heard, bytes, most_held, ends: echo.ends.clone() };
        Flow::Continue
    };
    (world.listen(name, machine, app), seen)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn whatever_is_cut_wherever_every_byte_comes_back_in_order() {
    for seed in 0..40 {
        let chunk = [1, 2, 7, 100, 5000, 100_000][usize::try_from(seed % 6).unwrap()];
        let buffer = [1, 300, 64 * 1024][usize::try_from(seed % 3).unwrap()];
        let total = if buffer == 1 || chunk == 1 { 300 } else { 50_000 };
        let link = StreamLink { chunk, buffer, delay: Duration::from_micros(100), ..StreamLink::default() };
        let mut world = StreamWorld::new(link, &Seed::from_u64(seed));
        let (host, _) = echo(&mut world, "echo", 64);
        let calls = [0, 1, total, total / 2].map(|total| Call::new("echo", 1, total));
        let (caller, _, seen) = caller(&mut world, calls.into());
        assert!(world.run_for(seconds(100)), "it spins");
        for call in &*seen.borrow() {
            assert!(call.is_done(), "seed {seed}: {call:?}");
        }
        assert_eq!((world.streams(host), world.streams(caller)), (0, 0));
        assert!(world.most_held() <= buffer);
    }
}

#[test]
fn a_stream_that_is_not_read_holds_up_no_other_and_holds_little() {
    let mut world = StreamWorld::new(StreamLink::default(), &Seed::from_u64(1));
    let (_, echoed) = echo(&mut world, "echo", 64);
    let held = Call { held: true, ..Call::new("echo", 1, 1_000_000) };
    let (host, stage, seen) = caller(&mut world, [held, Call::new("echo", 1, 200_000)].into());
    assert!(world.run_for(seconds(60)));
    assert!(seen.borrow()[1].is_done());
    assert_eq!((seen.borrow()[0].back, seen.borrow()[0].is_over()), (0, false));
    // Two links, what each end keeps, and no more.
    assert!(seen.borrow()[0].sent < 300_000, "{}", seen.borrow()[0].sent);
    assert!(echoed.borrow().most_held <= 8 * 1024);
    tell(&mut world, host, &stage, |caller, _| caller.take(0));
    assert!(world.run_for(seconds(60)));
    assert!(seen.borrow()[0].is_done(), "{:?}", seen.borrow()[0]);
}

#[test]
fn a_stream_that_breaks_at_any_byte_ends_on_both_sides() {
    for seed in 0..60 {
        let buffer = if seed % 2 == 0 { 64 * 1024 } else { 4096 };
        let link = StreamLink { reset_within: 80_000, buffer, ..StreamLink::default() };
        let mut world = StreamWorld::new(link, &Seed::from_u64(seed));
        let (host, echoed) = echo(&mut world, "echo", 64);
        let calls = (0..8).map(|n| Call::new("echo", 1, n * 6000));
        let (caller, _, seen) = caller(&mut world, calls.collect());
        assert!(world.run_for(seconds(60)));
        for call in &*seen.borrow() {
            assert!(call.is_over() && !call.wrong, "seed {seed}: {call:?}");
            assert!(call.is_done() || call.ends.last() == Some(&End::Lost), "seed {seed}: {call:?}");
        }
        assert_eq!((world.streams(host), world.streams(caller)), (0, 0), "seed {seed}");
        assert_eq!(echoed.borrow().ends.len(), 8);
    }
}

#[test]
fn who_cannot_be_reached_is_said_and_silence_can_be_given_up() {
    let mut world = StreamWorld::new(StreamLink::default(), &Seed::from_u64(1));
    let (full, _) = echo(&mut world, "full", 0);
    let (silent, _) = echo(&mut world, "silent", 8);
    let (closed, _) = echo(&mut world, "closed", 8);
    world.set_reach(silent, Reach::Silent);
    world.set_reach(closed, Reach::Refusing);
    let calls = ["nobody", "closed", "full", "silent"].map(|name| Call::new(name, 1, 10));
    let tls = Call { security: crate::Security::Tls(0), ..Call::new("full", 1, 10) };
    let (host, stage, seen) = caller(&mut world, calls.into_iter().chain([tls]).collect());
    assert!(world.run_for(seconds(10)));
    let ends: Vec<Vec<End>> = seen.borrow().iter().map(|call| call.ends.clone()).collect();
    let expected = [End::UnknownHost, End::Refused, End::Lost].map(|end| Vec::from([end]));
    assert_eq!(ends[..3], expected);
    // There are no such settings: never in the clear instead.
    assert_eq!((&ends[3][..], &ends[4][..]), (&[][..], &[End::Untrusted][..]));
    tell(&mut world, host, &stage, |caller, now| caller.give_up = Some(now.mono + Duration::from_secs(1)));
    assert!(world.run_for(seconds(2)));
    assert!(seen.borrow()[3].is_over());
    assert_eq!((world.streams(host), world.streams(full)), (0, 0));
}

#[test]
fn what_the_machine_refuses_to_read_is_dropped_and_the_rest_lives() {
    let mut world = StreamWorld::new(StreamLink::default(), &Seed::from_u64(1));
    let mut machine = StreamEcho::new(8);
    // The first call's bytes come to 250 at last, the others are shorter.
    machine.poison = Some(250);
    world.listen("echo", machine, |_: Now, _: &mut StreamEcho| Flow::Continue);
    let (_, _, seen) = caller(&mut world, [Call::new("echo", 1, 300), Call::new("echo", 1, 200)].into());
    assert!(world.run_for(seconds(10)));
    assert_eq!(seen.borrow()[0].ends, [End::Lost]);
    assert!(seen.borrow()[1].is_done());
}

#[test]
fn stopping_writes_what_the_machine_still_has() {
    let link = StreamLink { buffer: 4096, ..StreamLink::default() };
    let mut world = StreamWorld::new(link, &Seed::from_u64(1));
    let mut sink = StreamEcho::new(8);
    sink.mute = true;
    let (_, echoed) = listen(&mut world, "echo", sink);
    let (host, stage, seen) = caller(&mut world, [Call::new("echo", 1, 40_000)].into());
    // It is up, and has not sent all.
    assert!(world.run_for(Duration::from_millis(21)));
    assert!(seen.borrow()[0].sent < 40_000);
    stage.borrow_mut().stop = true;
    world.wake(host);
    assert!(world.run_for(seconds(5)));
    let echoed = echoed.borrow();
    assert_eq!((echoed.heard, echoed.bytes, &echoed.ends[..]), (1, 40_000, &[End::Closed][..]));
    assert_eq!(world.streams(host), 0);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let link = StreamLink { reset_within: 60_000, rate: 100_000, ..StreamLink::default() };
        let mut world = StreamWorld::new(link, &Seed::from_u64(seed));
        echo(&mut world, "echo", 8);
        let (_, _, seen) = caller(&mut world, (1..6).map(|n| Call::new("echo", 1, n * 10_000)).collect());
        assert!(world.run_for(seconds(60)));
        let calls = seen.borrow().clone();
        (calls, world.most_held())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// A machine that speaks both: it echoes datagrams and calls on streams.
struct Two {
    echo: Echo,
    caller: StreamCaller,
}

impl Machine for Two {
    type Event<'a> = u32;
    fn handle_timeout(&mut self, now: Now) {
        self.caller.handle_timeout(now);
    }
    fn poll_event(&mut self) -> Option<u32> {
        self.caller.poll_event()
    }
    fn wants(&self) -> Wants {
        Wants { output: self.echo.wants().output, ..self.caller.wants() }
    }
}

impl Datagrams for Two {
    fn handle_datagram(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        self.echo.handle_datagram(now, path, bytes)
    }
    fn poll_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        self.echo.poll_transmit(now, out)
    }
}

impl Streams for Two {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.caller.handle_up(now, up)
    }
    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.caller.handle_bytes(now, conn, bytes)
    }
    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        self.caller.handle_end(now, conn, end);
    }
    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.caller.poll_order(now)
    }
    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        self.caller.poll_bytes(now, conn, out)
    }
}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Drive both on a blocked datagram socket, or with a stream whose peer does not read.
fn both(room: usize, call: Call) -> (usize, StreamCaller) {
    let datagrams = datagram_world();
    datagrams.borrow_mut().room = room;
    let mut world = StreamWorld::new(StreamLink { buffer: 500, ..StreamLink::default() }, &Seed::from_u64(1));
    echo(&mut world, "echo", 8);
    let io = world.io("two");
    let mut machine = Two { echo: Echo::new(&datagrams), caller: StreamCaller::default() };
    machine.caller.call(call);
    let mut app = |_: Now, two: &mut Two| {
        while two.poll_event().is_some() {}
        Flow::Continue
    };
    let transport =
        Both(DatagramTransport::new(FakeIo(Rc::clone(&datagrams)), &DriverConfig::default()), StreamTransport::new(io));
    let access = Lend { machine: &mut machine, app: &mut app };
    let mut task = Task::new(Driver::over(transport, access, Duration::from_secs(1)));
    for _ in 0..300 {
        datagrams.borrow_mut().inbox.push_back((0..4_u8).map(|i| [i].to_vec()).collect());
        assert!(task.settle().is_pending());
        assert!(world.run_for(Duration::from_millis(10)));
    }
    drop(task);
    let sent = datagrams.borrow().outbox.len();
    (sent, machine.caller)
}

#[test]
fn streams_and_datagrams_never_block_each_other() {
    // The datagram socket takes nothing: every byte of the stream comes back.
    let (sent, caller) = both(0, Call::new("echo", 1, 5000));
    assert_eq!(sent, 0);
    assert!(caller.calls[0].is_done(), "{:?}", caller.calls[0]);
    // The stream takes and gives nothing more: every datagram is answered.
    let (sent, caller) = both(usize::MAX, Call { held: true, ..Call::new("echo", 1, 1_000_000) });
    assert_eq!(sent, 1200);
    assert!(caller.calls[0].sent < 100_000 && caller.calls[0].back == 0);
}
