//! A SPIFFE agent as small as can be: serves `FetchX509SVID` on a unix socket and pushes what the test tells it to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService};
use tonic_prost::ProstCodec;

/// The messages, as `workload.proto` of the SPIFFE Workload API numbers them.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SvidRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SvidResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) svids: Vec<SvidMessage>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) crl: Vec<Vec<u8>>,
    #[prost(map = "string, bytes", tag = "3")]
    pub(crate) federated_bundles: std::collections::HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SvidMessage {
    #[prost(string, tag = "1")]
    pub(crate) spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) hint: String,
}

type Update = Result<SvidResponse, Status>;

/// What the agent says to whoever asks, and who is listening now.
#[derive(Default)]
struct Desk {
    newest: Option<Update>,
    listeners: Vec<UnboundedSender<Update>>,
}

pub(crate) struct Agent {
    runtime: Option<Runtime>,
    desk: Arc<Mutex<Desk>>,
    socket: PathBuf,
}

impl Agent {
    /// Serve on a socket of this name.
    pub(crate) fn start(socket: &Path) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let desk = Arc::new(Mutex::new(Desk::default()));
        let _ = std::fs::remove_file(socket);
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(socket).expect("a socket")
        };
        runtime.spawn(serve(listener, Arc::clone(&desk)));
        Self { runtime: Some(runtime), desk, socket: socket.to_owned() }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Send this to everybody who listens, and to everybody who comes later.
    pub(crate) fn push(&self, update: Update) {
        let mut desk = self.desk.lock().expect("not poisoned");
        desk.listeners.retain(|listener| listener.send(update.clone()).is_ok());
        desk.newest = Some(update);
    }

    /// End every stream, and go on listening.
    pub(crate) fn hang_up(&self) {
        self.desk.lock().expect("not poisoned").listeners.clear();
    }

    pub(crate) fn listeners(&self) -> usize {
        let mut desk = self.desk.lock().expect("not poisoned");
        desk.listeners.retain(|listener| !listener.is_closed());
        desk.listeners.len()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn serve(listener: UnixListener, desk: Arc<Mutex<Desk>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let desk = Arc::clone(&desk);
        let answer = service_fn(move |request| answer(request, Arc::clone(&desk)));
        tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer));
    }
}

async fn answer(
    request: Request<Incoming>,
    desk: Arc<Mutex<Desk>>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let path = request.uri().path();
    if path != "/SpiffeWorkloadAPI/FetchX509SVID" {
        return Ok(Status::unimplemented(path).into_http());
    }
    // The specification has every request carry this, against requests that a browser can be led to make.
    if request.headers().get("workload.spiffe.io").is_none_or(|value| value != "true") {
        return Ok(Status::invalid_argument("security header missing from request").into_http());
    }
    Ok(Grpc::new(ProstCodec::<SvidResponse, SvidRequest>::default()).server_streaming(Fetch(desk), request).await)
}

struct Fetch(Arc<Mutex<Desk>>);

impl ServerStreamingService<SvidRequest> for Fetch {
    type Response = SvidResponse;
    type ResponseStream = Updates;
    type Future = std::future::Ready<Result<tonic::Response<Updates>, Status>>;

    fn call(&mut self, _: tonic::Request<SvidRequest>) -> Self::Future {
        let mut desk = self.0.lock().expect("not poisoned");
        let (sender, receiver) = unbounded_channel();
        if let Some(newest) = desk.newest.clone() {
            let _ = sender.send(newest);
        }
        desk.listeners.push(sender);
        std::future::ready(Ok(tonic::Response::new(Updates(receiver))))
    }
}

pub(crate) struct Updates(UnboundedReceiver<Update>);

impl tokio_stream::Stream for Updates {
    type Item = Update;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Update>> {
        self.0.poll_recv(cx)
    }
}
