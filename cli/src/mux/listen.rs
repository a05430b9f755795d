//! `sluis mux listen`: an agent that is there, and prints what arrives.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use sluis_core::airlock::glob;
use sluis_core::data::{Text, Value, hex};
use sluis_core::identity::{MacKey, PublicKey};
use sluis_mux::proof::{JSON, Running};
use sluis_mux::signed::{Guard, Place, Wrong, is_signed};
use sluis_net::Runtime;
use sluis_udp::SystemClock;
use sluis_web::{Client, Heard, Listener};

use super::args::ListenArgs;
use super::ask::encoded;
use super::connect::Settings;
use super::hear::Hearing;
use super::native::{Reach, pins};
use super::on_runtime;
use super::orders::Orders;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::json::Object;
use crate::output::{Color, Out, put_readable};
use crate::signals::Asked;

/// What the two ways of being there share: output, and what was counted.
pub(super) struct Book {
    pub(super) out: Out,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) tampered: u64,
    /// Whether the hub speaks native connections, once that is known.
    pub(super) native: Option<bool>,
    /// Whose signed frames are believed, and which came.
    pins: BTreeMap<Box<str>, PublicKey>,
    guard: Guard,
    /// No more is heard.
    pub(super) over: bool,
    /// Whom to wake when one of these changes.
    pub(super) wakers: Vec<Waker>,
}

pub(super) type Shared = Rc<RefCell<Book>>;

impl Book {
    pub(super) fn new(out: Out, pins: BTreeMap<Box<str>, PublicKey>) -> Shared {
        let (guard, wakers) = (Guard::new(SystemClock::new().now().wall), Vec::new());
        let book = Self { out, frames: 0, bytes: 0, tampered: 0, native: None, pins, guard, over: false, wakers };
        Rc::new(RefCell::new(book))
    }

    /// Whether a payload carries a signature that is believed; `None` where it says nothing of the kind. One that is not is told and counted as
    /// tampered with.
    pub(super) fn believes(&mut self, name: &str, seq: u64, place: &Place<'_>, payload: Value<'_>) -> Option<bool> {
        if !is_signed(payload) {
            return None;
        }
        let now = SystemClock::new().now().wall;
        let Err(wrong) = self.guard.admit(now, payload, place, self.pins.get(place.from)) else { return Some(true) };
        self.tampered += 1;
        let reason = wrong.to_string();
        self.out.event(
            "rejected",
            |o| {
                let o = o.str("channel_id", name).str("from", place.from).raw("seq", seq);
                o.str("reason", &reason).raw("count", 1)
            },
            |flow| {
                flow.words(&format!("a signed frame is not believed ({reason})")).quoted("from", Text::new(place.from));
                if wrong == Wrong::UnknownKey {
                    flow.words("see --agent-key");
                }
            },
        );
        Some(false)
    }

    pub(super) fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    pub(super) fn summary(&mut self, began: Instant) {
        let (frames, bytes, tampered) = (self.frames, self.bytes, self.tampered);
        let elapsed = began.elapsed().as_secs_f64();
        self.out.summary(
            "summary",
            |o| {
                let o = o.raw("received", frames).raw("bytes", bytes).raw("tampered", tampered);
                o.rounded("elapsed_s", Some(elapsed), 3)
            },
            |flow| {
                flow.words(&format!("{frames} frames, {bytes} bytes, {tampered} tampered with"));
            },
        );
    }
}

/// How long it may take to find out whether the hub speaks native connections.
const NATIVE_TIME: Duration = Duration::from_secs(3);
/// How long a goodbye may take.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// Listen until there is a reason to end: on a WebSocket, and on a native connection where the hub speaks that. Exit code 1 when a frame
/// was tampered with.
pub(super) fn run(common: Common, args: &ListenArgs) -> Result<ExitCode, Fail> {
    let settings = Settings::read(&args.hub)?;
    // A token is shown natively over TLS only.
    let natively = args.hub.url.is_tls() || args.hub.token_file.is_none();
    let reach = natively.then(|| Reach::read(&args.hub, &args.agent, &args.keys)).transpose()?;
    let orders = Orders::catch(false).map_err(Fail::runtime)?;
    let began = Instant::now();
    let book = Book::new(Out::new(common, args.span.quiet).timed(), pins(&args.keys)?);
    let mut agent = Agent { book: Rc::clone(&book), args, channels: BTreeMap::new() };
    let ended = on_runtime!(common.runtime, runtime => {
        let client = settings.client(runtime, &args.hub);
        let mut native = match reach {
            None => {
                book.borrow_mut().native = Some(false);
                None
            }
            Some(mut reach) => {
                reach.beside_a_socket();
                let (io, mut client) = reach.client(runtime, SystemClock::new().now())?;
                let mut hearing = Hearing::new(args, Rc::clone(&book), true);
                Some(Box::pin(async move { sluis_net::run(io, &mut client, &mut hearing).await }))
            }
        };
        let heard = {
            let mut heard = pin!(agent.listen(&client, runtime, &orders));
            poll_fn(|cx| {
                if native.as_mut().is_some_and(|native| native.as_mut().poll(cx).is_ready()) {
                    native = None;
                    let mut book = book.borrow_mut();
                    book.native.get_or_insert(false);
                    book.wake();
                }
                heard.as_mut().poll(cx)
            })
            .await
        };
        {
            let mut book = book.borrow_mut();
            book.over = true;
            book.wake();
        }
        if let Some(native) = native {
            sluis_net::within(&runtime, GOODBYE_TIME, native).await;
        }
        heard
    });
    let mut book = book.borrow_mut();
    // Whatever ended it: what was heard is said.
    book.summary(began);
    book.out.finish().map_err(|why| Fail::output(&why))?;
    ended?;
    Ok(if book.tampered == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Agent<'a> {
    book: Shared,
    args: &'a ListenArgs,
    channels: BTreeMap<String, Channel>,
}

/// A channel that was opened to us.
struct Channel {
    from: String,
    intent: String,
    /// What its frames are checked with, where the hub gave that out.
    check: Option<(MacKey, Running)>,
    frames: u64,
    bytes: u64,
}

impl Agent<'_> {
    async fn listen<R: Runtime>(&mut self, client: &Client<R>, runtime: R, orders: &Orders) -> Result<(), Fail> {
        // Keys are given out over TLS only.
        let mac = if self.args.hub.url.is_tls() { "&mac=1" } else { "" };
        let path = format!("/api/mux/ws?agent={}{mac}", encoded(&self.args.agent));
        let mut socket = Listener::connect(client, &path).await.map_err(Fail::runtime)?;
        sluis_net::within(&runtime, NATIVE_TIME, self.native_is_known()).await;
        let agent = &self.args.agent;
        {
            let out = &mut self.book.borrow_mut().out;
            out.event(
                "ready",
                |o| o.str("agent", agent),
                |flow| {
                    flow.words(&format!("{agent} is there"));
                },
            );
            out.flush();
        }
        let mut time = pin!(self.args.span.duration.map(|time| runtime.sleep(time)));
        while self.goes_on() {
            let heard = poll_fn(|cx| {
                {
                    let mut book = self.book.borrow_mut();
                    book.wakers.retain(|waker| !waker.will_wake(cx.waker()));
                    book.wakers.push(cx.waker().clone());
                }
                if !self.goes_on()
                    || orders.poll_next(cx) == Some(Asked::Stop)
                    || time.as_mut().as_pin_mut().is_some_and(|time| time.poll(cx).is_ready())
                {
                    return Poll::Ready(None);
                }
                socket.poll_next(cx).map(Some)
            })
            .await;
            match heard {
                None => break,
                Some(Ok(Heard::Text(text))) => self.hear(&mut socket, &text)?,
                Some(Ok(Heard::Closed(why))) => {
                    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                    return Err(Fail::runtime(format!("the hub has closed the socket{why}")));
                }
                Some(Err(why)) => return Err(Fail::runtime(format!("the connection to the hub is lost ({why})"))),
            }
            self.book.borrow_mut().out.flush();
        }
        self.leave(socket, runtime).await;
        Ok(())
    }

    /// Whether there is more to be heard.
    fn goes_on(&self) -> bool {
        let book = self.book.borrow();
        self.args.count.is_none_or(|count| book.frames < count) && !book.out.is_broken()
    }

    /// Wait until it is known whether the hub speaks native connections.
    async fn native_is_known(&self) {
        poll_fn(|cx| {
            let mut book = self.book.borrow_mut();
            if book.native.is_some() {
                return Poll::Ready(());
            }
            book.wakers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Say goodbye: what was sent still leaves, for a second at most.
    async fn leave<R: Runtime>(&mut self, mut socket: Listener, runtime: R) {
        socket.close();
        let goodbye = async { while let Ok(Heard::Text(_)) = socket.next().await {} };
        sluis_net::within(&runtime, GOODBYE_TIME, goodbye).await;
    }

    fn hear(&mut self, socket: &mut Listener, text: &str) -> Result<(), Fail> {
        let Ok(event) = Value::from_json(text) else {
            return Err(Fail::runtime("the hub sent something that is not JSON"));
        };
        let id = member(event, "channel_id");
        match &*member(event, "event") {
            "channel_incoming" => self.incoming(socket, &id, event),
            "frame" => self.frame(socket, &id, event),
            "channel_closed" => {
                self.closed(&id, &member(event, "reason"));
                Ok(())
            }
            // Answers to what we send ourselves.
            _ => Ok(()),
        }
    }

    fn incoming(&mut self, socket: &mut Listener, id: &str, event: Value<'_>) -> Result<(), Fail> {
        let (from, intent) = (member(event, "agent"), member(event, "intent"));
        let metadata = event.get("metadata").unwrap_or(Value::EMPTY_OBJECT);
        self.book.borrow_mut().out.event(
            "incoming",
            |o| o.str("channel_id", id).str("from", &from).str("intent", &intent).value("metadata", metadata),
            |flow| {
                flow.quoted("", Text::new(&from)).word(Color::Plain, "opens").quoted("", Text::new(&intent));
                flow.quoted("as ", Text::new(id));
            },
        );
        let patterns = &self.args.accept;
        if !patterns.is_empty() && !patterns.iter().any(|pattern| glob::matches(pattern, &intent)) {
            return say(socket, |o| {
                o.str("action", "close").str("channel_id", id).str("reason", "intent_not_accepted")
            });
        }
        self.channels.insert(id.to_owned(), Channel { from, intent, check: check(event), frames: 0, bytes: 0 });
        Ok(())
    }

    fn frame(&mut self, socket: &mut Listener, id: &str, event: Value<'_>) -> Result<(), Fail> {
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        let raw = event.get("raw").and_then(Value::as_text).map(|text| text.to_cow().into_owned());
        let payload = match &raw {
            Some(raw) => Value::from_json(raw).unwrap_or(Value::NULL),
            None => event.get("payload").unwrap_or(Value::NULL),
        };
        let tag = member(event, "tbz_hash");
        let verified = match (&mut channel.check, &raw) {
            (Some((key, running)), Some(raw)) => {
                running.record(JSON, raw.as_bytes());
                let mut claimed = [0; 16];
                let read = hex::parse(tag.as_bytes(), &mut claimed).is_some();
                Some(read && running.tag(key) == claimed)
            }
            _ => None,
        };
        let size = raw.as_ref().map_or_else(|| payload.to_json_string().map_or(0, |text| text.len()), String::len);
        channel.frames += 1;
        channel.bytes += size as u64;
        let mut book = self.book.borrow_mut();
        book.frames += 1;
        book.bytes += size as u64;
        let seq = event.get("seq").and_then(Value::as_number).map_or(-1.0, |seq| seq.to_f64());
        if verified == Some(false) {
            book.tampered += 1;
            book.out.event(
                "tampered",
                |o| o.str("channel_id", id).raw("seq", seq),
                |flow| {
                    flow.words(&format!("frame {seq} was tampered with")).quoted("on ", Text::new(id));
                },
            );
            return Ok(());
        }
        let (from, proof) = (member(event, "from"), member(event, "proof"));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of a frame")]
        let number = seq.max(0.0) as u64;
        let place = Place { from: &channel.from, to: &self.args.agent, intent: &channel.intent };
        let believed = book.believes(id, number, &place, payload);
        if believed == Some(false) {
            return Ok(());
        }
        book.out.event(
            "frame",
            |o| {
                let o = o.str("channel_id", id).str("from", &from).raw("seq", seq).value("payload", payload);
                let o = o.str("tbz_hash", &tag).str("proof", &proof);
                let o = if believed == Some(true) { o.raw("signed", true) } else { o };
                match verified {
                    Some(verified) => o.raw("verified", verified),
                    None => o.raw("verified", "null"),
                }
            },
            |flow| {
                let mut text = Vec::new();
                put_readable(&mut text, payload);
                flow.quoted("", Text::new(&from)).quoted("on ", Text::new(id)).json(Color::Bold, &text);
            },
        );
        if self.args.echo {
            // As it came, whatever it would be printed as.
            let payload = payload.json_text().unwrap_or("null");
            say(socket, |o| o.str("action", "send").str("channel_id", id).raw("payload", payload))?;
        }
        Ok(())
    }

    fn closed(&mut self, id: &str, reason: &str) {
        let Some(channel) = self.channels.remove(id) else { return };
        self.book.borrow_mut().out.event(
            "closed",
            |o| {
                let o = o.str("channel_id", id).str("reason", reason);
                o.raw("frames", channel.frames).raw("bytes", channel.bytes)
            },
            |flow| {
                flow.quoted("", Text::new(id)).words("is closed:").quoted("", Text::new(reason));
            },
        );
    }
}

/// What the frames of a channel are checked with.
fn check(event: Value<'_>) -> Option<(MacKey, Running)> {
    let bytes = |text: &str| {
        let mut bytes = [0; 32];
        hex::parse(text.as_bytes(), &mut bytes).map(|()| bytes)
    };
    let key = bytes(&event.get("mac_key")?.as_text()?.to_cow())?;
    let start = bytes(&event.get("mac_start")?.get("out")?.as_text()?.to_cow())?;
    Some((MacKey::new(&key), Running::begin_at(start)))
}

fn member(event: Value<'_>, name: &str) -> String {
    event.get(name).and_then(Value::as_text).map(|text| text.to_cow().into_owned()).unwrap_or_default()
}

fn say(socket: &mut Listener, write: impl FnOnce(Object<'_>) -> Object<'_>) -> Result<(), Fail> {
    let mut line = Vec::new();
    write(Object::new(&mut line)).end();
    let text = String::from_utf8(line).unwrap_or_default();
    socket.send(&text).map_err(|why| Fail::runtime(format!("the connection to the hub is lost ({why})")))
}
