//! Protections that a simulated mesh can switch off; outside of tests every question has the constant answer "no".

/// What is switched off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A ping goes on however far it has travelled.
    #[cfg(test)]
    pub(crate) no_hop_cap: bool,
    /// A ping is recognised by its id alone.
    #[cfg(test)]
    pub(crate) poisonable_seen: bool,
    /// A ping may go back to where it came from.
    #[cfg(test)]
    pub(crate) no_split_horizon: bool,
    /// Of two records that do not fit each other, the first one is blamed.
    #[cfg(test)]
    pub(crate) blame_neighbour: bool,
}

macro_rules! questions {
    ($($name:ident),+) => { $(
        #[inline]
        pub(super) const fn $name(self) -> bool {
            #[cfg(test)]
            return self.$name;
            #[cfg(not(test))]
            false
        }
    )+ };
}

impl Faults {
    questions!(no_hop_cap, poisonable_seen, no_split_horizon, blame_neighbour);
}
