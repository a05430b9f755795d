//! The suite for streams that every adapter passes.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::OnceLock;

use sluis_core::Streams;
use sluis_core::driver::{App, DriverStats, Events, Handle, HandleConfig, Requests};
use sluis_core::sim::conformance::StreamAdapter;
use sluis_net::{ClientTls, Fingerprint, ServerTls, Trust};

use crate::adapter;
use crate::adapter::net::{self, StreamSocket};

struct Adapter;

/// One certificate for all tests.
fn server() -> &'static ServerTls {
    static SERVER: OnceLock<ServerTls> = OnceLock::new();
    SERVER.get_or_init(|| {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", std::process::id()));
        let server = ServerTls::self_signed(&dir, vec!["localhost".into()], &["sluis-test"]).expect("a certificate");
        std::fs::remove_dir_all(dir).expect("it is not needed any more");
        server
    })
}

impl StreamAdapter for Adapter {
    type Io = StreamSocket;

    fn listen(addr: SocketAddr, secure: bool) -> Result<(StreamSocket, SocketAddr), String> {
        let text = |error: std::io::Error| error.to_string();
        let mut io = net::streams();
        let listener = TcpListener::bind(addr).map_err(text)?;
        let listener = io.listen(listener, secure.then(|| server().clone())).map_err(text)?;
        let addr = io.local_addr(listener).map_err(text)?;
        Ok((io, addr))
    }

    fn dialler() -> StreamSocket {
        let mut io = net::streams();
        let other: Fingerprint = "00".repeat(32).parse().expect("a fingerprint");
        for (number, pin) in [(0, server().fingerprint()), (1, other)] {
            let tls = ClientTls::new(Trust::Pinned(pin), &["sluis-test"]).expect("somebody is believed");
            assert_eq!(io.add_tls(tls), Some(number));
        }
        io
    }

    async fn run<M: Streams, A: App<M>>(io: StreamSocket, machine: &mut M, app: &mut A) -> Result<DriverStats, String> {
        net::run(io, machine, app).await.map_err(|error| error.to_string())
    }

    fn spawn<M>(io: StreamSocket, machine: M) -> (Handle<M>, Events<M>)
    where
        M: Requests + Streams + Send + 'static,
    {
        net::spawn(io, machine, HandleConfig::default())
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        adapter::block_on(future)
    }
}

sluis_core::stream_conformance!(Adapter);
