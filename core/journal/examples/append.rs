//! Appends tokens to a file, one a line of standard input, and acknowledges each once it is on the medium.
//!
//! `cargo run -p sluis-journal --example append -- FILE ACTOR`

use std::io::BufRead as _;
use std::time::{SystemTime, UNIX_EPOCH};

use sluis_chain::token::Token;
use sluis_core::framing::Text;
use sluis_core::{Instant, Now, Seed, Wall};
use sluis_journal::{TokenJournal, TokenSetup};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(file), Some(actor)) = (args.next(), args.next()) else { return Err("usage: append FILE ACTOR".into()) };
    // Ids need no secret, only to differ: an application takes a seed of the system's from its adapter.
    let nanos = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    let seed = Seed::from_u64(nanos ^ u64::from(std::process::id()));
    let (journal, found) = TokenJournal::open(file, &seed, TokenSetup::default())?;
    println!("{} tokens, {} bytes of a torn write cut off", found.entries, found.torn);
    for action in std::io::stdin().lock().lines() {
        let action = action?;
        let micros = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
        let now = Now::new(Instant::ZERO, Wall::from_micros(micros));
        let draft = Token { action: Text::new(&action), actor: Text::new(&actor), ..Token::default() };
        println!("{}", journal.append_blocking(now, &draft)?.index);
    }
    Ok(())
}
