//! Streams: what every adapter has to do with them.

use core::future::Future;
use std::format;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::string::String;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::vec;
use std::vec::Vec;

use super::{loopback, until};
use crate::driver::{App, DriverStats, Events, Flow, Handle, Requests, StreamIo};
use crate::sim::machines::{Call, StreamCaller, StreamEcho};
use crate::time::Now;
use crate::{End, Machine as _, Security, Streams};

/// An adapter's streams, as the suite sees them.
pub trait StreamAdapter {
    /// The io of a machine.
    type Io: StreamIo + Send + 'static;

    /// Listen there; with TLS for the name `localhost` and the protocol `sluis-test` if it is to be `secure`.
    ///
    /// # Errors
    /// The address cannot be had.
    fn listen(addr: SocketAddr, secure: bool) -> Result<(Self::Io, SocketAddr), String>;

    /// Streams that dial. TLS settings number 0 believe the server of [`listen`](Self::listen), number 1 do not; there are no others.
    fn dialler() -> Self::Io;

    /// Drive a machine until its app stops.
    fn run<M: Streams, A: App<M>>(
        io: Self::Io,
        machine: &mut M,
        app: &mut A,
    ) -> impl Future<Output = Result<DriverStats, String>>;

    /// Drive a machine in the background. Called inside of [`block_on`](Self::block_on).
    fn spawn<M>(io: Self::Io, machine: M) -> (Handle<M>, Events<M>)
    where
        M: Requests + Streams + Send + 'static;

    /// Run a future to its end on this thread.
    fn block_on<F: Future>(future: F) -> F::Output;
}

/// Make a test of every case of this suite, for one [`StreamAdapter`](crate::sim::conformance::StreamAdapter).
#[macro_export]
macro_rules! stream_conformance {
    ($adapter:ty) => {
        $crate::stream_conformance! { @each (@test run_streams $adapter) }
    };
    (@each $then:tt) => {
        $crate::conformance! { @then $then
            every_byte_comes_back_on_every_stream
            a_stream_that_is_not_read_holds_up_no_other
            a_half_that_has_ended_leaves_the_other
            a_peer_that_breaks_off_breaks_one_stream
            who_does_not_answer_is_told_from_who_refuses
            more_streams_than_there_is_room_for_are_refused
            tls_protects_and_names_the_protocol
            tls_with_a_stranger_does_not_come_about
            what_is_no_tls_is_let_go_and_the_rest_served
            calls_are_awaited_through_the_handle
            shutting_down_writes_what_waits
        }
    };
}

pub(super) fn case<T: StreamAdapter>(name: &str) -> Option<fn()> {
    crate::stream_conformance! { @each (@case T name) }
}

/// An echo on a thread of its own, which stops once so many streams have ended.
fn echo<T: StreamAdapter>(
    addr: SocketAddr,
    secure: bool,
    room: usize,
    count: usize,
) -> (SocketAddr, JoinHandle<StreamEcho>) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        T::block_on(async move {
            let (io, addr) = T::listen(addr, secure).expect("a listener");
            tell.send(addr).expect("the test waits for it");
            let mut machine = StreamEcho::new(room);
            let mut app =
                move |_: Now, echo: &mut StreamEcho| if echo.ends.len() < count { Flow::Continue } else { Flow::Stop };
            T::run(io, &mut machine, &mut app).await.expect("no failure");
            machine
        })
    });
    (told.recv().expect("an address"), thread)
}

/// Make these calls, all at once, and give them back when all are over.
fn call<T: StreamAdapter>(calls: Vec<Call>) -> Vec<Call> {
    T::block_on(async {
        let mut machine = StreamCaller::default();
        for call in calls {
            machine.call(call);
        }
        let mut app = |_: Now, caller: &mut StreamCaller| {
            while caller.poll_event().is_some() {}
            if caller.is_over() { Flow::Stop } else { Flow::Continue }
        };
        T::run(T::dialler(), &mut machine, &mut app).await.expect("no failure");
        machine.calls
    })
}

fn to(addr: SocketAddr, total: u64) -> Call {
    Call::new(&format!("{}", addr.ip()), addr.port(), total)
}

fn secure(addr: SocketAddr, total: u64, settings: u16) -> Call {
    Call { security: Security::Tls(settings), ..Call::new("localhost", addr.port(), total) }
}

/// From none to a million bytes, on both families.
fn every_byte_comes_back_on_every_stream<T: StreamAdapter>() {
    for addr in [loopback(), (Ipv6Addr::LOCALHOST, 0).into()] {
        let sizes = [0, 1, 2, 1000, 65_536, 65_537, 1_000_000];
        let calls = sizes.iter().cycle().take(70);
        let (at, thread) = echo::<T>(addr, false, 100, 70);
        for call in call::<T>(calls.map(|size| to(at, *size)).collect()) {
            assert!(call.is_done(), "{call:?}");
        }
        let machine = thread.join().expect("no panic");
        assert_eq!((machine.heard, machine.open()), (70, 0));
        assert!(machine.ends.iter().all(|end| *end == End::Closed), "{:?}", machine.ends);
    }
}

/// Megabytes wait on one stream; a hundred others do not notice.
fn a_stream_that_is_not_read_holds_up_no_other<T: StreamAdapter>() {
    let (at, thread) = echo::<T>(loopback(), false, 200, 101);
    T::block_on(async {
        let mut machine = StreamCaller::default();
        let held = machine.call(Call { held: true, ..to(at, 30_000_000) });
        for _ in 0..100 {
            machine.call(to(at, 50_000));
        }
        let mut app = |_: Now, caller: &mut StreamCaller| {
            while caller.poll_event().is_some() {}
            let others = caller.calls.iter().skip(1).all(Call::is_over);
            if others && caller.calls.first().is_some_and(|call| call.held) {
                assert!(caller.calls.first().is_some_and(|call| call.sent < 30_000_000), "TCP holds it back");
                caller.take(held);
            }
            if caller.is_over() { Flow::Stop } else { Flow::Continue }
        };
        T::run(T::dialler(), &mut machine, &mut app).await.expect("no failure");
        assert!(machine.calls.iter().all(Call::is_done), "{:?}", machine.calls.first());
    });
    let machine = thread.join().expect("no panic");
    assert!(machine.most_held <= 8192);
}

/// A plain socket says that it sends no more, and still gets all that it is owed.
fn a_half_that_has_ended_leaves_the_other<T: StreamAdapter>() {
    let (at, thread) = echo::<T>(loopback(), false, 8, 1);
    let mut stream = TcpStream::connect(at).expect("it listens");
    let sent: Vec<u8> = (0..=255).cycle().take(400_000).collect();
    let writer = {
        let (mut stream, sent) = (stream.try_clone().expect("a copy"), sent.clone());
        thread::spawn(move || {
            stream.write_all(&sent).expect("sent");
            stream.shutdown(Shutdown::Write).expect("shut down");
        })
    };
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("to the end");
    writer.join().expect("no panic");
    assert!(back == sent, "{} bytes came back", back.len());
    assert_eq!(thread.join().expect("no panic").ends, [End::Closed]);
}

/// One peer goes without a word, with bytes unread; another stays.
fn a_peer_that_breaks_off_breaks_one_stream<T: StreamAdapter>() {
    let (at, thread) = echo::<T>(loopback(), false, 8, 2);
    let mut rude = TcpStream::connect(at).expect("it listens");
    let mut kind = TcpStream::connect(at).expect("it listens");
    rude.write_all(&[1; 1000]).expect("sent");
    let mut byte = [0];
    rude.read_exact(&mut byte).expect("an echo");
    drop(rude);
    kind.write_all(b"still there?").expect("sent");
    let mut back = [0; 12];
    kind.read_exact(&mut back).expect("echoed");
    kind.shutdown(Shutdown::Write).expect("shut down");
    assert_eq!(kind.read(&mut back).expect("the end"), 0);
    assert_eq!(thread.join().expect("no panic").ends, [End::Lost, End::Closed]);
}

/// Nobody listens; there is no such name; TLS settings that are not there.
fn who_does_not_answer_is_told_from_who_refuses<T: StreamAdapter>() {
    let dead = TcpListener::bind(loopback()).and_then(|socket| socket.local_addr()).expect("bound, and closed again");
    let calls = vec![to(dead, 10), Call::new("no-such-host.invalid", 1, 10), secure(dead, 10, 7)];
    let ends: Vec<Vec<End>> = call::<T>(calls).into_iter().map(|call| call.ends).collect();
    assert_eq!(ends, [[End::Refused], [End::UnknownHost], [End::Untrusted]]);
}

/// What there is no room for is closed at once, and those that are there are served.
fn more_streams_than_there_is_room_for_are_refused<T: StreamAdapter>() {
    let (at, thread) = echo::<T>(loopback(), false, 2, 2);
    let streams: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(at).expect("it listens")).collect();
    let mut served = 0;
    for mut stream in streams {
        // One that was refused may not even take this.
        let _ = stream.write_all(b"?");
        let _ = stream.shutdown(Shutdown::Write);
        let mut back = Vec::new();
        match stream.read_to_end(&mut back) {
            Ok(_) => served += back.len(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    assert_eq!(served, 2);
    assert_eq!(thread.join().expect("no panic").heard, 2);
}

/// Every byte, the protocol's name, and a binding of both ends.
fn tls_protects_and_names_the_protocol<T: StreamAdapter>() {
    let (at, thread) = echo::<T>(loopback(), true, 8, 6);
    let sizes = [0, 1, 16_384, 16_385, 300_000, 3_000_000];
    for call in call::<T>(sizes.map(|size| secure(at, size, 0)).into()) {
        assert!(call.is_done() && call.bound, "{call:?}");
        assert_eq!(call.alpn.as_deref(), Some(&b"sluis-test"[..]));
    }
    assert_eq!(thread.join().expect("no panic").heard, 6);
}

/// Nothing of a machine reaches a server that is not believed, nor one that speaks no TLS.
fn tls_with_a_stranger_does_not_come_about<T: StreamAdapter>() {
    let (at, thread) = echo::<T>(loopback(), true, 8, 1);
    let (plain, plain_thread) = echo::<T>(loopback(), false, 8, 1);
    let calls = vec![secure(at, 10, 1), secure(plain, 10, 0), secure(at, 10, 0)];
    let calls = call::<T>(calls);
    assert_eq!([&calls[0].ends[..], &calls[1].ends[..]], [[End::Untrusted], [End::Untrusted]]);
    assert_eq!((calls[0].sent, calls[1].sent), (0, 0));
    assert!(calls[2].is_done());
    assert_eq!(thread.join().expect("no panic").heard, 1);
    drop(plain_thread.join().expect("no panic"));
}

/// Somebody speaks no TLS, another nothing at all: who does is served meanwhile.
fn what_is_no_tls_is_let_go_and_the_rest_served<T: StreamAdapter>() {
    let (at, thread) = echo::<T>(loopback(), true, 8, 1);
    let _silent = TcpStream::connect(at).expect("it listens");
    let mut wrong = TcpStream::connect(at).expect("it listens");
    wrong.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    // An alert may come first; then it is closed.
    let _ = wrong.read_to_end(&mut Vec::new());
    assert!(call::<T>(vec![secure(at, 1000, 0)]).iter().all(Call::is_done));
    assert_eq!(thread.join().expect("no panic").heard, 1);
}

/// The same through a handle: calls are futures, and one that is dropped is broken off.
fn calls_are_awaited_through_the_handle<T: StreamAdapter>() {
    T::block_on(async {
        let (io, at) = T::listen(loopback(), false).expect("a listener");
        let (echo, _echoed) = T::spawn(io, StreamEcho::new(64));
        let (caller, _events) = T::spawn(T::dialler(), StreamCaller::default());
        let ask = |total| caller.request(|caller, _| Ok::<_, ()>(caller.call(to(at, total)))).expect("asked");
        let given_up = ask(u64::MAX);
        for total in [0, 5, 100_000] {
            let call = ask(total).await;
            assert!(call.is_done(), "{call:?}");
        }
        until(|| echo.with(|echo, _| echo.heard == 4)).await;
        drop(given_up);
        until(|| echo.with(|echo, _| (echo.ends.len(), echo.open()) == (4, 0))).await;
        assert_eq!(caller.with(|caller, _| caller.cancelled), 1);
        let stats = caller.shutdown().await.expect("no failure");
        assert_eq!(stats.streams, 4);
        assert!(stats.stream_bytes_out >= 100_005 && stats.stream_bytes_in >= 100_005);
    });
}

/// What a machine has to say when it is shut down is written before the stream goes.
fn shutting_down_writes_what_waits<T: StreamAdapter>() {
    let listener = TcpListener::bind(loopback()).expect("a free port");
    let at = listener.local_addr().expect("bound");
    let reader = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a stream");
        // It begins to read late.
        thread::sleep(std::time::Duration::from_millis(100));
        let mut all = Vec::new();
        stream.read_to_end(&mut all).map(|_| all.len())
    });
    T::block_on(async {
        let (caller, _events) = T::spawn(T::dialler(), StreamCaller::default());
        let _call = caller.request(|caller, _| Ok::<_, ()>(caller.call(to(at, 700_000)))).expect("asked");
        until(|| caller.stats().streams == 1).await;
        caller.shutdown().await.expect("no failure");
    });
    assert_eq!(reader.join().expect("no panic").expect("no reset"), 700_000);
}
