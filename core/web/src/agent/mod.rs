//! An agent on a native connection, for applications: channels that are opened, sent on and read with `await`, on any runtime.
//!
//! `mux::connect` of a runtime's adapter makes an [`Agent`]. What this room promises:
//!
//! - [`Channel::send`] resolves when the application at the other end took the message: [`Channel::receive`] takes it. A connection that is
//!   lost is made again, and channels go on where they were.
//! - An application that reads nothing holds back whoever sends to it, on that channel alone.
//! - A channel is a stream of bytes for whom that is more convenient ([`Channel::into_bytes`]).
//!
//! Dropping a channel closes it. What has come on it and was not read is then not acknowledged, and its sender learns that. The other end has
//! [`ClientConfig::park_time`] to close it, too; then it is given up. Dropping an [`Incoming`] refuses it, and dropping the [`Notices`]
//! refuses every channel that is not read from them.

mod bytes;
mod machine;
mod notices;

use std::fmt;
use std::io;

use sluis_core::driver::{Clock, Handle, HandleConfig, Request, StreamIo as _};
use sluis_core::{Now, Security, Seed};
use sluis_mux::channel::{Kind, Proof};
use sluis_mux::native::{self, ALPN, Client, ClientConfig};
use sluis_net::{ClientTls, NetStreams, Runtime, StreamTask};

use crate::carried::carry;
use crate::client::Url;

pub use bytes::Bytes;
pub use machine::{AgentMachine, Gone, Look, Message};
pub use notices::{Incoming, Notice, Notices};

/// An agent: copies are the same one. It ends with [`shut_down`](Self::shut_down), or when it, its notices and its channels (those that were
/// not answered among them) are gone.
#[derive(Clone)]
pub struct Agent {
    handle: Handle<AgentMachine>,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").finish_non_exhaustive()
    }
}

/// An agent that connects to its hub, what it hears, and the task that drives it, which is yours to spawn: an adapter does this.
///
/// `tls` is for a hub at `https`; it offers [`sluis_mux::native::ALPN`] before `http/1.1`, over which the connection is carried where
/// nothing else is to be had.
///
/// # Errors
/// There is TLS without settings for it, or the other way round.
pub fn prepare<R: Runtime, C: Clock + Clone + 'static>(
    runtime: R,
    clock: C,
    seed: &Seed,
    (url, tls): (&Url, Option<ClientTls>),
    mut config: ClientConfig,
) -> io::Result<(Agent, Notices, StreamTask<AgentMachine, R, C>)> {
    let mut io = NetStreams::new(runtime.clone(), clock);
    let wrong = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
    config.security = match (url.is_tls(), tls) {
        (true, Some(tls)) => Security::Tls(io.add_tls(tls).ok_or_else(|| wrong("there is no room for TLS settings"))?),
        (false, None) => Security::Plain,
        (true, None) => return Err(wrong("a hub at https wants TLS settings")),
        (false, Some(_)) => return Err(wrong("TLS settings are for a hub at https")),
    };
    (config.host, config.port) = (url.host().into(), url.port());
    let carried = url.clone();
    io.set_fallback(ALPN, move |stream| carry(runtime.clone(), stream, carried.clone()));
    let now = io.now();
    let leave_time = config.park_time;
    let machine = AgentMachine::new(Client::new(config, seed, now), leave_time, now);
    let (task, handle, events) = sluis_net::prepare(io, machine, HandleConfig::default());
    let notices = Notices::new(handle.clone(), events);
    Ok((Agent { handle }, notices, task))
}

impl Agent {
    /// Open a channel, and wait until the other end has accepted it. `metadata` is a JSON object.
    ///
    /// # Errors
    /// It is refused, or the agent ends before that.
    pub async fn open(&self, target: &str, intent: &str, metadata: &str) -> Result<Channel, Gone> {
        let id = self.handle.with(|machine, now| machine.open(now, target, intent, metadata))?;
        // Whoever stops waiting gives the channel up.
        let mut channel = Channel { handle: self.handle.clone(), id, proof: Proof::None };
        channel.proof = channel.until(|machine, _| machine.opened(id)).await?;
        Ok(channel)
    }

    /// Accept a channel.
    #[must_use = "dropping a channel closes it"]
    pub fn accept(&self, incoming: Incoming) -> Channel {
        incoming.accept()
    }

    /// Refuse a channel.
    pub fn refuse(&self, incoming: Incoming, reason: &str) {
        incoming.refuse(reason);
    }

    /// Whether there is a connection now, and the hub has let us in.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.handle.with(|machine, _| machine.client.is_connected())
    }

    /// End the connection, and wait until what was said is written. Channels that are open are not waited for.
    pub async fn shut_down(&self) {
        self.handle.with(|machine, now| machine.client.shut_down(now));
        // However it ends, it has ended.
        let _ = self.handle.shutdown().await;
    }
}

/// A channel to another agent.
pub struct Channel {
    handle: Handle<AgentMachine>,
    id: native::Channel,
    proof: Proof,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).field("proof", &self.proof).finish_non_exhaustive()
    }
}

/// Try something; where it cannot be said yet, the request that is answered when it is worth another look.
fn attempt<T>(
    handle: &Handle<AgentMachine>,
    id: native::Channel,
    mut look: impl FnMut(&mut AgentMachine, Now) -> Option<T>,
) -> Result<T, Request<AgentMachine>> {
    let asked = handle.request(|machine, now| match look(machine, now) {
        Some(found) => Err(found),
        None => Ok(machine.watch(id)),
    });
    match asked {
        Ok(request) => Err(request),
        Err(found) => Ok(found),
    }
}

impl Channel {
    /// What is known of who is at the other end.
    #[must_use]
    pub const fn proof(&self) -> Proof {
        self.proof
    }

    /// Look until there is something to be said.
    async fn until<T>(
        &self,
        mut look: impl FnMut(&mut AgentMachine, Now) -> Option<Result<T, Gone>>,
    ) -> Result<T, Gone> {
        loop {
            match attempt(&self.handle, self.id, &mut look) {
                Ok(found) => return found,
                Err(request) => {
                    if request.await == Look::Never {
                        return Err(Gone::Ended);
                    }
                }
            }
        }
    }

    /// Send a message, and wait until the other end's application took it. It is on its way as soon as there was room for it, whether or
    /// not that is waited for. Any number may be under way: they arrive in the order in which there was room for them.
    ///
    /// # Errors
    /// The channel is gone, and it is not known whether the message arrived; or it is longer than
    /// [`MAX_MESSAGE`](sluis_mux::channel::MAX_MESSAGE).
    pub async fn send(&self, kind: Kind, body: impl AsRef<[u8]>) -> Result<(), Gone> {
        let body = body.as_ref();
        let number = self.until(|machine, now| machine.send(now, self.id, kind, body)).await?;
        self.until(|machine, _| machine.acked(self.id, number)).await
    }

    /// The next message, which is taken with this: its sender learns so. `None` when the other end has closed the channel. Can be dropped
    /// and called again without losing anything.
    ///
    /// # Errors
    /// The channel is gone.
    pub async fn receive(&self) -> Result<Option<Message>, Gone> {
        self.until(|machine, now| machine.receive(now, self.id)).await
    }

    /// Why the other end has closed the channel, if it has.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.handle.with(|machine, _| machine.reason(self.id))
    }

    /// Send nothing more, and say why. What the other end still sends can be [received](Self::receive).
    ///
    /// Where the other end reads the channel as [`Bytes`], some reasons are reserved: they mean that what came before is not all there was.
    /// Where it joins a socket with the channel (`--forward`, `--backend`), any reason but `client_close` does.
    pub fn finish(&self, reason: &str) {
        self.handle.with(|machine, now| machine.client.close(now, self.id, reason));
    }

    /// [Finish](Self::finish), take what still comes and throw it away, and wait until both ends are done.
    ///
    /// # Errors
    /// The channel is gone before that.
    pub async fn close(self, reason: &str) -> Result<(), Gone> {
        self.finish(reason);
        while self.receive().await?.is_some() {}
        self.until(|machine, _| machine.is_over(self.id)).await
    }

    /// As a stream of bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::new(self)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.handle.with(|machine, now| machine.leave(now, self.id));
    }
}
