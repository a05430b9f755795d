//! What is found in files that nobody attacked.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::token::KnownKeys;
use crate::verify::{Seals, Start};
use sluis_core::identity::Verifier as Key;

#[test]
fn a_log_is_right() {
    for made in [(false, false), (true, false), (false, true), (true, true)] {
        let made = Made { mac: made.0, sealed: made.1 };
        let lines = log(50, made);
        let against = Against::checkpoint(&checkpoint(&lines[..40])).with_tree(leaves(&lines)).unwrap();
        let mut key = [Key::new(signer().public().to_bytes()).unwrap()];
        let seals = if made.sealed {
            Seals::Known { authority: std::boxed::Box::new(KnownKeys::new(&mut key)), required: true }
        } else {
            Seals::Consistent
        };
        let settings = Settings { seals, tree: true, ..settings(made) };
        let (found, summary) = run(text(&lines).as_bytes(), settings, Some(against));
        assert_eq!(found, []);
        assert_eq!((summary.lines, summary.entries, summary.tokens, summary.linked), (50, 50, 50, true));
        assert_eq!(summary.root, Some(checkpoint(&lines).root));
        assert_eq!(summary.last, leaves(&lines).last().copied());
    }
}

#[test]
fn nothing_is_a_file_too() {
    let (found, summary) = run(b"", Settings::default(), Some(Against::checkpoint(&checkpoint(&[]))));
    assert_eq!((found, summary.lines), (Vec::new(), 0));
    let (found, _) = run(b"\n \t\n\x1c\n", Settings::default(), None);
    assert_eq!(found, []);
}

#[test]
fn the_last_line_needs_no_line_feed_if_it_is_whole() {
    let lines = log(3, Made::default());
    let file = text(&lines);
    let whole = file.trim_end();
    assert_eq!(run(whole.as_bytes(), settings(Made::default()), None).0, []);
    let (found, summary) = run(&whole.as_bytes()[..whole.len() - 9], settings(Made::default()), None);
    assert_eq!(kinds(&found), [(Kind::BrokenLine, 3)]);
    assert_eq!(found[0].expected.as_deref(), Some("a whole line, with a line feed"));
    assert_eq!((summary.entries, summary.tokens), (3, 2));
}

fn one(line: &str) -> Vec<Finding> {
    run(line.as_bytes(), Settings { now: Some(NOW), ..Settings::default() }, None).0
}

#[test]
fn lines_that_are_no_tokens_are_named() {
    let good = &log(1, Made::default())[0];
    for (line, expected) in [
        ("not json", "one JSON object"),
        ("[]", "the members of a token"),
        ("{}", "the members of a token"),
        (&good.replace("\"erin\"", "\"other\""), "the members of a token"),
        (&good.replace("created", "lost"), "the members of a token"),
        // The hash would hold: it covers the last one.
        (&good.replace("\"action\": ", "\"action\": \"evil\", \"action\": "), "the members of a token"),
        ("\u{feff}{}", "one JSON object"),
    ] {
        let found = run(format!("{line}\n{good}\n").as_bytes(), settings(Made::default()), None).0;
        assert_eq!(kinds(&found), [(Kind::BrokenLine, 1)], "{line}");
        assert_eq!((found[0].expected.as_deref(), &found[0].token_id), (Some(expected), &None));
    }
    let found = run(b"{\"token_id\": \"\xff\"}\n", Settings::default(), None).0;
    assert_eq!((found[0].kind, found[0].actual.as_deref()), (Kind::BrokenLine, Some("not UTF-8 at byte 14")));
}

#[test]
fn times_are_checked_against_ours() {
    let good = &log(1, Made::default())[0];
    let at = |stamp: &str| forge(good, &|line| line.replace("2025-01-15T12:00:00+00:00", stamp), None);
    for (stamp, kind) in [
        ("2025-01-15T12:01:00+00:00", None),
        ("2025-01-15T12:01:01+00:00", Some(Kind::FutureTimestamp)),
        // Local time, somewhere.
        ("2025-01-16T02:00:00", None),
        ("2025-01-16T02:00:01", Some(Kind::FutureTimestamp)),
        ("yesterday", Some(Kind::BadTimestamp)),
        ("", Some(Kind::BadTimestamp)),
    ] {
        let found = one(&at(stamp));
        assert_eq!(found.iter().map(|finding| finding.kind).next(), kind, "{stamp}");
        // Without a clock there is no future.
        let blind = run(at(stamp).as_bytes(), Settings::default(), None).0;
        assert_eq!(blind.len(), usize::from(kind == Some(Kind::BadTimestamp)));
    }
}

#[test]
fn hashes_that_are_not_there_or_not_right_are_named() {
    let good = &log(1, Made::default())[0];
    let hash = Token::parse(good).unwrap().content_hash.to_cow().into_owned();
    let found = one(&good.replace(&hash, ""));
    assert_eq!(kinds(&found), [(Kind::MissingHash, 1)]);
    assert_eq!(found[0].expected.as_deref(), Some(&*hash));
    let found = one(&good.replace("because", "why not"));
    assert_eq!((found[0].kind, found[0].token_id.as_deref()), (Kind::ContentHash, Some(&*id(good))));
    assert_eq!(found[0].expected.as_deref(), Some(&*hash));
    let odd = forge(good, &|line| line.replace("\"n\": 0", "\"n\": NaN"), None);
    assert_eq!(kinds(&one(&odd)), [(Kind::NonFinite, 1)]);
}

#[test]
fn ids_and_parents_are_followed() {
    let token = |id: &str, parent: Option<&str>| {
        let token = Token {
            token_id: Text::new(id),
            timestamp: Text::new("2025-01-15T12:00:00"),
            parent_id: parent.map(Text::new),
            ..Token::default()
        };
        let hash = token.content_hash(None).unwrap().to_string();
        let mut out = Vec::new();
        token.with(Text::new(&hash), Text::EMPTY).write_json(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let all = [
        token("a", None),
        token("b", Some("a")),
        token("early", Some("late")),
        token("a", None),
        token("late", None),
        token("orphan", Some("nobody")),
        token("self", Some("self")),
        token("x", Some("z")),
        token("y", Some("x")),
        token("z", Some("y")),
        token("into", Some("z")),
    ];
    let (found, _) = run(text(&all).as_bytes(), settings(Made::default()), None);
    assert_eq!(
        kinds(&found),
        [(Kind::DuplicateId, 4), (Kind::ParentCycle, 7), (Kind::MissingParent, 6), (Kind::ParentCycle, 8)]
    );
    let named: Vec<_> = found.iter().map(|finding| finding.token_id.as_deref().unwrap()).collect();
    assert_eq!(named, ["a", "self", "orphan", "x"]);
    assert_eq!(found[2].expected.as_deref(), Some("nobody"));
    // However an id is written, it is the same id.
    let escaped = [token("a", None), token("b", Some("a")).replace("\"a\"", "\"\\u0061\"")];
    assert_eq!(run(text(&escaped).as_bytes(), settings(Made::default()), None).0, []);
}

#[test]
fn an_edited_id_is_one_finding() {
    for made in [Made::default(), Made { mac: true, sealed: false }] {
        let lines = log(5, made);
        let (victim, other) = (id(&lines[2]), id(&lines[4]));
        for with in ["tibet_x", &other] {
            let mut bad = lines.clone();
            bad[2] = bad[2].replacen(&victim, with, 1);
            let (found, _) = run(text(&bad).as_bytes(), settings(made), None);
            assert_eq!(kinds(&found), [(Kind::ContentHash, 3)]);
        }
    }
    // A parent that is missing for another reason is still told.
    let mut lines = log(5, Made::default());
    lines[2] = lines[2].replace("because", "why not");
    lines[4] = lines[4].replacen(&id(&lines[3]), "nobody", 1);
    lines[4] = forge(&lines[4], &|line| line.into(), None);
    let (found, _) = run(text(&lines).as_bytes(), settings(Made::default()), None);
    assert_eq!(kinds(&found), [(Kind::ContentHash, 3), (Kind::MissingParent, 5)]);
}

#[test]
fn a_broken_line_explains_its_children_and_no_others() {
    let lines = log(5, Made::default());
    let orphan = forge(&lines[4].replacen(&id(&lines[3]), "nobody", 1), &|line| line.into(), None);
    let elsewhere = forge(&lines[4].replacen(&id(&lines[3]), &id(&lines[1]), 1), &|line| line.into(), None);
    for broken in ["{broken", &lines[1][..lines[1].len() / 2]] {
        let mut bad = lines.clone();
        bad[1] = broken.into();
        let told = |bad: &[String]| kinds(&run(text(bad).as_bytes(), settings(Made::default()), None).0);
        // The next line follows from it.
        assert_eq!(told(&bad), [(Kind::BrokenLine, 2)]);
        bad[4].clone_from(&elsewhere);
        assert_eq!(told(&bad), [(Kind::BrokenLine, 2)], "so may a later one");
        bad[4].clone_from(&orphan);
        assert_eq!(told(&bad), [(Kind::BrokenLine, 2), (Kind::MissingParent, 5)]);
    }
}

#[test]
fn seals_are_judged() {
    let made = Made { mac: false, sealed: true };
    let lines = log(3, made);
    let file = text(&lines);
    let seals = |keys: &'static [[u8; 32]], required| Seals::Known {
        authority: std::boxed::Box::new(KnownKeys::new(std::boxed::Box::leak(
            keys.iter().map(|key| Key::new(*key).unwrap()).collect::<Vec<_>>().into_boxed_slice(),
        ))),
        required,
    };
    let own: &'static _ = std::boxed::Box::leak(std::boxed::Box::new([signer().public().to_bytes()]));
    let with = |seals, file: &str| kinds(&run(file.as_bytes(), Settings { seals, ..settings(made) }, None).0);
    assert_eq!(with(seals(own, true), &file), []);
    assert_eq!(with(seals(&[], true), &file), [(Kind::UnknownKey, 1), (Kind::UnknownKey, 2), (Kind::UnknownKey, 3)]);
    let signature = Token::parse(&lines[2]).unwrap().signature.to_cow().into_owned();
    let unsigned = file.replace(&signature, "");
    assert_eq!(with(seals(own, true), &unsigned), [(Kind::Unsigned, 3)]);
    assert_eq!(with(seals(own, false), &unsigned), []);
    let mut last = signature.clone();
    let end = if last.pop() == Some('0') { '1' } else { '0' };
    last.push(end);
    let bad = file.replace(&signature, &last);
    assert_eq!(with(seals(own, false), &bad), [(Kind::BadSignature, 3)]);
    assert_eq!(with(Seals::Consistent, &bad), [(Kind::BadSignature, 3)]);
    assert_eq!(with(Seals::Ignore, &bad), []);
}

#[test]
fn segments_follow_one_another() {
    let lines = log(6, Made::default());
    let rest = text(&lines[3..]);
    let after = leaves(&lines)[2];
    // Its first parent is in the segment before.
    let start = |start| run(rest.as_bytes(), Settings { start, ..settings(Made::default()) }, None).0;
    assert_eq!(kinds(&start(Start::After(after))), [(Kind::MissingParent, 1)]);
    assert_eq!(kinds(&start(Start::Unknown)), [(Kind::MissingParent, 1)]);
    assert_eq!(kinds(&start(Start::Fresh)), [(Kind::Dropped, 1)]);
    assert_eq!(kinds(&start(Start::After([7; 32]))), [(Kind::Link, 1)]);
}

#[test]
fn an_adopted_entry_needs_no_link() {
    let sealed = Made { mac: false, sealed: true };
    let foreign = &log(1, sealed)[0].replace("tibet_", "other_");
    // Its hash and seal are those of before the renaming; make the hash right, and leave the seal out of account.
    let foreign = forge(foreign, &|line| line.into(), None);
    let mut lines = log(2, Made::default());
    let mut log = Log::from_leaves(&Seed::from_u64(10), leaves(&lines));
    log.adopt(foreign.as_bytes()).unwrap();
    lines.push(foreign);
    let mut out = [0; 1024];
    let draft = Token { action: Text::new("after"), ..Token::default() };
    let len = log.append(now(9), &draft, Protection::default(), &mut out).unwrap().len;
    lines.push(String::from_utf8(out[..len - 1].to_vec()).unwrap());
    assert_eq!(run(text(&lines).as_bytes(), settings(Made::default()), None).0, []);
    // Without a seal it does.
    let seal = Token::parse(&lines[2]).unwrap().signature.to_cow().into_owned();
    let bare = text(&lines).replace(&seal, "");
    assert_eq!(kinds(&run(bare.as_bytes(), settings(Made::default()), None).0), [(Kind::Link, 3)]);
}

#[test]
fn long_lines_are_named_and_counted() {
    let mut lines = log(3, Made::default());
    let long = format!(r#"{{"x": "{}"}}"#, "y".repeat(200_000));
    let short = Settings { max_line: 2000, ..settings(Made::default()) };
    lines.insert(1, long.clone());
    let (found, summary) = run(text(&lines).as_bytes(), short, None);
    // The line after it does not link to it: that follows.
    assert_eq!(kinds(&found), [(Kind::LineTooLong, 2)]);
    assert_eq!(found[0].actual.as_deref(), Some("200009 bytes"));
    assert_eq!((summary.lines, summary.entries, summary.tokens), (4, 4, 3));
    // As long as a piece, or as two; at the end of the file; many.
    for len in [2001, 65_000, 65_536, 131_072] {
        let file = format!("{}\n{}", "x".repeat(len), "y".repeat(len));
        let settings = Settings { max_line: 2000, ..Settings::default() };
        let (found, summary) = run(file.as_bytes(), settings, None);
        assert_eq!(kinds(&found), [(Kind::LineTooLong, 1), (Kind::LineTooLong, 2)], "{len}");
        assert_eq!(summary.last, Some(leaf_hash("y".repeat(len).as_bytes())));
    }
}

#[test]
fn findings_have_a_json_form() {
    let finding = Finding {
        line: 3,
        token_id: Some("a\"b".into()),
        kind: Kind::ContentHash,
        expected: Some("x".into()),
        actual: None,
    };
    let mut out = Vec::new();
    finding.write_json(&mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"event":"finding","line":3,"token_id":"a\"b","kind":"content_hash","expected":"x","actual":null}"#
    );
    assert_eq!(finding.to_string(), r#"line 3, token a\"b: content_hash: expected x"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same file in any pieces has the same findings.
    #[test]
    fn chunking_does_not_matter(
        cuts in prop::collection::vec(1_usize..5000, 1..30),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        max_line in prop_oneof![Just(100_usize), Just(700), Just(1 << 20)],
    ) {
        let lines = log(40, Made::default());
        let mut file = text(&lines).into_bytes();
        for (at, byte) in edits {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let settings = || Settings { max_line, ..settings(Made::default()) };
        let against = || Some(Against::checkpoint(&checkpoint(&lines)).with_tree(leaves(&lines)).unwrap());
        let whole = run(&file, settings(), against());
        let mut found = Vec::new();
        let mut verifier = Verifier::new(settings(), against(), &Seed::from_u64(2));
        let mut rest = &file[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at(*cut.min(&rest.len()));
            verifier.push(now, &mut |finding| found.push(finding));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let (summary, ()) = verifier.finish(&mut |finding| found.push(finding));
        prop_assert_eq!((found, summary), whole);
    }
    /// So it does not on several threads.
    #[test]
    fn threads_do_not_matter(
        n in 0_usize..3000, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let lines = log(n, Made::default());
        let mut file = text(&lines).into_bytes();
        for (at, byte) in edits.iter().filter(|_| n > 0) {
            let at = at.index(file.len());
            file[at] = *byte;
        }
        let whole = run(&file, settings(Made::default()), Some(Against::checkpoint(&checkpoint(&lines))));
        let found = std::sync::Mutex::new(Vec::new());
        let verify = crate::verify::Parallel::new(
            settings(Made::default()), Some(Against::checkpoint(&checkpoint(&lines))), &Seed::from_u64(3), (), &file[..],
            |finding| found.lock().unwrap().push(finding),
        );
        #[allow(clippy::disallowed_methods, reason = "a test may start threads")]
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| verify.work());
            }
        });
        let (summary, ()) = verify.finish().unwrap();
        prop_assert_eq!((found.into_inner().unwrap(), summary), whole);
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    struct Half(&'static [u8]);
    impl std::io::Read for Half {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() { Err(std::io::Error::other("the disk is gone")) } else { self.0.read(into) }
        }
    }
    let verify = crate::verify::Parallel::new(Settings::default(), None, &Seed::from_u64(3), (), Half(b"x\n"), |_| {});
    assert_eq!(verify.finish().unwrap_err().to_string(), "the disk is gone");
}

/// A log in which a member of the third entry is such that the verifier finds something in it, by its hash or by itself.
fn honestly_odd(field: &str) -> Lines {
    let mut lines = log(6, Made::default());
    for at in 2..lines.len() {
        let link = Some(leaf_hash(lines[at - 1].as_bytes()));
        lines[at] = match (at, field) {
            (2, "content_hash") => forge(&lines[at], &|line| line.into(), link).replace("because", "perhaps"),
            (2, "timestamp") => {
                forge(&lines[at], &|line| line.replace("\"timestamp\": \"2025", "\"timestamp\": \"2125"), link)
            }
            _ => forge(&lines[at], &|line| line.into(), link),
        };
    }
    lines
}

#[test]
fn what_was_wrong_before_the_checkpoint_hides_no_change_after_it() {
    for (field, kind) in [("content_hash", Kind::ContentHash), ("timestamp", Kind::FutureTimestamp)] {
        let lines = honestly_odd(field);
        let against = || Some(Against::checkpoint(&checkpoint(&lines)));
        let check = |lines: &Lines| kinds(&run(text(lines).as_bytes(), settings(Made::default()), against()).0);
        assert_eq!(check(&lines), [(kind, 3)]);
        // The last entry made anew: nothing links to it.
        let mut bad = lines.clone();
        bad[5] = forge(&bad[5], &|line| line.replace("because", "perhaps"), None);
        assert_eq!(check(&bad), [(kind, 3), (Kind::Root, 7)]);
        // Nor does what is appended later hide it.
        bad.push("broken".into());
        assert_eq!(check(&bad), [(kind, 3), (Kind::BrokenLine, 7), (Kind::Root, 8)]);
    }
}
