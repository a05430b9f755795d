//! Protections that a simulated mesh can switch off; outside of tests and simulations every question has the constant answer "no".

/// What is switched off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A ping goes on however far it has travelled.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) no_hop_cap: bool,
    /// A ping is recognised by its id alone.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) poisonable_seen: bool,
    /// A ping may go back to where it came from.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) no_split_horizon: bool,
    /// Of two records that do not fit each other, the first one is blamed.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) blame_neighbour: bool,
}

macro_rules! questions {
    ($($name:ident),+) => { $(
        #[inline]
        pub(super) const fn $name(self) -> bool {
            #[cfg(any(test, feature = "sim"))]
            return self.$name;
            #[cfg(not(any(test, feature = "sim")))]
            false
        }
    )+ };
}

impl Faults {
    questions!(no_hop_cap, poisonable_seen, no_split_horizon, blame_neighbour);
}
