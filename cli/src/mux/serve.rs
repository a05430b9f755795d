//! `sluis mux serve`.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use sluis_mux::Access;
use sluis_mux::switchboard::{Config, Transport};
use sluis_net::{Accept as _, Runtime, ServerTls};
use sluis_web::{Backend, Hub, Options};

use super::args::{Joined, ServeArgs};
use super::orders::Orders;
use super::tell::{REJECTED_EVERY, Teller};
use super::{agents, on_runtime};
use crate::common::Common;
use crate::fail::Fail;
use crate::output::{Out, Patience, tell};
use crate::record::{Keys, Record};
use crate::signals::Asked;
use crate::view::Recorded;
use crate::{key, record, run};

/// Protocols that are served, the preferred first: HTTP/2 is not, because upgrades do not work over it where a proxy picks it.
const ALPN: [&str; 2] = [sluis_mux::native::ALPN, "http/1.1"];

/// What the command is called in what it says.
const NAME: &str = "sluis mux serve";
/// How long whoever reads standard output may take at the end.
const READER: Patience = Patience::AtMost(Duration::from_secs(2));

/// Be a hub until there is a reason to end.
pub(super) fn run(common: Common, args: &ServeArgs) -> Result<ExitCode, Fail> {
    let addr = run::resolve_bind(&args.bind)?;
    let config = config(args, addr)?;
    let tls = tls(args)?;
    let mut options = Options::default();
    options.allow_origins.clone_from(&args.allow_origin);
    options.behind_proxy = args.behind_proxy;
    options.backends = backends(args)?;
    options.tells = !args.span.quiet;
    options.witnesses = args.record.is_some();
    if let Some(secret) = args.key.as_deref().map(key::file::secret).transpose()? {
        options.signer = Some(Arc::new(secret));
    }
    let record_key = args.record_key.as_deref().map(key::file::secret).transpose()?;
    refuse_same(args)?;
    let listener = TcpListener::bind(addr)
        .map_err(|why| Fail::runtime(format!("cannot listen on {addr} ({why}), choose another --bind")))?;
    let orders = Orders::catch(true).map_err(Fail::runtime)?;
    let seed =
        sluis_tokio::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness: {why}")))?;
    let keys = Keys { secret: record_key, mac: None };
    let open = |path| Record::open(&NAME, path, &config.agent, keys, None);
    let record = args.record.as_deref().map(open).transpose()?;
    let mut teller = Teller::new(Out::queued(common, args.span.quiet).timed(), record);
    let began = Instant::now();
    let recorded = on_runtime!(common.runtime, runtime => {
        let hub = Hub::new(runtime, config, options, &seed, sluis_udp::SystemClock::new());
        register(&hub, args)?;
        serve(&hub, runtime, listener, tls, args, &orders, &mut teller).await?;
        let recorded = teller.end(&hub);
        summary(&hub, &mut teller, began);
        Ok::<_, Fail>(recorded)
    })?;
    match teller.out.finish_within(READER) {
        // Whoever has seen enough.
        Err(why) if why.kind() == ErrorKind::BrokenPipe => {}
        done => done.map_err(|why| Fail::output(&why))?,
    }
    recorded?;
    let lost = teller.record.is_some_and(|record| record.counts().lost > 0);
    Ok(if lost { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is written to is nothing else that is read.
fn refuse_same(args: &ServeArgs) -> Result<(), Fail> {
    let read = [
        ("--agents", args.agents.as_deref()),
        ("--cert", args.cert.as_deref()),
        ("--cert-key", args.cert_key.as_deref()),
        ("--key", args.key.as_deref()),
        ("--record-key", args.record_key.as_deref()),
    ];
    record::refuse_same(args.record.as_deref(), &[], &read)
}

fn config(args: &ServeArgs, addr: SocketAddr) -> Result<Config, Fail> {
    let mut config = Config::new(&args.agent);
    config.prefix.clone_from(&args.prefix);
    config.max_channels = args.max_channels as usize;
    config.transport = if args.plain { Transport::Plain } else { Transport::Tls13 };
    config.access = match (&args.agents, args.open.as_deref()) {
        (Some(path), _) => agents::read(path)?,
        (None, Some("anywhere")) => Access::Open,
        (None, _) if addr.ip().is_loopback() => Access::Open,
        (None, _) => {
            return Err(Fail::usage(format!(
                "--open believes every name, and {addr} is reached by others; add --bind 127.0.0.1:8443, or write --open=anywhere"
            )));
        }
    };
    Ok(config)
}

fn backends(args: &ServeArgs) -> Result<Vec<Backend>, Fail> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = args.backend.iter().find(|joined| !seen.insert(&joined.intent)) {
        return Err(Fail::usage(format!(
            "--backend is given twice for {}, write it once for each intent",
            twice.intent
        )));
    }
    let backend = |joined: &Joined| Backend::new(&joined.intent, joined.place.host(), joined.place.port());
    Ok(args.backend.iter().map(backend).collect())
}

fn tls(args: &ServeArgs) -> Result<Option<ServerTls>, Fail> {
    if let Some(dir) = &args.self_signed {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend(
            Some(args.bind.host().to_owned())
                .filter(|host| !names.contains(host) && !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())),
        );
        return ServerTls::self_signed(dir, names, &ALPN).map(Some).map_err(Fail::usage);
    }
    match (&args.cert, &args.cert_key) {
        (Some(chain), Some(key)) => ServerTls::from_files(chain, key, &ALPN).map(Some).map_err(Fail::usage),
        _ => Ok(None),
    }
}

fn register<R>(hub: &Hub<R>, args: &ServeArgs) -> Result<(), Fail> {
    for intent in &args.intent {
        hub.register_intent(&intent.name, &intent.backend, &intent.description)
            .map_err(|why| Fail::usage(format!("--intent: {why}")))?;
    }
    Ok(())
}

async fn serve<R: Runtime>(
    hub: &Hub<R>,
    runtime: R,
    listener: TcpListener,
    tls: Option<ServerTls>,
    args: &ServeArgs,
    orders: &Orders,
    teller: &mut Teller,
) -> Result<(), Fail> {
    let failed = |why| Fail::runtime(format!("the listening socket failed ({why}), start again"));
    let listener = runtime.listen(listener).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let fingerprint = tls.as_ref().map(|tls| tls.fingerprint().to_string());
    let url = format!("{}://{addr}", if tls.is_some() { "https" } else { "http" });
    let agent = hub.with(|board, _| board.config().agent.clone());
    teller.out.event(
        "listening",
        |o| {
            o.str("url", &url)
                .str("agent", &agent)
                .raw("tls", tls.is_some())
                .maybe("fingerprint", fingerprint.as_deref())
        },
        |flow| {
            flow.words(&format!("listening on {url} as {agent}"));
            if let Some(fingerprint) = &fingerprint {
                flow.words(&format!("--pin {fingerprint}"));
            }
        },
    );
    teller.out.flush();
    let reload = || reload(hub, args, tls.as_ref());
    let stop = async {
        let mut time = pin!(args.span.duration.map(|time| runtime.sleep(time)));
        let mut turn = Box::pin(runtime.sleep(REJECTED_EVERY));
        poll_fn(|cx| {
            while !args.span.quiet && turn.as_mut().poll(cx).is_ready() {
                turn = Box::pin(runtime.sleep(REJECTED_EVERY));
            }
            teller.poll(cx, hub);
            while let Some(asked) = orders.poll_next(cx) {
                match asked {
                    Asked::Stop => return Poll::Ready(()),
                    Asked::Reload => reload(),
                }
            }
            match time.as_mut().as_pin_mut() {
                Some(time) => time.poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
    };
    hub.serve(listener, tls.clone(), stop).await.map_err(failed)
}

/// Read agents and certificate again. What cannot be read stays as it was.
fn reload<R>(hub: &Hub<R>, args: &ServeArgs, tls: Option<&ServerTls>) {
    if let Some(path) = &args.agents {
        match agents::read(path) {
            Ok(access) => hub.replace_access(access),
            Err(why) => tell(&format!("sluis mux serve: the agents stay as they were: {why}.")),
        }
    }
    let files = match (&args.cert, &args.cert_key, &args.self_signed) {
        (Some(chain), Some(key), _) => Some((chain.clone(), key.clone())),
        (_, _, Some(dir)) => Some((dir.join("cert.pem"), dir.join("key.pem"))),
        _ => None,
    };
    if let (Some(tls), Some((chain, key))) = (tls, files)
        && let Err(why) = tls.replace(&chain, &key)
    {
        tell(&format!("sluis mux serve: the certificate stays as it was: {why}."));
    }
}

fn summary<R>(hub: &Hub<R>, teller: &mut Teller, began: Instant) {
    let recorded = teller.record.as_ref().map(Record::counts);
    let (stats, mut totals) = (hub.stats(), hub.with(|board, _| board.totals()));
    let native = hub.native_stats();
    totals.opened += native.joined;
    totals.throttled += native.throttled;
    let elapsed = began.elapsed().as_secs_f64();
    teller.out.summary(
        "summary",
        |o| {
            let o = o.raw("connections", stats.connections).raw("channels", totals.opened).raw("frames", totals.frames);
            let o = o.raw("delivered", totals.delivered).raw("queued", totals.queued).raw("expired", totals.expired);
            let o = o.raw("throttled", totals.throttled);
            let o = o.object("rejected", |o| {
                let o = o.raw("dropped", stats.dropped).raw("unauthorised", stats.unauthorised);
                o.raw("foreign_page", stats.foreign_pages)
            });
            let o = match recorded {
                Some(Recorded { recorded, lost }) => {
                    o.object("record", |o| o.raw("recorded", recorded).raw("lost", lost))
                }
                None => o,
            };
            o.rounded("elapsed_s", Some(elapsed), 3)
        },
        |flow| {
            flow.words(&format!(
                "{} connections, {} channels, {} frames: {} delivered at once, {} queued; {} throttled, {} without a known token",
                stats.connections,
                totals.opened,
                totals.frames,
                totals.delivered,
                totals.queued,
                totals.throttled,
                stats.unauthorised
            ));
            if let Some(Recorded { recorded, lost }) = recorded {
                flow.words(&format!("; {recorded} recorded, {lost} not"));
            }
        },
    );
}
