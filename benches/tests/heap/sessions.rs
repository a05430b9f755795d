//! What an idle session takes on the heap when there are a hundred thousand of them.

use sluis_benches::alloc::heap;
use sluis_benches::sessions::{HUB, at, paths, room, talk};
use sluis_core::session::Peer;

/// Every one takes a whole handshake on both sides: a debug build makes fewer.
const MANY: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };

#[test]
fn sessions_take_at_most_512_bytes_each() {
    let _alone = crate::alone();
    let mut buf = vec![0; 1500];
    let (mut hub, key) = room(HUB, 1, MANY);
    let before = heap();
    for n in 0..MANY {
        let (mut sensor, _) = room(&format!("jis:home:sensor-{n:012}"), 2 + n as u64, 1);
        let now = at(1000 + n as u64 / 1000);
        sensor.connect(now, &Peer::pinned(HUB, key), paths()[0], b"").expect("a session");
        let [_, up] = talk(now, &mut sensor, &mut hub, &mut buf);
        assert!(up.is_some(), "session {n}");
    }
    assert_eq!((hub.len(), hub.half_open()), (MANY, 0));
    let after = heap();
    let each = [(after.live - before.live) / MANY, (after.held - before.held) / MANY];
    println!("{} bytes a session, {} with malloc's overhead", each[0], each[1]);
    assert!(each[0] > 128, "their keys and names alone take more: {each:?}");
    assert!(each[1] <= 512, "{each:?}");
    // Looking after them all costs no memory, and they end together.
    hub.handle_timeout(at(170_000));
    assert_eq!(hub.len(), MANY);
    hub.handle_timeout(at(182_000));
    while hub.poll_event().is_some() {}
    assert!(hub.is_empty());
}
