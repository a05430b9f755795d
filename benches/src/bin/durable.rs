//! What it costs that a token is on the medium when its append resolves.
//!
//! `cargo run --release -p sluis-benches --bin durable [-- --json] [--rounds N] [--folder PATH]`
//!
//! Batches of 1, 100 and 1000 tokens of 512 bytes. The floor is a plain file: the same number of bytes with the same hash link in
//! every line, one `write`, one `fdatasync`. Everything runs interleaved with it, on the file system of `target/` unless told
//! otherwise: a disk's mood changes from one second to the next, and only the ratio within a round counts. Times are on the wall.
//! Timings decide nothing: the exit code is 0 whatever they are.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use sha2::{Digest, Sha256};
use sluis_benches::contest::{self, Runner};
use sluis_benches::report::{Report, Row};
use sluis_core::chain::token::{PREV_PREFIX, Token};
use sluis_core::framing::Text;
use sluis_core::{Now, Seed, Wall};
use sluis_journal::spawn::{Spawn, Threads};
use sluis_journal::{Chain, Composed, Journal, Leaf, Setup, Ticket, TokenJournal, TokenSetup};

const LINE: usize = 512;
/// In every round, a journal is to reach so much of the plain file's speed.
const TARGET: f64 = 0.8;
const USAGE: &str = "usage: durable [--json] [--rounds N (61)] [--folder PATH (under target/)]";

fn main() -> ExitCode {
    let (mut json, mut rounds, mut folder) = (false, 61, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => json = true,
            "--rounds" => match args.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0) {
                Some(n) => rounds = n,
                None => return usage(),
            },
            "--folder" => match args.next() {
                Some(path) => folder = Some(PathBuf::from(path)),
                None => return usage(),
            },
            _ => return usage(),
        }
    }
    let parent =
        folder.unwrap_or_else(|| std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()).into());
    let folder = parent.join(format!("durable-{}", std::process::id()));
    match measure(&folder, json, rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn measure(folder: &Path, json: bool, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tokio = {
        let _inside = runtime.enter();
        sluis_tokio::blocking()
    };
    let mut report = Report::new("durable", json);
    for batch in [1, 100, 1000] {
        let mut plain = Plain::new(&folder.join(format!("{batch}-plain.jsonl")))?;
        let setup = Setup::default().spawn(Threads);
        let (linked, _) = Journal::open(folder.join(format!("{batch}-linked.jsonl")), Linked::default(), setup)?;
        let blocking = tokens(&folder.join(format!("{batch}-blocking.jsonl")), Threads)?;
        let on_tokio = tokens(&folder.join(format!("{batch}-tokio.jsonl")), tokio.clone())?;
        let on_smol = tokens(&folder.join(format!("{batch}-smol.jsonl")), sluis_smol::blocking())?;
        let standings = contest::run(
            &mut [
                timed("plain file, write + fdatasync", || plain.append(batch)),
                timed("journal, same link, blocking", || wait((0..batch).map(|_| linked.try_append(Linked::compose)))),
                timed("token journal, blocking", || wait((0..batch).map(|_| append(&blocking)))),
                timed("token journal on tokio", || runtime.block_on(await_all(batch, &on_tokio))),
                timed("token journal on smol", || sluis_smol::block_on(await_all(batch, &on_smol))),
            ],
            rounds,
        );
        let Some((floor, ours)) = standings.split_first() else { continue };
        for standing in ours {
            report.at_least(&Row {
                what: format!("{}, batches of {batch}", standing.name),
                value: 1.0 / standing.ratio,
                unit: "×",
                target: Some(TARGET),
                floor: Some((floor.name, floor.nanos)),
                nanos: Some(standing.nanos),
            });
        }
    }
    report.finish();
    fs::remove_dir_all(folder)?;
    Ok(())
}

fn timed<'a>(name: &'static str, mut op: impl FnMut() + 'a) -> Runner<'a> {
    Runner::custom(name, move |n| {
        let began = Instant::now();
        for _ in 0..n {
            op();
        }
        began.elapsed()
    })
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

/// A token whose line is as long as the floor's.
fn append(journal: &TokenJournal) -> Result<(Ticket, ()), sluis_journal::TokenAppendError> {
    const WHY: &str = "measured to see what a durable line costs beside a plain one";
    let draft = Token {
        action: Text::new("measured"),
        actor: Text::new("jis:bench:disk"),
        erachter: Text::new(WHY),
        ..Token::default()
    };
    journal.try_append(now(), &draft).map(|(ticket, _)| (ticket, ()))
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
    fn new(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self { file, last: [0; 32], buffer: Vec::new() })
    }

    fn append(&mut self, batch: usize) {
        self.buffer.resize(batch * LINE, b'\n');
        for line in self.buffer.chunks_exact_mut(LINE) {
            link(&mut self.last, line);
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
