//! Logs to be appended to and verified, and what that must cost at least.

use std::hint::black_box;
use std::io::Read;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use sluis_chain::audit::{Happening, Judgement, Recorder};
use sluis_chain::log::{Log, Protection};
use sluis_chain::token::{Hash32, Token};
use sluis_chain::verify::{Parallel, Settings, Summary};
use sluis_core::framing::{Number, Text};
use sluis_core::{Now, Seed, Wall};

/// When all of it happens.
#[must_use]
pub fn now() -> Now {
    Now::new(sluis_core::Instant::ZERO, Wall::from_micros(1_736_942_400_000_000))
}

/// Members of a token whose line, with a link, is some 512 bytes long.
pub const DRAFT: &str = concat!(
    r#"{"token_id": "", "action": "ping.intent", "timestamp": "", "actor": "jis:home:sensor", "erin": {"intent": "#,
    r#""temperature.report", "ok": true}, "eraan": [], "eromheen": {"zone": "GROEN"}, "erachter": "", "#,
    r#""parent_id": null, "state": "created", "content_hash": "", "signature": ""}"#
);

/// The draft as a token.
///
/// # Panics
/// Never.
#[must_use]
pub fn draft() -> Token<'static> {
    Token::parse(DRAFT).expect("a token")
}

/// A log that is appended to for ever, without a byte being stored twice.
pub struct Append {
    log: Log,
    draft: Token<'static>,
    out: Vec<u8>,
}

impl Append {
    /// A log with one entry.
    #[must_use]
    pub fn new() -> Self {
        let mut append = Self { log: Log::new(&Seed::from_u64(1)), draft: draft(), out: vec![0; 2048] };
        append.step();
        append
    }

    /// Append one; how long its line is.
    ///
    /// # Panics
    /// Never: there is room.
    pub fn step(&mut self) -> usize {
        let draft = black_box(&self.draft);
        self.log.append(now(), draft, Protection::default(), &mut self.out).expect("room").len
    }

    /// The texts that were hashed for the last line: what the content hash covers, and the leaf with its prefix.
    ///
    /// # Panics
    /// Before the first step.
    #[must_use]
    pub fn hashed(&mut self) -> (Vec<u8>, Vec<u8>) {
        let len = self.step();
        let line = &self.out[..len - 1];
        let mut text = Vec::new();
        Token::parse_bytes(line).expect("a token").hash_input(&mut text).expect("room");
        (text, [&[0], line].concat())
    }
}

impl Default for Append {
    fn default() -> Self {
        Self::new()
    }
}

/// The SHA-256 that one append needs: the content, the leaf, and one inner node on average.
pub fn append_floor(content: &[u8], leaf: &[u8]) {
    let node = [1; 65];
    black_box(Sha256::digest(black_box(content)));
    black_box(Sha256::digest(black_box(leaf)));
    black_box(Sha256::digest(black_box(&node)));
}

/// How SHA-256 pads: blocks of 64 bytes for so many.
#[must_use]
pub const fn blocks(bytes: usize) -> usize {
    (bytes + 9).div_ceil(64)
}

/// A file of so many tokens: a log of ours with links, or such as the reference writes.
///
/// # Panics
/// Never.
#[must_use]
pub fn file(tokens: u64, linked: bool) -> Vec<u8> {
    let mut all = Vec::new();
    let mut log = Log::new(&Seed::from_u64(1));
    let mut out = [0; 4096];
    let mut parent: Option<String> = None;
    for number in 0..tokens {
        let line = crate::tokens::line(crate::tokens::Kind::Ping, number, None);
        let plain = Token::parse(&line).expect("a token");
        let draft = Token { token_id: Text::EMPTY, parent_id: parent.as_deref().map(Text::new), ..plain };
        let made = log.append(now(), &draft, Protection::default(), &mut out).expect("room");
        let mut token = Token::parse_bytes(&out[..made.len - 1]).expect("a token");
        parent = Some(token.token_id.to_cow().into_owned());
        if linked {
            all.extend_from_slice(&out[..made.len]);
        } else {
            // The same token without its link.
            token.eraan = plain.eraan;
            let hash: Hash32 = token.content_hash(None).expect("room");
            token.with(Text::new(&hash.to_string()), Text::EMPTY).write_json(&mut all).expect("room");
            all.push(b'\n');
        }
    }
    all
}

/// A log file of a node of so many tokens: ping, response and heartbeat in turns, as a [`Recorder`] draws them up and a [`Log`]
/// writes them, with links.
///
/// # Panics
/// Never.
#[must_use]
pub fn node_file(tokens: u64) -> Vec<u8> {
    let mut all = Vec::new();
    let mut log = Log::new(&Seed::from_u64(1));
    let mut recorder = Recorder::new("jis:home:hub");
    let mut out = [0; 4096];
    let at = Some(std::net::SocketAddr::from(([192, 0, 2, 7], 7150)));
    let packet = crate::samples::ping();
    let judgement = Judgement {
        decision: Text::new("accept"),
        trust_score: Number::Float(0.9),
        zone: Text::new("GROEN"),
        rule: None,
    };
    let (packet_id, responder) = (packet.packet_id, packet.target_did);
    let happenings = [
        Happening::Ping { packet, judgement: Some(judgement), at },
        Happening::Response { packet_id, responder, judgement, rtt: Duration::from_micros(1234), at },
        Happening::Heartbeat { source: packet.source_did, at, status: None },
    ];
    for happening in happenings.iter().cycle().take(usize::try_from(tokens).unwrap_or(usize::MAX)) {
        let draft = recorder.draft(happening).expect("switched on");
        let made = log.append(now(), &draft, Protection::default(), &mut out).expect("room");
        recorder.follow(made.token_id.expect("a new one").as_text());
        all.extend_from_slice(&out[..made.len]);
    }
    all
}

/// Verify a file on so many threads: how long it took, and what was seen.
///
/// # Panics
/// A thread is lost.
pub fn verify(file: &[u8], threads: usize, settings: Settings<'_>) -> (Duration, Summary) {
    let began = Instant::now();
    let seed = Seed::from_u64(2);
    let verify = Parallel::new(settings, None, &seed, (), file, |finding| panic!("{finding}"));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| verify.work());
        }
    });
    let (summary, ()) = verify.finish().expect("memory can be read");
    (began.elapsed(), summary)
}

/// What is compared with: each line through serde_json into nothing, and through SHA-256, on so many threads, in the same
/// pieces.
///
/// # Panics
/// A thread is lost.
pub fn verify_floor(file: &[u8], threads: usize) -> Duration {
    let began = Instant::now();
    let input = Mutex::new(file);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut piece = Vec::new();
                loop {
                    let mut input = input.lock().expect("no thread is lost");
                    let take = input.len().min(256 << 10);
                    let end = input[..take].iter().rposition(|byte| *byte == b'\n').map_or(take, |at| at + 1);
                    piece.resize(end, 0);
                    input.read_exact(&mut piece).expect("memory can be read");
                    drop(input);
                    if piece.is_empty() {
                        return;
                    }
                    for line in piece.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                        let _: IgnoredAny = serde_json::from_slice(line).expect("JSON");
                        black_box(leaf_hash_plain(line));
                    }
                }
            });
        }
    });
    began.elapsed()
}

fn leaf_hash_plain(line: &[u8]) -> [u8; 32] {
    Sha256::digest(line).into()
}

/// Processor time of all threads of this process.
#[must_use]
pub fn processor_time() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
