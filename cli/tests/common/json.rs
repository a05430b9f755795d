//! JSON kept exactly: integers of any size, floats by their bits, members in order.

use std::fmt;

use serde_json::value::RawValue;

/// A JSON value whose equality is exact: `1` is not `1.0`, `0.0` is not `-0.0`, and no integer is too large.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// Its digits.
    Int(String),
    /// Its bits.
    Float(u64),
    Text(String),
    List(Vec<Self>),
    /// Members in order; no two have one name.
    Object(Vec<(String, Self)>),
}

impl Json {
    /// Parse one JSON text; panics with the text when it is not JSON, which in a test is the finding.
    pub(crate) fn parse(text: &str) -> Self {
        let raw: &RawValue = serde_json::from_str(text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"));
        Self::from_raw(raw.get()).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
    }

    fn from_raw(text: &str) -> serde_json::Result<Self> {
        Ok(match text.as_bytes()[0] {
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'"' => Self::Text(serde_json::from_str(text)?),
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::List(items.into_iter().map(|item| Self::from_raw(item.get())).collect::<Result<_, _>>()?)
            }
            b'{' => {
                let Members(members) = serde_json::from_str(text)?;
                Self::Object(
                    members
                        .into_iter()
                        .map(|(key, value)| Ok((key, Self::from_raw(value.get())?)))
                        .collect::<serde_json::Result<_>>()?,
                )
            }
            _ if text.contains(['.', 'e', 'E']) => Self::Float(text.parse::<f64>().expect("a JSON number").to_bits()),
            _ => Self::Int(text.to_owned()),
        })
    }

    /// An event with the payload that was sent, where what JSON readers stumble over (large integers, say) is told as
    /// `{"text":…}`.
    pub(crate) fn with_payload_as_sent(mut self) -> Self {
        if let Self::Object(members) = &mut self
            && let Some((_, payload)) = members.iter_mut().find(|(key, _)| key == "payload")
            && let Self::Object(inside) = payload
            && let [(key, Self::Text(text))] = &**inside
            && key == "text"
        {
            *payload = Self::parse(text);
        }
        self
    }

    /// A text value.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// An integer value.
    pub(crate) fn int(n: i64) -> Self {
        Self::Int(n.to_string())
    }

    /// The member of that name, or none.
    pub(crate) fn find(&self, key: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The member of that name, which must be there.
    pub(crate) fn get(&self, key: &str) -> &Self {
        self.find(key).unwrap_or_else(|| panic!("no member {key:?} in {self:?}"))
    }

    /// The text of the member of that name.
    pub(crate) fn str(&self, key: &str) -> &str {
        let Self::Text(text) = self.get(key) else { panic!("{key:?} is no text in {self:?}") };
        text
    }

    /// The non-negative integer of the member of that name.
    pub(crate) fn count(&self, key: &str) -> u64 {
        let Self::Int(digits) = self.get(key) else { panic!("{key:?} is no integer in {self:?}") };
        digits.parse().unwrap_or_else(|_| panic!("{key:?} is no count in {self:?}"))
    }

    /// The number, integer or float, of the member of that name.
    pub(crate) fn number(&self, key: &str) -> f64 {
        self.get(key).as_number().unwrap_or_else(|| panic!("{key:?} is no number in {self:?}"))
    }

    /// This value as a number, if it is one.
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Int(digits) => digits.parse().ok(),
            Self::Float(bits) => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }
}

/// As JSON again, so that a failed comparison can be read.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(digits) => f.write_str(digits),
            Self::Float(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Object(members) => f.debug_map().entries(members.iter().map(|(k, v)| (k, v))).finish(),
        }
    }
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, _>()? {
                    if members.iter().any(|(known, _)| *known == key) {
                        return Err(serde::de::Error::custom(format_args!("member {key:?} twice")));
                    }
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}
