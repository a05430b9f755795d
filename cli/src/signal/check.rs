//! Which brokers of a pool can be joined.

use std::collections::BTreeMap;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::{Instant, Machine as _, Now};
use sluis_signal::key::SecretKey;
use sluis_signal::pool::{Broker, Pool};
use sluis_signal::rendezvous::{Event, Rendezvous};

use super::args::RankArgs;
use super::node::{Node, secret};
use super::pool::folder;
use crate::common::Common;
use crate::fail::Fail;

/// How long a broker may take to let us in: longer than the machine waits for each step.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found of a broker.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// It was joined, so far away.
    Up(Duration),
    /// It was not, and why.
    Down(String),
}

/// What was found of all.
#[derive(Debug, Default)]
pub(super) struct Checked {
    names: Vec<String>,
    found: BTreeMap<usize, Found>,
    began: Option<Instant>,
}

impl Checked {
    /// What was found of a broker.
    pub(super) fn of(&self, broker: &Broker) -> Found {
        let at = self.names.iter().position(|name| *name == named(broker));
        let found = at.and_then(|at| self.found.get(&at).cloned());
        found.unwrap_or_else(|| Found::Down("it cannot be joined in time".to_owned()))
    }

    /// How many were joined.
    pub(super) fn up(&self) -> usize {
        self.found.values().filter(|found| matches!(found, Found::Up(_))).count()
    }
}

/// Of both families there may be one by the same name.
fn named(broker: &Broker) -> String {
    format!("{:?} {broker}", broker.family)
}

/// Join every broker once, under a key that nobody knows if none is named.
pub(super) fn all(common: Common, pool: &Pool, args: &RankArgs) -> Result<Checked, Fail> {
    let key = match &args.key {
        Some(path) => secret(path)?,
        None => SecretKey::generate(&mut crate::run::seed()?.fork("check")),
    };
    let mut node = Node::of(common, key, pool, folder(&args.brokers))?;
    node.dial_from(&args.sources);
    let mut checked = Checked { names: node.places().map(named).collect(), ..Checked::default() };
    node.run(common, &mut checked)?;
    Ok(checked)
}

impl App<Rendezvous> for Checked {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, machine: &mut Rendezvous) -> Poll<()> {
        let began = *self.began.get_or_insert(now.mono);
        while let Some(event) = machine.poll_event() {
            match event {
                Event::Joined { broker, rtt } => drop(self.found.insert(broker, Found::Up(rtt))),
                Event::Left { broker, reason } => {
                    self.found.entry(broker).or_insert_with(|| Found::Down(reason.to_string()));
                }
                _ => {}
            }
        }
        let done = self.found.len() >= self.names.len() || now.mono.saturating_since(began) >= PATIENCE;
        if done { Poll::Ready(()) } else { Poll::Pending }
    }

    fn deadline(&self) -> Option<Instant> {
        self.began.map(|began| began + PATIENCE)
    }
}
