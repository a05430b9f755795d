//! What a hub tells whoever runs it of channels between native agents, and that what was signed for on them can be verified.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluis_core::driver::Flow;
use sluis_core::sim::streams::{HostId, Reach, StreamLink, StreamWorld};
use sluis_core::{Now, Seed};
use sluis_mux::native::{Client, Hub};
use sluis_mux::news::{News, Statement, Via};
use sluis_mux::proof::{BYTES, CLOSE, Direction, Running};

use crate::native::{Agent, config, hub_config, key};

/// A hub that tells what it sees, alice and bob.
struct Watched {
    world: StreamWorld,
    hosts: [HostId; 3],
    alice: Agent,
    bob: Agent,
    news: Rc<RefCell<Vec<News>>>,
}

impl Watched {
    fn new(link: StreamLink, keyed: bool) -> Self {
        let mut world = StreamWorld::new(link, &Seed::from_u64(3));
        let news: Rc<RefCell<Vec<News>>> = Rc::default();
        let hub = world.listen("hub", Self::hub(), Self::tells(&news));
        let now = world.now();
        let (alice, bob) = (Agent::default(), Agent::default());
        let client = |name: &str, n| Client::new(config(name, keyed), &Seed::from_u64(n), now);
        let hosts = [
            hub,
            world.add("alice", client("alice", 4), alice.clone()),
            world.add("bob", client("bob", 5), bob.clone()),
        ];
        let mut watched = Self { world, hosts, alice, bob, news };
        watched.run(1_000);
        watched
    }

    fn hub() -> Hub {
        let mut told = hub_config();
        (told.tells, told.witnesses) = (true, true);
        Hub::new(told, &Seed::from_u64(3))
    }

    fn tells(news: &Rc<RefCell<Vec<News>>>) -> impl FnMut(Now, &mut Hub) -> Flow + use<> {
        let heard = Rc::clone(news);
        move |_, hub: &mut Hub| {
            heard.borrow_mut().extend(std::iter::from_fn(|| hub.poll_news()));
            Flow::Continue
        }
    }

    /// The hub is another one, which has never heard of anything.
    fn restart(&mut self) {
        let tells = Self::tells(&self.news);
        self.world.restart(self.hosts[0], Reach::Listening, Self::hub(), tells);
    }

    fn run(&mut self, millis: u64) {
        self.hosts.iter().for_each(|host| self.world.wake(*host));
        assert!(self.world.run_for(Duration::from_millis(millis)), "a machine spins");
    }

    /// Alice opens a channel, says these and closes it.
    fn say(&mut self, texts: &[Vec<u8>]) {
        let state = &mut *self.alice.0.borrow_mut();
        state.opens.push_back(("bob".into(), "vpn:tunnel".into()));
        state.texts = texts.iter().map(|text| (0, text.clone())).collect();
        state.closes = true;
    }

    fn signed(&self) -> Vec<Statement> {
        let news = self.news.borrow();
        news.iter().filter_map(|news| if let News::Signed(it) = news { Some((**it).clone()) } else { None }).collect()
    }

    fn closed(&self) -> Vec<News> {
        self.news.borrow().iter().filter(|news| matches!(news, News::Closed { .. })).cloned().collect()
    }
}

fn texts(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| (0..(n * 977) % 5000).map(|i| u8::try_from((i + n) % 256).unwrap()).collect()).collect()
}

/// A statement is what anybody computes from the messages.
fn check(statement: &Statement, texts: &[Vec<u8>], end: &str) {
    let mut running = Running::begin_at(statement.start);
    texts.iter().take(usize::try_from(statement.count).unwrap()).for_each(|text| running.record(BYTES, text));
    if statement.count > texts.len() as u64 {
        running.record(CLOSE, end.as_bytes());
    }
    assert_eq!((running.count(), *running.hash()), (statement.count, statement.hash));
    assert!(statement.verify());
    let mut other = statement.clone();
    other.count += 1;
    assert!(!other.verify());
}

#[test]
fn who_comes_what_is_opened_signed_and_closed_is_told() {
    let mut watched = Watched::new(StreamLink::default(), true);
    let texts = texts(300);
    watched.say(&texts);
    watched.run(20_000);
    let news = watched.news.borrow().clone();
    let came = news.iter().filter(|news| matches!(news, News::Connected { via: Via::Native, from: Some(_), .. }));
    assert_eq!(came.count(), 2);
    let Some(News::Opened { agent, target, intent, backend, via, proven, channel }) = news.get(2) else {
        panic!("{news:?}")
    };
    assert_eq!((&**agent, &**target, &**intent, &**backend), ("alice", "bob", "vpn:tunnel", "overlay"));
    assert_eq!((*via, *proven), (Via::Native, true));
    let signed = watched.signed();
    let of = |way: Direction| signed.iter().rfind(|it| it.way == way).unwrap();
    check(of(Direction::Out), &texts, "done");
    check(of(Direction::Back), &[], "done too");
    assert_eq!((of(Direction::Out).count, of(Direction::Back).count), (301, 1));
    assert_eq!((of(Direction::Out).key, of(Direction::Back).key), (key("alice").public(), key("bob").public()));
    assert_eq!((of(Direction::Out).signer(), &of(Direction::Out).channel), ("alice", channel));
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let (channel, reason) = (channel.clone(), "done".into());
    assert_eq!(watched.closed(), [News::Closed { channel, reason, frames: 300, bytes: bytes as u64 }]);
}

#[test]
fn what_is_signed_holds_and_counts_once_whatever_is_cut() {
    let mut watched = Watched::new(StreamLink { rate: 1_000_000, chunk: 8000, ..StreamLink::default() }, true);
    let texts = texts(160);
    watched.say(&texts);
    for n in 0..6 {
        watched.run(130);
        watched.world.cut(watched.hosts[n % 3]);
        watched.run(2_500);
    }
    watched.run(60_000);
    let bob = watched.bob.0.borrow();
    assert!(bob.resumed > 0 && bob.heard.values().next() == Some(&texts), "{}", bob.resumed);
    let signed = watched.signed();
    for statement in signed.iter().filter(|it| it.way == Direction::Out) {
        check(statement, &texts, "done");
    }
    assert_eq!(signed.iter().filter(|it| it.count == 161).count(), 1, "{signed:?}");
    let closed = watched.closed();
    let bytes = texts.iter().map(Vec::len).sum::<usize>() as u64;
    assert!(matches!(&closed[..], [News::Closed { frames: 160, bytes: b, .. }] if *b == bytes), "{closed:?}");
}

/// A hub that was started anew tells of a channel that goes on there what it sees of it: that it is there, and how it ends.
#[test]
fn the_end_of_a_channel_that_was_opened_before_the_hub_began_is_told() {
    for keyed in [true, false] {
        let mut watched = Watched::new(StreamLink::default(), keyed);
        watched.say(&texts(30));
        watched.alice.0.borrow_mut().closes = false;
        watched.run(3_000);
        watched.restart();
        watched.run(20_000);
        assert!(watched.closed().is_empty());
        let more: Vec<Vec<u8>> = (0..7).map(|_| vec![1; 100]).collect();
        {
            let state = &mut *watched.alice.0.borrow_mut();
            state.texts = more.iter().map(|text| (0, text.clone())).collect();
            state.closes = true;
        }
        watched.run(20_000);
        assert_eq!((watched.alice.0.borrow().closed, watched.bob.0.borrow().closed), (1, 1));
        let news = watched.news.borrow();
        let opened: Vec<(&str, bool)> = news
            .iter()
            .filter_map(|news| match news {
                News::Opened { channel, proven, .. } => Some((&**channel, *proven)),
                _ => None,
            })
            .collect();
        assert!(opened.len() == 2 && opened[0] == opened[1] && opened[0].1 == keyed, "{opened:?}");
        let (channel, reason) = (opened[0].0.into(), "done".into());
        assert_eq!(watched.closed(), [News::Closed { channel, reason, frames: 7, bytes: 700 }]);
    }
}

/// A channel that goes on behind a hub that was started anew, and whose other end never comes back, ends for whoever waits for it.
#[test]
fn a_channel_whose_other_end_does_not_come_back_to_another_hub_ends() {
    let mut watched = Watched::new(StreamLink::default(), true);
    watched.say(&texts(30));
    watched.alice.0.borrow_mut().closes = false;
    watched.run(3_000);
    watched.world.crash(watched.hosts[2]);
    watched.restart();
    watched.run(70_000);
    assert_eq!(watched.alice.0.borrow().abandoned, [0]);
    assert!(watched.closed().is_empty(), "this hub has not seen it");
}

#[test]
fn nothing_is_said_to_be_proven_that_is_not() {
    let mut watched = Watched::new(StreamLink::default(), false);
    let texts = texts(3);
    watched.say(&texts);
    watched.run(20_000);
    let news = watched.news.borrow();
    assert!(news.iter().any(|news| matches!(news, News::Opened { proven: false, .. })), "{news:?}");
    assert!(watched.signed().is_empty());
    assert!(matches!(&watched.closed()[..], [News::Closed { frames: 3, .. }]));
}
