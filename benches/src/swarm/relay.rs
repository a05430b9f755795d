//! `--scenario relay`: meshes of relays with foes in them, [`run_mesh`]; `--scenario mesh`: relays alone, with loss and failures. The invariants of both are those of
//! [`MeshInvariant`](sluis_core::sim::MeshInvariant).

use std::time::Duration;

use sluis_core::sim::{Fault, LanNodeError, MeshConditions, MeshSetup, MeshViolation, run_mesh};

use super::run::{Finding, Outcome};

/// What is wrong all the time in `--scenario mesh`: one datagram in ten is lost, one relay in twenty is down.
pub const CONDITIONS: MeshConditions = MeshConditions { loss: 0.1, down: 0.05, gossip: true };

/// Run one seed, among foes.
///
/// # Errors
/// There is no such mesh.
pub fn run(nodes: u32, seed: u64, span: Duration, fault: Option<Fault>) -> Result<Outcome, LanNodeError> {
    let mut setup = MeshSetup::new(nodes, seed, span);
    setup.fault = fault;
    run_setup(&setup)
}

/// Run one seed, without foes, under these [`CONDITIONS`].
///
/// # Errors
/// There is no such mesh.
pub fn run_alone(nodes: u32, seed: u64, span: Duration) -> Result<Outcome, LanNodeError> {
    let mut setup = MeshSetup::new(nodes, seed, span);
    setup.conditions = Some(CONDITIONS);
    run_setup(&setup)
}

fn run_setup(setup: &MeshSetup) -> Result<Outcome, LanNodeError> {
    let run = run_mesh(setup)?;
    let finding = |violation: &MeshViolation| {
        let MeshViolation { at, node, invariant, detail } = violation;
        Finding::new(*at, *node, invariant.name(), detail.clone())
    };
    Ok(Outcome {
        seed: setup.seed,
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

    use super::{run, run_alone};

    /// So many seeds are to hold, and so many at most until what is missing is missed.
    const SEEDS: [u64; 2] = [12, 60];

    /// What is found with one of its protections switched off, in a virtual minute.
    fn found(seed: u64, fault: Option<Fault>) -> Vec<&'static str> {
        let outcome = run(12, seed, Duration::from_secs(60), fault).unwrap();
        assert!(outcome.deliveries > 0, "something was said");
        outcome.findings.iter().map(|finding| finding.invariant).collect()
    }

    #[test]
    fn loss_and_dead_relays_are_gone_around_without_flooding() {
        let outcome = run_alone(120, 1, Duration::from_secs(30)).unwrap();
        assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
        let mesh = outcome.mesh.unwrap();
        assert!(mesh.asked > 300 && mesh.delivered * 100 >= mesh.asked * 99, "{mesh:?}");
        assert!(mesh.messages * 10 <= mesh.flooding && mesh.hops >= mesh.shortest, "{mesh:?}");
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
