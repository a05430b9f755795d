//! What `tracing` is told: spans and reasons, and nothing of what is in a datagram.
//!
//! A program of its own: whether anybody listens is asked once for all threads, when a place is first passed.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use sluis_core::framing::{Encoding, Message, Packet, Text, Value};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Node, NodeConfig};
use sluis_core::{Datagrams, Did, Instant, Now, Path, Reject, Seed, Wall};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes everything down.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn note(&self, metadata: &Metadata<'_>, fields: impl FnOnce(&mut Shown<'_>)) {
        let mut text = self.0.lock().unwrap();
        let _ = write!(text, "{} {}", metadata.level(), metadata.name());
        fields(&mut Shown(&mut text));
        text.push('\n');
    }
}

struct Shown<'a>(&'a mut String);

impl Visit for Shown<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.note(span.metadata(), |shown| span.record(shown));
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        self.note(event.metadata(), |shown| event.record(shown));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_span_a_reason_and_nothing_of_what_is_inside() {
    let log = Log::default();
    let mut hub = Node::new(NodeConfig::new(Did::new("jis:hub").unwrap()), &Seed::from_u64(1)).unwrap();
    let packet = Packet {
        packet_id: Text::new("ping_1"),
        source_did: Text::new("jis:secret:sender"),
        target_did: Text::new("jis:other"),
        intent: Text::new("secret.intent"),
        payload: Value::from_json(r#"{"code":"secret"}"#).unwrap(),
        ..Packet::default()
    };
    let mut datagram = vec![0; MAX_DATAGRAM_V6];
    let len = Message::Packet(packet).encode(Encoding::Json, &mut datagram).unwrap();
    let now = Now::new(Instant::ZERO, Wall::from_micros(0));
    let taken = tracing::subscriber::with_default(log.clone(), || {
        hub.handle_datagram(now, Path::to(([192, 0, 2, 7], 7150).into()), &mut datagram[..len])
    });
    assert_eq!(taken, Err(Reject::NotForUs));
    let text = log.0.lock().unwrap().clone();
    assert!(text.contains(&format!("TRACE datagram remote=192.0.2.7:7150 socket=0 len={len}\n")), "{text}");
    assert!(text.contains("reason=\"not_for_us\""), "{text}");
    assert!(text.lines().any(|line| line.starts_with("DEBUG ")) && !text.contains("secret"), "{text}");
}
