//! What every runtime adapter has to do, as tests that are written once.
//!
//! An adapter implements [`Adapter`] in its tests and calls [`conformance!`](crate::conformance) on it, which makes one
//! test of each case here. They talk over real loopback sockets. None of them asserts how long anything takes; one
//! that does not come to its end within a minute fails.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests play the outside world: the other ends of the sockets are plain ones, on threads"
)]

mod control;
mod handles;
mod nodes;
mod streams;
mod traffic;

use core::future::{Future, poll_fn};
use core::task::Poll;
use std::net::{SocketAddr, UdpSocket};
use std::string::String;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::driver::{App, DriverStats, Events, Handle, HandleConfig, Requests};
use crate::{Datagrams, SocketId};

use control::*;
use handles::*;
use nodes::*;
pub use streams::StreamAdapter;
use traffic::*;

/// A runtime adapter, as the suite sees it: its public functions, with errors as text.
pub trait Adapter {
    /// A bound socket.
    type Socket: Send + 'static;

    /// Open a socket.
    ///
    /// # Errors
    /// The address cannot be had.
    fn bind(addr: SocketAddr) -> Result<Self::Socket, String>;

    /// Have `other` serve the same machine as `socket`.
    ///
    /// # Errors
    /// It cannot.
    fn add(socket: &mut Self::Socket, other: Self::Socket) -> Result<SocketId, String>;

    /// Where it listens.
    fn local_addr(socket: &Self::Socket) -> SocketAddr;

    /// Drive a machine until its app stops.
    fn run<M: Datagrams, A: App<M>>(
        socket: &mut Self::Socket,
        machine: &mut M,
        app: &mut A,
    ) -> impl Future<Output = Result<DriverStats, String>>;

    /// Drive a machine in the background. Called inside of [`block_on`](Self::block_on).
    fn spawn<M>(socket: Self::Socket, machine: M, config: HandleConfig) -> (Handle<M>, Events<M>)
    where
        M: Requests + Datagrams + Send + 'static;

    /// Run a future to its end on this thread.
    fn block_on<F: Future>(future: F) -> F::Output;
}

/// Make a test of every case of the suite, for one [`Adapter`](crate::sim::conformance::Adapter).
#[macro_export]
macro_rules! conformance {
    ($adapter:ty) => {
        $crate::conformance! { @each (@test run $adapter) }
    };
    (@each $then:tt) => {
        $crate::conformance! { @then $then
            a_socket_in_use_says_so
            every_datagram_comes_back_as_it_was
            thousands_are_exchanged_and_none_is_lost
            bursts_of_many_lengths_keep_their_bounds_and_their_order
            ipv6_works_like_ipv4
            a_socket_on_all_addresses_serves_ipv4_over_ipv6
            answers_leave_from_the_address_that_was_asked
            several_sockets_serve_one_machine
            the_largest_datagrams_pass
            datagrams_above_the_mtu_are_fragmented
            what_cannot_be_sent_is_counted_and_the_rest_goes_on
            a_refused_datagram_ends_nothing
            stopping_flushes
            an_app_is_called_at_its_deadline
            a_flood_leaves_room_for_timers_and_other_tasks
            requests_are_answered_deferred_and_timed_out
            an_unread_event_stream_pushes_back
            shutting_down_flushes
            the_last_handle_ends_it_and_frees_the_port
            running_and_spawning_do_the_same
            pings_are_awaited_through_the_handle
            a_waiting_ping_is_decided_through_the_handle
            a_ping_without_an_answer_says_why
            encrypted_pings_are_awaited_through_the_handle
        }
    };
    (@then (@test $run:ident $adapter:ty) $($name:ident)*) => {
        $(#[test] fn $name() {
            $crate::sim::conformance::$run::<$adapter>(concat!(module_path!(), "::", stringify!($name)));
        })*
    };
    (@then (@case $adapter:ident $wanted:ident) $($name:ident)*) => {
        match $wanted {
            $(stringify!($name) => Some($name::<$adapter>),)*
            _ => None,
        }
    };
}

fn case<T: Adapter>(name: &str) -> Option<fn()> {
    conformance! { @each (@case T name) }
}

/// Run the case with the name that ends `path`, crate included, and fail if it hangs. It runs on a thread with the name by
/// which the test program knows it.
///
/// # Panics
/// If the case does, does not end, or does not exist.
pub fn run<T: Adapter>(path: &str) {
    run_case(path, case::<T>);
}

/// As [`run`], of the cases of [`stream_conformance!`](crate::stream_conformance).
///
/// # Panics
/// As [`run`].
pub fn run_streams<T: StreamAdapter>(path: &str) {
    run_case(path, streams::case::<T>);
}

fn run_case(path: &str, case: fn(&str) -> Option<fn()>) {
    let (done, ended) = mpsc::channel::<()>();
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    let test = path.rsplit("::").next().and_then(case).expect("a case of this suite");
    let body = thread::Builder::new().name(name.into()).spawn(move || {
        let _done = done;
        test();
    });
    let body = body.expect("a thread");
    // The sender is dropped at the end, also when the test panics.
    assert!(ended.recv_timeout(Duration::from_secs(60)) != Err(mpsc::RecvTimeoutError::Timeout), "the test hangs");
    if let Err(panic) = body.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Any free port on IPv4 loopback.
fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A blocking socket of the other side. It waits at most ten seconds for anything.
fn plain(addr: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(addr).expect("a free port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    socket
}

/// Let everything else run once.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Let others run until something has come true.
async fn until(mut true_: impl FnMut() -> bool) {
    while !true_() {
        yield_now().await;
    }
}
