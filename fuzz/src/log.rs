//! Files of tokens, notes and bundles.

use sluis_chain::log::merkle::leaf_hash;
use sluis_chain::log::note::{Checkpoint, Note, last_note};
use sluis_chain::log::{Bundle, Log, Protection};
use sluis_chain::token::Token;
use sluis_chain::verify::{Against, Finding, Kind, Parallel, Seals, Settings, Summary, Verifier};
use sluis_core::Seed;
use sluis_core::identity::SecretKey;
use sluis_core::identity::note::NoteKey;
use sluis_core::{Instant, Now, Wall};

/// What it is, by its first byte: a file in pieces (the second byte says how large), edits of a good log, a note, a bundle.
pub fn log(data: &[u8]) {
    let [kind, rest @ ..] = data else { return };
    match kind % 4 {
        0 => file(rest),
        1 => edits(rest),
        2 => notes(rest),
        _ => bundle(rest),
    }
}

fn settings(max_line: usize) -> Settings<'static> {
    Settings {
        seals: Seals::Consistent,
        now: Some(Wall::from_micros(1_736_942_400_000_000)),
        tree: true,
        max_line,
        ..Settings::default()
    }
}

fn verify(file: &[u8], piece: usize, max_line: usize, against: Option<Against<'_>>) -> (Vec<Finding>, Summary) {
    let mut found = Vec::new();
    let mut verifier = Verifier::new(settings(max_line), against, &Seed::from_u64(1));
    for piece in file.chunks(piece.max(1)) {
        verifier.push(piece, &mut |finding| found.push(finding));
    }
    let (summary, ()) = verifier.finish(&mut |finding| found.push(finding));
    assert_eq!(summary.findings, found.len() as u64);
    assert!(summary.tokens <= summary.entries && summary.entries <= summary.lines);
    // What a line itself is guilty of is one finding; that others before or after it are gone stands beside it.
    let mut lines: Vec<_> = found.iter().map(|finding| (finding.line, tells_of_others(finding))).collect();
    lines.sort_unstable();
    assert!(lines.windows(2).all(|two| two[0] != two[1]), "two findings of one kind of one line: {found:?}");
    // That a line links to elsewhere follows from it that those before it are gone.
    let follows =
        |a: &Finding| a.kind == Kind::Link && a.actual.as_ref().is_some_and(|actual| actual.starts_with("prev:"));
    let gone = |line| found.iter().any(|b| b.line == line && b.kind == Kind::Dropped);
    assert!(!found.iter().any(|a| follows(a) && gone(a.line)), "a link beside its cause: {found:?}");
    let lines: Vec<_> = lines.into_iter().map(|(line, _)| line).collect();
    assert!(lines.last().is_none_or(|last| *last <= summary.lines + 1));
    (found, summary)
}

/// The bytes that are to blame are not in the line that is named.
fn tells_of_others(finding: &Finding) -> bool {
    matches!(finding.kind, Kind::Dropped | Kind::Truncated)
}

/// In any pieces, and on two threads, the same is found.
fn file(data: &[u8]) {
    let [piece, limit, file @ ..] = data else { return };
    let max_line = if *limit == 0 { 1 << 20 } else { usize::from(*limit) * 8 };
    let whole = verify(file, file.len(), max_line, None);
    assert_eq!(verify(file, usize::from(*piece), max_line, None), whole);
    let found = std::sync::Mutex::new(Vec::new());
    let push = |finding| found.lock().expect("no thread is lost").push(finding);
    let parallel = Parallel::new(settings(max_line), None, &Seed::from_u64(2), (), file, push);
    std::thread::scope(|scope| {
        scope.spawn(|| parallel.work());
    });
    let (summary, ()) = parallel.finish().expect("memory can be read");
    assert_eq!((found.into_inner().expect("no thread is lost"), summary), whole);
}

/// A log of eight entries.
fn good() -> Vec<Vec<u8>> {
    let mut log = Log::new(&Seed::from_u64(1));
    let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_300_000_000));
    let draft = Token::parse(r#"{"token_id": "", "action": "a", "timestamp": "", "actor": "b"}"#).expect("a token");
    let mut out = [0; 1024];
    let mut entry = |_| {
        let len = log.append(now, &draft, Protection::default(), &mut out).expect("room").len;
        out[..len - 1].to_vec()
    };
    (0..8).map(&mut entry).collect()
}

/// Whatever is done to a log is found against its checkpoint, and the first wrong line named.
fn edits(data: &[u8]) {
    let good = good();
    let mut bad = good.clone();
    for edit in data.chunks(4) {
        let &[what, line, at, byte] = edit else { break };
        if bad.is_empty() {
            break;
        }
        let line = usize::from(line) % bad.len();
        match what % 4 {
            0 => {
                let at = (usize::from(what / 4) * 64 + usize::from(at)) % bad[line].len().max(1);
                if let Some(slot) = bad[line].get_mut(at) {
                    *slot = if byte == b'\n' { b' ' } else { byte };
                }
            }
            1 => drop(bad.remove(line)),
            2 => {
                let other = usize::from(at) % bad.len();
                bad.swap(line, other);
            }
            _ => bad.insert(line, good[usize::from(at) % good.len()].clone()),
        }
    }
    let leaves: Vec<_> = good.iter().map(|line| leaf_hash(line)).collect();
    let tree = sluis_chain::log::merkle::Frontier::from_leaves(leaves.iter().copied());
    let checkpoint = Checkpoint::new("log", 8, tree.root()).expect("a name");
    let file: Vec<u8> = bad.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect();
    let against = Against::checkpoint(&checkpoint);
    let (found, _) = verify(&file, file.len(), 1 << 20, Some(against));
    assert!(!found.is_empty() || bad.starts_with(&good));
    let against = Against::checkpoint(&checkpoint).with_tree(leaves).expect("its tree");
    let (found, _) = verify(&file, file.len(), 1 << 20, Some(against));
    let first = bad.iter().zip(&good).take_while(|(bad, good)| bad == good).count();
    if first < good.len() {
        let named = found.iter().map(|finding| finding.line).min();
        assert_eq!(named, Some(first as u64 + 1), "{found:?}");
    }
}

/// What is a note can be put together again; one that is signed by nobody known is not believed.
fn notes(data: &[u8]) {
    let last = last_note(data);
    assert!(data.ends_with(last));
    let Ok(note) = Note::parse(data) else { return };
    let lines: String = note.signatures().map(|s| format!("— {} {}\n", s.name, s.base64)).collect();
    assert_eq!([note.text(), "\n", &lines].concat().as_bytes(), data);
    assert!(note.verify(&[]).is_err());
    let key = SecretKey::from_seed(&[7; 32]);
    let key = NoteKey::new("log", key.public()).expect("a name");
    assert!(note.verify(&[key]).is_err(), "nobody has this key");
    let _ = Checkpoint::parse(note.text());
    let _ = Checkpoint::open(data, "log", &[key]);
}

/// What can be read is written as what is read as the same.
fn bundle(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Ok(bundle) = Bundle::parse(text) else { return };
    let mut out = Vec::new();
    bundle.write_json(&mut out).expect("room");
    assert_eq!(Bundle::parse(core::str::from_utf8(&out).expect("ASCII")), Ok(bundle.clone()));
    let _ = bundle.key();
    assert!(bundle.verify("log", &[]).is_err());
}
