//! The live table of `discover --watch`.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};

use sluis_core::Instant;
use sluis_core::framing::Text;
use sluis_core::node::{LanNews, Node};

use crate::output::{Color, Out};

/// Rows of the screen, where no terminal says how many it has.
const ROWS: usize = 24;

/// Who is there, on the whole screen.
pub(super) struct Table {
    /// What kind of device each says it is, and what it can do.
    says: HashMap<Box<str>, String>,
}

impl Table {
    /// A table, if standard output is a terminal.
    pub(super) fn on_terminal() -> Option<Self> {
        io::stdout().is_terminal().then(|| Self { says: HashMap::new() })
    }

    pub(super) fn hear(&mut self, news: &LanNews) {
        match news {
            LanNews::Found(found) => {
                let can = if found.capabilities.is_empty() {
                    String::new()
                } else {
                    format!(": {}", found.capabilities.join(", "))
                };
                self.says.insert(found.did.clone(), format!("{}{can}", found.device_type));
            }
            LanNews::Gone { did, .. } => _ = self.says.remove(did),
            _ => {}
        }
    }

    /// Show it anew: as many rows as the screen has, in the order of their names.
    pub(super) fn show(&self, out: &mut Out, now: Instant, node: &Node) {
        out.fit();
        // Home, and clear what was below.
        out.line(|line, _| line.extend_from_slice(b"\x1b[H\x1b[J"));
        let mut rows: Vec<_> = node.neighbours().collect();
        rows.sort_unstable_by(|a, b| a.did.cmp(b.did));
        let shown = rows.len().min(rows_of_screen().saturating_sub(4));
        for neighbour in rows.iter().take(shown) {
            let age = now.saturating_since(neighbour.heard).as_secs();
            out.flow("", |flow| {
                flow.quoted("", Text::new(neighbour.did));
                flow.piece(Color::Plain, |line| drop(write!(line, "{:<21}", neighbour.addr)));
                flow.piece(Color::Plain, |line| drop(write!(line, "{age:>3} s ago")));
                if let Some(says) = self.says.get(neighbour.did) {
                    flow.quoted("", Text::new(says));
                }
                match neighbour.key {
                    Some(key) => flow.text(Color::Green, &key.fingerprint().to_string()),
                    None => flow.text(Color::Yellow, "unsigned"),
                };
            });
        }
        let hidden = rows.len() - shown;
        if hidden > 0 {
            out.flow("", |flow| _ = flow.words(&format!("and {hidden} more")));
        }
    }
}

fn rows_of_screen() -> usize {
    #[cfg(unix)]
    let rows = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_row));
    #[cfg(not(unix))]
    let rows = None;
    rows.filter(|rows| *rows > 0).unwrap_or(ROWS)
}
