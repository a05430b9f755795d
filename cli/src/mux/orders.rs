//! What signals ask for, for a future.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use crate::signals::{self, Asked};

/// What was asked for and not looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    asked: VecDeque<Asked>,
    waker: Option<Waker>,
}

impl Orders {
    /// Listen to signals from now on.
    pub(crate) fn catch(reloads: bool) -> std::io::Result<Self> {
        let orders = Self::default();
        let told = orders.clone();
        signals::catch(reloads, move |asked| {
            let mut state = told.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.asked.push_back(asked);
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        })?;
        Ok(orders)
    }

    /// What was asked for; else whoever polls is woken when something is.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Option<Asked> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = state.asked.pop_front();
        if asked.is_none() {
            state.waker = Some(cx.waker().clone());
        }
        asked
    }
}
