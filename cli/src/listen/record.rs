//! `listen --record FILE`: what happens to the node, as tokens in a log.
//!
//! Recording never holds the node up. A token is composed and queued while the event is told; other threads bring it to the
//! disk, many at a time. What the summary counts as recorded is on the disk. What cannot be queued, because the disk is too slow
//! or full, is counted as lost and said once, in one sentence, until recording goes on; the ping itself is answered all the same.

use std::collections::VecDeque;
use std::future::Future as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use sluis_chain::audit::{Happening, Recorder};
use sluis_chain::log::{AppendError as LogError, Log, Protection};
use sluis_chain::token::{Seal, Token, TokenIds};
use sluis_core::framing::Text;
use sluis_core::identity::{MacKey, SecretKey};
use sluis_core::node::Event;
use sluis_core::{Did, Now, Seed};
use sluis_journal::{AppendError, Chain, Composed, Failure, Fold, Journal, Setup, Ticket, Trail};

use crate::fail::Fail;
use crate::output::tell;
use crate::tokens;
use crate::view::Recorded;

/// The id of the last token of the file: the next one follows from it.
#[derive(Clone, Debug, Default)]
struct Parent(Option<String>);

impl Fold for Parent {
    fn fold(&mut self, token: &Token<'_>) {
        let parent = self.0.get_or_insert_default();
        parent.clear();
        parent.push_str(&token.token_id.to_cow());
    }
}

/// What protects the tokens.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) secret: Option<SecretKey>,
    pub(super) mac: Option<MacKey>,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
enum Unmade {
    #[error(transparent)]
    Log(LogError),
    #[error("it has grown to --max-bytes, what follows is lost")]
    NoRoom,
}

/// Records.
pub(super) struct Record {
    path: PathBuf,
    journal: Journal<Trail<Parent>>,
    recorder: Recorder,
    keys: Keys,
    ids: TokenIds,
    seed: Seed,
    /// What is on its way to the disk, the oldest first.
    tickets: VecDeque<Ticket>,
    counts: Recorded,
    /// Bytes of the file and of what is on its way there, and how many there may be.
    bytes: u64,
    max_bytes: u64,
    /// The file has reached that: nothing more goes into it.
    ended: bool,
    /// There is a checkpoint: the first line says that there is one.
    signed: bool,
    /// It was said that something is lost, and nothing was recorded since.
    said: bool,
}

impl Record {
    /// Open the file, or begin it.
    pub(super) fn open(path: &Path, did: &Did, keys: Keys, max_bytes: Option<u64>) -> Result<Self, Fail> {
        let seed = tokens::seed()?;
        let (journal, found) =
            Journal::open(path, Trail::default(), Setup::default()).map_err(|why| tokens::opening(path, &why))?;
        tokens::tell_torn(path, found.torn);
        Ok(Self {
            path: path.to_owned(),
            journal,
            recorder: Recorder::new(did.as_str()),
            keys,
            ids: TokenIds::new(&seed),
            seed,
            tickets: VecDeque::new(),
            counts: Recorded::default(),
            bytes: std::fs::metadata(path).map_or(0, |about| about.len()),
            max_bytes: max_bytes.unwrap_or(u64::MAX),
            ended: false,
            signed: found.entries > 0,
            said: false,
        })
    }

    /// Record an event of the node.
    pub(super) fn event(&mut self, now: Now, event: &Event<'_>) {
        if let Some(happening) = Happening::of_event(event) {
            self.happening(now, &happening);
        }
    }

    /// Record what happened.
    pub(super) fn happening(&mut self, now: Now, happening: &Happening<'_>) {
        let Some(draft) = self.recorder.draft(happening) else { return };
        if self.ended {
            self.counts.lost += 1;
            return;
        }
        let id = self.ids.next(now.wall);
        let (seed, keys) = (&self.seed, &self.keys);
        let origin = tokens::origin_of(&self.path);
        let room = self.max_bytes.saturating_sub(self.bytes);
        let queued = self.journal.try_append(|trail: &mut Trail<Parent>, out: &mut [u8]| {
            let header = tokens::header(trail, &origin, keys.secret.as_ref());
            let draft = Token {
                token_id: id.as_text(),
                parent_id: trail.kept.0.as_deref().map(Text::new),
                header: header.as_deref().map(Text::new),
                ..draft
            };
            let protection =
                Protection { mac: keys.mac.as_ref(), seal: keys.secret.as_ref().map(|key| key as &dyn Seal) };
            let mut log = Log::resume(seed, trail.tree.clone(), trail.last);
            let made = log.append(now, &draft, protection, out).map_err(Unmade::Log)?;
            if made.len as u64 > room {
                return Err(Unmade::NoRoom);
            }
            // The journal writes the line feed.
            let len = made.len.saturating_sub(1);
            let leaf = trail.push(out.get(..len).unwrap_or_default());
            Ok(Composed { len, leaf, value: made.len as u64 })
        });
        match queued {
            Ok((ticket, len)) => {
                self.bytes += len;
                self.tickets.push_back(ticket);
            }
            Err(why) => {
                self.ended = matches!(&why, AppendError::Compose(Unmade::NoRoom));
                self.said &= !self.ended;
                self.lose(&why);
            }
        }
    }

    /// Hear of what has come to the disk, and be woken for what comes later.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some(ticket) = self.tickets.front_mut()
            && let Poll::Ready(outcome) = Pin::new(ticket).poll(cx)
        {
            drop(self.tickets.pop_front());
            self.heard(outcome);
        }
    }

    fn heard(&mut self, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => {
                self.counts.recorded += 1;
                self.said = false;
                if !std::mem::replace(&mut self.signed, true)
                    && let Err(why) = self.sign()
                {
                    tell(&format!("sluis listen: {why}"));
                }
            }
            Err(why) => self.lose::<std::convert::Infallible>(&AppendError::Failed(why)),
        }
    }

    fn lose<E: std::fmt::Display>(&mut self, why: &AppendError<E>) {
        self.counts.lost += 1;
        if std::mem::replace(&mut self.said, true) {
            return;
        }
        let file = self.path.display();
        tell(&match why {
            AppendError::Failed(failure) if failure.is_disk_full() => {
                format!("sluis listen: the disk with {file} is full, what happens is not recorded until there is room")
            }
            AppendError::Failed(why) => {
                format!("sluis listen: what happens is not recorded in {file} ({why}), start again to go on")
            }
            why => format!("sluis listen: what happens is not recorded in {file}: {why}"),
        });
    }

    pub(super) const fn counts(&self) -> Recorded {
        self.counts
    }

    /// Wait until everything is on the disk, at most for as long as `limit` says, and sign what the file is by then.
    ///
    /// # Errors
    /// The disk took longer, or there is no checkpoint.
    pub(super) fn finish(&mut self, limit: Option<Duration>) -> Result<(), Fail> {
        let start = Instant::now();
        while let Some(ticket) = self.tickets.pop_front() {
            let outcome = match limit {
                None => ticket.wait(),
                Some(limit) => match wait_until(&ticket, start + limit) {
                    Some(outcome) => outcome,
                    None => return Err(self.too_slow()),
                },
            };
            self.heard(outcome);
        }
        self.sign()
    }

    /// Sign what is on the disk.
    fn sign(&self) -> Result<(), Fail> {
        let Some(secret) = &self.keys.secret else { return Ok(()) };
        tokens::sign(&self.journal, &self.path, secret, |_| tokens::origin_of(&self.path))
    }

    /// The disk has not written all when the command must end.
    fn too_slow(&mut self) -> Fail {
        let unknown = self.tickets.len() as u64 + 1;
        self.tickets.clear();
        self.counts.lost += unknown;
        let file = self.path.display();
        Fail::runtime(format!("the disk with {file} is slow: the last {unknown} tokens may be missing there"))
    }
}

/// What becomes of a token that is on its way, until then.
fn wait_until(ticket: &Ticket, until: Instant) -> Option<Result<(), Failure>> {
    loop {
        match ticket.outcome() {
            None if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
            outcome => return outcome,
        }
    }
}
