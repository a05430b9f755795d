//! What an idle session takes on the heap when there are a hundred thousand of them.

use sluis_benches::alloc::heap;
use sluis_benches::sessions::{HUB, at, paths, room, talk};
use sluis_core::session::{Peer, sealed_len};

/// Every one takes a whole handshake on both sides: a debug build makes fewer.
const MANY: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };

/// More than the window remembers without memory for it.
const LOST: usize = 70;

#[test]
fn idle_sessions_take_at_most_512_bytes_each_also_after_packets_were_lost() {
    let _alone = crate::alone();
    let mut buf = vec![0; 1500];
    let (mut hub, key) = room(HUB, 1, MANY);
    let before = heap();
    for n in 0..MANY {
        let (mut sensor, _) = room(&format!("jis:home:sensor-{n:012}"), 2 + n as u64, 1);
        let now = at(1000 + n as u64 / 1000);
        sensor.connect(now, &Peer::pinned(HUB, key), paths()[0], b"").expect("a session");
        let [id, up] = talk(now, &mut sensor, &mut hub, &mut buf);
        assert!(up.is_some(), "session {n}");
        // Of what the sensor says only the last arrives.
        let id = id.expect("a session");
        let sealed = (0..LOST).map(|_| sensor.seal(now, id, &mut buf, 10).expect("sealed").len).last();
        assert_eq!(sealed, Some(sealed_len(10)));
        hub.handle(now, paths()[1], &mut buf[..sealed_len(10)], &mut |_| true).expect("heard");
    }
    assert_eq!((hub.len(), hub.half_open()), (MANY, 0));
    let wide = heap();
    // They are silent for a while.
    let now = at(15_000 + MANY as u64 / 1000);
    hub.handle_timeout(now);
    while hub.poll_transmit(now, &mut buf).is_some() {}
    let after = heap();
    assert!(wide.live - after.live > MANY * 200, "{} bytes of windows", wide.live - after.live);
    let each = [(after.live - before.live) / MANY, (after.held - before.held) / MANY];
    println!("{} bytes a session, {} with malloc's overhead", each[0], each[1]);
    assert!(each[0] > 128, "their keys and names alone take more: {each:?}");
    assert!(each[1] <= 512, "{each:?}");
    // Looking after them all costs no memory, and they end together.
    hub.handle_timeout(at(170_000));
    assert_eq!(hub.len(), MANY);
    hub.handle_timeout(at(182_000 + MANY as u64 / 1000));
    while hub.poll_event().is_some() {}
    assert!(hub.is_empty());
}
