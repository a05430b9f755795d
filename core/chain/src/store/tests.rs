use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::{ChainFault, Found, Query, Store, StoreError, StoreLimits};
use crate::token::Token;
use sluis_core::Seed;
use sluis_core::data::Text;

fn store(limits: StoreLimits) -> Store {
    Store::new(limits, &Seed::from_u64(1))
}

fn add(store: &mut Store, id: &str, parent: Option<&str>) {
    let token = Token {
        token_id: Text::new(id),
        action: Text::new("a\u{e9}"),
        parent_id: parent.map(Text::new),
        ..Token::default()
    };
    let hash = token.content_hash(None).unwrap().to_string();
    store.add(&token.with(Text::new(&hash), Text::EMPTY)).unwrap();
}

#[test]
fn it_never_passes_its_limits() {
    let mut few = store(StoreLimits { tokens: 2, ..StoreLimits::default() });
    add(&mut few, "a", None);
    add(&mut few, "b", None);
    assert_eq!(few.add(&Token::default()), Err(StoreError::TooManyTokens));
    let one = few.bytes / 2;
    let mut small = store(StoreLimits { bytes: one, ..StoreLimits::default() });
    add(&mut small, "a", None);
    assert_eq!(small.add(&Token::default()), Err(StoreError::TooManyBytes));
    small.clear();
    assert_eq!((small.len(), small.bytes, small.get(Text::new("a"))), (0, 0, None));
    add(&mut small, "b", None);
    assert_eq!(small.len(), 1);
}

#[test]
fn texts_are_the_same_however_they_are_spelled() {
    let mut store = store(StoreLimits::default());
    let line = |id: &str| {
        format!(r#"{{"token_id":"{id}","action":"\u00c9","timestamp":"","actor":"x","parent_id":"\u0041"}}"#)
    };
    store.add_line(line("\\u0061\\u00e9").as_bytes()).unwrap();
    assert!(store.get(Text::new("a\u{e9}")).is_some());
    assert_eq!(store.find(&Query { action: Text::new("\u{c9}"), ..Query::default() }).len(), 1);
    assert_eq!(store.children(Text::new("A")).count(), 1);
    let mut bad = Vec::new();
    let file = format!("{}\n\n  \r\nnothing\n{}", line("b"), line("c"));
    store.add_lines(file.as_bytes(), |line, _| bad.push(line));
    assert_eq!((store.len(), bad.as_slice()), (3, &[4][..]));
}

/// Long chains, wide families: everything is found, and nothing takes time beyond what it gives.
#[test]
fn many_tokens() {
    let mut store = store(StoreLimits::default());
    let many = 20_000;
    for n in 0..many {
        let parent = (n > 0).then(|| format!("t{}", n - 1));
        add(&mut store, &format!("t{n}"), parent.as_deref());
        add(&mut store, &format!("c{n}"), Some("hub"));
    }
    let last = format!("t{}", many - 1);
    assert_eq!(store.verify(Text::new(&last), None), Ok(many));
    assert_eq!(store.trace(Text::new(&last), many * 2).count(), many);
    assert_eq!(store.children(Text::new("hub")).count(), many);
    assert!(store.children(Text::new("hub")).enumerate().all(|(n, child)| child.token_id == format!("c{n}").as_str()));
    assert_eq!(store.find(&Query::default()).len(), 100);
    assert_eq!(store.find(&Query { action: Text::new("a\u{e9}"), limit: 0, ..Query::default() }).len(), 2 * many);
    let tree = store.tree(Text::new("t0"), usize::MAX, 1000);
    assert_eq!((tree.len(), tree.last().unwrap().found), (1001, Found::Truncated));
    let missing = ChainFault::MissingParent { token_id: Text::new("c7"), parent_id: Text::new("hub") };
    assert_eq!(store.verify(Text::new("c7"), None), Err(missing));
    assert_eq!(missing.to_string(), String::from("token c7 has a parent that is missing: hub"));
}
