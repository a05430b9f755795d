//! The order of brokers, as the reference finds it.
#![cfg(feature = "std")]

mod common;

use common::{bytes, rows, text, unhex};
use proptest::prelude::*;
use serde_json::Value;
use sluis_signal::rank::{Candidate, Family, Hash, Weight, interleave, order};

const FAMILIES: [(Family, &str, &str); 2] =
    [(Family::V4, "IP4", "pool_order_v4"), (Family::V6, "IP6", "pool_order_v6")];

fn candidates(family: Family, hosts: &[String]) -> Vec<Candidate<'_>> {
    hosts.iter().map(|host| Candidate { family, host, port: 1883, weight: Weight::ONE }).collect()
}

fn hosts(row: &Value, name: &str) -> Vec<String> {
    row[name].as_array().unwrap().iter().map(|host| host.as_str().unwrap().to_owned()).collect()
}

fn float(row: &Value, name: &str) -> f64 {
    text(row, name).parse().unwrap()
}

#[test]
fn hashes_scores_and_orders_are_those_of_the_reference() {
    for row in rows("rendezvous.jsonl") {
        let key: [u8; 33] = bytes(&row, "dest_pub_hex").try_into().unwrap();
        let mut both = Vec::new();
        for (family, name, pool) in FAMILIES {
            let Some(expected) = row["order"][name].as_array() else {
                both.push(Vec::new());
                continue;
            };
            let hosts = hosts(&row, pool);
            let ranked = order(&key, candidates(family, &hosts));
            assert_eq!(ranked.len(), expected.len());
            for (ours, theirs) in ranked.iter().zip(expected) {
                assert_eq!(hosts[ours.index], text(theirs, "host"), "{}", row["pool"]);
                assert_eq!(ours.hash.to_bytes()[..], bytes(theirs, "sha256"));
                assert_eq!(ours.hash.uniform(), float(theirs, "u_repr"));
                assert_eq!(ours.hash.score(ours.weight), float(theirs, "score_repr"));
            }
            both.push(ranked.iter().map(|row| (name, hosts[row.index].clone())).collect());
        }
        let mixed: Vec<Vec<&str>> = row["interleave_buckets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| vec![pair[0].as_str().unwrap(), pair[1].as_str().unwrap()])
            .collect();
        let refs = both.iter().map(|list| list.iter().collect()).collect::<Vec<Vec<&(&str, String)>>>();
        let ours: Vec<Vec<&str>> =
            interleave(&refs[0], &refs[1]).into_iter().map(|(name, host)| vec![*name, host.as_str()]).collect();
        assert_eq!(ours, mixed, "{}", row["pool"]);
    }
}

#[test]
fn scores_are_those_of_the_reference_to_the_last_bit() {
    for row in rows("rendezvous_scores.jsonl") {
        let hash = Hash::from_bytes(bytes(&row, "sha256").try_into().unwrap());
        assert_eq!(hash.uniform().to_bits(), float(&row, "u_repr").to_bits(), "{row}");
        assert_eq!(hash.score(Weight::ONE).to_bits(), float(&row, "score_repr").to_bits(), "{row}");
    }
}

/// What Python says of `(int + 1) / 2**256`, as the bits of the number, where rounding is hard: ties in both directions, a bit
/// far below them, carries, and both ends.
#[test]
fn the_fraction_is_rounded_once() {
    for (hex, bits) in [
        ("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 0x3ff0000000000000),
        ("0000000000000000000000000000000000000000000000000000000000000000", 0x2ff0000000000000),
        ("fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe", 0x3ff0000000000000),
        ("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 0x3fe0000000000000),
        ("80000000000003ffffffffffffffffffffffffffffffffffffffffffffffffff", 0x3fe0000000000000),
        ("80000000000003fffffffffffffffffffffffffffffffffffffffffffffffffe", 0x3fe0000000000000),
        ("8000000000000400000000000000000000000000000000000000000000000000", 0x3fe0000000000001),
        ("8000000000000c00000000000000000000000000000000000000000000000000", 0x3fe0000000000002),
        ("8000000000000bffffffffffffffffffffffffffffffffffffffffffffffffff", 0x3fe0000000000002),
        ("8000000000000bfffffffffffffffffffffffffffffffffffffffffffffffffe", 0x3fe0000000000001),
        ("fffffffffffffc00000000000000000000000000000000000000000000000000", 0x3ff0000000000000),
        ("fffffffffffffbffffffffffffffffffffffffffffffffffffffffffffffffff", 0x3ff0000000000000),
        ("fffffffffffffbfffffffffffffffffffffffffffffffffffffffffffffffffe", 0x3fefffffffffffff),
        ("0000000000000000000000000000000000000000000000000000000000000001", 0x3000000000000000),
        ("00000000000000000000000000000000000000003fffffffffffffff00000000", 0x35d0000000000000),
    ] {
        let hash = Hash::from_bytes(unhex(hex).try_into().unwrap());
        assert_eq!(hash.uniform().to_bits(), bits, "{hex}");
    }
}

#[test]
fn of_two_ports_of_a_host_the_lower_comes_first_and_none_is_lost() {
    let ports = [1884_u16, 1883, 8883];
    let brokers = ports.map(|port| Candidate { family: Family::V4, host: "one.test", port, weight: Weight::ONE });
    let ranked = order(&[2; 33], brokers);
    assert_eq!(ranked.iter().map(|row| ports[row.index]).collect::<Vec<_>>(), [1883, 1884, 8883]);
}

/// The page: high-capacity brokers can pull more traffic. (The reference ignores the weight.)
#[test]
fn a_broker_of_three_times_the_weight_comes_first_three_times_as_often() {
    let weights = [3000, 1000, 1000, 1000].map(|n| Weight::from_thousandths(n).unwrap());
    let hosts = ["a.test", "b.test", "c.test", "d.test"];
    let mut first = [0_u32; 4];
    for n in 0..6000_u32 {
        let mut key = [2; 33];
        key[1..5].copy_from_slice(&n.to_be_bytes());
        let brokers =
            hosts.iter().zip(weights).map(|(host, weight)| Candidate { family: Family::V4, host, port: 1883, weight });
        first[order(&key, brokers)[0].index] += 1;
    }
    // 3 of 6 and 1 of 6, within five standard deviations.
    assert!(first[0].abs_diff(3000) < 200 && first[1..].iter().all(|n| n.abs_diff(1000) < 150), "{first:?}");
}

#[test]
fn weights_have_bounds() {
    assert_eq!((Weight::from_thousandths(0), Weight::from_thousandths(1_000_000_001)), (None, None));
    assert_eq!(Weight::from_thousandths(1000), Some(Weight::default()));
    assert_eq!(Weight::from_thousandths(1_000_000_000), Some(Weight::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The order in integers is the order of the scores as they are printed, with weights and without, whatever order they came in.
    #[test]
    fn integers_order_as_scores_do(key: [u8; 33], weights in proptest::collection::vec(1_u32..50_000, 1..20), equal: bool) {
        let weight = |n: u32| Weight::from_thousandths(if equal { 1000 } else { n }).unwrap();
        let hosts: Vec<String> = (0..weights.len()).map(|n| format!("n{n}.test")).collect();
        let brokers: Vec<Candidate<'_>> = hosts.iter().zip(&weights)
            .map(|(host, n)| Candidate { family: Family::V6, host, port: 1, weight: weight(*n) }).collect();
        let ranked = order(&key, brokers.iter().copied());
        let scores: Vec<f64> = ranked.iter().map(|row| row.hash.score(row.weight)).collect();
        prop_assert!(scores.windows(2).all(|pair| pair[0] <= pair[1] * (1.0 + 1e-12)), "{scores:?}");
        let turned = order(&key, brokers.iter().rev().copied());
        prop_assert!(ranked.iter().zip(&turned).all(|(a, b)| a.index == brokers.len() - 1 - b.index));
    }

    /// The fraction against arithmetic with more bits than it has.
    #[test]
    fn the_fraction_is_the_nearest(hash: [u8; 32], zeros in 0_usize..31) {
        let mut hash = hash;
        hash[..zeros].fill(0);
        let number = Hash::from_bytes(hash).uniform();
        // Neighbours are no nearer: compare the exact 320-bit value of each with that of the hash.
        let exact = |x: f64| {
            let (mantissa, exponent) = ((x.to_bits() & ((1 << 52) - 1)) | 1 << 52, (x.to_bits() >> 52) as i32 - 1075);
            shifted(mantissa, exponent + 256 + 64)
        };
        let mut wanted = [0_u8; 48];
        wanted[8..40].copy_from_slice(&hash);
        for byte in wanted[..40].iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 { break; }
        }
        let here = distance(&exact(number), &wanted);
        for other in [number.next_down(), number.next_up()] {
            prop_assert!(here <= distance(&exact(other), &wanted));
        }
    }
}

/// `n * 2^by` as 48 bytes, big endian, of which the last 8 are behind the point.
fn shifted(n: u64, by: i32) -> [u8; 48] {
    let mut out = [0; 48];
    for bit in 0..64 {
        let at = bit + by;
        if n >> bit & 1 == 1 && (0..384).contains(&at) {
            out[47 - at as usize / 8] |= 1 << (at % 8);
        }
    }
    out
}

fn distance(a: &[u8; 48], b: &[u8; 48]) -> [u8; 48] {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    let (mut out, mut borrow) = ([0; 48], 0_i16);
    for at in (0..48).rev() {
        let digit = i16::from(high[at]) - i16::from(low[at]) - borrow;
        borrow = i16::from(digit < 0);
        out[at] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    out
}
