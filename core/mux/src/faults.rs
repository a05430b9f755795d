//! Protections that a simulation can switch off, to prove that it would notice.
//!
//! Without the feature `sim` nothing here takes a byte or an instruction: every question has the constant answer "no".

/// A protection that a simulation can switch off, to prove that it notices.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The tags of messages are not looked at.
    NoTag,
    /// Credit is given for what came, whether or not the application took it.
    NoCredit,
    /// A message is acknowledged when it comes, before the application took it.
    AckEarly,
}

#[cfg(feature = "sim")]
impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NoTag, Self::NoCredit, Self::AckEarly];

    /// The name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoTag => "no-tag",
            Self::NoCredit => "no-credit",
            Self::AckEarly => "ack-early",
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
    no_tag: NoTag,
    no_credit: NoCredit,
    ack_early: AckEarly,
}
