//! Simulated meshes of relays with foes in them; `swarm --scenario relay` runs more of them.

use sluis_core::sim::{MeshCounts, MeshSetup, run_mesh};
use sluis_core::time::Duration;

/// Foes change, hide, swallow, send back, take ids in advance and flood, relays crash, the network is parted: who changed something and signed that is named and nobody else, nothing goes round,
/// every quota holds, and once all is well whoever asks is answered.
#[test]
fn in_a_mesh_with_foes_nobody_is_wronged_nothing_goes_round_and_who_asks_is_answered() {
    let mut sum = MeshCounts::default();
    for seed in 0..16 {
        let setup = MeshSetup::new(12, seed, Duration::from_secs(60));
        let run = run_mesh(&setup).unwrap();
        assert!(run.violations.is_empty(), "seed {seed}: {:?}", run.violations);
        sum += run.counts;
        if seed == 0 {
            assert_eq!(run_mesh(&setup).unwrap().digest, run.digest, "the same seed");
        }
    }
    let MeshCounts { asked, delivered, answered, altered, named, flooded, failures, .. } = sum;
    let all = [asked, delivered, answered, altered, named, flooded, failures];
    assert!(all.iter().all(|count| *count > 0), "nothing was tried: {sum:?}");
    assert!(delivered * 2 > asked && sum.hops >= sum.shortest, "{sum:?}");
}

/// Where every foe changes what passes and does not hide it, all that ends at its target with a record that shows the culprit has the culprit named, time after time, and nobody else ever.
#[test]
fn in_a_mesh_of_tamperers_they_are_named_again_and_again_and_nobody_else_is() {
    let (mut sum, mut meshes) = (MeshCounts::default(), 0);
    for seed in 0..24 {
        let mut setup = MeshSetup::new(12, seed, Duration::from_secs(60));
        setup.tamperers = true;
        let run = run_mesh(&setup).unwrap();
        assert!(run.violations.is_empty(), "seed {seed}: {:?}", run.violations);
        meshes += u32::from(run.counts.named > 0);
        sum += run.counts;
    }
    assert!(sum.named >= 100 && meshes >= 20 && sum.altered >= sum.named, "{meshes} {sum:?}");
}
