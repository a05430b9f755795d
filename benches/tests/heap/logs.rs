//! Appending to a log costs no heap allocation; verifying costs at most 32 bytes a token, and a few allocations a piece.

use sluis_benches::alloc::{calls_in, heap};
use sluis_benches::logs::{Append, file, now};
use sluis_benches::tokens::{Kind, line};
use sluis_chain::log::{Log, Protection};
use sluis_chain::token::Token;
use sluis_chain::verify::{Settings, Verifier};
use sluis_core::Seed;
use sluis_core::framing::Text;
use sluis_core::identity::{MacKey, SecretKey};

#[test]
fn logs_keep_to_their_memory() {
    let _alone = crate::alone();
    appending_costs_none();
    verifying_costs_little();
}

fn appending_costs_none() {
    let mut log = Append::new();
    assert_eq!(calls_in(|| (0..1000).for_each(|_| assert!(log.step() > 400))), 0);
    // Long ones, unsorted ones, with a key and a seal: none either, but for what the writer of unsorted objects takes.
    let (mac, signer) = (MacKey::new(b"k"), SecretKey::from_seed(&[1; 32]));
    let text = line(Kind::Sorted, 1, None);
    let long = "x".repeat(5000);
    let draft = Token { token_id: Text::EMPTY, erachter: Text::new(&long), ..Token::parse(&text).unwrap() };
    let protection = Protection { mac: Some(&mac), seal: Some(&signer) };
    let (mut log, mut out) = (Log::new(&Seed::from_u64(1)), vec![0; 8192]);
    assert_eq!(
        calls_in(|| (0..100).for_each(|_| assert!(log.append(now(), &draft, protection, &mut out).unwrap().len > 5000))),
        0
    );
    assert!(calls_in(|| drop(vec![0_u8; 10])) > 0, "nothing is counted");
}

fn verifying_costs_little() {
    const TOKENS: u64 = 200_000;
    // Children before their parents take most: backwards, every one waits.
    let forwards = file(TOKENS, false);
    let mut lines: Vec<_> = forwards.split_inclusive(|byte| *byte == b'\n').collect();
    lines.reverse();
    let backwards = lines.concat();
    drop(lines);
    for (name, file, most) in [("forwards", &forwards, 27.0), ("backwards", &backwards, 36.0)] {
        let before = heap().live;
        let mut verifier = Verifier::new(Settings::default(), None, &Seed::from_u64(1));
        let mut peak = 0;
        for piece in file.chunks(1 << 16) {
            verifier.push(piece, &mut |finding| panic!("{finding}"));
            peak = peak.max(heap().live - before);
        }
        let (summary, ()) = verifier.finish(&mut |finding| panic!("{finding}"));
        assert_eq!((summary.tokens, summary.findings), (TOKENS, 0));
        // The piece in hand, its records, and the names of the first that wait.
        let held = peak as f64 - f64::from(if name == "backwards" { 1_900_000 } else { 600_000 });
        assert!(held / TOKENS as f64 <= most, "{name}: {peak} bytes");
    }
}
