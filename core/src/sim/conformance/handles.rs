//! A machine in the background.

use std::net::{SocketAddr, UdpSocket};
use std::vec;
use std::vec::Vec;

use super::{Adapter, loopback, plain, until};
use crate::driver::{App, Events, Handle, HandleConfig, Request};
use crate::sim::machines::{Reply, Talk, Talker, Told};
use crate::time::{Duration, Now};
use crate::{Machine as _, Path, Reject};

fn talker() -> Talker {
    Talker::new(Duration::from_secs(30))
}

fn spawn<T: Adapter>(talker: Talker, notices: usize) -> (SocketAddr, Handle<Talker>, Events<Talker>) {
    let socket = T::bind(loopback()).expect("a socket");
    let addr = T::local_addr(&socket);
    let (handle, events) = T::spawn(socket, talker, HandleConfig { notices, ..HandleConfig::default() });
    (addr, handle, events)
}

fn ask(handle: &Handle<Talker>, to: SocketAddr, body: &[u8]) -> Request<Talker> {
    handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, Path::to(to), body))).expect("asked")
}

/// What a talker would send: its question number `id`.
fn question(socket: &UdpSocket, to: SocketAddr, id: u8) {
    socket.send_to(&[0, 0, 0, 0, 0, 0, 0, 0, id, b'?'], to).expect("sent");
}

/// An answer at once; *pending* and a decision; no answer; and a request that is given up.
pub(super) fn requests_are_answered_deferred_and_timed_out<T: Adapter>() {
    T::block_on(async {
        let (quick, _quick, _quicks) = spawn::<T>(talker(), 8);
        let (slow, slow_handle, mut asked) = spawn::<T>(Talker::deferring(Duration::from_secs(30)), 8);
        let silent = plain(loopback());
        let silent = silent.local_addr().expect("bound");
        let (_, handle, _events) = spawn::<T>(Talker::new(Duration::from_millis(40)), 8);

        for i in 0..50 {
            assert_eq!(ask(&handle, quick, &[i]).await, Reply::Answer(vec![i]));
        }
        let mut request = ask(&handle, slow, b"may I?");
        assert_eq!((&mut request).await, Reply::Pending(b"may I?".to_vec()));
        let told = asked.next().await.expect("it heard of it");
        slow_handle.with(|talker, _| talker.decide(&told, b"yes"));
        assert_eq!(request.next().await, Some(Reply::Answer(b"yes".to_vec())));
        assert_eq!(request.next().await, None);

        let late = ask(&handle, silent, b"anybody?");
        let given_up = ask(&handle, silent, b"never mind");
        drop(given_up);
        assert_eq!(late.await, Reply::Timeout);
        assert_eq!(handle.with(|talker, _| (talker.open(), talker.cancelled)), (0, 1));
    });
}

/// Nobody reads the events: the machine's own caps hold, requests go on, and nothing acknowledged is lost.
pub(super) fn an_unread_event_stream_pushes_back<T: Adapter>() {
    T::block_on(async {
        let mut small = talker();
        small.max_notices = 8;
        let (addr, handle, mut events) = spawn::<T>(small, 4);
        let (other, _other, _others) = spawn::<T>(talker(), 8);
        let client = plain(loopback());
        for id in 0..100 {
            question(&client, addr, id);
            until(|| handle.stats().received > u64::from(id)).await;
        }
        until(|| handle.with(|talker, _| talker.rejects.get(Reject::Busy)) == 100 - 4 - 8).await;
        assert_eq!(ask(&handle, other, b"?").await, Reply::Answer(b"?".to_vec()));
        for id in 0..12 {
            assert_eq!(events.next().await.map(|told| told.id), Some(id));
        }
        question(&client, addr, 200);
        assert_eq!(events.next().await.map(|told| told.id), Some(200));
    });
}

/// What was queued goes out, open requests are told, and the events still held can be read.
pub(super) fn shutting_down_flushes<T: Adapter>() {
    let other = plain(loopback());
    let to = other.local_addr().expect("bound");
    T::block_on(async {
        let (addr, handle, mut events) = spawn::<T>(talker(), 8);
        question(&other, addr, 7);
        until(|| handle.stats().received == 1).await;
        let open = ask(&handle, to, b"?");
        for i in 0..150_u8 {
            handle.with(|talker, now| talker.ask(now, Path::to(to), &[i]));
        }
        let stats = handle.shutdown().await.expect("no failure");
        assert_eq!((stats.sent, stats.discarded), (152, 0));
        assert_eq!(open.await, Reply::Ended);
        assert_eq!(events.next().await.map(|told| told.id), Some(7));
        assert_eq!(events.next().await, None);
    });
    for _ in 0..152 {
        other.recv(&mut [0; 100]).expect("it arrives");
    }
}

/// Nobody is left to serve: the driver ends, and its port can be had again.
pub(super) fn the_last_handle_ends_it_and_frees_the_port<T: Adapter>() {
    T::block_on(async {
        let (addr, handle, events) = spawn::<T>(talker(), 8);
        let ended = handle.ended();
        drop((handle.clone(), events));
        let other = plain(loopback());
        question(&other, addr, 1);
        other.set_nonblocking(true).expect("non-blocking");
        until(|| other.recv(&mut [0; 100]).is_ok()).await;
        drop(handle);
        assert_eq!(ended.await.expect("no failure").sent, 1);
        until(|| T::bind(addr).is_ok()).await;
    });
}

/// A talker that one owns: the app does what the handles of a shared one do.
struct Script {
    to: SocketAddr,
    left: u8,
    told: Vec<Told>,
    replies: Vec<(u64, Reply)>,
}

impl App<Talker> for Script {
    fn poll(&mut self, _: &mut core::task::Context<'_>, now: Now, talker: &mut Talker) -> core::task::Poll<()> {
        while let Some(talk) = talker.poll_event() {
            match talk {
                Talk::Reply(answer) => self.replies.push((answer.id, answer.reply)),
                Talk::Told(told) => self.told.push(told),
            }
        }
        if talker.open() == 0 {
            if self.left == 0 {
                return core::task::Poll::Ready(());
            }
            self.left -= 1;
            talker.ask(now, Path::to(self.to), &[self.left]);
        }
        core::task::Poll::Pending
    }
}

/// The same questions to the same kind of peer, once with an app and once with a handle.
pub(super) fn running_and_spawning_do_the_same<T: Adapter>() {
    let ask_all = |owned: bool| {
        T::block_on(async move {
            let (to, peer, mut heard) = spawn::<T>(talker(), 100);
            let (replies, stats) = if owned {
                let mut socket = T::bind(loopback()).expect("a socket");
                let mut script = Script { to, left: 30, told: Vec::new(), replies: Vec::new() };
                let stats = T::run(&mut socket, &mut talker(), &mut script).await.expect("no failure");
                assert_eq!(script.told, []);
                (script.replies, stats)
            } else {
                let (_, handle, _events) = spawn::<T>(talker(), 8);
                let mut replies = Vec::new();
                for left in (0..30).rev() {
                    let request = ask(&handle, to, &[left]);
                    replies.push((request.id(), request.await));
                }
                (replies, handle.shutdown().await.expect("no failure"))
            };
            let peer = peer.shutdown().await.expect("no failure");
            let mut bodies = Vec::new();
            while let Some(told) = heard.next().await {
                bodies.push((told.id, told.body));
            }
            let counts = |s: crate::driver::DriverStats| (s.received, s.sent, s.discarded, s.recv_errors);
            (replies, bodies, counts(stats), counts(peer))
        })
    };
    let owned = ask_all(true);
    assert_eq!(owned.0.len(), 30);
    assert_eq!(owned, ask_all(false));
}
