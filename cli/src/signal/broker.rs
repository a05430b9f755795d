//! `sluis signal broker`: a small broker, for tests, demos, and a LAN.

use std::net::TcpListener;
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::{App, Clock};
use sluis_core::{Instant, Now};
use sluis_net::{NetStreams, Runtime};
use sluis_signal::server::{Fault, Faults, Server, ServerLimits};

use super::args::BrokerServeArgs;
use crate::common::{Common, Runtime as Choice};
use crate::fail::Fail;
use crate::mux::orders::Orders;
use crate::output::Out;

pub(super) fn run(common: Common, args: &BrokerServeArgs) -> Result<ExitCode, Fail> {
    let faults = args.fault.iter().fold(Faults::default(), |faults, given| faults.with(given.fault, given.thousandths));
    let cannot = |why| Fail::runtime(format!("cannot listen at {} ({why})", args.bind));
    let addrs = args.bind.resolve().map_err(cannot)?;
    let listener = TcpListener::bind(&addrs[..]).map_err(cannot)?;
    let seed =
        sluis_udp::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness ({why})")))?;
    let mut machine = Server::new(ServerLimits::default(), seed.fork("server"));
    machine.set_faults(faults);
    let mut app = Serve {
        out: Out::queued(common, args.span.quiet).timed(),
        orders: Orders::catch(false).map_err(Fail::runtime)?,
        duration: args.span.duration,
        began: None,
    };
    let addr = listener.local_addr().map_err(cannot)?;
    app.out.event(
        "listening",
        |o| o.addr("addr", addr).str("url", &format!("mqtt://{addr}")),
        |flow| {
            flow.words(&format!("listening on mqtt://{addr}"));
        },
    );
    app.out.flush();
    let ended = match common.runtime {
        Choice::Tokio => sluis_tokio::block_on(async {
            let io = accepting(sluis_tokio::net::streams(), listener)?;
            sluis_tokio::net::run(io, &mut machine, &mut app).await
        }),
        Choice::Smol => sluis_smol::block_on(async {
            let io = accepting(sluis_smol::net::streams(), listener)?;
            sluis_smol::net::run(io, &mut machine, &mut app).await
        }),
    };
    app.out.finish().map_err(|why| Fail::output(&why))?;
    ended.map_err(|why| Fail::runtime(format!("the listening socket failed ({why}), start again")))?;
    Ok(ExitCode::SUCCESS)
}

fn accepting<R: Runtime, C: Clock>(
    mut io: NetStreams<R, C>,
    listener: TcpListener,
) -> std::io::Result<NetStreams<R, C>> {
    io.listen(listener, None)?;
    Ok(io)
}

struct Serve {
    out: Out,
    orders: Orders,
    duration: Option<Duration>,
    began: Option<Instant>,
}

impl App<Server> for Serve {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, machine: &mut Server) -> Poll<()> {
        self.out.poll(cx, now.wall);
        let began = *self.began.get_or_insert(now.mono);
        let elapsed = now.mono.saturating_since(began);
        let over = self.duration.is_some_and(|time| elapsed >= time);
        if self.orders.poll_next(cx).is_none() && !over {
            return Poll::Pending;
        }
        let counts = machine.counts();
        self.out.summary(
            "summary",
            |o| {
                let o = o.raw("published", counts.published).raw("delivered", counts.delivered);
                let o = o.raw("lost", counts.lost).raw("dropped", counts.dropped);
                o.rounded("elapsed_s", Some(elapsed.as_secs_f64()), 3)
            },
            |flow| {
                flow.words(&format!(
                    "{} messages published, {} delivered, {} lost; {} clients dropped",
                    counts.published, counts.delivered, counts.lost, counts.dropped
                ));
            },
        );
        Poll::Ready(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.began.zip(self.duration).map(|(began, time)| began + time)
    }
}

/// A fault as it is written: `NAME`, or `NAME=P` with a probability from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenFault {
    fault: Fault,
    thousandths: u16,
}

pub(crate) fn fault(text: &str) -> Result<GivenFault, String> {
    let (name, probability) = text.split_once('=').map_or((text, None), |(name, p)| (name, Some(p)));
    let fault = Fault::by_name(name)
        .ok_or_else(|| format!("there is no fault {name:?}, there are {}", Fault::ALL.map(Fault::name).join(", ")))?;
    let thousandths = match probability {
        None => 1000,
        Some(text) => {
            let p = text.parse::<f64>().ok().filter(|p| (0.001..=1.0).contains(p));
            let p = p.ok_or_else(|| format!("{text:?} is no probability, write one from 0.001 to 1"))?;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 1000")]
            let thousandths = (p * 1000.0).round() as u16;
            thousandths
        }
    };
    Ok(GivenFault { fault, thousandths })
}
