//! Delivery over brokers that lose, repeat, delay and reorder: exactly once, in order, and every send ends.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::key;
use proptest::prelude::*;
use sluis_core::time::Duration;
use sluis_core::{Instant, Rng, Seed, SipKey};
use sluis_signal::delivery::{
    Acked, Arrived, Handed, Inbox, InboxLimits, MAX_MESSAGE, Reach, Received, Record, Refused, SendError, Sender,
    SenderLimits,
};
use sluis_signal::key::{PublicKey, SecretKey};
use sluis_signal::sealed::{GRACE, LIFETIME};

const START: Instant = Instant::from_nanos(1_000_000_000_000);

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn hash() -> SipKey {
    Seed::from_u64(1).fork("hash").sip_key()
}

fn alice() -> PublicKey {
    key("alice").public()
}

fn body(text: &str) -> Arc<[u8]> {
    Arc::from(text.as_bytes())
}

const fn arrived(from: PublicKey, epoch: u64, number: u64, body: &[u8]) -> Arrived<'_> {
    Arrived { from, epoch, number, oldest: 0, ordered: true, said: 1, broker: 0, body }
}

/// An inbox at one moment, and Alice's messages under one epoch.
struct Desk(Inbox);

impl Desk {
    fn new(limits: InboxLimits) -> Self {
        Self(Inbox::new(limits, hash()))
    }

    fn take(&mut self, number: u64, oldest: u64) -> Result<Received, Refused> {
        let body = format!("{number}");
        self.0.receive(START, &Arrived { oldest, ..arrived(alice(), 7, number, body.as_bytes()) })
    }

    fn apart(&mut self, number: u64, oldest: u64) -> Result<Received, Refused> {
        let body = format!("{number}");
        self.0.receive(START, &Arrived { oldest, ordered: false, ..arrived(alice(), 7, number, body.as_bytes()) })
    }

    /// What the application gets, all of it confirmed.
    fn gets(&mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(Handed { from, epoch, number, body, .. }) = self.0.poll() {
            assert_eq!(body, format!("{number}").as_bytes());
            assert!(self.0.confirm(from, epoch, number) && !self.0.confirm(from, epoch, number));
            numbers.push(number);
        }
        numbers
    }

    fn acks(&mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some((from, epoch, some)) = self.0.poll_acks() {
            assert_eq!((from, epoch), (alice(), 7));
            numbers.extend(some.into_iter().map(u64::from_be_bytes));
        }
        numbers
    }
}

#[test]
fn messages_are_handed_over_in_order_and_acknowledged_when_they_are_confirmed() {
    let mut desk = Desk::new(InboxLimits::default());
    assert_eq!(
        [desk.take(0, 0), desk.take(2, 0), desk.take(3, 0)],
        [Ok(Received::New), Ok(Received::Held), Ok(Received::Held)]
    );
    let first = desk.0.poll().unwrap();
    assert_eq!((first.number, desk.0.poll(), desk.acks()), (0, None, vec![]));
    // The application has not confirmed it: a copy changes nothing.
    assert_eq!((desk.take(0, 0), desk.acks()), (Ok(Received::Pending), vec![]));
    assert!(desk.0.confirm(alice(), 7, 0));
    assert_eq!(desk.acks(), [0]);
    assert_eq!((desk.take(1, 1), desk.gets(), desk.acks()), (Ok(Received::New), vec![1, 2, 3], vec![1, 2, 3]));
    // Every copy that comes asks again, and is no second message.
    assert_eq!((desk.take(2, 1), desk.take(2, 1), desk.gets()), (Ok(Received::Again), Ok(Received::Again), vec![]));
    assert_eq!((desk.acks(), desk.acks()), (vec![2], vec![]));
}

/// The reference swallows a second message with the same text, of whoever it is.
#[test]
fn equal_texts_are_two_messages() {
    let mut inbox = Inbox::new(InboxLimits::default(), hash());
    let ping =
        |inbox: &mut Inbox, from: &str, number| inbox.receive(START, &arrived(key(from).public(), 7, number, b"ping"));
    assert_eq!(
        [ping(&mut inbox, "alice", 0), ping(&mut inbox, "alice", 1), ping(&mut inbox, "bob", 0)],
        [Ok(Received::New); 3]
    );
    assert_eq!(std::iter::from_fn(|| inbox.poll()).count(), 3);
}

#[test]
fn what_was_given_up_is_not_waited_for_and_never_acknowledged() {
    let mut desk = Desk::new(InboxLimits::default());
    assert_eq!([desk.take(1, 0), desk.take(3, 0)], [Ok(Received::Held); 2]);
    assert_eq!(desk.gets(), [0; 0]);
    // The sender gave 0 to 2 up; what came of them is handed over all the same, in order.
    assert_eq!((desk.take(4, 3), desk.gets()), (Ok(Received::New), vec![1, 3, 4]));
    assert_eq!(desk.acks(), [1, 3, 4]);
    // Late copies of what never came.
    assert_eq!([desk.take(0, 0), desk.take(2, 0)], [Ok(Received::GivenUp); 2]);
    assert_eq!((desk.take(1, 0), desk.gets(), desk.acks()), (Ok(Received::Again), vec![], vec![1]));
    // A jump too wide to remember its gaps: nothing in it is acknowledged, not even what was handed over.
    assert_eq!(
        (desk.take(1_000_000, 1_000_000), desk.gets(), desk.acks()),
        (Ok(Received::New), vec![1_000_000], vec![1_000_000])
    );
    assert_eq!([desk.take(3, 3), desk.take(77, 77)], [Ok(Received::GivenUp); 2]);
    assert_eq!(desk.acks(), [0; 0]);
}

#[test]
fn messages_apart_from_the_order_are_handed_over_when_they_come() {
    let mut desk = Desk::new(InboxLimits::default());
    assert_eq!([desk.apart(5, 0), desk.take(6, 0)], [Ok(Received::New), Ok(Received::Held)]);
    assert_eq!((desk.gets(), desk.acks()), (vec![5], vec![5]));
    assert_eq!((desk.apart(5, 0), desk.acks()), (Ok(Received::Again), vec![5]));
    for number in 0..5 {
        desk.take(number, 0).unwrap();
    }
    assert_eq!(desk.gets(), [0, 1, 2, 3, 4, 6]);
    assert_eq!(desk.apart(5, 0), Ok(Received::Again));
}

#[test]
fn at_a_cap_it_is_busy_and_forgets_nothing() {
    let mut desk = Desk::new(InboxLimits { waiting: 3, ..InboxLimits::default() });
    assert_eq!([desk.take(1, 0), desk.take(2, 0), desk.take(3, 0)], [Ok(Received::Held); 3]);
    assert_eq!(desk.take(4, 0), Err(Refused::Busy));
    // What all of them wait for takes the place of the last, which comes again.
    assert_eq!((desk.take(0, 0), desk.gets()), (Ok(Received::New), vec![0, 1, 2]));
    assert_eq!((desk.take(4, 0), desk.take(3, 0), desk.gets()), (Ok(Received::Held), Ok(Received::New), vec![3, 4]));
    // One that is given up leaves its place to those behind it.
    assert_eq!([desk.take(6, 0), desk.take(7, 0), desk.take(8, 0)], [Ok(Received::Held); 3]);
    assert_eq!((desk.take(9, 6), desk.gets()), (Err(Refused::Busy), vec![6, 7, 8]));
    assert_eq!((desk.take(9, 6), desk.take(5, 0), desk.gets()), (Ok(Received::New), Ok(Received::GivenUp), vec![9]));

    let mut desk = Desk::new(InboxLimits { bytes_per_epoch: 2, ..InboxLimits::default() });
    assert_eq!(
        [desk.take(0, 0), desk.take(1, 0), desk.take(2, 0)],
        [Ok(Received::New), Ok(Received::New), Err(Refused::Busy)]
    );
    desk.gets();
    assert_eq!(desk.take(2, 0), Ok(Received::New));

    // A sender that starts anew again and again is refused before another's messages could come twice.
    let mut inbox = Inbox::new(InboxLimits { epochs: 3, epochs_per_sender: 2, ..InboxLimits::default() }, hash());
    let mut take = |now, from: &str, epoch| {
        inbox.receive(now, &Arrived { ordered: false, ..arrived(key(from).public(), epoch, 0, b"") }).inspect(|_| {
            while let Some(Handed { from, epoch, number, .. }) = inbox.poll() {
                inbox.confirm(from, epoch, number);
            }
            while inbox.poll_acks().is_some() {}
        })
    };
    let again = Ok(Received::Again);
    assert_eq!(
        [take(START, "alice", 1), take(START, "alice", 2), take(START, "alice", 3)],
        [Ok(Received::New), Ok(Received::New), Err(Refused::Busy)]
    );
    assert_eq!(
        [take(START, "bob", 1), take(START, "carol", 1), take(START, "alice", 1)],
        [Ok(Received::New), Err(Refused::Busy), again]
    );
    let nearly = START + LIFETIME + GRACE - Duration::from_nanos(1);
    assert_eq!([take(nearly, "carol", 1), take(nearly, "alice", 2)], [Err(Refused::Busy), again]);
    // No packet of an epoch can be opened any more: it makes room.
    let later = nearly + LIFETIME;
    assert_eq!(
        [take(later, "carol", 1), take(later, "carol", 1), take(later, "alice", 2)],
        [Ok(Received::New), again, again]
    );
}

/// Strangers send what waits for something that never comes, as much as they may: it keeps nobody out, and nobody's place for ever.
#[test]
fn what_waits_in_vain_keeps_nobody_out() {
    let limits = InboxLimits { bytes: 20, bytes_per_epoch: 10, epochs: 3, ..InboxLimits::default() };
    let mut inbox = Inbox::new(limits, hash());
    let [alice, bob, mallory, trudy] = [1, 2, 3, 4].map(|n| SecretKey::from_bytes(&[n; 32]).unwrap().public());
    let mut take = |now, from: PublicKey, number, body: &[u8]| {
        inbox.receive(now, &arrived(from, 1, number, body)).map(|received| {
            let handed: Vec<u64> = std::iter::from_fn(|| inbox.poll()).map(|handed| handed.number).collect();
            (received, handed, inbox.waiting_bytes())
        })
    };
    assert_eq!(take(START, mallory, 1, &[0; 10]), Ok((Received::Held, vec![], 10)));
    assert_eq!(take(START, trudy, 1, &[0; 10]), Ok((Received::Held, vec![], 20)));
    assert_eq!(take(START, alice, 1, b"later"), Err(Refused::Busy));
    assert_eq!(take(START, alice, 0, b"first"), Ok((Received::New, vec![0], 10)));
    assert_eq!(take(START, alice, 1, b"later"), Ok((Received::New, vec![1], 10)));
    // Nobody can send anything more of those epochs: who comes now finds a place.
    let later = START + LIFETIME + GRACE;
    assert_eq!(take(later, bob, 0, b"first"), Ok((Received::New, vec![0], 0)));
}

#[test]
fn a_message_goes_to_few_brokers_then_to_more_then_to_all() {
    let mut sender = Sender::new(9, SenderLimits::default());
    assert_eq!(sender.send(START, body("x"), true, Duration::from_secs(20)), Ok(0));
    let (mut now, mut tries) = (START, Vec::new());
    let end = loop {
        if let Some(number) = sender.poll_given_up(now) {
            break number;
        }
        while let Some(sent) = sender.poll(now, millis(100), usize::MAX) {
            assert_eq!((sent.number, sent.oldest, &sent.body[..]), (0, 0, &b"x"[..]));
            tries.push((now.saturating_since(START).as_millis(), sent.reach));
        }
        now = sender.deadline(usize::MAX).unwrap();
    };
    assert_eq!((end, sender.in_flight(), sender.deadline(usize::MAX)), (0, 0, None));
    let all = [600, 1100, 2100, 4100, 8100, 12_100, 16_100].map(|at| (at, Reach::All));
    assert_eq!(tries, [&[(0, Reach::Near), (300, Reach::Wider)][..], &all].concat());
    assert_eq!(sender.acked(now + millis(5), 9, 0), Acked::Late(millis(20_005)));
    assert_eq!(sender.acked(now, 9, 0), Acked::Unknown);
    // What is sent next says that nobody has to wait for it.
    assert_eq!(sender.send(now, body("y"), true, Duration::from_secs(1)), Ok(1));
    assert_eq!(sender.poll(now, millis(400), usize::MAX).map(|sent| (sent.number, sent.oldest)), Some((1, 1)));
    // A long way takes two round trips before it counts as lost.
    assert_eq!(sender.deadline(usize::MAX), Some(now + millis(800)));
    assert_eq!(sender.acked(now, 8, 1), Acked::Unknown);
    sender.hurry(now + millis(1));
    assert_eq!(sender.poll(now + millis(1), millis(400), usize::MAX).map(|sent| sent.reach), Some(Reach::Wider));
    assert_eq!(sender.acked(now + millis(3), 9, 1), Acked::Delivered(millis(3)));
}

#[test]
fn a_full_sender_says_so() {
    let mut sender = Sender::new(9, SenderLimits { in_flight: 2, bytes: 10, late: 1 });
    let mut send = |text: &str| sender.send(START, body(text), true, Duration::from_secs(1));
    assert_eq!(
        [send("12345"), send("123456"), send("12345"), send("")],
        [Ok(0), Err(SendError::Full), Ok(1), Err(SendError::Full)]
    );
    let long: Arc<[u8]> = vec![0; MAX_MESSAGE + 1].into();
    let mut sender = Sender::new(9, SenderLimits::default());
    assert_eq!(sender.send(START, long, true, Duration::from_secs(1)), Err(SendError::TooLong));
    let longest: Arc<[u8]> = vec![0; MAX_MESSAGE].into();
    assert_eq!(sender.send(START, longest, true, Duration::from_secs(1)), Ok(0));
}

/// How bad the way is, and how the application takes it.
#[derive(Clone, Copy, Debug)]
struct Way {
    lost: u64,
    repeated: u64,
    slowest: u64,
    confirms_after: u64,
    waiting: usize,
    unordered: u64,
    restarts: bool,
    timeout: Duration,
}

/// A packet under way: forth or back, its kind, its id, its body.
type Posted = (bool, u8, [u8; 16], Vec<u8>);

/// One sender, one inbox and the way between them, on virtual time.
struct World {
    way: Way,
    rng: Rng,
    now: Instant,
    sender: Sender,
    inbox: Inbox,
    /// When it arrives, and what: to the inbox, or back.
    packets: BTreeMap<(Instant, u64), Posted>,
    count: u64,
    ordered: BTreeMap<(u64, u64), bool>,
    handed: Vec<(u64, u64)>,
    to_confirm: Vec<(Instant, u64, u64)>,
    confirmed: BTreeSet<(u64, u64)>,
    ended: BTreeMap<(u64, u64), bool>,
}

impl World {
    fn chance(&mut self, percent: u64) -> bool {
        self.rng.u64() % 100 < percent
    }

    fn post(&mut self, forth: bool, record: &Record<'_>) {
        let mut out = [0; 2048];
        let len = record.write(&mut out).unwrap();
        let copies = 1 + u64::from(self.chance(self.way.repeated)) * (1 + self.rng.u64() % 3);
        for _ in 0..copies {
            if self.chance(self.way.lost) {
                continue;
            }
            let at = self.now + millis(self.rng.u64() % self.way.slowest.max(1));
            self.count += 1;
            self.packets.insert((at, self.count), (forth, record.kind(), record.id(), out[..len].to_vec()));
        }
    }

    fn send(&mut self, text: &str) {
        let ordered = !self.chance(self.way.unordered);
        if let Ok(number) = self.sender.send(self.now, body(text), ordered, self.way.timeout) {
            self.ordered.insert((self.sender.epoch(), number), ordered);
        }
    }

    fn step(&mut self) {
        while let Some(number) = self.sender.poll_given_up(self.now) {
            assert_eq!(self.ended.insert((self.sender.epoch(), number), false), None);
        }
        while let Some(sent) = self.sender.poll(self.now, millis(50), usize::MAX) {
            let epoch = self.sender.epoch();
            self.post(
                true,
                &Record::Message {
                    epoch,
                    number: sent.number,
                    oldest: sent.oldest,
                    said: 1,
                    ordered: sent.ordered,
                    body: &sent.body,
                },
            );
        }
        while let Some(entry) = self.packets.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (forth, kind, id, bytes) = entry.remove();
            self.arrive(forth, Record::parse(kind, &id, &bytes).expect("a record"));
        }
        while let Some(Handed { from, epoch, number, body, .. }) = self.inbox.poll() {
            assert_eq!((from, &body[..]), (alice(), format!("{epoch}/{number}").as_bytes()));
            self.handed.push((epoch, number));
            self.to_confirm.push((self.now + millis(self.way.confirms_after), epoch, number));
        }
        let due: Vec<_> = self.to_confirm.extract_if(.., |(at, ..)| *at <= self.now).collect();
        for (_, epoch, number) in due {
            assert!(self.inbox.confirm(alice(), epoch, number));
            self.confirmed.insert((epoch, number));
        }
        while let Some((to, epoch, numbers)) = self.inbox.poll_acks() {
            assert_eq!(to, alice());
            self.post(false, &Record::Ack { epoch, numbers: &numbers });
        }
        assert!(self.inbox.waiting_bytes() <= 4096);
    }

    fn arrive(&mut self, forth: bool, record: Record<'_>) {
        match record {
            Record::Message { epoch, number, oldest, ordered, body, .. } if forth => {
                let _ =
                    self.inbox.receive(self.now, &Arrived { oldest, ordered, ..arrived(alice(), epoch, number, body) });
            }
            Record::Ack { epoch, numbers } if !forth => {
                for number in numbers.iter().map(|number| u64::from_be_bytes(*number)) {
                    // The application has it: whatever the sender makes of that.
                    assert!(self.confirmed.contains(&(epoch, number)), "acknowledged before it was handed over");
                    if let Acked::Delivered(_) = self.sender.acked(self.now, epoch, number) {
                        assert_eq!(self.ended.insert((epoch, number), true), None);
                    }
                }
            }
            other => panic!("{other:?} goes the wrong way"),
        }
    }
}

fn run(way: Way, seed: u64, messages: u64) -> World {
    let limits = InboxLimits { waiting: way.waiting, bytes: 4096, bytes_per_epoch: 2048, ..InboxLimits::default() };
    let mut world = World {
        way,
        rng: Seed::from_u64(seed).fork("way"),
        now: START,
        sender: Sender::new(1, SenderLimits::default()),
        inbox: Inbox::new(limits, hash()),
        packets: BTreeMap::new(),
        count: 0,
        ordered: BTreeMap::new(),
        handed: Vec::new(),
        to_confirm: Vec::new(),
        confirmed: BTreeSet::new(),
        ended: BTreeMap::new(),
    };
    let mut numbers = 0;
    for n in 0..messages {
        if way.restarts && n == messages / 2 {
            // Without its state: what was under way is nobody's any more.
            world.ordered.retain(|message, _| world.ended.contains_key(message));
            world.sender = Sender::new(2, SenderLimits::default());
            numbers = 0;
        }
        world.send(&format!("{}/{numbers}", world.sender.epoch()));
        numbers += 1;
        world.step();
        world.now = world.now + millis(20);
    }
    while world.sender.in_flight() > 0 || !world.packets.is_empty() || !world.to_confirm.is_empty() {
        world.step();
        world.now = world.now + millis(20);
        assert!(world.now.saturating_since(START) < Duration::from_secs(120), "it never ends");
    }
    world
}

/// What must hold, however bad the way.
fn check(world: &World) {
    let distinct: BTreeSet<_> = world.handed.iter().collect();
    assert_eq!(distinct.len(), world.handed.len(), "handed over twice");
    for epoch in [1, 2] {
        let row: Vec<u64> = world
            .handed
            .iter()
            .filter(|(at, number)| *at == epoch && world.ordered.get(&(*at, *number)) == Some(&true))
            .map(|(_, number)| *number)
            .collect();
        assert!(row.is_sorted(), "out of order: {row:?}");
    }
    for (message, acked) in &world.ended {
        assert!(!acked || world.confirmed.contains(message));
    }
    // Every send has come to an end.
    assert!(world.ordered.keys().all(|message| world.ended.contains_key(message)), "{:?}", world.ended);
}

#[test]
fn on_a_way_that_loses_a_quarter_everything_arrives() {
    let way = Way {
        lost: 33,
        repeated: 30,
        slowest: 400,
        confirms_after: 0,
        waiting: 1024,
        unordered: 0,
        restarts: false,
        timeout: Duration::from_secs(60),
    };
    for seed in 0..10 {
        let world = run(way, seed, 100);
        check(&world);
        let delivered = world.ended.values().filter(|acked| **acked).count();
        assert_eq!((delivered, world.handed.len()), (100, 100), "seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn exactly_once_in_order_and_every_send_ends(
        lost in 0..95_u64, repeated in 0..100_u64, slowest in 0..3000_u64, confirms_after in 0..2000_u64, waiting in 1..40_usize,
        unordered in 0..100_u64, restarts: bool, seed: u64, messages in 1..60_u64,
    ) {
        check(&run(Way { lost, repeated, slowest, confirms_after, waiting, unordered, restarts, timeout: Duration::from_secs(20) }, seed, messages));
    }

    /// A peer may say what it likes: nothing fails badly and nothing grows.
    #[test]
    fn a_hostile_peer_gets_nowhere(steps in proptest::collection::vec((any::<u64>(), any::<u64>(), 0..5_u64, any::<bool>(), any::<bool>()), 0..200)) {
        let limits = InboxLimits { epochs: 4, epochs_per_sender: 3, waiting: 8, bytes: 100, bytes_per_epoch: 60, gaps: 5 };
        let mut inbox = Inbox::new(limits, hash());
        let mut seen = BTreeSet::new();
        for (number, back, epoch, ordered, near) in steps {
            let number = if near { number % 12 } else { number.min(u64::MAX - 1) };
            let oldest = number - back.min(number);
            let _ = inbox.receive(START, &Arrived { oldest, ordered, ..arrived(alice(), epoch, number, b"0123456789") });
            prop_assert!(inbox.waiting_bytes() <= 100 && inbox.epochs() <= 3);
            if back % 3 == 0 {
                while let Some(handed) = inbox.poll() {
                    prop_assert!(seen.insert((handed.epoch, handed.number)), "twice");
                    inbox.confirm(handed.from, handed.epoch, handed.number);
                }
                while inbox.poll_acks().is_some() {}
            }
        }
    }
}
