//! The REST dialogue as one pure function: who asks what, in; status, headers and body, out.
//!
//! | request | answer |
//! |---|---|
//! | `POST …/open` `{"agent","target","intent","metadata"?}` | the channel; `?mac=1` over TLS: with its key |
//! | `POST …/send` `{"channel_id","payload"}` | `delivered` or `queued`, the number and the tag of the frame |
//! | `POST …/close` `{"channel_id","reason"?}` | what went over it |
//! | `GET …/channels?agent=A` | the open channels of an agent |
//! | `GET …/by-target?target=A&intent=I&include_closed=B` | the channels to an agent |
//! | `GET …/channel/ID` | all about one |
//! | `GET …/inbox?agent=A&after=N&wait=S` | what waits for an agent, and waiting for it |
//! | `GET …/intents`, `GET …/status` | what the hub knows, and how it is |
//!
//! Answers are those of the reference (FastAPI's for what is wrong with a request), key for key; the few that differ on purpose are
//! listed in `tests/deviations.toml` with the reason.

mod body;
mod paths;
pub(crate) mod percent;
mod query;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use sluis_core::{Duration, Now};

use crate::access::Caller;
use crate::switchboard::{Body, ChannelId, Invalid, Open, Party, Refusal, Switchboard, Throttle, Transport};
use crate::write::Object;
use body::{Fields, Problem};
use paths::Route;

/// Longest wait for an inbox.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

/// Largest request body in bytes.
pub const MAX_BODY: usize = 2 << 20;

/// A request, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// In upper case.
    pub method: &'a str,
    /// Path and query, still encoded, without a token in front.
    pub target: &'a str,
    /// The media type of the body.
    pub content_type: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Headers besides those that belong to the connection.
    pub headers: Vec<(&'static str, String)>,
    /// The body: JSON, or nothing.
    pub body: String,
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This.
    Done(Response),
    /// The inbox is empty, and the caller waits for it: [say so](Switchboard::wait_for_inbox), wait until there is
    /// [news](Switchboard::poll_inbox) or this time has passed, and then [ask again](read_inbox).
    Wait(Wait),
}

/// A request for an inbox that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Whose inbox, normalised.
    pub agent: String,
    /// Up to where it was read.
    pub after: u64,
    /// How long to wait at most.
    pub at_most: Duration,
}

/// Answer a request. `caller` is `None` where nobody was recognised, who is told no more than that.
pub fn rest(board: &mut Switchboard, now: Now, caller: Option<&Caller>, request: Request<'_>) -> Answer {
    let answer = match caller {
        Some(caller) => answer(board, now, caller, request),
        None => Answer::Done(unauthorised("A token is needed: Authorization: Bearer TOKEN")),
    };
    match answer {
        Answer::Done(mut response) if request.method == "HEAD" => {
            response.body.clear();
            Answer::Done(response)
        }
        answer => answer,
    }
}

fn answer(board: &mut Switchboard, now: Now, caller: &Caller, request: Request<'_>) -> Answer {
    let (path, query) = percent::split(request.target);
    let route = match paths::route(&board.config().prefix, path) {
        Ok(route) => route,
        Err(Some(location)) => return Answer::Done(redirect(location, query)),
        Err(None) => return Answer::Done(error(404, "Not Found")),
    };
    if request.method != route.method() {
        let mut response = error(405, "Method Not Allowed");
        response.headers.push(("allow", route.method().to_string()));
        return Answer::Done(response);
    }
    let party = Party::from(caller);
    let done = match route {
        Route::Open => open(board, now, caller, request),
        Route::Send => send(board, now, party, request),
        Route::Close => close(board, now, party, request),
        Route::Channels => named(caller, request.target, "agent").map(|agent| ok(board.channels_json(&agent))),
        Route::ByTarget => by_target(board, caller, request.target),
        Route::Channel(id) => detail(board, party, &id),
        Route::Inbox => return inbox(board, now, caller, request.target).unwrap_or_else(Answer::Done),
        Route::Intents => Ok(ok(board.intents_json())),
        Route::Status => Ok(ok(board.status_json())),
    };
    Answer::Done(done.unwrap_or_else(|response| response))
}

/// An answer, or the answer that says why not.
type Outcome = Result<Response, Response>;

fn open(board: &mut Switchboard, now: Now, caller: &Caller, request: Request<'_>) -> Outcome {
    let mut fields = Fields::read(request)?;
    let (agent, target, intent) = (fields.text("agent"), fields.text("target"), fields.text("intent"));
    let metadata = fields.object_or_null("metadata");
    fields.finish()?;
    let mac = query::flag(request.target, "mac")?;
    if mac && board.config().transport == Transport::Plain {
        return Err(refused(Refusal::invalid("mac", Invalid::NeedsTls)));
    }
    let ask = Open { agent: &agent, target: &target, intent: &intent, metadata, socket: None };
    let opened = board.open(now, caller, &ask).map_err(refused)?;
    board.opened_json(opened.channel, false, mac).map(ok).ok_or_else(|| refused(Refusal::NotFound))
}

fn send(board: &mut Switchboard, now: Now, party: Party<'_>, request: Request<'_>) -> Outcome {
    let mut fields = Fields::read(request)?;
    let (id, payload) = (fields.text("channel_id"), fields.any("payload"));
    fields.finish()?;
    let (Some(channel), Some(payload)) = (ChannelId::parse(&id), payload) else {
        return Err(refused(Refusal::NotFound));
    };
    let sent = board.send_by(now, party, channel, Body::Value(payload)).map_err(refused)?;
    let route = board.route_of(channel).ok_or_else(|| refused(Refusal::NotFound))?;
    let object = Object::new().bool("delivered", sent.delivered).text("channel_id", &id).number("seq", sent.seq);
    let object = object.hex("tbz_hash", &sent.tag).json("route", &route);
    Ok(ok(if sent.delivered { object } else { object.bool("queued", true) }.finish()))
}

fn close(board: &mut Switchboard, now: Now, party: Party<'_>, request: Request<'_>) -> Outcome {
    let mut fields = Fields::read(request)?;
    let (id, reason) = (fields.text("channel_id"), fields.text_or_null("reason"));
    fields.finish()?;
    let missing = || error(404, &format!("Channel {id} not found"));
    let channel = ChannelId::parse(&id).ok_or_else(missing)?;
    let reason = reason.filter(|reason| !reason.is_empty()).unwrap_or(Cow::Borrowed("client_close"));
    match board.close_by(now, party, channel, &reason) {
        Ok(()) => board.closed_json(channel).map(ok).ok_or_else(missing),
        Err(Refusal::NotFound) => Err(missing()),
        Err(other) => Err(refused(other)),
    }
}

fn detail(board: &Switchboard, party: Party<'_>, id: &str) -> Outcome {
    let channel = ChannelId::parse(id).ok_or(Refusal::NotFound);
    channel.and_then(|channel| board.detail_json(party, channel)).map(ok).map_err(refused)
}

fn by_target(board: &Switchboard, caller: &Caller, target: &str) -> Outcome {
    let include_closed = query::flag(target, "include_closed");
    let agent = named(caller, target, "target")?;
    let intent = percent::parameter(target, "intent");
    Ok(ok(board.by_target_json(&agent, intent.as_deref(), include_closed?)))
}

/// The agent that a query names, which must be the caller's own name where it has one.
fn named<'a>(caller: &Caller, target: &'a str, parameter: &'static str) -> Result<Cow<'a, str>, Response> {
    let missing = || body::invalid(&[Problem::missing_parameter(parameter)]);
    let name = percent::parameter(target, parameter).ok_or_else(missing)?;
    match caller {
        Caller::Agent(entry) if crate::agent::normalise(&name) != *entry.name => {
            Err(refused(Refusal::NotYourName { is: entry.name.to_string(), says: name.into_owned() }))
        }
        _ => Ok(name),
    }
}

fn inbox(board: &mut Switchboard, now: Now, caller: &Caller, target: &str) -> Result<Answer, Response> {
    let agent = match caller {
        Caller::Agent(entry) if percent::parameter(target, "agent").is_none() => Cow::Borrowed(&*entry.name),
        _ => named(caller, target, "agent")?,
    };
    let after = query::number(target, "after")?.unwrap_or(0);
    let wait = Duration::from_secs(query::number(target, "wait")?.unwrap_or(0)).min(MAX_WAIT);
    let agent = if agent.is_empty() { board.config().agent.clone() } else { crate::agent::normalise(&agent) };
    let wait = Wait { agent, after, at_most: wait };
    let found = board.inbox(now, &wait.agent, after).map_err(refused)?;
    if found.events.is_empty() && !wait.at_most.is_zero() {
        return Ok(Answer::Wait(wait));
    }
    Ok(Answer::Done(inbox_answer(&wait.agent, found)))
}

/// The answer to a request that has [waited](Answer::Wait).
#[must_use]
pub fn read_inbox(board: &mut Switchboard, now: Now, wait: &Wait) -> Response {
    match board.inbox(now, &wait.agent, wait.after) {
        Ok(found) => inbox_answer(&wait.agent, found),
        Err(refusal) => refused(refusal),
    }
}

fn inbox_answer(agent: &str, found: crate::switchboard::Inbox) -> Response {
    ok(Object::new().text("agent", agent).list("events", found.events.into_iter()).number("after", found.last).finish())
}

fn ok(body: String) -> Response {
    json(200, body)
}

pub(crate) fn json(status: u16, body: String) -> Response {
    Response { status, headers: alloc::vec![("content-type", "application/json".to_string())], body }
}

/// An answer that says in words what is wrong, as FastAPI does.
#[must_use]
pub fn error(status: u16, detail: &str) -> Response {
    json(status, Object::new().text("detail", detail).finish())
}

fn unauthorised(detail: &str) -> Response {
    let mut response = error(401, detail);
    response.headers.push(("www-authenticate", "Bearer".to_string()));
    response
}

fn redirect(location: &str, query: &str) -> Response {
    let location = if query.is_empty() { location.to_string() } else { format!("{location}?{query}") };
    Response { status: 307, headers: alloc::vec![("location", location)], body: String::new() }
}

/// The answer to a request that is refused.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` takes")]
pub fn refused(refusal: Refusal) -> Response {
    let detail = refusal.to_string();
    match refusal {
        Refusal::NotFound => error(404, &detail),
        Refusal::NotYourName { .. } => unauthorised(&detail),
        Refusal::NotAllowed { .. } | Refusal::Unbelieved(_) => error(403, &detail),
        Refusal::TooManyChannels(_) | Refusal::HubFull(_) => error(429, &detail),
        Refusal::Closed(_) | Refusal::QueueFull(_) => error(409, &detail),
        Refusal::Throttled { until, .. } => throttled(&detail, until),
        Refusal::Invalid { field, why } => body::invalid(&[Problem::refused(field, why)]),
    }
}

fn throttled(detail: &str, until: Throttle) -> Response {
    let object = Object::new().text("detail", detail);
    match until {
        Throttle::AtMost(bytes) => json(409, object.number("max_bytes", bytes).finish()),
        Throttle::Wait(time) => {
            let mut response = json(409, object.number("retry_after_ms", millis(time)).finish());
            // In whole seconds, rounded up: it is never too early.
            response.headers.push(("retry-after", time.as_millis().div_ceil(1000).max(1).to_string()));
            response
        }
    }
}

/// Milliseconds, rounded up.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
