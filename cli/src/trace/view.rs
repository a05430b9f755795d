//! What a trace told, as events.

use sluis_core::framing::Text;
use sluis_core::node::{Reservation, Tampering, TraceNews};
use sluis_core::relay::trace::{Field, Verdict};

use crate::output::escape::in_quotes;
use crate::output::{Color, Out, json};

/// Tell the way that a ping took, and who changed it.
pub(crate) fn tell(out: &mut Out, news: &TraceNews) {
    let relays = relays(news);
    let via = if relays == Some(0) { "direct" } else { "relayed" };
    out.event(
        "path",
        |o| {
            let hops = relays.map_or_else(|| "null".to_owned(), |n| n.to_string());
            o.str("did", &news.did).str("packet_id", &news.packet_id).str("via", via).raw("hops", hops)
        },
        |flow| {
            flow.word(Color::Bold, "path").quoted("", Text::new(&news.did));
            match relays {
                Some(0) => flow.words("with no relay between"),
                Some(1) => flow.words("over 1 relay"),
                Some(n) => flow.words(&format!("over {n} relays")),
                None => flow.words("over relays that signed nothing"),
            };
        },
    );
    news.tampered.iter().for_each(|tampered| tell_tampered(out, news, tampered));
}

/// Tell whether a relay passes on what is for this node.
pub(crate) fn tell_reservation(out: &mut Out, news: &Reservation) {
    let lasts = news.lasts.map(|lasts| lasts.as_secs());
    out.event(
        "reservation",
        |o| {
            let lasts = lasts.map_or_else(|| "null".to_owned(), |n| n.to_string());
            o.str("relay", &news.relay).addr("addr", news.path.remote).raw("lasts_s", lasts)
        },
        |flow| {
            match lasts {
                Some(_) => flow.word(Color::Bold, "reached").words("over"),
                None => flow.word(Color::Red, "not reached").words("over"),
            };
            flow.quoted("", Text::new(&news.relay)).words(&format!("at {}", news.path.remote));
        },
    );
}

fn tell_tampered(out: &mut Out, news: &TraceNews, tampered: &Tampering) {
    let Tampering { relay, between: (before, behind), field, .. } = tampered;
    let what = field_name(*field);
    out.event(
        "tampered",
        |o| {
            o.maybe("relay", relay.as_deref())
                .with("between", |line| {
                    line.push(b'[');
                    json::put_maybe(line, before.as_deref());
                    line.push(b',');
                    json::put_maybe(line, behind.as_deref());
                    line.push(b']');
                })
                .str("field", what)
                .str("did", &news.did)
                .str("packet_id", &news.packet_id)
        },
        |flow| {
            let end = |did: &Option<Box<str>>, none: &str| {
                did.as_deref().map_or_else(|| none.to_owned(), |did| in_quotes(Text::new(did)))
            };
            flow.word(Color::Red, "changed:");
            match relay {
                Some(relay) => flow.quoted("", Text::new(relay)).words(&format!("changed the packet ({what})")),
                None => flow.words(&format!(
                    "the packet was changed ({what}) between {} and {}, by one of them or somebody between",
                    end(before, "its source"),
                    end(behind, "here")
                )),
            };
        },
    );
}

/// Over how many relays a ping went; none where nobody can tell.
pub(crate) fn relays(news: &TraceNews) -> Option<u8> {
    match news.hops.iter().find(|hop| hop.turn) {
        Some(turn) => Some(turn.n.saturating_sub(1)),
        None if news.request.is_some() => None,
        None => news.hops.last().map(|hop| hop.n.saturating_add(hop.count).saturating_sub(1)),
    }
}

const fn field_name(field: Field) -> &'static str {
    match field {
        Field::HopCount => "hop_count",
        Field::Trace => "trace",
        _ => "content",
    }
}

/// What is thought of a hop, in one word. Of a folded one it is known that it was there, and nothing else.
pub(super) const fn verdict_name(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Ok) => "ok",
        Some(Verdict::Changed) => "changed",
        Some(Verdict::Folded) => "folded",
        Some(_) => "unsigned",
        None => "silent",
    }
}
