//! Whether a reply can be sent to somebody new: an address that has not proven itself gets at most three times what it sent.

use sluis_core::airlock::GateConfig;
use sluis_core::framing::{Decision, Encoding, Number, Response, Text, Value, Zone};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{NodeConfig, Ping};
use sluis_core::{Datagrams as _, Did, Now, Wall};

use crate::fail::Fail;
use crate::run;

/// Bytes for every byte of an address that has not proven itself.
const AMPLIFICATION: usize = 3;
/// A time that is written in full length.
const NOW: Wall = Wall::from_micros(1_767_225_599_123_456);

/// Refuse a reply that no new sender would get: the answer is longer than what its ping allows. The ping is one of `sluis ping` in
/// JSON, with nothing in it that could be left out.
pub(super) fn check(what: &str, hub: &Did, intent: &str, reply: Value<'_>) -> Result<(), Fail> {
    let (asked, answer) = (asked(hub, intent)?, answered(hub, reply)?);
    let most = asked * AMPLIFICATION;
    if answer <= most {
        return Ok(());
    }
    Err(Fail::usage(format!(
        "{what}: an answer with it takes {answer} bytes, and an address that has not proven itself is sent at most {most} \
         (three times a ping of {asked}); shorten it"
    )))
}

/// Bytes of a ping.
fn asked(hub: &Did, intent: &str) -> Result<usize, Fail> {
    let mut node = run::node(NodeConfig::new(Did::new("jis:sluis:ping-00000000").map_err(Fail::runtime)?))?;
    let now = Now { wall: NOW, ..Now::default() };
    let intent = intent.trim_end_matches('*').trim_end_matches('.');
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let ping = Ping::new(hub.as_str(), nowhere, if intent.is_empty() { "a" } else { intent });
    node.ping(now, &ping).map_err(Fail::runtime)?;
    Ok(node.poll_transmit(now, &mut [0; MAX_DATAGRAM_V6]).map_or(0, |out| out.len))
}

/// Bytes of an answer.
fn answered(hub: &Did, reply: Value<'_>) -> Result<usize, Fail> {
    let response = Response {
        response_id: Text::new("resp_0123456789abcdef"),
        in_response_to: Text::new("ping_0123456789abcdef"),
        responder_did: Text::new(hub.as_str()),
        decision: Decision::Accept,
        payload: reply,
        trust_score: Number::Float(GateConfig::default().groen),
        fira_breakdown: Value::from_json(r#"{"score":0.7,"source":"known"}"#).map_err(Fail::runtime)?,
        timestamp: Text::new("2026-01-01T00:00:00.000000+00:00"),
        airlock_zone: Text::new(Zone::Groen.as_str()),
        ..Response::default()
    };
    // One that fits no datagram is refused as a reply anyway.
    let mut out = vec![0; 2 * MAX_DATAGRAM_V6];
    response.encode(Encoding::Json, &mut out).map_err(Fail::usage)
}

#[cfg(test)]
mod tests {
    use sluis_core::Machine as _;
    use sluis_core::framing::ValueBuf;
    use sluis_core::node::Reply;

    use super::*;

    #[test]
    fn sizes_are_those_of_real_packets() {
        let did = |name: &str| Did::new(name).unwrap();
        let hub_did = did("jis:home:hub");
        let reply = Value::from_json(r#"{"celsius":21.5}"#).unwrap();
        let now = Now { wall: NOW, ..Now::default() };
        let asker = "jis:sluis:ping-00000000";
        let mut hub = run::node(NodeConfig::new(hub_did.clone())).unwrap();
        hub.set_trust(asker, 0.7).unwrap();
        hub.allow_legacy("*").unwrap();
        hub.set_reply("*", Reply::Now(ValueBuf::new(reply).unwrap())).unwrap();
        let mut node = run::node(NodeConfig::new(did(asker))).unwrap();
        let from = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        node.ping(now, &Ping::new(hub_did.as_str(), from, "temperature")).unwrap();
        let mut buffer = [0; MAX_DATAGRAM_V6];
        let len = node.poll_transmit(now, &mut buffer).unwrap().len;
        assert_eq!(asked(&hub_did, "temperature.*").unwrap(), len);
        hub.handle_datagram(now, from.into(), &mut buffer[..len]).unwrap();
        let answer = hub.poll_transmit(now, &mut buffer).unwrap().len;
        assert_eq!(answered(&hub_did, reply).unwrap(), answer);
        hub.poll_event();
        check("--reply", &hub_did, "*", reply).unwrap();
    }
}
