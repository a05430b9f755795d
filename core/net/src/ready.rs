//! Which of many futures or streams can move on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Wake, Waker};

/// Keys of those that were woken, each once, in the order of their waking; and the task that looks at them. With it one task looks
/// after any number of streams, and only at those that can move on.
#[derive(Debug, Default)]
pub struct ReadyList(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    keys: VecDeque<(u64, Option<Arc<Key>>)>,
    driver: Option<Waker>,
}

#[derive(Debug)]
struct Key {
    number: u64,
    queued: AtomicBool,
    list: Weak<ReadyList>,
}

impl Wake for Key {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel)
            && let Some(list) = self.list.upgrade()
        {
            list.push(self.number, Some(Arc::clone(self)));
        }
    }
}

/// The waker of one of those on a [`ReadyList`].
#[derive(Debug)]
pub struct Wakened {
    waker: Waker,
}

impl Wakened {
    /// To poll it with.
    pub fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Have it looked at.
    pub fn wake(&self) {
        self.waker.wake_by_ref();
    }
}

impl ReadyList {
    /// One more; it is looked at for a start.
    #[must_use]
    pub fn add(self: &Arc<Self>, number: u64) -> Wakened {
        let key = Arc::new(Key { number, queued: AtomicBool::new(false), list: Arc::downgrade(self) });
        let wakened = Wakened { waker: Waker::from(key) };
        wakened.wake();
        wakened
    }

    /// Who looks at them.
    pub fn set_driver(&self, cx: &Context<'_>) {
        let driver = &mut self.lock().driver;
        if driver.as_ref().is_none_or(|driver| !driver.will_wake(cx.waker())) {
            *driver = Some(cx.waker().clone());
        }
    }

    /// The next that may move on. From here on a wake counts anew.
    pub fn next(&self) -> Option<u64> {
        let (number, key) = self.lock().keys.pop_front()?;
        if let Some(key) = key {
            key.queued.store(false, Ordering::Release);
        }
        Some(number)
    }

    /// Look at this one again, after the others.
    pub fn again(&self, number: u64) {
        self.push(number, None);
    }

    fn push(&self, number: u64, key: Option<Arc<Key>>) {
        let driver = {
            let mut inner = self.lock();
            inner.keys.push_back((number, key));
            inner.driver.clone()
        };
        driver.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
