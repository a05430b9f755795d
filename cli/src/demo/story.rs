//! What happens.

use std::io::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use sluis_core::driver::{NoReply, Notice, PingNotice, PingReply, PingResult, Request};
use sluis_core::framing::{Decision, Value, ValueBuf, Zone};
use sluis_core::limits::MAX_DATAGRAM_V4;
use sluis_core::node::{Auth, Node, Outcome, Ping, SessionState, Stats};

use super::cast::{Actor, Cast, TEMPERATURE};
use super::detour::Detour;
use super::tell::Teller;
use super::wait::{until, wait};
use crate::output::Color;
use crate::view::{self, Verdict};

/// How long anything may take that is to happen.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to listen for what is not to happen.
const SILENCE: Duration = Duration::from_millis(500);

pub(super) struct Story<'a> {
    cast: Cast,
    teller: &'a mut Teller,
    /// Pings asked so far.
    seq: u64,
}

/// The next answer to a request: an answer, a reason for none, or neither in time.
type Next = Option<Result<PingReply, NoReply>>;

impl<'a> Story<'a> {
    pub(super) const fn new(cast: Cast, teller: &'a mut Teller) -> Self {
        Self { cast, teller, seq: 0 }
    }

    /// Play it, and say what the hub counted.
    pub(super) fn play(mut self) -> Stats {
        self.trusted();
        self.waiting();
        self.unknown();
        self.replayed();
        self.encrypted();
        self.hub_stats()
    }

    fn trusted(&mut self) {
        self.teller.step(Color::Green, "GROEN", "A trusted sensor asks, and is answered with data");
        let request = self.ask(|cast| &cast.thermo, "temperature.read", "the display wants to know");
        let heard = self.hub_hears();
        self.teller
            .check(heard.as_ref().is_some_and(|ping| ping.zone == Zone::Groen), "the hub did not accept the ping");
        let answer = request.and_then(|mut request| next(&mut request));
        self.expect(&heard, "thermo", answer, Decision::Accept, TEMPERATURE);
        self.teller.step_done();
    }

    fn waiting(&mut self) {
        self.teller.step(Color::Yellow, "GEEL", "A sensor that is trusted half waits until somebody decides");
        let mut request = self.ask(|cast| &cast.door, "door.open", "somebody rings");
        let heard = self.hub_hears();
        let first = request.as_mut().and_then(next);
        self.expect(&heard, "door", first, Decision::Pending, "{}");

        if let Some(id) = heard.as_ref().and_then(|ping| ping.wait) {
            self.teller.says("you", |line| drop(write!(line, "type: approve {}", id.number())));
            let approved = self.cast.hub.handle.approve(id);
            self.teller.check(approved.is_ok(), "the ping could not be approved");
        }
        let decided = self.hub_notices(|notice| match notice {
            Notice::Decided {
                wait,
                packet_id,
                source_did,
                intent,
                outcome: Outcome::Approved,
                waited,
                answered,
                ..
            } => Some((wait.number(), packet_id, source_did, intent, (waited, answered))),
            _ => None,
        });
        match decided {
            Some((wait, packet_id, source_did, intent, (waited, answered))) => self.teller.decided(&Verdict {
                wait,
                packet_id: &packet_id,
                source_did: &source_did,
                intent: &intent,
                outcome: Outcome::Approved,
                waited,
                answered,
            }),
            None => self.teller.check(false, "the hub did not tell of the decision"),
        }
        let second = request.as_mut().and_then(next);
        self.expect(&heard, "door", second, Decision::Accept, "{}");
        self.teller.step_done();
    }

    fn unknown(&mut self) {
        self.teller.step(Color::Red, "ROOD", "A stranger meets silence: no byte goes back, nothing is kept");
        let before = self.hub_stats();
        let request = self.ask(|cast| &cast.stranger, "door.open", "let me in");
        let answer = request.and_then(|mut request| next(&mut request));
        if matches!(answer, Some(Err(NoReply::Timeout))) {
            self.teller.heard_nothing("stranger", self.seq, SILENCE);
        } else {
            self.teller.check(false, "the stranger was answered");
        }
        self.turned_away(&before, "the hub did not count the stranger as rood", |now, before| {
            now.rejected.get(sluis_core::Reject::Rood) == before.rejected.get(sluis_core::Reject::Rood) + 1
        });
        self.teller.step_done();
    }

    fn replayed(&mut self) {
        self.teller.step(Color::Red, "REPLAY", "Somebody records a ping on its way, and sends it again");
        let Ok(wire) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else {
            return self.teller.check(false, "there is no socket for the eavesdropper");
        };
        let recorded = self.on_the_wire(&wire);
        let before = self.hub_stats();
        if let Some(recorded) = recorded {
            self.teller.says("somebody", |line| drop(write!(line, "sends the same {} bytes again", recorded.len())));
            let sent = wire.send_to(&recorded, self.cast.hub.addr);
            self.teller.check(sent.is_ok(), "the recorded ping could not be sent");
        }
        self.turned_away(&before, "the hub did not refuse the replay", |now, before| {
            now.rejected.get(sluis_core::Reject::Replay) == before.rejected.get(sluis_core::Reject::Replay) + 1
        });
        let silent = wire.set_read_timeout(Some(Duration::from_millis(100))).is_ok() && wire.recv(&mut [0; 1]).is_err();
        self.teller.check(silent, "the replay was answered");
        self.teller.step_done();
    }

    /// What a key is worth: a session that no name alone opens, and that is with a key, not with an address.
    fn encrypted(&mut self) {
        let Ok(way) = Detour::open(self.cast.hub.addr) else {
            return self.teller.check(false, "there is no socket for the way to the hub");
        };
        self.teller.step(Color::Green, "KEYS", "Both know the other's key: the first ping begins an encrypted session");
        self.meter_asks(&way, Some(|state| matches!(state, SessionState::Up { .. })));
        self.teller.step_done();

        self.teller.step(Color::Red, "FORGED", "Somebody else writes the name of that sensor, and meets silence");
        let before = self.hub_stats();
        let request = self.ask(|cast| &cast.forger, "power.read", "I am the meter, believe me");
        let answer = request.and_then(|mut request| next(&mut request));
        if matches!(answer, Some(Err(NoReply::Timeout))) {
            self.teller.heard_nothing("forger", self.seq, SILENCE);
        } else {
            self.teller.check(false, "the forger was answered");
        }
        self.turned_away(&before, "the hub did not refuse the forged name", |now, before| {
            let count = |stats: &Stats| stats.rejected.get(sluis_core::Reject::BadSignature);
            count(now) == count(before) + 1
        });
        self.teller.step_done();

        self.teller.step(Color::Green, "ROAM", "The sensor gets another address, and its session goes on there");
        way.change_address();
        // Its answer goes to the address before, which nobody has any more.
        let lost = self.ask_at(|cast| &cast.meter, way.addr, "power.read", "from another address");
        self.hub_hears();
        drop(lost);
        self.session_is(|state| matches!(state, SessionState::Moved { .. }));
        self.meter_asks(&way, None);
        self.teller.step_done();
    }

    /// The meter asks through its session, of which the hub tells this first.
    fn meter_asks(&mut self, way: &Detour, first: Option<fn(SessionState) -> bool>) {
        let mut request = self.ask_at(|cast| &cast.meter, way.addr, "power.read", "once an hour");
        if let Some(so) = first {
            self.session_is(so);
        }
        let heard = self.hub_hears();
        let sealed = heard.as_ref().is_some_and(|ping| matches!(ping.auth, Auth::Session(..)));
        self.teller.check(sealed, "the ping did not come through a session");
        let answer = request.as_mut().and_then(next);
        self.expect(&heard, "meter", answer, Decision::Accept, "{}");
    }

    /// The next that the hub tells of a session.
    fn session_is(&mut self, so: impl Fn(SessionState) -> bool) {
        let change = self.hub_notices(|notice| match notice {
            Notice::Session { did, key, path, relayed, state, suite } => Some((did, key, path, relayed, state, suite)),
            _ => None,
        });
        let Some((did, key, path, relayed, state, suite)) = change else {
            return self.teller.check(false, "the hub did not tell of the session");
        };
        self.teller.check(so(state), "something else happened to the session");
        self.teller.session(&view::Session { did: &did, key, from: path.remote, relayed, state, suite });
    }

    /// The thermometer asks through a socket that passes everything on and remembers the ping.
    fn on_the_wire(&mut self, wire: &UdpSocket) -> Option<Vec<u8>> {
        let hub = self.cast.hub.addr;
        let at = wire.local_addr().ok()?;
        wire.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut request = self.ask_at(|cast| &cast.thermo, at, "temperature.read", "the display wants to know");
        let mut buffer = vec![0; MAX_DATAGRAM_V4];
        let (len, sensor) = wire.recv_from(&mut buffer).ok()?;
        let recorded = buffer.get(..len)?.to_vec();
        self.teller.says("somebody", |line| drop(write!(line, "on the way records {len} bytes and passes them on")));
        wire.send_to(&recorded, hub).ok()?;
        let heard = self.hub_hears();
        let (len, _) = wire.recv_from(&mut buffer).ok()?;
        wire.send_to(buffer.get(..len)?, sensor).ok()?;
        let answer = request.as_mut().and_then(next);
        self.expect(&heard, "thermo", answer, Decision::Accept, TEMPERATURE);
        Some(recorded)
    }

    /// A sensor asks the hub.
    fn ask(&mut self, who: fn(&Cast) -> &Actor, intent: &str, purpose: &str) -> Option<Request<Node, PingResult>> {
        self.ask_at(who, self.cast.hub.addr, intent, purpose)
    }

    fn ask_at(
        &mut self,
        who: fn(&Cast) -> &Actor,
        at: std::net::SocketAddr,
        intent: &str,
        purpose: &str,
    ) -> Option<Request<Node, PingResult>> {
        self.seq += 1;
        let Actor { name, handle, .. } = who(&self.cast);
        self.teller.says(name, |line| drop(write!(line, "asks    {intent}: {purpose}")));
        let mut ping = Ping::new(self.cast.hub.did, at, intent);
        ping.purpose = purpose;
        ping.timeout = Some(if ["stranger", "forger"].contains(name) { SILENCE } else { PATIENCE });
        match handle.ping(&ping) {
            Ok(request) => Some(request),
            Err(why) => {
                self.teller.check(false, &format!("{name} could not ask: {why}"));
                None
            }
        }
    }

    /// The next ping that passes the hub's gate.
    fn hub_hears(&mut self) -> Option<Box<PingNotice>> {
        let heard = self.hub_notices(|notice| match notice {
            Notice::Ping(ping) => Some(ping),
            _ => None,
        });
        match &heard {
            Some(ping) => self.teller.hub_heard(ping),
            None => self.teller.check(false, "the hub heard nothing"),
        }
        heard
    }

    /// The hub's next notice of a kind.
    fn hub_notices<T>(&mut self, mut kind: impl FnMut(Notice) -> Option<T>) -> Option<T> {
        let events = &mut self.cast.hub.events;
        let found = async {
            loop {
                if let Some(found) = kind(events.next().await?) {
                    return Some(found);
                }
            }
        };
        wait(found, PATIENCE).flatten()
    }

    /// An answer must say that.
    fn expect(&mut self, ping: &Option<Box<PingNotice>>, who: &str, answer: Next, decision: Decision, payload: &str) {
        let Some(Ok(reply)) = answer else {
            return self.teller.check(false, &format!("{who} had no answer: {answer:?}"));
        };
        self.teller.heard(who, self.seq, ping.as_ref().map_or("", |ping| &ping.packet_id), &reply);
        let as_told = reply.decision == decision
            && reply.payload.as_ref().map(ValueBuf::as_value) == Value::from_json(payload).ok();
        self.teller.check(as_told, &format!("{who} was to be told {decision} with {payload}"));
    }

    /// The hub turned something away, and sent no byte for it.
    fn turned_away(&mut self, before: &Stats, wrong: &str, is_so: impl Fn(&Stats, &Stats) -> bool) {
        let so = until(PATIENCE, || is_so(&self.hub_stats(), before));
        let now = self.hub_stats();
        self.teller.rejected(&now.rejected, &before.rejected);
        self.teller.check(so, wrong);
        self.teller.check(now.transmitted == before.transmitted, "the hub sent something");
        self.teller.check(now.tables == before.tables, "the hub kept something");
    }

    fn hub_stats(&self) -> Stats {
        self.cast.hub.handle.with(|node, _| node.stats())
    }
}

fn next(request: &mut Request<Node, PingResult>) -> Next {
    wait(request.next(), PATIENCE).flatten()
}
