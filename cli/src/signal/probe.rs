//! `sluis signal probe`: whether a peer is there, and what it runs.

use std::process::ExitCode;
use std::task::{Context, Poll};

use sluis_core::driver::App;
use sluis_core::{Instant, Machine as _, Now};
use sluis_signal::key::PublicKey;
use sluis_signal::rendezvous::{Event, Rendezvous};

use super::args::ProbeArgs;
use super::node::{Farewell, Node, Reached};
use crate::common::Common;
use crate::fail::Fail;
use crate::key::file;
use crate::mux::orders::Orders;
use crate::output::Out;

/// Exit code 0 when it answered.
pub(super) fn run(common: Common, args: &ProbeArgs) -> Result<ExitCode, Fail> {
    let to = file::signal_public(&args.to).map_err(Fail::into_usage)?;
    let mut node = Node::read(common, &args.node)?;
    let hints = node.hints(&args.hints)?;
    let mut app = Probe {
        out: Out::new(common, false).timed(),
        args,
        to,
        names: node.names(),
        hints,
        orders: Orders::catch(false).map_err(Fail::runtime)?,
        asked: false,
        answer: None,
        reached: Reached::default(),
        farewell: Farewell::default(),
    };
    let ended = node.run(common, &mut app);
    app.out.finish().map_err(|why| Fail::output(&why))?;
    ended?;
    match app.answer {
        Some(true) => Ok(ExitCode::SUCCESS),
        None => Err(Fail::runtime("it was ended before the peer answered")),
        Some(false) => Err(Fail::runtime("the peer does not answer: it is not there, or at none of these brokers")),
    }
}

struct Probe<'a> {
    out: Out,
    args: &'a ProbeArgs,
    to: PublicKey,
    names: Vec<String>,
    hints: Vec<usize>,
    orders: Orders,
    asked: bool,
    /// Whether it answered.
    answer: Option<bool>,
    reached: Reached,
    farewell: Farewell,
}

impl Probe<'_> {
    fn event(&mut self, event: &Event) {
        match *event {
            Event::Joined { broker, .. } | Event::Left { broker, .. } => self.reached.note(broker),
            Event::Answered { peer, sealed, after, broker } if peer == self.to && self.answer.is_none() => {
                self.answer = Some(true);
                let kind = if sealed { "sluis" } else { "reference" };
                let (name, ms) = (self.names.get(broker).map_or("?", String::as_str), after.as_secs_f64() * 1e3);
                self.out.summary(
                    "probe",
                    |o| o.str("broker", name).str("kind", kind).rounded("ms", Some(ms), 3),
                    |flow| {
                        let runs = if sealed { "Sluis" } else { "sidewire" };
                        flow.words(&format!("it is there and runs {runs}: {ms:.1} ms over {name}"));
                    },
                );
            }
            Event::Unanswered { peer } if peer == self.to => self.answer = Some(false),
            _ => {}
        }
    }
}

impl App<Rendezvous> for Probe<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, machine: &mut Rendezvous) -> Poll<()> {
        self.out.poll(cx, now.wall);
        for broker in std::mem::take(&mut self.hints) {
            // The first peer finds room.
            let _ = machine.hint(now, &self.to, broker);
        }
        if !std::mem::replace(&mut self.asked, true) && machine.probe(now, &self.to, self.args.timeout).is_err() {
            self.answer = Some(false);
        }
        while let Some(event) = machine.poll_event() {
            self.event(&event);
        }
        if !self.farewell.has_begun() {
            self.reached.poll(now, machine);
        }
        let stop = self.orders.poll_next(cx).is_some() || self.answer.is_some() || self.out.is_broken();
        if (stop || self.farewell.has_begun()) && self.farewell.poll(now, machine) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        self.farewell.deadline().or_else(|| self.reached.deadline())
    }
}
