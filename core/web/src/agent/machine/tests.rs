//! What an agent keeps of its channels: with a hub and another agent on virtual time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use sluis_core::driver::{Flow, Requests as _};
use sluis_core::sim::streams::{HostId, StreamLink, StreamWorld};
use sluis_core::{Now, Seed};
use sluis_mux::Access;
use sluis_mux::native::{Channel, Client, ClientConfig, Hub, HubConfig};

use super::{AgentMachine, Asked, Gone, MAX_INCOMING, Told};

type Steps = Rc<RefCell<VecDeque<Box<dyn FnOnce(Now, &mut AgentMachine)>>>>;

struct Agent {
    host: HostId,
    steps: Steps,
}

struct World {
    world: StreamWorld,
    alice: Agent,
    bob: Agent,
}

fn agent(world: &mut StreamWorld, name: &str) -> Agent {
    let (config, now) = (ClientConfig::new(name, "hub", 1), world.now());
    let leave_time = config.park_time;
    let machine = AgentMachine::new(
        Client::new(config, &Seed::from_u64(name.bytes().map(u64::from).sum()), now),
        leave_time,
        now,
    );
    let steps = Steps::default();
    let todo = Rc::clone(&steps);
    let app = move |now: Now, machine: &mut AgentMachine| {
        while let Some(step) = todo.borrow_mut().pop_front() {
            step(now, machine);
        }
        while machine.poll_reply().is_some() {}
        Flow::Continue
    };
    Agent { host: world.add(name, machine, app), steps }
}

impl Agent {
    /// What this is with its machine; 100 ms pass.
    fn does<T: 'static>(&self, world: &mut StreamWorld, what: impl FnOnce(Now, &mut AgentMachine) -> T + 'static) -> T {
        let done = Rc::new(RefCell::new(None));
        let out = Rc::clone(&done);
        self.steps.borrow_mut().push_back(Box::new(move |now, machine| *out.borrow_mut() = Some(what(now, machine))));
        world.wake(self.host);
        assert!(world.run_for(Duration::from_millis(100)), "a machine spins");
        done.take().unwrap()
    }
}

impl World {
    fn new() -> Self {
        let mut world = StreamWorld::new(StreamLink::default(), &Seed::from_u64(1));
        let mut config = HubConfig::new("hub");
        config.access = Access::Open;
        world.listen("hub", Hub::new(config, &Seed::from_u64(2)), |_: Now, _: &mut Hub| Flow::Continue);
        let (alice, bob) = (agent(&mut world, "alice"), agent(&mut world, "bob"));
        let mut world = Self { world, alice, bob };
        world.run(1);
        world
    }

    fn run(&mut self, secs: u64) {
        assert!(self.world.run_for(Duration::from_secs(secs)), "a machine spins");
    }

    fn alice<T: 'static>(&mut self, what: impl FnOnce(Now, &mut AgentMachine) -> T + 'static) -> T {
        self.alice.does(&mut self.world, what)
    }

    fn bob<T: 'static>(&mut self, what: impl FnOnce(Now, &mut AgentMachine) -> T + 'static) -> T {
        self.bob.does(&mut self.world, what)
    }

    fn opens(&mut self) -> Channel {
        self.alice(|now, machine| machine.open(now, "bob", "chat", "{}").unwrap())
    }

    /// The channels that bob's application is told of.
    fn told(&mut self) -> Vec<Asked> {
        self.bob(|_, machine| {
            let told = std::iter::from_fn(|| machine.poll_notice());
            told.filter_map(|told| if let Told::Incoming(asked) = told { Some(asked) } else { None }).collect()
        })
    }

    /// A channel that both have.
    fn meet(&mut self) -> (Channel, Channel) {
        let out = self.opens();
        let Asked { channel: back, proof, .. } = self.told().pop().unwrap();
        self.bob(move |now, machine| {
            assert!(machine.hand_over(back));
            machine.accept(now, back, proof);
        });
        assert!(matches!(self.alice(move |_, machine| machine.opened(out)), Some(Ok(_))));
        (out, back)
    }

    /// What bob keeps: of channels, of those that are not answered, and of those that his application is to be told of.
    fn keeps(&mut self) -> (usize, usize, usize) {
        self.bob(|_, machine| (machine.doors.len(), machine.unanswered.len(), machine.incoming.len()))
    }
}

#[test]
fn a_channel_that_is_given_up_before_it_is_answered_leaves_nothing_behind() {
    let mut world = World::new();
    assert!(world.told().is_empty());
    // The application has heard of it, and has not.
    for hears in [false, true] {
        let channel = world.opens();
        assert_eq!(world.keeps(), (1, 1, 1));
        let told = if hears { world.told() } else { Vec::new() };
        world.alice(move |now, machine| machine.leave(now, channel));
        assert_eq!(world.keeps(), (0, 0, 0));
        for asked in told {
            assert!(!world.bob(move |_, machine| machine.hand_over(asked.channel)), "nobody waits for an answer");
        }
        assert!(world.told().is_empty());
    }
    // The opening and its end come together.
    let bob = world.bob.host;
    world.world.stall(bob, true);
    let channel = world.opens();
    world.alice(move |now, machine| machine.leave(now, channel));
    world.world.stall(bob, false);
    world.run(1);
    assert_eq!(world.keeps(), (0, 0, 0));
    // The application has it, and learns of the end when it answers.
    let channel = world.opens();
    let Asked { channel: asked, proof, .. } = world.told().pop().unwrap();
    assert!(world.bob(move |_, machine| machine.hand_over(asked)));
    world.alice(move |now, machine| machine.leave(now, channel));
    let heard = world.bob(move |now, machine| {
        machine.accept(now, asked, proof);
        let heard = machine.receive(now, asked);
        machine.leave(now, asked);
        heard
    });
    assert_eq!(heard, Some(Err(Gone::Abandoned)));
    assert_eq!(world.keeps(), (0, 0, 0));
    // It refuses one whose connection has just broken.
    world.opens();
    let Asked { channel: asked, .. } = world.told().pop().unwrap();
    assert!(world.bob(move |_, machine| machine.hand_over(asked)));
    world.world.cut(bob);
    world.bob(move |now, machine| machine.refuse(now, asked, "no"));
    assert_eq!(world.keeps(), (0, 0, 0));
}

#[test]
fn channels_that_the_application_has_and_does_not_answer_are_bounded() {
    let mut world = World::new();
    let open = |now, machine: &mut AgentMachine| machine.open(now, "bob", "chat", "{}").unwrap();
    let channels = world.alice(move |now, machine| [(); MAX_INCOMING].map(|()| open(now, machine)));
    world.run(1);
    let told = world.told();
    assert_eq!(told.len(), channels.len());
    for asked in told {
        assert!(world.bob(move |_, machine| machine.hand_over(asked.channel)));
    }
    let more = world.opens();
    let answer = world.alice(move |_, machine| machine.opened(more));
    assert_eq!(answer, Some(Err(Gone::Refused("too many channels".into()))));
    world.bob(|now, machine| {
        let (first, _) = machine.unanswered.first_key_value().unwrap();
        machine.refuse(now, *first, "no");
    });
    let one = world.opens();
    assert_eq!(world.alice(move |_, machine| machine.opened(one)), None, "one was answered: there is room again");
}

#[test]
fn a_channel_that_was_left_is_given_up_when_the_other_end_does_not_close_it() {
    let mut world = World::new();
    let (out, back) = world.meet();
    world.alice(move |now, machine| machine.leave(now, out));
    world.run(58);
    let keeps = |_, machine: &mut AgentMachine| (machine.client.channels(), machine.doors.len());
    assert_eq!(world.alice(keeps), (1, 1), "the other end has its time");
    world.run(3);
    assert_eq!(world.alice(keeps), (0, 0));
    assert_eq!(world.bob(move |now, machine| machine.receive(now, back)), Some(Ok(None)), "it was told of the end");
    // Where both have closed it nothing waits for that time.
    let (out, back) = world.meet();
    world.alice(move |now, machine| machine.leave(now, out));
    world.bob(move |now, machine| machine.leave(now, back));
    world.run(1);
    assert_eq!(world.alice(keeps), (0, 0));
}
