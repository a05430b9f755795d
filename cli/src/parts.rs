//! Several machines in one task.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// One of them, as it is driven.
pub(crate) type Part = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Several futures until the last one ends, or the first one fails.
pub(crate) struct All(pub(crate) Vec<Part>);

impl Future for All {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut failed = None;
        self.0.retain_mut(|part| match part.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                failed = failed.take().or(ended.err());
                false
            }
        });
        match failed {
            Some(why) => Poll::Ready(Err(why)),
            None if self.0.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }
}
