//! What somebody does who can write the file.

use sluis_chain::log::merkle::leaf_hash;
use sluis_chain::token::{Hash32, Seal, Token, signed_text};
use sluis_core::framing::Text;
use sluis_core::identity::SecretKey;

use crate::fail::Fail;

/// Make the content hash of a line fit again.
pub(super) fn rehash(line: &str) -> Result<String, Fail> {
    let token = Token::parse(line).map_err(Fail::runtime)?;
    let hash = token.content_hash(None).map_err(Fail::runtime)?.to_string();
    let signature = token.signature;
    write(&token.with(Text::new(&hash), signature))
}

/// Make everything from a line on anew: hashes, links, and signatures with a key of one's own.
pub(super) fn rewrite(lines: &mut [String], from: usize, key: &SecretKey) -> Result<(), Fail> {
    let mut changes: Vec<(String, String)> = Vec::new();
    for line in lines.iter_mut().skip(from) {
        let old = line.clone();
        let mut new = old.clone();
        for (before, after) in &changes {
            new = new.replace(before, after);
        }
        let token = Token::parse(&new).map_err(Fail::runtime)?;
        let hash = token.content_hash(None).map_err(Fail::runtime)?;
        let mut seal = [0; 1024];
        let len = key.seal(&signed_text(&hash), &mut seal).map_err(Fail::runtime)?;
        let seal = String::from_utf8_lossy(seal.get(..len).unwrap_or_default()).into_owned();
        let digits = hash.to_string();
        let made = write(&token.with(Text::new(&digits), Text::new(&seal)))?;
        let said = Token::parse(&old).map_err(Fail::runtime)?.content_hash.to_cow().into_owned();
        changes.push((said, digits));
        changes.push((leaf(&old), leaf(&made)));
        *line = made;
    }
    Ok(())
}

fn leaf(line: &str) -> String {
    Hash32(leaf_hash(line.as_bytes())).to_string()
}

fn write(token: &Token<'_>) -> Result<String, Fail> {
    let mut out = Vec::new();
    token.write_json(&mut out).map_err(Fail::runtime)?;
    String::from_utf8(out).map_err(Fail::runtime)
}
