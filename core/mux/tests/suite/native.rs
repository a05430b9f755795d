//! Agents and a hub on native connections over simulated streams: cuts, slow readers, a hub that alters what it carries.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use proptest::prelude::*;
use sluis_core::driver::{App, Flow};
use sluis_core::identity::SecretKey;
use sluis_core::sim::streams::{HostId, StreamLink, StreamWorld};
use sluis_core::{Conn, End, Machine, Now, Order, Reject, Seed, Streams, Up, Wants};
use sluis_mux::channel::{ChannelId, Fault, Kind, MAX_MESSAGE, Proof, SendError};
use sluis_mux::native::{Channel, Client, ClientConfig, Credentials, Event, Hub, HubConfig, Lost};
use sluis_mux::{Access, Credential, access};

/// What an agent's application does, and what it was told.
#[derive(Default)]
pub(crate) struct State {
    /// To whom it opens channels, and what for; and the channels.
    pub(crate) opens: VecDeque<(String, String)>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) incoming: Vec<Channel>,
    pub(crate) ids: Vec<ChannelId>,
    /// What is to be sent on the nth of its channels.
    pub(crate) texts: VecDeque<(usize, Vec<u8>)>,
    pub(crate) sent: BTreeMap<Channel, u64>,
    pub(crate) acked: BTreeMap<Channel, u64>,
    pub(crate) heard: BTreeMap<Channel, Vec<Vec<u8>>>,
    pub(crate) proofs: Vec<Proof>,
    pub(crate) signed: u64,
    pub(crate) refused: Vec<String>,
    pub(crate) lost: Vec<Lost>,
    pub(crate) parked: u32,
    pub(crate) resumed: u32,
    pub(crate) finished: Vec<String>,
    pub(crate) closed: u32,
    pub(crate) broken: Vec<Fault>,
    pub(crate) abandoned: Vec<u64>,
    /// It says JSON texts.
    pub(crate) json: bool,
    /// It reads nothing of the first channel that is opened to it.
    pub(crate) holds_first: bool,
    /// Closes its channels when all was sent.
    pub(crate) closes: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Agent(pub(crate) Rc<RefCell<State>>);

impl App<Client> for Agent {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        let state = &mut *self.0.borrow_mut();
        loop {
            let mut accept = None;
            let mut take = None;
            match client.poll_event() {
                None => break,
                Some(Event::Incoming(channel, opening, proof)) => {
                    accept = Some(channel);
                    state.incoming.push(channel);
                    state.ids.push(opening.channel);
                    state.proofs.push(proof);
                    assert_ne!(opening.agent, opening.target);
                }
                Some(Event::Opened(_, proof)) => state.proofs.push(proof),
                Some(Event::Refused(_, reason)) => state.refused.push(reason),
                Some(Event::Message(channel, number, _, body)) => {
                    let heard = state.heard.entry(channel).or_default();
                    heard.push(body.to_vec());
                    assert_eq!(number, heard.len() as u64, "each message once, in order");
                    take = Some((channel, number));
                }
                Some(Event::Acked(channel, upto)) => drop(state.acked.insert(channel, upto)),
                Some(Event::Signed(_, upto)) => state.signed = upto,
                Some(Event::Disconnected(why, _)) => state.lost.push(why),
                Some(Event::Parked(_)) => state.parked += 1,
                Some(Event::Resumed(_)) => state.resumed += 1,
                Some(Event::Finished(channel, reason)) => {
                    state.finished.push(reason);
                    client.close(now, channel, "done too");
                }
                Some(Event::Closed(_)) => state.closed += 1,
                Some(Event::Broken(_, fault)) => state.broken.push(fault),
                Some(Event::Abandoned(_, missing)) => state.abandoned.push(missing),
                Some(Event::Connected(_) | Event::Writable(_)) => {}
            }
            if let Some(channel) = accept {
                client.accept(now, channel);
                if state.holds_first && state.incoming.len() == 1 {
                    client.hold(channel, true);
                }
            }
            if let Some((channel, number)) = take {
                client.take(now, channel, number);
            }
        }
        while client.is_connected() {
            let Some((target, intent)) = state.opens.pop_front() else { break };
            state.channels.push(client.open(now, &target, &intent, "{}").unwrap());
        }
        let mut full = Vec::new();
        state.texts.retain(|(n, text)| {
            let Some(channel) = state.channels.get(*n).filter(|channel| !full.contains(*channel)) else { return true };
            match client.send(now, *channel, if state.json { Kind::Json } else { Kind::Bytes }, text) {
                Ok(number) => {
                    state.sent.insert(*channel, number);
                    false
                }
                Err(SendError::Full | SendError::Closed) => {
                    full.push(*channel);
                    true
                }
                Err(why) => panic!("{why}"),
            }
        });
        if state.closes && state.texts.is_empty() && !state.proofs.is_empty() {
            state.channels.iter().for_each(|channel| client.close(now, *channel, "done"));
        }
        Poll::Pending
    }
}

pub(crate) fn key(name: &str) -> SecretKey {
    let n = name.bytes().fold(7_u64, |n, byte| n * 31 + u64::from(byte));
    SecretKey::generate(&mut Seed::from_u64(n).fork("key"))
}

pub(crate) fn config(name: &str, keyed: bool) -> ClientConfig {
    let mut config = ClientConfig::new(name, "hub", 1);
    if keyed {
        config.signer = Some(Arc::new(key(name)));
        config.credentials = Credentials::Key;
        config.pins = ["alice", "bob"].into_iter().map(|name| (name.into(), key(name).public())).collect();
    } else {
        config.credentials = Credentials::Token(name.into());
    }
    config
}

pub(crate) fn hub_config() -> HubConfig {
    let credential = |name: &str| Credential {
        name: name.into(),
        token_sha256: access::token_hash(name),
        key: Some(key(name).public()),
        may: vec!["chat".into(), "file:*".into(), "vpn:*".into()],
        to: vec!["bob".into(), "alice".into()],
    };
    let mut config = HubConfig::new("hub");
    config.access = Access::agents(vec![credential("alice"), credential("bob"), credential("carol")]).unwrap();
    config
}

/// A hub, alice and bob.
pub(crate) struct World {
    pub(crate) world: StreamWorld,
    pub(crate) alice: Agent,
    pub(crate) bob: Agent,
    pub(crate) hosts: [HostId; 3],
}

pub(crate) fn idle<M>() -> impl FnMut(Now, &mut M) -> Flow {
    |_: Now, _: &mut M| Flow::Continue
}

impl World {
    pub(crate) fn new(link: StreamLink, seed: u64, keyed: bool) -> Self {
        Self::with(link, seed, keyed, Hub::new(hub_config(), &Seed::from_u64(seed)))
    }

    fn with<M: Streams + 'static>(link: StreamLink, seed: u64, keyed: bool, hub: M) -> Self {
        let mut world = StreamWorld::new(link, &Seed::from_u64(seed));
        let hub = world.listen("hub", hub, idle::<M>());
        let now = world.now();
        let (alice, bob) = (Agent::default(), Agent::default());
        let client = |name: &str, n| Client::new(config(name, keyed), &Seed::from_u64(seed * 2 + n), now);
        let hosts = [
            hub,
            world.add("alice", client("alice", 0), alice.clone()),
            world.add("bob", client("bob", 1), bob.clone()),
        ];
        Self { world, alice, bob, hosts }
    }

    pub(crate) fn run(&mut self, millis: u64) {
        self.hosts.iter().for_each(|host| self.world.wake(*host));
        assert!(self.world.run_for(Duration::from_millis(millis)), "a machine spins");
    }
}

fn texts(count: usize, channels: usize) -> VecDeque<(usize, Vec<u8>)> {
    let text = |n: usize| (0..(n * 977) % 5000).map(|i| u8::try_from((i + n) % 256).unwrap()).collect();
    (0..count).map(|n| (n % channels, text(n))).collect()
}

#[test]
fn messages_arrive_proven_and_acknowledged_and_a_channel_ends_on_both_sides() {
    let mut world = World::new(StreamLink::default(), 1, true);
    world.run(1_000);
    {
        let state = &mut *world.alice.0.borrow_mut();
        state.opens.push_back(("bob".into(), "vpn:tunnel".into()));
        state.texts = texts(300, 1);
        state.texts.push_back((0, vec![3; MAX_MESSAGE]));
        state.closes = true;
    }
    let expected: Vec<Vec<u8>> = world.alice.0.borrow().texts.iter().map(|(_, text)| text.clone()).collect();
    for _ in 0..100 {
        world.run(200);
    }
    let (alice, bob) = (world.alice.0.borrow(), world.bob.0.borrow());
    assert!(bob.heard.values().next().is_some_and(|heard| *heard == expected));
    assert_eq!(
        (&alice.proofs[..], &bob.proofs[..]),
        (&[Proof::Pinned(key("bob").public())][..], &[Proof::Pinned(key("alice").public())][..])
    );
    assert_eq!((alice.sent[&alice.channels[0]], alice.acked[&alice.channels[0]]), (301, 302), "the end, too");
    assert_eq!(
        (bob.signed, &bob.finished[..], &alice.finished[..]),
        (302, &["done".to_owned()][..], &["done too".to_owned()][..])
    );
    assert_eq!((alice.closed, bob.closed, alice.parked, bob.broken.len()), (1, 1, 0, 0));
}

/// The target has a signature for what it heard ten seconds after that at the latest, and none where there is nothing new.
#[test]
fn what_was_said_is_signed_for_after_ten_seconds() {
    let mut world = World::new(StreamLink::default(), 3, true);
    world.run(1_000);
    {
        let state = &mut *world.alice.0.borrow_mut();
        state.opens.push_back(("bob".into(), "chat".into()));
        state.texts = texts(3, 1);
    }
    let signed =
        |world: &World| (world.bob.0.borrow().heard.values().map(Vec::len).sum::<usize>(), world.bob.0.borrow().signed);
    world.run(9_000);
    assert_eq!(signed(&world), (3, 0));
    world.run(2_000);
    assert_eq!(signed(&world), (3, 3));
    world.alice.0.borrow_mut().texts = texts(2, 1);
    world.run(9_000);
    assert_eq!(signed(&world), (5, 3));
    world.run(2_000);
    assert_eq!(signed(&world), (5, 5));
}

#[test]
fn whoever_is_not_known_or_may_not_is_refused() {
    let mut world = World::new(StreamLink::default(), 2, false);
    let now = world.world.now();
    let mut mallory = config("mallory", false);
    mallory.credentials = Credentials::Token("alice".into());
    let stranger = Agent::default();
    world.world.add("mallory", Client::new(mallory, &Seed::from_u64(77), now), stranger.clone());
    let mut thief = config("bob", true);
    thief.signer = Some(Arc::new(key("mallory")));
    let other = Agent::default();
    world.world.add("thief", Client::new(thief, &Seed::from_u64(78), now), other.clone());
    world.run(3_000);
    for refused in [&stranger, &other] {
        let lost = &refused.0.borrow().lost;
        assert!(!lost.is_empty() && lost.iter().all(|why| *why == Lost::Refused), "{lost:?}");
    }
    for (target, intent) in [("nobody", "chat"), ("carol", "chat"), ("bob", "call:voice"), ("bob", "chat")] {
        world.alice.0.borrow_mut().opens.push_back((target.into(), intent.into()));
    }
    world.run(1_000);
    let alice = world.alice.0.borrow();
    assert_eq!(alice.refused, ["it is not allowed", "it is not allowed", "it is not allowed"]);
    assert_eq!((&alice.proofs[..], alice.lost.len()), (&[Proof::None][..], 0));
}

/// A hub that changes one byte of each message in which it finds this.
struct Altering {
    hub: Hub,
    altered: Rc<RefCell<u32>>,
}

const MARK: &[u8] = b"PAY 100 TO BOB";

impl Machine for Altering {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        self.hub.handle_timeout(now);
    }

    fn poll_event(&mut self) -> Option<()> {
        self.hub.poll_event()
    }

    fn wants(&self) -> Wants {
        self.hub.wants()
    }
}

impl Streams for Altering {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.hub.handle_up(now, up)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.hub.handle_bytes(now, conn, bytes)
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        self.hub.handle_end(now, conn, end);
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.hub.poll_order(now)
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        let len = self.hub.poll_bytes(now, conn, out);
        if let Some(at) = out[..len].windows(MARK.len()).position(|window| window == MARK) {
            out[at + 4] = b'9';
            *self.altered.borrow_mut() += 1;
        }
        len
    }
}

#[test]
fn a_hub_that_alters_a_message_is_found_out_by_its_receiver_and_only_where_there_are_keys() {
    for keyed in [true, false] {
        let altered = Rc::<RefCell<u32>>::default();
        let hub = Altering { hub: Hub::new(hub_config(), &Seed::from_u64(3)), altered: Rc::clone(&altered) };
        let link = StreamLink { chunk: 20_000, ..StreamLink::default() };
        let mut world = World::with(link, 3, keyed, hub);
        world.run(1_000);
        {
            let state = &mut *world.alice.0.borrow_mut();
            state.opens.push_back(("bob".into(), "chat".into()));
            state.texts = [b"hello".to_vec(), MARK.to_vec(), b"more".to_vec()].map(|text| (0, text)).into();
        }
        world.run(1_000);
        assert_eq!(*altered.borrow(), 1);
        let (alice, bob) = (world.alice.0.borrow(), world.bob.0.borrow());
        let heard = &bob.heard[&bob.incoming[0]];
        if keyed {
            assert_eq!((&bob.broken[..], &heard[..]), (&[Fault::Tampered][..], &[b"hello".to_vec()][..]));
            assert!(
                alice.acked.get(&alice.channels[0]).is_none_or(|upto| *upto <= 1),
                "what was altered is not acknowledged"
            );
        } else {
            assert_eq!((bob.broken.len(), heard.len()), (0, 3), "nothing proves it, and nothing says so");
        }
    }
}

#[test]
fn what_is_above_its_budget_comes_later_and_all_of_it() {
    // A megabyte a second, and half of one at once: three take two and a half seconds.
    let link = StreamLink { chunk: 16_384, delay: Duration::from_micros(50), ..StreamLink::default() };
    let mut world = World::new(link, 5, false);
    world.run(1_000);
    {
        let state = &mut *world.alice.0.borrow_mut();
        state.opens.push_back(("bob".into(), "file:sync".into()));
        state.texts = (0..183).map(|_| (0, vec![9; 16_384])).collect();
    }
    let acked = |world: &World| {
        let state = world.alice.0.borrow();
        state.channels.first().and_then(|channel| state.acked.get(channel)).copied()
    };
    world.run(2_000);
    assert!(acked(&world).is_some_and(|upto| (120..=154).contains(&upto)), "{:?}", acked(&world));
    world.run(1_000);
    assert_eq!(acked(&world), Some(183));
}

/// One that nobody reads holds no more than its window, and takes under 5 % of the time from 99 others.
#[test]
fn a_channel_that_is_not_read_costs_the_others_little() {
    const TEXTS: u64 = 12;
    let time_of = |stalled: bool| {
        let link = StreamLink { rate: 1_250_000, chunk: 16_384, ..StreamLink::default() };
        let mut world = World::new(link, 4, false);
        world.bob.0.borrow_mut().holds_first = true;
        world.run(1_000);
        {
            let state = &mut *world.alice.0.borrow_mut();
            (0..100).for_each(|_| state.opens.push_back(("bob".into(), "vpn:tunnel".into())));
            state.texts = (0..99 * usize::try_from(TEXTS).unwrap()).map(|n| (1 + n % 99, vec![1; 4000])).collect();
            if stalled {
                (0..20).for_each(|_| state.texts.push_front((0, vec![2; 20_000])));
            }
        }
        for step in 0..2000 {
            world.run(10);
            let state = world.alice.0.borrow();
            let acked: u64 = state.channels.iter().skip(1).filter_map(|channel| state.acked.get(channel)).sum();
            if acked == 99 * TEXTS {
                assert!(state.channels.first().is_some_and(|first| !state.acked.contains_key(first)));
                return step;
            }
        }
        panic!("it never comes through");
    };
    let (alone, beside) = (time_of(false), time_of(true));
    assert!(alone > 300 && beside * 100 <= alone * 105, "{alone} and {beside} hundredths of a second");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Whatever breaks, each message is heard once and in order, and is acknowledged in the end.
    #[test]
    fn cuts_lose_nothing_and_double_nothing(
        seed in 0..1_000_000u64,
        keyed in any::<bool>(),
        cuts in prop::collection::vec((0..3usize, 50..1500u64), 0..8),
    ) {
        let mut world = World::new(StreamLink { rate: 1_000_000, chunk: 8000, ..StreamLink::default() }, seed, keyed);
        world.run(1_000);
        {
            let state = &mut *world.alice.0.borrow_mut();
            (0..4).for_each(|_| state.opens.push_back(("bob".into(), "vpn:tunnel".into())));
            state.texts = texts(160, 4);
        }
        let mut expected: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
        for (n, text) in &world.alice.0.borrow().texts {
            expected.entry(*n).or_default().push(text.clone());
        }
        for (who, millis) in cuts {
            world.run(millis);
            world.world.cut(world.hosts[who]);
        }
        for _ in 0..60 {
            world.run(500);
            let alice = world.alice.0.borrow();
            if alice.channels.len() == 4 && alice.channels.iter().all(|channel| alice.acked.get(channel) == Some(&40)) {
                break;
            }
        }
        let (alice, bob) = (world.alice.0.borrow(), world.bob.0.borrow());
        prop_assert_eq!((&alice.broken[..], &bob.broken[..]), (&[][..], &[][..]));
        prop_assert_eq!((&alice.abandoned[..], &alice.refused[..], alice.texts.len()), (&[][..], &[][..], 0));
        let mut heard: Vec<Vec<Vec<u8>>> = bob.heard.values().cloned().collect();
        heard.sort();
        let mut expected: Vec<Vec<Vec<u8>>> = expected.into_values().collect();
        expected.sort();
        prop_assert!(heard == expected, "what was heard differs: {} of 160", heard.iter().map(Vec::len).sum::<usize>());
        prop_assert!(alice.channels.iter().all(|channel| alice.acked.get(channel) == Some(&40)), "{:?}", alice.acked);
    }
}
