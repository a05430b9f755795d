//! Somebody changes the file.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::token::Field;

/// One thing done to the lines of a log.
#[derive(Clone, Debug)]
enum Attack {
    /// Another value for a member.
    Edit(Index, Field),
    Drop(Index, usize),
    /// With its neighbour, or with any.
    Swap(Index, Option<Index>),
    /// A token made by the attacker, or a copy of another line.
    Insert(Index, Option<Index>),
    Truncate(Index),
    /// One byte of a line.
    Byte(Index, Index, u8),
}

fn attack() -> impl Strategy<Value = Attack> {
    prop_oneof![
        4 => (any::<Index>(), prop::sample::select(Field::ALL.to_vec())).prop_map(|(i, f)| Attack::Edit(i, f)),
        2 => (any::<Index>(), 1_usize..5).prop_map(|(i, n)| Attack::Drop(i, n)),
        2 => (any::<Index>(), any::<Option<Index>>()).prop_map(|(i, j)| Attack::Swap(i, j)),
        2 => (any::<Index>(), any::<Option<Index>>()).prop_map(|(i, j)| Attack::Insert(i, j)),
        1 => any::<Index>().prop_map(Attack::Truncate),
        2 => (any::<Index>(), any::<Index>(), any::<u8>()).prop_map(|(i, j, b)| Attack::Byte(i, j, b)),
    ]
}

/// The line with another value for one member, in its form.
fn edit(line: &str, field: Field) -> String {
    let key = format!("\"{field}\": ");
    let Some((front, rest)) = line.split_once(&key) else { return line.into() };
    let new = match field {
        Field::Erin => rest.replacen("\"n\": ", "\"n\": 1", 1),
        Field::Eraan => rest.replacen("doc:1", "doc:2", 1),
        Field::Eromheen => rest.replacen("n1", "n2", 1),
        Field::State => rest.replacen("created", "resolved", 1),
        Field::ParentId if rest.starts_with("null") => rest.replacen("null", "\"x\"", 1),
        // A hash has other digits, everything else is one character longer.
        Field::ContentHash if rest.starts_with("\"0") => rest.replacen('0', "1", 1),
        Field::ContentHash => format!("\"0{}", rest.get(2..).unwrap_or_default()),
        _ => rest.replacen('"', "\"x", 1),
    };
    [front, &key, &new].concat()
}

/// Do it; the line that is then the first wrong one. `None` if nothing has changed.
fn apply(attack: &Attack, lines: &mut Lines) -> Option<usize> {
    let n = lines.len();
    match attack {
        Attack::Edit(at, field) => {
            let at = at.index(n);
            lines[at] = edit(&lines[at], *field);
            Some(at)
        }
        Attack::Drop(at, count) => {
            let at = at.index(n);
            lines.drain(at..(at + count).min(n));
            Some(at)
        }
        Attack::Swap(a, b) => {
            let a = a.index(if b.is_none() && n > 1 { n - 1 } else { n });
            let b = b.map_or((a + 1).min(n - 1), |b| b.index(n));
            lines.swap(a, b);
            (a != b).then_some(a.min(b))
        }
        Attack::Insert(at, copy) => {
            // What comes behind the last entry is not under the checkpoint.
            let (at, copy) = (at.index(n), copy.map(|copy| copy.index(n)));
            let line = match copy {
                Some(copy) => lines[copy].clone(),
                None => {
                    let prev = at.checked_sub(1).map(|at| leaf_hash(lines[at].as_bytes()));
                    forge(&lines[at.saturating_sub(1)].replace("tibet_", "evil_"), &|line| line.into(), prev)
                }
            };
            lines.insert(at, line.clone());
            // A copy behind its original: the first that is wrong is the second of the two.
            Some(lines[at..].iter().take_while(|other| **other == line).count() - 1 + at)
        }
        Attack::Truncate(at) => {
            let at = at.index(n);
            lines.truncate(at);
            Some(at)
        }
        Attack::Byte(at, byte, value) => {
            let at = at.index(n);
            let mut bytes = lines[at].clone().into_bytes();
            let byte = byte.index(bytes.len());
            let old = core::mem::replace(&mut bytes[byte], *value);
            if old == *value || *value == b'\n' || *value >= 0x80 {
                return None;
            }
            lines[at] = String::from_utf8(bytes).unwrap();
            Some(at)
        }
    }
}

/// Make links and hashes of all lines from here on anew, as somebody without the key can. Lines that cannot be read stay.
fn cover_up(lines: &mut [String], from: usize) {
    for at in from..lines.len() {
        if Token::parse(&lines[at]).is_ok() {
            let link = at.checked_sub(1).map(|at| leaf_hash(lines[at].as_bytes()));
            lines[at] = forge(&lines[at], &|line| line.into(), link);
        }
    }
}

fn against(lines: &[String], tree: bool) -> Option<Against<'static>> {
    let against = Against::checkpoint(&checkpoint(lines));
    Some(if tree { against.with_tree(leaves(lines)).unwrap() } else { against })
}

const MADE: [Made; 2] = [Made { mac: false, sealed: false }, Made { mac: true, sealed: true }];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 200 }))]

    /// Against a checkpoint with the leaf hashes, the first wrong entry is named, also if all later ones were made anew; and
    /// what is one change is one finding.
    #[test]
    fn with_the_tree_the_first_wrong_entry_is_named(
        n in 2_usize..60, attack in attack(), covered in any::<bool>(), which in 0..MADE.len(),
    ) {
        let lines = log(n, MADE[which]);
        let mut bad = lines.clone();
        let Some(first) = apply(&attack, &mut bad) else { return Ok(()) };
        if covered {
            cover_up(&mut bad, first);
        }
        let (found, _) = run(text(&bad).as_bytes(), settings(MADE[which]), against(&lines, true));
        if bad == lines {
            prop_assert_eq!(found, []);
            return Ok(());
        }
        let seen = kinds(&found);
        let line = first as u64 + 1;
        prop_assert_eq!(seen.iter().map(|(_, line)| *line).min(), Some(line), "{:?}\n{:?}", seen, attack);
        // With a key, whoever does not have it makes every line wrong that he makes anew.
        let forged = covered && MADE[which].mac;
        let exchanged = matches!(attack, Attack::Swap(_, Some(_)) | Attack::Insert(_, Some(_)));
        // Where all later lines were made anew, it is not known where the one is gone: that there are too few is said beside it.
        let too_few = covered && matches!(attack, Attack::Drop(..));
        if too_few {
            prop_assert!(forged || found.len() == 1 || found[1..].iter().all(|f| f.kind == Kind::Truncated), "{:?}", found);
        } else if !forged && !exchanged {
            prop_assert_eq!(found.len(), 1, "{:?}", found);
        }
    }

    /// Against a checkpoint alone, something is found.
    #[test]
    fn with_a_checkpoint_everything_is_found(n in 1_usize..60, attack in attack(), covered in any::<bool>()) {
        let lines = log(n, Made::default());
        let mut bad = lines.clone();
        let Some(first) = apply(&attack, &mut bad) else { return Ok(()) };
        if covered {
            cover_up(&mut bad, first);
        }
        let (found, _) = run(text(&bad).as_bytes(), settings(Made::default()), against(&lines, false));
        prop_assert_eq!(found.is_empty(), bad == lines, "{:?}", attack);
    }

    /// Without anything but the file: one edit is one finding about that token, whichever member it was, and whether the
    /// hash was made anew or not.
    #[test]
    fn an_edited_token_is_one_finding(
        n in 2_usize..40, at in any::<Index>(), field in prop::sample::select(Field::ALL.to_vec()), rehash in any::<bool>(),
        sealed in any::<bool>(),
    ) {
        let made = Made { mac: false, sealed };
        let lines = log(n, made);
        // The last line is protected by nothing but its hash and its seal.
        let at = at.index(if rehash || field == Field::Signature { n - 1 } else { n });
        let mut bad = lines.clone();
        bad[at] = edit(&bad[at], field);
        if rehash {
            bad[at] = forge(&bad[at], &|line| line.into(), None);
        }
        if bad == lines {
            return Ok(());
        }
        let (found, _) = run(text(&bad).as_bytes(), settings(made), None);
        let (line, token_id) = (at as u64 + 1, Token::parse(&bad[at]).ok().map(|token| token.token_id.to_string()));
        prop_assert_eq!(found.len(), 1, "{:?}", found);
        prop_assert_eq!((found[0].line, &found[0].token_id), (line, &token_id), "{:?}", found);
    }

    /// Many changes at once, and bytes of any kind: nothing panics, nothing is said twice of a line, and something is found.
    #[test]
    fn any_mixture_is_survived(
        n in 1_usize..40, attacks in prop::collection::vec(attack(), 1..8), covered in any::<bool>(), tree in any::<bool>(),
    ) {
        let lines = log(n, Made::default());
        let mut bad = lines.clone();
        for attack in &attacks {
            if !bad.is_empty() {
                apply(attack, &mut bad);
            }
        }
        if covered {
            cover_up(&mut bad, 0);
        }
        let (found, _) = run(text(&bad).as_bytes(), settings(Made::default()), against(&lines, tree));
        // Further entries are not under the checkpoint.
        prop_assert!(!found.is_empty() || bad.starts_with(&lines));
        let mut seen: Vec<_> = found.iter().map(|finding| (finding.line, finding.kind.as_str())).collect();
        seen.sort_unstable();
        let count = seen.len();
        seen.dedup();
        prop_assert_eq!(seen.len(), count, "{:?}", found);
    }
}

#[test]
fn what_was_done_is_told() {
    let lines = log(10, Made::default());
    let check = |bad: &[String], tree: bool| {
        let against = if tree { against(&lines, true) } else { None };
        kinds(&run(text(bad).as_bytes(), settings(Made::default()), against).0)
    };
    let mut dropped = lines.clone();
    dropped.drain(3..5);
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    let mut first = lines.clone();
    first.swap(0, 1);
    let mut last = lines.clone();
    last.swap(8, 9);
    let mut inserted = lines.clone();
    let prev = Some(leaves(&lines)[2]);
    inserted.insert(3, forge(&lines[2].replace("tibet_", "evil_"), &|line| line.into(), prev));
    let mut edited = lines.clone();
    edited[3] = forge(&edit(&edited[3], Field::Action), &|line| line.into(), None);
    let mut all_new = edited.clone();
    cover_up(&mut all_new, 4);
    let cut = lines[..7].to_vec();
    for (bad, with_tree, without) in [
        (&dropped, (Kind::Dropped, 4), Some((Kind::Link, 3))),
        (&swapped, (Kind::Swapped, 4), Some((Kind::Swapped, 4))),
        // Of these only one of the two that were exchanged is told.
        (&first, (Kind::Swapped, 1), Some((Kind::Dropped, 1))),
        (&last, (Kind::Swapped, 9), Some((Kind::Swapped, 9))),
        (&inserted, (Kind::Inserted, 4), Some((Kind::Inserted, 4))),
        (&edited, (Kind::Root, 4), Some((Kind::Link, 4))),
        (&all_new, (Kind::Root, 4), None),
        (&cut, (Kind::Truncated, 8), None),
    ] {
        assert_eq!(check(bad, true), [with_tree]);
        assert_eq!(check(bad, false), Vec::from_iter(without));
    }
}
