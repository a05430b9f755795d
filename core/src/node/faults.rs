//! Protections that a simulation can switch off, to prove that it would notice.
//!
//! Without the feature `sim` nothing here takes a byte or an instruction: every question has the constant answer "no".

/// A protection of nodes that a simulation can switch off, to prove that it notices.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Packets are taken in however often they come.
    NoReplayCheck,
    /// A response counts from whomever it comes.
    AnyResponder,
    /// ROOD senders wait for a decision like GEEL ones.
    AnswerRood,
    /// Tables have no bounds.
    NoTableCap,
    /// The stored replay floor is passed over at a start.
    ForgetFloor,
    /// A signature need not hold.
    NoSignatureCheck,
    /// First messages of sessions are looked at however many there are.
    NoCookie,
    /// Packets of sessions are taken however often they come.
    NoSessionReplay,
    /// Who had a session with a pinned key does without when handshakes get lost.
    AcceptDowngrade,
    /// Relays pass pings on however far they have travelled.
    NoHopCap,
    /// Relays take a ping for one that they passed on if it bears the same id.
    PoisonableSeen,
    /// Of two records of a trace that do not fit each other, the first one is blamed.
    BlameNeighbour,
    /// Relays pass pings on to where they came from.
    NoSplitHorizon,
}

#[cfg(feature = "sim")]
impl Fault {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::NoReplayCheck,
        Self::AnyResponder,
        Self::AnswerRood,
        Self::NoTableCap,
        Self::ForgetFloor,
        Self::NoSignatureCheck,
        Self::NoCookie,
        Self::NoSessionReplay,
        Self::AcceptDowngrade,
        Self::NoHopCap,
        Self::PoisonableSeen,
        Self::BlameNeighbour,
        Self::NoSplitHorizon,
    ];

    /// Whether only nodes that have keys have this protection.
    #[must_use]
    pub const fn needs_keys(self) -> bool {
        match self {
            Self::NoReplayCheck | Self::AnyResponder | Self::AnswerRood | Self::NoTableCap | Self::ForgetFloor => false,
            Self::NoSignatureCheck | Self::NoCookie | Self::NoSessionReplay | Self::AcceptDowngrade => true,
            Self::NoHopCap | Self::PoisonableSeen | Self::BlameNeighbour | Self::NoSplitHorizon => true,
        }
    }

    /// Whether only relays and who reads traces have this protection.
    #[must_use]
    pub const fn is_of_relays(self) -> bool {
        matches!(self, Self::NoHopCap | Self::PoisonableSeen | Self::BlameNeighbour | Self::NoSplitHorizon)
    }

    /// The name on a command line and in a recording.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoReplayCheck => "no-replay-check",
            Self::AnyResponder => "any-responder",
            Self::AnswerRood => "answer-rood",
            Self::NoTableCap => "no-table-cap",
            Self::ForgetFloor => "forget-floor",
            Self::NoSignatureCheck => "no-signature-check",
            Self::NoCookie => "no-cookie",
            Self::NoSessionReplay => "no-session-replay",
            Self::AcceptDowngrade => "accept-downgrade",
            Self::NoHopCap => "no-hop-cap",
            Self::PoisonableSeen => "poisonable-seen",
            Self::BlameNeighbour => "blame-neighbour",
            Self::NoSplitHorizon => "no-split-horizon",
        }
    }

    /// The fault of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// What is switched off in one node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    #[cfg(feature = "sim")]
    pub(crate) fault: Option<Fault>,
}

#[cfg(feature = "record")]
impl Faults {
    /// The name of what is switched off.
    pub(crate) fn name(self) -> Option<&'static str> {
        #[cfg(feature = "sim")]
        return self.fault.map(Fault::name);
        #[cfg(not(feature = "sim"))]
        None
    }

    /// With this switched off; `None` where no simulation is compiled in, or there is no such fault.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        #[cfg(feature = "sim")]
        return Fault::from_name(name).map(|fault| Self { fault: Some(fault) });
        #[cfg(not(feature = "sim"))]
        {
            let _ = name;
            None
        }
    }
}

impl Faults {
    /// What of it concerns relays and traces.
    #[cfg(feature = "sim")]
    pub(super) fn of_relays(self) -> crate::relay::Faults {
        let is = |fault| self.fault == Some(fault);
        crate::relay::Faults {
            no_hop_cap: is(Fault::NoHopCap),
            poisonable_seen: is(Fault::PoisonableSeen),
            no_split_horizon: is(Fault::NoSplitHorizon),
            blame_neighbour: is(Fault::BlameNeighbour),
        }
    }

    /// What of it concerns relays and traces.
    #[cfg(not(feature = "sim"))]
    pub(super) fn of_relays(self) -> crate::relay::Faults {
        crate::relay::Faults::default()
    }
}

#[cfg(feature = "sim")]
impl Faults {
    /// What of it concerns sessions.
    pub(super) fn of_sessions(self) -> crate::session::faults::Faults {
        let (no_cookie, no_replay_check) = (self.no_cookie(), self.no_session_replay());
        crate::session::faults::Faults { no_cookie, no_replay_check }
    }
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

                $(#[$doc])*
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
    forget_floor: ForgetFloor,
    no_signature_check: NoSignatureCheck,
    #[allow(dead_code, reason = "asked where there is a simulation")]
    no_cookie: NoCookie,
    #[allow(dead_code, reason = "asked where there is a simulation")]
    no_session_replay: NoSessionReplay,
    accept_downgrade: AcceptDowngrade,
}
