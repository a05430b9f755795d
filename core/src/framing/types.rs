//! The words of the wire: small closed sets, each with its spelling.

/// A closed set of words, for code that takes any of them.
pub(super) trait Word: Copy + 'static {
    /// Every value, in declaration order.
    const ALL: &'static [Self];

    /// The value with exactly this spelling.
    fn from_wire(text: &str) -> Option<Self>;

    /// The spelling on the wire.
    fn as_str(self) -> &'static str;

    /// Its place in [`ALL`](Self::ALL).
    fn index(self) -> u8;
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub enum $name {
            $($(#[$vmeta])* #[cfg_attr(feature = "serde", serde(rename = $text))] $variant),+
        }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The spelling on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The value with exactly this spelling.
            #[must_use]
            pub fn from_wire(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl Word for $name {
            const ALL: &'static [Self] = Self::ALL;

            #[inline]
            fn from_wire(text: &str) -> Option<Self> {
                Self::from_wire(text)
            }

            #[inline]
            fn as_str(self) -> &'static str {
                self.as_str()
            }

            #[inline]
            fn index(self) -> u8 {
                self as u8
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a ping is for.
    PingType {
        /// Who is there, what can you do?
        Discover = "discover",
        /// I want something of you.
        Intent = "intent",
        /// I am alive.
        Heartbeat = "heartbeat",
        /// Forward this.
        Relay = "relay",
    }
}

words! {
    /// How a packet travels.
    RoutingMode {
        /// Point to point.
        Direct = "direct",
        /// Over several hops.
        Mesh = "mesh",
        /// To everyone who hears it.
        Broadcast = "broadcast",
    }
}

words! {
    /// What the receiver decided about a ping.
    Decision {
        /// Accepted.
        Accept = "accept",
        /// Waits for a person or a rule.
        Pending = "pending",
        /// Refused.
        Reject = "reject",
    }
}

words! {
    /// Where the airlock puts a ping.
    Zone {
        /// Let in at once.
        Groen = "GROEN",
        /// Waits for a decision.
        Geel = "GEEL",
        /// Silence.
        Rood = "ROOD",
    }
}

/// How urgent a packet is; on the wire an integer (postcard: its index here, like any enum).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Priority {
    /// Can be batched: 1.
    Lazy,
    /// The usual: 2.
    #[default]
    Normal,
    /// Safety critical: 3.
    Urgent,
}

impl Priority {
    /// Every value, in declaration order.
    pub const ALL: &'static [Self] = &[Self::Lazy, Self::Normal, Self::Urgent];

    /// The integer on the wire.
    #[must_use]
    pub(crate) const fn to_wire(self) -> u8 {
        match self {
            Self::Lazy => 1,
            Self::Normal => 2,
            Self::Urgent => 3,
        }
    }

    /// The value with this integer.
    #[must_use]
    pub const fn from_wire(n: i64) -> Option<Self> {
        match n {
            1 => Some(Self::Lazy),
            2 => Some(Self::Normal),
            3 => Some(Self::Urgent),
            _ => None,
        }
    }
}

/// How the payload of a TP frame is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Encoding {
    /// JSON as the reference writes it. Flags `0x00` and `0x01`.
    #[default]
    Json,
    /// msgpack. Flags `0x02` and `0x03`.
    Msgpack,
    /// postcard, fields in declared order, free-form members as JSON text. Flags exactly `0x04` and `0x05`. Ours only.
    Postcard,
}
