//! `sluis overlay demo`: a device is found by its name wherever it is, and who takes its old address gets nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use sluis_core::driver::{Notice, OperationResult};
use sluis_core::framing::{Decision, Value, ValueBuf};
use sluis_core::identity::SecretKey;
use sluis_core::node::{
    Identity, Node, NodeConfig, Operation, OperationOutcome, OverlayConfig, OverlayNews, Ping, Profile, Reply,
    SessionPolicy, VERIFY,
};
use sluis_core::pins::Origin;
use sluis_core::{Did, Instant, Now, Path};

use crate::common::{Common, Runtime};
use crate::demo::cast::{Actor, actor_at};
use crate::demo::wait::{until, wait};
use crate::fail::Fail;
use crate::output::{Color, Out};
use crate::run;

const HUB: (&str, &str) = ("hub", "jis:demo:hub");
const SENSOR: (&str, &str) = ("sensor", "jis:demo:sensor");
const PHONE: (&str, &str) = ("phone", "jis:demo:phone");
const THIEF: (&str, &str) = ("thief", SENSOR.1);
const TEMPERATURE: &str = r#"{"celsius":21.5}"#;
/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Play the story; the exit code is 0 when everything went as it says.
pub(crate) fn run(common: Common) -> Result<ExitCode, Fail> {
    let mut story = Story { out: Out::new(common, false).timed(), good: true, runtime: common.runtime };
    story.play()?;
    let good = story.good;
    story.out.event(
        "summary",
        |o| o.raw("ok", good),
        |flow| {
            match good {
                true => flow.text(Color::Green, "everything went as it should"),
                false => flow.text(Color::Red, "something did not go as it should"),
            };
        },
    );
    story.out.finish().map_err(|why| Fail::output(&why))?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Story {
    out: Out,
    good: bool,
    runtime: Runtime,
}

impl Story {
    fn play(&mut self) -> Result<(), Fail> {
        let seed = run::seed()?;
        let key = |name: &str| SecretKey::generate(&mut seed.fork(name));
        let [hub_key, sensor_key, phone_key] = [HUB, SENSOR, PHONE].map(|(name, _)| key(name).public());
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let knows = |node: &mut Node, did: &str, key| {
            node.set_trust(did, 0.9).map_err(Fail::runtime)?;
            let now = Now::new(Instant::ZERO, run::wall());
            node.pin(now, did, key, Origin::Operator).map(drop).map_err(Fail::runtime)
        };
        let mut hub = node(HUB.1, key(HUB.0), true)?;
        knows(&mut hub, SENSOR.1, sensor_key)?;
        knows(&mut hub, PHONE.1, phone_key)?;
        let sensor = || {
            let mut sensor = node(SENSOR.1, key(SENSOR.0), false)?;
            knows(&mut sensor, HUB.1, hub_key)?;
            knows(&mut sensor, PHONE.1, phone_key)?;
            let reply = ValueBuf::new(Value::from_json(TEMPERATURE).map_err(Fail::runtime)?).map_err(Fail::runtime)?;
            sensor.set_reply("temperature.*", Reply::Now(reply)).map_err(Fail::runtime)?;
            Ok::<_, Fail>(sensor)
        };
        let mut phone = node(PHONE.1, key(PHONE.0), false)?;
        knows(&mut phone, HUB.1, hub_key)?;
        let mut hub = actor_at(self.runtime, HUB, hub, any)?;
        phone.ask_registry(HUB.1, Path::to(hub.addr)).map_err(Fail::runtime)?;
        let phone = actor_at(self.runtime, PHONE, phone, any)?;
        let first = actor_at(self.runtime, SENSOR, sensor()?, any)?;

        self.register(&first, &hub)?;
        self.ask(&phone, first.addr, "the phone knows its name and asks the hub where it is");
        let old = first.addr;
        let ended = first.handle.shutdown();
        let _ = wait(ended, PATIENCE);
        drop(first);
        let second = actor_at(self.runtime, SENSOR, sensor()?, any)?;
        self.register(&second, &hub)?;
        let moved = until(PATIENCE, || moved(&mut hub));
        self.tell(moved, "moved", &format!("the hub has seen it move from {old} to {}", second.addr));
        let mut thief = node(THIEF.1, SecretKey::generate(&mut seed.fork("thief")), false)?;
        thief.allow_legacy("*").map_err(Fail::runtime)?;
        thief.set_trust(PHONE.1, 1.0).map_err(Fail::runtime)?;
        let mut thief = actor_at(self.runtime, THIEF, thief, old)?;
        self.ask(&phone, second.addr, "somebody else has the old address now, and the phone still believes in it");
        let stolen = payloads(&mut thief);
        self.tell(stolen == 0, "stolen", &format!("{stolen} payloads went to the old address"));
        Ok(())
    }

    fn register(&mut self, sensor: &Actor, hub: &Actor) -> Result<(), Fail> {
        let set = sensor.handle.with(|node, now| {
            let mut profile = Profile::default();
            profile.capabilities = &["temperature"];
            profile.behind_nat = true;
            node.set_profile(now, &profile)
        });
        set.map_err(Fail::runtime)?;
        let path = Path::to(hub.addr);
        let outcome = operate(sensor, &Operation::Register { server: HUB.1, path });
        let good = match &outcome {
            Some(Ok(OperationOutcome::Registered { endpoint: Some(at), .. })) => **at == *sensor.addr.to_string(),
            _ => false,
        };
        self.tell(good, "registered", &format!("{} registers as the hub sees it, at {}", SENSOR.1, sensor.addr));
        Ok(())
    }

    /// The phone finds the sensor by its name, and asks it for the temperature.
    fn ask(&mut self, phone: &Actor, at: SocketAddr, words: &str) {
        self.out.say(0, || format!("sluis overlay demo: {words}"));
        let path = match operate(phone, &Operation::Reach(SENSOR.1)) {
            Some(Ok(OperationOutcome::Reached { path, resolution, .. })) => {
                // From now on only the key that answered is believed, and what is asked goes through a session with it.
                let pinned = resolution
                    .key
                    .map(|key| phone.handle.with(|node, now| node.pin(now, SENSOR.1, key, Origin::Operator).is_ok()));
                Some(path).filter(|_| pinned == Some(true))
            }
            _ => None,
        };
        let reached = path.is_some_and(|path| path.remote == at);
        self.tell(reached, "reached", &format!("its key answers at {at}"));
        let Some(path) = path else { return };
        let answer = phone.handle.ping(&Ping::new(SENSOR.1, path, "temperature.read")).ok();
        let answer = answer.and_then(|request| wait(request, PATIENCE)).and_then(Result::ok);
        let good = answer.is_some_and(|answer| answer.decision == Decision::Accept && answer.from.remote == at);
        self.tell(good, "answered", "and so it is asked for the temperature, and answers");
    }

    fn tell(&mut self, good: bool, step: &str, words: &str) {
        self.good &= good;
        self.out.event(
            step,
            |o| o.raw("ok", good).str("what", words),
            |flow| {
                match good {
                    true => flow.word(Color::Green, "ok"),
                    false => flow.word(Color::Red, "NOT SO:"),
                };
                flow.words(words);
            },
        );
    }
}

fn node(did: &str, key: SecretKey, serve: bool) -> Result<Node, Fail> {
    let mut config = NodeConfig::new(Did::new(did).map_err(Fail::runtime)?);
    config.identity = Some(Identity::from(key));
    config.sessions = SessionPolicy::Auto;
    let mut overlay = OverlayConfig::default();
    overlay.serve = serve;
    config.overlay = Some(overlay.into());
    run::node(config)
}

fn operate(actor: &Actor, operation: &Operation<'_>) -> Option<OperationResult> {
    let request = actor.handle.start_operation(operation, Some(PATIENCE)).ok()?;
    wait(request, PATIENCE + Duration::from_secs(1))
}

/// Whether the hub was told of a move.
fn moved(hub: &mut Actor) -> bool {
    let is = |notice: &Notice| matches!(notice, Notice::Overlay(news) if matches!(**news, OverlayNews::Moved { .. }));
    std::iter::from_fn(|| wait(hub.events.next(), Duration::ZERO).flatten()).any(|notice| is(&notice))
}

/// How many pings somebody got that were more than a challenge.
fn payloads(thief: &mut Actor) -> usize {
    let is = |notice: &Notice| matches!(notice, Notice::Ping(ping) if *ping.intent != *VERIFY);
    std::iter::from_fn(|| wait(thief.events.next(), Duration::ZERO).flatten()).filter(is).count()
}
