//! `sluis vouch`: signed vouches, made, looked at and taken back.

pub(crate) mod args;

use std::path::Path;
use std::process::ExitCode;

use sluis_core::airlock::{SignedId, SignedVouch, VouchDraft, VouchRevocation};
use sluis_core::data::hex::parse;
use sluis_core::framing::{Text, Value};

use self::args::{NewArgs, RevokeArgs, VouchCommand};
use crate::common::Common;
use crate::fail::Fail;
use crate::output::json::Object;
use crate::output::{Color, Out};
use crate::token::hex;
use crate::{files, key, run};

/// The longest file that is read: a vouch as JSON with all that stands beside it.
const MAX_FILE: usize = 128 * 1024;

/// What a file holds.
pub(crate) enum Signed {
    /// A vouch.
    Vouch(Vec<u8>),
    /// The revocation of one.
    Revocation(Vec<u8>),
}

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &VouchCommand) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false).timed();
    match command {
        VouchCommand::New(args) => new(&mut out, args)?,
        VouchCommand::Show(args) => show(&mut out, &args.file)?,
        VouchCommand::Revoke(args) => revoke(&mut out, args)?,
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

fn now() -> u64 {
    u64::try_from(run::wall().as_micros() / 1_000_000).unwrap_or(0)
}

fn new(out: &mut Out, args: &NewArgs) -> Result<(), Fail> {
    let secret = key::file::secret(&args.key)?;
    let named: Vec<_> = args.named.iter().map(|pin| (pin.did.as_str(), pin.key)).collect();
    let mut id = SignedId::default();
    run::seed()?.fork("cli.vouch").fill(&mut id);
    let draft = VouchDraft {
        id,
        voucher: args.did.as_str(),
        issued: now(),
        expires: now().saturating_add(args.ttl.as_secs().max(1)),
        factor: args.factor,
        depth: args.depth,
        named: &named,
    };
    let bytes = draft.sign(&secret).map_err(|why| Fail::usage(format!("--for: {why}")))?;
    let vouch = SignedVouch::read(&bytes).map_err(Fail::runtime)?;
    out.line(|line, _| {
        let object = Object::new(line).str("type", "sluis-vouch");
        describe(object, &vouch).str("vouch", &vouch.to_text()).end();
    });
    Ok(())
}

fn describe<'l>(object: Object<'l>, vouch: &SignedVouch<'_>) -> Object<'l> {
    object
        .str("id", &hex(&vouch.id))
        .str("voucher_did", vouch.voucher)
        .str("fingerprint", &vouch.key.fingerprint().to_string())
        .raw("issued", vouch.issued)
        .raw("expires", vouch.expires)
        .raw("factor", f64::from(vouch.factor) / 1000.0)
        .raw("depth", vouch.depth)
        .with("vouched", |line| {
            line.push(b'[');
            for (n, (did, key)) in vouch.named().enumerate() {
                if n > 0 {
                    line.push(b',');
                }
                Object::new(line).str("did", did).str("public", &key.to_string()).end();
            }
            line.push(b']');
        })
}

/// Read what is in a file; nothing of it is verified but when it is taken in.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn read(file: &Path) -> Result<Signed, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("cannot take in {}: {why}", file.display());
    let text = files::read_text(file, MAX_FILE).map_err(|why| wrong(&why))?;
    let none = "it is neither a vouch nor a revocation, write one with `sluis vouch new` or `vouch revoke`";
    let value = Value::from_json(text.trim()).map_err(|_| wrong(&none))?;
    let member = |name| value.get(name).and_then(Value::as_text).map(Text::to_cow);
    let bytes = |text: &str| SignedVouch::from_text(text).ok_or_else(|| wrong(&none));
    match (member("vouch"), member("revoke")) {
        (Some(text), None) => Ok(Signed::Vouch(bytes(&text)?)),
        (None, Some(text)) => Ok(Signed::Revocation(bytes(&text)?)),
        _ => Err(wrong(&none)),
    }
}

fn show(out: &mut Out, file: &Path) -> Result<(), Fail> {
    match read(file).map_err(Fail::runtime)? {
        Signed::Vouch(bytes) => {
            let vouch = SignedVouch::read(&bytes).map_err(|why| Fail::runtime(format!("{}: {why}", file.display())))?;
            let over = vouch.expires < now();
            out.event(
                "vouch",
                |o| describe(o, &vouch),
                |flow| {
                    flow.quoted("", Text::new(vouch.voucher)).words(&format!("({}) vouches", vouch.key.fingerprint()));
                    flow.words(&format!("with {} of its trust for", f64::from(vouch.factor) / 1000.0));
                    for (did, key) in vouch.named() {
                        flow.quoted("", Text::new(did)).words(&format!("({})", key.fingerprint()));
                    }
                    if over {
                        flow.text(Color::Red, "over");
                    }
                },
            );
        }
        Signed::Revocation(bytes) => {
            let revocation =
                VouchRevocation::read(&bytes).map_err(|why| Fail::runtime(format!("{}: {why}", file.display())))?;
            let (id, fingerprint) = (hex(&revocation.id), revocation.key.fingerprint().to_string());
            out.event(
                "vouch_revoked",
                |o| o.str("id", &id).str("fingerprint", &fingerprint).raw("at", revocation.at),
                |flow| {
                    flow.word(Color::Yellow, "revoked").words(&format!("{id} by {fingerprint}"));
                },
            );
        }
    }
    Ok(())
}

fn revoke(out: &mut Out, args: &RevokeArgs) -> Result<(), Fail> {
    let secret = key::file::secret(&args.key)?;
    let id = match id(&args.vouch) {
        Some(id) => id,
        None => match read(Path::new(&args.vouch)).map_err(Fail::runtime)? {
            Signed::Vouch(bytes) => SignedVouch::read(&bytes).map_err(Fail::runtime)?.id,
            Signed::Revocation(_) => return Err(Fail::usage(format!("{} is a revocation already", args.vouch))),
        },
    };
    let bytes = VouchRevocation::sign(id, now(), &secret).map_err(Fail::runtime)?;
    let text = VouchRevocation::text_of(&bytes);
    out.line(|line, _| {
        let object = Object::new(line).str("type", "sluis-vouch-revocation").str("id", &hex(&id));
        object.raw("at", now()).str("revoke", &text).end();
    });
    Ok(())
}

/// The id of a vouch in hex digits.
pub(crate) fn id(text: &str) -> Option<SignedId> {
    let mut id = SignedId::default();
    parse(text.as_bytes(), &mut id).map(|()| id)
}
