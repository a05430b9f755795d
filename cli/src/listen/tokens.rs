//! Join tokens of a node that runs: what changes one is answered once that is on the disk.

use sluis_core::Now;
use sluis_core::discovery::{JoinToken, NewTokenError, TokenId, TokenInfo};
use sluis_core::node::{Keeping, Node, OverlayError, TokenError};
use sluis_core::record::Recorded;

use super::orders::Came;
use crate::output::{Page, Style};
use crate::token;
use crate::token::args::{NewToken, TokenOrder};

/// Do what is asked for.
pub(super) fn obey(now: Now, node: &mut Recorded<Node>, order: &TokenOrder, page: &mut Page) -> Result<Came, String> {
    match order {
        TokenOrder::New(args) => new(now, node, args, page),
        TokenOrder::List => {
            let tokens: Vec<TokenInfo> = node.join_tokens().collect();
            for info in &tokens {
                page.show("token", |o| token::json(o, info, None), |flow| token::words(flow, info));
            }
            Ok(tokens.is_empty().then(|| "there are no tokens".to_owned()).into())
        }
        TokenOrder::Revoke { id } => revoke(node, id, page),
    }
}

fn new(now: Now, node: &mut Recorded<Node>, args: &NewToken, page: &mut Page) -> Result<Came, String> {
    let made = node.new_join_token(now, args.uses, args.life(), args.trust);
    let (made, keeping) = made.map_err(|why| format!("no token was made: {}", mend(why)))?;
    let info = node.join_tokens().find(|info| info.id == made.id());
    if let Some(info) = &info {
        show(page, &made, info);
    }
    let came = match keeping {
        Keeping::Until(change) => Came {
            once_kept: Some((change, "no token was made: it could not be brought to the disk".to_owned())),
            ..Came::default()
        },
        Keeping::Done => {
            Some("the token is gone when this node ends: it keeps no state, start it with --state DIR".to_owned())
                .into()
        }
    };
    Ok(Came { made: info, ..came })
}

/// The token itself: for people one line, to be given to a device.
fn show(page: &mut Page, made: &JoinToken, info: &TokenInfo) {
    let text = made.to_text();
    match page.style() {
        Style::Text => page.line(&text),
        Style::Json => page.json("token", |o| token::json(o, info, Some(&text))),
    }
}

fn mend(why: TokenError) -> String {
    match why {
        TokenError::Overlay(OverlayError::NoIdentity | OverlayError::Off) => {
            "who joins learns the key of this node, and it has none: start it with --key FILE (see `sluis key new`)"
                .to_owned()
        }
        TokenError::Token(NewTokenError::TooMany(most)) => {
            format!(
                "there are {most} already, the most that are kept: `token list` shows them, `token revoke ID` makes room"
            )
        }
        why => why.to_string(),
    }
}

fn revoke(node: &mut Recorded<Node>, id: &TokenId, page: &mut Page) -> Result<Came, String> {
    let shown = token::hex(id);
    let Some(keeping) = node.revoke_join_token(id) else {
        return Err(format!("there is no token {shown}, `token list` shows those that there are"));
    };
    page.show("token_revoked", |o| o.str("id", &shown), |flow| token::revoked(flow, &shown));
    let otherwise = format!(
        "the token {shown} lets nobody in as long as this node runs, and could not be taken off the disk: revoke it again once there is room"
    );
    Ok(match keeping {
        Keeping::Until(change) => Came { once_kept: Some((change, otherwise)), ..Came::default() },
        Keeping::Done => Came::default(),
    })
}
