//! The overlay of a node as it is recorded: its settings, its commands and what it tells.

use alloc::string::String;
use alloc::vec::Vec;

use super::line::Line;
use super::read::{BadRecord, Object};
use crate::airlock::SignedId;
use crate::discovery::TokenId;
use crate::node::{
    Command, NodeConfig, Operation, OperationError, OperationId, OperationOutcome, OverlayCommand, OverlayConfig,
    OverlayNews, Profile,
};
use crate::registry::{Address, Role};
use crate::time::Now;

/// The bounds of the overlay, for both directions.
macro_rules! bounds {
    ($do:ident; numbers: $($($number:ident).+),*; spans: $($($span:ident).+),*) => {
        $($do!(number, concat!("overlay.", stringify!($($number).+)), $($number).+);)*
        $($do!(span, concat!("overlay.", stringify!($($span).+)), $($span).+);)*
    };
    ($do:ident) => {
        bounds!($do;
            numbers: registry.max_devices, registry.max_offers, registry.max_bytes, resolve.max_local, resolve.max_queries,
                resolve.tries, max_operations, max_servers, max_tokens, max_news;
            spans: registry.max_life, registry.skew, registry.keep, resolve.ttl, resolve.timeout)
    };
}

/// Write the settings of an overlay; nothing where there is none.
pub(super) fn write_settings(config: &NodeConfig, line: &mut Line) {
    let Some(overlay) = config.overlay.as_deref() else { return };
    line.text("overlay.serve", if overlay.serve { "yes" } else { "no" });
    line.text("overlay.verify_registered", if overlay.verify_registered { "yes" } else { "no" });
    line.text("overlay.trust_score", if overlay.trust_score { "yes" } else { "no" });
    macro_rules! write {
        (number, $name:expr, $($field:ident).+) => { line.number($name, overlay.$($field).+ as u64); };
        (span, $name:expr, $($field:ident).+) => { line.span($name, Some(overlay.$($field).+)); };
    }
    bounds!(write);
}

pub(super) fn read_settings(object: Object<'_>, config: &mut NodeConfig) -> Result<(), BadRecord> {
    if !object.has("overlay.serve") {
        return Ok(());
    }
    let yes = |name| Ok::<_, BadRecord>(&*object.text(name)? == "yes");
    let mut overlay = OverlayConfig {
        serve: yes("overlay.serve")?,
        verify_registered: yes("overlay.verify_registered")?,
        trust_score: yes("overlay.trust_score")?,
        ..OverlayConfig::default()
    };
    macro_rules! read {
        (number, $name:expr, $($field:ident).+) => { overlay.$($field).+ = object.number($name)?; };
        (span, $name:expr, $($field:ident).+) => { overlay.$($field).+ = object.sure_span($name)?; };
    }
    bounds!(read);
    config.overlay = Some(overlay.into());
    Ok(())
}

pub(super) fn write_command(line: &mut Line, now: Now, command: &OverlayCommand<'_>) {
    match *command {
        OverlayCommand::SetProfile(ref profile) => write_profile(line.text("in", "set_profile").at(now), profile),
        OverlayCommand::AskRegistry { did, path } => line.text("in", "ask_registry").text("did", did).path(path),
        OverlayCommand::NameEndpoint { did, endpoint } => {
            line.text("in", "name_endpoint").text("did", did).show("endpoint", &endpoint)
        }
        OverlayCommand::Begin { ref operation, timeout } => {
            write_operation(line.text("in", "begin").at(now).span("timeout", timeout), operation)
        }
        OverlayCommand::GiveUp(id) => line.text("in", "give_up").number("operation", id.to_bits()),
        OverlayCommand::AcceptVouch(bytes) => line.text("in", "accept_vouch").at(now).hex("vouch", bytes),
        OverlayCommand::AcceptVouchRevocation(bytes) => {
            line.text("in", "accept_vouch_revocation").at(now).hex("revocation", bytes)
        }
        OverlayCommand::RemoveSignedVouch(ref id) => line.text("in", "remove_signed_vouch").at(now).hex("id", id),
        OverlayCommand::NewJoinToken { uses, life, trust } => {
            let line = line.text("in", "new_join_token").at(now).number("uses", uses.into());
            line.span("life", Some(life)).float("trust", trust)
        }
        OverlayCommand::RevokeJoinToken(ref id) => line.text("in", "revoke_join_token").hex("id", id),
    };
}

fn write_profile<'l>(line: &'l mut Line, profile: &Profile<'_>) -> &'l mut Line {
    let endpoints: Vec<String> = profile.endpoints.iter().map(|endpoint| alloc::format!("{endpoint}")).collect();
    let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    line.texts("endpoints", &endpoints)
        .texts("capabilities", profile.capabilities)
        .texts("pods", profile.pods)
        .texts("stations", profile.stations)
        .raw("behind_nat", format_args!("{}", profile.behind_nat))
        .text("role", profile.role.as_str().unwrap_or("none"))
        .span("ttl", Some(profile.ttl))
}

fn write_operation<'l>(line: &'l mut Line, operation: &Operation<'_>) -> &'l mut Line {
    match *operation {
        Operation::Register { server, path } => line.text("operation", "register").text("did", server).path(path),
        Operation::Resolve(did) => line.text("operation", "resolve").text("did", did),
        Operation::Reach(did) => line.text("operation", "reach").text("did", did),
        Operation::Find(capability) => line.text("operation", "find").text("capability", capability),
        Operation::Verify { did, key, path } => {
            line.text("operation", "verify").text("did", did);
            key.into_iter().for_each(|key| _ = line.hex("key", key.as_bytes()));
            path.into_iter().for_each(|path| _ = line.path(path));
            line
        }
        // Never the secret.
        Operation::Join { token, path } => line.text("operation", "join").hex("token", &token.id()).path(path),
    }
}

/// Read a command of the overlay; false when this is none.
pub(super) fn read_command(
    name: &str,
    line: Object<'_>,
    command: &mut dyn FnMut(&Command<'_>),
) -> Result<bool, BadRecord> {
    let mut tell = |overlay: OverlayCommand<'_>| command(&Command::Overlay(overlay));
    match name {
        "set_profile" => {
            let endpoints = line.texts("endpoints")?;
            let endpoints: Option<Vec<_>> = endpoints.iter().map(|text| Address::parse(text).ok()).collect();
            let endpoints = endpoints.ok_or(BadRecord("has an endpoint that is none"))?;
            let texts = [line.texts("capabilities")?, line.texts("pods")?, line.texts("stations")?];
            let [capabilities, pods, stations] =
                texts.each_ref().map(|t| t.iter().map(String::as_str).collect::<Vec<_>>());
            let role = [Role::None, Role::Hub, Role::Hubby, Role::Hybrid];
            let named = line.text("role")?;
            let role = role.into_iter().find(|role| role.as_str().unwrap_or("none") == named);
            let mut profile = Profile::default();
            (profile.endpoints, profile.capabilities) = (&endpoints, &capabilities);
            (profile.pods, profile.stations) = (&pods, &stations);
            profile.role = role.ok_or(BadRecord("has an unknown role"))?;
            profile.behind_nat = line.get("behind_nat").and_then(crate::data::Value::as_bool).unwrap_or(false);
            profile.ttl = line.sure_span("ttl")?;
            tell(OverlayCommand::SetProfile(profile));
        }
        "ask_registry" => tell(OverlayCommand::AskRegistry { did: &line.text("did")?, path: line.path()? }),
        "name_endpoint" => {
            let (did, endpoint) = (line.text("did")?, line.text("endpoint")?);
            let endpoint = Address::parse(&endpoint).map_err(|_| BadRecord("has an endpoint that is none"))?;
            tell(OverlayCommand::NameEndpoint { did: &did, endpoint });
        }
        "begin" => read_begin(line, &mut tell)?,
        "give_up" => tell(OverlayCommand::GiveUp(OperationId::from_bits(line.u64("operation")?))),
        "accept_vouch" => tell(OverlayCommand::AcceptVouch(&line.hex("vouch")?)),
        "accept_vouch_revocation" => tell(OverlayCommand::AcceptVouchRevocation(&line.hex("revocation")?)),
        "remove_signed_vouch" => {
            let id = SignedId::try_from(line.hex("id")?).map_err(|_| BadRecord("has no id of a vouch"))?;
            tell(OverlayCommand::RemoveSignedVouch(id));
        }
        "new_join_token" => {
            let (uses, life, trust) = (line.number("uses")?, line.sure_span("life")?, line.parsed("trust")?);
            tell(OverlayCommand::NewJoinToken { uses, life, trust });
        }
        "revoke_join_token" => {
            let id = TokenId::try_from(line.hex("id")?).map_err(|_| BadRecord("has no id of a token"))?;
            tell(OverlayCommand::RevokeJoinToken(id));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn read_begin(line: Object<'_>, tell: &mut dyn FnMut(OverlayCommand<'_>)) -> Result<(), BadRecord> {
    let timeout = line.span("timeout")?;
    let did = line.maybe("did")?.unwrap_or_default();
    let capability = line.maybe("capability")?.unwrap_or_default();
    let operation = match &*line.text("operation")? {
        "register" => Operation::Register { server: &did, path: line.path()? },
        "resolve" => Operation::Resolve(&did),
        "reach" => Operation::Reach(&did),
        "find" => Operation::Find(&capability),
        "verify" => {
            let key = if line.has("key") { Some(super::node::key_of(line)?) } else { None };
            let path = if line.has("remote") { Some(line.path()?) } else { None };
            Operation::Verify { did: &did, key, path }
        }
        _ => return Err(BadRecord("has an operation whose secret is not in its recording")),
    };
    tell(OverlayCommand::Begin { operation, timeout });
    Ok(())
}

/// What others did in the overlay.
pub(super) fn write_news<'l>(line: &'l mut Line, news: &OverlayNews) -> &'l mut Line {
    line.text("event", "overlay").show("news", &format_args!("{news:?}"))
}

/// How an operation ended.
pub(super) fn write_ended<'l>(
    line: &'l mut Line,
    id: OperationId,
    result: Result<&OperationOutcome, &OperationError>,
) -> &'l mut Line {
    line.text("event", "operation").number("operation", id.to_bits()).show("result", &format_args!("{result:?}"))
}
