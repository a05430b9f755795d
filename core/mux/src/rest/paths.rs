//! Which path is what.

use alloc::borrow::Cow;

use super::percent;

/// A path that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Open,
    Send,
    Close,
    Channels,
    ByTarget,
    Channel(Cow<'a, str>),
    Inbox,
    Intents,
    Status,
}

impl Route<'_> {
    pub(super) const fn method(&self) -> &'static str {
        match self {
            Self::Open | Self::Send | Self::Close => "POST",
            _ => "GET",
        }
    }
}

/// What a path (still encoded, without its query) is. Where only a slash at its end is too much, the path without it.
pub(super) fn route<'a>(prefix: &str, path: &'a str) -> Result<Route<'a>, Option<&'a str>> {
    let found = |path: &'a str| find(path.strip_prefix(prefix)?.strip_prefix('/')?);
    found(path).ok_or_else(|| path.strip_suffix('/').filter(|shorter| found(shorter).is_some()))
}

fn find(name: &str) -> Option<Route<'_>> {
    if let Some(id) = name.strip_prefix("channel/") {
        let id = percent::decode(id, false);
        return (!id.is_empty() && !id.contains('/')).then_some(Route::Channel(id));
    }
    Some(match &*percent::decode(name, false) {
        "open" => Route::Open,
        "send" => Route::Send,
        "close" => Route::Close,
        "channels" => Route::Channels,
        "by-target" => Route::ByTarget,
        "inbox" => Route::Inbox,
        "intents" => Route::Intents,
        "status" => Route::Status,
        _ => return None,
    })
}
