//! `--record FILE` of `listen` and `mux serve`: what happens, as tokens in a log.
//!
//! Recording never holds anybody up. A token is composed and queued while the event is told; other threads bring it to the
//! disk, many at a time. What the summary counts as recorded is on the disk. What cannot be queued, because the disk is too slow
//! or full, is counted as lost and said once, in one sentence, until recording goes on; what happens, happens all the same.
//! The next token that can be written says how many are missing before it; a file that may not grow any more ends with such a token.

use std::collections::VecDeque;
use std::fmt::Display;
use std::future::Future as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use sluis_chain::audit::{Happening, Kinds, Losses, Recorder};
use sluis_chain::log::Protection;
use sluis_chain::token::Seal;
use sluis_core::identity::{MacKey, SecretKey, Verifier};
use sluis_core::node::Event;
use sluis_core::{Now, Wall};
use sluis_journal::{AppendError, EntryFault, Failure, Ticket, TokenJournal, TokenSetup};

use crate::fail::Fail;
use crate::files;
use crate::output::tell;
use crate::tokens;
use crate::view::Recorded;

/// What protects the tokens.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) secret: Option<SecretKey>,
    pub(crate) mac: Option<MacKey>,
}

/// A flag that names a file, where it was given.
pub(crate) type Named<'a> = (&'static str, Option<&'a Path>);

/// Refuse that what is written to, the log of `--record` and what is beside it among it, is something else that is read or written.
pub(crate) fn refuse_same(record: Option<&Path>, written: &[Named<'_>], read: &[Named<'_>]) -> Result<(), Fail> {
    let named = |(flag, path): &Named<'_>| path.map(|path| (*flag, files::place(path)));
    let record = named(&("--record", record));
    let sidecar = |end: &str| {
        record.as_ref().map(|(flag, path)| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            (*flag, PathBuf::from(name))
        })
    };
    let beside = [".tree", ".checkpoint", ".torn", ".next"].map(sidecar);
    let written: Vec<_> =
        std::iter::once(record.clone()).chain(written.iter().map(named)).chain(beside).flatten().collect();
    for (at, (flag, path)) in written.iter().enumerate() {
        let read = read.iter().filter_map(named);
        let others = written.iter().skip(at + 1).cloned().chain(read);
        if let Some((other, _)) =
            others.into_iter().filter(|(other, _)| other != flag).find(|(_, other)| files::same(path, other))
        {
            return Err(Fail::usage(format!("{flag} and {other} are one file, {}: name another", path.display())));
        }
    }
    Ok(())
}

/// How soon it is said again that something is lost, if recording went on in between.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Bytes of `--max-bytes` that are kept for the token that says what was lost.
const GAP_ROOM: u64 = 2048;

/// What a token on its way to the disk is about.
#[derive(Clone, Copy, Debug)]
enum OnTheWay {
    /// An event of this time.
    Event(Wall),
    /// Events that were lost before.
    Gap(Losses),
}

/// Records.
pub(crate) struct Record {
    /// What the command is called in what is said.
    name: &'static (dyn Display + Sync),
    path: PathBuf,
    journal: TokenJournal,
    recorder: Recorder,
    keys: Keys,
    /// What is on its way to the disk, the oldest first, each with what is lost if it does not get there.
    queued: VecDeque<(Ticket, OnTheWay)>,
    /// What is lost and not said in the file yet.
    losses: Losses,
    /// When something was recorded, or should have been.
    last: Option<Now>,
    counts: Recorded,
    /// Bytes of the file and of what is on its way there, and how many there may be.
    bytes: u64,
    max_bytes: u64,
    /// The file has reached that: nothing more goes into it.
    ended: bool,
    /// There is a checkpoint: the first line says that there is one.
    signed: bool,
    /// It was said that something is lost, then; and whether something was recorded since.
    said: Option<(Instant, bool)>,
}

impl Record {
    /// Open the file, or begin it; `actor` does what nobody else does.
    pub(crate) fn open(
        name: &'static (dyn Display + Sync),
        path: &Path,
        actor: &str,
        keys: Keys,
        max_bytes: Option<u64>,
    ) -> Result<Self, Fail> {
        tokens::refuse_second_name(path)?;
        let key = keys.secret.as_ref().map(SecretKey::public);
        let mut setup = TokenSetup::default().named(tokens::origin_of(path), key).chained();
        if let Some(mac) = &keys.mac {
            setup = setup.mac(mac.clone());
        }
        if let Some(key) = key {
            setup = setup.covering(Verifier::new(*key.as_bytes()).map_err(Fail::runtime)?);
        }
        let (journal, found) =
            TokenJournal::open(path, &tokens::seed()?, setup).map_err(|why| tokens::opening(path, &why))?;
        tokens::tell_torn(path, found.torn);
        if let Some(secret) = keys.secret.as_ref().filter(|_| found.entries == 0) {
            // Before the first line: so a log that has lines and no checkpoint has lost it.
            journal.checkpoint_as_blocking(secret).map_err(|why| {
                Fail::runtime(format!("no checkpoint can be written beside {} ({why})", path.display()))
            })?;
        }
        Ok(Self {
            name,
            path: path.to_owned(),
            journal,
            recorder: Recorder::new(actor),
            keys,
            queued: VecDeque::new(),
            losses: Losses::NONE,
            last: None,
            counts: Recorded::default(),
            bytes: std::fs::metadata(path).map_or(0, |about| about.len()),
            max_bytes: max_bytes.unwrap_or(u64::MAX),
            ended: false,
            signed: found.entries > 0,
            said: None,
        })
    }

    /// Record an event of the node.
    pub(crate) fn event(&mut self, now: Now, event: &Event<'_>) {
        if let Some(happening) = Happening::of_event(event) {
            self.happening(now, &happening);
        }
    }

    /// Record what happened.
    pub(crate) fn happening(&mut self, now: Now, happening: &Happening<'_>) {
        self.last = Some(now);
        self.settle();
        let room = self.max_bytes.saturating_sub(self.bytes).saturating_sub(GAP_ROOM);
        let recorded = match self.ended {
            true if self.recorder.wants(Kinds::of(happening)) => Err(AppendError::Compose(EntryFault::NoRoom)),
            true => Ok(None),
            false => self.gap(now, room).and_then(|()| self.queue(now, happening, room)),
        };
        match recorded {
            Ok(Some(ticket)) => self.queued.push_back((ticket, OnTheWay::Event(now.wall))),
            Ok(None) => {}
            Err(why) => {
                if matches!(&why, AppendError::Compose(EntryFault::NoRoom)) && !std::mem::replace(&mut self.ended, true)
                {
                    self.said = None;
                }
                self.losses.add(now.wall);
                self.lose(&why);
            }
        }
    }

    /// Say in the file what is missing from it, if anything is.
    fn gap(&mut self, now: Now, room: u64) -> Result<(), AppendError<EntryFault>> {
        let losses = self.losses;
        let Some(happening) = losses.happening() else { return Ok(()) };
        if let Some(ticket) = self.queue(now, &happening, room)? {
            self.losses = Losses::NONE;
            self.queued.push_back((ticket, OnTheWay::Gap(losses)));
        }
        Ok(())
    }

    /// So many happenings were lost before they came here.
    pub(crate) fn missed(&mut self, now: Now, count: u64) {
        self.last = Some(now);
        self.counts.lost += count;
        (0..count).for_each(|_| self.losses.add(now.wall));
    }

    /// Bring a token of at most so many bytes on its way; `None` where this is not recorded.
    fn queue(
        &mut self,
        now: Now,
        happening: &Happening<'_>,
        room: u64,
    ) -> Result<Option<Ticket>, AppendError<EntryFault>> {
        let Some(draft) = self.recorder.draft(happening) else { return Ok(None) };
        let keys = &self.keys;
        let protection = Protection { mac: keys.mac.as_ref(), seal: keys.secret.as_ref().map(|key| key as &dyn Seal) };
        let (ticket, entry) = self.journal.try_append_within(now, &draft, protection, room)?;
        self.bytes += entry.len as u64;
        Ok(Some(ticket))
    }

    /// Hear of what is known by now, so that what was lost is said before the next event.
    fn settle(&mut self) {
        while let Some((ticket, _)) = self.queued.front()
            && let Some(outcome) = ticket.outcome()
            && let Some((_, about)) = self.queued.pop_front()
        {
            self.heard(about, outcome);
        }
    }

    /// Hear of what has come to the disk, and be woken for what comes later.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some((ticket, _)) = self.queued.front_mut()
            && let Poll::Ready(outcome) = Pin::new(ticket).poll(cx)
            && let Some((_, about)) = self.queued.pop_front()
        {
            self.heard(about, outcome);
        }
    }

    fn heard(&mut self, about: OnTheWay, outcome: Result<(), Failure>) {
        match (about, outcome) {
            (OnTheWay::Event(_), Ok(())) => {
                self.counts.recorded += 1;
                if let Some((_, recorded_since)) = &mut self.said {
                    *recorded_since = true;
                }
                self.sign_the_first();
            }
            (OnTheWay::Event(at), Err(why)) => {
                self.losses.add(at);
                self.lose(&AppendError::Failed(why));
            }
            (OnTheWay::Gap(_), Ok(())) => self.sign_the_first(),
            // They were counted when they were lost.
            (OnTheWay::Gap(losses), Err(_)) => self.losses.merge(losses),
        }
    }

    fn sign_the_first(&mut self) {
        if !std::mem::replace(&mut self.signed, true)
            && let Err(why) = self.sign()
        {
            tell(&format!("{}: {why}", self.name));
        }
    }

    fn lose(&mut self, why: &AppendError<EntryFault>) {
        self.counts.lost += 1;
        // A disk on the verge takes one token and refuses the next.
        if self.said.is_some_and(|(at, recorded_since)| !recorded_since || at.elapsed() < SAY_AGAIN) {
            return;
        }
        self.said = Some((Instant::now(), false));
        let (name, file) = (self.name, self.path.display());
        tell(&match why {
            AppendError::Failed(failure) if failure.is_disk_full() => {
                format!("{name}: the disk with {file} is full, what happens is not recorded until there is room")
            }
            AppendError::Failed(why) => {
                format!("{name}: what happens is not recorded in {file} ({why}), start again to go on")
            }
            AppendError::Compose(EntryFault::NoRoom) => {
                format!(
                    "{name}: what happens is not recorded in {file}: it has grown to --max-bytes, what follows is lost"
                )
            }
            why => format!("{name}: what happens is not recorded in {file}: {why}"),
        });
    }

    pub(crate) const fn counts(&self) -> Recorded {
        self.counts
    }

    /// Wait until everything is on the disk, at most for as long as `limit` says, and sign what the file is by then.
    ///
    /// # Errors
    /// The disk took longer, or there is no checkpoint.
    pub(crate) fn finish(&mut self, limit: Option<Duration>) -> Result<(), Fail> {
        let until = limit.map(|limit| Instant::now() + limit);
        self.wait(until)?;
        // Nothing follows that would say what is missing.
        let told = match self.last {
            Some(now) => self.gap(now, self.max_bytes.saturating_sub(self.bytes)),
            None => Ok(()),
        };
        if told.is_ok() {
            self.wait(until)?;
        }
        self.sign()?;
        match (self.losses.count(), told) {
            (0, _) => Ok(()),
            (events, told) => {
                let why = told.err().map(|why| format!(": {why}")).unwrap_or_default();
                let (events, file) = (counted(events), self.path.display());
                Err(Fail::runtime(format!("{events} missing from {file}, and no token in it says so{why}")))
            }
        }
    }

    fn wait(&mut self, until: Option<Instant>) -> Result<(), Fail> {
        while let Some((ticket, about)) = self.queued.pop_front() {
            let outcome = match until {
                None => ticket.wait(),
                Some(until) => match wait_until(&ticket, until) {
                    Some(outcome) => outcome,
                    None => return Err(self.too_slow(about)),
                },
            };
            self.heard(about, outcome);
        }
        Ok(())
    }

    /// Sign what is on the disk.
    fn sign(&self) -> Result<(), Fail> {
        let Some(secret) = &self.keys.secret else { return Ok(()) };
        self.journal.checkpoint_as_blocking(secret).map(drop).map_err(|why| {
            let file = self.path.display();
            Fail::runtime(format!("what happened is in {file}, and its checkpoint is not renewed: {why}"))
        })
    }

    /// The disk has not written all when the command must end: this token, and those behind it.
    fn too_slow(&mut self, first: OnTheWay) -> Fail {
        // A token about losses is no event: what it counts was counted as lost when it was.
        let rest = std::mem::take(&mut self.queued);
        let (mut events, mut told) = (0, Losses::NONE);
        for about in std::iter::once(first).chain(rest.into_iter().map(|(_, about)| about)) {
            match about {
                OnTheWay::Event(_) => events += 1,
                OnTheWay::Gap(losses) => told.merge(losses),
            }
        }
        self.counts.lost += events;
        let mut why = format!(
            "the disk with {} has not confirmed everything by the time `{}` must end after a signal, so it is not known whether \
             these are there:",
            self.path.display(),
            self.name
        );
        let mut also = |what: String| {
            let separator = if why.ends_with(':') { "" } else { "," };
            why.push_str(&format!("{separator} {what}"));
        };
        match events {
            0 => {}
            1 => also("the token of the last event".to_owned()),
            _ => also(format!("the tokens of the last {events} events")),
        }
        if told.count() > 0 {
            also(format!("the token which says how many events are missing ({})", told.count()));
        }
        // For those there has not even been a token yet.
        match self.losses.count() {
            0 => {}
            untold => why.push_str(&format!("; {} missing that no token tells of", counted(untold))),
        }
        Fail::runtime(why)
    }
}

/// `1 event is`, `2 events are`.
fn counted(events: u64) -> String {
    if events == 1 { "1 event is".to_owned() } else { format!("{events} events are") }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the summary counts as lost is what the file says is missing, even if the token that says so is too late to be waited for.
    #[test]
    fn the_token_about_losses_is_no_lost_event() {
        for limit in [None, Some(Duration::ZERO)] {
            let folder = std::env::temp_dir().join(format!("sluis-record-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a folder");
            let path = folder.join("log.jsonl");
            let mut record =
                Record::open(&"sluis listen", &path, "jis:home:hub", Keys::default(), Some(8192)).expect("a new log");
            for _ in 0..40 {
                let did = sluis_core::data::Text::new("jis:home:sensor");
                record.happening(Now::default(), &Happening::Discovery { did, at: None, decision: "accepted" });
            }
            record.wait(None).expect("nothing limits it");
            let lost = record.losses.count();
            assert!(lost > 0 && record.counts().lost == lost, "{:?}", record.counts());
            assert_eq!(record.counts().recorded + lost, 40);
            // Whether the disk is quicker than no time at all is not known; the count is.
            if let Err(why) = record.finish(limit) {
                assert!(limit.is_some() && why.to_string().contains("says how many events are missing"), "{why}");
            }
            assert_eq!(record.counts().lost, lost);
            if limit.is_none() {
                let log = std::fs::read_to_string(&path).expect("UTF-8");
                let last = log.lines().last().expect("a token");
                assert!(last.contains("\"events_lost\"") && last.contains(&format!("\"count\": {lost}")), "{last}");
            }
            drop(record);
            std::fs::remove_dir_all(folder).expect("it was ours");
        }
    }
}
