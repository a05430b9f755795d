//! `--scenario relay`: meshes of relays with foes in them, [`run_mesh`]. Its invariants are those of [`MeshInvariant`](sluis_core::sim::MeshInvariant).

use std::time::Duration;

use sluis_core::sim::{Fault, LanNodeError, MeshSetup, MeshViolation, run_mesh};

use super::run::{Finding, Outcome};

/// Run one seed.
///
/// # Errors
/// There is no such mesh.
pub fn run(nodes: u32, seed: u64, span: Duration, fault: Option<Fault>) -> Result<Outcome, LanNodeError> {
    let mut setup = MeshSetup::new(nodes, seed, span);
    setup.fault = fault;
    let run = run_mesh(&setup)?;
    let finding = |violation: &MeshViolation| {
        let MeshViolation { at, node, invariant, detail } = violation;
        Finding::new(*at, *node, invariant.name(), detail.clone())
    };
    Ok(Outcome {
        seed,
        events: run.counts.steps,
        deliveries: run.counts.deliveries,
        findings: run.violations.iter().map(finding).collect(),
        elapsed: run.elapsed,
        digest: run.digest,
        mesh: Some(run.counts),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluis_core::sim::Fault;

    use super::run;

    /// So many seeds are to hold, and so many at most until what is missing is missed.
    const SEEDS: [u64; 2] = [12, 60];

    /// What is found with one of its protections switched off, in a virtual minute.
    fn found(seed: u64, fault: Option<Fault>) -> Vec<&'static str> {
        let outcome = run(12, seed, Duration::from_secs(60), fault).unwrap();
        assert!(outcome.deliveries > 0, "something was said");
        outcome.findings.iter().map(|finding| finding.invariant).collect()
    }

    #[test]
    fn everything_holds_and_whatever_is_missing_is_missed() {
        for seed in 0..SEEDS[0] {
            assert_eq!(found(seed, None), Vec::<&str>::new(), "seed {seed}");
        }
        for (fault, invariant) in [
            (Fault::NoHopCap, "hops"),
            (Fault::PoisonableSeen, "recognised"),
            (Fault::BlameNeighbour, "wronged"),
            (Fault::NoSplitHorizon, "horizon"),
        ] {
            let is_caught = (0..SEEDS[1]).any(|seed| found(seed, Some(fault)).contains(&invariant));
            assert!(is_caught, "{} is not caught", fault.name());
        }
    }
}
