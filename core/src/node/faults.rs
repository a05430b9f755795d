//! Protections that a simulation can switch off, to prove that it would notice.
//!
//! Without the feature `sim` nothing here takes a byte or an instruction: every question has the constant answer "no".

/// One protection that is switched off.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Packets are taken in however often they come.
    NoReplayCheck,
    /// A response counts from whomever it comes.
    AnyResponder,
    /// ROOD senders wait for a decision like GEEL ones.
    AnswerRood,
    /// Tables have no bounds.
    NoTableCap,
}

/// What is switched off in one node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    #[cfg(feature = "sim")]
    pub(crate) fault: Option<Fault>,
}

macro_rules! asked {
    ($($(#[$doc:meta])* $name:ident: $fault:ident),+ $(,)?) => {
        impl Faults {
            $(
                $(#[$doc])*
                #[cfg(feature = "sim")]
                #[inline]
                pub(super) fn $name(self) -> bool {
                    self.fault == Some(Fault::$fault)
                }

                #[cfg(not(feature = "sim"))]
                #[inline]
                pub(super) const fn $name(self) -> bool {
                    false
                }
            )+
        }
    };
}
asked! {
    no_replay_check: NoReplayCheck,
    any_responder: AnyResponder,
    answer_rood: AnswerRood,
    no_table_cap: NoTableCap,
}
