//! Several frames in one packet.

use super::*;
use crate::identity::Statement;
use crate::node::STATEMENT;
use crate::session::{Config, Down, HEAD_ROOM, Ingress, Peer, SessionId, Sessions};

/// Pings that are asked before the driver comes to send.
const AT_ONCE: usize = 40;

impl Net {
    /// With a session that is up.
    fn with_session() -> Self {
        let mut net = Self::pair();
        net.ping(Encoding::Json);
        net.run(1000);
        net.told.iter_mut().for_each(Vec::clear);
        net.wire.clear();
        net
    }
}

#[test]
fn what_waits_for_one_session_leaves_together_and_each_frame_is_judged() {
    for encoding in ENCODINGS {
        let mut net = Net::with_session();
        for _ in 0..AT_ONCE {
            net.ping(encoding);
        }
        net.run(0);
        assert_eq!((net.count(0, "ping accept"), net.count(1, "answer accept")), (AT_ONCE, AT_ONCE), "{encoding:?}");
        let behind = net.nodes.iter().map(|node| node.stats().bundled).sum::<u64>();
        assert_eq!(net.wire.len() as u64 + behind, 2 * AT_ONCE as u64, "{encoding:?}");
        assert!(net.wire.len() < AT_ONCE, "{} packets: {encoding:?}", net.wire.len());
        assert!(net.wire.iter().all(|seen| seen.is_sealed() && seen.bytes.len() <= 1192));
        net.books_hold();
        assert_eq!(net.rejects, []);
    }
}

#[test]
fn a_long_frame_leaves_alone_and_short_ones_behind_it_wait_for_nothing() {
    let mut net = Net::with_session();
    let text = std::format!("{{\"data\":\"{}\"}}", "x".repeat(2000));
    let (now, mut ping) = (net.now(), Ping::new(HUB, addr(HUB_AT), "store"));
    ping.payload = Value::from_json(&text).unwrap();
    net.ping(Encoding::Json);
    net.nodes[1].ping(now, &ping).unwrap();
    net.ping(Encoding::Json);
    net.run(0);
    let asked: Vec<usize> =
        net.wire.iter().filter(|seen| seen.from == SENSOR_AT).map(|seen| seen.bytes.len()).collect();
    assert!(matches!(asked[..], [a, b, c] if a < 1192 && b > 2000 && c < 1192), "{asked:?}");
    assert_eq!(net.count(1, "answer accept"), 3);
}

#[test]
fn every_ping_of_a_packet_that_cannot_leave_ends_at_once() {
    let mut net = Net::with_session();
    for _ in 0..3 {
        net.ping(Encoding::Postcard);
    }
    let now = net.now();
    let sent = drain(&mut net.nodes[1], now);
    assert_eq!(sent.len(), 1);
    net.nodes[1].handle_unsent(now, Path::to(addr(HUB_AT)), &sent[0].1, Unsent::NetworkUnreachable);
    net.events(1);
    assert_eq!(net.told[1], ["unsent"; 3]);
}

#[test]
fn frames_that_find_keys_too_old_wait_for_new_ones() {
    let mut net = Net::with_session();
    // Both were asleep, so that no timer went off.
    net.ms += 177_000;
    for _ in 0..5 {
        net.ping(Encoding::Msgpack);
    }
    net.ms += 3_000;
    net.run(3000);
    assert_eq!((net.count(0, "ping accept"), net.count(1, "answer accept")), (5, 5), "{:?}", net.told);
    assert!(net.wire.iter().all(Seen::is_sealed));
    net.books_hold();
}

/// Somebody whom the hub lets in, who packs what he likes.
struct Packer {
    room: Sessions,
    session: SessionId,
    says: Node,
}

impl Packer {
    const AT: u16 = 5;

    fn new(net: &mut Net) -> Self {
        let config = Config::new(Did::new(SENSOR).unwrap(), secret(2));
        let mut room = Sessions::new(config, &Seed::from_u64(4)).unwrap();
        let session =
            room.connect(millis(0), &Peer::pinned(HUB, secret(1).public()), from(HUB_AT), &[]).unwrap().session;
        let mut this = Self { room, session, says: node(SENSOR, 6) };
        for _ in 0..4 {
            let mut buf = vec![0; MAX_DATAGRAM_V6];
            while let Some(sent) = this.room.poll_transmit(millis(0), &mut buf) {
                net.deliver(&Seen { from: Self::AT, to: HUB_AT, bytes: buf[..sent.len].to_vec() });
            }
            net.carry();
            for mut seen in core::mem::take(&mut net.wire) {
                let taken = this.room.handle(millis(0), from(HUB_AT), &mut seen.bytes, &mut |_| true);
                assert_eq!(taken, Ok(Ingress::Nothing));
            }
        }
        this
    }

    fn frame(&mut self) -> Vec<u8> {
        self.says.ping(millis(0), &Ping::new(HUB, addr(HUB_AT), "door.open")).unwrap();
        drain(&mut self.says, millis(0)).remove(0).1
    }

    fn send(&mut self, net: &mut Net, body: &[u8]) {
        let mut buf = vec![0; MAX_DATAGRAM_V6];
        buf[HEAD_ROOM..][..body.len()].copy_from_slice(body);
        let sealed = self.room.seal(millis(0), self.session, &mut buf, body.len()).unwrap();
        net.deliver(&Seen { from: Self::AT, to: HUB_AT, bytes: buf[..sealed.len].to_vec() });
    }
}

#[test]
fn nobody_gets_more_in_because_it_comes_in_one_packet() {
    let mut net = Net::pair();
    let mut packer = Packer::new(&mut net);
    let frame = packer.frame();
    // The same twice, and one that is cut.
    packer.send(&mut net, &[&frame[..], &frame[..], &frame[..frame.len() - 1]].concat());
    assert_eq!(net.count(0, "ping accept"), 1);
    assert_eq!(net.nodes[0].stats().rejected.get(Reject::Replay), 1);
    assert_eq!(net.rejects, [Reject::Header]);
    // Somebody else's between two of his own.
    let mut other = node("jis:home:lamp", 8);
    other.ping(millis(0), &Ping::new(HUB, addr(HUB_AT), "door.open")).unwrap();
    let foreign = drain(&mut other, millis(0)).remove(0).1;
    let three = [packer.frame(), foreign, packer.frame()].concat();
    packer.send(&mut net, &three);
    assert_eq!(net.count(0, "ping accept"), 3);
    assert_eq!(net.nodes[0].stats().rejected.get(Reject::BadSignature), 1);
    // More than anybody needs.
    let many: Vec<u8> = (0..100).flat_map(|_| packer.frame()).collect();
    packer.send(&mut net, &many);
    assert_eq!(net.count(0, "ping accept"), 3 + 64);
    assert_eq!(net.rejects, [Reject::Header, Reject::Malformed]);
    // What is no frame belongs to the one before it.
    let odd = [packer.frame(), b"TX behind it".to_vec()].concat();
    packer.send(&mut net, &odd);
    assert_eq!(net.count(0, "ping accept"), 3 + 64 + 1);
    net.books_hold();
}

/// A statement in one frame counts before the next one of the same packet.
#[test]
fn a_key_that_is_revoked_in_a_packet_says_nothing_behind_that() {
    let mut net = Net::pair();
    let mut packer = Packer::new(&mut net);
    let mut text = Vec::new();
    Statement::revocation(&secret(2), 1).unwrap().write_json(&mut text).unwrap();
    let mut tells = Ping::new(HUB, addr(HUB_AT), STATEMENT);
    tells.payload = Value::from_json(core::str::from_utf8(&text).unwrap()).unwrap();
    let before = packer.frame();
    packer.says.ping(millis(0), &tells).unwrap();
    let statement = drain(&mut packer.says, millis(0)).remove(0).1;
    let packet = [before, statement, packer.frame()].concat();
    packer.send(&mut net, &packet);
    assert_eq!(net.count(0, "ping accept"), 1);
    assert_eq!(net.rejects, [Reject::Sealed]);
    assert_eq!(net.changes[0].last(), Some(&SessionState::Down(Down::Revoked)));
    net.books_hold();
}
