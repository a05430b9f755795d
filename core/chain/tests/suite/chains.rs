//! `chains.jsonl`, `store_find.jsonl`, `filestore.jsonl` and `provider.jsonl`: tokens in memory, in files and in the making.

use crate::common::{Deviations, Json, Row, fixture_bytes, rows, unhex};
use sluis_chain::audit::{Happening, Judgement, Recorder};
use sluis_chain::store::{ChainFault, Found, Provider, Query, Store, StoreLimits, Summary};
use sluis_chain::token::{State, Token};
use sluis_core::data::{Number, Text, Value};
use sluis_core::framing::{Packet, PingType, RoutingMode};
use sluis_core::identity::MacKey;
use sluis_core::{Instant, Now, Seed, Wall};

use crate::made::token;

/// 2025-01-15T12:00:00Z.
const NOON: Now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));

fn empty() -> Store {
    Store::new(StoreLimits::default(), &Seed::from_u64(1))
}

/// The tokens of a row, or the long chain that it describes.
fn store_of(row: &Row) -> Store {
    let mut store = empty();
    if let Some(tokens) = row.get("tokens").and_then(Json::array) {
        tokens.iter().for_each(|fields| store.add(&token(fields).unwrap()).unwrap());
        return store;
    }
    let minimal = Token {
        action: Text::new("user_login"),
        timestamp: Text::new("2025-01-15T12:00:00"),
        actor: Text::new("jis:humotica:my_app"),
        ..Token::default()
    };
    let bad = "f".repeat(64);
    for n in 0..150 {
        let (id, parent) = (format!("n{n:03}"), format!("n{:03}", n - 1));
        let parent_id = (n > 0).then(|| Text::new(&parent));
        let token = Token { token_id: Text::new(&id), parent_id, ..minimal };
        let hash = token.content_hash(None).unwrap().to_string();
        let hash = if row.id().starts_with("tampering") && n == 10 { &bad } else { &hash };
        store.add(&token.with(Text::new(hash), Text::EMPTY)).unwrap();
    }
    store
}

fn ids<'a>(tokens: impl Iterator<Item = Token<'a>>) -> String {
    tokens.map(|token| token.token_id.to_string()).collect::<Vec<_>>().join(" ")
}

fn texts(json: Option<&Json>) -> Vec<String> {
    json.and_then(Json::array).unwrap_or_default().iter().map(|text| text.str().unwrap().to_owned()).collect()
}

fn verified(result: Result<usize, ChainFault<'_>>) -> &'static str {
    match result {
        Ok(_) => "true",
        Err(ChainFault::Token { .. }) => "false",
        Err(ChainFault::UnknownToken) => "unknown_token",
        Err(ChainFault::MissingParent { .. }) => "missing_parent",
        Err(ChainFault::Cycle { .. }) => "parent_cycle",
    }
}

/// A summary as one text; `actors` is a set.
fn summary(length: i64, valid: bool, mut actors: Vec<String>, rest: &[String]) -> String {
    actors.sort();
    format!("{length} {valid} {actors:?} {rest:?}")
}

fn our_summary(found: &Summary<'_>) -> String {
    let text = |text: Option<Text<'_>>| text.map(|text| text.to_string()).unwrap_or_default();
    let mut rest: Vec<_> = found.actions.iter().map(ToString::to_string).collect();
    rest.extend([text(found.start), text(found.end), text(found.root_id)]);
    let actors = found.actors.iter().map(ToString::to_string).collect();
    summary(i64::try_from(found.length).unwrap(), found.fault.is_none(), actors, &rest)
}

fn reference_summary(result: &Json) -> String {
    let text = |key: &str| result.get(key).and_then(Json::str).unwrap_or_default().to_owned();
    let mut rest = texts(result.get("actions"));
    rest.extend([text("start"), text("end"), text("root_id")]);
    let (length, valid) = (result.get("length").unwrap().int().unwrap(), result.get("valid").unwrap().bool().unwrap());
    summary(length, valid, texts(result.get("actors")), &rest)
}

/// A nested tree of the tables, one line a node.
fn reference_tree(node: &Json, depth: usize, out: &mut String) {
    let text = |key: &str| node.get(key).and_then(Json::str).unwrap_or_default();
    let what = if node.get("missing").is_some() {
        "missing".into()
    } else if node.get("truncated").is_some() {
        "truncated".into()
    } else {
        let valid = node.get("valid").and_then(Json::bool).unwrap();
        format!("{} {} {} {} {valid}", text("action"), text("actor"), text("timestamp"), text("erachter"))
    };
    *out += &format!("{depth} {}: {what}\n", text("id"));
    for child in node.get("children").and_then(Json::array).unwrap_or_default() {
        reference_tree(child, depth + 1, out);
    }
}

fn our_tree(store: &Store, id: &str, depth: usize) -> String {
    let mut out = String::new();
    for branch in store.tree(Text::new(id), depth, 1_000) {
        let what = match branch.found {
            Found::Token(t) => {
                format!("{} {} {} {} {}", t.action, t.actor, t.timestamp, t.erachter, t.verify(None).is_ok())
            }
            Found::Missing => "missing".into(),
            Found::Truncated => "truncated".into(),
            Found::Cycle => "parent_cycle".into(),
        };
        out += &format!("{} {}: {what}\n", branch.depth, branch.token_id);
    }
    out
}

fn query(store: &Store, query: &Json) -> (String, String) {
    let op = query.get("op").and_then(Json::str).unwrap();
    let id = query.get("token_id").and_then(Json::str).unwrap();
    let result = query.get("result").unwrap();
    let max = query.get("max_depth").and_then(Json::int).map(|max| usize::try_from(max).unwrap());
    let (token_id, trace) = (Text::new(id), max.unwrap_or(Store::TRACE));
    match op {
        "trace" => (texts(Some(result)).join(" "), ids(store.trace(token_id, trace))),
        "verify" => {
            let reference = if result.bool().unwrap() { "true" } else { "false" };
            (reference.into(), verified(store.verify(token_id, None)).into())
        }
        "summary" => (reference_summary(result), our_summary(&store.summary(token_id, None, trace))),
        "root" => (result.str().unwrap_or_default().into(), ids(store.root(token_id, trace).into_iter())),
        "children" => (texts(Some(result)).join(" "), ids(store.children(token_id))),
        "tree" => {
            let mut reference = String::new();
            reference_tree(result, 0, &mut reference);
            (reference, our_tree(store, id, max.unwrap_or(Store::DEPTH)))
        }
        _ => panic!("unknown query {op}"),
    }
}

#[test]
fn chains() {
    let mut deviations = Deviations::of("chains.jsonl");
    for row in rows("chains.jsonl") {
        let store = store_of(&row);
        for asked in row.get("queries").unwrap().array().unwrap() {
            let (reference, ours) = query(&store, asked);
            let (op, id) = (asked.get("op").unwrap().str().unwrap(), asked.get("token_id").unwrap().str().unwrap());
            let max = asked.get("max_depth").and_then(Json::int).map(|max| format!(" {max}")).unwrap_or_default();
            deviations.check(&format!("{}.{op} {id}{max}", row.id()), &reference, &ours);
        }
    }
    deviations.finish();
}

#[test]
fn finds() {
    let mut deviations = Deviations::of("store_find.jsonl");
    let rows = rows("store_find.jsonl");
    let store = store_of(rows.iter().find(|row| row.id() == "store").unwrap());
    for row in rows.iter().filter(|row| row.get("query").is_some()) {
        let asked = row.get("query").unwrap();
        let text = |key: &str| Text::new(asked.get(key).and_then(Json::str).unwrap_or_default());
        let limit = asked.get("limit").and_then(Json::int).unwrap_or(100);
        let ours = match usize::try_from(limit) {
            Ok(limit) => {
                let query = Query { action: text("action"), actor: text("actor"), since: text("since"), limit };
                ids(store.find(&query).into_iter())
            }
            Err(_) => "no such limit".into(),
        };
        deviations.check(row.id(), &texts(row.get("result")).join(" "), &ours);
    }
    deviations.finish();
}

/// What is read of a file. (What is wrong with it is asked in `verify_files`.)
fn file(bytes: &[u8]) -> String {
    let (mut store, mut broken) = (empty(), 0);
    store.add_lines(bytes, |_, _| broken += 1);
    if broken > 0 {
        return "error".into();
    }
    ids(store.tokens())
}

#[test]
fn files() {
    for row in rows("filestore.jsonl").iter().filter(|row| row.get("content").is_some()) {
        let bytes = match row.get("content").unwrap() {
            Json::Str(text) => text.clone().into_bytes(),
            tagged => unhex(tagged.get("$bytes").unwrap().str().unwrap()),
        };
        let ids = row.get("ids").map(|ids| texts(Some(ids)).join(" "));
        assert_eq!(ids.is_none(), row.opt_str("error").is_some(), "{}", row.id());
        assert_eq!(file(&bytes), ids.unwrap_or_else(|| "error".into()), "{}", row.id());
        if let Some(after) = row.opt_str("after_add") {
            assert_eq!(file(after.as_bytes()), "error", "{}: two tokens in one line", row.id());
        }
    }
    // One broken line does not make the others unreadable.
    let torn = rows("filestore.jsonl").into_iter().find(|row| row.id() == "torn_middle_line").unwrap();
    let (mut store, mut broken) = (empty(), Vec::new());
    store.add_lines(torn.str("content").as_bytes(), |line, _| broken.push(line));
    assert_eq!((ids(store.tokens()).as_str(), broken.as_slice()), ("f1 f3", &[2][..]));
}

/// What is read from a file of the reference is written as it was.
#[test]
fn a_file_is_written_as_it_was_read() {
    let bytes = fixture_bytes("filestore_sample.jsonl");
    let mut store = empty();
    store.add_lines(&bytes, |line, why| panic!("{line}: {why}"));
    let written: String = store.lines().flat_map(|line| [line, "\n"]).collect();
    assert_eq!(written.as_bytes(), bytes);
    assert_eq!(store.verify(Text::new("f3"), None), Ok(3));
}

fn provider(row: &Row) -> Provider {
    let provider = Provider::new("jis:me", &Seed::from_u64(1));
    match row.id() {
        "hmac" => provider.key(MacKey::new(b"your_secret_key")),
        "no_auto_chain" => provider.unchained(),
        _ => provider,
    }
}

/// What makes one token of a row, where that is not a plain `create`.
fn happening<'a>(row: &str, n: usize) -> Option<Happening<'a>> {
    let at = |place: &str| Some(place.parse().unwrap());
    let ping = |judgement| Happening::Ping {
        packet: Packet {
            source_did: Text::new("jis:home:sensor"),
            target_did: Text::new("jis:home:hub"),
            ping_type: PingType::Intent,
            routing_mode: RoutingMode::Direct,
            intent: Text::new("temperature.report"),
            purpose: Text::new("Periodic reading"),
            payload: Value::from_json(r#"{"celsius":21.5}"#).unwrap(),
            pod_id: Some(Text::new("kitchen")),
            hop_count: 2,
            ..Packet::default()
        },
        judgement,
        at: None,
    };
    // The reference always says "unknown" here: it looks for a member that responses do not have.
    let judgement = Judgement {
        decision: Text::new("accept"),
        trust_score: Number::Float(0.9),
        zone: Text::new("unknown"),
        rule: None,
    };
    let heartbeat = |at, status: Option<&'a str>| Happening::Heartbeat {
        source: Text::new("jis:s"),
        at,
        status: status.map(Text::new),
    };
    let relay = |source: &'a str, target: &'a str, hop_count, to| Happening::Relay {
        source: Text::new(source),
        target: Text::new(target),
        hop_count,
        to,
    };
    let trust = |old, new, reason: &'a str| Happening::Trust {
        did: Text::new("jis:s"),
        old,
        new,
        reason: Text::new(reason),
        zones: (0.7, 0.3),
    };
    Some(match (row, n) {
        ("from_packet", 0) => ping(None),
        ("from_packet", 1) | ("bridge", 1) => ping(Some(judgement)),
        ("heartbeat", 0) | ("bridge", 2) => heartbeat(None, None),
        ("heartbeat", 1) => heartbeat(None, Some("healthy")),
        ("bridge", 3) => heartbeat(at("127.0.0.1:7150"), Some("healthy")),
        ("bridge", 4) => {
            Happening::Discovery { did: Text::new("jis:new"), at: at("127.0.0.1:7150"), decision: "accepted" }
        }
        ("bridge", 5) => relay("jis:home:sensor", "jis:home:hub", 2, None),
        ("bridge", 6) => relay("a", "b", 3, at("127.0.0.1:9")),
        ("bridge", 7) => trust(0.5, 0.9, "Vouched by admin"),
        ("bridge", 8) => trust(0.3, 0.299_999_99, ""),
        ("bridge", 9) => trust(0.7, 0.699_999_99, ""),
        ("bridge", 10) => trust(0.1, 0.2, ""),
        _ => return None,
    })
}

/// Make the tokens of a row: what a provider was asked for is what it does not fill in itself.
fn remake(row: &Row, provider: &mut Provider, recorder: &mut Recorder) {
    let made = row.get("tokens").unwrap().array().unwrap();
    let all: Vec<Token<'_>> = made.iter().map(|fields| token(fields).unwrap()).collect();
    for (n, wanted) in all.iter().enumerate() {
        // Ids and the clock are those of the table; the parent is given only where it is not the token before.
        let before = n.checked_sub(1).map(|n| all[n].token_id);
        let given = Token {
            parent_id: wanted.parent_id.filter(|parent| Some(*parent) != before),
            actor: if wanted.actor == "jis:me" { Text::EMPTY } else { wanted.actor },
            content_hash: Text::EMPTY,
            ..*wanted
        };
        let drafted = happening(row.id(), n);
        let given = match &drafted {
            None => given,
            Some(happening) => {
                let draft = recorder.draft(happening).unwrap();
                Token { token_id: wanted.token_id, timestamp: wanted.timestamp, ..draft }
            }
        };
        assert_eq!(provider.create(NOON, &given).unwrap(), *wanted, "{} {n}", row.id());
        recorder.follow(wanted.token_id);
    }
}

#[test]
fn providers() {
    let mut remade = 0;
    for row in rows("provider.jsonl").iter().filter(|row| row.get("tokens").is_some()) {
        let (mut provider, mut recorder) = (provider(row), Recorder::new("jis:me"));
        if row.id() == "clear_resets_chain" {
            provider.create(NOON, &Token { action: Text::new("a"), ..Token::default() }).unwrap();
            provider.clear();
        }
        remake(row, &mut provider, &mut recorder);
        assert_eq!(i64::try_from(provider.store().len()).unwrap(), row.int("count"), "{}", row.id());
        let verified = row.get("verify_all").unwrap().object().unwrap();
        for ((token, result), (id, expected)) in provider.verify_all().zip(verified) {
            assert_eq!((token.token_id, result.is_ok()), (Text::new(id), expected.bool().unwrap()), "{}", row.id());
            remade += 1;
        }
        if let Some(jsonl) = row.get("returned").and_then(|returned| returned.get("jsonl")) {
            assert_eq!(provider.store().lines().collect::<Vec<_>>().join("\n"), jsonl.str().unwrap());
        }
    }
    assert!(remade > 40, "{remade}");
}

#[test]
fn changes_of_state() {
    let row = rows("provider.jsonl").into_iter().find(|row| row.id() == "update_state").unwrap();
    let wanted: Vec<_> = row.get("tokens").unwrap().array().unwrap().iter().map(|t| token(t).unwrap()).collect();
    let mut provider = provider(&row);
    for action in ["incident", "other"] {
        provider.create(NOON, &Token { action: Text::new(action), ..Token::default() }).unwrap();
    }
    let first = provider.store().tokens().next().unwrap().token_id.to_string();
    let id = Text::new(&first);
    assert_eq!(provider.store().state(id), Some(State::Created));
    assert_eq!(provider.change_state(NOON, Text::new("nobody"), State::Resolved, ""), Ok(None));
    for (wanted, (state, reason)) in wanted[2..].iter().zip([(State::Mitigated, ""), (State::Resolved, "patched")]) {
        let made = provider.change_state(NOON, id, state, reason).unwrap().unwrap();
        assert_eq!((made.action, made.erachter), (wanted.action, wanted.erachter));
        let erin = wanted.erin.to_json_string().unwrap().replace("tibet_0001", &first);
        assert_eq!(made.erin.to_json_string().unwrap(), erin);
        assert_eq!((made.parent_id, made.verify(None)), (Some(id), Ok(())));
        assert_eq!(provider.store().state(id), Some(state));
        assert_eq!(provider.store().get(id).unwrap().state, State::Created);
    }
}

/// Ids and times are made in the shape of the reference, and time comes in.
#[test]
fn what_a_provider_fills_in() {
    let mut provider = Provider::new("jis:me", &Seed::from_u64(1));
    let at = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_123));
    let made = provider.create(at, &Token::default()).unwrap();
    let id = made.token_id.to_string();
    let row = rows("provider.jsonl").into_iter().find(|row| row.id() == "token_id_format").unwrap();
    let digits = id.strip_prefix(row.str("example_prefix")).and_then(|rest| rest.strip_prefix('_')).unwrap();
    assert!(digits.len() == 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    assert_eq!(made.timestamp, "2025-01-15T12:00:00.000123+00:00");
    assert_eq!(made.actor, "jis:me");
}
