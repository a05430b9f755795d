//! One cause is one finding, and no finding keeps another from being found.

use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::log::LogHeader;
use crate::verify::{Parallel, Start};
use crate::workload::check::StepChecker;
use crate::workload::{Data, InLog, NewStep, NewWorkload, Workload};
use sluis_core::table::Heap;

/// Two workloads of three steps each that end, with other tokens before, between and behind their steps.
fn steps() -> Lines {
    let mut rng = Seed::from_u64(3).fork("steps");
    let header = LogHeader::new("example.com/log", Some(signer().public())).to_string();
    let mut lines = Lines::new();
    for number in 0..2 {
        let new = NewWorkload { name: "build", owner: "jis:hub", actor: "jis:hub", ..NewWorkload::default() };
        let at = |seconds: i64| now(100 * i64::from(number) + seconds);
        let mut workload: Workload<Heap> = Workload::new(at(0), &new, &mut rng).unwrap();
        write(&mut lines, &mut workload, &header);
        for (step, name) in [(1, "one"), (2, "two"), (3, "three")] {
            let sequence = workload.add(&NewStep { name, ..NewStep::default() }, &mut rng).unwrap();
            workload.start(at(10 * step), sequence, Data::None, None).unwrap();
            let output = format!(r#"{{"n": 1{number}{step}}}"#);
            workload.complete(at(10 * step), sequence, Data::Value(Value::from_json(&output).unwrap()), None).unwrap();
            write(&mut lines, &mut workload, &header);
            note(&mut lines, at(10 * step + 1));
        }
        workload.close(at(90)).unwrap();
        write(&mut lines, &mut workload, &header);
        note(&mut lines, at(95));
    }
    lines
}

fn last(lines: &[String]) -> Option<NodeHash> {
    lines.last().map(|line| leaf_hash(line.as_bytes()))
}

fn write(lines: &mut Lines, workload: &mut Workload<Heap>, header: &str) {
    let mut room = vec![0; crate::workload::MAX_LINE];
    let header = lines.is_empty().then_some(header);
    let how = InLog { link: last(lines).map(Hash32), header, ..InLog::default() };
    let len = workload.poll_token(how, &mut room).unwrap().unwrap().len;
    lines.push(String::from_utf8(room[..len].to_vec()).unwrap());
}

fn note(lines: &mut Lines, now: Now) {
    let seed = Seed::from_u64(lines.len() as u64 + 50);
    let mut log = Log::resume(&seed, Frontier::new(), last(lines));
    let draft = Token { action: Text::new("note"), actor: Text::new("jis:hub"), ..Token::default() };
    let mut out = [0; 2048];
    let len = log.append(now, &draft, Protection::default(), &mut out).unwrap().len;
    lines.push(String::from_utf8(out[..len - 1].to_vec()).unwrap());
}

/// What there is beside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    Checkpoint,
    Tree,
}

const BESIDE: [Beside; 3] = [Beside::Nothing, Beside::Checkpoint, Beside::Tree];

fn against(good: &[String], beside: Beside) -> Option<Against<'static>> {
    let against = || Against::checkpoint(&checkpoint(good));
    match beside {
        Beside::Nothing => None,
        Beside::Checkpoint => Some(against()),
        Beside::Tree => Some(against().with_tree(leaves(good)).unwrap()),
    }
}

fn check(good: &[String], file: &[u8], beside: Beside) -> Vec<Finding> {
    let (seed, mut found) = (Seed::from_u64(1), Vec::new());
    let settings = || settings(Made::default());
    let mut verifier = Verifier::with_checker(settings(), against(good, beside), &seed, StepChecker::new(&seed));
    verifier.push(file, &mut |finding| found.push(finding));
    let (summary, _) = verifier.finish(&mut |finding| found.push(finding));
    assert_eq!(summary.findings, found.len() as u64);
    // The same in small pieces, and on the caller's threads.
    let mut pieces = Vec::new();
    let parallel =
        Parallel::new(settings(), against(good, beside), &seed, StepChecker::new(&seed), file, |f| pieces.push(f));
    parallel.finish().unwrap();
    assert_eq!(pieces, found);
    found
}

/// One thing that is done to a line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Unreadable,
    Edited,
    /// And its hash made anew.
    Rehashed,
    Reformatted,
    Dropped,
    /// A copy right behind it, one further down, and one further up.
    Copied,
    CopiedFar,
    CopiedUp,
    /// It and the two behind it.
    BlockDropped,
    Up,
    Down,
    Exchanged,
    /// The line feed behind it is gone.
    Joined,
    Return,
    /// A forged token stands before it.
    Inserted,
    /// Not JSON, before it.
    Rubbish,
}

const CHANGES: [Change; 16] = [
    Change::Unreadable,
    Change::Edited,
    Change::Rehashed,
    Change::Reformatted,
    Change::Dropped,
    Change::Copied,
    Change::CopiedFar,
    Change::CopiedUp,
    Change::BlockDropped,
    Change::Up,
    Change::Down,
    Change::Exchanged,
    Change::Joined,
    Change::Return,
    Change::Inserted,
    Change::Rubbish,
];

/// How far lines are moved.
const FAR: usize = 4;

fn edited(line: &str) -> String {
    let edited = line.replacen("jis:hub", "jis:hob", 1);
    assert_ne!(edited, line);
    edited
}

/// Do it to the line at this place; where that makes no sense, `None`.
fn apply(change: Change, lines: &mut Lines, at: usize) -> Option<()> {
    let line = lines.get(at)?.clone();
    match change {
        Change::Unreadable => lines[at] = line.replacen('{', "", 1),
        Change::Edited => lines[at] = edited(&line),
        Change::Rehashed => lines[at] = forge(&edited(&line), &|line| line.into(), None),
        Change::Reformatted => lines[at] = line.replacen(": ", ":  ", 1),
        Change::Dropped => drop(lines.remove(at)),
        Change::Copied => lines.insert(at + 1, line),
        Change::CopiedUp => lines.insert(at.checked_sub(FAR)?, line),
        Change::BlockDropped => drop(lines.drain(at..(at + 3 <= lines.len()).then_some(at + 3)?)),
        Change::CopiedFar => lines.insert((at + FAR <= lines.len()).then_some(at + FAR)?, line),
        Change::Up => {
            let line = lines.remove(at);
            lines.insert(at.checked_sub(FAR)?, line);
        }
        Change::Down => {
            let line = lines.remove(at);
            lines.insert((at + FAR <= lines.len()).then_some(at + FAR)?, line);
        }
        Change::Exchanged => {
            let next = (at + 1 < lines.len()).then_some(at + 1)?;
            lines.swap(at, next);
        }
        Change::Joined => {
            let next = (at + 1 < lines.len()).then(|| lines.remove(at + 1))?;
            lines[at].push_str(&next);
        }
        Change::Return => lines[at].push('\r'),
        Change::Inserted => {
            let link = at.checked_sub(1).map(|at| leaf_hash(lines[at].as_bytes()))?;
            let model = lines.iter().rev().find(|line| line.contains("\"note\""))?;
            let evil = model.replacen("tibet_", "evil_", 1);
            lines.insert(at, forge(&evil, &|line| line.into(), Some(link)));
        }
        Change::Rubbish => lines.insert(at, "rubbish".into()),
    }
    Some(())
}

/// Whether what was done can be known without leaf hashes: the last line is protected by nothing that follows it, and of several
/// lines that are gone it is not known how many.
fn is_seen(change: Change, beside: Beside, at: usize, count: usize) -> bool {
    let is_last = at + 1 == count;
    match change {
        Change::Rehashed | Change::Reformatted | Change::Dropped => beside != Beside::Nothing || !is_last,
        Change::Return => beside != Beside::Nothing || !is_last,
        Change::BlockDropped => beside != Beside::Nothing || at + 3 < count,
        Change::Down | Change::CopiedFar => beside != Beside::Nothing || at + FAR < count,
        _ => true,
    }
}

#[test]
fn what_nobody_touched_is_right() {
    let good = steps();
    for beside in BESIDE {
        assert_eq!(check(&good, text(&good).as_bytes(), beside), [], "{beside:?}");
    }
}

#[test]
fn one_cause_is_one_finding() {
    let good = steps();
    let mut wrong = Vec::new();
    for change in CHANGES {
        for at in 0..good.len() {
            let mut bad = good.clone();
            if apply(change, &mut bad, at).is_none() {
                continue;
            }
            for beside in BESIDE {
                let found = check(&good, text(&bad).as_bytes(), beside);
                let seen = is_seen(change, beside, at, good.len());
                // Without leaf hashes nothing says what the last line was, so that what else is changed cannot be told from it.
                // Nor does it say how many are gone in one place, so that all of them may be.
                let many = change == Change::BlockDropped || touches_last(change, at, good.len());
                let most = if beside == Beside::Checkpoint && many { 2 } else { 1 };
                if found.len() > most || (seen && found.is_empty()) {
                    wrong.push(format!("{change:?} of line {}, {beside:?}: {:?}", at + 1, kinds(&found)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether the last line is touched.
fn touches_last(change: Change, at: usize, count: usize) -> bool {
    match change {
        Change::Exchanged | Change::Joined => at + 2 >= count,
        Change::BlockDropped => at + 3 >= count,
        Change::Down => at + FAR + 1 >= count,
        _ => at + 1 == count,
    }
}

/// What is done in one place hides nothing that is done in another, whatever it is.
#[test]
fn two_causes_are_two_findings() {
    let good = steps();
    // Far from each other, and from the ends.
    let (first, second) = (3, 12);
    assert!(second + FAR + 1 < good.len());
    let mut wrong = Vec::new();
    for one in CHANGES {
        for other in CHANGES {
            let mut bad = good.clone();
            // The later one first, so that its place is still the same.
            let done = apply(other, &mut bad, second).and_then(|()| apply(one, &mut bad, first));
            if done.is_none() {
                continue;
            }
            for beside in BESIDE {
                let found = check(&good, text(&bad).as_bytes(), beside);
                let kinds = kinds(&found);
                // Carriage returns are told of once, with their number.
                let least = if one == Change::Return && other == Change::Return { 1 } else { 2 };
                if kinds.len() < least {
                    wrong.push(format!("{one:?} and {other:?}, {beside:?}: {kinds:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What an honest token may say (a time that is wrong, a parent that is nowhere, a workload that began elsewhere) hides nothing
/// that was done to its line, or after it.
#[test]
fn what_tokens_say_hides_nothing() {
    let odd = |line: &str, was: &str, is: &str| forge(&line.replacen(was, is, 1), &|line| line.into(), None);
    // With the links of the log, and those between steps.
    let relink = |lines: &mut Lines, from: usize| {
        for at in from..lines.len() {
            let said = |line: &str| Token::parse(line).unwrap().content_hash.to_cow().into_owned();
            let (before, link) = (said(&lines[at]), Some(leaf_hash(lines[at - 1].as_bytes())));
            lines[at] = forge(&lines[at], &|line| line.into(), link);
            let after = said(&lines[at]);
            lines.iter_mut().skip(at + 1).for_each(|line| *line = line.replace(&before, &after));
        }
    };
    let steps = steps();
    for (number, (was, is, kind)) in [
        ("\"timestamp\": \"2025", "\"timestamp\": \"2125", Kind::FutureTimestamp),
        ("\"timestamp\": \"2025", "\"timestamp\": \"never", Kind::BadTimestamp),
        ("\"parent_id\": null", "\"parent_id\": \"nowhere\"", Kind::MissingParent),
    ]
    .into_iter()
    .enumerate()
    {
        let mut good = steps.clone();
        good[2] = odd(&good[2], was, is);
        relink(&mut good, 3);
        for beside in BESIDE {
            assert_eq!(kinds(&check(&good, text(&good).as_bytes(), beside)), [(kind, 3)], "{number}");
            for change in CHANGES {
                for at in [2, 12] {
                    let mut bad = good.clone();
                    if apply(change, &mut bad, at).is_none() || !is_seen(change, beside, at, good.len()) {
                        continue;
                    }
                    let found = kinds(&check(&good, text(&bad).as_bytes(), beside));
                    let of_bytes = found.iter().filter(|(other, _)| *other != kind).count();
                    assert!(of_bytes > 0, "{change:?} of line {}, {beside:?}: {found:?}", at + 1);
                }
            }
        }
    }
    // Steps whose workload began in a segment before this one, which is a matter of whoever knows that one.
    let good = &steps[1..];
    let start = Start::After(leaf_hash(steps[0].as_bytes()));
    let seed = Seed::from_u64(1);
    let run = |bad: &[String]| {
        let settings = Settings { start, ..settings(Made::default()) };
        let mut found = Vec::new();
        let against = against(good, Beside::Tree);
        let mut verifier = Verifier::with_checker(settings, against, &seed, StepChecker::new(&seed));
        verifier.push(text(bad).as_bytes(), &mut |finding| found.push(finding));
        let _ = verifier.finish(&mut |finding| found.push(finding));
        found.retain(|finding| !matches!(finding.kind, Kind::MissingParent | Kind::Other("missing_workload")));
        kinds(&found)
    };
    assert_eq!(run(good), []);
    for change in CHANGES {
        let mut bad = good.to_vec();
        if apply(change, &mut bad, 0).is_some() {
            assert!(!run(&bad).is_empty(), "{change:?}");
        }
    }
    // All of it made anew, its head cut off, its tail.
    let mut anew: Lines = good.iter().map(|line| edited(line)).collect();
    anew[0] = forge(&anew[0], &|line| line.into(), Some(leaf_hash(steps[0].as_bytes())));
    relink(&mut anew, 1);
    for bad in [&anew[..], &good[1..], &good[..good.len() - 1], &[]] {
        assert!(!run(bad).is_empty());
    }
}

#[test]
fn carriage_returns_are_one_finding() {
    let good = steps();
    let all: String = good.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
    for beside in BESIDE {
        let found = check(&good, all.as_bytes(), beside);
        assert_eq!(kinds(&found), [(Kind::LineEnd, 1)], "{beside:?}");
        let count = if beside == Beside::Nothing { good.len() - 1 } else { good.len() };
        let told = found[0].actual.clone().unwrap();
        assert!(beside == Beside::Checkpoint || told.ends_with(&format!("as in {count} lines")), "{beside:?}: {told}");
    }
    // Where nothing links, nor a checkpoint says otherwise, they are white space, as to the reference.
    let mut plain = String::new();
    for line in log(3, Made::default()) {
        let token = Token::parse(&line).unwrap();
        let bare = Token { eraan: Value::EMPTY_ARRAY, parent_id: None, ..token };
        let hash = bare.content_hash(None).unwrap().to_string();
        let mut out = Vec::new();
        bare.with(Text::new(&hash), Text::EMPTY).write_json(&mut out).unwrap();
        plain.push_str(&String::from_utf8(out).unwrap());
        plain.push_str("\r\n");
    }
    assert_eq!(run(plain.as_bytes(), settings(Made::default()), None).0, []);
}

/// A segment whose head is cut off has one finding: that what it links to is another than the end of the segment before follows.
#[test]
fn a_cut_head_of_a_segment_is_one_finding() {
    let steps = steps();
    let (before, good) = steps.split_at(7);
    let start = Start::After(leaf_hash(before[6].as_bytes()));
    for cut in 1..4 {
        for beside in [Beside::Nothing, Beside::Tree] {
            let seed = Seed::from_u64(1);
            let settings = Settings { start, ..settings(Made::default()) };
            let mut found = Vec::new();
            let mut verifier = Verifier::new(settings, against(good, beside), &seed);
            verifier.push(text(&good[cut..]).as_bytes(), &mut |finding| found.push(finding));
            let _ = verifier.finish(&mut |finding| found.push(finding));
            found.retain(|finding| finding.kind != Kind::MissingParent);
            let kind = if beside == Beside::Tree { Kind::Dropped } else { Kind::Link };
            assert_eq!(kinds(&found), [(kind, 1)], "{cut} {beside:?}");
        }
    }
}

#[test]
fn nothing_stands_before_the_entry_that_begins_the_log() {
    let good = steps();
    let forged = |name: &str| {
        let line = good[2].replacen("tibet_", name, 1);
        let unlinked = Token { eraan: Value::EMPTY_ARRAY, ..Token::parse(&line).unwrap() };
        let hash = unlinked.content_hash(None).unwrap().to_string();
        let mut out = Vec::new();
        unlinked.with(Text::new(&hash), Text::EMPTY).write_json(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    for beside in BESIDE {
        for (before, count) in [(vec![forged("evil_")], 1), (vec![forged("evil_"), forged("bad_")], 2)] {
            let mut bad = good.clone();
            let _ = bad.splice(0..0, before);
            let found = check(&good, text(&bad).as_bytes(), beside);
            let line = found.iter().map(|finding| finding.line).min();
            let inserted = found.iter().any(|finding| finding.kind == Kind::Inserted);
            assert!(inserted && line == Some(1) && (found.len() <= count), "{beside:?}: {:?}", kinds(&found));
        }
        // Another log behind this one.
        let two: Vec<String> = good.iter().chain(&good).cloned().collect();
        let found = kinds(&check(&good, text(&two).as_bytes(), Beside::Nothing));
        assert!(found.contains(&(Kind::Inserted, good.len() as u64 + 1)), "{found:?}");
    }
}
