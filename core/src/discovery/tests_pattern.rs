//! Patterns against a backtracking matcher.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

#[test]
fn patterns_match_as_pythons_do() {
    for (pattern, yes, no) in [
        ("jis:home:", &["jis:home:", "jis:home:a"][..], &["jis:office:", "xjis:home:"][..]),
        ("jis.home", &["jis:home", "jis-home:x"], &["jishome"]),
        ("a$", &["a"], &["ab", "a\n"]),
        ("a\\Z", &["a"], &["ab"]),
        ("^a", &["ab"], &["ba"]),
        ("a|b", &["ax", "bad"], &["cab"]),
        ("(?:a|b)c$", &["ac", "bc"], &["abc", "a"]),
        ("(ab)+$", &["ab", "abab"], &["aba", ""]),
        ("a{2,3}$", &["aa", "aaa"], &["a", "aaaa"]),
        ("a{2}$", &["aa"], &["a", "aaa"]),
        ("a{2,}$", &["aa", "aaaaa"], &["a"]),
        ("a{,2}$", &["", "a", "aa"], &["aaa"]),
        ("x*$", &["", "xxx"], &["y"]),
        ("x?y", &["y", "xy"], &["xxy"]),
        ("s\\d+$", &["s12"], &["sx", "s", "s\u{663}"]),
        ("[a-c_]+$", &["ab_c"], &["ad"]),
        ("[^a-c]$", &["d", "é"], &["a"]),
        ("[]a]+$", &["]a"], &["b"]),
        ("[a-]$", &["-", "a"], &["b"]),
        ("\\.\\*$", &[".*"], &["a*"]),
        ("(?i)JIS:[A-F]$", &["jis:a", "JIS:F"], &["jis:g"]),
        ("\\W\\S", &[":x"], &["ax", ": "]),
        ("", &["", "anything"], &[]),
        (".*é$", &["caf\u{e9}"], &["cafe"]),
    ] {
        let compiled = Pattern::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        yes.iter().for_each(|text| assert!(compiled.matches(text), "{pattern} {text:?}"));
        no.iter().for_each(|text| assert!(!compiled.matches(text), "{pattern} {text:?}"));
    }
    let long = "a".repeat(257);
    for bad in [
        "(", ")", "a)", "*", "a**", "a|*", "[a", "[b-a]", "\\", "(?!a)", "(?=a)", "(?P<n>a)", "(a)\\1", "\\b",
        "a{3,2}", "a{65}", "a{", "{1}", "^*", "$+",
    ]
    .into_iter()
    .chain(["((((((((((((((((((a))))))))))))))))))", "((((a{64}){64}){64}))", &long])
    {
        assert!(Pattern::new(bad).is_err(), "{bad}");
    }
}

/// What makes a backtracking matcher take for ever takes some steps.
#[test]
fn evil_patterns_cost_what_others_cost() {
    let text = "a".repeat(4000);
    for pattern in ["(a+)+b", "(a|a)*b", "(a*)*b", "(a?){64}a{64}b", ".*.*.*.*.*b"] {
        assert!(!Pattern::new(pattern).unwrap().matches(&text), "{pattern}");
    }
}

/// A pattern as a tree, and a plain matcher: every length that a prefix of the text may have.
#[derive(Clone, Debug)]
enum Tree {
    Char(char),
    Any,
    Seq(Vec<Tree>),
    Or(Vec<Tree>),
    Many(std::boxed::Box<Tree>, u8),
}

impl Tree {
    fn write(&self) -> String {
        match self {
            Self::Char(c) => c.to_string(),
            Self::Any => ".".to_string(),
            Self::Seq(parts) => parts.iter().map(Self::write).collect(),
            Self::Or(parts) => format!("({})", parts.iter().map(Self::write).collect::<Vec<_>>().join("|")),
            Self::Many(part, kind) => format!("(?:{}){}", part.write(), ["*", "+", "?", "{2}"][usize::from(*kind)]),
        }
    }

    fn ends(&self, text: &[char], from: usize) -> Vec<usize> {
        let mut ends = match self {
            Self::Char(c) => text.get(from).filter(|found| *found == c).map(|_| from + 1).into_iter().collect(),
            Self::Any => text.get(from).map(|_| from + 1).into_iter().collect(),
            Self::Seq(parts) => parts.iter().fold(std::vec![from], |starts, part| {
                starts.into_iter().flat_map(|start| part.ends(text, start)).collect()
            }),
            Self::Or(parts) => parts.iter().flat_map(|part| part.ends(text, from)).collect(),
            Self::Many(part, kind) => {
                let (least, most) = [(0, 9), (1, 9), (0, 1), (2, 2)][usize::from(*kind)];
                let (mut now, mut all) = (std::vec![from], Vec::new());
                for n in 0..=most {
                    if n >= least {
                        all.extend(now.iter().copied());
                    }
                    now = now.into_iter().flat_map(|start| part.ends(text, start)).collect();
                    now.sort_unstable();
                    now.dedup();
                }
                all
            }
        };
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![3 => (0..3_usize).prop_map(|n| Tree::Char(['a', 'b', ':'][n])), 1 => Just(Tree::Any)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Tree::Seq),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Tree::Or),
            (inner, 0..4_u8).prop_map(|(part, kind)| Tree::Many(part.into(), kind)),
        ]
    })
}

proptest! {
    #[test]
    fn a_pattern_matches_what_a_plain_matcher_matches(tree in tree(), text in "[ab:]{0,8}", whole in any::<bool>()) {
        let chars: Vec<char> = text.chars().collect();
        let ends = tree.ends(&chars, 0);
        let (pattern, expected) = match whole {
            true => (format!("(?:{})$", tree.write()), ends.contains(&chars.len())),
            false => (tree.write(), !ends.is_empty()),
        };
        prop_assert_eq!(Pattern::new(&pattern).unwrap().matches(&text), expected, "{}", pattern);
    }

    #[test]
    fn any_text_is_a_pattern_or_not(pattern in any::<String>(), meta in "[a(){}|*+?\\[\\]\\\\^$.,0-9:-]{0,24}", text in any::<String>()) {
        for pattern in [&pattern, &meta] {
            if let Ok(pattern) = Pattern::new(pattern) {
                let _ = pattern.matches(&text);
            }
        }
    }
}
