//! What it costs that a token is on the medium when its append resolves.
//!
//! `cargo run --release -p sluis-benches --bin durable [-- --json] [--rounds N] [--folder PATH]`
//!
//! Batches of 1, 100 and 1000 lines of 512 bytes. The floor is a plain file with the same bytes and the same hashes: one `write`, one
//! `fdatasync`. For the journal alone that is one hash a line, the link; for the journal of tokens it is the same tokens made by
//! the same machine. Everything runs interleaved with it, on the file system of `target/` unless told
//! otherwise: a disk's mood changes from one second to the next, and only the ratio within a round counts. Times are on the wall.
//! Timings decide nothing: the exit code is 0 whatever they are.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use sha2::{Digest, Sha256};
use sluis_benches::contest::{self, Runner};
use sluis_benches::medium::{self, timed};
use sluis_benches::report::{Report, Row};
use sluis_chain::log::{Log, Protection};
use sluis_chain::token::{PREV_PREFIX, Token};
use sluis_core::framing::Text;
use sluis_core::{Now, Seed, Wall};
use sluis_journal::spawn::{Spawn, Threads};
use sluis_journal::{Chain, Composed, Journal, Leaf, Names, Setup, Ticket, TokenJournal, TokenSetup, disk};

const LINE: usize = 512;
/// In every round, a journal is to reach so much of the plain file's speed.
const TARGET: f64 = 0.8;

fn main() -> ExitCode {
    medium::main("durable", measure)
}

fn measure(folder: &Path, report: &mut Report, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tokio = {
        let _inside = runtime.enter();
        sluis_tokio::blocking()
    };
    for batch in [1, 100, 1000] {
        let at = |name: &str| folder.join(format!("{batch}-{name}.jsonl"));
        let mut plain = Plain::new(&at("plain"))?;
        let (linked, _) = Journal::open(at("linked"), Linked::default(), Setup::default())?;
        medium::compare(
            report,
            (batch, rounds),
            TARGET,
            &mut [
                timed("plain file", || plain.append(batch, link)),
                timed("journal, blocking", || wait((0..batch).map(|_| linked.try_append(Linked::compose)))),
            ],
        );
        let (mut plain, mut log) = (Plain::new(&at("plain-tokens"))?, Log::new(&Seed::from_u64(1)));
        // Only the first has no link, and so is shorter.
        log.append(now(), &draft(), Protection::default(), &mut [0; LINE])?;
        let blocking = tokens(&at("blocking"), Threads)?;
        let on_tokio = tokens(&at("tokio"), tokio.clone())?;
        let on_smol = tokens(&at("smol"), sluis_smol::blocking())?;
        let mut make = |_: &mut Leaf, out: &mut [u8]| {
            let entry = log.append(now(), &draft(), Protection::default(), out);
            assert_eq!(entry.map(|entry| entry.len), Ok(LINE), "the same bytes as in the floor without tokens");
        };
        medium::compare(
            report,
            (batch, rounds),
            TARGET,
            &mut [
                timed("plain file, tokens", || plain.append(batch, &mut make)),
                timed("token journal, blocking", || wait((0..batch).map(|_| append(&blocking)))),
                timed("token journal, tokio", || runtime.block_on(await_all(batch, &on_tokio))),
                timed("token journal, smol", || sluis_smol::block_on(await_all(batch, &on_smol))),
            ],
        );
    }
    no_disk(report, rounds)
}

/// What the journal itself costs: processor time, on a disk that takes none.
fn no_disk(report: &mut Report, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    const BATCH: usize = 1000;
    let (mut log, mut buffer) = (Log::new(&Seed::from_u64(1)), vec![0; BATCH * LINE]);
    let opened = TokenJournal::open_in(Nowhere, Names::new("log.jsonl"), &Seed::from_u64(1), TokenSetup::default());
    let (journal, _) = opened?;
    let standings = contest::run(
        &mut [
            Runner::new("the log alone", || {
                for out in buffer.chunks_exact_mut(LINE) {
                    assert!(log.append(now(), &draft(), Protection::default(), out).is_ok());
                }
            }),
            Runner::new("token journal", || wait((0..BATCH).map(|_| append(&journal)))),
        ],
        rounds,
    );
    if let [floor, ours] = standings.as_slice() {
        report.add(&Row {
            what: "token journal, no disk, batches of 1000, processor".into(),
            value: ours.ratio,
            unit: "×",
            target: None,
            floor: Some((floor.name, floor.nanos)),
            nanos: Some(ours.nanos),
        });
    }
    Ok(())
}

/// Takes everything, keeps nothing.
#[derive(Debug, Default)]
struct Nothing(u64);

impl disk::File for Nothing {
    fn len(&mut self) -> io::Result<u64> {
        Ok(self.0)
    }

    fn read_at(&mut self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.max(at + bytes.len() as u64);
        Ok(bytes.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0 = len;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Nowhere;

impl disk::Folder for Nowhere {
    type File = Nothing;

    fn display(&self) -> String {
        "nowhere".into()
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn open(&mut self, _: &str, how: disk::How) -> io::Result<Option<Nothing>> {
        Ok((how != disk::How::Existing).then(Nothing::default))
    }

    fn lock(&mut self, _: &str, _: &mut Nothing) -> io::Result<bool> {
        Ok(true)
    }

    fn same(&mut self, _: &str, _: &str) -> io::Result<bool> {
        Ok(false)
    }

    fn link(&mut self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait<T, E: std::fmt::Debug>(tickets: impl Iterator<Item = Result<(Ticket, T), E>>) {
    let tickets: Vec<Ticket> = tickets.map(|ticket| ticket.expect("room for a batch").0).collect();
    tickets.into_iter().for_each(|ticket| ticket.wait().expect("a disk that works"));
}

async fn await_all(batch: usize, journal: &TokenJournal) {
    let tickets: Vec<Ticket> = (0..batch).map(|_| append(journal).expect("room for a batch").0).collect();
    for ticket in tickets {
        ticket.await.expect("a disk that works");
    }
}

fn tokens(path: &Path, spawn: impl Spawn) -> Result<TokenJournal, sluis_journal::OpenError> {
    Ok(TokenJournal::open(path, &Seed::from_u64(1), TokenSetup::default().spawn(spawn))?.0)
}

fn now() -> Now {
    Now::new(sluis_core::Instant::ZERO, Wall::from_micros(1_736_942_400_000_000))
}

/// A token whose line has 512 bytes.
fn draft() -> Token<'static> {
    Token {
        action: Text::new("measured"),
        actor: Text::new("jis:bench:disk"),
        erachter: Text::new(
            "to see what it costs that a line is on the medium, beside a line of a plain file (fdatasync)",
        ),
        ..Token::default()
    }
}

fn append<D: disk::Folder>(journal: &TokenJournal<D>) -> Result<(Ticket, ()), sluis_journal::TokenAppendError> {
    journal.try_append(now(), &draft()).map(|(ticket, _)| (ticket, ()))
}

fn hex(hash: &Leaf) -> [u8; 64] {
    let mut digits = [0; 64];
    for (two, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(hash) {
        *two = [b"0123456789abcdef"[usize::from(byte >> 4)], b"0123456789abcdef"[usize::from(byte & 15)]];
    }
    digits
}

/// A line of 512 bytes, its line feed included, and where its link stands.
fn template() -> ([u8; LINE - 1], usize) {
    let front = br#"{"token_id": "tibet_20250115120000000000_deadbeef", "eraan": ["#;
    let mut line = [b'x'; LINE - 1];
    line[..front.len()].copy_from_slice(front);
    let at = front.len() + PREV_PREFIX.len();
    line[front.len()..at].copy_from_slice(PREV_PREFIX.as_bytes());
    (line, at)
}

/// One line after another, each with the hash of the one before.
fn link(last: &mut Leaf, out: &mut [u8]) {
    let (line, at) = template();
    out[..line.len()].copy_from_slice(&line);
    out[at..at + 64].copy_from_slice(&hex(last));
    *last = Sha256::new().chain_update([0]).chain_update(&out[..line.len()]).finalize().into();
}

/// The floor.
struct Plain {
    file: File,
    last: Leaf,
    buffer: Vec<u8>,
}

impl Plain {
    fn new(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self { file, last: [0; 32], buffer: Vec::new() })
    }

    fn append(&mut self, batch: usize, mut line: impl FnMut(&mut Leaf, &mut [u8])) {
        self.buffer.resize(batch * LINE, b'\n');
        for out in self.buffer.chunks_exact_mut(LINE) {
            line(&mut self.last, out);
        }
        self.file.write_all(&self.buffer).expect("a disk that works");
        self.file.sync_data().expect("a disk that works");
    }
}

/// The same lines in a journal.
#[derive(Clone, Default)]
struct Linked {
    last: Leaf,
}

impl Linked {
    fn compose(&mut self, out: &mut [u8]) -> Result<Composed<()>, std::convert::Infallible> {
        link(&mut self.last, out);
        Ok(Composed { len: LINE - 1, leaf: Some(self.last), value: () })
    }
}

impl Chain for Linked {
    type Fault = &'static str;
    type Mark = Leaf;
    const TREE: bool = true;

    fn check(&self, _: &[u8]) -> Result<(), &'static str> {
        Err("these files are new")
    }

    fn leaf(_: &[u8]) -> Option<Leaf> {
        None
    }

    fn push(&mut self, _: &[u8]) -> Option<Leaf> {
        None
    }

    fn turn(&mut self) {}

    fn mark(&self) -> Leaf {
        self.last
    }

    fn rewind(&mut self, mark: &Leaf) {
        self.last = *mark;
    }
}
