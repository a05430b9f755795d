//! Signalling over MQTT brokers on tokio.
//!
//! ```no_run
//! use sluis_signal::key::{PublicKey, SecretKey};
//! use sluis_signal::rendezvous::{Config, Place, Signalling as _};
//!
//! # async fn say(key: SecretKey, brokers: Vec<Place>, bob: PublicKey) -> Result<(), Box<dyn std::error::Error>> {
//! let (handle, _events) = sluis_tokio::signal::spawn(Config::new(key, brokers))?;
//! let delivered = handle.pipe(bob).send(&b"good morning"[..]).await?;
//! println!("bob has it, {:?} later", delivered.after);
//! # Ok(())
//! # }
//! ```
//!
//! Brokers with TLS need the roots that they are believed by: put them into [`net::streams`] with `add_tls`, make the
//! [`Rendezvous`] and give both to [`net::spawn`], or to [`net::spawn_stored`] with what is to
//! survive a restart.

use std::io;

use sluis_core::driver::{Events, Handle, HandleConfig, StreamIo as _};
use sluis_signal::rendezvous::{Config, Rendezvous};

use crate::net;

pub use sluis_signal;

/// A node on these brokers, driven in a task of its own. It ends with [`Handle::shutdown`], or when the handle, the events and all requests
/// are gone. How to speak to peers: [`Signalling`](sluis_signal::rendezvous::Signalling).
///
/// # Errors
/// The system has no randomness, or a configuration that [keeps](Config::keeps) something: that needs a store.
pub fn spawn(config: Config) -> io::Result<(Handle<Rendezvous>, Events<Rendezvous>)> {
    if config.keeps {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "what is kept needs a store: use net::spawn_stored"));
    }
    let seed = crate::system_seed()?;
    let io = net::streams();
    let machine = Rendezvous::new(config, &seed, io.now());
    Ok(net::spawn(io, machine, HandleConfig::default()))
}
