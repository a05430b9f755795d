//! `sluis mux open`, `send`, `close`, `channels`, `status`, `intents`: one question, and the hub's answer as JSON in one line.

use std::process::ExitCode;

use sluis_core::data::Value;
use sluis_net::Runtime;
use sluis_web::{Client, Reply};

use super::args::{HubArgs, MuxCommand};
use super::connect::Settings;
use super::on_runtime;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::json::Object;
use crate::output::{Out, escape, put_value};

/// A request.
struct Question<'a> {
    hub: &'a HubArgs,
    method: &'static str,
    path: String,
    body: Option<String>,
}

/// Ask, and print the answer.
pub(super) fn run(common: Common, command: &MuxCommand) -> Result<ExitCode, Fail> {
    let Some(question) = question(command)? else {
        return Err(Fail::usage("this command asks nothing"));
    };
    let settings = Settings::read(question.hub)?;
    let reply = on_runtime!(common.runtime, runtime => {
        let client = settings.client(runtime, question.hub);
        ask(&client, &question).await
    })?;
    let mut out = Out::new(common, false);
    if !(200..300).contains(&reply.status) {
        return Err(Fail::runtime(format!("the hub refused: {}", refusal(&reply))));
    }
    let answer =
        Value::from_json(&reply.body).map_err(|why| Fail::runtime(format!("the hub answered no JSON ({why})")))?;
    out.line(|line, _| put_value(line, answer));
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

async fn ask<R: Runtime>(client: &Client<R>, question: &Question<'_>) -> Result<Reply, Fail> {
    client.ask(question.method, &question.path, question.body.clone()).await.map_err(Fail::runtime)
}

/// What a refusal says, made safe for a terminal.
fn refusal(reply: &Reply) -> String {
    let mut shown = Vec::new();
    escape::put(&mut shown, reply.body.trim());
    shown.truncate(1000);
    format!("{} {}", reply.status, String::from_utf8_lossy(&shown))
}

fn question(command: &MuxCommand) -> Result<Option<Question<'_>>, Fail> {
    let get = |hub, path| Question { hub, method: "GET", path, body: None };
    let post = |hub, path: &str, body| Question { hub, method: "POST", path: path.to_owned(), body: Some(body) };
    Ok(Some(match command {
        MuxCommand::Open(args) => {
            let metadata = args.metadata.as_ref();
            if metadata.is_some_and(|metadata| !metadata.as_value().is_object()) {
                return Err(Fail::usage("--metadata is a JSON object, write one like '{\"codec\":\"opus\"}'"));
            }
            let body = object(|o| {
                let o = o.str("agent", &args.agent).str("target", &args.target).str("intent", &args.intent);
                match metadata {
                    Some(metadata) => o.raw("metadata", metadata.as_json()),
                    None => o,
                }
            });
            post(&args.hub, "/api/mux/open", body)
        }
        MuxCommand::Send(args) => {
            let body = object(|o| o.str("channel_id", &args.channel).raw("payload", args.payload.as_json()));
            post(&args.hub, "/api/mux/send", body)
        }
        MuxCommand::Close(args) => {
            let body = object(|o| {
                let o = o.str("channel_id", &args.channel);
                match &args.reason {
                    Some(reason) => o.str("reason", reason),
                    None => o,
                }
            });
            post(&args.hub, "/api/mux/close", body)
        }
        MuxCommand::Channels(args) => get(&args.hub, format!("/api/mux/channels?agent={}", encoded(&args.agent))),
        MuxCommand::Status(hub) => get(hub, "/api/mux/status".to_owned()),
        MuxCommand::Intents(hub) => get(hub, "/api/mux/intents".to_owned()),
        MuxCommand::Serve(_)
        | MuxCommand::Listen(_)
        | MuxCommand::Pipe(_)
        | MuxCommand::Demo
        | MuxCommand::Token(_) => return Ok(None),
    }))
}

fn object(write: impl FnOnce(Object<'_>) -> Object<'_>) -> String {
    let mut line = Vec::new();
    write(Object::new(&mut line)).end();
    String::from_utf8(line).unwrap_or_default()
}

/// A text in a query.
pub(super) fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
