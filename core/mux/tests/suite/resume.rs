//! Attempts to go on with a channel by somebody who may not, or from where it cannot be: they are refused, and the channel goes on as it was.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll};

use sluis_core::driver::App;
use sluis_core::sim::streams::{StreamLink, StreamWorld};
use sluis_core::{
    Conn, End, Endpoint, Family, Machine, Now, Order, Reason, Reject, Security, Seed, Streams, Up, Wants,
};
use sluis_mux::channel::ChannelId;
use sluis_mux::session::{Config, Event, Read, Role, Session, StreamId};

use crate::native::World;

const ACCEPT: u8 = 2;
const REFUSE: u8 = 3;
const RESUME: u8 = 8;
const HELLO: u8 = 10;

fn record(kind: u8, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len() + 1).unwrap().to_be_bytes();
    [&[kind, length[1], length[2], length[3], 0], text.as_bytes()].concat()
}

/// A connection on which somebody with this token writes records of its own making, each on a stream.
struct Stranger {
    token: &'static str,
    session: Option<Session>,
    writing: bool,
    dialled: bool,
    to_say: Rc<RefCell<VecDeque<Vec<u8>>>>,
    hears: Rc<RefCell<BTreeMap<StreamId, Vec<u8>>>>,
}

const CONN: Conn = Conn::new(0, 1);

impl Stranger {
    /// The first stream that a client opens is that of its HELLO; it says everything else once that was answered.
    fn serve(&mut self, now: Now) {
        let Some(session) = &mut self.session else { return };
        while let Some(event) = session.poll_event() {
            match event {
                Event::Opened(stream) => session.accept(stream, 5).unwrap(),
                Event::Readable(stream) => {
                    while let Ok(Read::Bytes(bytes)) = session.peek(stream) {
                        let bytes = bytes.to_vec();
                        session.consume(now.mono, stream, bytes.len()).unwrap();
                        self.hears.borrow_mut().entry(stream).or_default().extend(bytes);
                    }
                }
                _ => {}
            }
        }
        if self.hears.borrow().values().any(|bytes| bytes.first() == Some(&ACCEPT)) {
            for body in self.to_say.borrow_mut().drain(..) {
                let stream = session.open(now.mono, 5).unwrap();
                session.write(stream, &body).unwrap();
            }
        }
    }
}

impl Machine for Stranger {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        self.serve(now);
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        let writes = self.session.as_ref().is_some_and(|session| !self.writing && session.wants_write());
        let at = self.session.as_ref().and_then(Session::deadline).map(|at| (at, Reason::Session));
        Wants { orders: !self.dialled || writes, at, ..Wants::NOTHING }
    }
}

impl Streams for Stranger {
    fn handle_up(&mut self, now: Now, _: &Up<'_>) -> Result<Conn, Reject> {
        let mut session = Session::new(Role::Client, Config::default(), &Seed::from_u64(9), now.mono);
        session.handle_timeout(now.mono).unwrap();
        let hello = session.open(now.mono, 0).unwrap();
        let text = format!(r#"{{"sluis":1,"agent":"{0}","window":65536,"token":"{0}"}}"#, self.token);
        session.write(hello, &record(HELLO, &text)).unwrap();
        session.finish(hello).unwrap();
        self.session = Some(session);
        Ok(CONN)
    }

    fn handle_bytes(&mut self, now: Now, _: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        if let Some(session) = &mut self.session {
            session.handle_bytes(now.mono, bytes)?;
        }
        self.serve(now);
        Ok(bytes.len())
    }

    fn handle_end(&mut self, _: Now, _: Conn, end: End) {
        panic!("the hub ends it: {end}");
    }

    fn poll_order(&mut self, _: Now) -> Option<Order<'_>> {
        if !std::mem::replace(&mut self.dialled, true) {
            let at = Endpoint { host: "hub", port: 1, family: Family::Any, security: Security::Plain };
            return Some(Order::Dial(CONN, at));
        }
        let due = self.session.as_ref().is_some_and(|session| !self.writing && session.wants_write());
        self.writing |= due;
        due.then_some(Order::Write(CONN))
    }

    fn poll_bytes(&mut self, now: Now, _: Conn, out: &mut [u8]) -> usize {
        let len = self.session.as_mut().map_or(0, |session| session.poll_bytes(now.mono, out));
        self.writing = len > 0;
        len
    }
}

/// It looks whether there is something to say.
struct Looks;

impl App<Stranger> for Looks {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, stranger: &mut Stranger) -> Poll<()> {
        stranger.serve(now);
        Poll::Pending
    }
}

/// Whoever has this token, and what was answered to each of these.
fn ask(world: &mut World, token: &'static str, texts: &[String], millis: u64) -> Vec<(u8, String)> {
    let to_say: VecDeque<Vec<u8>> = texts.iter().map(|text| record(RESUME, text)).collect();
    let hears = Rc::<RefCell<BTreeMap<StreamId, Vec<u8>>>>::default();
    let to_say = Rc::new(RefCell::new(to_say));
    let stranger = Stranger { token, session: None, writing: false, dialled: false, to_say, hears: Rc::clone(&hears) };
    let host = StreamWorld::add(&mut world.world, &format!("with the token of {token}"), stranger, Looks);
    for _ in 0..10 {
        world.world.wake(host);
        world.run(millis / 10);
    }
    let answers = hears.borrow();
    // The first two are those of the greeting.
    let answers = answers.values().filter(|bytes| !matches!(bytes.first(), Some(&HELLO | &ACCEPT)));
    answers.map(|bytes| (bytes[0], String::from_utf8_lossy(bytes.get(4..).unwrap_or_default()).into_owned())).collect()
}

fn resume(channel: ChannelId, agent: &str, target: &str, received: u64) -> String {
    let id: String = channel.0.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(r#"{{"channel":"{id}","agent":"{agent}","target":"{target}","intent":"chat","received":{received}}}"#)
}

/// A channel from alice to bob, on which something was said.
fn open(seed: u64, keyed: bool) -> (World, ChannelId) {
    let mut world = World::new(StreamLink::default(), seed, keyed);
    world.run(1_000);
    {
        let state = &mut *world.alice.0.borrow_mut();
        state.opens.push_back(("bob".into(), "chat".into()));
        state.texts = (0..3).map(|n| (0, vec![n])).collect();
    }
    world.run(1_000);
    let id = world.bob.0.borrow().ids[0];
    (world, id)
}

/// Everything that is said arrives, once.
fn goes_on(world: &mut World, parked: bool) {
    world.alice.0.borrow_mut().texts = (3..6).map(|n| (0, vec![n])).collect();
    (0..20).for_each(|_| world.run(500));
    let (alice, bob) = (world.alice.0.borrow(), world.bob.0.borrow());
    let heard: Vec<Vec<u8>> = (0..6).map(|n| vec![n]).collect();
    assert_eq!(bob.heard[&bob.incoming[0]], heard);
    assert_eq!(alice.acked[&alice.channels[0]], 6);
    assert_eq!((alice.parked > 0, alice.parked, bob.parked), (parked, alice.resumed, bob.resumed));
    assert_eq!((&alice.broken[..], &bob.broken[..], &alice.abandoned[..]), (&[][..], &[][..], &[][..]));
}

#[test]
fn nobody_goes_on_with_a_channel_that_somebody_else_has_opened() {
    for keyed in [false, true] {
        let (mut world, id) = open(11, keyed);
        let texts = [
            // In her name, in its own, and as if it had been the other end.
            resume(id, "alice", "bob", 0),
            resume(id, "carol", "bob", 0),
            resume(id, "carol", "alice", 0),
            // A channel that there is not.
            resume(ChannelId([9; 16]), "carol", "bob", 0),
        ];
        let answers = ask(&mut world, "carol", &texts, 1_000);
        assert_eq!(answers.len(), 4, "{answers:?}");
        assert!(answers.iter().all(|(kind, _)| *kind == REFUSE), "{answers:?}");
        assert_eq!(answers[0].1, "it is another agent's");
        goes_on(&mut world, false);
    }
}

#[test]
fn a_channel_goes_on_from_where_it_can_only() {
    for keyed in [false, true] {
        let (mut world, id) = open(12, keyed);
        // Messages that bob never sent; and with keys, what alice has not signed.
        let mut texts = vec![resume(id, "alice", "bob", 99)];
        if keyed {
            texts.push(resume(id, "alice", "bob", 0));
        }
        let answers = ask(&mut world, "alice", &texts, 1_000);
        assert!(answers.len() == texts.len() && answers.iter().all(|(kind, _)| *kind == REFUSE), "{answers:?}");
        goes_on(&mut world, false);
    }
}

/// Another program of the same agent's asks twice at once: the last one has the channel, the first none, and once it is gone the opener has
/// it again.
#[test]
fn of_two_that_go_on_at_once_the_last_one_has_the_channel() {
    let (mut world, id) = open(13, false);
    let answers = ask(&mut world, "alice", &[resume(id, "alice", "bob", 0), resume(id, "alice", "bob", 0)], 400);
    assert!(answers.iter().any(|(kind, _)| *kind == RESUME), "{answers:?}");
    goes_on(&mut world, true);
}

#[test]
fn after_a_minute_there_is_nothing_to_go_on_with() {
    let (mut world, id) = open(14, false);
    world.world.crash(world.hosts[1]);
    world.run(59_000);
    assert_eq!(world.bob.0.borrow().abandoned.len(), 0);
    world.run(3_000);
    assert_eq!(world.bob.0.borrow().abandoned.len(), 1, "whoever waits for it is told");
    let answers = ask(&mut world, "alice", &[resume(id, "alice", "bob", 0)], 1_000);
    assert_eq!(answers, [(REFUSE, "the channel is not known".to_owned())]);
}
