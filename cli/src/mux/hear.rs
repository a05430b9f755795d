//! `sluis mux listen --native`: an agent that is there on a native connection, and prints what arrives.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{Context, Poll};

use sluis_core::airlock::glob;
use sluis_core::data::{Text, Value};
use sluis_core::driver::App;
use sluis_core::{Instant, Machine as _, Now};
use sluis_mux::channel::{Kind, Proof, SendError};
use sluis_mux::native::{Channel, Client, Event, Lost};
use sluis_mux::proof::Tag;
use sluis_mux::signed::Place;
use sluis_udp::SystemClock;

use super::agents::hex;
use super::args::ListenArgs;
use super::listen::{Book, Shared};
use super::native::{Reach, pins, tell_lost, tell_resumed};
use super::on_runtime;
use super::orders::Orders;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::{Color, Out, put_readable};
use crate::signals::Asked;

/// Listen natively alone until there is a reason to end. Exit code 1 when something was tampered with.
pub(super) fn run(common: Common, args: &ListenArgs) -> Result<ExitCode, Fail> {
    let reach = Reach::read(&args.hub, &args.agent, &args.keys)?;
    let began = std::time::Instant::now();
    let book = Book::new(Out::new(common, args.span.quiet).timed(), pins(&args.keys)?);
    let mut hearing = Hearing::new(args, Rc::clone(&book), false);
    hearing.orders = Some(Orders::catch(false).map_err(Fail::runtime)?);
    on_runtime!(common.runtime, runtime => {
        let (io, mut client) = reach.client(runtime, SystemClock::new().now())?;
        sluis_net::run(io, &mut client, &mut hearing).await.map_err(Fail::runtime)
    })?;
    let mut book = book.borrow_mut();
    book.summary(began);
    book.out.finish().map_err(|why| Fail::output(&why))?;
    if hearing.refused {
        return Err(Fail::runtime("the hub does not let this agent in, see --token-file and --key"));
    }
    Ok(if book.tampered == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An agent on a native connection.
pub(super) struct Hearing<'a> {
    args: &'a ListenArgs,
    book: Shared,
    /// It is there on a WebSocket, too: whoever holds that says that it is ready, and when it ends.
    beside: bool,
    orders: Option<Orders>,
    began: Option<Instant>,
    channels: BTreeMap<Channel, Heard>,
    refused: bool,
    /// Since when there is no connection, and channels that went on and were not told of.
    lost: Option<Instant>,
    resumed: usize,
    /// What is to go back. A message is acknowledged when it does, so its sender bounds how many there are.
    echoes: VecDeque<(Channel, u64, Kind, Vec<u8>)>,
}

/// A channel that was opened to us.
struct Heard {
    name: String,
    from: String,
    intent: String,
    proof: Proof,
    frames: u64,
    bytes: u64,
    /// Why its opener has closed it.
    reason: Option<String>,
}

/// What is to be done about an event.
enum Answer {
    Nothing,
    Accept(Channel),
    Refuse(Channel),
    Take(Channel, u64, Option<(Kind, Vec<u8>)>),
    Close(Channel),
}

impl<'a> Hearing<'a> {
    pub(super) fn new(args: &'a ListenArgs, book: Shared, beside: bool) -> Self {
        Self {
            args,
            book,
            beside,
            orders: None,
            began: None,
            channels: BTreeMap::new(),
            refused: false,
            lost: None,
            resumed: 0,
            echoes: VecDeque::new(),
        }
    }

    /// The hub speaks native connections, or not.
    fn known(&mut self, speaks: bool) {
        let mut book = self.book.borrow_mut();
        if book.native.is_none() {
            book.native = Some(speaks);
            book.wake();
        }
    }

    fn hear(&mut self, now: Now, event: &Event<'_>) -> Answer {
        match event {
            Event::Connected(_) => {
                self.known(true);
                let agent = &self.args.agent;
                if !self.beside {
                    self.book.borrow_mut().out.event(
                        "ready",
                        |o| o.str("agent", agent),
                        |flow| {
                            flow.words(&format!("{agent} is there"));
                        },
                    );
                }
            }
            Event::Disconnected(Lost::Refused, _) => self.refused = true,
            // A hub that speaks HTTP only.
            Event::Disconnected(..) if self.beside && self.book.borrow().native != Some(true) => self.known(false),
            Event::Disconnected(why, pause) => {
                self.lost.get_or_insert(now.mono);
                tell_lost(&mut self.book.borrow_mut().out, *why, *pause);
            }
            Event::Incoming(channel, opening, proof) => {
                let wanted = &self.args.accept;
                if !wanted.is_empty() && !wanted.iter().any(|pattern| glob::matches(pattern, &opening.intent)) {
                    return Answer::Refuse(*channel);
                }
                let (name, from) = (opening.channel.to_string(), opening.agent.to_string());
                self.book.borrow_mut().out.event(
                    "incoming",
                    |o| {
                        let o = o.str("channel_id", &name).str("from", &from).str("intent", &opening.intent);
                        match Value::from_json(&opening.metadata) {
                            Ok(metadata) => o.value("metadata", metadata),
                            Err(_) => o,
                        }
                    },
                    |flow| {
                        flow.quoted("", Text::new(&from)).words("opens").quoted("", Text::new(&opening.intent));
                    },
                );
                let intent = opening.intent.to_string();
                let heard = Heard { name, from, intent, proof: *proof, frames: 0, bytes: 0, reason: None };
                self.channels.insert(*channel, heard);
                return Answer::Accept(*channel);
            }
            Event::Finished(channel, reason) => {
                if let Some(heard) = self.channels.get_mut(channel) {
                    heard.reason = Some(reason.clone());
                }
                return Answer::Close(*channel);
            }
            Event::Closed(channel) => {
                let reason = self.channels.get_mut(channel).and_then(|heard| heard.reason.take());
                self.closed(*channel, reason.as_deref().unwrap_or("client_close"));
            }
            Event::Abandoned(channel, missing) => {
                // Both were done, and the signature for that did not come.
                let is_done = self.channels.get(channel).is_some_and(|heard| heard.reason.is_some()) && *missing == 0;
                self.closed(*channel, if is_done { "unsigned" } else { "lost" });
            }
            Event::Broken(channel, fault) => {
                self.book.borrow_mut().tampered += 1;
                let name = self.channels.get(channel).map(|heard| heard.name.clone()).unwrap_or_default();
                let seq = self.channels.get(channel).map_or(0, |heard| heard.frames);
                self.book.borrow_mut().out.event(
                    "tampered",
                    |o| o.str("channel_id", &name).raw("seq", seq),
                    |flow| {
                        flow.text(Color::Bold, &format!("{name}: {fault}"));
                    },
                );
                self.closed(*channel, "tampered");
            }
            Event::Resumed(_) => self.resumed += 1,
            Event::Signed(channel, upto) => {
                let Some(heard) = self.channels.get(channel) else { return Answer::Nothing };
                let (name, upto) = (&heard.name, upto - 1);
                self.book.borrow_mut().out.event(
                    "signed",
                    |o| o.str("channel_id", name).str("from", &heard.from).raw("seq", upto),
                    |_| {},
                );
            }
            _ => {}
        }
        Answer::Nothing
    }

    fn message(&mut self, channel: Channel, number: u64, kind: Kind, body: Vec<u8>, tag: Option<Tag>) -> Answer {
        let Some(heard) = self.channels.get_mut(&channel) else { return Answer::Nothing };
        (heard.frames, heard.bytes) = (heard.frames + 1, heard.bytes + body.len() as u64);
        {
            let mut book = self.book.borrow_mut();
            (book.frames, book.bytes) = (book.frames + 1, book.bytes + body.len() as u64);
            // Somebody may count them.
            book.wake();
        }
        let text = String::from_utf8_lossy(&body);
        let tag = tag.map(|tag| hex(&tag));
        let (seq, verified) = (number - 1, heard.proof != Proof::None);
        let payload = (kind == Kind::Json).then(|| Value::from_json(&text).ok()).flatten();
        let heard = &*heard;
        let place = Place { from: &heard.from, to: &self.args.agent, intent: &heard.intent };
        let believed = payload.and_then(|payload| self.book.borrow_mut().believes(&heard.name, seq, &place, payload));
        if believed == Some(false) {
            // It was heard, and counts for nothing.
            return Answer::Take(channel, number, None);
        }
        self.book.borrow_mut().out.event(
            "frame",
            |o| {
                let o = o.str("channel_id", &heard.name).str("from", &heard.from).raw("seq", seq);
                let o = match payload {
                    Some(payload) => o.value("payload", payload),
                    None => o.str("payload", &text),
                };
                let o = o.maybe("tbz_hash", tag.as_deref());
                let o = o.str("proof", heard.proof.name());
                let o = if believed == Some(true) { o.raw("signed", true) } else { o };
                if verified { o.raw("verified", true) } else { o.raw("verified", "null") }
            },
            |flow| {
                flow.quoted("", Text::new(&heard.from));
                match payload {
                    Some(payload) => {
                        let mut shown = Vec::new();
                        put_readable(&mut shown, payload);
                        flow.json(Color::Bold, &shown);
                    }
                    None => drop(flow.quoted("", Text::new(&text))),
                }
            },
        );
        Answer::Take(channel, number, self.args.echo.then_some((kind, body)))
    }

    fn is_enough(&self) -> bool {
        self.args.count.is_some_and(|count| self.book.borrow().frames >= count)
    }

    /// Send back what there is room for.
    fn echo(&mut self, now: Now, client: &mut Client) {
        let mut full = BTreeSet::new();
        self.echoes.retain(|(channel, number, kind, body)| {
            if full.contains(channel) {
                return true;
            }
            match client.send(now, *channel, *kind, body) {
                Err(SendError::Full) => full.insert(*channel),
                _ => {
                    client.take(now, *channel, *number);
                    false
                }
            }
        });
    }

    fn closed(&mut self, channel: Channel, reason: &str) {
        let Some(heard) = self.channels.remove(&channel) else { return };
        self.book.borrow_mut().out.event(
            "closed",
            |o| {
                let o = o.str("channel_id", &heard.name).str("reason", reason);
                o.raw("frames", heard.frames).raw("bytes", heard.bytes)
            },
            |flow| {
                flow.words(&format!("{} is closed:", heard.name)).quoted("", Text::new(reason));
            },
        );
    }
}

impl App<Client> for Hearing<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        self.began.get_or_insert(now.mono);
        while !self.is_enough() {
            let Some(event) = client.poll_event() else { break };
            let answer = match event {
                Event::Message(channel, number, kind, body) => {
                    let body = body.to_vec();
                    let tag = client.channel(channel).and_then(|it| it.tag()).copied();
                    self.message(channel, number, kind, body, tag)
                }
                event => self.hear(now, &event),
            };
            match answer {
                Answer::Nothing => {}
                Answer::Accept(channel) => client.accept(now, channel),
                Answer::Refuse(channel) => client.refuse(now, channel, "the intent is not accepted"),
                Answer::Close(channel) => client.close(now, channel, "client_close"),
                Answer::Take(channel, number, echo) => match echo {
                    None => client.take(now, channel, number),
                    Some((kind, body)) => self.echoes.push_back((channel, number, kind, body)),
                },
            }
        }
        if self.resumed > 0 {
            let (out, lost) = (&mut self.book.borrow_mut().out, self.lost.take());
            tell_resumed(out, now.mono, lost, std::mem::take(&mut self.resumed));
        }
        self.echo(now, client);
        let asked = self.orders.as_ref().is_some_and(|orders| orders.poll_next(cx) == Some(Asked::Stop));
        let late = self.deadline().is_some_and(|end| end <= now.mono);
        let mut book = self.book.borrow_mut();
        book.out.flush();
        let over = if self.beside {
            book.wakers.retain(|waker| !waker.will_wake(cx.waker()));
            book.wakers.push(cx.waker().clone());
            book.over || book.native == Some(false)
        } else {
            asked || late || book.out.is_broken()
        };
        drop(book);
        if over || self.refused || !self.beside && self.is_enough() {
            client.shut_down(now);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.began? + self.args.span.duration?).filter(|_| !self.beside)
    }
}
