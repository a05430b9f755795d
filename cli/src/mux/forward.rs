//! `sluis mux pipe --forward`: a local port of which each TCP connection is a channel; and `--bytes`: standard input and output as one.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::{Instant, Machine as _, Now};
use sluis_mux::native::{Channel, Client, Event, Lost};
use sluis_net::{Accept, ByteStream, Runtime as _};
use sluis_udp::SystemClock;
use sluis_web::{Spliced, Splices};

use super::args::PipeArgs;
use super::native::{Reach, Reached, reason, tell_connected, tell_lost, tell_opened};
use super::on_runtime;
use super::orders::Orders;
use super::stdio::Once;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::Out;
use crate::run;
use crate::signals::Asked;

/// Connections that are accepted before others get their turn.
const BUDGET: usize = 16;
/// How long nothing is accepted after that has failed.
const REST: Duration = Duration::from_millis(100);

/// Listen until there is a reason to end.
pub(super) fn run(common: Common, args: &PipeArgs) -> Result<ExitCode, Fail> {
    let mut reach = Reach::read(&args.hub, &args.agent, &args.keys)?;
    reach.sign(args);
    let Some(place) = &args.forward else { return Err(Fail::usage("--forward says where to listen")) };
    let addr = run::resolve_bind(place)?;
    let socket = TcpListener::bind(addr)
        .map_err(|why| Fail::runtime(format!("cannot listen on {addr} ({why}), choose another --forward")))?;
    let orders = Orders::catch(false).map_err(Fail::runtime)?;
    let out = Out::new(common, args.quiet).timed();
    let (mut out, failed) = on_runtime!(common.runtime, runtime => {
        let listener = runtime.listen(socket).map_err(Fail::runtime)?;
        let addr = listener.local_addr().map_err(Fail::runtime)?;
        let (io, mut client) = reach.client(runtime, SystemClock::new().now())?;
        let mut forwarding = Forwarding::new(args, out, orders, listener);
        forwarding.begin(addr);
        sluis_net::run(io, &mut client, &mut forwarding).await.map_err(Fail::runtime)?;
        forwarding.summary();
        Ok::<_, Fail>((forwarding.out, forwarding.failed))
    })?;
    out.finish().map_err(|why| Fail::output(&why))?;
    failed.map_or(Ok(ExitCode::SUCCESS), |why| Err(Fail::runtime(why)))
}

/// Carry standard input and output, which nothing else is written to.
pub(super) fn run_bytes(common: Common, args: &PipeArgs) -> Result<ExitCode, Fail> {
    if common.json {
        return Err(Fail::usage("--bytes writes what comes to standard output, leave --json out"));
    }
    let mut reach = Reach::read(&args.hub, &args.agent, &args.keys)?;
    reach.sign(args);
    let orders = Orders::catch(false).map_err(Fail::runtime)?;
    let failed = on_runtime!(common.runtime, runtime => {
        let once = Once::begin().map_err(Fail::runtime)?;
        let now = SystemClock::new().now();
        let (io, mut client) = reach.client(runtime, now)?;
        let mut forwarding = Forwarding::new(args, Out::new(common, true), orders, once);
        forwarding.open_until = Some(now.mono + args.timeout);
        sluis_net::run(io, &mut client, &mut forwarding).await.map_err(Fail::runtime)?;
        Ok::<_, Fail>(forwarding.failed)
    })?;
    failed.map_or(Ok(ExitCode::SUCCESS), |why| Err(Fail::runtime(why)))
}

/// The agent, and the connections that it carries.
struct Forwarding<'a, L: Accept> {
    args: &'a PipeArgs,
    out: Out,
    orders: Orders,
    listener: L,
    splices: Splices<L::Tcp>,
    names: BTreeMap<Channel, String>,
    reached: Reached,
    /// Until when nothing is accepted.
    rest: Option<Instant>,
    /// There is one connection, and until when its channel has to be open, while it is not.
    open_until: Option<Instant>,
    single: bool,
    over: bool,
    connections: u64,
    broken: u64,
    sent: u64,
    received: u64,
    failed: Option<String>,
}

impl<'a, L: Accept<Tcp: ByteStream>> Forwarding<'a, L> {
    fn new(args: &'a PipeArgs, out: Out, orders: Orders, listener: L) -> Self {
        Self {
            args,
            out,
            orders,
            listener,
            splices: Splices::default(),
            names: BTreeMap::new(),
            reached: None,
            rest: None,
            open_until: None,
            single: args.bytes,
            over: false,
            connections: 0,
            broken: 0,
            sent: 0,
            received: 0,
            failed: None,
        }
    }

    fn begin(&mut self, addr: SocketAddr) {
        let (target, intent) = (&self.args.target, &self.args.intent);
        self.out.event(
            "listening",
            |o| o.addr("address", addr).str("target", target).str("intent", intent),
            |flow| {
                flow.words(&format!("connections to {addr} go to {intent} of {target}"));
            },
        );
        self.out.flush();
    }

    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Connected(hub) => {
                tell_connected(&mut self.out, &self.args.agent, hub, self.reached);
            }
            Event::Disconnected(Lost::Refused, _) => {
                self.failed = Some(format!("{}, see --token-file and --key", reason(Lost::Refused)));
            }
            Event::Disconnected(why, pause) => tell_lost(&mut self.out, *why, *pause),
            Event::Opened(channel, proof) => {
                self.open_until = None;
                let name = self.names.get(channel).map_or("", String::as_str);
                tell_opened(&mut self.out, self.args, name, self.reached, *proof);
            }
            _ => {}
        }
    }

    /// Open a channel for each connection that has come; whether there may be more.
    fn accept(&mut self, cx: &mut Context<'_>, now: Now, client: &mut Client) -> bool {
        if self.rest.is_some_and(|until| until > now.mono) {
            return false;
        }
        self.rest = None;
        for _ in 0..BUDGET {
            let mut stream = match self.listener.poll_accept(cx) {
                Poll::Pending => return false,
                // The system has no descriptor to give, say.
                Poll::Ready(Err(_)) => {
                    self.rest = Some(now.mono + REST);
                    return false;
                }
                Poll::Ready(Ok((stream, _))) => stream,
            };
            self.connections += 1;
            let metadata = self.args.metadata.as_ref().map_or("{}", |json| json.as_json());
            match client.open(now, &self.args.target, &self.args.intent, metadata) {
                Ok(channel) => {
                    let name = client.channel(channel).map(|it| it.opening().channel.to_string());
                    self.names.insert(channel, name.unwrap_or_default());
                    self.splices.join(channel, stream);
                }
                Err(why) => {
                    stream.abort();
                    self.broken += 1;
                    let why = why.to_string();
                    if self.single {
                        self.failed = Some(why.clone());
                    }
                    self.out.event(
                        "rejected",
                        |o| o.str("reason", &why).raw("count", 1),
                        |flow| {
                            flow.words(&format!("a connection is refused: {why}"));
                        },
                    );
                }
            }
        }
        true
    }

    fn ended(&mut self, ended: &Spliced) {
        let Spliced { channel, failure, sent, received, .. } = ended;
        self.broken += u64::from(failure.is_some());
        (self.sent, self.received) = (self.sent + sent, self.received + received);
        let name = self.names.remove(channel).unwrap_or_default();
        if self.single {
            self.over = true;
            self.failed.clone_from(failure);
        }
        let why = failure.as_deref().unwrap_or("client_close");
        self.out.event(
            "closed",
            |o| o.str("channel_id", &name).str("reason", why).raw("sent", sent).raw("received", received),
            |flow| {
                flow.words(&format!("{name} is closed ({why}), {sent} bytes sent, {received} received"));
            },
        );
    }

    fn summary(&mut self) {
        let Self { connections, broken, sent, received, .. } = *self;
        self.out.summary(
            "summary",
            |o| o.raw("connections", connections).raw("broken", broken).raw("sent", sent).raw("received", received),
            |flow| {
                flow.words(&format!(
                    "{connections} connections, {broken} of them broken; {sent} bytes sent, {received} received"
                ));
            },
        );
    }
}

impl<L: Accept<Tcp: ByteStream>> App<Client> for Forwarding<'_, L> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        if self.accept(cx, now, client) {
            cx.waker().wake_by_ref();
        }
        self.reached = client.reached();
        loop {
            while let Some(event) = client.poll_event() {
                let hold = self.splices.hear(&event);
                self.hear(&event);
                if let Some(channel) = hold {
                    client.hold(channel, true);
                }
            }
            self.splices.poll(cx, now, client);
            // Moving bytes ends channels.
            if !client.wants().events {
                break;
            }
        }
        while let Some(ended) = self.splices.poll_ended() {
            self.ended(&ended);
        }
        if self.open_until.is_some_and(|until| until <= now.mono) {
            self.failed.get_or_insert("the channel is not open in time".into());
        }
        let asked = self.orders.poll_next(cx) == Some(Asked::Stop);
        if asked && self.single && !self.over {
            self.failed.get_or_insert("it was told to stop before the connection had ended".into());
        }
        self.out.flush();
        if self.over || self.failed.is_some() || asked || self.out.is_broken() {
            client.shut_down(now);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        [self.rest, self.open_until].into_iter().flatten().min()
    }
}
