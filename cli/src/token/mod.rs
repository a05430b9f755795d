//! `sluis token`: what lets devices join a hub, in the state of a hub that does not run; `listen` does the same while it runs.

pub(crate) mod args;

use std::process::ExitCode;

use sluis_core::discovery::{JoinTokens, TokenInfo};
use sluis_core::node::{NodeConfig, OverlayConfig};
use sluis_core::{Did, Rng, data};
use sluis_store::Store;
use zeroize::Zeroizing;

use self::args::{NewArgs, NewToken, RevokeArgs, TokenCommand};
use crate::args::StateDir;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::json::Object;
use crate::output::{Color, Flow, Out, Style};
use crate::{key, run, state};

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &TokenCommand) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false).timed();
    match command {
        TokenCommand::New(args) => new(&mut out, args)?,
        TokenCommand::List(args) => list(&mut out, args)?,
        TokenCommand::Revoke(args) => revoke(&mut out, args)?,
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

/// The tokens that were kept, and where new ones come from.
fn tokens(store: &mut Store) -> Result<(JoinTokens, Rng), Fail> {
    let mut rng = run::seed()?.fork("cli.tokens");
    let mut tokens = JoinTokens::new(OverlayConfig::default().max_tokens, &mut rng);
    // What a node keeps besides is known for what it is, too.
    let mut rest = run::node(NodeConfig::new(Did::new("jis:sluis:token").map_err(Fail::runtime)?))?;
    state::each(store, |key, value| {
        let mine = tokens.restore(key, value).map_err(|why| why.to_string())?;
        Ok::<_, String>(mine || rest.restore(key, value).map_err(|why| why.to_string())?)
    })?;
    Ok((tokens, rng))
}

fn new(out: &mut Out, args: &NewArgs) -> Result<(), Fail> {
    if let Some(file) = args.out.as_deref().filter(|file| file.exists()) {
        return Err(Fail::runtime(format!("{} is there already, name another file", file.display())));
    }
    let mut store = state::open(&args.dir.state)?;
    let (mut tokens, mut rng) = tokens(&mut store)?;
    let now = u64::try_from(run::wall().as_micros() / 1_000_000).unwrap_or(0);
    let NewToken { uses, trust, .. } = args.token;
    let expires = now.saturating_add(args.token.life().as_secs());
    let made = tokens.create(&mut rng, uses, expires, trust);
    let (token, change) = made.map_err(|why| Fail::usage(format!("no token was made: {why}")))?;
    let text = token.to_text();
    // It has no other copy: where it cannot be written, there is none.
    if let Some(file) = &args.out {
        let mut line = Zeroizing::new(Vec::with_capacity(text.len() + 1));
        line.extend_from_slice(text.as_bytes());
        line.push(b'\n');
        key::file::create(file, &line, false)?;
    }
    state::keep_record(&mut store, change.record()).inspect_err(|_| {
        args.out.iter().for_each(|file| drop(std::fs::remove_file(file)));
    })?;
    let Some(info) = tokens.iter().find(|info| info.id == token.id()) else { return Ok(()) };
    match out.style {
        _ if args.out.is_some() => show(out, &info, None),
        // One line, to be given to a device.
        Style::Text => out.line(|line, _| line.extend_from_slice(text.as_bytes())),
        Style::Json => show(out, &info, Some(&text)),
    }
    Ok(())
}

fn list(out: &mut Out, args: &StateDir) -> Result<(), Fail> {
    let (tokens, _) = tokens(&mut state::open_kept(&args.state)?)?;
    tokens.iter().for_each(|info| show(out, &info, None));
    Ok(())
}

fn revoke(out: &mut Out, args: &RevokeArgs) -> Result<(), Fail> {
    let mut store = state::open_kept(&args.dir.state)?;
    let (mut tokens, _) = tokens(&mut store)?;
    let id = hex(&args.id);
    let Some(change) = tokens.revoke(&args.id) else {
        return Err(Fail::runtime(format!("there is no token {id}, nothing was changed")));
    };
    state::keep_record(&mut store, change.record())?;
    out.event("token_revoked", |o| o.str("id", &id), |flow| revoked(flow, &id));
    Ok(())
}

fn show(out: &mut Out, info: &TokenInfo, token: Option<&str>) {
    out.event("token", |o| json(o, info, token), |flow| words(flow, info));
}

/// A token as a JSON object, with its secret where there is one.
pub(crate) fn json<'o>(object: Object<'o>, info: &TokenInfo, token: Option<&str>) -> Object<'o> {
    let o = object.str("id", &hex(&info.id));
    let o = if let Some(token) = token { o.str("token", token) } else { o };
    o.raw("uses", info.uses).raw("used", info.used).raw("expires", info.expires).raw("trust_score", info.trust)
}

/// A token without its secret, in words.
pub(crate) fn words(flow: &mut Flow<'_>, info: &TokenInfo) {
    let now = u64::try_from(run::wall().as_micros() / 1_000_000).unwrap_or(0);
    flow.word(Color::Bold, &hex(&info.id))
        .words(&format!("let in {} of {}, trust {}", info.used, info.uses, info.trust));
    match info.expires.checked_sub(now) {
        Some(left) => flow.text(Color::Dim, &format!("{left} s left")),
        None => flow.text(Color::Red, "over"),
    };
}

/// A token is revoked, in words.
pub(crate) fn revoked(flow: &mut Flow<'_>, id: &str) {
    flow.word(Color::Bold, "revoked").words(id);
}

/// Bytes in hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(2 * bytes.len());
    // A vector takes everything.
    let _ = data::hex::write(&mut out, bytes);
    String::from_utf8(out).unwrap_or_default()
}
