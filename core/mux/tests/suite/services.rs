//! Channels that the hub's own agent takes, and channels of which nothing is read for a while.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sluis_core::driver::Flow;
use sluis_core::sim::streams::{StreamLink, StreamWorld};
use sluis_core::{Conn, End, Machine, Now, Order, Reject, Seed, Streams, Up, Wants};
use sluis_mux::channel::MAX_MESSAGE;
use sluis_mux::native::{Channel, Client, Event, Hub};
use sluis_mux::{Access, Credential, access};

use crate::native::{Agent, config, hub_config, idle, key};

/// A hub of which the first connection is that of its own agent.
struct Served {
    hub: Hub,
    own_came: bool,
}

impl Machine for Served {
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

impl Streams for Served {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        if self.own_came {
            return self.hub.handle_up(now, up);
        }
        self.own_came = true;
        self.hub.handle_own_up(now, up)
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
        self.hub.poll_bytes(now, conn, out)
    }
}

#[test]
fn services_go_to_the_hubs_own_agent_and_to_nobody_else_who_bears_its_name() {
    let credential = |name: &str, to: &[&str]| Credential {
        name: name.into(),
        token_sha256: access::token_hash(name),
        key: Some(key(name).public()),
        may: vec!["chat".into(), "file:*".into()],
        to: to.iter().map(|name| (*name).into()).collect(),
    };
    let mut settings = hub_config();
    settings.services.insert("file:sync".into());
    settings.max_served = 2;
    let known = vec![
        credential("alice", &["hub"]),
        credential("bob", &["hub"]),
        credential("carol", &["bob"]),
        credential("hub", &["*"]),
    ];
    settings.access = Access::agents(known).unwrap();
    let mut world = StreamWorld::new(StreamLink::default(), &Seed::from_u64(1));
    world.listen("hub", Served { hub: Hub::new(settings, &Seed::from_u64(1)), own_came: false }, idle::<Served>());
    let mut add = |config, n: u64| {
        let agent = Agent::default();
        let client = Client::new(config, &Seed::from_u64(n), world.now());
        let host = world.add(&n.to_string(), client, agent.clone());
        assert!(world.run_for(Duration::from_secs(1)));
        (agent, host, world.now())
    };
    // Its own agent shows nothing, and is let in all the same.
    let mut own = config("hub", false);
    own.credentials = sluis_mux::native::Credentials::Nothing;
    let (own, ..) = add(own, 1);
    let (namesake, ..) = add(config("hub", false), 2);
    let (alice, alices, _) = add(config("alice", false), 3);
    let (carol, carols, _) = add(config("carol", false), 4);
    let (bob, bobs, _) = add(config("bob", false), 5);
    for (agent, intent) in [(&alice, "file:sync"), (&alice, "chat"), (&alice, "file:sync:more"), (&carol, "file:sync")]
    {
        agent.0.borrow_mut().opens.push_back(("hub".into(), intent.into()));
    }
    for _ in 0..3 {
        [alices, carols].into_iter().for_each(|host| world.wake(host));
        assert!(world.run_for(Duration::from_secs(1)));
    }
    let incoming = |agent: &Agent| agent.0.borrow().incoming.len();
    assert_eq!((incoming(&own), incoming(&namesake)), (1, 2), "exactly the intent of the service");
    assert_eq!(
        (alice.0.borrow().proofs.len(), carol.0.borrow().refused.clone()),
        (3, vec!["it is not allowed".to_owned()])
    );
    // Each agent has its share of a service, and gets it back.
    for agent in [&alice, &bob] {
        (0..2).for_each(|_| agent.0.borrow_mut().opens.push_back(("hub".into(), "file:sync".into())));
    }
    let run = |world: &mut StreamWorld| {
        for _ in 0..3 {
            [alices, bobs].into_iter().for_each(|host| world.wake(host));
            assert!(world.run_for(Duration::from_secs(1)));
        }
    };
    run(&mut world);
    assert_eq!(alice.0.borrow().refused, ["there are too many channels"]);
    assert_eq!((bob.0.borrow().refused.len(), incoming(&own)), (0, 4));
    alice.0.borrow_mut().closes = true;
    run(&mut world);
    alice.0.borrow_mut().closes = false;
    alice.0.borrow_mut().opens.push_back(("hub".into(), "file:sync".into()));
    run(&mut world);
    assert_eq!((alice.0.borrow().refused.len(), incoming(&own)), (1, 5));
}

#[test]
fn nothing_is_heard_of_a_channel_that_is_held_and_everything_once_it_goes_on() {
    let mut world = StreamWorld::new(StreamLink::default(), &Seed::from_u64(2));
    let hub = world.listen("hub", Hub::new(hub_config(), &Seed::from_u64(2)), idle::<Hub>());
    let now = world.now();
    let (held, heard) = (Rc::new(Cell::new(true)), Rc::new(RefCell::new(BTreeMap::<Channel, usize>::new())));
    let bob = {
        let (held, heard, mut first) = (Rc::clone(&held), Rc::clone(&heard), None);
        move |now: Now, client: &mut Client| {
            loop {
                let (mut accept, mut take) = (None, None);
                match client.poll_event() {
                    None => break,
                    Some(Event::Incoming(channel, ..)) => accept = Some(channel),
                    Some(Event::Message(channel, number, _, body)) => {
                        *heard.borrow_mut().entry(channel).or_default() += body.len();
                        take = Some((channel, number));
                    }
                    Some(_) => {}
                }
                if let Some(channel) = accept {
                    client.accept(now, channel);
                    client.hold(*first.get_or_insert(channel), true);
                }
                if let Some((channel, number)) = take {
                    client.take(now, channel, number);
                }
            }
            if let Some(first) = first {
                client.hold(first, held.get());
            }
            Flow::Continue
        }
    };
    let bobs = world.add("bob", Client::new(config("bob", true), &Seed::from_u64(3), now), bob);
    let alice = Agent::default();
    let alices = world.add("alice", Client::new(config("alice", true), &Seed::from_u64(4), now), alice.clone());
    let mut run = |seconds| {
        for _ in 0..seconds {
            [hub, alices, bobs].into_iter().for_each(|host| world.wake(host));
            assert!(world.run_for(Duration::from_secs(1)));
        }
    };
    run(1);
    {
        let state = &mut *alice.0.borrow_mut();
        state.opens = [("bob", "vpn:tunnel"), ("bob", "vpn:tunnel")].map(|(a, b)| (a.into(), b.into())).into();
        state.texts = (0..40).map(|n| (n % 2, vec![1; 50_000])).chain([(0, vec![2; MAX_MESSAGE])]).collect();
    }
    run(10);
    assert_eq!(heard.borrow().values().copied().collect::<Vec<_>>(), [1_000_000], "the other channel goes on");
    held.set(false);
    run(10);
    assert_eq!(heard.borrow().values().sum::<usize>(), 2_000_000 + MAX_MESSAGE);
    let alice = alice.0.borrow();
    assert_eq!(alice.sent, alice.acked);
}
