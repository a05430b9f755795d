//! Thousands of simulated networks: what the command `swarm` does.
//!
//! * [`args`]: the command line.
//! * [`mux`]: the scenario of that name, on native mux connections.
//! * [`record`]: a run in a file.
//! * [`relay`]: the scenario of that name, on nodes that relay.
//! * [`run`]: worlds, seed by seed, on one thread or several.
//! * [`signal`]: the scenario of that name, which has machines of its own.
//! * [`show`]: progress, the table, JSON, and the command that replays a failure.

pub mod args;
pub mod mux;
pub mod record;
pub mod relay;
pub mod run;
pub mod show;
pub mod signal;

/// What the command prints with `--help`.
pub const HELP: &str = "\
Run simulated networks of Sluis nodes, one for each seed, and check what must hold of every node after every event.

Usage: swarm --scenario NAME --nodes N --seeds A..B [options]

      --scenario NAME    random, star, storm, partition, restart, heartbeat, adversary, or signal: pairs
                         at MQTT brokers that lie, lose, repeat, hang and die, or mux: pairs at a hub that
                         alters, drops, repeats and swaps what it carries, over connections that are cut, or lan: devices that are
                         found by name while they roam, mappings expire, addresses are stolen, a registry
                         lies and a thousand strangers call at once, or relay: a mesh of relays that crash and
                         are parted, among foes that change what passes, swallow it, work together and flood,
                         or mesh: relays alone, that have heard of each other, with a tenth of all datagrams lost
                         and a twentieth of all relays down, to see what comes through and what that takes
      --nodes N          nodes under test
      --channels N       of mux: channels of each pair, 1 to 4000 [2]
      --seeds A..B       seeds from A up to but without B
      --virtual S        virtual seconds for each seed [60]
      --encoding NAME    postcard, json or msgpack [postcard]
      --jobs N           threads, each with a world of its own [1]
      --fault NAME       switch a protection of the nodes off, to see that it is missed:
                         no-replay-check, any-responder, answer-rood, no-table-cap; of restart and
                         adversary forget-floor; of adversary no-signature-check, no-cookie,
                         no-session-replay, accept-downgrade; of signal no-dedupe, ack-early, no-resubscribe,
                         no-pong-check, accept-downgrade; of mux no-tag, no-credit, ack-early;
                         of relay no-hop-cap, poisonable-seen, blame-neighbour, no-split-horizon
      --record FILE      write the run of the one seed that is given to FILE: every datagram with .pcapng,
                         every input and output of every node with .jsonl, for `sluis replay FILE --node N`
      --json             one object a line on stdout; the last is the summary
  -h, --help             this

Exit status: 0 when everything held, 1 when something did not or could not be recorded, 2 when there is no such network.

Example: swarm --scenario random --nodes 100 --seeds 0..1000
";
