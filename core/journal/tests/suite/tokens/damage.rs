//! Files that were torn, edited or damaged, and what is found of that.

use std::fs;

use sluis_chain::log::merkle::{Frontier, leaf_hash};
use sluis_chain::log::note::Checkpoint;
use sluis_chain::token::Token;
use sluis_core::Seed;
use sluis_core::framing::Text;
use sluis_core::identity::SecretKey;
use sluis_journal::{OpenError, TokenJournal, TokenSetup};

use super::*;

#[test]
fn a_torn_tail_is_cut_and_kept() {
    let folder = Folder::new("torn");
    let (journal, _) = open(&folder.file(), 1, None);
    append(&journal, 3);
    drop(journal);
    let whole = fs::read(folder.file()).unwrap();
    let torn = [whole.as_slice(), b"{\"token_id\": \"tibet_2025"].concat();
    fs::write(folder.file(), &torn).unwrap();
    let (journal, found) = open(&folder.file(), 2, None);
    assert_eq!((found.entries, found.torn), (3, 24));
    append(&journal, 1);
    drop(journal);
    assert_eq!(fs::read(folder.sidecar("door.jsonl.torn")).unwrap(), &torn[whole.len()..]);
    assert_eq!(verified(&folder.file(), None).0.size(), 4);
    // Again, with zeros where sectors were lost and a whole line behind them: that was never acknowledged.
    let whole = fs::read(folder.file()).unwrap();
    let hole = (whole.len() + 700).next_multiple_of(512) - whole.len();
    fs::write(folder.file(), [whole.as_slice(), &vec![0; hole], b"\n", &whole].concat()).unwrap();
    let (_, found) = open(&folder.file(), 3, None);
    assert_eq!((found.entries, found.torn), (4, (hole + 1 + whole.len()) as u64));
    assert_eq!(fs::read(folder.file()).unwrap(), whole);
    // Zeros as no medium leaves them are damage.
    for hole in [1, 700, hole - 1, hole + 1] {
        let holed = [whole.as_slice(), &vec![0; hole], b"\n", &whole].concat();
        fs::write(folder.file(), &holed).unwrap();
        assert!(matches!(try_open(&folder.file(), 4, None), Err(OpenError::Damaged { line: 5, .. })), "{hole}");
        assert_eq!(fs::read(folder.file()).unwrap(), holed);
    }
}

/// What is in a folder, byte for byte.
fn everything(folder: &Folder) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

/// Two lines that the checkpoint covers and three that it does not; the middle or the last of these is edited, and `FILE.tree` is there,
/// short, gone, or made to agree.
#[test]
fn an_edited_line_is_no_torn_write_whatever_lies_beside_the_file() {
    for signed in [false, true] {
        let folder = Folder::new("edited");
        let opened = |seed| {
            let setup = TokenSetup::default();
            let setup = if signed { setup.seal(key()).checkpoints(ORIGIN, key()) } else { setup };
            TokenJournal::open(folder.file(), &Seed::from_u64(seed), setup)
        };
        let (journal, _) = opened(1).unwrap();
        append(&journal, 2);
        if signed {
            journal.checkpoint_blocking().unwrap();
        }
        append(&journal, 3);
        drop(journal);
        let whole = fs::read_to_string(folder.file()).unwrap();
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        let tree = fs::read(folder.sidecar("door.jsonl.tree")).unwrap();
        for edited in 2..5 {
            let (from, to) = (format!("opened-{}", edited - 2), "opened-x");
            let changed = lines[edited].replacen(&from, to, 1);
            let consistent = rehashed(lines[edited], &from, to);
            let unreadable = lines[edited].replacen('"', "", 1);
            let returned = format!("{}\r\n", lines[edited].trim_end());
            for (line, last_is_found) in [(changed, true), (unreadable, true), (returned, true), (consistent, false)] {
                let mut text = lines.clone();
                text[edited] = &line;
                let text = text.concat();
                let mut agreeing = tree.clone();
                agreeing[edited * 32..][..32].copy_from_slice(&leaf_hash(line.trim_end_matches('\n').as_bytes()));
                for beside in [None, Some(&tree[..]), Some(&tree[..32 * 3]), Some(&[]), Some(&agreeing)] {
                    // Whoever can make a hash of the last line anew that nothing vouches for is not found by reading it.
                    let untold = edited == 4 && !last_is_found && beside != Some(&tree);
                    fs::write(folder.file(), &text).unwrap();
                    let _ = fs::remove_file(folder.sidecar("door.jsonl.tree"));
                    if let Some(beside) = beside {
                        fs::write(folder.sidecar("door.jsonl.tree"), beside).unwrap();
                    }
                    let before = everything(&folder);
                    match opened(2) {
                        Ok(_) => assert!(untold, "{signed} {beside:?} {line}"),
                        Err(OpenError::Damaged { line: at, .. } | OpenError::TreeDiffers { line: at, .. }) => {
                            assert!(!untold, "{signed} {beside:?} {line}");
                            let at = usize::try_from(at).unwrap() - 1;
                            assert!(at == edited || !last_is_found && at == edited + 1, "{at} {line}");
                            assert!(everything(&folder) == before, "{signed} {line}");
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }
}

#[test]
fn only_the_line_feed_is_missing() {
    let folder = Folder::new("unfed");
    append(&open(&folder.file(), 1, None).0, 3);
    let whole = fs::read_to_string(folder.file()).unwrap();
    let tree = fs::read(folder.sidecar("door.jsonl.tree")).unwrap();
    // It was acknowledged, as far as the tree knows, or may have been: it is kept and not cut off.
    for beside in [&tree[..], &tree[..64], &[]] {
        fs::write(folder.file(), whole.trim_end()).unwrap();
        fs::write(folder.sidecar("door.jsonl.tree"), beside).unwrap();
        let (_, found) = open(&folder.file(), 2, None);
        assert_eq!((found.entries, found.torn, found.bytes), (3, 0, whole.len() as u64));
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), whole);
        assert_eq!(fs::read(folder.sidecar("door.jsonl.tree")).unwrap(), tree);
    }
    // Unless it is not what it says.
    let edited = whole.trim_end().replacen("opened-2", "opened-x", 1);
    fs::write(folder.file(), &edited).unwrap();
    fs::write(folder.sidecar("door.jsonl.tree"), []).unwrap();
    assert!(matches!(try_open(&folder.file(), 3, None), Err(OpenError::Damaged { line: 3, .. })));
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), edited);
    // Nor is anything put behind a file of others.
    fs::write(folder.file(), whole.trim_end()).unwrap();
    fs::remove_file(folder.sidecar("door.jsonl.tree")).unwrap();
    assert!(matches!(try_open(&folder.file(), 4, None), Err(OpenError::Damaged { line: 3, .. })));
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), whole.trim_end());
}

/// A write is torn only in a file that a journal wrote to, which has a tree: a checkpoint says nothing about that.
#[test]
fn without_a_tree_nothing_is_cut_off() {
    let folder = Folder::new("treeless");
    let (journal, _) = open(&folder.file(), 1, None);
    append(&journal, 3);
    journal.checkpoint_blocking().unwrap();
    append(&journal, 2);
    drop(journal);
    let whole = fs::read(folder.file()).unwrap();
    let tree = fs::read(folder.sidecar("door.jsonl.tree")).unwrap();
    for cut in [whole.len() - 2, whole.len() - 100] {
        fs::write(folder.file(), &whole[..cut]).unwrap();
        fs::remove_file(folder.sidecar("door.jsonl.tree")).unwrap();
        let before = everything(&folder);
        assert!(matches!(try_open(&folder.file(), 2, None), Err(OpenError::Damaged { line: 5, .. })));
        assert!(everything(&folder) == before);
        // With the tree it is damage too: that knows of the line. One that was not yet written is cut off.
        fs::write(folder.sidecar("door.jsonl.tree"), &tree).unwrap();
        assert!(matches!(try_open(&folder.file(), 3, None), Err(OpenError::Damaged { line: 5, .. })));
        fs::write(folder.sidecar("door.jsonl.tree"), &tree[..4 * 32]).unwrap();
        assert_eq!(open(&folder.file(), 4, None).1.entries, 4);
    }
}

#[test]
fn a_checkpoint_that_the_key_of_the_log_did_not_sign_proves_nothing() {
    let folder = Folder::new("forged");
    let (journal, _) = open(&folder.file(), 1, None);
    append(&journal, 3);
    journal.checkpoint_blocking().unwrap();
    drop(journal);
    let whole = fs::read_to_string(folder.file()).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let last = lines[2].replacen("opened-2", "opened-x", 1);
    fs::write(folder.file(), [lines[0], lines[1], &last].concat()).unwrap();
    fs::remove_file(folder.sidecar("door.jsonl.tree")).unwrap();
    let mut tree = Frontier::new();
    [lines[0], lines[1], &last].iter().for_each(|line| tree.push(leaf_hash(line.trim_end().as_bytes())));
    let mut note = Vec::new();
    let forged = Checkpoint::new(ORIGIN, 3, tree.root()).unwrap();
    forged.sign(&SecretKey::from_seed(&[9; 32]), &mut note).unwrap();
    fs::write(folder.sidecar("door.jsonl.checkpoint"), note).unwrap();
    let before = everything(&folder);
    assert!(matches!(try_open(&folder.file(), 2, None), Err(OpenError::Checkpoint { .. })));
    assert!(everything(&folder) == before);
}

/// A segment is not continued that is not what it says: the first token of the next would sign it.
#[test]
fn an_edited_segment_is_not_continued() {
    let folder = Folder::new("continued");
    let (journal, _) = open(&folder.file(), 1, None);
    append(&journal, 3);
    journal.journal().rotate_blocking().unwrap();
    drop(journal);
    let path = folder.sidecar("door.1.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    for edited in 0..3 {
        let from = format!("opened-{edited}");
        for line in [lines[edited].replacen(&from, "opened-x", 1), rehashed(lines[edited], &from, "opened-x")] {
            let mut text = lines.clone();
            text[edited] = &line;
            fs::write(&path, text.concat()).unwrap();
            let before = everything(&folder);
            let refused = try_open(&folder.file(), 2, None).unwrap_err();
            assert!(matches!(refused, OpenError::Damaged { .. } | OpenError::Checkpoint { .. }), "{refused}");
            assert!(everything(&folder) == before);
        }
    }
    fs::write(&path, &whole).unwrap();
    append(&open(&folder.file(), 3, None).0, 1);
}

#[test]
fn damage_is_named_and_left_as_it_is() {
    let folder = Folder::new("damage");
    let (journal, _) = open(&folder.file(), 1, None);
    append(&journal, 5);
    journal.checkpoint_blocking().unwrap();
    drop(journal);
    let whole = fs::read_to_string(folder.file()).unwrap();
    let leaves = fs::read(folder.sidecar("door.jsonl.tree")).unwrap();
    let refused = |text: &str| {
        fs::write(folder.file(), text).unwrap();
        let error = try_open(&folder.file(), 2, None).unwrap_err();
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), text, "{error}");
        assert_eq!(fs::read(folder.sidecar("door.jsonl.tree")).unwrap(), leaves, "{error}");
        error
    };
    // A line in the middle, its quotes gone: not torn, for the tree knows of lines behind it.
    let broken = whole.replacen("\"opened-2\"", "opened-2", 1);
    assert!(matches!(refused(&broken), OpenError::Damaged { line: 3, .. }));
    // One that is still a token.
    let edited = whole.replacen("opened-2", "opened-x", 1);
    assert!(matches!(refused(&edited), OpenError::TreeDiffers { line: 3, .. }));
    // The last lines gone.
    let cut: String = whole.split_inclusive('\n').take(3).collect();
    assert!(matches!(refused(&cut), OpenError::Missing { entries: 3, known: 5, .. }));
    assert!(matches!(refused(""), OpenError::Missing { entries: 0, known: 5, .. }));
    // A line is named by its number, and entries are counted, whatever blank lines there are.
    let blanks = edited.replacen('\n', "\n\n \n", 1);
    assert!(matches!(refused(&blanks), OpenError::TreeDiffers { line: 5, .. }));
    let error = refused(&format!("\n\n{cut}"));
    assert!(matches!(error, OpenError::Missing { entries: 3, known: 5, .. }));
    assert!(error.to_string().contains("has 3 entries (lines that are not blank)"), "{error}");
    // Without the tree, the link and the checkpoint still tell.
    let tree = folder.sidecar("door.jsonl.tree");
    fs::remove_file(&tree).unwrap();
    fs::write(folder.file(), &edited).unwrap();
    assert!(matches!(try_open(&folder.file(), 3, None), Err(OpenError::Damaged { line: 4, .. })));
    let last = whole.replacen("opened-4", "opened-x", 1);
    fs::write(folder.file(), &last).unwrap();
    assert!(matches!(try_open(&folder.file(), 4, None), Err(OpenError::Checkpoint { .. })));
    assert!(!tree.exists(), "none is made of lines that are refused");
    // And as it was, it opens, and the tree is made anew.
    fs::write(folder.file(), &whole).unwrap();
    assert_eq!(open(&folder.file(), 5, None).1.entries, 5);
    assert_eq!(fs::read(folder.sidecar("door.jsonl.tree")).unwrap(), leaves);
}

#[test]
fn a_tree_that_is_too_long_is_refused_unread() {
    let folder = Folder::new("long-tree");
    append(&open(&folder.file(), 1, None).0, 3);
    let whole = fs::read(folder.file()).unwrap();
    let path = folder.sidecar("door.jsonl.tree");
    let tree = || fs::File::options().write(true).open(&path).unwrap();
    // Zeros that a power cut may have left are cut off.
    tree().set_len((3 + 2048) * 32).unwrap();
    assert_eq!(open(&folder.file(), 2, None).1.entries, 3);
    assert_eq!(fs::metadata(&path).unwrap().len(), 3 * 32);
    // So many are no accident, and reading them would take for ever.
    for len in [(3 + 2049) * 32, 1 << 40] {
        if tree().set_len(len).is_err() {
            continue;
        }
        let error = try_open(&folder.file(), 3, None).unwrap_err();
        assert!(matches!(error, OpenError::Missing { entries: 3, known, .. } if known == len / 32), "{error}");
        assert_eq!((fs::metadata(&path).unwrap().len(), fs::read(folder.file()).unwrap()), (len, whole.clone()));
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(open(&folder.file(), 4, None).1.entries, 3);
}

#[test]
fn damage_deeper_than_a_batch_is_never_cut() {
    let folder = Folder::new("deep");
    let (journal, _) = open(&folder.file(), 1, None);
    let long = "x".repeat(10_000);
    let mut tickets = Vec::new();
    for _ in 0..150 {
        let token = Token { erachter: Text::new(&long), ..draft("long") };
        tickets.push(journal.try_append(now(), &token).unwrap().0);
    }
    tickets.into_iter().for_each(|ticket| ticket.wait().unwrap());
    drop(journal);
    fs::remove_file(folder.sidecar("door.jsonl.tree")).unwrap();
    let mut bytes = fs::read(folder.file()).unwrap();
    bytes[100] = b'\\';
    fs::write(folder.file(), &bytes).unwrap();
    assert!(matches!(try_open(&folder.file(), 2, None), Err(OpenError::Damaged { line: 1, .. })));
    assert_eq!(fs::read(folder.file()).unwrap(), bytes);
}
