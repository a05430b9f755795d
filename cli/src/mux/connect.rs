//! How a client reaches its hub.

use std::time::Duration;

use sluis_net::{ClientTls, Runtime, Trust};
use sluis_web::Client;

use super::args::HubArgs;
use crate::fail::Fail;
use crate::files;

/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Largest file of a token or of authorities in bytes.
const MAX_FILE: usize = 4 << 20;

/// What a client is made of; read before anything is connected.
pub(super) struct Settings {
    tls: Option<ClientTls>,
    token: Option<String>,
}

impl Settings {
    pub(super) fn read(hub: &HubArgs) -> Result<Self, Fail> {
        let read = |path: &std::path::Path| {
            files::read(path, MAX_FILE).map_err(|why| Fail::usage(format!("cannot read {} ({why})", path.display())))
        };
        let trust = match (&hub.ca, hub.pin) {
            (Some(path), _) => Trust::Authorities(read(path)?),
            (None, Some(pin)) => Trust::Pinned(pin),
            (None, None) => Trust::System,
        };
        let asked = hub.ca.is_some() || hub.pin.is_some();
        if asked && !hub.url.is_tls() {
            return Err(Fail::usage("--ca and --pin are for https, write the URL like https://localhost:8443"));
        }
        let tls = hub.url.is_tls().then(|| ClientTls::new(trust, &["http/1.1"])).transpose().map_err(Fail::usage)?;
        let token = match &hub.token_file {
            None => None,
            Some(path) => {
                let text = String::from_utf8(read(path)?).unwrap_or_default().trim().to_owned();
                if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(Fail::usage(format!(
                        "{} holds no token, make one with `sluis mux token`",
                        path.display()
                    )));
                }
                Some(text)
            }
        };
        Ok(Self { tls, token })
    }

    pub(super) fn client<R: Runtime>(self, runtime: R, hub: &HubArgs) -> Client<R> {
        Client::new(runtime, hub.url.clone(), self.tls, self.token, ANSWER_TIME)
    }
}
