//! Two nodes at three real mosquitto that are killed and revived all the time.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use sluis_core::Seed;
use sluis_signal::rendezvous::{Config, Event};

use super::brokers::Mosquitto;
use super::{key, place};

#[path = "../../../core/signal/examples/say/driver.rs"]
mod driver;
use driver::Driver;

/// How long a message is tried.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Messages that were sent.
    pub sent: u64,
    /// What those that were acknowledged took, sorted.
    pub took: Vec<Duration>,
    /// Not acknowledged in time, which was said.
    pub failed: u64,
    /// Acknowledged and not handed over.
    pub lost: u64,
    /// Handed over more than once, or out of order.
    pub wrong: u64,
    /// Brokers that were killed.
    pub kills: u64,
}

/// Send so many messages a second for so long, while every few seconds one of three brokers is killed or revived.
///
/// # Errors
/// The system's, and that mosquitto is missing.
pub fn run(span: Duration, each: Duration, per_second: u32) -> io::Result<Outcome> {
    let program = Mosquitto::find().ok_or_else(|| io::Error::other("mosquitto is not installed"))?;
    let mut brokers = (0..3).map(|_| Mosquitto::start(&program)).collect::<io::Result<Vec<_>>>()?;
    let places = || brokers.iter().map(|broker| place(broker.port)).collect::<Vec<_>>();
    let seed = u64::from(brokers[0].port) << 16 | u64::from(brokers[1].port);
    let mut alice = Driver::new(Config::new(key(1), places()), &Seed::from_u64(seed));
    let mut bob = Driver::new(Config::new(key(2), places()), &Seed::from_u64(seed ^ 1));
    let (to, mut outcome) = (key(2).public(), Outcome::default());
    let (mut heard, mut acked) = (Vec::new(), Vec::new());
    let (start, mut turns) = (Clock::now(), 0);
    while start.elapsed() < span || (outcome.sent > acked.len() as u64 + outcome.failed) {
        if start.elapsed() < span
            && start.elapsed() >= Duration::from_secs(1) * u32::try_from(outcome.sent).unwrap_or(u32::MAX) / per_second
        {
            let now = alice.now();
            let body = Arc::from(&outcome.sent.to_be_bytes()[..]);
            alice.machine.send(now, &to, body, true, TIMEOUT).map_err(io::Error::other)?;
            outcome.sent += 1;
        }
        if start.elapsed() < span && start.elapsed() >= each * (turns + 1) {
            // One dies, it comes back, the next dies.
            let broker = &mut brokers[turns as usize / 2 % 3];
            if broker.is_up() {
                broker.kill();
                outcome.kills += 1;
            } else {
                broker.revive()?;
            }
            turns += 1;
        }
        while let Some(event) = alice.wait(Duration::ZERO) {
            match event {
                Event::Sent { number, outcome: Ok(delivered), .. } => {
                    acked.push(number);
                    outcome.took.push(delivered.after);
                }
                Event::Sent { .. } => outcome.failed += 1,
                _ => {}
            }
        }
        while let Some(event) = bob.wait(Duration::from_micros(500)) {
            if let Event::Message(message) = event {
                let now = bob.now();
                bob.machine.confirm(now, &message.key);
                heard.push(message.body.first_chunk().map_or(u64::MAX, |number| u64::from_be_bytes(*number)));
            }
        }
    }
    outcome.wrong = heard.windows(2).filter(|pair| pair[0] >= pair[1]).count() as u64;
    outcome.lost = acked.iter().filter(|number| heard.binary_search(number).is_err()).count() as u64;
    outcome.took.sort_unstable();
    Ok(outcome)
}
