//! The WebSocket dialogue as one pure function: a text in; answers and events wait in the socket.
//!
//! | message | answer |
//! |---|---|
//! | `{"action":"open","target","intent","metadata"?}` | `{"event":"channel_opened","channel_id",…}` |
//! | `{"action":"send","channel_id","payload"}`, with `?mac=1` also `"raw"`: the JSON text itself | `{"event":"frame_ack","channel_id","seq","tbz_hash"}`, and `"delivered":false,"queued":true` where it waits |
//! | `{"action":"close","channel_id","reason"?}` | `{"event":"channel_closed","channel_id"}` |
//! | `{"action":"list"}` | what this socket has opened and not closed |
//! | `{"action":"ack","channel_id","seq"}`, with `?credit=N` | none |
//!
//! Whatever is wrong with a message is answered by `{"error":…}`, in order with all other answers, and the socket lives.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString as _};

use sluis_core::Now;
use sluis_core::data::{Number, Style, Value};

use crate::access::Caller;
use crate::rest::{self, Response, millis, percent};
use crate::switchboard::{
    Body, ChannelId, MAX_CREDIT, Open, Party, Refusal, SocketId, SocketOptions, Switchboard, Throttle,
};
use crate::write::Object;

/// The WebSocket subprotocol whose binary messages carry the bytes of a native connection, however they are cut; what is said on such a
/// socket is not the dialogue of this room.
pub const MUX_SUBPROTOCOL: &str = "sluis.mux.1";

/// Whether a request for a WebSocket asks for that, by the value of its `Sec-WebSocket-Protocol`.
#[must_use]
pub fn asks_for_mux(subprotocols: Option<&str>) -> bool {
    subprotocols.is_some_and(|all| all.split(',').any(|one| one.trim() == MUX_SUBPROTOCOL))
}

/// A socket is asked for: path and query as they came, without a token in front.
///
/// `None` when that is not the path of the socket.
///
/// # Errors
/// The answer with which the upgrade is refused: 403 without a name or a known token, as at the reference.
pub fn join(
    board: &mut Switchboard,
    now: Now,
    caller: Option<&Caller>,
    target: &str,
) -> Option<Result<SocketId, Response>> {
    let path = percent::split(target).0;
    if path.strip_prefix(&*board.config().prefix)? != "/ws" {
        return None;
    }
    Some(enter(board, now, caller, target))
}

fn enter(board: &mut Switchboard, now: Now, caller: Option<&Caller>, target: &str) -> Result<SocketId, Response> {
    let forbidden = |why: &str| rest::error(403, why);
    let caller = caller.ok_or_else(|| forbidden("A token is needed"))?;
    let agent = percent::parameter(target, "agent");
    if agent.is_none() && matches!(caller, Caller::Anyone) {
        return Err(forbidden("The parameter agent is missing"));
    }
    let credit = match percent::parameter(target, "credit") {
        None => None,
        Some(text) => match text.parse() {
            Ok(credit @ 1..=MAX_CREDIT) => Some(credit),
            _ => return Err(rest::error(422, &format!("credit is a number from 1 to {MAX_CREDIT}"))),
        },
    };
    let mac = match percent::parameter(target, "mac").as_deref() {
        None | Some("0") => false,
        Some("1") => true,
        Some(_) => return Err(rest::error(422, "mac is 0 or 1")),
    };
    let agent = agent.unwrap_or_default();
    board.attach(now, caller, &agent, SocketOptions { credit, mac }).map_err(|refusal| match refusal {
        Refusal::NotYourName { .. } => forbidden(&refusal.to_string()),
        other => rest::refused(other),
    })
}

/// Take in one text message of a socket. Answers and events are [polled](Switchboard::poll_text).
pub fn talk(board: &mut Switchboard, now: Now, socket: SocketId, text: &str) {
    let Some(me) = Me::of(board, socket) else { return };
    let answer = match Value::from_json(text) {
        Ok(message) if message.is_object() => act(board, now, &me, message).unwrap_or_else(|wrong| Some(wrong.write())),
        Ok(_) => Some(Wrong::message("a message is an object").write()),
        Err(e) => Some(Wrong::message(&e.to_string()).write()),
    };
    if let Some(answer) = answer {
        board.answer(socket, answer);
    }
}

/// Take in one binary message of a socket: there are none.
pub fn talk_binary(board: &mut Switchboard, socket: SocketId) {
    board.answer(socket, Wrong::message("messages are text").write());
}

/// Whose socket it is.
struct Me {
    socket: SocketId,
    caller: Caller,
    name: alloc::sync::Arc<str>,
    mac: bool,
}

impl Me {
    fn of(board: &Switchboard, socket: SocketId) -> Option<Self> {
        let (caller, name, mac) = board.who(socket)?;
        Some(Self { socket, caller, name, mac })
    }
}

/// Why a message is not done.
enum Wrong<'a> {
    /// It is not a message.
    Message(String),
    /// There is no such channel for this socket; its name as the message has it.
    Channel(Value<'a>),
    /// There is no such action.
    Action(Option<Value<'a>>),
    /// It is refused.
    Refused(Refusal),
}

impl Wrong<'_> {
    fn message(why: &str) -> Self {
        Self::Message(why.into())
    }

    fn write(&self) -> String {
        let error = |name: &str| Object::new().text("error", name);
        match self {
            Self::Message(why) => error("invalid_message").text("detail", why).finish(),
            Self::Channel(id) => error("channel_not_found").json("channel_id", &compact(*id)).finish(),
            Self::Action(action) => {
                let action = action.map_or_else(|| "\"\"".into(), compact);
                error("unknown_action").json("action", &action).finish()
            }
            Self::Refused(refusal) => match refusal {
                Refusal::Throttled { channel, until, .. } => {
                    let object = error("throttled").text("channel_id", &channel.to_string());
                    let object = object.text("detail", &refusal.to_string());
                    match until {
                        Throttle::Wait(time) => object.number("retry_after_ms", millis(*time)),
                        Throttle::AtMost(bytes) => object.number("max_bytes", *bytes),
                    }
                    .finish()
                }
                Refusal::Invalid { .. } => error("invalid_message").text("detail", &refusal.to_string()).finish(),
                other => error(&other.to_string()).finish(),
            },
        }
    }
}

/// An answer, or none.
type Outcome<'a> = Result<Option<String>, Wrong<'a>>;

fn act<'a>(board: &mut Switchboard, now: Now, me: &Me, message: Value<'a>) -> Outcome<'a> {
    let action = message.get("action");
    let name = action.and_then(Value::as_text).map(|text| text.to_cow());
    match name.as_deref() {
        Some("open") => open(board, now, me, message),
        Some("send") => send(board, now, me, message),
        Some("close") => close(board, now, me, message),
        Some("list") => Ok(Some(board.socket_list_json(me.socket))),
        Some("ack") => acknowledge(board, now, me, message),
        _ => Err(Wrong::Action(action)),
    }
}

fn open<'a>(board: &mut Switchboard, now: Now, me: &Me, message: Value<'a>) -> Outcome<'a> {
    let (target, intent) = (text(message, "target", "")?, text(message, "intent", "stream")?);
    let metadata = message.get("metadata").filter(|value| !value.is_null());
    if metadata.is_some_and(|value| !value.is_object()) {
        return Err(Wrong::message("metadata is an object"));
    }
    let ask = Open { agent: "", target: &target, intent: &intent, metadata, socket: Some(me.socket) };
    let opened = board.open(now, &me.caller, &ask).map_err(Wrong::Refused)?;
    Ok(board.opened_json(opened.channel, true, me.mac))
}

fn send<'a>(board: &mut Switchboard, now: Now, me: &Me, message: Value<'a>) -> Outcome<'a> {
    let channel = open_channel(board, me, message)?;
    let raw = message.get("raw").filter(|_| me.mac);
    let raw = match raw.map(Value::as_text) {
        None => None,
        Some(Some(text)) => Some(text.to_cow()),
        Some(None) => return Err(Wrong::message("raw is a text")),
    };
    let sent = match &raw {
        Some(raw) => {
            let value = Value::from_json(raw).map_err(|e| Wrong::Message(format!("raw: {e}")))?;
            board.send_by(now, me.party(), channel, Body::Raw(raw, value))
        }
        None => {
            const EMPTY: &str = "\"\"";
            let payload = message.get("payload").or_else(|| Value::from_json(EMPTY).ok()).unwrap_or(Value::NULL);
            board.send_by(now, me.party(), channel, Body::Value(payload))
        }
    };
    let sent = sent.map_err(Wrong::Refused)?;
    let object = Object::event("frame_ack").text("channel_id", &channel.to_string()).number("seq", sent.seq);
    let object = object.hex("tbz_hash", &sent.tag);
    Ok(Some(if sent.delivered { object } else { object.bool("delivered", false).bool("queued", true) }.finish()))
}

fn close<'a>(board: &mut Switchboard, now: Now, me: &Me, message: Value<'a>) -> Outcome<'a> {
    let id = channel_member(message)?;
    let reason = text(message, "reason", "client_close")?;
    let channel = channel_id(id).ok_or(Wrong::Channel(id))?;
    match board.close_by(now, me.party(), channel, &reason) {
        Ok(()) => {}
        Err(Refusal::NotFound) => return Err(Wrong::Channel(id)),
        Err(other) => return Err(Wrong::Refused(other)),
    }
    Ok(Some(Object::event("channel_closed").text("channel_id", &channel.to_string()).finish()))
}

fn acknowledge<'a>(board: &mut Switchboard, now: Now, me: &Me, message: Value<'a>) -> Outcome<'a> {
    let id = channel_member(message)?;
    let Some(Number::Int(seq)) = message.get("seq").and_then(Value::as_number) else {
        return Err(Wrong::message("seq is a number"));
    };
    let seq = u64::try_from(seq).map_err(|_| Wrong::message("seq is not negative"))?;
    let taken = channel_id(id).is_some_and(|channel| board.acknowledge(now, me.socket, channel, seq));
    if taken { Ok(None) } else { Err(Wrong::message("nothing to acknowledge: no such frame waits for it")) }
}

impl Me {
    fn party(&self) -> Party<'_> {
        Party::Named(&self.name)
    }
}

/// The channel that a frame is for. A closed one is as good as none, as at the reference.
fn open_channel<'a>(board: &Switchboard, me: &Me, message: Value<'a>) -> Result<ChannelId, Wrong<'a>> {
    let id = channel_member(message)?;
    let found = channel_id(id).filter(|channel| board.is_open(me.party(), *channel));
    found.ok_or(Wrong::Channel(id))
}

/// The name of a channel as the message has it: a number, say, names none, but an object is no name at all.
fn channel_member(message: Value<'_>) -> Result<Value<'_>, Wrong<'_>> {
    match message.get("channel_id") {
        None => Value::from_json("\"\"").map_err(|e| Wrong::message(&e.to_string())),
        Some(id) if id.is_object() || id.is_array() => Err(Wrong::message("channel_id is a text")),
        Some(id) => Ok(id),
    }
}

fn channel_id(id: Value<'_>) -> Option<ChannelId> {
    ChannelId::parse(&id.as_text()?.to_cow())
}

/// A member that is a text where it is there.
fn text<'a>(message: Value<'a>, name: &str, missing: &'static str) -> Result<Cow<'a, str>, Wrong<'a>> {
    let Some(value) = message.get(name) else { return Ok(Cow::Borrowed(missing)) };
    let text = value.as_text().ok_or_else(|| Wrong::Message(format!("{name} is a text")))?;
    if text.as_str().is_none() && text.chars().any(|c| c.is_err()) {
        return Err(Wrong::Message(format!("{name}: half a surrogate pair is no text")));
    }
    Ok(text.to_cow())
}

/// The compact text of a value; `null` for one that no answer can repeat.
fn compact(value: Value<'_>) -> String {
    let mut text = alloc::vec::Vec::new();
    let written = value.is_finite() && value.write_json(&mut text, Style::WIRE).is_ok();
    String::from_utf8(text).ok().filter(|_| written).unwrap_or_else(|| "null".into())
}
