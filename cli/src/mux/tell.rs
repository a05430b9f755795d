//! What `sluis mux serve` shows and records of what happens at its hub.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sluis_chain::audit::{ChannelStatement, Happening};
use sluis_core::data::Text;
use sluis_mux::news::{News, Statement};
use sluis_mux::proof::Direction;
use sluis_udp::SystemClock;
use sluis_web::{Hub, HubStats};

use crate::output::{Color, Out, tell};
use crate::record::Record;

/// News that are told before others get their turn.
const BUDGET: usize = 256;
/// How often it is told that somebody was turned away: strangers decide how often that happens.
pub(super) const REJECTED_EVERY: Duration = Duration::from_secs(1);
/// How long the disk may take at the end.
const DISK: Duration = Duration::from_secs(4);

/// Who was turned away, and why, so far.
type Rejected = [(&'static str, u64); 6];

/// What is told and recorded, and how far that is.
pub(super) struct Teller {
    pub(super) out: Out,
    pub(super) record: Option<Record>,
    clock: SystemClock,
    rejected: Option<Rejected>,
    told_at: Instant,
}

impl Teller {
    pub(super) fn new(out: Out, record: Option<Record>) -> Self {
        Self { out, record, clock: SystemClock::new(), rejected: None, told_at: Instant::now() }
    }

    /// Tell what has happened, and be woken when something does.
    pub(super) fn poll<R>(&mut self, cx: &mut Context<'_>, hub: &Hub<R>) {
        let now = self.clock.now();
        self.out.poll(cx, now.wall);
        for n in 0.. {
            if n == BUDGET {
                cx.waker().wake_by_ref();
                break;
            }
            let Poll::Ready(news) = hub.poll_news(cx) else { break };
            self.tell(&news);
        }
        if self.told_at.elapsed() >= REJECTED_EVERY {
            self.tell_rejected(hub);
        }
        if let Some(record) = &mut self.record {
            record.poll(cx);
        }
        self.out.flush();
    }

    /// The last words before the summary.
    pub(super) fn end<R>(&mut self, hub: &Hub<R>) -> Result<(), crate::fail::Fail> {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(news) = hub.poll_news(cx) {
            self.tell(&news);
        }
        self.tell_rejected(hub);
        self.record.as_mut().map_or(Ok(()), |record| record.finish(Some(DISK)))
    }

    fn tell(&mut self, news: &News) {
        match news {
            News::Connected { agent, via, from } => self.out.event(
                "connected",
                |o| {
                    let o = o.str("agent", agent).str("via", via.name());
                    match from {
                        Some(from) => o.addr("from", *from),
                        None => o.raw("from", "null"),
                    }
                },
                |flow| {
                    flow.quoted("", Text::new(agent)).words(&format!("is there ({})", via.name()));
                    if let Some(from) = from {
                        flow.words(&format!("from {from}"));
                    }
                },
            ),
            News::Opened { channel, agent, target, intent, backend, via, proven } => {
                let proof = if *proven { "end" } else { "hop" };
                self.out.event(
                    "opened",
                    |o| {
                        let o = o.str("channel_id", channel).str("agent", agent).str("target", target);
                        let o = o.str("intent", intent).str("backend", backend);
                        o.str("via", via.name()).str("proof", proof)
                    },
                    |flow| {
                        flow.quoted("", Text::new(agent)).word(Color::Plain, "opens").quoted("", Text::new(intent));
                        flow.quoted("to ", Text::new(target)).words(&format!("as {channel}"));
                    },
                );
            }
            News::Closed { channel, reason, frames, bytes } => self.out.event(
                "closed",
                |o| o.str("channel_id", channel).str("reason", reason).raw("frames", *frames).raw("bytes", *bytes),
                |flow| {
                    flow.words(&format!("{channel} is closed:")).quoted("", Text::new(reason));
                    flow.words(&format!("{frames} frames, {bytes} bytes"));
                },
            ),
            News::Signed(statement) => self.record(statement),
            News::Missed { told, signed } => {
                tell(&format!("sluis mux serve: {told} events came too fast to be told"));
                let now = self.clock.now();
                if let Some(record) = self.record.as_mut().filter(|_| *signed > 0) {
                    record.missed(now, *signed);
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, statement: &Statement) {
        let now = self.clock.now();
        let Some(record) = &mut self.record else { return };
        record.happening(
            now,
            &Happening::Statement(ChannelStatement {
                channel: Text::new(&statement.channel),
                agent: Text::new(&statement.agent),
                target: Text::new(&statement.target),
                intent: Text::new(&statement.intent),
                is_back: statement.way == Direction::Back,
                key: statement.key,
                count: statement.count,
                start: &statement.start,
                hash: &statement.hash,
                signature: &statement.signature,
            }),
        );
    }

    /// Say who was turned away since that was said last.
    fn tell_rejected<R>(&mut self, hub: &Hub<R>) {
        self.told_at = Instant::now();
        let (http, native, throttled) =
            (hub.stats(), hub.native_stats(), hub.with(|board, _| board.totals().throttled));
        let HubStats { dropped, unauthorised, foreign_pages, .. } = http;
        let all = [
            ("dropped", dropped),
            ("unauthorised", unauthorised + native.unauthorised),
            ("foreign_page", foreign_pages),
            ("refused", native.refused),
            ("malformed", native.breaches),
            ("throttled", throttled + native.throttled),
        ];
        let before = self.rejected.replace(all);
        for (at, (reason, count)) in all.into_iter().enumerate() {
            let known = before.and_then(|before| before.get(at).copied()).map_or(0, |(_, count)| count);
            if count > known {
                self.out.event(
                    "rejected",
                    |o| o.str("reason", reason).raw("count", count - known),
                    |flow| {
                        flow.words(&format!("turned away: {reason} ({})", count - known));
                    },
                );
            }
        }
    }
}
