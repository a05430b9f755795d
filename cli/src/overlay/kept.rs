//! What a state directory knows of devices: shown, given out, and taken in from elsewhere.

use std::path::Path;
use std::process::ExitCode;

use sluis_core::framing::{Text, Value};
use sluis_core::node::{Node, NodeConfig, OverlayConfig};
use sluis_core::pins::Pins;
use sluis_core::registry::{Address, Device, Heard, Record, Registry, RegistryConfig};
use sluis_core::{Did, check_did};
use sluis_store::Store;

use super::view;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::json::Object;
use crate::output::{Color, Out};
use crate::{files, run, state};

/// The longest file that is taken in.
const MAX_FILE: usize = 512 << 20;

/// A node that has all that was kept, for its rooms to be looked at.
fn node(store: &mut Store) -> Result<Node, Fail> {
    let mut config = NodeConfig::new(Did::new("jis:sluis:overlay").map_err(Fail::runtime)?);
    config.overlay = Some(OverlayConfig::default().into());
    let mut node = run::node(config)?;
    state::restore(store, &mut node)?;
    Ok(node)
}

/// The devices that are known, in the order of their names.
fn devices(node: &Node) -> Vec<Device<'_>> {
    let mut devices: Vec<_> = node.registry().into_iter().flat_map(Registry::iter).collect();
    devices.sort_unstable_by_key(Device::did);
    devices
}

/// Print every device.
pub(super) fn status(common: Common, dir: &Path) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false).timed();
    let node = node(&mut state::open_kept(dir)?)?;
    let wall = run::wall();
    for device in devices(&node) {
        let (key, endpoint) = (device.key().fingerprint().to_string(), device.endpoint().map(|at| at.to_string()));
        let (score, current) = (device.fira(wall).score, device.is_current(wall));
        out.event(
            "device",
            |o| {
                let o = o.str("did", device.did()).maybe("endpoint", endpoint.as_deref()).str("fingerprint", &key);
                let o = o.raw("seq", device.seq()).raw("expires", device.expires()).raw("current", current);
                o.raw("score", score).raw("revoked", device.is_revoked()).raw("proven", true)
            },
            |flow| {
                flow.quoted("", Text::new(device.did())).words(endpoint.as_deref().unwrap_or("without an endpoint"));
                flow.text(Color::Plain, &key).words(&format!("score {score}"));
                if device.is_revoked() {
                    flow.text(Color::Red, "REVOKED");
                } else if !current {
                    flow.text(Color::Yellow, "over");
                }
            },
        );
    }
    for (did, endpoint) in node.unproven_names() {
        show_unproven(&mut out, "device", did, endpoint);
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

fn show_unproven(out: &mut Out, event: &str, did: &str, endpoint: &str) {
    let endpoint = Some(endpoint).filter(|at| !at.is_empty());
    out.event(
        event,
        |o| o.str("did", did).maybe("endpoint", endpoint).raw("proven", false),
        |flow| {
            flow.quoted("", Text::new(did)).words(endpoint.unwrap_or("without an endpoint"));
            flow.text(Color::Yellow, "unproven: nothing in it is signed");
        },
    );
}

/// Print every record, one a line.
pub(super) fn export(common: Common, dir: &Path) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false);
    let node = node(&mut state::open_kept(dir)?)?;
    let mut text = [0; Record::MAX_TEXT];
    for device in devices(&node) {
        let Some(record) = device.record() else { continue };
        let text = record.to_text(&mut text);
        out.line(|line, _| {
            Object::new(line).str("type", "sluis-record").str("did", device.did()).str("record", text).end();
        });
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

/// Take in what another registry knows.
pub(super) fn import(common: Common, file: &Path, dir: &Path) -> Result<ExitCode, Fail> {
    let wrong = |why: &dyn std::fmt::Display| Fail::runtime(format!("cannot take in {}: {why}", file.display()));
    let text = files::read_text(file, MAX_FILE).map_err(|why| wrong(&why))?;
    let mut store = state::open(dir)?;
    let mut intake = Intake::new(&mut store, Out::new(common, false).timed())?;
    match Value::from_json(text.trim()) {
        Ok(value) if value.get("record").is_none() => intake.reference(value)?,
        _ => {
            for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let value = Value::from_json(line.trim());
                let value = value.map_err(|why| wrong(&format!("line {}: {why}", n + 1)))?;
                intake.record(value, n + 1)?;
            }
        }
    }
    if intake.taken + intake.refused == 0 {
        return Err(wrong(&"it holds neither records nor a registry of the reference"));
    }
    let refused = intake.refused;
    intake.out.finish().map_err(|why| Fail::output(&why))?;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Intake<'s> {
    store: &'s mut Store,
    registry: Registry,
    pins: Pins,
    out: Out,
    taken: u64,
    refused: u64,
}

impl<'s> Intake<'s> {
    fn new(store: &'s mut Store, out: Out) -> Result<Self, Fail> {
        let pins = state::pins(store)?;
        let mut registry = Registry::new(RegistryConfig::default(), run::seed()?.fork("cli.registry").sip_key());
        state::each(store, |key, value| registry.restore(key, value, false).map(|_| true))?;
        Ok(Self { store, registry, pins, out, taken: 0, refused: 0 })
    }

    /// A record: its signature says that it is its device's, and what is newer stays.
    fn record(&mut self, value: Value<'_>, line: usize) -> Result<(), Fail> {
        let text = value.get("record").and_then(Value::as_text).map(Text::to_cow).unwrap_or_default();
        let mut buf = [0; Record::MAX_LEN];
        let record = Record::from_text(&text, &mut buf).map(Record::read);
        let registered = match record {
            None => Err("it is no record".to_owned()),
            Some(Err(why)) => Err(why.to_string()),
            Some(Ok(record)) => {
                let claims = *record.claims();
                let taken = self.registry.register(run::wall(), &record, Heard::PassedOn, &self.pins);
                taken.map(|registered| (claims, registered)).map_err(|why| format!("{}: {why}", claims.did))
            }
        };
        match registered {
            Ok((claims, registered)) => {
                state::keep_record(self.store, registered.change.record())?;
                self.taken += 1;
                let endpoint = claims.endpoints().next().map(|at| at.to_string());
                view::registered(&mut self.out, claims.did, endpoint.as_deref(), (claims.seq, claims.expires));
            }
            Err(why) => {
                self.refused += 1;
                self.out.event(
                    "refused",
                    |o| o.raw("line", line).str("reason", &why),
                    |flow| {
                        flow.word(Color::Red, "refused:").words(&format!("line {line}: {why}"));
                    },
                );
            }
        }
        Ok(())
    }

    /// Identities of the reference: an object for each, in a list or by their names. None of it is signed, so it is no more than where somebody was said to be.
    fn reference(&mut self, value: Value<'_>) -> Result<(), Fail> {
        let inner = value.get("identities").or_else(|| value.get("devices")).unwrap_or(value);
        for entry in objects(inner) {
            let Some(did) = entry.get("did").and_then(Value::as_text).map(Text::to_cow) else { continue };
            if check_did(&did).is_err() {
                self.refused += 1;
                continue;
            }
            let network = entry.get("network");
            let ip = network.and_then(|network| network.get("last_known_ip")?.as_text()).map(Text::to_cow);
            let port = network.and_then(|network| network.get("last_known_port")?.as_number());
            let endpoint = ip.zip(port).map(|(ip, port)| match ip.contains(':') {
                true => format!("[{ip}]:{}", port.to_f64()),
                false => format!("{ip}:{}", port.to_f64()),
            });
            let endpoint = endpoint.filter(|text| Address::parse(text).is_ok()).unwrap_or_default();
            let mut key = vec![b'u'];
            key.extend_from_slice(did.as_bytes());
            // Who has a record already is known better.
            if self.registry.get(&did).is_none() {
                state::keep_record(self.store, Some((&key, Some(endpoint.as_bytes()))))?;
            }
            self.taken += 1;
            show_unproven(&mut self.out, "imported", &did, &endpoint);
        }
        Ok(())
    }
}

/// The objects with a DID in a list, or behind the keys of an object.
fn objects(value: Value<'_>) -> Vec<Value<'_>> {
    let json = value.as_json().unwrap_or_default();
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut start = None;
    let mut escaped = false;
    let mut text = false;
    let own = usize::from(value.is_object());
    for (at, c) in json.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if text => escaped = true,
            '"' => text = !text,
            '{' if !text => {
                depth += 1;
                if depth == own + 1 {
                    start = Some(at);
                }
            }
            '}' if !text => {
                if depth == own + 1
                    && let Some(object) = start.take().and_then(|start| json.get(start..=at))
                {
                    found.extend(Value::from_json(object));
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    // One identity alone.
    if value.get("did").is_some() { vec![value] } else { found }
}
