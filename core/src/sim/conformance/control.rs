//! Errors, timers, stopping, fairness: a machine that one owns.

use core::task::{Context, Poll};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::vec;

use super::{Adapter, loopback, plain, until};
use crate::Path;
use crate::driver::{App, Flow, HandleConfig};
use crate::sim::machines::{Echo, Reply, Talker};
use crate::time::{Duration, Instant, Now};

/// A datagram that no network carries is dropped and counted, and those around it arrive.
pub(super) fn what_cannot_be_sent_is_counted_and_the_rest_goes_on<T: Adapter>() {
    let other = plain(loopback());
    let to = Path::to(other.local_addr().expect("bound"));
    let nobody = [Path::to(([127, 0, 0, 1], 0).into()), Path::to(([0; 16], 9).into())];
    let stats = T::block_on(async {
        let mut socket = T::bind(loopback()).expect("a socket");
        let mut echo = Echo::new(64);
        for (path, body) in [(to, vec![1; 9]), (to, vec![2; 65_510]), (nobody[0], vec![3; 9]), (nobody[1], vec![4; 9])]
        {
            echo.send(path, &body).expect("room");
        }
        // A source address that is not ours: it goes, from one that is.
        let strange = Path { local: Some([192, 0, 2, 1].into()), ..to };
        echo.send(strange, &[5; 9]).expect("room");
        echo.send(to, &[6; 9]).expect("room");
        T::run(&mut socket, &mut echo, &mut |_: Now, _: &mut Echo| Flow::Stop).await.expect("no failure")
    });
    assert_eq!((stats.sent, stats.discarded), (3, 3));
    let mut buffer = [0; 100];
    for fill in [1, 5, 6] {
        assert_eq!(other.recv(&mut buffer).expect("it arrives"), 9);
        assert_eq!(buffer.first(), Some(&fill));
    }
}

/// Nobody listens there (the answer is an ICMP error): the driver goes on.
pub(super) fn a_refused_datagram_ends_nothing<T: Adapter>() {
    let dead = plain(loopback()).local_addr().expect("bound, and closed again");
    T::block_on(async {
        let start = || {
            let socket = T::bind(loopback()).expect("a socket");
            let addr = T::local_addr(&socket);
            (addr, T::spawn(socket, Talker::new(Duration::from_secs(30)), HandleConfig::default()))
        };
        let ((live, _live), (_, (handle, _events))) = (start(), start());
        let ask = |to| handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, Path::to(to), b"?"))).expect("asked");
        for _ in 0..20 {
            let unanswered = ask(dead);
            assert_eq!(ask(live).await, Reply::Answer(b"?".to_vec()));
            drop(unanswered);
        }
        let stats = handle.shutdown().await.expect("no failure");
        assert_eq!(stats.received, 20);
        assert_eq!(stats.sent + stats.discarded, 40);
    });
}

/// Everything that is queued when the app says stop arrives.
pub(super) fn stopping_flushes<T: Adapter>() {
    let other = plain(loopback());
    let to = Path::to(other.local_addr().expect("bound"));
    T::block_on(async {
        let mut socket = T::bind(loopback()).expect("a socket");
        let mut machine = Echo::new(200);
        for i in 0..200_u8 {
            machine.send(to, &[i; 30]).expect("room");
        }
        let stats =
            T::run(&mut socket, &mut machine, &mut |_: Now, _: &mut Echo| Flow::Stop).await.expect("no failure");
        assert_eq!(stats.sent, 200);
        // Socket and machine can be used again.
        machine.send(to, b"again").expect("room");
        T::run(&mut socket, &mut machine, &mut |_: Now, _: &mut Echo| Flow::Stop).await.expect("no failure");
    });
    let mut buffer = [0; 100];
    for i in 0..200 {
        assert_eq!(other.recv(&mut buffer).expect("it arrives"), 30);
        assert_eq!(buffer.first(), Some(&i));
    }
    assert_eq!(other.recv(&mut buffer).expect("it arrives"), 5);
}

/// Three alarms, each set when the one before has rung.
struct Alarms {
    at: Option<Instant>,
    rung: u32,
}

impl App<Echo> for Alarms {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, _: &mut Echo) -> Poll<()> {
        match self.at {
            Some(at) if at > now.mono => return Poll::Pending,
            Some(_) => self.rung += 1,
            None => {}
        }
        self.at = Some(now.mono + Duration::from_millis(5));
        if self.rung < 3 { Poll::Pending } else { Poll::Ready(()) }
    }

    fn deadline(&self) -> Option<Instant> {
        self.at
    }
}

/// Also without any traffic.
pub(super) fn an_app_is_called_at_its_deadline<T: Adapter>() {
    T::block_on(async {
        let mut socket = T::bind(loopback()).expect("a socket");
        let mut app = Alarms { at: None, rung: 0 };
        let stats = T::run(&mut socket, &mut Echo::new(1), &mut app).await.expect("no failure");
        assert_eq!((app.rung, stats.received), (3, 0));
        assert!(stats.wakes < 100, "it waited, it did not spin: {} wakes", stats.wakes);
    });
}

/// While somebody sends as fast as he can, requests time out and another task on the same thread gets on.
pub(super) fn a_flood_leaves_room_for_timers_and_other_tasks<T: Adapter>() {
    T::block_on(async {
        let socket = T::bind(loopback()).expect("a socket");
        let to = T::local_addr(&socket);
        let (handle, _events) = T::spawn(socket, Talker::new(Duration::from_millis(50)), HandleConfig::default());
        let stop = Arc::new(AtomicBool::new(false));
        let flooder = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || flood(&stop, &|socket| drop(socket.send_to(b"garbage", to))))
        };
        until(|| handle.stats().received > 1_000).await;
        let silent = plain(loopback());
        let path = Path::to(silent.local_addr().expect("bound"));
        let mut replies = 0;
        for _ in 0..3 {
            let request = handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, path, b"?"))).expect("asked");
            assert_eq!(request.await, Reply::Timeout);
            replies += 1;
        }
        stop.store(true, Ordering::Relaxed);
        flooder.join().expect("no panic");
        assert_eq!(replies, 3);
        let stats = handle.shutdown().await.expect("no failure");
        assert_eq!(stats.sent, 3);
    });
}

fn flood(stop: &AtomicBool, send: &dyn Fn(&UdpSocket)) {
    let socket = plain(loopback());
    while !stop.load(Ordering::Relaxed) {
        send(&socket);
    }
}
