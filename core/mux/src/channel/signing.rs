//! When the running hash of what we send is signed, and what the other end has signed.

use sluis_core::identity::Signature;

use super::{Channel, Fault, Own, record};
use crate::proof::{Purpose, SIGN};

/// A place behind a message: how many there are, and what is signed there.
#[derive(Clone, Copy, Debug)]
struct Point {
    count: u64,
    statement: [u8; 40],
}

/// Signatures of one end. A signature stands behind the message that it is for: who sends without a pause signs in between, too.
#[derive(Debug, Default)]
pub(super) struct Signing {
    /// Where the next one goes.
    next: Option<Point>,
    /// And the one behind that, where one was asked for meanwhile.
    then: Option<Point>,
    /// The last one that was made: it is written again where it may be lost.
    made: Option<(u64, Signature)>,
    again: bool,
    /// The last one of the other end.
    heard: Option<(u64, Signature)>,
}

impl Signing {
    /// The last message that is signed for.
    fn upto(&self) -> u64 {
        self.made.map_or(0, |(count, _)| count)
    }

    /// A message was added: its number, and what is signed behind it if it is the last, or if so many came since the last signature.
    pub(super) fn pushed(&mut self, (count, statement): (u64, [u8; 40]), every: u64, is_last: bool) {
        if is_last || self.next.is_none() && count >= self.upto() + every {
            (self.next, self.then) = (Some(Point { count, statement }), None);
        }
    }

    /// Sign there: behind the place that is waited for, if there is one.
    fn soon(&mut self, point: Point) {
        match self.next {
            None => self.next = Some(point),
            Some(next) if next.count < point.count => self.then = Some(point),
            Some(_) => {}
        }
    }

    /// The other end has signed for so many messages; whether that is new.
    pub(super) fn hear(&mut self, count: u64, signature: Signature) -> bool {
        let is_new = self.heard.is_none_or(|(before, _)| before < count);
        self.heard = Some((count, signature));
        is_new
    }

    /// The last message that the other end has signed for.
    fn heard_upto(&self) -> u64 {
        self.heard.map_or(0, |(count, _)| count)
    }

    pub(super) fn heard(&self) -> Option<&Signature> {
        self.heard.as_ref().map(|(_, signature)| signature)
    }

    /// The other end has so many messages: a signature behind these is lost, and one right behind them may be.
    pub(super) fn go_on_from(&mut self, received: u64) {
        self.again = self.made.is_some_and(|(count, _)| count >= received);
    }
}

impl Channel {
    /// The signature that was told last ([`Told::Signed`](super::Told::Signed)), over what [`SIGN`] covers.
    #[must_use]
    pub fn signature(&self) -> Option<&Signature> {
        self.signing.as_ref()?.heard()
    }

    /// Whether something was sent that is not signed for, where both ends have keys.
    #[must_use]
    pub fn has_unsigned(&self) -> bool {
        let upto = self.signing.as_ref().map_or(0, |signing| signing.upto());
        self.agreement.as_ref().is_some_and(|agreement| agreement.statement(self.side.sends()).0 > upto)
    }

    /// Whether the other end has signed for all that it has sent up to now, where both have keys.
    pub(super) fn has_last_signature(&self) -> bool {
        let upto = self.signing.as_ref().map_or(0, |signing| signing.heard_upto());
        self.agreement.is_none() || upto == self.received
    }

    /// Sign for all that was sent, however little that is: third parties can verify it. It is written behind that.
    pub fn sign_soon(&mut self) {
        if self.has_unsigned()
            && let Some(agreement) = &self.agreement
        {
            let (count, statement) = agreement.statement(self.side.sends());
            let signing = self.signing.get_or_insert_default();
            signing.soon(Point { count, statement });
        }
    }

    /// Sign behind the message that was written last, if that is the place for it.
    pub(super) fn sign(&mut self, own: Own<'_>) -> Result<(), Fault> {
        let written = self.sending.written();
        if written == self.sending.last() && self.sign_every == 1 {
            self.sign_soon();
        }
        let (Some(signing), Some(signer)) = (&mut self.signing, own.signer) else { return Ok(()) };
        if signing.again
            && let Some((count, signature)) = signing.made.filter(|(count, _)| *count == written)
        {
            record::put(&mut self.staged, SIGN, &[&count.to_be_bytes(), &signature]);
            signing.again = false;
        }
        if let Some(Point { count, statement }) = signing.next.take_if(|next| next.count == written) {
            let way = [u8::from(self.side.sends() == crate::proof::Direction::Back)];
            let signature = Purpose::Sign.sign(signer, &[&way], &statement)?;
            record::put(&mut self.staged, SIGN, &[&count.to_be_bytes(), &signature]);
            (signing.made, signing.again) = (Some((count, signature)), false);
            signing.next = signing.then.take();
        }
        Ok(())
    }
}
