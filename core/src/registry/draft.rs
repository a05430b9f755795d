//! Records in the making.

use super::address::Address;
use super::record::{BEHIND_NAT, Claims, MAGIC, Record, RecordError, Role};
use crate::data::cursor::{put_short_text, put_text};
use crate::data::{Full, Sink as _, SliceSink};
use crate::identity::{PublicKey, SignError, Signer};

/// Length of a signature.
const SIGNATURE: usize = 64;

/// Why a record cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MakeRecordError {
    /// What it would say cannot be said in a record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The signer does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// A record to be made. Lists may come in any order, and hold a text twice: it is written once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Draft<'a> {
    /// See [`Claims::did`].
    pub did: &'a str,
    /// See [`Claims::seq`]. Microseconds since the Unix epoch serve well: they count up without being kept.
    pub seq: u64,
    /// See [`Claims::issued`].
    pub issued: u64,
    /// See [`Claims::expires`].
    pub expires: u64,
    /// See [`Claims::behind_nat`].
    pub behind_nat: bool,
    /// See [`Claims::role`].
    pub role: Role,
    /// Best first, at most four.
    pub endpoints: &'a [Address<'a>],
    /// At most 32 of 1 to 64 bytes.
    pub capabilities: &'a [&'a str],
    /// At most 8 of 1 to 64 bytes.
    pub pods: &'a [&'a str],
    /// At most 8 of 1 to 64 bytes.
    pub stations: &'a [&'a str],
    /// At most 16: names of 1 to 32 bytes, values of at most 128. Of two with the same name the first is taken.
    pub metadata: &'a [(&'a str, &'a str)],
}

impl Draft<'_> {
    /// Write and sign it.
    ///
    /// # Errors
    /// [`MakeRecordError`]: what it says cannot be said, or the signer does not sign.
    pub fn sign<'b>(
        &self,
        signer: &dyn Signer,
        out: &'b mut [u8; Record::MAX_LEN],
    ) -> Result<Record<'b>, MakeRecordError> {
        let room = out.get_mut(..Record::MAX_LEN - SIGNATURE).unwrap_or_default();
        let mut sink = SliceSink::new(room);
        self.write(&signer.public(), &mut sink).map_err(|Full| RecordError::TooLong)?;
        let len = sink.len();
        let signed = out.get(..len).unwrap_or_default();
        Claims::read(signed, |_| Some(signer.public()))?;
        let signature = signer.sign(signed)?;
        if let Some(place) = out.get_mut(len..len + SIGNATURE) {
            place.copy_from_slice(&signature);
        }
        // A signer that signs under another key than it says is found here.
        Ok(Record::read(out.get(..len + SIGNATURE).unwrap_or_default())?)
    }

    fn write(&self, key: &PublicKey, sink: &mut SliceSink<'_>) -> Result<(), Full> {
        sink.put(MAGIC)?;
        sink.put(key.as_bytes())?;
        for number in [self.seq, self.issued, self.expires] {
            sink.put(&number.to_be_bytes())?;
        }
        sink.put(&[if self.behind_nat { BEHIND_NAT } else { 0 } | self.role.flags()])?;
        put_text(sink, self.did)?;
        sink.put(&[u8::try_from(self.endpoints.len()).map_err(|_| Full)?])?;
        self.endpoints.iter().try_for_each(|endpoint| endpoint.write(sink))?;
        for list in [self.capabilities, self.pods, self.stations] {
            put_list(sink, list, |text| text, |sink, text| put_short_text(sink, text))?;
        }
        put_list(
            sink,
            self.metadata,
            |(name, _)| name,
            |sink, (name, value)| {
                put_short_text(sink, name)?;
                put_short_text(sink, value)
            },
        )
    }
}

/// Write entries in the order of the bytes of their names, each name once. Quadratic, and lists are short.
fn put_list<'t, T: Copy>(
    sink: &mut SliceSink<'_>,
    entries: &[T],
    name: impl Fn(T) -> &'t str,
    put: impl Fn(&mut SliceSink<'_>, T) -> Result<(), Full>,
) -> Result<(), Full> {
    let (at, mut count, mut last) = (sink.len(), 0_u8, None);
    sink.put(&[0])?;
    loop {
        let after = |entry: &&T| last.is_none_or(|last| name(**entry) > last);
        // Of entries with the same name, `min_by_key` takes the first.
        let Some(next) = entries.iter().filter(after).min_by_key(|entry| name(**entry)) else { break };
        put(sink, *next)?;
        last = Some(name(*next));
        count = count.checked_add(1).ok_or(Full)?;
    }
    sink.patch(at, &[count]);
    Ok(())
}
