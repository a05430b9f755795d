//! Reading the body of a request, and saying what is wrong with it as pydantic does.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use sluis_core::data::{ParseError, Value};

use super::{MAX_BODY, Request, Response, error, json};
use crate::switchboard::Invalid;
use crate::write::Object;

/// Something that is wrong with a request: pydantic's type of it, where it is, and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    kind: &'static str,
    /// JSON texts.
    place: Vec<String>,
    message: String,
}

impl Problem {
    fn new(kind: &'static str, place: &[&str], message: &str) -> Self {
        let place = place.iter().map(|part| quoted(part)).collect();
        Self { kind, place, message: message.into() }
    }

    pub(super) fn missing_parameter(name: &str) -> Self {
        Self::new("missing", &["query", name], "Field required")
    }

    pub(super) fn bad_flag(name: &str) -> Self {
        let message = "Input should be a valid boolean, unable to interpret input";
        Self::new("bool_parsing", &["query", name], message)
    }

    pub(super) fn bad_number(name: &str) -> Self {
        let message = "Input should be a valid integer, unable to parse string as an integer";
        Self::new("int_parsing", &["query", name], message)
    }

    /// A member that can be read, but not passed on.
    pub(super) fn refused(field: &str, why: Invalid) -> Self {
        let (kind, place) = match why {
            Invalid::TooLong(_) => ("string_too_long", "body"),
            Invalid::LoneSurrogate => ("string_unicode", "body"),
            Invalid::NotFinite => ("finite_number", "body"),
            Invalid::NeedsTls => ("value_error", "query"),
        };
        Self::new(kind, &[place, field], &why.to_string())
    }

    fn write(&self) -> String {
        let object = Object::new().text("type", self.kind).list("loc", self.place.iter().cloned());
        object.text("msg", &self.message).finish()
    }
}

/// Status 422.
pub(super) fn invalid(problems: &[Problem]) -> Response {
    json(422, Object::new().list("detail", problems.iter().map(Problem::write)).finish())
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    crate::write::put_text(&mut out, text);
    out
}

/// The members of a request's body, and what is wrong with those that were asked for.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    object: Value<'a>,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// Read a body that must be an object.
    pub(super) fn read(request: Request<'a>) -> Result<Self, Response> {
        let body = request.body;
        let whole = |kind, message| invalid(&[Problem::new(kind, &["body"], message)]);
        if body.is_empty() {
            return Err(whole("missing", "Field required"));
        }
        if body.len() > MAX_BODY {
            return Err(error(413, &format!("A body has at most {MAX_BODY} bytes")));
        }
        let no_object = "Input should be a valid dictionary or object to extract fields from";
        if !request.content_type.is_some_and(is_json) {
            return Err(whole("model_attributes_type", no_object));
        }
        let text = core::str::from_utf8(body).map_err(|e| not_json(e.valid_up_to(), "not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let object = Value::from_json(text).map_err(|e| match e.error {
            ParseError::TooDeep | ParseError::IntTooLong => error(400, "There was an error parsing the body"),
            other => not_json(e.at, &other.to_string()),
        })?;
        if !object.is_object() {
            return Err(whole("model_attributes_type", no_object));
        }
        Ok(Self { object, problems: Vec::new() })
    }

    fn problem(&mut self, kind: &'static str, name: &str, message: &str) {
        self.problems.push(Problem::new(kind, &["body", name], message));
    }

    /// Any value.
    pub(super) fn any(&mut self, name: &str) -> Option<Value<'a>> {
        let found = self.object.get(name);
        if found.is_none() {
            self.problem("missing", name, "Field required");
        }
        found
    }

    fn as_text(&mut self, name: &str, value: Value<'a>) -> Cow<'a, str> {
        let Some(text) = value.as_text() else {
            self.problem("string_type", name, "Input should be a valid string");
            return Cow::Borrowed("");
        };
        if text.as_str().is_none() && text.chars().any(|c| c.is_err()) {
            self.problem(
                "string_unicode",
                name,
                "Input should be a valid string, unable to parse raw data as a unicode string",
            );
        }
        text.to_cow()
    }

    /// A text that must be there; empty where it is not.
    pub(super) fn text(&mut self, name: &str) -> Cow<'a, str> {
        match self.any(name) {
            Some(value) => self.as_text(name, value),
            None => Cow::Borrowed(""),
        }
    }

    /// A text that may be missing or `null`.
    pub(super) fn text_or_null(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.object.get(name).filter(|value| !value.is_null())?;
        Some(self.as_text(name, value))
    }

    /// An object that may be missing or `null`.
    pub(super) fn object_or_null(&mut self, name: &str) -> Option<Value<'a>> {
        let value = self.object.get(name).filter(|value| !value.is_null())?;
        if !value.is_object() {
            self.problem("dict_type", name, "Input should be a valid dictionary");
        }
        Some(value)
    }

    /// Whether all was well.
    pub(super) fn finish(self) -> Result<(), Response> {
        if self.problems.is_empty() { Ok(()) } else { Err(invalid(&self.problems)) }
    }
}

fn not_json(at: usize, why: &str) -> Response {
    let mut problem = Problem::new("json_invalid", &["body"], &format!("JSON decode error: {why}"));
    problem.place.push(at.to_string());
    invalid(&[problem])
}

/// `application/json`, or `application/` anything `+json`.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}
