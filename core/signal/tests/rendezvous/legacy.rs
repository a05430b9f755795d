//! Messages in the clear: with whom, how often, and never with one of ours.

use sluis_core::time::Duration;
use sluis_signal::envelope::{Content, Kind};
use sluis_signal::rendezvous::{Delivered, Legacy, NotDelivered, Turned};

use super::by_hand::{ByHand, Heard};
use super::{World, secret};

const MESSAGE: u8 = Kind::Message as u8;
const ACK: u8 = Kind::Ack as u8;
const PROBE: u8 = Kind::Probe as u8;

/// A node and somebody by hand at a server, each under a key of its own.
fn world(legacy: Legacy) -> (World, ByHand) {
    let mut world = World::with(1, 1, move |_, config| config.legacy = legacy.clone());
    world.settle();
    let reference = ByHand::new(&mut world, 0, secret(50));
    (world, reference)
}

fn said<'a>(world: &World, queue: u8, body: &'a [u8]) -> Content<'a> {
    Content { queue: [queue; 32], seq: 0, timestamp: world.seconds(), kind: MESSAGE, body }
}

/// The hello that came is answered as the reference does, and what comes then is told.
fn after_hello(world: &mut World, reference: &mut ByHand) -> Vec<Heard> {
    world.settle();
    let hello = reference.hears(world).pop().expect("a hello");
    assert_eq!(hello.kind, PROBE);
    reference.acknowledge(world, &hello);
    reference.hears(world)
}

#[test]
fn a_plain_message_is_handed_over_once_and_every_copy_is_acknowledged() {
    let (mut world, mut reference) = world(Legacy::Only([secret(50).public()].into()));
    let us = secret(0).public();
    let first = said(&world, 1, "h\u{e9}".as_bytes());
    reference.say(&mut world, &us, &first);
    // Another queue with the same text: the reference would swallow it.
    let second = said(&world, 2, "h\u{e9}".as_bytes());
    reference.say(&mut world, &us, &second);
    assert_eq!(world.nodes[0].texts(), ["h\u{e9}", "h\u{e9}"]);
    let acks =
        |heard: &[Heard]| heard.iter().map(|ack| (ack.from, ack.kind, ack.queue[0], ack.seq)).collect::<Vec<_>>();
    assert_eq!(acks(&reference.hears(&mut world)), [(us, ACK, 1, 0), (us, ACK, 2, 0)]);
    // Copies, also much later, as long as they are young enough.
    world.pass(Duration::from_secs(119));
    reference.say(&mut world, &us, &first);
    assert_eq!(acks(&reference.hears(&mut world)), [(us, ACK, 1, 0)]);
    world.pass(Duration::from_secs(2));
    reference.say(&mut world, &us, &first);
    assert_eq!((reference.hears(&mut world).len(), world.nodes[0].texts().len()), (0, 2));
    assert_eq!(world.nodes[0].machine.turned(Turned::Time), 1);
    // Nobody else is let in.
    let stranger = ByHand::new(&mut world, 0, secret(51));
    let words = said(&world, 3, b"let me in");
    stranger.say(&mut world, &us, &words);
    assert_eq!((world.nodes[0].machine.turned(Turned::Plain), world.nodes[0].texts().len()), (1, 2));
}

/// A copy over another broker, one stamped ahead, one from before our start: the reference hands all of them over.
/// Nodes of ours stamp each copy anew, as long as it takes: it is one message.
#[test]
fn a_message_that_is_stamped_anew_for_long_comes_once() {
    let (mut world, mut reference) = world(Legacy::Everybody);
    let us = secret(0).public();
    for _ in 0..5 {
        let copy = said(&world, 1, b"again and again");
        reference.say(&mut world, &us, &copy);
        assert_eq!(reference.hears(&mut world).len(), 1, "every copy is acknowledged");
        world.pass(Duration::from_secs(100));
    }
    assert_eq!(world.nodes[0].texts(), ["again and again"]);
}

#[test]
fn replays_are_no_messages() {
    let mut world = World::with(2, 1, |_, config| config.legacy = Legacy::Everybody);
    world.settle();
    let us = secret(0).public();
    let (mut at_one, mut at_other) = (ByHand::new(&mut world, 0, secret(50)), ByHand::new(&mut world, 1, secret(50)));
    let words = said(&world, 1, b"once");
    at_one.say(&mut world, &us, &words);
    at_other.say(&mut world, &us, &words);
    assert_eq!(world.nodes[0].texts(), ["once"]);
    // Each is acknowledged where it came.
    assert_eq!((at_one.hears(&mut world).len(), at_other.hears(&mut world).len()), (1, 1));
    let ahead = Content { queue: [2; 32], timestamp: world.seconds() + 121, ..words };
    at_one.say(&mut world, &us, &ahead);
    let before = Content { queue: [3; 32], timestamp: world.seconds() - 1, ..words };
    at_one.say(&mut world, &us, &before);
    assert_eq!((world.nodes[0].texts(), world.nodes[0].machine.turned(Turned::Time)), (vec!["once"], 2));
    // After a restart nothing is known of what was handed over, and nothing from before is taken, unless it is asked for.
    world.pass(Duration::from_secs(1));
    world.restart(0, |_| {});
    at_one.say(&mut world, &us, &words);
    assert_eq!(world.nodes[0].texts(), [""; 0]);
    world.restart(0, |config| config.accept_older = true);
    at_one.say(&mut world, &us, &words);
    assert_eq!(world.nodes[0].texts(), ["once"]);
}

#[test]
fn a_peer_of_the_reference_is_spoken_to_in_the_clear() {
    let (mut world, mut reference) = world(Legacy::Everybody);
    world.send(0, 50, "one", 10);
    let heard = after_hello(&mut world, &mut reference);
    assert_eq!((heard.len(), heard[0].kind, &heard[0].body[..]), (1, MESSAGE, &b"one"[..]));
    reference.acknowledge(&mut world, &heard[0]);
    let delivered = |world: &World, n: usize| world.nodes[0].sent[n].1;
    assert!(matches!(delivered(&world, 0), Ok(Delivered { sealed: false, maybe_dropped: false, .. })));
    // The next one needs no hello; the letters count, and nothing else.
    for (n, text, dropped) in [(1, "two", false), (2, "tw\u{f6}o", true), (3, "three", false), (4, "three", true)] {
        world.send(0, 50, text, 10);
        world.settle();
        let heard = reference.hears(&mut world);
        assert_eq!((heard.len(), &heard[0].body[..]), (1, text.as_bytes()));
        reference.acknowledge(&mut world, &heard[0]);
        assert!(
            matches!(delivered(&world, n), Ok(Delivered { maybe_dropped, .. }) if maybe_dropped == dropped),
            "{text}"
        );
    }
    // Bytes that it would lose are not sent.
    let (now, to) = (world.now(), secret(50).public());
    world.nodes[0].machine.send(now, &to, vec![b'a', 0xff].into(), true, Duration::from_secs(9)).unwrap();
    world.settle();
    assert_eq!((delivered(&world, 5), reference.hears(&mut world).len()), (Err(NotDelivered::Mangled), 0));
    // Without an answer it is sent again, stamped anew, in the same queue.
    world.send(0, 50, "again", 200);
    world.settle();
    let first = reference.hears(&mut world).remove(0);
    world.pass(Duration::from_secs(150));
    let copies = reference.hears(&mut world);
    let copies: Vec<&Heard> = copies.iter().filter(|copy| copy.kind == MESSAGE).collect();
    assert!(copies.len() > 10 && copies.iter().all(|copy| copy.queue == first.queue), "{}", copies.len());
    reference.acknowledge(&mut world, copies[0]);
    assert!(delivered(&world, 6).is_ok());
}

#[test]
fn without_leave_nothing_is_said_in_the_clear() {
    let (mut world, mut reference) = world(Legacy::Only([secret(51).public()].into()));
    world.send(0, 50, "secret", 10);
    assert_eq!(after_hello(&mut world, &mut reference).len(), 0);
    assert_eq!(world.nodes[0].sent, [(0, Err(NotDelivered::Refused))]);
    assert_eq!(world.nodes[0].answered, [false]);
}

/// A stranger has its own message acknowledged in the queue of one that is still to come: at the reference that one is never told.
#[test]
fn a_stranger_cannot_take_the_queue_of_another() {
    let (mut world, mut reference) = world(Legacy::Everybody);
    let mut stranger = ByHand::new(&mut world, 0, secret(51));
    let us = secret(0).public();
    let (first, later) = (said(&world, 1, b"mine first"), said(&world, 1, b"too late"));
    stranger.say(&mut world, &us, &first);
    reference.say(&mut world, &us, &later);
    assert_eq!((stranger.hears(&mut world).len(), reference.hears(&mut world).len()), (1, 1));
    assert_eq!(world.nodes[0].texts(), ["mine first", "too late"]);
}

/// Who has a stranger's acknowledgement, or that of another message, has nothing.
#[test]
fn an_acknowledgement_is_of_this_message_and_of_this_peer() {
    let (mut world, mut reference) = world(Legacy::Everybody);
    world.send(0, 50, "one", 10);
    let heard = after_hello(&mut world, &mut reference).remove(0);
    let stranger = ByHand::new(&mut world, 0, secret(51));
    stranger.acknowledge(&mut world, &heard);
    let other = Heard { queue: [9; 32], body: Vec::new(), ..heard };
    reference.acknowledge(&mut world, &other);
    assert_eq!(world.nodes[0].sent.len(), 0);
    reference.acknowledge(&mut world, &heard);
    assert_eq!(world.nodes[0].delivered(), 1);
}

#[test]
fn one_of_ours_is_never_again_sent_or_believed_anything_in_the_clear() {
    let mut world = World::with(1, 2, |_, config| config.legacy = Legacy::Everybody);
    world.settle();
    world.send(0, 1, "sealed", 10);
    world.settle();
    assert!(matches!(world.nodes[0].sent[0].1, Ok(Delivered { sealed: true, .. })));
    // What its key signs in the clear was signed for somebody else.
    let mut in_its_name = ByHand::new(&mut world, 0, secret(0));
    let words = said(&world, 1, b"in the clear");
    in_its_name.say(&mut world, &secret(1).public(), &words);
    assert_eq!((world.nodes[1].texts(), world.nodes[1].machine.turned(Turned::Plain)), (vec!["sealed"], 1));
    drop(in_its_name.payloads(&mut world));
}

/// Somebody on the way has the peer sign a bare acknowledgement of our hello, by asking it something else under the same queue: the peer then
/// looks like one of the reference, and the message would follow in the clear.
#[test]
fn one_of_ours_cannot_be_made_to_look_like_the_reference() {
    // The peer is at the second broker only, the one on the way at both.
    let mut world = World::with(2, 2, |_, config| config.legacy = Legacy::Everybody);
    world.fault(0, sluis_signal::server::Fault::Die, 1000);
    world.settle();
    let (ours, theirs) = (secret(0).public(), secret(1).public());
    let mut on_the_way = ByHand::new(&mut world, 1, secret(60));
    let mut spy = ByHand::new(&mut world, 1, secret(1));
    // The hello reaches the spy, and not the peer.
    world.nodes[1].deaf = true;
    world.send(0, 1, "secret", 20);
    world.settle();
    let hello = spy.hears(&mut world).remove(0);
    world.nodes[1].deaf = false;
    let before = spy.payloads(&mut world).len();
    let timestamp = world.seconds();
    for (kind, body) in [(PROBE, &b""[..]), (MESSAGE, b"to be acknowledged")] {
        let content = Content { queue: hello.queue, seq: hello.seq, timestamp, kind, body };
        on_the_way.say(&mut world, &theirs, &content);
    }
    let forged = on_the_way.payloads(&mut world);
    assert_eq!(forged.len(), 2, "it answers both");
    forged.iter().for_each(|forged| on_the_way.post(&mut world, &ours, forged));
    let heard = spy.payloads(&mut world);
    let reads = |payload: &Vec<u8>| payload.windows(6).any(|window| window == b"secret");
    assert!(!heard.iter().any(reads), "{before} before");
    world.pass(Duration::from_secs(5));
    assert!(!spy.payloads(&mut world).iter().any(reads));
    assert!(matches!(world.nodes[0].sent[..], [(0, Ok(Delivered { sealed: true, .. }))]), "{:?}", world.nodes[0].sent);
}

#[test]
fn a_clock_that_is_off_is_told() {
    let (mut world, reference) = world(Legacy::Everybody);
    let us = secret(0).public();
    // Who it is has to be known first.
    world.send(0, 50, "x", 1);
    let words = Content { timestamp: world.seconds() + 600, ..said(&world, 1, b"from the future") };
    reference.say(&mut world, &us, &words);
    assert_eq!((&world.nodes[0].clock[..], world.nodes[0].texts().len()), (&[-600][..], 0));
}

#[test]
fn a_hint_is_where_a_peer_is_looked_for_first() {
    // The peer is at the last broker only, which is not of the pool of the other one.
    let mut world = World::with(30, 2, |_, config| (config.pool, config.join) = (29, 1));
    world.nodes[1] = world.only_at(1, 29);
    world.settle();
    world.send(0, 1, "nobody there", 3);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.nodes[0].delivered(), 0);
    let (now, peer) = (world.now(), secret(1).public());
    world.nodes[0].machine.hint(now, &peer, 29).unwrap();
    world.send(0, 1, "there", 5);
    world.pass(Duration::from_secs(5));
    assert_eq!((world.nodes[0].delivered(), world.nodes[1].texts()), (1, vec!["there"]));
}
