//! An application's own agents at `sluis mux serve`: messages that are awaited, and channels as streams of bytes.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sluis_core::Seed;
use sluis_mux::channel::{Kind, Proof};
use sluis_mux::native::ClientConfig;
use sluis_net::{ByteStream, Runtime, read, within, write_all};
use sluis_udp::SystemClock;
use sluis_web::agent::{Agent, Channel, Gone, Incoming, Notice, Notices, prepare};

use crate::hub::Hub;
use crate::on_both;

on_both! {
    a_message_is_sent_once_it_was_received_and_a_channel_ends_on_both_sides
    a_channel_is_a_stream_of_bytes
    a_stream_of_bytes_ends_with_any_reason_and_is_reset_where_it_broke
    channels_to_an_application_that_does_not_listen_or_answer_are_refused
    a_channel_that_was_dropped_and_that_the_other_end_never_closes_makes_room
}

/// Both of them at a time.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b, mut one, mut other) = (pin!(a), pin!(b), None, None);
    poll_fn(|cx| {
        if one.is_none()
            && let Poll::Ready(done) = a.as_mut().poll(cx)
        {
            one = Some(done);
        }
        if other.is_none()
            && let Poll::Ready(done) = b.as_mut().poll(cx)
        {
            other = Some(done);
        }
        if one.is_some() && other.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (one.unwrap(), other.unwrap())
}

fn agent<R: Runtime>(runtime: &R, hub: &Hub, name: &str) -> (Agent, Notices) {
    agent_of(runtime, hub, ClientConfig::new(name, "", 0))
}

fn agent_of<R: Runtime>(runtime: &R, hub: &Hub, config: ClientConfig) -> (Agent, Notices) {
    let seed = Seed::from_u64(config.agent.bytes().map(u64::from).sum());
    let url = hub.url.parse().unwrap();
    let (agent, notices, task) = prepare(runtime.clone(), SystemClock::new(), &seed, (&url, None), config).unwrap();
    runtime.spawn(async move {
        // However it ends, whoever uses it learns that.
        let _ = task.await;
    });
    (agent, notices)
}

/// The channel that is opened next.
async fn accepted(agent: &Agent, notices: &mut Notices) -> Channel {
    let incoming = incoming(notices).await;
    assert_eq!((&*incoming.agent, &*incoming.intent, &*incoming.metadata), ("alice", "stream", "{\"n\":1}"));
    agent.accept(incoming)
}

async fn incoming(notices: &mut Notices) -> Incoming {
    loop {
        if let Notice::Incoming(incoming) = notices.next().await.unwrap() {
            return incoming;
        }
    }
}

async fn connected(notices: &mut Notices) {
    while !matches!(notices.next().await.unwrap(), Notice::Connected(hub) if &*hub == "node") {}
}

async fn meet<R: Runtime>(runtime: &R, hub: &Hub) -> ([Agent; 2], [Channel; 2], Notices) {
    let ((alice, mut hers), (bob, mut his)) = (agent(runtime, hub, "alice"), agent(runtime, hub, "bob"));
    connected(&mut hers).await;
    connected(&mut his).await;
    let (out, back) = both(alice.open("bob", "stream", "{\"n\":1}"), accepted(&bob, &mut his)).await;
    ([alice, bob], [out.unwrap(), back], his)
}

macro_rules! on {
    ($name:expr, $case:ident, $hub:expr) => {
        match $name {
            "tokio" => sluis_tokio::block_on($case(sluis_tokio::net::Tokio, $hub)),
            _ => sluis_smol::block_on($case(sluis_smol::net::Smol, $hub)),
        }
    };
}

fn a_message_is_sent_once_it_was_received_and_a_channel_ends_on_both_sides(runtime: &'static str) {
    let hub = Hub::start("mux-agents", runtime, &["--open", "--plain"]);
    on!(runtime, messages, &hub);
}

async fn messages<R: Runtime>(runtime: R, hub: &Hub) {
    let ([alice, bob], [out, back], mut his) = meet(&runtime, hub).await;
    assert_eq!((out.proof(), back.proof()), (Proof::None, Proof::None));
    {
        let mut sending = pin!(out.send(Kind::Json, "1"));
        assert_eq!(within(&runtime, Duration::from_millis(300), sending.as_mut()).await, None, "nobody took it");
        let (sent, received) = both(sending, back.receive()).await;
        let message = received.unwrap().unwrap();
        assert_eq!((sent, message.kind, &message.body[..]), (Ok(()), Kind::Json, &b"1"[..]));
    }
    // More than may wait: who sends waits for who receives, and nothing is lost.
    let all = async {
        for n in 0..3000_u32 {
            let body = n.to_be_bytes();
            // They need not be waited for one by one.
            if n % 500 == 0 { out.send(Kind::Bytes, body).await.unwrap() } else { queue(&out, &body).await }
        }
        out.send(Kind::Bytes, "end").await.unwrap();
    };
    let heard = async {
        for n in 0..3000_u32 {
            assert_eq!(back.receive().await.unwrap().unwrap().body, n.to_be_bytes());
        }
        assert_eq!(back.receive().await.unwrap().unwrap().body, b"end");
    };
    both(all, heard).await;
    assert!(matches!(out.send(Kind::Json, "{").await, Err(Gone::Invalid(_))));
    let over = async {
        assert_eq!(back.receive().await, Ok(None));
        assert_eq!(back.reason().as_deref(), Some("done"));
        back.close("done too").await
    };
    assert_eq!(both(out.close("done"), over).await, (Ok(()), Ok(())));
    let refused = async {
        let Some(Notice::Incoming(incoming)) = his.next().await else { panic!("no channel") };
        bob.refuse(incoming, "not now");
    };
    let (opened, ()) = both(alice.open("bob", "chat", "{}"), refused).await;
    assert_eq!(opened.map(|_| ()), Err(Gone::Refused("not now".into())));
    alice.shut_down().await;
    assert!(matches!(alice.open("bob", "chat", "{}").await, Err(Gone::Ended)));
}

/// Send without waiting for the other end: once it is on its way.
async fn queue(channel: &Channel, body: &[u8]) {
    let mut sending = pin!(channel.send(Kind::Bytes, body));
    poll_fn(|cx| {
        let _ = sending.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

fn a_channel_is_a_stream_of_bytes(runtime: &'static str) {
    let hub = Hub::start("mux-agent-bytes", runtime, &["--open", "--plain"]);
    on!(runtime, bytes, &hub);
}

async fn bytes<R: Runtime>(runtime: R, hub: &Hub) {
    let (_agents, [out, back], _his) = meet(&runtime, hub).await;
    let said: Vec<u8> = (0..1_500_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
    let (mut near, mut far) = (out.into_bytes(), back.into_bytes());
    // The far end says back what it hears, and ends when it has heard the end.
    let echo = async {
        let mut buffer = vec![0; 7001];
        loop {
            let len = read(&mut far, &mut buffer).await.unwrap();
            if len == 0 {
                break;
            }
            write_all(&mut far, &buffer[..len]).await.unwrap();
        }
        poll_fn(|cx| far.poll_close(cx)).await.unwrap();
    };
    let ask = async {
        let (mut heard, mut buffer, mut rest, mut closed) = (Vec::new(), vec![0; 5000], &said[..], false);
        poll_fn(|cx| {
            while !rest.is_empty()
                && let Poll::Ready(taken) = near.poll_write(cx, rest)
            {
                rest = &rest[taken.unwrap()..];
            }
            closed |= rest.is_empty() && !closed && near.poll_close(cx).is_ready();
            loop {
                match near.poll_read(cx, &mut buffer) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => return Poll::Ready(()),
                    Poll::Ready(len) => heard.extend_from_slice(&buffer[..len.unwrap()]),
                }
            }
        })
        .await;
        assert!(closed && heard == said, "{} of {}", heard.len(), said.len());
    };
    let time = Duration::from_secs(60);
    assert!(within(&runtime, time, both(echo, ask)).await.is_some(), "it never comes through");
}

fn a_stream_of_bytes_ends_with_any_reason_and_is_reset_where_it_broke(runtime: &'static str) {
    let hub = Hub::start("mux-agent-ends", runtime, &["--open", "--plain"]);
    on!(runtime, ends, &hub);
}

async fn ends<R: Runtime>(runtime: R, hub: &Hub) {
    let ([alice, bob], [out, back], mut his) = meet(&runtime, hub).await;
    let (mut far, mut buffer) = (back.into_bytes(), [0; 16]);
    queue(&out, b"all").await;
    out.finish("done");
    assert_eq!(read(&mut far, &mut buffer).await.unwrap(), 3);
    assert_eq!(read(&mut far, &mut buffer).await.unwrap(), 0, "an end is none of a connection");
    let (out, back) = both(alice.open("bob", "stream", "{\"n\":1}"), accepted(&bob, &mut his)).await;
    let (mut near, mut far) = (out.unwrap().into_bytes(), back.into_bytes());
    poll_fn(|cx| near.poll_write(cx, b"some")).await.unwrap();
    near.abort();
    assert_eq!(read(&mut far, &mut buffer).await.unwrap(), 4);
    assert_eq!(read(&mut far, &mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

fn channels_to_an_application_that_does_not_listen_or_answer_are_refused(runtime: &'static str) {
    let hub = Hub::start("mux-agent-deaf", runtime, &["--open", "--plain"]);
    on!(runtime, deaf, &hub);
}

async fn deaf<R: Runtime>(runtime: R, hub: &Hub) {
    let ([alice, bob], [out, back], mut his) = meet(&runtime, hub).await;
    let refused = async |doing: &mut dyn FnMut(), why: &str| {
        let mut opening = pin!(alice.open("bob", "chat", "{}"));
        let wait = Duration::from_millis(300);
        assert!(within(&runtime, wait, opening.as_mut()).await.is_none(), "nobody has answered");
        doing();
        let opened = within(&runtime, Duration::from_secs(10), opening).await.expect("it waits for ever");
        assert_eq!(opened.map(|_| ()), Err(Gone::Refused(why.into())));
    };
    let unanswered = async {
        let (opened, ()) = both(alice.open("bob", "chat", "{}"), async { drop(incoming(&mut his).await) }).await;
        opened.map(|_| ())
    };
    assert_eq!(unanswered.await, Err(Gone::Refused("the application does not answer".into())));
    // One that is told and not read, and one that comes when nobody will read it.
    let mut his = Some(his);
    refused(&mut || his = None, "no application listens").await;
    assert_eq!(alice.open("bob", "chat", "{}").await.map(|_| ()), Err(Gone::Refused("no application listens".into())));
    // What is open goes on, and so does what it opens itself.
    let (sent, heard) = both(out.send(Kind::Json, "1"), back.receive()).await;
    assert!(sent.is_ok() && heard.unwrap().is_some());
    assert!(bob.is_connected());
}

fn a_channel_that_was_dropped_and_that_the_other_end_never_closes_makes_room(runtime: &'static str) {
    let hub = Hub::start("mux-agent-room", runtime, &["--open", "--plain"]);
    on!(runtime, room, &hub);
}

async fn room<R: Runtime>(runtime: R, hub: &Hub) {
    let mut config = ClientConfig::new("alice", "", 0);
    (config.max_channels, config.park_time) = (1, Duration::from_secs(2));
    let ((alice, mut hers), (bob, mut his)) = (agent_of(&runtime, hub, config), agent(&runtime, hub, "bob"));
    connected(&mut hers).await;
    connected(&mut his).await;
    let (out, silent) = both(alice.open("bob", "stream", "{\"n\":1}"), accepted(&bob, &mut his)).await;
    drop(out.unwrap());
    assert_eq!(silent.receive().await, Ok(None), "it is told of the end at once");
    assert!(matches!(alice.open("bob", "stream", "{\"n\":1}").await, Err(Gone::Invalid(_))), "it has time to answer");
    within(&runtime, Duration::from_secs(3), std::future::pending::<()>()).await;
    let (out, _back) = both(alice.open("bob", "stream", "{\"n\":1}"), accepted(&bob, &mut his)).await;
    out.unwrap();
}
