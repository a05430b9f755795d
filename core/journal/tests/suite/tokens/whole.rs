//! What is appended, segments of it, and what is no log at all.

use std::fs;

use sluis_chain::log::merkle::{Frontier, leaf_hash};
use sluis_chain::log::{AppendError as LogError, Continues, Log, LogHeader, Protection};
use sluis_chain::token::{KnownKeys, Token};
use sluis_chain::workload::check::StepVerifier;
use sluis_chain::workload::{Data, Entry, NewStep, NewWorkload, Workload};
use sluis_core::framing::{Text, Value};
use sluis_core::identity::{MacKey, SecretKey, Verifier};
use sluis_core::table::Heap;
use sluis_core::{Seed, SipKey};
use sluis_journal::{AppendError, EntryFault, HeadError, Names, OpenError, Options, TokenJournal, TokenSetup};

use super::*;

#[test]
fn what_is_appended_is_linked_sealed_and_covered() {
    let folder = Folder::new("linked");
    let (journal, found) = open(&folder.file(), 1, None);
    assert!(found.created);
    append(&journal, 3);
    assert_eq!(journal.checkpoint_blocking().unwrap(), 3);
    drop(journal);
    let (journal, found) = open(&folder.file(), 2, None);
    assert_eq!((found.entries, found.torn, found.created), (3, 0, false));
    let entry = journal.append_blocking(now(), &draft("closed")).unwrap();
    assert_eq!(entry.index, 3);
    drop(journal);
    let (tree, _) = verified(&folder.file(), None);
    assert_eq!(tree.size(), 4);
    let leaves = fs::read(folder.sidecar("door.jsonl.tree")).unwrap();
    let mut of_sidecar = Frontier::new();
    leaves.as_chunks::<32>().0.iter().for_each(|leaf| of_sidecar.push(*leaf));
    assert_eq!((of_sidecar.size(), of_sidecar.root()), (4, tree.root()));
    assert_eq!(checkpoint_of(&folder.sidecar("door.jsonl.checkpoint")).0, 3);
}

#[test]
fn a_new_segment_links_to_the_last_and_leaves_it_with_a_checkpoint() {
    let folder = Folder::new("segments");
    let (journal, _) = open(&folder.file(), 1, Some(4));
    append(&journal, 10);
    drop(journal);
    let (journal, found) = open(&folder.file(), 2, Some(4));
    assert_eq!((found.segments, found.entries), (2, 2));
    append(&journal, 2);
    // Nothing is queued: the next token starts the segment, also after the journal was closed.
    drop(journal);
    let (journal, found) = open(&folder.file(), 3, Some(4));
    assert_eq!((found.segments, found.entries), (2, 4));
    assert_eq!(journal.append_blocking(now(), &draft("first of the fourth")).unwrap().index, 0);
    journal.journal().rotate_blocking().unwrap();
    drop(journal);
    // A segment without a line links to the one before all the same.
    let (journal, found) = open(&folder.file(), 4, None);
    assert_eq!((found.segments, found.entries), (4, 0));
    append(&journal, 1);
    let mut last = None;
    for (number, entries) in [(1, 4), (2, 4), (3, 4), (4, 1)] {
        let name = Names::new("door.jsonl").segment(number);
        let (tree, end) = verified(&folder.sidecar(&name), last);
        assert_eq!(tree.size(), entries);
        assert_eq!(checkpoint_of(&folder.sidecar(&Names::checkpoint(&name))), (entries, tree.root()));
        assert_eq!(fs::metadata(folder.sidecar(&Names::tree(&name))).unwrap().len(), entries * 32);
        last = end;
    }
    headers(&folder);
    verified(&folder.file(), last);
    assert!(!folder.sidecar("door.jsonl.checkpoint").exists(), "the new segment has none yet");
}

/// The first token of each segment, and no other, names the log, its key, and the segment before: how long that is, and its root.
fn headers(folder: &Folder) {
    let mut before = None;
    for name in ["door.1.jsonl", "door.2.jsonl", "door.3.jsonl", "door.4.jsonl", "door.jsonl"] {
        let file = fs::read_to_string(folder.sidecar(name)).unwrap();
        let mut tree = Frontier::new();
        for (number, line) in file.lines().enumerate() {
            let token = Token::parse(line).unwrap();
            let header = token.log_header().map(|text| text.to_cow().into_owned());
            let header = header.as_deref().map(|text| LogHeader::parse(text).unwrap());
            let expected = LogHeader { after: before, ..LogHeader::new(ORIGIN, Some(key().public())) };
            assert_eq!(header, (number == 0).then_some(expected), "{name}, line {}", number + 1);
            tree.push(leaf_hash(line.as_bytes()));
        }
        before = Some(Continues { size: tree.size(), root: tree.root() });
    }
}

#[test]
fn the_first_token_says_that_there_are_no_checkpoints() {
    let folder = Folder::new("headless");
    let open = |seed| TokenJournal::open(folder.file(), &Seed::from_u64(seed), TokenSetup::default()).unwrap().0;
    append(&open(1), 1);
    append(&open(2), 1);
    let file = fs::read_to_string(folder.file()).unwrap();
    let headers: Vec<_> = file.lines().map(|line| Token::parse(line).unwrap().log_header()).collect();
    assert_eq!(headers, [Some(Text::new("log:door")), None]);
}

#[test]
fn closed_segments_may_be_moved_away() {
    let folder = Folder::new("moved");
    let (journal, _) = open(&folder.file(), 1, Some(2));
    append(&journal, 5);
    drop(journal);
    let first = folder.sidecar("door.1.jsonl");
    let second = folder.sidecar("door.2.jsonl");
    // Their sidecars may even stay: they are not taken for those of a rotation that was cut short.
    fs::remove_file(&first).unwrap();
    let (journal, found) = open(&folder.file(), 2, Some(2));
    assert_eq!((found.segments, found.entries), (2, 1));
    drop(journal);
    // Without the newest one, its last line is not known; with another in its place, the link tells.
    let kept = fs::read(&second).unwrap();
    fs::remove_file(&second).unwrap();
    let checkpoint = fs::read(folder.sidecar("door.2.jsonl.checkpoint")).unwrap();
    assert_eq!(open(&folder.file(), 3, None).1.entries, 1);
    assert_eq!(fs::read(folder.sidecar("door.2.jsonl.checkpoint")).unwrap(), checkpoint);
    let other: Vec<u8> = kept.split_inclusive(|b| *b == b'\n').take(1).flatten().copied().collect();
    fs::write(&second, other).unwrap();
    assert!(matches!(try_open(&folder.file(), 4, None), Err(OpenError::Damaged { line: 1, .. })));
    fs::write(&second, kept).unwrap();
    assert_eq!(open(&folder.file(), 5, None).1.entries, 1);
}

#[test]
fn hashes_under_a_key_are_checked_under_it() {
    let folder = Folder::new("hmac");
    let mac = |bytes: &[u8]| TokenSetup::default().mac(MacKey::new(bytes));
    let opened = |setup| TokenJournal::open(folder.file(), &Seed::from_u64(1), setup);
    append(&opened(mac(b"one")).unwrap().0, 2);
    append(&opened(mac(b"one")).unwrap().0, 1);
    for setup in [mac(b"two"), TokenSetup::default()] {
        let error = opened(setup).unwrap_err();
        assert!(matches!(&error, OpenError::Damaged { line: 1, fault, .. } if fault.contains("HMAC key")), "{error}");
    }
    // Whoever has no key can only make a plain hash.
    let whole = fs::read_to_string(folder.file()).unwrap();
    let (front, last) = whole.trim_end().rsplit_once('\n').unwrap();
    fs::write(folder.file(), format!("{front}\n{}\n", rehashed(last, "opened-0", "opened-x"))).unwrap();
    fs::remove_file(folder.sidecar("door.jsonl.tree")).unwrap();
    assert!(matches!(opened(mac(b"one")), Err(OpenError::Damaged { line: 3, .. })));
}

#[test]
fn one_writer_at_a_time_and_nobody_behind_its_back() {
    let folder = Folder::new("lock");
    let (journal, _) = open(&folder.file(), 1, Some(2));
    append(&journal, 5);
    assert!(matches!(try_open(&folder.file(), 2, None), Err(OpenError::Locked { .. })), "also after a rotation");
    let before = fs::read(folder.file()).unwrap();
    // Somebody who asks for no lock.
    fs::write(folder.file(), [before.as_slice(), b"{}\n"].concat()).unwrap();
    let error = journal.append_blocking(now(), &draft("late")).unwrap_err();
    assert!(matches!(error, AppendError::Failed(failure) if failure.step == sluis_journal::Step::Look), "{error}");
    assert!(journal.journal().recover_blocking().is_err(), "only opening it anew helps");
    assert_eq!(fs::read(folder.file()).unwrap(), [before.as_slice(), b"{}\n"].concat(), "nothing is overwritten");
    drop(journal);
    fs::write(folder.file(), before).unwrap();
    // Removed under the journal, nothing is acknowledged into nowhere.
    let (journal, _) = open(&folder.file(), 3, None);
    fs::remove_file(folder.file()).unwrap();
    assert!(journal.append_blocking(now(), &draft("gone")).is_err());
}

#[test]
fn tokens_of_others_are_taken_as_they_are() {
    let folder = Folder::new("adopt");
    let (journal, _) = open(&folder.file(), 1, None);
    append(&journal, 1);
    let (other, _) = open(&folder.sidecar("other.jsonl"), 2, None);
    append(&other, 1);
    let named = fs::read_to_string(folder.sidecar("other.jsonl")).unwrap();
    // Whose first token names its log: it belongs there.
    let refused = journal.adopt_blocking(named.trim_end().as_bytes());
    assert_eq!(refused, Err(AppendError::Compose(EntryFault::Log(LogError::NotFirst))));
    let (mut log, mut text) = (Log::new(&Seed::from_u64(4)), String::new());
    for _ in 0..2 {
        let mut out = [0; 1024];
        let len = log.append(now(), &draft("elsewhere"), Protection::default(), &mut out).unwrap().len;
        text.push_str(std::str::from_utf8(&out[..len]).unwrap());
    }
    let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
    // One that links to an entry of another log would make this one impossible to open.
    assert_eq!(journal.adopt_blocking(lines[1]), Err(AppendError::Compose(EntryFault::Link)));
    assert_eq!(journal.adopt_blocking(lines[0]).unwrap().index, 1);
    // Unless that entry stands before it here too.
    assert_eq!(journal.adopt_blocking(lines[1]).unwrap().index, 2);
    assert!(journal.adopt_blocking(b"{}").is_err());
    append(&journal, 1);
    drop(journal);
    assert_eq!(open(&folder.file(), 3, None).1.entries, 4);
}

#[test]
fn drafts_that_no_log_takes_leave_nothing_behind() {
    let folder = Folder::new("drafts");
    let (journal, _) = open(&folder.file(), 1, Some(1));
    append(&journal, 1);
    let long = "x".repeat(Options::default().max_line);
    let token = Token { erachter: Text::new(&long), ..draft("too long") };
    assert!(matches!(journal.append_blocking(now(), &token), Err(AppendError::Compose(_))));
    // Also not the rotation that would have come before it.
    assert_eq!(journal.journal().segments(), 0);
    append(&journal, 2);
    drop(journal);
    let (_, found) = open(&folder.file(), 2, None);
    assert_eq!((found.segments, found.entries), (2, 1));
}

#[test]
fn a_second_name_of_the_file_is_no_segment_and_stays() {
    let folder = Folder::new("hard");
    append(&open(&folder.file(), 1, None).0, 2);
    let link = folder.sidecar("door.1.jsonl");
    fs::hard_link(folder.file(), &link).unwrap();
    let (journal, _) = open(&folder.file(), 2, Some(3));
    append(&journal, 2);
    drop(journal);
    assert_eq!(fs::read_to_string(&link).unwrap().lines().count(), 3, "it is the segment that was closed since");
    assert_eq!(fs::read_to_string(folder.sidecar("door.2.jsonl")).unwrap().lines().count(), 3);
    let (journal, found) = open(&folder.file(), 3, None);
    assert_eq!((found.segments, found.entries), (2, 1));
    append(&journal, 1);
}

#[test]
fn names_alone_make_no_segments() {
    let folder = Folder::new("strays");
    fs::write(folder.sidecar("door.9.jsonl"), "").unwrap();
    fs::write(folder.sidecar("door.20261128.jsonl"), "not a log").unwrap();
    let (journal, _) = open(&folder.file(), 1, Some(2));
    append(&journal, 3);
    drop(journal);
    let first = fs::read_to_string(folder.sidecar("door.20261129.jsonl")).unwrap();
    let first = Token::parse(first.lines().next().unwrap()).unwrap();
    assert_eq!(first.prev(), None, "it follows none of them");
    // What a segment really follows is found among them.
    fs::write(folder.sidecar("door.30000000.jsonl"), "").unwrap();
    let (journal, found) = open(&folder.file(), 2, None);
    assert_eq!(found.entries, 1);
    append(&journal, 1);
}

#[test]
fn a_log_keeps_its_name_and_its_key() {
    let folder = Folder::new("kept");
    let other = || SecretKey::from_seed(&[8; 32]);
    let (journal, _) = open(&folder.file(), 1, Some(3));
    append(&journal, 2);
    assert_eq!((journal.origin(), journal.checkpoint_key()), (ORIGIN, Some(key().public())));
    assert_eq!(journal.checkpoint_blocking().unwrap(), 2);
    drop(journal);
    // Opened under another name and with another key.
    let setup = || {
        let mut options = Options::default();
        options.rotate_entries = Some(3);
        TokenSetup::default().options(options).checkpoints("another", other())
    };
    let (journal, _) = TokenJournal::open(folder.file(), &Seed::from_u64(2), setup()).unwrap();
    assert_eq!((journal.origin(), journal.checkpoint_key()), (ORIGIN, Some(key().public())));
    assert!(matches!(journal.checkpoint_blocking(), Err(HeadError::OtherKey(Some(named))) if named == key().public()));
    assert!(matches!(journal.checkpoint_as_blocking(&other()), Err(HeadError::OtherKey(_))));
    append(&journal, 3);
    // The closed segment has the checkpoint that it had, and the next one says the same of the log.
    assert_eq!(checkpoint_of(&folder.sidecar("door.1.jsonl.checkpoint")).0, 2);
    assert_eq!(journal.checkpoint_as_blocking(&key()).unwrap(), 2);
    drop(journal);
    let (journal, _) = TokenJournal::open(folder.file(), &Seed::from_u64(3), setup()).unwrap();
    assert_eq!((journal.origin(), journal.checkpoint_key()), (ORIGIN, Some(key().public())));
    drop(journal);
    // A checkpoint of another log is no checkpoint of this one, though it is of the same lines.
    let path = folder.sidecar("door.jsonl.checkpoint");
    let note = fs::read_to_string(&path).unwrap().replace(ORIGIN, "example.com/gate");
    fs::write(&path, note).unwrap();
    let opened = TokenJournal::open(folder.file(), &Seed::from_u64(4), setup());
    assert!(matches!(opened, Err(OpenError::Checkpoint { .. })));
}

#[test]
fn tokens_follow_from_each_other_where_that_is_wanted() {
    let folder = Folder::new("chained");
    for seed in 0..2 {
        let setup = TokenSetup::default().chained();
        let (journal, _) = TokenJournal::open(folder.file(), &Seed::from_u64(seed), setup).unwrap();
        append(&journal, 2);
        let named = Token { parent_id: Some(Text::new("elsewhere")), ..draft("named") };
        journal.append_blocking(now(), &named).unwrap();
    }
    let text = fs::read_to_string(folder.file()).unwrap();
    let tokens: Vec<Token<'_>> = text.lines().map(|line| Token::parse(line).unwrap()).collect();
    for (n, token) in tokens.iter().enumerate() {
        let expected = match n {
            0 => None,
            2 | 5 => Some(Text::new("elsewhere")),
            _ => Some(tokens[n - 1].token_id),
        };
        assert_eq!(token.parent_id, expected, "{n}");
    }
}

/// Take note of the next token of a workload.
fn resume((key, known): &mut (SipKey, Option<Workload<Heap>>), token: &Token<'_>) {
    let (entry, hash) = (Entry::read(token).unwrap().unwrap(), token.said_hash().unwrap());
    match (&entry, known) {
        (Entry::Created(created), known) => *known = Some(Workload::resume(created, hash, key.clone(), 0).unwrap()),
        (entry, Some(known)) => known.replay(entry, hash).unwrap(),
        (entry, None) => panic!("{entry:?}"),
    }
}

#[test]
fn a_workload_is_resumed_from_its_log_and_goes_on() {
    let folder = Folder::new("workload");
    let seed = Seed::from_u64(1);
    let (mut rng, keys) = (seed.fork("ids"), key());
    let protection = Protection { mac: None, seal: Some(&keys) };
    let output = Data::Value(Value::from_json("[1]").unwrap());
    for (round, name) in ["plan", "fly", "land"].into_iter().enumerate() {
        let setup = TokenSetup::default();
        let reader = (rng.sip_key(), None);
        let opened = TokenJournal::open_reading(folder.file(), &seed, setup, reader, resume);
        let (journal, found, (_, known)) = opened.unwrap();
        assert_eq!((found.entries == 0, known.is_none()), (round == 0, round == 0));
        let new = NewWorkload { name: "delivery", owner: "jis:a", actor: "jis:a", ..NewWorkload::default() };
        let mut workload = known.unwrap_or_else(|| Workload::new(now(), &new, &mut rng).unwrap());
        let step = workload.add(&NewStep { name, ..NewStep::default() }, &mut rng).unwrap();
        workload.start(now(), step, Data::None, None).unwrap();
        workload.complete(now(), step, output, None).unwrap();
        while workload.pending().is_some() {
            let entry = journal.append_workload_blocking(&mut workload, None, protection).unwrap();
            assert!(entry.content_hash.is_some());
        }
        let nothing = journal.append_workload_blocking(&mut workload, None, protection);
        assert!(matches!(nothing, Err(AppendError::Compose(EntryFault::NothingWaits))));
        // Nobody else writes such tokens.
        let reserved = journal.append_blocking(now(), &draft("step_completed"));
        assert!(matches!(reserved, Err(AppendError::Compose(EntryFault::Reserved))));
    }
    let text = fs::read_to_string(folder.file()).unwrap();
    let mut keys = [Verifier::new(*key().public().as_bytes()).unwrap()];
    let keys = KnownKeys::new(&mut keys);
    let mut verifier = StepVerifier::new(None, Some(&keys), &seed);
    assert!(text.lines().all(|line| verifier.line(line.as_bytes()).is_none()), "{text}");
    assert_eq!(text.lines().count(), 4);
    verified(&folder.file(), None);
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    for name in ["door.jsonl", "door.jsonl.tree", "door.jsonl.checkpoint"] {
        let folder = Folder::new("irregular");
        append(&open(&folder.file(), 1, None).0, 1);
        let path = folder.sidecar(name);
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let refused = try_open(&folder.file(), 2, None).unwrap_err();
        assert!(matches!(refused, OpenError::Io { doing: "opening" | "reading", .. }), "{name}: {refused}");
    }
    // A link that leads nowhere would be begun in one place, and its sidecars in another.
    let folder = Folder::new("dangling");
    std::os::unix::fs::symlink("nowhere/door.jsonl", folder.file()).unwrap();
    assert!(matches!(try_open(&folder.file(), 1, None), Err(OpenError::Io { doing: "following the link", .. })));
}
