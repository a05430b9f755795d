//! The suite that machines with state pass on every runtime (feature `conformance`).
//!
//! An adapter's test names its runtime and gets a test for everything in here: [`conformance!`](macro@crate::conformance).

use std::fs;
use std::future::Future;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use sluis_core::driver::{Events, Handle};
use sluis_core::sim::machines::Keeper;

use crate::Store;

/// A runtime, as the suite sees it.
pub trait Runtime {
    /// Drive a machine on a loopback socket, its state in a store on the runtime's blocking threads. Called from inside of it.
    fn spawn(store: Store, keeper: Keeper) -> (SocketAddr, Handle<Keeper>, Events<Keeper>);

    /// Run a future to its end.
    fn block_on<F: Future>(future: F) -> F::Output;
}

/// A test for everything in the suite, on one runtime, with files in the test's temporary folder.
#[macro_export]
macro_rules! conformance {
    ($runtime:ty) => {
        $crate::conformance!($runtime: state_is_kept_beside_the_datagrams);
    };
    ($runtime:ty: $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $crate::conformance::$name::<$runtime>(env!("CARGO_TARGET_TMPDIR").as_ref());
        }
    )*};
}

/// What is acknowledged to a datagram or to the application is there when the machine is made anew; shutting down waits for the rest.
///
/// # Panics
/// It is not.
#[expect(clippy::expect_used, reason = "a test")]
pub fn state_is_kept_beside_the_datagrams<R: Runtime>(tmp: &Path) {
    const ROUNDS: u8 = 3;
    let dir = tmp.join(format!("stored-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    for round in 0..ROUNDS {
        let mut store = Store::open(&dir, b"node").expect("a store");
        let kept: Vec<_> = store.entries().expect("what is kept").collect::<Result<_, _>>().expect("what is kept");
        assert_eq!(kept.len(), 3 * usize::from(round));
        R::block_on(async {
            let (at, handle, _events) = R::spawn(store, Keeper::new(1000, kept));
            let client = std::thread::spawn(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
                socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
                for (ask, answer) in
                    [("?".to_owned(), "+?".to_owned()), (format!("d{round}=1"), format!("+d{round}=1"))]
                {
                    socket.send_to(ask.as_bytes(), at).expect("sent");
                    let mut bytes = [0; 100];
                    let len = socket.recv(&mut bytes).expect("an answer");
                    assert_eq!(bytes.get(..len), Some(answer.as_bytes()));
                }
            });
            let request = handle.request(|keeper, _| keeper.change(&[b'a', round], Some(b"2"))).expect("room");
            assert_eq!(request.await, Ok(()));
            // The thread has its answers by the time that it ends, and the machine is driven meanwhile.
            while !client.is_finished() {
                let ask = handle.request(|keeper, _| keeper.change(b"x", None)).expect("room");
                assert_eq!(ask.await, Ok(()));
            }
            client.join().expect("the answers");
            let last = handle.request(|keeper, _| keeper.change(&[b'z', round], Some(b"3"))).expect("room");
            drop(last);
            assert!(handle.shutdown().await.is_ok());
        });
    }
    let mut store = Store::open(&dir, b"node").expect("a store");
    assert_eq!(store.entries().map(Iterator::count).ok(), Some(3 * usize::from(ROUNDS)));
    drop(store);
    let _ = fs::remove_dir_all(&dir);
}
