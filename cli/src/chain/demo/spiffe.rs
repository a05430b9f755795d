//! Executors with X.509-SVIDs of a throw-away authority.

use std::sync::Arc;
use std::time::Duration;

use sluis_chain::token::SealError;
use sluis_spiffe::{SpiffeAuthority, ThrowawayCa};

use super::stage::{Actor, Stage};
use crate::chain::judge;
use crate::chain::ledger::Keys;
use crate::fail::Fail;

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Fail> {
    stage
        .teller
        .introduce("SPIFFE: steps signed as spiffe://demo.example/..., judged by the bundle of the trust domain");
    let now = stage.now();
    let ca = authority(stage, "demo.example")?;
    let build = executor(&ca, "build", "demo.example", now, HOUR)?;
    let deploy = executor(&ca, "deploy", "demo.example", now, HOUR)?;
    let keys = trust(&ca)?;

    stage.teller.step("Two workloads run a step each, with certificates of an hour");
    stage.begin("release", &build)?;
    stage.step(&build, "compile", "from the reviewed source", r#"{"image": "sha256:2c26b46b"}"#)?;
    stage.step(&deploy, "roll out", "to the first region", r#"{"healthy": true}"#)?;
    stage.expect(&keys, &[])?;
    let good = stage.lines()?;

    stage.teller.step("Who ran a step is part of what is signed");
    let mut lines = good.clone();
    if let Some(line) = lines.get_mut(2) {
        *line = line.replace("spiffe://demo.example/deploy", "spiffe://demo.example/build");
    }
    stage.put(&lines)?;
    let findings = stage.verify(&keys)?;
    stage
        .teller
        .check(findings.len() == 1 && findings.iter().all(|finding| finding.line == 3), "line 3 was to be named");
    stage.put(&good)?;

    stage.teller.step("Another authority of the same name is not this authority");
    let other = authority(stage, "demo.example")?;
    let findings = stage.verify(&trust(&other)?)?;
    stage.teller.check(findings.len() == 3, "no line was to be signed by anybody of that bundle");

    stage.teller.step("A certificate that has run out signs nothing");
    let early = now.saturating_sub(2 * HOUR);
    let late = executor(&ca, "late", "demo.example", early, HOUR)?;
    let sealed = late.keys.sealing(now, |protection| protection.seal.map(|seal| seal.seal(b"text", &mut [0; 16_384])));
    if let Some(Err(why)) = &sealed {
        stage.teller.says("late", &format!("{why}"));
    }
    stage.teller.check(matches!(sealed, Some(Err(SealError::NotValid))), "an old certificate was not to sign");
    Ok(())
}

fn authority(stage: &Stage<'_>, domain: &str) -> Result<ThrowawayCa, Fail> {
    ThrowawayCa::new(domain, stage.now().saturating_sub(24 * HOUR), 48 * HOUR).map_err(Fail::runtime)
}

fn executor(
    ca: &ThrowawayCa,
    name: &'static str,
    domain: &str,
    from: sluis_core::Wall,
    valid: Duration,
) -> Result<Actor, Fail> {
    // A minute for clocks that differ.
    let from = from.saturating_sub(Duration::from_secs(60));
    let issued = ca.issue(name, from, from.saturating_add(valid)).map_err(Fail::runtime)?;
    let svid = issued.svid().map_err(Fail::runtime)?;
    Ok(Actor { name, did: format!("spiffe://{domain}/{name}"), keys: Keys { svid: Some(svid), ..Keys::default() } })
}

fn trust(ca: &ThrowawayCa) -> Result<Arc<judge::Keys>, Fail> {
    let bundles = ca.bundles().map_err(Fail::runtime)?;
    let spiffe = Some(Arc::new(SpiffeAuthority::new(bundles)));
    Ok(Arc::new(judge::Keys { spiffe, signed: true, ..judge::Keys::default() }))
}
