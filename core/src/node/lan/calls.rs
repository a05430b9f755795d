//! What goes out: calls, answers, goodbyes.

use alloc::vec::Vec;

use super::{Discovery, Lan};
use crate::discovery::{Call, Kind};
use crate::identity::PublicKey;
use crate::limits::{BROADCAST, MAX_DATAGRAM_V6};
use crate::node::outbox::Outbox;
use crate::time::{Duration, Now};
use crate::{Path, SocketId, Transmit};

impl Lan {
    /// The next call, or the next answer that is due, straight into the caller's buffer.
    pub(in crate::node) fn poll_transmit(
        &mut self,
        now: Now,
        (outbox, key): (&mut Outbox, Option<PublicKey>),
        out: &mut [u8],
    ) -> Option<Transmit> {
        if out.len() < MAX_DATAGRAM_V6 {
            return None;
        }
        self.next_call(now, (outbox, key), out).or_else(|| self.next_answer(now, (outbox, key), out))
    }

    /// The next datagram of the round of calls that is going on.
    fn next_call(
        &mut self,
        now: Now,
        (outbox, key): (&mut Outbox, Option<PublicKey>),
        out: &mut [u8],
    ) -> Option<Transmit> {
        while let Some((path, port, last)) = self.next_target() {
            let on = self.on.as_mut()?;
            let kind = on.round.kind;
            let said = on.write(kind, (key, port, None), true);
            let len = outbox.write_beacon(now, BROADCAST, said, out);
            if last && kind != Kind::Goodbye {
                on.sought.iter_mut().for_each(|(_, left)| *left -= 1);
                on.sought.retain(|(_, left)| *left > 0);
            }
            if let Some(len) = len.filter(|len| *len <= path.max_datagram()) {
                return Some(Transmit { path, len });
            }
        }
        None
    }

    /// Whom the round goes to next, the port to be named there, and whether that is the last.
    fn next_target(&mut self) -> Option<(Path, u16, bool)> {
        let targets = self.targets();
        let Self { networks, on, .. } = self;
        let Discovery { round, config, .. } = on.as_mut()?;
        // A network may have gone since the round began.
        round.left = round.left.min(targets);
        let nth = targets - round.left;
        round.left = round.left.checked_sub(1)?;
        let last = round.left == 0;
        let port = networks.first().map_or(0, |network| network.port);
        match networks.get(nth) {
            Some(network) => Some((network.group, network.port, last)),
            None => config.addresses.get(nth - networks.len()).map(|addr| (Path::to(*addr), port, last)),
        }
    }

    /// The next answer that is due and fits what its address may be sent.
    fn next_answer(
        &mut self,
        now: Now,
        (outbox, key): (&mut Outbox, Option<PublicKey>),
        out: &mut [u8],
    ) -> Option<Transmit> {
        let Self { networks, on, .. } = self;
        let on = on.as_mut()?;
        loop {
            let answer = on.hood.poll_answer(now.mono)?;
            let (path, budget, waited) = (answer.path, answer.budget, answer.waited);
            let to = heapless::String::<{ crate::limits::MAX_DID }>::try_from(answer.did).unwrap_or_default();
            // Through the socket at which we listen, if that reaches who called on this network.
            let network = networks.iter().find(|network| network.socket == path.socket);
            let path = match network {
                Some(network) if path.socket != SocketId::MAIN => {
                    Path { local: network.group.local, ..path }.through(network.group.socket)
                }
                _ => path,
            };
            let port = network.or(networks.first()).map_or(0, |network| network.port);
            // Where all that we can do is too much to say, what matters is where we are.
            for capabilities in [true, false] {
                let said = on.write(Kind::Answer, (key, port, Some(waited)), capabilities);
                if let Some(len) = outbox.write_beacon(now, &to, said, out).filter(|len| *len <= budget) {
                    return Some(Transmit { path, len });
                }
            }
        }
    }
}

impl Discovery {
    /// The payload of a beacon of ours.
    fn write(
        &mut self,
        kind: Kind,
        (key, port, waited): (Option<PublicKey>, u16, Option<Duration>),
        with_capabilities: bool,
    ) -> &[u8] {
        let Self { config, sought, scratch, .. } = self;
        let capabilities: Vec<&str> =
            config.capabilities.iter().filter(|_| with_capabilities).map(|text| &**text).collect();
        let names = kind == Kind::Call || kind == Kind::Query;
        let wants: Vec<&str> = sought.iter().filter(|_| names).map(|(did, _)| &**did).collect();
        scratch.clear();
        let call = Call {
            kind,
            domain: &config.discovery.domain,
            device_type: &config.device_type,
            key,
            port,
            waited_ms: waited.map(|waited| u32::try_from(waited.as_millis()).unwrap_or(u32::MAX)),
            capabilities: &capabilities,
            wants: &wants,
        };
        // A vector takes everything.
        let _ = call.write_json(scratch);
        scratch
    }
}
