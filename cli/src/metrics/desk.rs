//! Between a node and who asks about it from another thread.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::snapshot::Snapshot;

/// Whoever asks wakes the node, which answers in its own time: an answer proves that its loop turns.
#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How often somebody asked, and how many of these questions the last answer was after.
    asked: u64,
    answered: u64,
    answer: Option<Arc<Snapshot>>,
    /// The task of the node, and the one that all who ask are in.
    node: Option<Waker>,
    asking: Option<Waker>,
}

impl Desk {
    /// Nothing in here panics half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the node is like, after this was asked.
    pub(super) async fn ask(&self) -> Arc<Snapshot> {
        let ours = {
            let mut state = self.lock();
            state.asked += 1;
            state.node.iter().for_each(Waker::wake_by_ref);
            state.asked
        };
        poll_fn(|cx| {
            let mut state = self.lock();
            match &state.answer {
                Some(answer) if state.answered >= ours => Poll::Ready(Arc::clone(answer)),
                _ => {
                    state.asking = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Have whoever asks wake this task; whether somebody has, and was not answered.
    pub(super) fn is_asked(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        match &mut state.node {
            Some(node) => node.clone_from(cx.waker()),
            None => state.node = Some(cx.waker().clone()),
        }
        state.asked > state.answered
    }

    /// Answer all who have asked.
    pub(super) fn answer(&self, snapshot: Snapshot) {
        let mut state = self.lock();
        state.answered = state.asked;
        state.answer = Some(Arc::new(snapshot));
        if let Some(asking) = state.asking.take() {
            asking.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::{Desk, Snapshot};

    /// An answer from before the question says nothing of a loop that hangs since.
    #[test]
    fn an_earlier_answer_is_none() {
        let (desk, cx) = (Desk::default(), &mut Context::from_waker(Waker::noop()));
        let mut first = pin!(desk.ask());
        assert!(first.as_mut().poll(cx).is_pending());
        assert!(desk.is_asked(cx));
        desk.answer(Snapshot::default());
        assert!(first.as_mut().poll(cx).is_ready() && !desk.is_asked(cx));
        let mut second = pin!(desk.ask());
        assert!(second.as_mut().poll(cx).is_pending() && desk.is_asked(cx));
        let mut third = pin!(desk.ask());
        assert!(third.as_mut().poll(cx).is_pending());
        desk.answer(Snapshot::default());
        assert!(matches!(second.as_mut().poll(cx), Poll::Ready(_)) && third.as_mut().poll(cx).is_ready());
    }
}
