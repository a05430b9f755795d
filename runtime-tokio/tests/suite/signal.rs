//! Signalling through a handle, on whichever adapter is under test.

use std::future::{Future as _, poll_fn};
use std::net::{Ipv4Addr, TcpListener};
use std::pin::pin;

use sluis_core::driver::Flow;
use sluis_core::{Now, Seed};
use sluis_signal::conformance::a_pipe_delivers;
use sluis_signal::server::{Server, ServerLimits};

use crate::adapter::{self, net, signal};

#[test]
fn a_pipe_delivers_over_a_broker() {
    adapter::block_on(async {
        let mut io = net::streams();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let listener = io.listen(listener, None).expect("a listener");
        let port = io.local_addr(listener).expect("an address").port();
        let serve = async move {
            let mut server = Server::new(ServerLimits::default(), Seed::from_u64(1).fork("server"));
            let mut app = |_: Now, _: &mut Server| Flow::Continue;
            net::run(io, &mut server, &mut app).await.map(drop)
        };
        let deliver = a_pipe_delivers(port, |config| signal::spawn(config).expect("randomness"));
        // The broker is served for as long as it takes.
        let (mut serve, mut deliver) = (pin!(serve), pin!(deliver));
        poll_fn(|cx| {
            assert!(serve.as_mut().poll(cx).is_pending(), "the broker has ended");
            deliver.as_mut().poll(cx)
        })
        .await;
    });
}
