//! Lines that gather before they go anywhere.

use std::mem;

use sluis_core::Wall;
use sluis_core::time::iso;

use super::json::Object;
use super::{COLUMNS, Flow, Paint, Style};

/// Lines, and how they look.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(super) lines: Vec<u8>,
    pub(super) style: Style,
    pub(super) paint: Paint,
    /// The time that every JSON object bears, where it bears one.
    pub(super) time: Option<Wall>,
    /// Lines for people begin with it, too.
    pub(super) stamps: bool,
    pub(super) columns: usize,
}

impl Page {
    /// A page for somebody who is not at this terminal.
    pub(crate) const fn new(style: Style, time: Option<Wall>) -> Self {
        Self { lines: Vec::new(), style, paint: Paint::OFF, time, stamps: false, columns: COLUMNS }
    }

    /// How its lines look.
    pub(crate) const fn style(&self) -> Style {
        self.style
    }

    /// Something happened: as a JSON object, or in pieces for people.
    pub(crate) fn show(
        &mut self,
        name: &str,
        json: impl FnOnce(Object<'_>) -> Object<'_>,
        text: impl FnOnce(&mut Flow<'_>),
    ) {
        match self.style {
            Style::Json => self.json(name, json),
            Style::Text => self.flow("", text),
        }
    }

    /// Lines for people, behind `head` on each of them.
    pub(crate) fn flow(&mut self, head: &str, text: impl FnOnce(&mut Flow<'_>)) {
        let mut scratch = [0; iso::FORMAT_LEN];
        let head = match self.time.filter(|_| self.stamps) {
            Some(time) => &format!("{}Z {head}", &iso::format(time, &mut scratch)[..19]),
            None => head,
        };
        text(&mut Flow::new(&mut self.lines, self.paint, head, self.columns));
        self.lines.push(b'\n');
    }

    /// A line for programs as well as people: nothing but this.
    pub(crate) fn line(&mut self, text: &str) {
        self.lines.extend_from_slice(text.as_bytes());
        self.lines.push(b'\n');
    }

    /// A JSON object.
    pub(crate) fn json(&mut self, event: &str, write: impl FnOnce(Object<'_>) -> Object<'_>) {
        stamped(write(Object::event(&mut self.lines, event)), self.time);
        self.lines.push(b'\n');
    }

    /// Its lines, which leave it.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.lines)
    }
}

/// The end of a JSON object, with the time that it bears.
pub(super) fn stamped(object: Object<'_>, time: Option<Wall>) {
    match time {
        Some(time) => object.str("t", iso::format(time, &mut [0; iso::FORMAT_LEN])).end(),
        None => object.end(),
    }
}
