//! Values from and to types of the application (feature `serde`).

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::{Value, ValueBuf};

/// Why a value and a type do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TypedError(String);

impl TypedError {
    fn new(why: &impl ToString) -> Self {
        Self(why.to_string())
    }
}

impl ValueBuf {
    /// The value that serde makes of `typed`, as `serde_json` would: bytes become an array of numbers, a float that is not finite
    /// becomes `null`.
    ///
    /// # Errors
    /// JSON has no form for it (a map whose keys are neither texts nor numbers), its `Serialize` refuses, or it is nested deeper than
    /// [`MAX_DEPTH`](super::MAX_DEPTH).
    pub fn from_serde<T: Serialize + ?Sized>(typed: &T) -> Result<Self, TypedError> {
        let text = serde_json::to_string(typed).map_err(|why| TypedError::new(&why))?;
        text.parse().map_err(|why| TypedError::new(&why))
    }

    /// A `T` made of the value; texts without escapes can be borrowed from it.
    ///
    /// # Errors
    /// It is no `T`, has a number that JSON does not know (NaN), or is nested deeper than 127.
    pub fn to_serde<'a, T: Deserialize<'a>>(&'a self) -> Result<T, TypedError> {
        serde_json::from_str(self.as_json()).map_err(|why| TypedError::new(&why))
    }
}

impl Value<'_> {
    /// As [`ValueBuf::to_serde`], for a `T` that borrows nothing.
    ///
    /// # Errors
    /// As there; also if msgpack brought what JSON has no form for (byte strings, say).
    pub fn to_serde<T: for<'de> Deserialize<'de>>(self) -> Result<T, TypedError> {
        ValueBuf::new(self).map_err(|why| TypedError::new(&why))?.to_serde()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::{String, ToString as _};
    use alloc::vec;
    use alloc::vec::Vec;

    use serde::{Deserialize, Serialize};

    use super::super::{Value, ValueBuf};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Mode {
        Off,
        Heat { to: f64 },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Reading {
        room: String,
        celsius: Vec<f64>,
        battery: Option<u8>,
        mode: Mode,
        counters: BTreeMap<u32, i64>,
        total: u64,
    }

    fn reading() -> Reading {
        Reading {
            room: "zolder é \u{1f980} \"\\\n".into(),
            celsius: vec![21.5, 0.1 + 0.2, 1e-7, 5e-324, f64::MAX, -0.0],
            battery: None,
            mode: Mode::Heat { to: 19.0 },
            counters: [(7, i64::MIN), (8, i64::MAX)].into(),
            total: u64::MAX,
        }
    }

    #[test]
    fn a_type_comes_back_as_it_was_also_over_the_wire() {
        let value = ValueBuf::from_serde(&reading()).unwrap();
        assert_eq!(value.to_serde::<Reading>().unwrap(), reading());
        // As a peer would see it: another text of the same value.
        let again: ValueBuf = value.as_json().parse().unwrap();
        assert_eq!(again.as_value().to_serde::<Reading>().unwrap(), reading());
        assert_eq!(ValueBuf::from_serde(&Mode::Off).unwrap().as_json(), r#""Off""#);
        assert_eq!(ValueBuf::from_serde(&()).unwrap().as_json(), "null");
    }

    #[test]
    fn texts_are_borrowed_where_they_can_be() {
        let value: ValueBuf = r#"{"a":"plain","b":"caf\u00e9"}"#.parse().unwrap();
        assert_eq!(value.to_serde::<BTreeMap<&str, &str>>().ok(), None, "an escape cannot be borrowed");
        assert_eq!(value.to_serde::<BTreeMap<&str, String>>().unwrap()["b"], "café");
    }

    #[test]
    fn what_does_not_go_together_says_why() {
        let value: ValueBuf = r#"{"celsius":"warm"}"#.parse().unwrap();
        let error = value.to_serde::<Reading>().unwrap_err().to_string();
        assert!(error.contains("invalid type: string \"warm\"") || error.contains("missing field"), "{error}");
        assert!(Value::from_json("NaN").unwrap().to_serde::<f64>().is_err());
        let keys: BTreeMap<Vec<u8>, u8> = [(vec![1], 1)].into();
        assert!(ValueBuf::from_serde(&keys).is_err(), "such keys have no form");
        let deep = ["[".repeat(200), "]".repeat(200)].concat();
        assert!(deep.parse::<ValueBuf>().unwrap().to_serde::<serde_json::Value>().is_err());
    }
}
