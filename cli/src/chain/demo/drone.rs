//! A drone flies where somebody else wants to have sent it.

use std::fs;
use std::sync::Arc;

use super::forge::{rehash, rewrite};
use super::stage::{Stage, known};
use crate::chain::judge;
use crate::fail::Fail;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Fail> {
    stage.teller.introduce("A drone mission: every step signed by whoever ran it, and the log by the dispatcher");
    let [dispatch, drone, relay, mallory] = ["dispatch", "drone-7", "relay-3", "mallory"].map(|name| stage.actor(name));
    let trusted = known(&[&dispatch, &drone, &relay]);
    let anybody = Arc::new(judge::Keys::default());

    stage.teller.step("The mission is flown");
    stage.begin("mission-7", &dispatch)?;
    stage.step(&dispatch, "plan", "bring the medicine to the clinic", r#"{"lat": 52.3702, "lon": 4.8952}"#)?;
    stage.step(&drone, "fly", "follow the plan", r#"{"lat": 52.3702, "lon": 4.8952, "battery": 0.41}"#)?;
    stage.step(&relay, "hand over", "the clinic signs for it", r#"{"received": true}"#)?;
    stage.checkpoint(&dispatch)?;

    stage.teller.step("Nothing was changed");
    stage.expect(&trusted, &[])?;
    let good = stage.lines()?;
    let moved = |line: &str| line.replace("follow the plan", "follow another plan");

    stage.teller.step("Mallory edits what the drone said it was to do");
    let mut lines = good.clone();
    change(&mut lines, 2, |line| Ok(moved(line)))?;
    stage.put(&lines)?;
    stage.expect(&trusted, &[(3, "content_hash")])?;

    stage.teller.step("... and makes the hash fit again: the drone did not sign that");
    change(&mut lines, 2, rehash)?;
    stage.put(&lines)?;
    stage.expect(&trusted, &[(3, "bad_signature")])?;

    stage.teller.step("... and takes the line out altogether");
    lines = good.clone();
    lines.remove(2);
    stage.put(&lines)?;
    let findings = stage.verify(&trusted)?;
    stage
        .teller
        .check(findings.len() == 1 && findings.iter().all(|finding| finding.line == 3), "line 3 was to be named");

    stage.teller.step("... and writes everything anew, signed with a key of his own");
    lines.clone_from(&good);
    change(&mut lines, 2, |line| Ok(moved(line)))?;
    if let Some(key) = &mallory.keys.secret {
        rewrite(&mut lines, 2, key)?;
    }
    stage.put(&lines)?;
    stage.teller.says("verify", "knows who may sign:");
    let findings = stage.verify(&trusted)?;
    let unknown = findings.iter().filter(|finding| finding.kind.as_str() == "unknown_key").count();
    stage.teller.check(unknown == 2 && findings.len() == 2, "two lines were to be signed by somebody unknown");
    stage.teller.says("verify", "knows nobody, but has the checkpoint:");
    let findings = stage.verify(&anybody)?;
    stage
        .teller
        .check(findings.len() == 1 && findings.iter().all(|finding| finding.line == 3), "line 3 was to be named");

    stage.teller.step("Without the last line nobody knows that it arrived");
    lines.clone_from(&good);
    lines.pop();
    stage.put(&lines)?;
    let findings = stage.verify(&trusted)?;
    stage.teller.check(findings.len() == 1, "that the end is gone was to be found");

    stage.teller.step("The file comes back as it was");
    stage.put(&good)?;
    stage.expect(&trusted, &[])?;
    let left = fs::read_to_string(stage.path("chain.jsonl.checkpoint")).map_err(Fail::runtime)?;
    stage.teller.says("dispatch", &format!("keeps the checkpoint elsewhere: {} bytes for all of it", left.len()));
    Ok(())
}

fn change(lines: &mut [String], at: usize, make: impl FnOnce(&str) -> Result<String, Fail>) -> Result<(), Fail> {
    let line = lines.get_mut(at).ok_or_else(|| Fail::runtime("the chain is too short"))?;
    *line = make(line)?;
    Ok(())
}
