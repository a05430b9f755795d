//! Local services behind a hub: channels of an intent that are opened to the hub itself are joined with TCP connections.

use std::collections::BTreeMap;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::{Machine as _, Now};
use sluis_mux::native::{Channel, Client, ClientConfig, Event};
use sluis_net::{NetStreams, Runtime, within};

use crate::hub::Hub;
use crate::inside::Inside;
use crate::splice::Splices;

/// How long a service may take to be there.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// A local TCP service, for channels of an intent that are opened to the hub's own name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backend {
    /// Exactly this intent.
    pub intent: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Backend {
    /// The service there, for this intent.
    #[must_use]
    pub fn new(intent: &str, host: &str, port: u16) -> Self {
        Self { intent: intent.into(), host: host.into(), port }
    }
}

/// Serve the backends of a hub, for ever.
pub(crate) async fn serve<R: Runtime>(hub: Hub<R>) -> io::Result<()> {
    let backends = &hub.shared.options.backends;
    if backends.is_empty() {
        return std::future::pending().await;
    }
    let runtime = hub.shared.runtime.clone();
    let table = backends.iter().map(|it| (it.intent.clone(), (it.host.clone(), it.port))).collect();
    let agent = hub.with(|board, _| board.config().agent.clone());
    let mut config = ClientConfig::new(&agent, "hub", 0);
    // The hub counts those of each agent.
    config.max_channels = usize::from(u16::MAX);
    config.signer.clone_from(&hub.shared.options.signer);
    let mut client = Client::new(config, &hub.shared.own_seed, hub.now());
    let mut app = Backends { runtime, table, splices: Splices::default() };
    let clock = hub.clone();
    sluis_net::run(NetStreams::new(Inside(hub), move || clock.now()), &mut client, &mut app).await.map(drop)
}

/// What the hub's own agent does.
struct Backends<R: Runtime> {
    runtime: R,
    table: BTreeMap<String, (String, u16)>,
    splices: Splices<R::Tcp>,
}

impl<R: Runtime> Backends<R> {
    /// Connect to the service for a channel.
    fn begin(&mut self, channel: Channel, intent: &str) -> bool {
        let Some((host, port)) = self.table.get(intent).cloned() else { return false };
        let (runtime, intent) = (self.runtime.clone(), intent.to_owned());
        self.splices.dial(channel, async move {
            let dialled = async {
                let found = runtime.resolve(&host, port).await?;
                sluis_net::dial(&runtime, &found, CONNECT_TIME).await
            };
            let done = within(&runtime, CONNECT_TIME, dialled).await;
            done.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())).map_err(|why| {
                // Where it is, is nobody's business; the kind says what is wrong.
                io::Error::other(format!("the service behind {intent} does not answer: {}", why.kind()))
            })
        });
        true
    }
}

impl<R: Runtime> App<Client> for Backends<R> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        loop {
            while let Some(event) = client.poll_event() {
                let hold = self.splices.hear(&event);
                let unknown = match &event {
                    Event::Incoming(channel, opening, _) => {
                        (!self.begin(*channel, &opening.intent)).then_some(*channel)
                    }
                    _ => None,
                };
                if let Some(channel) = hold {
                    client.hold(channel, true);
                }
                if let Some(channel) = unknown {
                    client.refuse(now, channel, "there is no such service");
                }
            }
            self.splices.poll(cx, now, client);
            // Moving bytes ends channels.
            if !client.wants().events {
                break;
            }
        }
        while self.splices.poll_ended().is_some() {}
        Poll::Pending
    }
}
