//! What a listening node is told while it runs, and what it answers.

use std::io::Write as _;
#[cfg(unix)]
use std::sync::mpsc::Sender;
use std::time::Duration;

use sluis_chain::audit::{Happening, OverlayAction};
use sluis_core::airlock::TrustError;
use sluis_core::discovery::TokenInfo;
use sluis_core::framing::Text;
use sluis_core::node::{Keeping, Node, Outcome, WaitId, Waiting};
use sluis_core::pins::Origin;
use sluis_core::record::Recorded;
use sluis_core::{Instant, Now, StoreError, StoreSeq};

use super::NAME;
use super::app::Listen;
use super::keys::{self, show_pin, show_unpin};
use super::tokens;
#[cfg(unix)]
use crate::input::{Answer, Asked};
use crate::input::{COMMANDS, Heard, HubCommand};
use crate::output::escape::in_quotes;
use crate::output::{Color, Page, Style, tell};
use crate::token::args::TokenOrder;
use crate::values::{Pin, Trust};
use crate::view::{self, Verdict};
use crate::{token, vouch};

/// How long a sender usually waits for a decision. What this one was told is not in its ping, so the age is always shown, and
/// from here on with a word of caution.
const USUAL_PATIENCE: Duration = Duration::from_secs(10);

/// What came of an order, beside what is on the page; or why nothing happened.
type Done = Result<Came, String>;

/// An order was obeyed.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// A word of caution.
    pub(super) caution: Option<String>,
    /// It is answered once this change is on the disk; and what is said if it cannot be brought there.
    pub(super) once_kept: Option<(StoreSeq, String)>,
    /// The join token that it made, which is recorded then.
    pub(super) made: Option<TokenInfo>,
}

impl From<Option<String>> for Came {
    fn from(caution: Option<String>) -> Self {
        Self { caution, ..Self::default() }
    }
}

/// Whom to tell what came of an order.
#[derive(Debug)]
enum To {
    /// Standard output: it came on standard input.
    Console,
    /// The control socket.
    #[cfg(unix)]
    Control(Sender<Answer>),
}

/// An order whose answer waits for the disk.
#[derive(Debug)]
pub(super) struct Unkept {
    change: StoreSeq,
    otherwise: String,
    to: To,
    page: Page,
    caution: Option<String>,
    made: Option<TokenInfo>,
}

impl Listen {
    /// Do what was asked for, wherever it came from.
    pub(super) fn hear(&mut self, now: Now, node: &mut Recorded<Node>, heard: Heard) {
        match heard {
            Heard::Line(line) => self.console(now, node, &line),
            Heard::InputEnded => self.input_ended(),
            #[cfg(unix)]
            Heard::Control(asked) => self.remote(now, node, asked),
        }
    }

    /// A line of standard input. What was done is told as an event, so only what was asked for is printed.
    fn console(&mut self, now: Now, node: &mut Recorded<Node>, line: &str) {
        // With --quiet standard output is for the summary.
        let mut page = if self.out.quiet { Page::new(Style::Text, None) } else { self.out.page() };
        let done = self.obey(now, node, line, &mut page, false);
        self.came(To::Console, page, done);
    }

    /// A command through the control socket; it is told what was done.
    #[cfg(unix)]
    fn remote(&mut self, now: Now, node: &mut Recorded<Node>, asked: Asked) {
        let mut page = Page::new(asked.style, Some(now.wall));
        let done = self.obey(now, node, &asked.line, &mut page, true);
        self.came(To::Control(asked.answer), page, done);
    }

    /// Answer an order, unless that waits for the disk.
    fn came(&mut self, to: To, page: Page, done: Done) {
        match done {
            Ok(Came { caution, once_kept: None, made }) => {
                self.token_made(made);
                self.answer(&to, page, Ok(caution));
            }
            Ok(Came { caution, once_kept: Some((change, otherwise)), made }) => {
                self.unkept.push_back(Unkept { change, otherwise, to, page, caution, made });
            }
            Err(why) => self.answer(&to, page, Err(why)),
        }
    }

    /// Changes up to this one are on the disk, or could not be brought there.
    pub(super) fn answer_kept(&mut self, upto: StoreSeq, result: Result<(), StoreError>) {
        while let Some(Unkept { to, mut page, caution, otherwise, made, .. }) =
            self.unkept.pop_front_if(|order| order.change <= upto)
        {
            match result {
                Ok(()) => {
                    self.token_made(made);
                    self.answer(&to, page, Ok(caution));
                }
                Err(why) => {
                    // What is on the page has not come to be.
                    page.take();
                    self.answer(&to, page, Err(format!("{otherwise} ({why})")));
                }
            }
        }
    }

    /// Tell what came of an order.
    fn answer(&mut self, to: &To, mut page: Page, done: Result<Option<String>, String>) {
        match to {
            #[cfg(unix)]
            To::Control(answer) => {
                let (words, failed) = match done {
                    Ok(caution) => (caution, false),
                    Err(why) => (Some(why), true),
                };
                // Whoever hung up does not hear of it.
                let _ = answer.send(Answer { lines: page.take(), words, failed });
            }
            To::Console => {
                let words = match done {
                    Ok(caution) if self.out.quiet => {
                        String::from_utf8_lossy(&page.take()).lines().for_each(tell);
                        caution
                    }
                    Ok(caution) => {
                        self.out.add(page);
                        caution
                    }
                    Err(why) => Some(why),
                };
                words.iter().for_each(|what| tell(&format!("{NAME}: {what}.")));
            }
        }
    }

    /// Say that nobody is listened to any more, unless there never was anybody (`< /dev/null`).
    fn input_ended(&self) {
        if self.out.quiet || is_no_input() {
            return;
        }
        let other = if self.has_control() { ", `sluis ctl` goes on" } else { "" };
        tell(&format!("{NAME}: standard input has ended, commands are no longer read there{other}; a signal ends it."));
    }

    /// Understand a line and do it.
    fn obey(&mut self, now: Now, node: &mut Recorded<Node>, line: &str, page: &mut Page, remote: bool) -> Done {
        match HubCommand::parse(line)? {
            None => {}
            Some(HubCommand::Quit) => self.quit = true,
            Some(HubCommand::Help) => help(page),
            Some(HubCommand::List) => list(page, node, now.mono),
            Some(HubCommand::Stats) => {
                let (stats, totals) = (node.stats(), self.totals(node));
                page.show(
                    "stats",
                    |o| view::totals_json(o, &stats, &totals),
                    |flow| {
                        flow.words(&view::totals_text(&stats, &totals));
                    },
                );
            }
            Some(HubCommand::Trust(Trust { did, score })) => {
                let (score, keeping) =
                    self.decide_trust(now, node, &did, score).map_err(|why| format!("trust in {did}: {why}"))?;
                let change = keys::change(keeping);
                if remote || change.is_some() || matches!(self.out.style, Style::Json) {
                    let change = change.as_deref().unwrap_or("null");
                    page.show(
                        "trust",
                        |o| o.str("source_did", &did).raw("trust_score", score).raw("change", change),
                        |flow| {
                            flow.quoted("trust in ", Text::new(&did)).words(&format!("is {score} from now on"));
                        },
                    );
                } else {
                    self.aside(&format!("is {score} from now on"), "trust in ", Text::new(&did));
                }
            }
            Some(HubCommand::Pin(Pin { did, key })) => {
                let keeping = node.pin(now, &did, key, Origin::Operator).map_err(|why| format!("{did}: {why}"))?;
                show_pin(page, &did, key, keeping, Origin::Operator);
            }
            Some(HubCommand::Unpin(did)) => match node.unpin(&did).map_err(|why| format!("{did}: {why}"))? {
                Some(keeping) => show_unpin(page, &did, keeping),
                None => return Err(format!("no key is pinned to {did}")),
            },
            Some(HubCommand::Accept(file)) => {
                let statement = keys::statement(&file)?;
                let keeping = node.retire(&statement).map_err(|why| format!("{}: {why}", file.display()))?;
                keys::show_retired(page, statement.key(), statement.successor(), Some(keeping));
            }
            Some(HubCommand::Vouch(file)) => {
                let signed = vouch::read(&file)?;
                let taken = match &signed {
                    vouch::Signed::Vouch(bytes) => node.accept_vouch(now, bytes),
                    vouch::Signed::Revocation(bytes) => node.accept_vouch_revocation(now, bytes),
                };
                let (id, keeping) = taken.map_err(|why| format!("{}: {why}", file.display()))?;
                // Of a vouch the node tells.
                if let vouch::Signed::Revocation(_) = signed {
                    self.happened(OverlayAction::VouchRevoked { id });
                }
                show_vouch(page, "vouch", &id, keeping);
            }
            Some(HubCommand::Revoke(id)) => {
                let keeping = node.remove_signed_vouch(now, &id).map_err(|why| why.to_string())?;
                self.happened(OverlayAction::VouchRevoked { id });
                show_vouch(page, "revoke", &id, keeping);
            }
            Some(HubCommand::ApprovePinned(number)) => {
                let ping =
                    node.waiting_number(number).ok_or_else(|| format!("no ping {number} waits for a decision"))?;
                let (id, did) = (ping.id, ping.source_did.to_owned());
                let key =
                    ping.auth.key().ok_or_else(|| format!("{number} bears no signature: there is no key to pin"))?;
                let keeping = node.pin(now, &did, key, Origin::Approved).map_err(|why| format!("{did}: {why}"))?;
                show_pin(page, &did, key, keeping, Origin::Approved);
                return decide(now, node, id, true, page, remote);
            }
            Some(HubCommand::Token(order)) => {
                let came = tokens::obey(now, node, &order, page)?;
                if let TokenOrder::Revoke { id } = order {
                    self.happened(OverlayAction::TokenRevoked { id });
                }
                return Ok(came);
            }
            Some(HubCommand::Decide { approve, packet_id, sender }) => {
                let id = one_of(node, &packet_id, sender.as_deref())?;
                return decide(now, node, id, approve, page, remote);
            }
        }
        Ok(Came::default())
    }

    /// Trust somebody from now on so far, for good where state is kept, and record that.
    fn decide_trust(
        &mut self,
        now: Now,
        node: &mut Recorded<Node>,
        did: &str,
        score: f64,
    ) -> Result<(f64, Keeping), TrustError> {
        // Without a store a configuration that is read again has the last word.
        if !node.config().durable {
            return self.trust(now, node, did, score).map(|score| (score, Keeping::Done));
        }
        let old = node.standing(did, now.wall).trust;
        let (new, keeping) = node.decide_trust(did, score)?;
        self.trust_changed(now, did, old, new);
        Ok((new, keeping))
    }

    /// Trust somebody from now on so far, and record that.
    pub(super) fn trust(
        &mut self,
        now: Now,
        node: &mut Recorded<Node>,
        did: &str,
        score: f64,
    ) -> Result<f64, TrustError> {
        let old = node.standing(did, now.wall).trust;
        let new = node.set_trust(did, score)?;
        self.trust_changed(now, did, old, new);
        Ok(new)
    }

    /// Forget that somebody was trusted, and record that.
    pub(super) fn distrust(&mut self, now: Now, node: &mut Recorded<Node>, did: &str) {
        let old = node.standing(did, now.wall).trust;
        if node.remove_trust(did) {
            let new = node.standing(did, now.wall).trust;
            self.trust_changed(now, did, old, new);
        }
    }

    /// Record a join token that was made.
    fn token_made(&mut self, made: Option<TokenInfo>) {
        if let Some(TokenInfo { id, uses, expires, trust, .. }) = made {
            self.happened(OverlayAction::TokenMade { id, uses, expires, trust });
        }
    }

    /// Record what the operator did in the overlay.
    fn happened(&mut self, action: OverlayAction<'_>) {
        let now = Now::new(self.now, self.wall);
        if let Some(record) = &mut self.record {
            record.happening(now, &Happening::Overlay(action));
        }
    }

    fn trust_changed(&mut self, now: Now, did: &str, old: f64, new: f64) {
        let zones = self.zones();
        if let Some(record) = &mut self.record {
            let did = Text::new(did);
            record.happening(now, &Happening::Trust { did, old, new, reason: Text::EMPTY, zones });
        }
    }
}

/// A signed vouch was taken in, or taken back; it is kept once that is said.
fn show_vouch(page: &mut Page, event: &str, id: &[u8], keeping: Keeping) {
    let (id, change) = (token::hex(id), keys::change(keeping));
    page.show(
        event,
        |o| o.str("id", &id).raw("change", change.as_deref().unwrap_or("null")),
        |flow| {
            flow.word(Color::Bold, if event == "vouch" { "taken in" } else { "revoked" });
            flow.words(&format!("the vouch {id}"));
        },
    );
}

/// Decide about a ping that waits.
fn decide(now: Now, node: &mut Recorded<Node>, id: WaitId, approve: bool, page: &mut Page, remote: bool) -> Done {
    let number = id.number();
    let Some(ping) = node.waiting_number(number) else { return Err(format!("no ping {number} waits for a decision")) };
    let (did, intent, packet_id) = (ping.source_did.to_owned(), ping.intent.to_owned(), ping.packet_id.to_owned());
    let waited = now.mono.saturating_since(ping.since);
    let told = node.stats().tables.transmits;
    let decided = if approve { node.approve(now, id).map(drop) } else { node.reject(now, id) };
    decided.map_err(|why| format!("{number}: {why}"))?;
    if remote {
        let verdict = Verdict {
            wait: number,
            packet_id: &packet_id,
            source_did: &did,
            intent: &intent,
            outcome: if approve { Outcome::Approved } else { Outcome::Rejected },
            waited,
            answered: node.stats().tables.transmits > told,
        };
        page.show("decided", |o| view::decided_json(o, &verdict), |flow| view::decided_text(flow, &verdict));
    }
    let late = waited > USUAL_PATIENCE;
    let caution = late.then(|| {
        format!(
            "{number} had waited {} s: how long its sender waits is not known here, {} s is usual, so it may not hear this",
            waited.as_secs(),
            USUAL_PATIENCE.as_secs()
        )
    });
    Ok(caution.into())
}

/// Print the commands.
fn help(page: &mut Page) {
    for (command, does) in COMMANDS {
        page.show(
            "help",
            |o| o.str("command", command).str("does", does),
            |flow| {
                flow.piece(Color::Bold, |line| drop(write!(line, "{command:<19}"))).text(Color::Plain, does);
            },
        );
    }
}

/// Print the pings that wait.
fn list(page: &mut Page, node: &Node, now: Instant) {
    let mut count = 0_u32;
    for ping in node.waiting() {
        count += 1;
        let age = now.saturating_since(ping.since);
        page.show(
            "waiting",
            |o| {
                o.raw("wait", ping.id.number())
                    .str("packet_id", ping.packet_id)
                    .str("source_did", ping.source_did)
                    .str("intent", ping.intent)
                    .addr("from", ping.from.remote)
                    .str("auth", ping.auth.as_str())
                    .maybe("fingerprint", view::fingerprint(ping.auth).as_deref())
                    .rounded("age_s", Some(age.as_secs_f64()), 3)
            },
            |flow| {
                flow.piece(Color::Bold, |line| drop(write!(line, "{:>4}", ping.id.number())));
                flow.piece(Color::Plain, |line| drop(write!(line, "{:>4} s", age.as_secs())));
                flow.quoted("", Text::new(ping.source_did)).quoted("", Text::new(ping.intent));
                flow.piece(Color::Plain, |line| drop(write!(line, "from {}", ping.from.remote)));
            },
        );
    }
    page.show(
        "list",
        |o| o.raw("waiting", count),
        |flow| {
            let wait = if count == 1 { "ping waits" } else { "pings wait" };
            flow.words(&format!("{count} {wait} for a decision"));
        },
    );
}

/// Standard input is a device that never says anything, and no terminal.
fn is_no_input() -> bool {
    #[cfg(unix)]
    {
        use std::io::IsTerminal as _;
        use std::os::unix::fs::FileTypeExt as _;
        let device = std::fs::metadata("/dev/stdin").is_ok_and(|about| about.file_type().is_char_device());
        device && !std::io::stdin().is_terminal()
    }
    #[cfg(not(unix))]
    false
}

/// The waiting ping that is meant, or what to write instead: the number that we gave it, or its packet id.
fn one_of(node: &Node, name: &str, sender: Option<&str>) -> Result<WaitId, String> {
    // A packet id of digits is a sender's choice and must not be taken for a number of ours, nor stand in for one that is gone.
    if sender.is_none() && !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        let ping = name.parse().ok().and_then(|number| node.waiting_number(number));
        return ping.map(|ping| ping.id).ok_or_else(|| format!("no ping {name} waits for a decision"));
    }
    let of_sender = |ping: &Waiting<'_>| sender.is_none_or(|sender| sender == ping.source_did);
    let meant: Vec<Waiting<'_>> = node.waiting().filter(|ping| ping.packet_id == name && of_sender(ping)).collect();
    match meant.as_slice() {
        [ping] => Ok(ping.id),
        [] => Err(match sender {
            Some(sender) => format!("no ping {name} of {sender} waits for a decision"),
            None => format!("no ping {name} waits for a decision"),
        }),
        several => {
            let each =
                |ping: &Waiting<'_>| format!("{} of {}", ping.id.number(), in_quotes(Text::new(ping.source_did)));
            let each: Vec<String> = several.iter().map(each).collect();
            Err(format!("several pings {name} wait, write the number of the one you mean: {}", each.join(", ")))
        }
    }
}
