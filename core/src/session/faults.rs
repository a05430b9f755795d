//! Protections that a simulation can switch off; without the feature `sim` every question has the constant answer "no".

/// What is switched off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// First messages are looked at however many there are.
    #[cfg(feature = "sim")]
    pub(crate) no_cookie: bool,
    /// Packets are taken however often they come.
    #[cfg(feature = "sim")]
    pub(crate) no_replay_check: bool,
}

impl Faults {
    #[inline]
    pub(super) const fn no_cookie(self) -> bool {
        #[cfg(feature = "sim")]
        return self.no_cookie;
        #[cfg(not(feature = "sim"))]
        false
    }

    #[inline]
    pub(super) const fn no_replay_check(self) -> bool {
        #[cfg(feature = "sim")]
        return self.no_replay_check;
        #[cfg(not(feature = "sim"))]
        false
    }
}
