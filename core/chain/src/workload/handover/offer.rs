//! A step that is offered to somebody.

use super::super::data::{hash_data, hash_value};
use super::super::entry::{After, Finding, Spiffe, Step};
use super::super::ids::{StepId, WorkloadId};
use super::super::protect::WriteError;
use super::super::status::StepStatus;
use crate::token::{Authority, Hash32, Seal, Token, Verdict};
use sluis_core::data::{FnSink, Member, Number, Separators, Sink, SliceSink, Style, Text, Value, canonical};
use sluis_core::time::{Now, Wall, iso};

/// What a signed offer begins with, so that its signature can be taken for nothing else.
const CONTEXT: &[u8; 20] = b"sluis step offer v1\n";

/// The text that an offer's signature covers: `sluis step offer v1`, a line feed, the SHA-256 of the offer's canonical text in hex, a line
/// feed.
#[must_use]
pub fn offer_text(hash: &Hash32) -> [u8; 85] {
    let mut text = [b'\n'; 85];
    text.iter_mut().zip(CONTEXT.iter().copied().chain(hash.to_hex())).for_each(|(to, byte)| *to = byte);
    text
}

/// Why an offer is declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// A member is missing, mistyped, or not in its form.
    #[error("the offer's {0} is missing or not in its form")]
    Malformed(&'static str),
    /// It is for somebody else.
    #[error("the offer is for another executor")]
    NotForMe,
    /// It came too late.
    #[error("the offer has expired")]
    Expired,
    /// It is not signed by a coordinator that is known.
    #[error("the offer is not signed by a known coordinator")]
    NotSigned(Verdict),
    /// The input is not the one that is named.
    #[error("the input is not the one that the offer names")]
    OtherInput,
    /// The input is not the output of the step before, and is not declared to be independent.
    #[error("the input is not the output of the step before")]
    NotTied,
    /// The step was offered before, otherwise.
    #[error("the step was offered before, in another place or with another input")]
    Conflict,
    /// There is no room for another step.
    #[error("no room for another step")]
    Busy,
}

impl Declined {
    /// The word that goes back.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::NotForMe => "not_for_me",
            Self::Expired => "expired",
            Self::NotSigned(_) => "not_signed",
            Self::OtherInput => "other_input",
            Self::NotTied => "not_tied",
            Self::Conflict => "conflict",
            Self::Busy => "busy",
        }
    }
}

/// A step that is offered to an executor: everything that its token will say, but for how it went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer<'a> {
    /// The workload.
    pub workload_id: WorkloadId,
    /// The step.
    pub step_id: StepId,
    /// Its name.
    pub name: Text<'a>,
    /// Its place.
    pub sequence: u32,
    /// Who offers it.
    pub coordinator: Text<'a>,
    /// To whom.
    pub executor: Text<'a>,
    /// Why; empty for just to execute it.
    pub intent: Text<'a>,
    /// The input is declared not to be the output of the step before.
    pub independent: bool,
    /// Hash of the input.
    pub input: Option<Hash32>,
    /// What it follows.
    pub after: After,
    /// When it is void.
    pub expires_at: Wall,
}

impl<'a> Offer<'a> {
    fn write_members(&self, sink: &mut impl Sink) -> Result<(), WriteError> {
        let hex = |hash: Option<Hash32>| hash.map(Hash32::to_hex);
        fn digits(hash: &Option<[u8; 64]>) -> Member<'_> {
            hash.as_ref().map_or("", |hex| core::str::from_utf8(hex).unwrap_or_default()).into()
        }
        let (input, output, token) = (hex(self.input), hex(self.after.output), hex(Some(self.after.token)));
        let parent = parent_id(self.workload_id, self.after.step);
        let mut expires = [0; iso::FORMAT_LEN];
        let members: [(&str, Member<'_>); 13] = [
            ("coordinator", self.coordinator.into()),
            ("executor", self.executor.into()),
            ("expires_at", iso::format(self.expires_at, &mut expires).into()),
            ("independent", Member::Bool(self.independent)),
            ("input_sha256", digits(&input)),
            ("intent", self.intent.into()),
            ("name", self.name.into()),
            ("parent_id", parent.as_str().into()),
            ("parent_token", digits(&token)),
            ("previous_output_sha256", digits(&output)),
            ("sequence", Number::Int(self.sequence.into()).into()),
            ("step_id", self.step_id.as_str().into()),
            ("workload_id", self.workload_id.as_str().into()),
        ];
        Ok(canonical::write_object(sink, &members, Style::canonical(Separators::Spaced))?)
    }

    /// The hash that its signature covers.
    fn hash(&self) -> Result<Hash32, WriteError> {
        use sha2::Digest as _;
        let mut hash = sha2::Sha256::new();
        self.write_members(&mut FnSink(|bytes: &[u8]| hash.update(bytes)))?;
        Ok(Hash32(hash.finalize().into()))
    }

    /// Write it as the payload of a ping, with the input itself if it goes along; how many bytes.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write(
        &self,
        input: Option<Value<'_>>,
        seal: Option<&dyn Seal>,
        out: &mut [u8],
    ) -> Result<usize, WriteError> {
        let mut sink = SliceSink::new(out);
        sink.put(b"{\"step_offer\": ")?;
        self.write_members(&mut sink)?;
        if let Some(input) = input {
            sink.put(b", \"input\": ")?;
            input.write_json(&mut sink, Style::SPACED)?;
        }
        sink.put(b", \"signature\": \"")?;
        let text = offer_text(&self.hash()?);
        let len = sink.len();
        let (_, free) = sink.into_parts();
        let sealed = seal.map_or(Ok(0), |seal| seal.seal(&text, free))?;
        let end = free.get_mut(sealed..).and_then(|rest| rest.get_mut(..2)).ok_or(sluis_core::data::Full)?;
        end.copy_from_slice(b"\"}");
        Ok(len + sealed + 2)
    }

    /// Read the payload of a ping. What it says is not believed before it was [`check`](Self::check)ed.
    ///
    /// # Errors
    /// [`Declined::Malformed`].
    pub fn read(payload: Value<'a>) -> Result<Self, Declined> {
        let offer = payload.get("step_offer").ok_or(Declined::Malformed("step_offer"))?;
        let text = |key| offer.get(key).and_then(Value::as_text).ok_or(Declined::Malformed(key));
        let plain = |key| text(key)?.as_str().ok_or(Declined::Malformed(key));
        let hash = |key| match plain(key)? {
            "" => Ok(None),
            digits => Hash32::from_hex(digits).map(Some).ok_or(Declined::Malformed(key)),
        };
        let workload_id = WorkloadId::parse(plain("workload_id")?).ok_or(Declined::Malformed("workload_id"))?;
        let sequence = match offer.get("sequence").and_then(Value::as_number) {
            Some(Number::Int(n)) => u32::try_from(n).ok().filter(|n| *n > 0),
            _ => None,
        };
        Ok(Self {
            workload_id,
            step_id: StepId::parse(plain("step_id")?).ok_or(Declined::Malformed("step_id"))?,
            name: text("name")?,
            sequence: sequence.ok_or(Declined::Malformed("sequence"))?,
            coordinator: text("coordinator")?,
            executor: text("executor")?,
            intent: text("intent")?,
            independent: offer.get("independent").and_then(Value::as_bool).ok_or(Declined::Malformed("independent"))?,
            input: hash("input_sha256")?,
            after: After {
                step: parent_step(plain("parent_id")?, workload_id).ok_or(Declined::Malformed("parent_id"))?,
                token: hash("parent_token")?.ok_or(Declined::Malformed("parent_token"))?,
                output: hash("previous_output_sha256")?,
            },
            expires_at: iso::parse(plain("expires_at")?).ok_or(Declined::Malformed("expires_at"))?,
        })
    }

    /// Whether `executor` should run it: it is for it, in time, signed by a coordinator that `authority` knows, with the input that it names
    /// (where that came along), and tied to the step before unless that is declared otherwise.
    ///
    /// # Errors
    /// [`Declined`].
    pub fn check(
        &self,
        now: Wall,
        payload: Value<'a>,
        executor: &str,
        authority: &dyn Authority,
    ) -> Result<(), Declined> {
        if self.executor != executor {
            return Err(Declined::NotForMe);
        }
        let offer = payload.get("step_offer").ok_or(Declined::Malformed("step_offer"))?;
        // The hash is over what came, members that nobody here knows included.
        let hash = hash_value(offer).map_err(|_| Declined::Malformed("step_offer"))?;
        let signature = payload.get("signature").and_then(Value::as_text).ok_or(Declined::Malformed("signature"))?;
        let signer = Token { actor: self.coordinator, signature, ..Token::default() };
        match authority.check(&signer, &offer_text(&hash)) {
            Verdict::Good => {}
            verdict => return Err(Declined::NotSigned(verdict)),
        }
        if now > self.expires_at {
            return Err(Declined::Expired);
        }
        if let Some(input) = payload.get("input") {
            let actual = hash_data(input).map_err(|_| Declined::Malformed("input"))?;
            if actual != self.input {
                return Err(Declined::OtherInput);
            }
        }
        if !self.independent && self.after.output.is_some() && self.after.output != self.input {
            return Err(Declined::NotTied);
        }
        Ok(())
    }

    /// What its token says, once it ended well. Change what was otherwise; then [`Step::write`] it.
    #[must_use]
    pub fn step(&self, node: &'a str, started: Now, ended: Now, output: Option<Hash32>) -> Step<'a> {
        let micros = u64::try_from(ended.mono.saturating_since(started.mono).as_micros()).unwrap_or(u64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
        let duration_ms = micros as f64 / 1000.0;
        Step {
            workload_id: self.workload_id,
            step_id: self.step_id,
            name: self.name,
            sequence: self.sequence,
            status: StepStatus::Completed,
            executor: self.executor,
            node: Text::new(node),
            intent: Some(self.intent).filter(|intent| !intent.is_empty()),
            independent: self.independent,
            input: self.input,
            output,
            started: Some(started.wall),
            ended: ended.wall,
            duration_ms,
            error: Text::EMPTY,
            finding: None,
            metadata: Value::EMPTY_OBJECT,
            spiffe: None,
            after: self.after,
        }
    }
}

impl<'a> Step<'a> {
    /// The same, failed.
    #[must_use]
    pub fn failed(self, error: &'a str) -> Self {
        Self { status: StepStatus::Failed, error: Text::new(error), ..self }
    }

    /// The same, with another input than the one that was offered.
    #[must_use]
    pub fn compromised(self, finding: Finding<'a>) -> Self {
        Self { status: StepStatus::Compromised, finding: Some(finding), ..self }
    }

    /// The same, signed by a SPIFFE identity.
    #[must_use]
    pub const fn with_spiffe(self, spiffe: Spiffe<'a>) -> Self {
        Self { spiffe: Some(spiffe), ..self }
    }
}

/// The token id of what a step follows.
fn parent_id(workload: WorkloadId, step: Option<StepId>) -> heapless::String<40> {
    use core::fmt::Write as _;
    let mut id = heapless::String::new();
    // 9 + 16 or 5 + 16 + 1 + 12 digits.
    let _ = match step {
        Some(step) => write!(id, "step_{workload}_{step}"),
        None => write!(id, "workload_{workload}"),
    };
    id
}

/// The step in a token id; `Some(None)` for the first token of the workload.
fn parent_step(id: &str, workload: WorkloadId) -> Option<Option<StepId>> {
    if let Some(rest) = id.strip_prefix("step_") {
        let (of, step) = rest.split_once('_')?;
        return (of == workload.as_str()).then_some(Some(StepId::parse(step)?));
    }
    (id.strip_prefix("workload_")? == workload.as_str()).then_some(None)
}
