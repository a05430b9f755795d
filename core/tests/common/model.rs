//! A JSON value as a plain tree, two ways to write it down (carelessly, and as Python does), and generators.
#![allow(dead_code, unreachable_pub, reason = "every suite uses its own part of this")]

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;

/// UTF-16 code units, lone surrogates included.
pub type Units = Vec<u16>;

#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    Null,
    Bool(bool),
    /// Digits.
    Int(String),
    Float(f64),
    Str(Units),
    Array(Vec<Model>),
    /// With duplicate keys.
    Object(Vec<(Units, Model)>),
}

/// Code points in the order in which Python compares them.
pub fn code_points(units: &[u16]) -> Vec<u32> {
    char::decode_utf16(units.iter().copied())
        .map(|c| c.map_or_else(|lone| u32::from(lone.unpaired_surrogate()), u32::from))
        .collect()
}

/// The shortest digits that read as this float, of those the nearest: Rust's own `{:e}` takes the farther one on ties.
fn shortest(x: f64) -> String {
    let text = format!("{x:e}");
    let mantissa = text.split('e').next().unwrap();
    let places = mantissa.split_once('.').map_or(0, |(_, places)| places.len());
    let nearest = format!("{x:.places$e}");
    if nearest.parse() == Ok(x) { nearest } else { text }
}

/// As Python's `repr`.
pub fn python_float(x: f64) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let text = shortest(x);
    let (mantissa, exponent) = text.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    if x != 0.0 && !(-4..16).contains(&exponent) {
        return format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    let digits = mantissa.chars().filter(char::is_ascii_digit).count();
    let places = usize::try_from(i32::try_from(digits).unwrap() - 1 - exponent).unwrap_or(0);
    format!("{x:.*}", places.max(1))
}

fn python_string(units: &[u16], out: &mut String) {
    out.push('"');
    for unit in units {
        match unit {
            0x22 => out.push_str("\\\""),
            0x5c => out.push_str("\\\\"),
            0x0a => out.push_str("\\n"),
            0x0d => out.push_str("\\r"),
            0x09 => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            0x20..=0x7e => out.push(char::from_u32((*unit).into()).unwrap()),
            _ => write!(out, "\\u{unit:04x}").unwrap(),
        }
    }
    out.push('"');
}

impl Model {
    /// A Python dict made of these members.
    pub fn dict(members: &[(Units, Model)]) -> Vec<(&Units, &Model)> {
        let mut dict: Vec<(&Units, &Model)> = Vec::new();
        for (key, value) in members {
            match dict.iter_mut().find(|(k, _)| *k == key) {
                Some(member) => member.1 = value,
                None => dict.push((key, value)),
            }
        }
        dict
    }

    /// As `json.dumps`.
    pub fn python(&self, comma: &str, colon: &str, sorted: bool) -> String {
        let mut out = String::new();
        self.write(comma, colon, sorted, &mut out);
        out
    }

    fn write(&self, comma: &str, colon: &str, sorted: bool, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Self::Int(digits) => out.push_str(if digits == "-0" { "0" } else { digits }),
            Self::Float(x) => out.push_str(&python_float(*x)),
            Self::Str(units) => python_string(units, out),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push_str(comma);
                    }
                    item.write(comma, colon, sorted, out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                let mut dict = Self::dict(members);
                if sorted {
                    dict.sort_by_key(|(key, _)| code_points(key));
                }
                out.push('{');
                for (n, (key, value)) in dict.into_iter().enumerate() {
                    if n > 0 {
                        out.push_str(comma);
                    }
                    python_string(key, out);
                    out.push_str(colon);
                    value.write(comma, colon, sorted, out);
                }
                out.push('}');
            }
        }
    }

    /// The same value as somebody else might write it: white space, other escapes, other number forms, duplicates kept.
    pub fn sloppy(&self, whim: &mut Whim) -> String {
        let mut out = String::new();
        self.write_sloppy(whim, &mut out);
        out
    }

    fn write_sloppy(&self, whim: &mut Whim, out: &mut String) {
        match self {
            Self::Float(x) if x.is_finite() && whim.below(2) == 0 => write!(out, "{x:E}").unwrap(),
            Self::Float(x) if x.is_finite() && whim.below(2) == 0 => write!(out, "{}0", python_plain(*x)).unwrap(),
            Self::Int(digits) => out.push_str(digits),
            Self::Str(units) => sloppy_string(units, whim, out),
            Self::Array(items) => {
                out.push('[');
                whim.space(out);
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                        whim.space(out);
                    }
                    item.write_sloppy(whim, out);
                    whim.space(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                whim.space(out);
                for (n, (key, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                        whim.space(out);
                    }
                    sloppy_string(key, whim, out);
                    whim.space(out);
                    out.push(':');
                    whim.space(out);
                    value.write_sloppy(whim, out);
                    whim.space(out);
                }
                out.push('}');
            }
            _ => self.write(",", ":", false, out),
        }
    }
}

/// Without exponent, with a point.
fn python_plain(x: f64) -> String {
    let plain = format!("{x}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

pub fn sloppy_string(units: &[u16], whim: &mut Whim, out: &mut String) {
    out.push('"');
    for c in char::decode_utf16(units.iter().copied()) {
        match c {
            Ok(c) if c >= ' ' && c != '"' && c != '\\' && whim.below(3) > 0 => out.push(c),
            Ok('/') => out.push_str("\\/"),
            Ok('\n') if whim.below(2) == 0 => out.push_str("\\n"),
            Ok(c) if whim.below(2) == 0 => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(out, "\\u{unit:04X}").unwrap());
            }
            Ok(c) => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(out, "\\u{unit:04x}").unwrap()),
            Err(lone) => write!(out, "\\u{:04x}", lone.unpaired_surrogate()).unwrap(),
        }
    }
    out.push('"');
}

/// Small choices, the same for the same start.
#[derive(Clone, Debug)]
pub struct Whim(pub u64);

impl Whim {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % n
    }

    pub fn space(&mut self, out: &mut String) {
        while self.below(4) == 0 {
            out.push([' ', '\t', '\n', '\r'][usize::try_from(self.below(4)).unwrap()]);
        }
    }
}

/// Units that are hard somewhere: escapes, surrogates, the ends of ranges.
pub fn units(max: usize) -> impl Strategy<Value = Units> {
    let unit = prop_oneof![
        6 => 0x20_u16..0x7f,
        1 => 0_u16..0x20,
        1 => prop_oneof![Just(0x22_u16), Just(0x5c), Just(0x2f), Just(0x7f), Just(0x80), Just(0x7ff), Just(0x800)],
        1 => 0xd800_u16..0xe000,
        1 => 0xe000_u16..=0xffff,
        1 => any::<u16>(),
    ];
    vec(unit, 0..=max)
}

pub fn float() -> impl Strategy<Value = f64> {
    let decimal = (any::<i32>(), -12_i32..24).prop_map(|(m, e)| format!("{m}e{e}").parse().unwrap());
    prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits), decimal, -1000.0..1000.0_f64]
}

pub fn scalar() -> impl Strategy<Value = Model> {
    prop_oneof![
        Just(Model::Null),
        any::<bool>().prop_map(Model::Bool),
        any::<i64>().prop_map(|n| Model::Int(n.to_string())),
        any::<i128>().prop_map(|n| Model::Int(n.to_string())),
        any::<u64>().prop_map(|n| Model::Int(n.to_string())),
        (-20_i64..20).prop_map(|n| Model::Int(n.to_string())),
        Just(Model::Int("-0".into())),
        float().prop_map(Model::Float),
        units(20).prop_map(Model::Str),
    ]
}

/// Keys that often come twice.
pub fn key() -> impl Strategy<Value = Units> {
    let some = |text: &'static str| Just(text.encode_utf16().collect::<Units>());
    prop_oneof![
        3 => "[a-d]{0,2}".prop_map(|text| text.encode_utf16().collect()),
        1 => units(12),
        1 => some("averyveryverylongkey-1"),
        1 => some("averyveryverylongkey-2"),
        1 => some("é"),
        1 => some("\u{1f600}"),
        1 => some("\u{ffff}"),
        1 => Just(vec![0xd83d]),
    ]
}

pub fn model() -> impl Strategy<Value = Model> {
    scalar().prop_recursive(6, 120, 12, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Model::Array),
            vec((key(), inner), 0..12).prop_map(Model::Object),
        ]
    })
}

/// Objects with more members than fit on the stack.
pub fn wide() -> impl Strategy<Value = Model> {
    let member = ("[a-f]{1,3}".prop_map(|text: String| text.encode_utf16().collect::<Units>()), scalar());
    vec(member, 60..200).prop_map(Model::Object)
}
