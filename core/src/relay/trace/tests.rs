//! Traces over random ways with tamperers of every kind: who is named did it.

use std::string::{String, ToString as _};
use std::{format, vec::Vec};

use proptest::prelude::*;

use super::record::flag;
use super::verify::verify_with;
use super::*;
use crate::framing::{Decision, Digest, Packet, Response, Text};
use crate::identity::{PublicKey, SecretKey};
use crate::relay::faults::Faults;
use crate::time::Wall;

/// What a hop does with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What it should.
    Honest,
    /// Passes on without a trace, as a reference relay does.
    Reference,
    /// Passes on with the trace as it came.
    Mute,
    /// Changes the packet and signs what it did.
    Frank,
    /// Changes the packet and signs that it was so when it came.
    Liar,
    /// Changes the packet behind a record that says it did not.
    Sly,
    /// Changes the packet without a trace, or without a record.
    Stripper,
    /// The same, and leaves the trace.
    Silent,
    /// Changes the packet, and leaves the records before it out, for room.
    Folder,
    /// Changes the packet, signs what fits, and puts garbage where the record before it has its signature.
    Smearer,
    /// Says that what came was wrong, although it was not.
    Accuser,
    /// Signs an answer in the place of the record that it owes, as if the ping had ended here.
    Turncoat,
    /// Counts the hops back.
    Rewinder,
}

const KINDS: [Kind; 13] = [
    Kind::Honest,
    Kind::Reference,
    Kind::Mute,
    Kind::Frank,
    Kind::Liar,
    Kind::Sly,
    Kind::Stripper,
    Kind::Silent,
    Kind::Folder,
    Kind::Smearer,
    Kind::Accuser,
    Kind::Turncoat,
    Kind::Rewinder,
];

impl Kind {
    const fn is_honest(self) -> bool {
        matches!(self, Self::Honest | Self::Reference | Self::Mute)
    }
}

fn key(n: usize) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(n + 1).unwrap(); 32])
}

fn keys(names: &[String]) -> Vec<(String, PublicKey)> {
    names.iter().enumerate().map(|(n, name)| (name.clone(), key(n).public())).collect()
}

fn look_up(keys: &[(String, PublicKey)], did: &str) -> Option<PublicKey> {
    keys.iter().find(|(name, _)| name == did).map(|(_, key)| *key)
}

/// What goes from hop to hop. A digest stands for the packet.
#[derive(Clone, Debug)]
struct Datagram {
    digest: Digest,
    hop_count: Option<i64>,
    trace: Vec<u8>,
}

impl Datagram {
    fn trace(&self) -> Option<Trace<'_>> {
        Trace::read(&self.trace)
    }
}

fn changed(digest: &Digest) -> Digest {
    let mut changed = *digest;
    changed[0] ^= 0x80;
    changed[31] = changed[31].wrapping_add(1);
    changed
}

fn put(
    datagram: &Datagram,
    (n, did): (usize, &str),
    deed: &Deed<'_>,
    budget: usize,
) -> Result<(Vec<u8>, Option<Misfit>), TraceError> {
    let mut out = [0; 8192];
    let appended = append(datagram.trace(), (did, Wall::from_secs(1)), deed, &key(n), budget, &mut out)?;
    let bytes = out[..appended.len].to_vec();
    assert!(bytes.len() <= budget && Trace::read(&bytes).is_some_and(|trace| trace.encoded_len() == bytes.len()));
    Ok((bytes, appended.misfit))
}

/// What one hop makes of what came from another. What an honest one notices goes to `noticed`: who it knows to have changed it.
fn pass(
    kind: Kind,
    (n, name): (usize, &str),
    from: &str,
    came: &Datagram,
    budget: usize,
    noticed: &mut Vec<String>,
) -> Datagram {
    let other = changed(&came.digest);
    let next = |digest: &Digest| Datagram {
        digest: *digest,
        hop_count: came.hop_count.map(|hops| hops + 1),
        trace: came.trace.clone(),
    };
    let record = |came: &Datagram, received: &Digest, passed: &Digest, from: Option<&str>| {
        let deed = Deed::Passed { received, passed, hop_count: came.hop_count, from };
        put(came, (n, name), &deed, budget).ok()
    };
    match kind {
        Kind::Honest => match record(came, &came.digest, &came.digest, Some(from)) {
            Some((trace, misfit)) => {
                if misfit == Some(Misfit::By) {
                    noticed.push(from.to_string());
                }
                Datagram { trace, ..next(&came.digest) }
            }
            None => next(&came.digest),
        },
        Kind::Reference => Datagram { trace: Vec::new(), ..next(&came.digest) },
        Kind::Mute => next(&came.digest),
        Kind::Frank => match record(came, &came.digest, &other, None) {
            Some((trace, _)) => Datagram { trace, ..next(&other) },
            None => next(&other),
        },
        Kind::Liar => {
            // Signs against the record before it, and hides that it does not fit.
            let trace = lie(came, (n, name), &other, 0).unwrap_or_default();
            Datagram { trace, ..next(&other) }
        }
        Kind::Sly => match record(came, &came.digest, &came.digest, None) {
            Some((trace, _)) => Datagram { trace, ..next(&other) },
            None => next(&other),
        },
        Kind::Stripper => Datagram { trace: Vec::new(), ..next(&other) },
        Kind::Silent => next(&other),
        Kind::Folder => Datagram { trace: fold_all(came, (n, name), &other).unwrap_or_default(), ..next(&other) },
        Kind::Smearer => {
            let mut smeared = came.clone();
            if let Some(last) = smeared.trace.last_mut() {
                *last ^= 1;
            }
            let trace = lie(&smeared, (n, name), &other, 0).unwrap_or_default();
            Datagram { trace, ..next(&other) }
        }
        Kind::Accuser => {
            Datagram { trace: lie(came, (n, name), &other, flag::DISPUTE).unwrap_or_default(), ..next(&other) }
        }
        Kind::Turncoat => {
            let hop_count = came.hop_count.unwrap_or(3);
            let deed = Deed::Answered { received: &came.digest, response: &other, hop_count, from: None };
            let trace = put(came, (n, name), &deed, budget).map(|(trace, _)| trace).unwrap_or_default();
            Datagram { trace, ..next(&other) }
        }
        Kind::Rewinder => {
            let trace = record(came, &came.digest, &came.digest, None).map(|(trace, _)| trace).unwrap_or_default();
            Datagram { trace, hop_count: came.hop_count.map(|_| 0), ..next(&came.digest) }
        }
    }
}

/// A record that says that this digest was received and passed on, with these flags, behind the records that came.
fn lie(came: &Datagram, (n, name): (usize, &str), digest: &Digest, flags: u8) -> Option<Vec<u8>> {
    forge::lie(came.trace()?, (name, Wall::from_secs(1), &key(n)), digest, flags)
}

/// The same, behind the first record alone.
fn fold_all(came: &Datagram, (n, name): (usize, &str), digest: &Digest) -> Option<Vec<u8>> {
    let trace = came.trace()?;
    let (first, last) = (trace.records().next()?, trace.last()?);
    let link = Record::link_to(last.bytes);
    forge::forge(&[first.bytes], &by_hand((n, name), digest, (last.hop + 1, last.depth + 1), link, 0))
}

fn by_hand(who: (usize, &str), digest: &Digest, place: (u8, u8), link: [u8; 16], flags: u8) -> Vec<u8> {
    forge::by_hand((who.1, Wall::from_secs(1), &key(who.0)), digest, place, link, flags).unwrap()
}

/// A ping over these relays and its answer back over them, read at both ends.
struct Journey {
    names: Vec<String>,
    kinds: Vec<Kind>,
    /// Named by somebody who read the trace, or noticed at once by an honest hop.
    named: Vec<String>,
    /// Who changed something so far.
    culprits: Vec<String>,
    /// What nobody was named for, by the two between whom it was.
    between: Vec<(Option<String>, Option<String>)>,
    intact: bool,
}

impl Journey {
    fn travel(kinds: &[Kind], back: bool, budget: usize) -> Self {
        Self::travel_with(Faults::default(), kinds, back, budget, u64::MAX)
    }

    /// Whoever reads knows the keys of those in `known`, by number.
    fn travel_with(faults: Faults, kinds: &[Kind], back: bool, budget: usize, known: u64) -> Self {
        let names: Vec<String> = (0..kinds.len() + 2).map(|n| format!("jis:relay:{n}")).collect();
        let mut keys: Vec<_> = keys(&names).into_iter().enumerate().collect();
        keys.retain(|(n, _)| known >> n & 1 == 1);
        let keys: Vec<_> = keys.into_iter().map(|(_, key)| key).collect();
        let (source, target) = (0, names.len() - 1);
        let asked = [7; 32];
        let mut told = Self {
            kinds: kinds.to_vec(),
            named: Vec::new(),
            culprits: Vec::new(),
            between: Vec::new(),
            intact: true,
            names,
        };
        let names = told.names.clone();
        let start = Datagram { digest: asked, hop_count: Some(0), trace: Vec::new() };
        let (trace, _) = put(&start, (source, &names[source]), &Deed::Asked { ping: &asked }, budget).unwrap();
        let arrived = told.leg(Datagram { trace, ..start }, 1..target, budget);
        let known = Known {
            arrived: &arrived.digest,
            hop_count: arrived.hop_count,
            from: Some(&names[target - 1]),
            asked: None,
            responder: None,
        };
        told.judge(&verify_with(arrived.trace(), &known, |did| look_up(&keys, did), faults));
        told.intact &= arrived.digest == asked;
        if !back {
            return told;
        }
        let answer = [9; 32];
        let deed = Deed::Answered {
            received: &arrived.digest,
            response: &answer,
            hop_count: arrived.hop_count.unwrap(),
            from: Some(&names[target - 1]),
        };
        let response = match put(&arrived, (target, &names[target]), &deed, budget) {
            Ok((trace, misfit)) => {
                if misfit == Some(Misfit::By) {
                    told.named.push(names[target - 1].clone());
                }
                Datagram { digest: answer, hop_count: None, trace }
            }
            Err(_) => Datagram { digest: answer, hop_count: None, trace: Vec::new() },
        };
        let home = told.leg(response, (1..target).rev(), budget);
        let known = Known {
            arrived: &home.digest,
            hop_count: None,
            from: Some(&names[1]),
            asked: Some((&names[source], &asked)),
            responder: Some(&names[target]),
        };
        told.judge(&verify_with(home.trace(), &known, |did| look_up(&keys, did), faults));
        told.intact &= home.digest == answer;
        told
    }

    fn leg(&mut self, mut datagram: Datagram, way: impl Iterator<Item = usize>, budget: usize) -> Datagram {
        let mut from: Option<usize> = None;
        let end = self.names.len() - 1;
        for n in way {
            let upstream = from.unwrap_or(if n == 1 { 0 } else { end });
            let (kind, upstream) = (self.kinds[n - 1], self.names[upstream].clone());
            let me = self.names[n].clone();
            if !kind.is_honest() {
                self.culprits.push(me.clone());
            }
            let mut noticed = Vec::new();
            datagram = pass(kind, (n, &me), &upstream, &datagram, budget, &mut noticed);
            self.named.extend(noticed);
            from = Some(n);
        }
        datagram
    }

    fn judge(&mut self, report: &Report<'_>) {
        for found in report.tampered() {
            match found.relay {
                Some(relay) => self.named.push(relay.to_string()),
                None => self.between.push((found.between.0.map(Into::into), found.between.1.map(Into::into))),
            }
        }
        for hop in report.hops().iter().filter(|hop| hop.verdict == Verdict::Changed) {
            self.named.push(hop.did.unwrap().to_string());
        }
    }
}

/// Whether a change at `at` is between these two.
fn is_between(names: &[String], at: usize, (first, second): &(Option<String>, Option<String>)) -> bool {
    let place = |name: &Option<String>, else_at: usize| {
        name.as_ref().map_or(else_at, |name| names.iter().position(|other| other == name).unwrap())
    };
    (place(first, 0)..=place(second, names.len() - 1)).contains(&at)
}

#[test]
fn each_tamperer_alone_is_named_or_bounded() {
    for kind in KINDS.into_iter().filter(|kind| !kind.is_honest()) {
        for at in 0..4 {
            let mut kinds = [Kind::Honest; 4];
            kinds[at] = kind;
            let told = Journey::travel(&kinds, false, 4096);
            let culprit = told.names[at + 1].clone();
            assert!(told.named.iter().all(|name| *name == culprit), "{kind:?} at {at}: {:?} named", told.named);
            let found = told.between.iter().all(|between| is_between(&told.names, at + 1, between));
            assert!(found, "{kind:?} at {at}: between {:?}", told.between);
            match kind {
                // Who signs is named: what it signs does not fit.
                Kind::Frank | Kind::Liar | Kind::Sly | Kind::Turncoat | Kind::Rewinder => {
                    assert!(told.named.contains(&culprit), "{kind:?} at {at} is not named: {:?}", told.between);
                }
                // Who takes off all records, or spoils the only one, leaves none that could fit or not.
                Kind::Stripper => assert!(told.named.is_empty()),
                Kind::Smearer if at == 0 => assert!(told.named.is_empty()),
                _ => assert!(!told.named.is_empty() || !told.between.is_empty(), "{kind:?} at {at} is not noticed"),
            }
        }
    }
}

/// The tests above would notice a reader that blames the wrong one.
#[test]
fn blaming_the_neighbour_is_caught() {
    let faults = Faults { blame_neighbour: true, ..Faults::default() };
    let kinds = [Kind::Honest, Kind::Liar, Kind::Honest];
    let told = Journey::travel_with(faults, &kinds, false, 4096, u64::MAX);
    assert!(told.named.iter().any(|name| !told.culprits.contains(name)), "{:?}", told.named);
}

#[test]
fn references_are_gaps_and_nobody_is_accused() {
    for at in 0..3 {
        let mut kinds = [Kind::Honest; 3];
        kinds[at] = Kind::Reference;
        let told = Journey::travel(&kinds, true, 4096);
        assert!(told.intact && told.named.is_empty() && told.between.is_empty(), "{:?}", told.between);
    }
    // What the reader sees of it: hops without a name in front of the first that signed.
    let names: Vec<String> = (0..5).map(|n| format!("jis:relay:{n}")).collect();
    let keys = keys(&names);
    let start = Datagram { digest: [7; 32], hop_count: Some(2), trace: Vec::new() };
    let came = pass(Kind::Honest, (3, &names[3]), &names[2], &start, 4096, &mut Vec::new());
    let known = Known { arrived: &came.digest, hop_count: Some(5), from: None, asked: None, responder: None };
    let report = verify(came.trace(), &known, |did| look_up(&keys, did));
    let seen: Vec<_> = report.hops().iter().map(|hop| (hop.n, hop.count, hop.did, hop.verdict)).collect();
    assert_eq!(
        seen,
        [(0, 3, None, Verdict::Unsigned), (3, 1, Some("jis:relay:3"), Verdict::Ok), (4, 2, None, Verdict::Unsigned)]
    );
    assert_eq!(report.first(), None);
}

#[test]
fn a_long_way_folds_and_what_names_somebody_stays() {
    let budget = budget(400);
    let mut kinds = [Kind::Honest; 20];
    let told = Journey::travel(&kinds, true, budget);
    assert!(told.intact && told.named.is_empty() && told.between.is_empty(), "{:?}", told.between);
    for at in [0, 3, 10, 19] {
        for kind in [Kind::Frank, Kind::Liar, Kind::Sly] {
            kinds[at] = kind;
            let told = Journey::travel(&kinds, false, budget);
            assert!(!told.named.is_empty(), "{kind:?} at {at}");
            assert!(told.named.iter().all(|name| *name == told.names[at + 1]), "{kind:?} at {at}: {:?}", told.named);
        }
        kinds[at] = Kind::Honest;
    }
    // The folded hops are counted.
    let names: Vec<String> = (0..20).map(|n| format!("jis:relay:{n}")).collect();
    let keys = keys(&names);
    let mut datagram = Datagram { digest: [7; 32], hop_count: Some(0), trace: Vec::new() };
    datagram.trace = put(&datagram, (0, &names[0]), &Deed::Asked { ping: &[7; 32] }, budget).unwrap().0;
    for n in 1..20 {
        datagram = pass(Kind::Honest, (n, &names[n]), &names[n - 1], &datagram, budget, &mut Vec::new());
    }
    let arrived = datagram.digest;
    let known = Known { arrived: &arrived, hop_count: datagram.hop_count, from: None, asked: None, responder: None };
    let report = verify(datagram.trace(), &known, |did| look_up(&keys, did));
    let hops: usize = report.hops().iter().map(|hop| usize::from(hop.count)).sum();
    let folded: u8 = report.hops().iter().filter(|hop| hop.verdict == Verdict::Folded).map(|hop| hop.count).sum();
    assert_eq!((hops, report.first()), (20, None));
    assert!(folded > 10 && report.hops().iter().all(|hop| hop.verdict != Verdict::Unsigned), "{report:?}");
}

#[test]
fn the_digest_is_of_what_is_said_and_of_nothing_that_relays_do() {
    let mut scratch = [0; 4096];
    let ping = Packet { purpose: Text::new("to know"), ..Packet::default() };
    let digest = ping_digest(&ping, &mut scratch).unwrap();
    for same in [Packet { hop_count: 7, ..ping }, Packet { proof: Some(Text::new("00")), ..ping }] {
        assert_eq!(ping_digest(&same, &mut scratch).unwrap(), digest);
    }
    for other in [Packet { max_hops: 9, ..ping }, Packet { purpose: Text::new("to sell"), ..ping }] {
        assert_ne!(ping_digest(&other, &mut scratch).unwrap(), digest);
    }
    let response = Response { decision: Decision::Accept, ..Response::default() };
    let digest = response_digest(&response, &mut scratch).unwrap();
    let refused = Response { decision: Decision::Reject, ..response };
    assert_ne!(response_digest(&refused, &mut scratch).unwrap(), digest);
    assert!(ping_digest(&ping, &mut [0; 100]).is_err());
}

#[test]
fn a_trace_stands_behind_its_frame_and_is_read_strictly() {
    let mut frame = [0; 2048];
    let len = Packet::default().encode(crate::framing::Encoding::Json, &mut frame).unwrap();
    let start = Datagram { digest: [7; 32], hop_count: Some(0), trace: Vec::new() };
    let (bytes, _) = put(&start, (0, "jis:a"), &Deed::Asked { ping: &[7; 32] }, 500).unwrap();
    let mut datagram = frame[..len].to_vec();
    assert_eq!(Trace::split(&datagram), (&frame[..len], None));
    datagram.extend(&bytes);
    let (head, trace) = Trace::split(&datagram);
    assert_eq!((head, trace), (&frame[..len], Trace::read(&bytes)));
    assert!(trace.is_some());
    for cut in 0..bytes.len() {
        assert_eq!(Trace::read(&bytes[..cut]), None, "cut at {cut}");
    }
    assert!(matches!(put(&start, (0, ""), &Deed::Asked { ping: &[7; 32] }, 500), Err(TraceError::Name)));
    assert!(matches!(put(&start, (0, "jis:a"), &Deed::Asked { ping: &[7; 32] }, 100), Err(TraceError::Full)));
    for hops in [i64::MIN, -1, 255, i64::MAX] {
        let far = Deed::Passed { received: &[7; 32], passed: &[7; 32], hop_count: Some(hops), from: None };
        assert!(matches!(put(&start, (0, "jis:a"), &far, 500), Err(TraceError::Hops)));
    }
    // Whoever asks begins anew.
    let again = Datagram { trace: bytes.clone(), ..start };
    assert_eq!(put(&again, (0, "jis:a"), &Deed::Asked { ping: &[7; 32] }, 500).unwrap().0, bytes);
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Honest), 1 => Just(Kind::Reference), 4 => prop::sample::select(&KINDS[..])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever any number of tamperers do, together or each for himself: nobody is named, by anybody who reads the trace or by an
    /// honest hop on the way, who did nothing.
    #[test]
    fn an_honest_hop_is_never_named(
        kinds in prop::collection::vec(any_kind(), 1..9),
        back in any::<bool>(),
        tight in any::<bool>(),
    ) {
        let told = Journey::travel(&kinds, back, if tight { 700 } else { 4096 });
        for name in &told.named {
            prop_assert!(told.culprits.contains(name), "{} was named, of {:?}", name, kinds);
        }
        if told.culprits.is_empty() {
            prop_assert!(told.intact && told.between.is_empty(), "{:?} between {:?}", kinds, told.between);
        }
    }

    /// Where nobody changed anything, nothing is told to be changed, whosever keys the reader knows.
    #[test]
    fn who_knows_few_keys_hears_of_no_changes_that_were_none(
        references in prop::collection::vec(any::<bool>(), 1..7),
        back in any::<bool>(),
        tight in any::<bool>(),
        known in any::<u64>(),
    ) {
        let kind = |reference: &bool| if *reference { Kind::Reference } else { Kind::Honest };
        let kinds: Vec<Kind> = references.iter().map(kind).collect();
        let told = Journey::travel_with(Faults::default(), &kinds, back, if tight { 700 } else { 4096 }, known);
        prop_assert!(told.named.is_empty() && told.between.is_empty(), "{:?} between {:?}", kinds, told.between);
    }

    /// Whosever keys the reader knows: nobody is named who did nothing.
    #[test]
    fn an_honest_hop_is_never_named_by_who_knows_few_keys(
        kinds in prop::collection::vec(any_kind(), 1..7),
        known in any::<u64>(),
    ) {
        let told = Journey::travel_with(Faults::default(), &kinds, true, 4096, known);
        prop_assert!(told.named.iter().all(|name| told.culprits.contains(name)), "{:?} of {:?}", told.named, kinds);
    }

    /// Bits of a trace that flip on the way have nobody named.
    #[test]
    fn noise_names_nobody(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let names: Vec<String> = (0..5).map(|n| format!("jis:relay:{n}")).collect();
        let keys = keys(&names);
        let mut datagram = Datagram { digest: [7; 32], hop_count: Some(0), trace: Vec::new() };
        datagram.trace = put(&datagram, (0, &names[0]), &Deed::Asked { ping: &[7; 32] }, 4096).unwrap().0;
        for n in 1..4 {
            datagram = pass(Kind::Honest, (n, &names[n]), &names[n - 1], &datagram, 4096, &mut Vec::new());
        }
        let place = at.index(datagram.trace.len());
        datagram.trace[place] ^= 1 << bit;
        let known =
            Known { arrived: &[7; 32], hop_count: Some(3), from: Some(&names[3]), asked: None, responder: None };
        let report = verify(datagram.trace(), &known, |did| look_up(&keys, did));
        prop_assert!(report.tampered().iter().all(|found| found.relay.is_none()), "{:?}", report);
    }
}
