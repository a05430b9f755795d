//! The two batches.

use proptest::prelude::*;
use std::vec::Vec;

use super::path;
use crate::driver::{RecvBatch, RunLimits, SendBatch};
use crate::{Path, limits};

fn read(rx: &mut RecvBatch) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| rx.next().map(|(_, bytes)| bytes.to_vec())).collect()
}

#[test]
fn a_coalesced_slot_is_cut_at_its_stride() {
    let mut rx = RecvBatch::new(3, 16);
    for buffer in rx.buffers() {
        buffer.copy_from_slice(b"aaaabbbbccccdd..");
    }
    rx.fill(path(), 14, 4);
    rx.fill(path(), 0, 0);
    rx.fill(path(), 14, 0);
    let cut: [&[u8]; 6] = [b"aaaa", b"bbbb", b"cccc", b"dd", b"", b"aaaabbbbccccdd"];
    assert_eq!(read(&mut rx), cut);
    assert!(rx.is_empty() && rx.next().is_none());
}

#[test]
fn more_than_fits_is_ignored() {
    let mut rx = RecvBatch::new(2, 4);
    assert_eq!(rx.buffers().len(), 2);
    rx.fill(path(), 400, 400);
    rx.fill(path(), 1, 0);
    rx.fill(path(), 1, 0);
    assert_eq!(read(&mut rx).iter().map(Vec::len).collect::<Vec<_>>(), [4, 1]);
    assert!(rx.push(path(), b"1234") && !rx.push(path(), b"12345") && rx.push(path(), b""));
    assert!(!rx.push(path(), b"x"), "both slots are taken");
    assert_eq!(read(&mut rx), [b"1234".to_vec(), Vec::new()]);
}

#[test]
fn runs_end_where_route_or_length_changes() {
    let other = Path { local: Some([10, 0, 0, 1].into()), ..path() };
    let mut tx = SendBatch::new(16, 1000);
    for (to, len) in [(path(), 9), (path(), 9), (path(), 4), (path(), 4), (other, 4), (other, 0), (other, 0)] {
        assert!(tx.push(to, &[7; 9][..len]));
    }
    let all = RunLimits { segments: 64, segment_len: 1200, bytes: 60_000 };
    let shape = |tx: &SendBatch, limits| tx.runs(limits).map(|r| (r.count, r.bytes.len())).collect::<Vec<_>>();
    assert_eq!(shape(&tx, all), [(3, 22), (1, 4), (1, 4), (1, 0), (1, 0)]);
    assert_eq!(shape(&tx, RunLimits::ONE), [(1, 9), (1, 9), (1, 4), (1, 4), (1, 4), (1, 0), (1, 0)]);
    assert_eq!(shape(&tx, RunLimits { segments: 2, ..all })[..2], [(2, 18), (2, 8)]);
    assert_eq!(shape(&tx, RunLimits { bytes: 20, ..all })[..2], [(2, 18), (2, 8)]);
    assert_eq!(shape(&tx, RunLimits { segment_len: 8, ..all })[..3], [(1, 9), (1, 9), (2, 8)]);
    tx.advance(1);
    assert_eq!(shape(&tx, all)[..2], [(2, 13), (1, 4)]);
    tx.discard(99);
    assert!(tx.is_empty() && tx.front(all).is_none());
}

#[test]
fn there_is_always_room_for_the_largest_datagram() {
    let mut tx = SendBatch::new(8, 0);
    assert!(tx.push(path(), &[1; limits::MAX_DATAGRAM_V6]));
    assert!(tx.is_full() && !tx.push(path(), b"x"));
    tx.advance(1);
    assert!(tx.push(path(), b"x"), "an empty batch starts over");
}

proptest! {
    #[test]
    fn runs_cover_everything_once_in_order(
        sizes in prop::collection::vec((0_u16..3, 0_usize..5, any::<u8>()), 0..80),
        segments in 1_usize..9, bytes in 0_usize..20, segment_len in 0_usize..6, skip in 0_usize..10,
    ) {
        let to = |port| Path::to(([192, 0, 2, 1], port).into());
        let mut tx = SendBatch::new(200, 1000);
        for (port, len, fill) in &sizes {
            prop_assert!(tx.push(to(*port), &[*fill; 8][..*len]));
        }
        tx.advance(skip);
        let expected: Vec<_> = sizes.iter().skip(skip)
            .map(|(port, len, fill)| (to(*port), [*fill; 8][..*len].to_vec())).collect();
        let mut got = Vec::new();
        for run in tx.runs(RunLimits { segments, segment_len, bytes }) {
            prop_assert!(run.count >= 1 && run.count <= segments);
            prop_assert!(run.count == 1 || (run.bytes.len() <= bytes && run.segment_len <= segment_len));
            let mut rest = run.bytes;
            for _ in 0..run.count {
                let (datagram, tail) = rest.split_at(run.segment_len.min(rest.len()));
                got.push((run.path, datagram.to_vec()));
                rest = tail;
            }
            prop_assert!(rest.is_empty());
        }
        prop_assert_eq!(got, expected);
    }
}
