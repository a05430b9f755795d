//! The tree against a plain recursive model, against known vectors, and against proofs that are wrong.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use sluis_core::data::hex;

/// MTH of RFC 9162, as it is written there.
fn model_root(leaves: &[NodeHash]) -> NodeHash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(model_split(leaves.len()));
            node_hash(&model_root(left), &model_root(right))
        }
    }
}

fn model_split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// PATH(m, D_n).
fn model_path(m: usize, leaves: &[NodeHash]) -> Vec<NodeHash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = model_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, other) = if m < k { (model_path(m, left), right) } else { (model_path(m - k, right), left) };
    path.push(model_root(other));
    path
}

/// SUBPROOF(m, D_n, b).
fn model_subproof(m: usize, leaves: &[NodeHash], whole: bool) -> Vec<NodeHash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { Vec::from([model_root(leaves)]) };
    }
    let k = model_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, other) =
        if m <= k { (model_subproof(m, left, whole), right) } else { (model_subproof(m - k, right, false), left) };
    path.push(model_root(other));
    path
}

fn h(text: &str) -> NodeHash {
    let mut out = [0; 32];
    hex::parse(text.as_bytes(), &mut out).unwrap();
    out
}

fn leaves(n: usize) -> Vec<NodeHash> {
    (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

/// The eight leaves with which certificate-transparency and everybody after it test their trees.
fn known_leaves() -> Vec<NodeHash> {
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
        .map(|text| {
            let mut bytes = std::vec![0; text.len() / 2];
            hex::parse(text.as_bytes(), &mut bytes).unwrap();
            leaf_hash(&bytes)
        })
        .to_vec()
}

const KNOWN_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn known_roots() {
    let leaves = known_leaves();
    for (size, root) in KNOWN_ROOTS.iter().enumerate() {
        assert_eq!(Frontier::from_leaves(leaves[..size].iter().copied()).root(), h(root), "{size}");
        assert_eq!(root_of(&mut &leaves[..], size as u64), Ok(h(root)), "{size}");
    }
}

#[test]
fn known_inclusion_proofs() {
    const A: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    const B: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    let known: [(u64, u64, &[&str]); 5] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                A,
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (5, 8, &[B, "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0", KNOWN_ROOTS[4]]),
        (2, 3, &[KNOWN_ROOTS[2]]),
        (1, 5, &[KNOWN_ROOTS[1], A, B]),
    ];
    let leaves = known_leaves();
    for (index, size, path) in known {
        let path: Vec<_> = path.iter().map(|text| h(text)).collect();
        assert_eq!(prove_inclusion(&mut &leaves[..], index, size).unwrap(), &path[..]);
        let leaf = leaves[usize::try_from(index).unwrap()];
        assert_eq!(
            verify_inclusion(&leaf, index, size, &path, &h(KNOWN_ROOTS[usize::try_from(size).unwrap()])),
            Ok(())
        );
    }
}

#[test]
fn known_consistency_proofs() {
    const A: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
    const B: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
    const C: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    let known: [(u64, u64, &[&str]); 5] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                C,
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (6, 8, &[A, B, KNOWN_ROOTS[4]]),
        (2, 5, &[C, "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
        (6, 7, &[A, "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f", KNOWN_ROOTS[4]]),
    ];
    let leaves = known_leaves();
    let root = |size: u64| h(KNOWN_ROOTS[usize::try_from(size).unwrap()]);
    for (old, new, path) in known {
        let path: Vec<_> = path.iter().map(|text| h(text)).collect();
        assert_eq!(prove_consistency(&mut &leaves[..], old, new).unwrap(), &path[..]);
        assert_eq!(verify_consistency(old, new, &path, &root(old), &root(new)), Ok(()));
    }
}

#[test]
fn every_small_tree_agrees_with_the_model() {
    let all = leaves(70);
    for size in 1..=all.len() {
        let tree = &all[..size];
        let root = model_root(tree);
        let frontier = Frontier::from_leaves(tree.iter().copied());
        assert_eq!((frontier.root(), frontier.size()), (root, size as u64));
        let subtrees: Vec<_> = frontier.subtrees().copied().collect();
        assert_eq!(Frontier::from_subtrees(size as u64, &subtrees), Some(frontier));
        for m in 0..size {
            let path = model_path(m, tree);
            assert_eq!(prove_inclusion(&mut &all[..], m as u64, size as u64).unwrap(), &path[..]);
            assert_eq!(verify_inclusion(&tree[m], m as u64, size as u64, &path, &root), Ok(()));
        }
        for m in 1..=size {
            let path = model_subproof(m, tree, true);
            assert_eq!(prove_consistency(&mut &all[..], m as u64, size as u64).unwrap(), &path[..]);
            assert_eq!(verify_consistency(m as u64, size as u64, &path, &model_root(&tree[..m]), &root), Ok(()));
        }
    }
}

#[test]
fn what_is_out_of_range_has_no_proof() {
    let all = leaves(8);
    let mut tree = &all[..];
    for (index, size) in [(0, 0), (8, 8), (0, 9), (u64::MAX, u64::MAX)] {
        assert_eq!(prove_inclusion(&mut tree, index, size), Err(ProveError::OutOfRange));
    }
    for (old, new) in [(1, 9), (5, 4), (u64::MAX, u64::MAX)] {
        assert_eq!(prove_consistency(&mut tree, old, new), Err(ProveError::OutOfRange));
    }
    assert_eq!(prove_consistency(&mut tree, 0, 8), Err(ProveError::Empty));
    assert_eq!(root_of(&mut tree, 9), Err(ProveError::OutOfRange));
    assert_eq!(Frontier::from_subtrees(7, &all[..2]), None);
    // The empty tree, which every tree is consistent with.
    let root = model_root(&all);
    assert_eq!(verify_consistency(0, 8, &[], &empty_root(), &root), Ok(()));
    assert_eq!(verify_consistency(0, 8, &[], &root, &root), Err(ProofError::OldRoot));
    assert_eq!(verify_consistency(0, 8, &[root], &empty_root(), &root), Err(ProofError::Length));
    assert_eq!(verify_consistency(8, 4, &[], &root, &root), Err(ProofError::OutOfRange));
    assert_eq!(verify_consistency(8, 8, &[], &root, &all[0]), Err(ProofError::Root));
    // Shifts at the very edge of the sizes do not overflow.
    assert!(verify_consistency(u64::MAX, u64::MAX - 1, &[root], &root, &root).is_err());
    assert!(verify_consistency(1 << 63, u64::MAX, &[root], &root, &root).is_err());
    assert!(verify_inclusion(&root, u64::MAX - 1, u64::MAX, &[root; 64], &root).is_err());
}

/// Leaves that also keep every complete subtree, and count what is read.
struct Kept<'a>(&'a [NodeHash], u32);

impl Leaves for Kept<'_> {
    type Error = core::convert::Infallible;
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn leaf(&mut self, index: u64) -> Result<NodeHash, Self::Error> {
        self.1 += 1;
        self.0.leaf(index)
    }
    fn node(&mut self, level: u32, index: u64) -> Result<Option<NodeHash>, Self::Error> {
        self.1 += 1;
        let range = usize::try_from(index << level).unwrap()..usize::try_from((index + 1) << level).unwrap();
        Ok(Some(model_root(&self.0[range])))
    }
}

#[test]
fn kept_nodes_give_the_same_proofs_from_few_reads() {
    let all = leaves(1000);
    for (a, b) in [(0, 1000), (999, 1000), (511, 1000), (512, 777), (3, 4)] {
        let mut kept = Kept(&all, 0);
        assert_eq!(prove_inclusion(&mut kept, a, b), prove_inclusion(&mut &all[..], a, b).map_err(|_| unreachable!()));
        assert!(kept.1 <= 100, "{}", kept.1);
        let mut kept = Kept(&all, 0);
        let proof = prove_consistency(&mut kept, a + 1, b).unwrap();
        assert_eq!(proof, prove_consistency(&mut &all[..], a + 1, b).unwrap());
        assert!(kept.1 <= 100, "{}", kept.1);
    }
    let raw: Vec<u8> = all.concat();
    assert_eq!(prove_inclusion(&mut RawLeaves(&raw), 7, 999), prove_inclusion(&mut &all[..], 7, 999));
    assert_eq!(RawLeaves(&raw[..raw.len() - 1]).size(), 999);
}

/// One thing changed about a proof.
#[derive(Clone, Debug)]
enum Change {
    Flip(prop::sample::Index, u8),
    Drop(prop::sample::Index),
    Repeat(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Append([u8; 32]),
    Prepend([u8; 32]),
    Empty,
}

fn change() -> impl Strategy<Value = Change> {
    use prop::sample::Index;
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(i, bit)| Change::Flip(i, bit)),
        any::<Index>().prop_map(Change::Drop),
        any::<Index>().prop_map(Change::Repeat),
        (any::<Index>(), any::<Index>()).prop_map(|(i, j)| Change::Swap(i, j)),
        any::<[u8; 32]>().prop_map(Change::Append),
        any::<[u8; 32]>().prop_map(Change::Prepend),
        Just(Change::Empty),
    ]
}

fn apply(change: &Change, path: &mut Vec<NodeHash>) {
    match change {
        Change::Append(node) => path.push(*node),
        Change::Prepend(node) => path.insert(0, *node),
        Change::Empty => path.clear(),
        _ if path.is_empty() => {}
        Change::Flip(i, bit) => {
            let i = i.index(path.len());
            path[i][usize::from(bit / 8)] ^= 1 << (bit % 8);
        }
        Change::Drop(i) => {
            path.remove(i.index(path.len()));
        }
        Change::Repeat(i) => {
            let i = i.index(path.len());
            path.insert(i, path[i]);
        }
        Change::Swap(i, j) => {
            let (i, j) = (i.index(path.len()), j.index(path.len()));
            path.swap(i, j);
        }
    }
}

proptest! {
    #[test]
    fn no_changed_inclusion_proof_verifies(
        size in 1_usize..300, at in any::<prop::sample::Index>(), change in change(), other in any::<prop::sample::Index>(),
    ) {
        let all = leaves(size);
        let (index, root) = (at.index(size), model_root(&all));
        let n = size as u64;
        let path = prove_inclusion(&mut &all[..], index as u64, n).unwrap();
        prop_assert_eq!(verify_inclusion(&all[index], index as u64, n, &path, &root), Ok(()));
        let mut wrong = path.to_vec();
        apply(&change, &mut wrong);
        prop_assert_eq!(verify_inclusion(&all[index], index as u64, n, &wrong, &root).is_ok(), wrong == path.to_vec());
        let other = other.index(size);
        prop_assert_eq!(verify_inclusion(&all[other], index as u64, n, &path, &root).is_ok(), other == index);
        prop_assert_eq!(verify_inclusion(&all[index], other as u64, n, &path, &root).is_ok(), other == index);
        prop_assert!(verify_inclusion(&all[index], index as u64, n, &path, &leaf_hash(b"x")).is_err());
    }

    #[test]
    fn no_changed_consistency_proof_verifies(
        new in 1_usize..300, at in any::<prop::sample::Index>(), change in change(), other in any::<prop::sample::Index>(),
    ) {
        let all = leaves(new);
        let old = at.index(new) + 1;
        let (old_root, new_root) = (model_root(&all[..old]), model_root(&all));
        let (o, n) = (old as u64, new as u64);
        let path = prove_consistency(&mut &all[..], o, n).unwrap();
        prop_assert_eq!(verify_consistency(o, n, &path, &old_root, &new_root), Ok(()));
        let mut wrong = path.to_vec();
        apply(&change, &mut wrong);
        prop_assert_eq!(verify_consistency(o, n, &wrong, &old_root, &new_root).is_ok(), wrong == path.to_vec());
        let other = other.index(new) + 1;
        if other != old {
            let other_root = model_root(&all[..other]);
            prop_assert!(verify_consistency(o, n, &path, &other_root, &new_root).is_err());
            prop_assert!(verify_consistency(other as u64, n, &path, &old_root, &new_root).is_err());
            prop_assert!(verify_consistency(o, n, &path, &old_root, &other_root).is_err() || other == new);
        }
    }

    #[test]
    fn verification_survives_anything(
        a in any::<u64>(), b in any::<u64>(), path in prop::collection::vec(any::<[u8; 32]>(), 0..70), root in any::<[u8; 32]>(),
    ) {
        prop_assert!(verify_inclusion(&root, a, b, &path, &leaf_hash(b"")).is_err());
        if a != 0 && a != b {
            prop_assert!(verify_consistency(a, b, &path, &root, &leaf_hash(b"")).is_err());
        }
    }
}
