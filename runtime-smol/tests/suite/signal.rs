//! Signalling through a handle.

use std::net::{Ipv4Addr, TcpListener};

use sluis_core::driver::Flow;
use sluis_core::{Now, Seed};
use sluis_signal::conformance::a_pipe_delivers;
use sluis_signal::server::{Server, ServerLimits};
use sluis_smol::{net, signal};

#[test]
fn a_pipe_delivers_over_a_broker() {
    sluis_smol::block_on(async {
        let mut io = net::streams();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let listener = io.listen(listener, None).expect("a listener");
        let port = io.local_addr(listener).expect("an address").port();
        let serve = async move {
            let mut server = Server::new(ServerLimits::default(), Seed::from_u64(1).fork("server"));
            let mut app = |_: Now, _: &mut Server| Flow::Continue;
            net::run(io, &mut server, &mut app).await.map(drop)
        };
        smol::spawn(serve).detach();
        a_pipe_delivers(port, |config| signal::spawn(config).expect("randomness")).await;
    });
}
