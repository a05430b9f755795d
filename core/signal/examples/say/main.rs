//! Peers that reach each other by public key, on plain streams: a message is sealed, and acknowledged by the one it was for.
//!
//! ```text
//! sluis key new alice.key --kind secp256k1
//! cargo run -p sluis-signal --example say -- pool.toml alice.key              listens
//! cargo run -p sluis-signal --example say -- pool.toml bob.key 02… 'hello'    says something, and tells whether it arrived
//! ```
//!
//! `mqtt://` only: TLS is for an adapter to bring.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "an example is the outside world"
)]

mod driver;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use driver::Driver;
use sluis_core::{Security, Seed};
use sluis_signal::broker::Settings;
use sluis_signal::key::{PublicKey, SecretKey};
use sluis_signal::pool::Pool;
use sluis_signal::rendezvous::{Config, Event, Place};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [pool, key, rest @ ..] = &args[..] else { return Err("say POOL KEYFILE [PUBKEY TEXT]".into()) };
    let pool = Pool::parse(&std::fs::read_to_string(pool)?)?;
    pool.faults().iter().for_each(|fault| eprintln!("{fault}."));
    let places = pool.brokers().iter().filter(|broker| !broker.tls).map(|broker| Place {
        family: broker.family,
        host: broker.host.clone(),
        port: broker.port,
        weight: broker.weight,
        security: Security::Plain,
        settings: Settings {
            user: broker.user.clone(),
            password: broker.password.as_ref().map(|secret| secret.reveal().to_owned().into()),
            rate: broker.rate.unwrap_or(20),
            ..Settings::default()
        },
    });
    let key = SecretKey::from_pem(&std::fs::read_to_string(key)?)?;
    eprintln!("We are {}.", key.public());
    let mut random = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut random)?;
    let mut driver = Driver::new(Config::new(key, places.collect()), &Seed::new(random));
    match rest {
        [] => listen(&mut driver),
        [to, text] => say(&mut driver, &to.parse()?, text),
        _ => Err("say POOL KEYFILE [PUBKEY TEXT]".into()),
    }
}

fn listen(driver: &mut Driver) -> Result<(), Box<dyn Error>> {
    loop {
        match driver.wait(Duration::from_secs(60)) {
            Some(Event::Message(message)) => {
                println!("{}: {}", message.key.from(), String::from_utf8_lossy(&message.body).escape_debug());
                let now = driver.now();
                driver.machine.confirm(now, &message.key);
            }
            Some(Event::Joined { broker, rtt }) => eprintln!("Broker {broker} is joined, {rtt:?} away."),
            Some(Event::Left { broker, reason }) => eprintln!("Broker {broker} is left: {reason}."),
            _ => {}
        }
    }
}

fn say(driver: &mut Driver, to: &PublicKey, text: &str) -> Result<(), Box<dyn Error>> {
    let now = driver.now();
    driver.machine.send(now, to, Arc::from(text.as_bytes()), true, Duration::from_secs(10))?;
    loop {
        match driver.wait(Duration::from_secs(60)) {
            Some(Event::Sent { outcome: Ok(delivered), .. }) => {
                eprintln!("Delivered after {:?}.", delivered.after);
                return Ok(());
            }
            Some(Event::Sent { outcome: Err(why), .. }) => return Err(format!("not delivered: {why}").into()),
            Some(Event::Answered { sealed: false, .. }) => {
                eprintln!("It runs the reference, which cannot read what is sealed.");
            }
            _ => {}
        }
    }
}
