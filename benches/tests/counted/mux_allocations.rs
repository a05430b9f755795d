//! A message of a native channel costs no heap allocation, at neither end and not at the hub between them.

use sluis_benches::alloc::calls_in;
use sluis_benches::mux::{Agents, Channels};

#[test]
fn messages_of_channels_cost_none() {
    for tags in [false, true] {
        let mut channels = Channels::new(10, tags);
        assert!(calls_in(|| channels = Channels::new(10, tags)) > 0, "nothing is counted");
        for size in [0, 128, 4096] {
            channels.run(2000, size);
            // Fewer than between two signatures of a channel.
            let cost = calls_in(|| _ = channels.run(1000, size));
            assert_eq!(cost, 0, "{size} bytes, tags: {tags}");
        }
    }
}

#[test]
fn messages_through_a_hub_cost_none() {
    for key in [None, Some([1; 32])] {
        let mut agents = Agents::new();
        agents.join("alice", key);
        agents.join("bob", key.map(|_| [2; 32]));
        agents.open("bob");
        (0..200).for_each(|_| agents.send(10, &[7; 300]));
        let cost = calls_in(|| (0..100).for_each(|_| agents.send(10, &[7; 300])));
        assert_eq!(cost, 0, "signed: {}", key.is_some());
    }
}
