//! A writer process is killed at a random moment, a thousand times: no line that it acknowledged is ever missing, and the file
//! opens every time.
//!
//! The writer is this very program: four threads append to one journal, with rotation and checkpoints, and say on standard output
//! which lines are durable. `KILLS=n` changes how often.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use common::linked::{Linked, id};
use sluis_journal::{Chain, Journal, Names, Options, Recovered, Setup, Ticket};

const WRITER: &str = "--be-the-writer";
/// One appends in bursts, the others line by line.
const THREADS: usize = 4;

fn open(path: &Path) -> (Journal<Linked>, Recovered) {
    let mut options = Options::default();
    options.rotate_entries = Some(50);
    options.rotate_bytes = Some(60_000);
    let setup = Setup::default().options(options).closing(|chain: &Linked| Some(chain.note()));
    Journal::open(path, Linked::default(), setup).unwrap_or_else(|error| panic!("{error}"))
}

/// Say that lines are durable, in one write, so that no line of ours is cut.
fn say(lines: &[u64]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::io::stdout().lock().write_all(text.as_bytes()).unwrap();
}

/// Append until killed. The ids of a thread count up from its first.
fn write(path: &Path, first: u64, bursts: bool) {
    let (journal, _) = open(path);
    thread::scope(|scope| {
        for thread in 1..THREADS {
            let journal = journal.clone();
            scope.spawn(move || {
                for line in (first + thread as u64..).step_by(THREADS) {
                    let padding = usize::try_from(line * 7919 % 300).unwrap();
                    journal.append_blocking(|chain, out| chain.compose(line, padding, out)).unwrap();
                    say(&[line]);
                    if line.is_multiple_of(10) {
                        let note = |chain: &Linked, out: &mut Vec<u8>| {
                            out.extend(chain.note());
                            Ok::<_, std::convert::Infallible>(())
                        };
                        journal.checkpoint_blocking(note).unwrap();
                    }
                }
            });
        }
        // Batches of many pages: a kill may come in the middle of a write. Not in every round, for they take their time.
        let mut next = (first..).step_by(THREADS);
        if !bursts {
            return;
        }
        loop {
            let burst: Vec<u64> = next.by_ref().take(40).collect();
            let line = |line: &u64| journal.try_append(|chain, out| chain.compose(*line, 5000, out)).unwrap().0;
            let tickets: Vec<Ticket> = burst.iter().map(line).collect();
            tickets.into_iter().for_each(|ticket| ticket.wait().unwrap());
            say(&burst);
        }
    });
}

/// Start the writer, kill it so long after its start or after its first line, and say what it acknowledged.
fn kill_one(path: &Path, first: u64, bursts: bool, from_start: bool, after: Duration) -> Vec<u64> {
    let mut writer = Command::new(env::current_exe().unwrap())
        .args([WRITER, path.to_str().unwrap(), &first.to_string(), &bursts.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(writer.stdout.take().unwrap());
    let (heard, first_line) = mpsc::channel();
    let reader = thread::spawn(move || {
        let hear = |line: std::io::Result<String>| {
            let _ = heard.send(());
            line.unwrap().parse().unwrap()
        };
        said.lines().map(hear).collect()
    });
    if !from_start {
        first_line.recv().unwrap();
    }
    thread::sleep(after);
    writer.kill().unwrap();
    let status = writer.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "it ended by itself: {status}");
    reader.join().unwrap()
}

/// Every id in all segments and the file, which must be one chain.
fn read(path: &Path) -> BTreeSet<u64> {
    let names = Names::new(path.file_name().unwrap().to_str().unwrap());
    let folder = path.parent().unwrap();
    let closed =
        fs::read_dir(folder).unwrap().filter_map(|entry| names.number(entry.unwrap().file_name().to_str()?)).max();
    let segments = (1..=closed.unwrap_or(0)).map(|n| names.segment(n));
    let mut chain = Linked::default();
    let mut found = BTreeSet::new();
    for (at, file) in segments.chain([names.file().to_owned()]).enumerate() {
        if at > 0 {
            chain.turn();
        }
        let text = fs::read_to_string(folder.join(&file)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{file} ends in the middle of a line");
        for line in text.lines() {
            chain.check(line.as_bytes()).unwrap_or_else(|fault| panic!("{file}: {fault}"));
            chain.push(line.as_bytes());
            assert!(found.insert(id(line.as_bytes())), "{file} has a line twice");
        }
        if file != names.file() {
            assert_eq!(fs::read(folder.join(Names::checkpoint(&file))).unwrap(), chain.note(), "{file}");
            assert_eq!(fs::metadata(folder.join(Names::tree(&file))).unwrap().len(), chain.size * 32, "{file}");
        }
    }
    found
}

fn main() {
    let args: Vec<String> = env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == WRITER) {
        return write(Path::new(&args[at + 1]), args[at + 2].parse().unwrap(), args[at + 3] == "true");
    }
    // What `cargo test` asks of every test program.
    if args.iter().any(|arg| arg == "--list") {
        return println!("killed_a_thousand_times: test");
    }
    let kills = env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(1000_u32);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kill-{}", std::process::id()));
    let began = Instant::now();
    let (mut acknowledged, mut next, mut chance) = (BTreeSet::new(), 0_u64, 0x2545_f491_4f6c_dd1d_u64);
    let (mut lines, mut torn, mut segments, mut silent) = (0, 0, 0, 0);
    for round in 0..kills {
        // A new journal now and then, since each round reads all of it.
        let path = folder.join(format!("{}", round / 25)).join("log.jsonl");
        if round % 25 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            acknowledged.clear();
        }
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        // From before it has opened the file to some dozens of batches later.
        let said = kill_one(&path, next, round % 10 == 3, round % 4 == 1, Duration::from_micros(chance % 16_000));
        next += 1_000_000;
        silent += u32::from(said.is_empty());
        lines += said.len();
        acknowledged.extend(said);
        // The other times the next writer opens what this one left.
        if round % 4 == 0 {
            let (journal, found) = open(&path);
            torn += u32::from(found.torn > 0);
            drop(journal);
            let found = read(&path);
            let missing: Vec<_> = acknowledged.difference(&found).collect();
            assert!(missing.is_empty(), "round {round}: acknowledged and missing: {missing:?}");
        }
        if round % 25 == 24 || round + 1 == kills {
            let (journal, _) = open(&path);
            segments += journal.segments();
            drop(journal);
            assert!(acknowledged.is_subset(&read(&path)), "round {round}");
            fs::remove_dir_all(path.parent().unwrap()).unwrap();
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    println!(
        "killed {kills} writers in {:.0?}: {lines} acknowledged lines all there, {segments} segments closed, {torn} torn tails, \
         {silent} killed before their first line",
        began.elapsed()
    );
    assert!(lines > 0 && segments > 0, "the writers wrote nothing");
}
