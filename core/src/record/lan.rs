//! What a node is told about the local network, in a recording; and what it tells.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::line::Line;
use super::read::{BadRecord, Object};
use crate::discovery::{DiscoveryConfig, RuleDraft};
use crate::node::{Command, LanConfig, LanNews};

/// How a choice is written.
const fn yes(choice: bool) -> &'static str {
    if choice { "yes" } else { "no" }
}

fn texts<T: AsRef<str>>(texts: &[T]) -> Vec<&str> {
    texts.iter().map(AsRef::as_ref).collect()
}

pub(super) fn write_config<'l>(line: &'l mut Line, config: &LanConfig) -> &'l mut Line {
    let LanConfig { discovery, device_type, capabilities, addresses, query, admits, trust, max_news } = config;
    let DiscoveryConfig {
        domain,
        interval,
        delay,
        answers,
        spread,
        query_answers,
        max_neighbours,
        max_per_address,
        max_answers,
    } = discovery;
    let addresses: Vec<String> = addresses.iter().map(|addr| addr.to_string()).collect();
    line.text("domain", domain)
        .span("interval", Some(*interval))
        .span("delay", Some(*delay))
        .number("answers", u64::from(*answers))
        .span("spread", Some(*spread))
        .number("query_answers", u64::from(*query_answers))
        .number("max_neighbours", *max_neighbours as u64)
        .number("max_per_address", *max_per_address as u64)
        .number("max_answers", *max_answers as u64)
        .text("device_type", device_type)
        .texts("capabilities", &texts(capabilities))
        .texts("addresses", &texts(&addresses))
        .text("query", yes(*query))
        .text("admits", yes(*admits))
        .float("trust", *trust)
        .number("max_news", *max_news as u64)
}

pub(super) fn read_config(line: Object<'_>) -> Result<LanConfig, BadRecord> {
    let discovery = DiscoveryConfig {
        domain: line.text("domain")?.into(),
        interval: line.sure_span("interval")?,
        delay: line.sure_span("delay")?,
        answers: line.number("answers")?,
        spread: line.sure_span("spread")?,
        query_answers: line.number("query_answers")?,
        max_neighbours: line.number("max_neighbours")?,
        max_per_address: line.number("max_per_address")?,
        max_answers: line.number("max_answers")?,
    };
    let address = |text: String| text.parse().map_err(|_| BadRecord("has an address that cannot be read"));
    Ok(LanConfig {
        discovery,
        device_type: line.text("device_type")?.into(),
        capabilities: line.texts("capabilities")?.into_iter().map(Into::into).collect(),
        addresses: line.texts("addresses")?.into_iter().map(address).collect::<Result<_, _>>()?,
        query: line.text("query")? == "yes",
        admits: line.text("admits")? == "yes",
        trust: line.parsed("trust")?,
        max_news: line.number("max_news")?,
    })
}

pub(super) fn write_rule<'l>(line: &'l mut Line, rule: &RuleDraft<'_>) -> &'l mut Line {
    line.text("name", rule.name)
        .maybe("device_type", rule.device_type)
        .texts("required_capabilities", rule.required_capabilities)
        .maybe("source_pattern", rule.source_pattern)
        .text("any", yes(rule.any))
        .maybe("pod", rule.pod)
}

pub(super) fn read_rule(line: Object<'_>, command: &mut dyn FnMut(&Command<'_>)) -> Result<(), BadRecord> {
    let (name, required) = (line.text("name")?, line.texts("required_capabilities")?);
    let (device_type, source, pod) = (line.maybe("device_type")?, line.maybe("source_pattern")?, line.maybe("pod")?);
    command(&Command::AddAutoVouch(RuleDraft {
        name: &name,
        device_type: device_type.as_deref(),
        required_capabilities: &texts(&required),
        source_pattern: source.as_deref(),
        any: line.text("any")? == "yes",
        pod: pod.as_deref(),
    }));
    Ok(())
}

pub(super) fn write_news<'l>(line: &'l mut Line, news: &LanNews) -> &'l mut Line {
    match news {
        LanNews::Found(found) => {
            line.text("event", "found").text("did", &found.did).show("addr", &found.addr);
            line.maybe("key", found.key.map(|key| key.to_string()).as_deref()).text("zone", found.zone.as_str());
            line.span("rtt", found.rtt)
        }
        LanNews::Gone { did, addr } => line.text("event", "gone").text("did", did).show("addr", addr),
        LanNews::Beacon(called) => {
            line.text("event", "beacon").text("did", &called.did).show("addr", &called.from);
            if let Some(id) = called.wait {
                line.number("wait", id.number()).number("slot", id.slot.to_bits());
            }
            line.text("decision", called.decision.name())
        }
    }
}
