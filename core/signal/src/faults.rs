//! Protections that a simulation can switch off, to prove that it would notice.
//!
//! Without the feature `sim` nothing here takes a byte or an instruction: every question has the constant answer "no".

/// A protection that a simulation can switch off, to prove that it notices.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A copy of a message is handed over, too.
    NoDedupe,
    /// A message is acknowledged when it comes.
    AckEarly,
    /// A connection that was lost is taken for joined as soon as the broker lets us in, without a subscription.
    NoResubscribe,
    /// A broker that does not answer is not noticed.
    NoPongCheck,
    /// Messages in the clear are believed of peers that were seen as ours.
    AcceptDowngrade,
}

#[cfg(feature = "sim")]
impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NoDedupe, Self::AckEarly, Self::NoResubscribe, Self::NoPongCheck, Self::AcceptDowngrade];

    /// The name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoDedupe => "no-dedupe",
            Self::AckEarly => "ack-early",
            Self::NoResubscribe => "no-resubscribe",
            Self::NoPongCheck => "no-pong-check",
            Self::AcceptDowngrade => "accept-downgrade",
        }
    }

    /// The fault of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// What is switched off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    #[cfg(feature = "sim")]
    pub(crate) fault: Option<Fault>,
}

macro_rules! asked {
    ($($name:ident: $fault:ident),+ $(,)?) => {
        impl Faults {
            $(
                #[cfg(feature = "sim")]
                #[inline]
                pub(crate) fn $name(self) -> bool {
                    self.fault == Some(Fault::$fault)
                }

                #[cfg(not(feature = "sim"))]
                #[inline]
                pub(crate) const fn $name(self) -> bool {
                    false
                }
            )+
        }
    };
}
asked! {
    no_dedupe: NoDedupe,
    ack_early: AckEarly,
    no_resubscribe: NoResubscribe,
    no_pong_check: NoPongCheck,
    accept_downgrade: AcceptDowngrade,
}
