//! The gate in front of a node, and what it remembers.
//!
//! A ping passes these rooms in this order, so that one the gate turns away costs no memory and gets no byte:
//!
//! 1. [`Standing`]: how far the sender is trusted, from the operator's table of trust or else from the [`VouchRegistry`].
//! 2. [`Gate`]: rules first (highest priority wins), then the two thresholds: GROEN accept, GEEL wait, ROOD silence.
//! 3. [`unsigned_cap`]: a sender that proves nothing gets at most GEEL, unless it is on the operator's [`LegacyList`].
//! 4. [`ReplayWindow`]: no packet past the gate is ever taken in twice.
//! 5. [`WaitingRoom`]: GEEL pings until somebody decides or their time is up.
//!
//! Each is useful alone. Without the `alloc` feature there are [`gate::judge`] over a slice of rules, [`glob`],
//! [`FixedReplayWindow`] and [`FixedWaitingRoom`].
//!
//! Source of the rules: `tibet_ping` 0.2.1 (`airlock.py`, `nonce.py`, `vouch.py`, `handler.py`); where ours differ on purpose the
//! item says so and `core/tests/deviations.toml` lists the fixture.

pub mod gate;
pub mod glob;
#[cfg(feature = "alloc")]
mod legacy;
pub mod replay;
#[cfg(feature = "alloc")]
mod rules;
#[cfg(feature = "alloc")]
mod trust;
#[cfg(feature = "alloc")]
mod vouch;
mod waiting;

pub use gate::{GateConfig, GateError, Pod, Rule, RuleError, Subject, Verdict, unsigned_cap};
#[cfg(feature = "alloc")]
pub use legacy::{LegacyError, LegacyList};
#[cfg(feature = "alloc")]
pub use replay::ReplayWindow;
pub use replay::{Admission, FixedReplayWindow, ReplayConfig, ReplayReject};
#[cfg(feature = "alloc")]
pub use rules::Gate;
#[cfg(feature = "alloc")]
pub use trust::{Source, Standing, TrustConfig, TrustError, TrustTable};
#[cfg(feature = "alloc")]
pub use vouch::{
    AcceptError, Expiry, HeldVouch, MAX_DEPTH, MAX_NAMED, MAX_VOUCH_ID, MakeVouchError, RestoreVouchError, SignedId,
    SignedVouch, SignedVouchError, SignedVouches, Vouch, VouchChange, VouchConfig, VouchDraft, VouchError, VouchId,
    VouchRegistry, VouchRevocation, VouchStats,
};
#[cfg(feature = "alloc")]
pub use waiting::WaitingRoom;
#[cfg(feature = "alloc")]
pub(crate) use waiting::Within;
pub use waiting::{Claim, FixedWaitingRoom, Full, Rank, WaitingConfig, WaitingId, WaitingTable};

#[cfg(test)]
mod tests;
