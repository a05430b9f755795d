//! Reads the fixture tables: JSON lines with tagged values, and the list of rows where we differ on purpose.
#![allow(dead_code, unreachable_pub, reason = "every suite uses its own part of this")]
#![allow(clippy::disallowed_methods, reason = "tests read their fixtures from files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A file of the tests of this crate, or of the crate around it: what several need is there once.
fn test_file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut found = folder.ancestors().map(|folder| folder.join("tests").join(name)).filter(|path| path.exists());
    found.next().unwrap_or_else(|| panic!("no tests/{name} in {} or above", folder.display()))
}

/// Where the copied fixtures are.
pub fn fixture_path(name: &str) -> PathBuf {
    test_file(&format!("fixtures/tibet/{name}"))
}

/// The bytes of a fixture file.
pub fn fixture_bytes(name: &str) -> Vec<u8> {
    let path = fixture_path(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The rows of a JSON lines table. Never empty.
pub fn rows(name: &str) -> Vec<Row> {
    let text = String::from_utf8(fixture_bytes(name)).unwrap();
    let rows: Vec<Row> = text
        .lines()
        .enumerate()
        .map(|(n, line)| Row(serde_json::from_str(line).unwrap_or_else(|e| panic!("{name}:{}: {e}", n + 1))))
        .collect();
    assert!(!rows.is_empty(), "{name} has no rows");
    rows
}

/// Bytes from lower-case hex.
pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// JSON with the order of members kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// Any integer of the tables fits.
    Int(i128),
    Float(f64),
    Str(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Self::Object(members) => members.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub fn str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => i64::try_from(*n).ok(),
            _ => None,
        }
    }

    pub fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    pub fn array(&self) -> Option<&[Json]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub fn object(&self) -> Option<&[(String, Json)]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A float: a tagged one, a plain one, or an integer.
    pub fn f64(&self) -> Option<f64> {
        match self {
            Self::Float(x) => Some(*x),
            #[allow(clippy::cast_precision_loss, reason = "test tables hold small ones")]
            Self::Int(n) => Some(*n as f64),
            _ => match self.tagged() {
                Tagged::Float(x) => Some(x),
                _ => None,
            },
        }
    }

    /// The exact value that is meant.
    pub fn tagged(&self) -> Tagged {
        let items = |json: &Json| json.array().unwrap().iter().map(Json::tagged).collect();
        match self {
            Self::Null => Tagged::Null,
            Self::Bool(b) => Tagged::Bool(*b),
            Self::Int(n) => Tagged::Int(n.to_string()),
            Self::Float(x) => Tagged::Float(*x),
            Self::Str(text) => Tagged::Str(text.encode_utf16().collect()),
            Self::Array(_) => Tagged::Array(items(self)),
            Self::Object(members) => match members.iter().map(|(k, v)| (k.as_str(), v)).collect::<Vec<_>>()[..] {
                [("$f", bits), ("r", _)] | [("$f", bits)] => {
                    Tagged::Float(f64::from_bits(u64::from_str_radix(bits.str().unwrap(), 16).unwrap()))
                }
                [("$int", digits)] => Tagged::Int(digits.str().unwrap().to_owned()),
                [("$inthex", digits)] => Tagged::Int(decimal(digits.str().unwrap())),
                [("$wtf16", hex)] => {
                    let bytes = unhex(hex.str().unwrap());
                    Tagged::Str(bytes.chunks(2).map(|c| u16::from_be_bytes([c[0], c[1]])).collect())
                }
                [("$bytes", hex)] => Tagged::Bytes(unhex(hex.str().unwrap())),
                [("$ext", ext)] => {
                    let ext = ext.array().unwrap();
                    Tagged::Ext(i8::try_from(ext[0].int().unwrap()).unwrap(), unhex(ext[1].str().unwrap()))
                }
                [("$ts", ts)] => {
                    let ts = ts.array().unwrap();
                    Tagged::Timestamp(ts[0].int().unwrap(), u32::try_from(ts[1].int().unwrap()).unwrap())
                }
                [("$map", pairs)] => Tagged::Map(
                    pairs
                        .array()
                        .unwrap()
                        .iter()
                        .map(|p| p.array().unwrap())
                        .map(|p| (p[0].tagged(), p[1].tagged()))
                        .collect(),
                ),
                [("$set", set)] => Tagged::Set(items(set)),
                _ => Tagged::Map(
                    members.iter().map(|(k, v)| (Tagged::Str(k.encode_utf16().collect()), v.tagged())).collect(),
                ),
            },
        }
    }
}

/// Decimal digits of `0x…` or `-0x…` of any length.
fn decimal(hex: &str) -> String {
    let (sign, digits) = match hex.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", hex),
    };
    let digits = digits.strip_prefix("0x").unwrap();
    let mut out = vec![0_u8];
    for digit in digits.chars() {
        let mut carry = digit.to_digit(16).unwrap();
        for place in &mut out {
            carry += u32::from(*place) * 16;
            *place = u8::try_from(carry % 10).unwrap();
            carry /= 10;
        }
        while carry > 0 {
            out.push(u8::try_from(carry % 10).unwrap());
            carry /= 10;
        }
    }
    let text: String = out.iter().rev().map(|d| char::from(b'0' + d)).collect();
    format!("{sign}{text}")
}

/// A value as the reference had it in memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Tagged {
    Null,
    Bool(bool),
    /// Decimal digits.
    Int(String),
    Float(f64),
    /// UTF-16 code units, so that lone surrogates have a place.
    Str(Vec<u16>),
    Bytes(Vec<u8>),
    Ext(i8, Vec<u8>),
    /// Seconds and nanoseconds.
    Timestamp(i64, u32),
    Array(Vec<Tagged>),
    Map(Vec<(Tagged, Tagged)>),
    Set(Vec<Tagged>),
}

impl Tagged {
    /// JSON text with this value, all texts escaped; `None` where there is no such text.
    pub fn json(&self) -> Option<String> {
        Some(match self {
            Self::Null => "null".into(),
            Self::Bool(b) => b.to_string(),
            Self::Int(digits) => digits.clone(),
            Self::Float(x) if x.is_nan() => "NaN".into(),
            Self::Float(x) if x.is_infinite() => if *x > 0.0 { "Infinity" } else { "-Infinity" }.into(),
            // Not as Python prints it, but the same float.
            Self::Float(x) => format!("{x:e}"),
            Self::Str(units) => {
                let inside: String = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
                format!("\"{inside}\"")
            }
            Self::Array(items) => {
                format!("[{}]", items.iter().map(Self::json).collect::<Option<Vec<_>>>()?.join(" , "))
            }
            Self::Map(members) => {
                let member = |(key, value): &(Self, Self)| match key {
                    Self::Str(_) => Some(format!("{} : {}", key.json()?, value.json()?)),
                    _ => None,
                };
                format!("{{ {} }}", members.iter().map(member).collect::<Option<Vec<_>>>()?.join(","))
            }
            Self::Bytes(_) | Self::Ext(..) | Self::Timestamp(..) | Self::Set(_) => return None,
        })
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E>(self, b: bool) -> Result<Json, E> {
                Ok(Json::Bool(b))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Json, E> {
                Ok(Json::Int(n.into()))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Json, E> {
                Ok(Json::Int(n.into()))
            }
            fn visit_f64<E>(self, x: f64) -> Result<Json, E> {
                Ok(Json::Float(x))
            }
            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Str(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::Array(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Json::Object(members))
            }
        }
        from.deserialize_any(Any)
    }
}

/// One line of a table.
#[derive(Clone, Debug)]
pub struct Row(pub Json);

impl Row {
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.get(key)
    }

    /// A text that must be there.
    pub fn str(&self, key: &str) -> &str {
        self.get(key).and_then(Json::str).unwrap_or_else(|| panic!("no text {key:?} in {:?}", self.0))
    }

    pub fn opt_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Json::str)
    }

    pub fn int(&self, key: &str) -> i64 {
        self.get(key).and_then(Json::int).unwrap_or_else(|| panic!("no integer {key:?} in {:?}", self.0))
    }

    pub fn bool(&self, key: &str) -> bool {
        self.get(key).and_then(Json::bool).unwrap_or_else(|| panic!("no boolean {key:?} in {:?}", self.0))
    }

    pub fn id(&self) -> &str {
        self.str("id")
    }

    /// The frame, from the row or from the file that it names.
    pub fn frame(&self) -> Vec<u8> {
        match self.opt_str("frame") {
            Some(hex) => unhex(hex),
            None => fixture_bytes(self.str("frame_file")),
        }
    }
}

/// Where we differ on purpose, for one table; collects what it was told and judges at the end.
pub struct Deviations {
    file: String,
    listed: BTreeMap<String, String>,
    seen: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Deviations {
    /// The rows of `tests/deviations.toml` for this table.
    pub fn of(file: &str) -> Self {
        let path = test_file("deviations.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let table: toml::Table = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut listed = BTreeMap::new();
        let entries = table.get("deviation").and_then(toml::Value::as_array).cloned().unwrap_or_default();
        for entry in entries {
            let get = |key: &str| entry.get(key).and_then(toml::Value::as_str).map(str::to_owned);
            let (Some(of), Some(row), Some(reason), Some(ours)) = (get("file"), get("row"), get("reason"), get("ours"))
            else {
                panic!("a deviation needs file, row, reason and ours: {entry:?}")
            };
            assert!(!reason.trim().is_empty(), "{row}: a deviation needs a reason");
            if of == file {
                assert!(listed.insert(row.clone(), ours).is_none(), "{file}: {row} is listed twice");
            }
        }
        Self { file: file.to_owned(), listed, seen: BTreeSet::new(), wrong: Vec::new() }
    }

    /// Whether this row is listed.
    pub fn lists(&self, row: &str) -> bool {
        self.listed.contains_key(row)
    }

    /// What came out of a row, in the reference and here. A listed row must differ, and in the way that is listed.
    pub fn check(&mut self, row: &str, reference: &str, ours: &str) {
        self.seen.insert(row.to_owned());
        match self.listed.get(row) {
            None if reference == ours => {}
            None => self.wrong.push(format!("{row}: the reference says {reference}, we say {ours}")),
            Some(_) if reference == ours => self.wrong.push(format!("{row}: listed, but no longer differs: {ours}")),
            Some(listed) if listed == ours => {}
            Some(listed) => self.wrong.push(format!("{row}: listed as {listed}, but we say {ours}")),
        }
    }

    /// Fail if anything differs that is not listed, or is listed and does not differ.
    #[track_caller]
    pub fn finish(mut self) {
        for row in self.listed.keys().filter(|row| !self.seen.contains(*row)) {
            self.wrong.push(format!("{row}: listed, but no such row was checked"));
        }
        assert!(self.wrong.is_empty(), "{}:\n{}", self.file, self.wrong.join("\n"));
        assert!(!self.seen.is_empty(), "{}: nothing was checked", self.file);
    }
}

impl Tagged {
    /// Append the shortest msgpack form of this value, written by `rmp`; `None` where there is none.
    pub fn msgpack(&self, out: &mut Vec<u8>) -> Option<()> {
        use rmp::encode as mp;
        match self {
            Self::Null => mp::write_nil(out).unwrap(),
            Self::Bool(b) => mp::write_bool(out, *b).unwrap(),
            Self::Int(digits) => match digits.parse::<i64>() {
                Ok(n) => drop(mp::write_sint(out, n).unwrap()),
                Err(_) => drop(mp::write_uint(out, digits.parse().ok()?).unwrap()),
            },
            Self::Float(x) => mp::write_f64(out, *x).unwrap(),
            Self::Str(units) => mp::write_str(out, &String::from_utf16(units).ok()?).unwrap(),
            Self::Bytes(bytes) => mp::write_bin(out, bytes).unwrap(),
            Self::Ext(code, data) => {
                mp::write_ext_meta(out, u32::try_from(data.len()).unwrap(), *code).unwrap();
                out.extend_from_slice(data);
            }
            Self::Timestamp(seconds, nanoseconds) => {
                mp::write_ext_meta(out, 12, -1).unwrap();
                out.extend_from_slice(&nanoseconds.to_be_bytes());
                out.extend_from_slice(&seconds.to_be_bytes());
            }
            Self::Array(items) => {
                mp::write_array_len(out, u32::try_from(items.len()).unwrap()).unwrap();
                items.iter().try_for_each(|item| item.msgpack(out))?;
            }
            Self::Map(members) => {
                mp::write_map_len(out, u32::try_from(members.len()).unwrap()).unwrap();
                for (key, value) in members {
                    key.msgpack(out)?;
                    value.msgpack(out)?;
                }
            }
            Self::Set(_) => return None,
        }
        Some(())
    }
}
