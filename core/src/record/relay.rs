//! The relay of a node as it is recorded: its settings, its commands, and what traces told.

use super::line::Line;
use super::read::{BadRecord, Object};
use crate::node::{Command, NodeConfig, RelayCommand, TraceNews};
use crate::relay::{Rate, RelayConfig};

/// What a relay is told at birth, for both directions.
macro_rules! bounds {
    ($do:ident; numbers: $($number:ident),*; rates: $($rate:ident),*; spans: $($span:ident),*) => {
        $($do!(number, concat!("relay.", stringify!($number)), $number);)*
        $($do!(rate, concat!("relay.", stringify!($rate)), $rate);)*
        $($do!(span, concat!("relay.", stringify!($span)), $span);)*
    };
    ($do:ident) => {
        bounds!($do;
            numbers: max_hops, fanout, twice_from, reserved_factor, max_rates, max_seen, max_open, max_open_per_source, max_routes,
                max_neighbours, max_reservations, max_reservations_per_address, max_circuits,
                max_circuits_per_source;
            rates: source_rate, target_rate, link_rate, circuit_rate;
            spans: seen_for, answer_within, decision_within, patience, avoid_for, route_for, reservation_for,
                circuit_idle)
    };
}

/// Write the settings of a relay; nothing where there is none.
pub(super) fn write_settings(config: &NodeConfig, line: &mut Line) {
    let Some(relay) = config.relay.as_deref() else { return };
    macro_rules! write {
        (number, $name:expr, $field:ident) => {
            line.number($name, relay.$field as u64);
        };
        (rate, $name:expr, $field:ident) => {
            line.show($name, &format_args!("{}/{}", relay.$field.per_second, relay.$field.burst));
        };
        (span, $name:expr, $field:ident) => {
            line.span($name, Some(relay.$field));
        };
    }
    bounds!(write);
}

pub(super) fn read_settings(object: Object<'_>, config: &mut NodeConfig) -> Result<(), BadRecord> {
    if !object.has("relay.max_hops") {
        return Ok(());
    }
    let mut relay = RelayConfig::default();
    macro_rules! read {
        (number, $name:expr, $field:ident) => {
            relay.$field = object.number($name)?;
        };
        (rate, $name:expr, $field:ident) => {
            relay.$field = rate(&object.text($name)?)?;
        };
        (span, $name:expr, $field:ident) => {
            relay.$field = object.sure_span($name)?;
        };
    }
    bounds!(read);
    config.relay = Some(relay.into());
    Ok(())
}

fn rate(text: &str) -> Result<Rate, BadRecord> {
    let parts = text.split_once('/').and_then(|(each, burst)| Some((each.parse().ok()?, burst.parse().ok()?)));
    let (per_second, burst) = parts.ok_or(BadRecord("has a rate that is none"))?;
    Ok(Rate::new(per_second, burst))
}

pub(super) fn write_command<'l>(line: &'l mut Line, command: &RelayCommand<'_>) -> &'l mut Line {
    match *command {
        RelayCommand::RelayFor(pattern) => line.text("in", "relay_for").text("pattern", pattern),
        RelayCommand::StopRelayingFor(pattern) => line.text("in", "stop_relaying_for").text("pattern", pattern),
        RelayCommand::SetNeighbour { did, path, score } => {
            line.text("in", "set_neighbour").text("did", did).path(path).float("score", score)
        }
        RelayCommand::RemoveNeighbour(did) => line.text("in", "remove_neighbour").text("did", did),
        RelayCommand::ReserveAt { did, path } => line.text("in", "reserve_at").text("did", did).path(path),
        RelayCommand::AddAddress(at) => line.text("in", "add_address").show("addr", &at),
    }
}

/// Read a command of the relay; false when this is none.
pub(super) fn read_command(
    name: &str,
    line: Object<'_>,
    command: &mut dyn FnMut(&Command<'_>),
) -> Result<bool, BadRecord> {
    let mut tell = |relay: RelayCommand<'_>| command(&Command::Relay(relay));
    match name {
        "relay_for" => tell(RelayCommand::RelayFor(&line.text("pattern")?)),
        "stop_relaying_for" => tell(RelayCommand::StopRelayingFor(&line.text("pattern")?)),
        "set_neighbour" => {
            let (did, score) = (line.text("did")?, line.parsed("score")?);
            tell(RelayCommand::SetNeighbour { did: &did, path: line.path()?, score });
        }
        "remove_neighbour" => tell(RelayCommand::RemoveNeighbour(&line.text("did")?)),
        "reserve_at" => tell(RelayCommand::ReserveAt { did: &line.text("did")?, path: line.path()? }),
        "add_address" => tell(RelayCommand::AddAddress(line.parsed("addr")?)),
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn write_news<'l>(line: &'l mut Line, news: &TraceNews) -> &'l mut Line {
    line.text("event", "trace").text("did", &news.did).text("packet_id", &news.packet_id).path(news.from);
    if let Some(request) = news.request {
        line.number("request", request.to_bits());
    }
    line.show("hops", &format_args!("{:?}", news.hops)).show("tampered", &format_args!("{:?}", news.tampered))
}
