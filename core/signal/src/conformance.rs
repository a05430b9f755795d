//! What every adapter holds with a rendezvous behind a handle.

use std::string::ToString as _;
use std::vec::Vec;

use sluis_core::driver::{Events, Handle};
use sluis_core::time::Duration;
use sluis_core::{Security, Seed};

use crate::broker::Settings;
use crate::key::SecretKey;
use crate::rank::{Family, Weight};
use crate::rendezvous::{Config, Event, NotDelivered, PipeError, Place, Rendezvous, Signalling as _};

/// Two nodes at a broker on 127.0.0.1: a message through a pipe is handed over, acknowledged once it is confirmed, and not before.
///
/// # Panics
/// Where that does not hold.
pub async fn a_pipe_delivers(port: u16, spawn: impl Fn(Config) -> (Handle<Rendezvous>, Events<Rendezvous>)) {
    let key = |n: u64| SecretKey::generate(&mut Seed::from_u64(n).fork("conformance"));
    let place = || Place {
        family: Family::V4,
        host: "127.0.0.1".to_string(),
        port,
        weight: Weight::ONE,
        security: Security::Plain,
        settings: Settings::default(),
    };
    let node = |n| spawn(Config::new(key(n), Vec::from([place()])));
    let ((alice, _alice_events), (bob, mut bob_events)) = (node(1), node(2));
    let pipe = alice.pipe(key(2).public()).timeout(Duration::from_secs(60));
    assert_eq!(pipe.peer(), bob.with(|machine, _| machine.public_key()));
    // Several are under way at once.
    let sent: Vec<_> = ["one", "two"].map(|text| pipe.begin(text.as_bytes()).expect("room")).into();
    for text in ["one", "two"] {
        let message = loop {
            if let Event::Message(message) = bob_events.next().await.expect("the node lives") {
                break message;
            }
        };
        assert_eq!((message.key.from(), &message.body[..]), (key(1).public(), text.as_bytes()));
        assert!(bob.confirm(&message.key) && !bob.confirm(&message.key));
    }
    for sent in sent {
        assert!(sent.await.is_ok_and(|delivered| delivered.sealed));
    }
    // Nobody is there under another key.
    let nobody = alice.pipe(key(3).public()).timeout(Duration::from_millis(100));
    assert_eq!(nobody.send(&b"x"[..]).await, Err(PipeError::NotDelivered(NotDelivered::NoAck)));
    let waiting = pipe.begin(&b"never confirmed"[..]).expect("room");
    drop(alice.shutdown());
    assert!(waiting.await.is_err(), "a node that is shut down ends what is under way");
}
