//! How what is heard on the local network looks, as JSON and for people. Words of strangers are made safe on the way.

use std::io::Write as _;

use sluis_core::framing::Text;
use sluis_core::identity::PublicKey;
use sluis_core::node::{BeaconDecision, Called, Found, LanNews, WaitId};

use crate::output::json::Object;
use crate::output::{Color, Flow, Out};
use crate::view::millis;

/// Tell it.
pub(crate) fn tell(out: &mut Out, news: &LanNews) {
    match news {
        LanNews::Found(found) => out.event("found", |o| found_json(o, found), |flow| found_text(flow, found)),
        LanNews::Gone { did, addr } => out.event(
            "gone",
            |o| o.str("did", did).addr("addr", *addr),
            |flow| {
                flow.word(Color::Yellow, "gone").quoted("", Text::new(did)).words(&format!("from {addr}"));
            },
        ),
        LanNews::Beacon(called) => out.event("beacon", |o| called_json(o, called), |flow| called_text(flow, called)),
        _ => {}
    }
}

fn fingerprint(key: Option<PublicKey>) -> Option<String> {
    key.map(|key| key.fingerprint().to_string())
}

/// Texts as a JSON array.
fn texts<'l>(object: Object<'l>, key: &str, texts: &[Box<str>]) -> Object<'l> {
    object.with(key, |line| {
        line.push(b'[');
        for (n, text) in texts.iter().enumerate() {
            if n > 0 {
                line.push(b',');
            }
            crate::output::json::put_text(line, Text::new(text));
        }
        line.push(b']');
    })
}

fn found_json<'l>(object: Object<'l>, found: &Found) -> Object<'l> {
    let object = object.str("did", &found.did).addr("addr", found.addr);
    texts(object, "capabilities", &found.capabilities)
        .str("device_type", &found.device_type)
        .maybe("fingerprint", fingerprint(found.key).as_deref())
        .str("zone", found.zone.as_str())
        .rounded("rtt_ms", found.rtt.map(millis), 3)
}

fn found_text(flow: &mut Flow<'_>, found: &Found) {
    let word = if found.from.is_some() { "moved" } else { "found" };
    flow.word(Color::Green, word).quoted("", Text::new(&found.did)).words(&format!("at {}", found.addr));
    flow.quoted("a ", Text::new(&found.device_type));
    if !found.capabilities.is_empty() {
        flow.quoted("can ", Text::new(&found.capabilities.join(", ")));
    }
    match fingerprint(found.key) {
        Some(fingerprint) => flow.text(Color::Plain, &fingerprint),
        None => flow.text(Color::Yellow, "unsigned"),
    };
    if let Some(rtt) = found.rtt {
        flow.piece(Color::Plain, |line| drop(write!(line, "{:.1} ms", millis(rtt))));
    }
}

fn called_json<'l>(object: Object<'l>, called: &Called) -> Object<'l> {
    let object = match called.wait.map(WaitId::number) {
        Some(number) => object.raw("wait", number),
        None => object.raw("wait", "null"),
    };
    let object = object
        .str("did", &called.did)
        .maybe("fingerprint", fingerprint(called.key).as_deref())
        .str("device_type", &called.device_type);
    let (rule, pod) = match &called.decision {
        BeaconDecision::AutoVouched { rule, pod } => (Some(&**rule), pod.as_deref()),
        _ => (None, None),
    };
    texts(object, "capabilities", &called.capabilities)
        .addr("from", called.from)
        .str("decision", called.decision.name())
        .maybe("rule", rule)
        .maybe("pod", pod)
}

fn called_text(flow: &mut Flow<'_>, called: &Called) {
    let (color, word) = match &called.decision {
        BeaconDecision::AutoVouched { .. } => (Color::Green, "let in"),
        BeaconDecision::Pending => (Color::Yellow, "wants in"),
        _ => (Color::Yellow, "unproven"),
    };
    flow.word(color, word).quoted("", Text::new(&called.did)).words(&format!("at {}", called.from));
    flow.quoted("a ", Text::new(&called.device_type));
    if let Some(fingerprint) = fingerprint(called.key) {
        flow.text(Color::Plain, &fingerprint);
    }
    match (&called.decision, called.wait.map(WaitId::number)) {
        (BeaconDecision::AutoVouched { rule, .. }, _) => _ = flow.quoted("by the rule ", Text::new(rule)),
        (_, Some(number)) => _ = flow.text(Color::Bold, &format!("approve {number} or reject {number}")),
        _ => _ = flow.words("it signs nothing: there is no key to pin"),
    }
}
