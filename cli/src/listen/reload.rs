//! SIGHUP: the configuration is read again, and the log opened anew.

use std::mem;

use sluis_core::Now;
use sluis_core::node::Node;
use sluis_core::record::Recorded;

use super::NAME;
use super::app::Listen;
use super::settings::Settings;
use crate::fail::Fail;
use crate::output::tell;
use crate::values::Trust;

impl Listen {
    /// Do what SIGHUP asks for. A configuration that is wrong changes nothing.
    pub(super) fn reload(&mut self, now: Now, node: &mut Recorded<Node>) {
        if let Err(why) = self.out.reopen_log() {
            tell(&format!("{NAME}: --log cannot be opened anew ({why}), what follows goes where it went."));
        }
        if self.args.config.is_none() {
            return;
        }
        // A node that is thrown away says whether all of it can be had together.
        let read = Settings::gather(&self.args).and_then(|new| {
            let node = new.node(None, None)?;
            let warnings = new.warnings(&node);
            warnings.iter().for_each(|what| tell(&format!("{NAME}: {what}.")));
            Ok(new)
        });
        let done = read.and_then(|mut new| {
            self.keep_what_is_fixed(&mut new);
            self.apply(now, node, new)
        });
        match done {
            Ok(()) => {
                let Settings { trust, legacy, rules, replies, .. } = &self.settings;
                let counts = [trust.len(), legacy.len(), rules.len(), replies.len()];
                let [trust, legacy, rules, replies] = counts;
                self.out.event(
                    "reloaded",
                    |o| o.raw("trust", trust).raw("legacy", legacy).raw("rules", rules).raw("replies", replies),
                    |flow| {
                        flow.words(&format!(
                            "configuration read again: {trust} trusted, {legacy} legacy patterns, {rules} rules, {replies} replies"
                        ));
                    },
                );
            }
            Err(why) => tell(&format!("{NAME}: the configuration stays as it was: {why}.")),
        }
    }

    /// What cannot change while the node runs stays, and that is said.
    fn keep_what_is_fixed(&self, new: &mut Settings) {
        let old = &self.settings;
        let mut changed = Vec::new();
        if new.did != old.did {
            changed.push("did");
        }
        if new.bind != old.bind {
            changed.push("bind");
        }
        if new.gate != old.gate {
            changed.push("thresholds");
        }
        if new.caps != old.caps {
            changed.push("caps");
        }
        (new.did, new.bind, new.gate, new.caps) = (old.did.clone(), old.bind.clone(), old.gate, old.caps);
        if !changed.is_empty() {
            tell(&format!("{NAME}: {} cannot change while it runs, start it again for that.", changed.join(", ")));
        }
    }

    fn apply(&mut self, now: Now, node: &mut Recorded<Node>, new: Settings) -> Result<(), Fail> {
        let old = mem::replace(&mut self.settings, new);
        for Trust { did, .. } in &old.trust {
            if !self.settings.trust.iter().any(|trust| trust.did == *did) && node.decided_trust(did).is_none() {
                self.distrust(now, node, did);
            }
        }
        // A later entry for the same DID counts.
        let trust = self.settings.trust.clone();
        for (i, Trust { did, score }) in trust.iter().enumerate() {
            let last = !trust[i + 1..].iter().any(|later| later.did == *did);
            let news = old.trust.iter().rfind(|trust| trust.did == *did).is_none_or(|trust| trust.score != *score);
            if last && news {
                // What the configuration says anew is newer than what was decided while it ran.
                let _ = node.withdraw_trust(did);
            }
            if last && node.trusted(did) != Some(*score) && node.decided_trust(did).is_none() {
                self.trust(now, node, did, *score).map_err(|why| Fail::runtime(format!("trust in {did}: {why}")))?;
            }
        }
        for pattern in &old.legacy {
            node.disallow_legacy(pattern);
        }
        for rule in &old.rules {
            node.remove_rule(&rule.id);
        }
        for (intent, _) in &old.replies {
            node.remove_reply(intent);
        }
        self.settings.apply_lists(node)
    }
}
