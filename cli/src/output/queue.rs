//! A bounded queue in front of a stream whose reader may be slow, stopped or gone: whoever writes never waits for it.
//!
//! A thread of its own takes what is queued to the stream. What does not fit is the caller's to count. A stream without room (a
//! full disk) is tried again; one that nobody reads any more is [gone](Queue::is_gone).

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes offered to the stream at a time; how far a slow reader has come is seen this often.
const PIECE: usize = 16 * 1024;
/// How long to wait before a stream that had no room is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// The same for a stream that is not to be waited for (`O_NONBLOCK`), which a reader empties quickly.
const SOON: Duration = Duration::from_millis(5);

/// How long whoever ends waits for what is still queued.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Until it is written, however long that takes.
    Forever,
    /// As long as the reader takes something within this time.
    WhileItMoves(Duration),
    /// This long.
    AtMost(Duration),
}

/// The writing end of the queue.
#[derive(Debug)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Bytes that may wait.
    cap: usize,
    state: Mutex<State>,
    /// There is something to write, or nothing will come any more.
    fed: Condvar,
    /// Something was written, or cannot be.
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines that the thread has not taken yet.
    queued: Vec<u8>,
    /// Bytes that the thread has taken and not written yet.
    taken: usize,
    /// Grows with every step towards the stream.
    steps: u64,
    /// Bytes that were queued, and that were written, ever.
    put: u64,
    written: u64,
    /// The task is to be woken once so many were written.
    awaited: Option<u64>,
    /// Nobody reads the stream any more, and why.
    gone: Option<io::Error>,
    /// The stream has no room now, and why.
    full: Option<io::Error>,
    closed: bool,
    waker: Option<Waker>,
    /// The task was told that the reader does not keep up, and is to be woken when it does.
    behind: bool,
}

impl Shared {
    /// Nothing in here panics half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn held(&self) -> usize {
        self.queued.len() + self.taken
    }
}

impl Queue {
    /// A queue of so many bytes in front of a stream.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn new(name: &str, cap: usize, stream: impl Write + Send + 'static) -> io::Result<Self> {
        let (fed, moved) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { cap, state: Mutex::default(), fed, moved });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || write_on(&writer, stream))?;
        Ok(Self { shared })
    }

    /// Queue whole lines as far as there is room; how many lines there was none for.
    #[must_use = "what did not fit is to be counted"]
    pub(crate) fn put(&self, lines: &[u8]) -> u64 {
        let mut state = self.shared.lock();
        let room = self.shared.cap.saturating_sub(state.held());
        let fits = if lines.len() <= room {
            lines.len()
        } else {
            lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
        };
        let (kept, lost) = lines.split_at(fits);
        self.add(&mut state, kept);
        lost.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    /// Queue whole lines that must not be lost, room or not: few, and short.
    pub(crate) fn put_always(&self, lines: &[u8]) {
        self.add(&mut self.shared.lock(), lines);
    }

    fn add(&self, state: &mut State, lines: &[u8]) {
        if !lines.is_empty() && state.gone.is_none() {
            state.queued.extend_from_slice(lines);
            state.put += lines.len() as u64;
            self.shared.fed.notify_one();
        }
    }

    /// Whether half of the room is taken: the reader does not keep up. The task is woken when it does again.
    pub(crate) fn is_behind(&self) -> bool {
        let mut state = self.shared.lock();
        state.behind = state.held() > self.shared.cap / 2;
        state.behind
    }

    /// Behind all that was queued so far: see [`is_written`](Self::is_written).
    pub(crate) fn mark(&self) -> u64 {
        self.shared.lock().put
    }

    /// Whether all that was queued before a mark is written. The task is woken when that is so; one mark at a time, the lowest first.
    pub(crate) fn is_written(&self, mark: u64) -> bool {
        let mut state = self.shared.lock();
        let is_written = state.written >= mark;
        state.awaited = (!is_written).then_some(mark);
        is_written
    }

    /// Bytes that wait for the reader.
    pub(crate) fn held(&self) -> usize {
        self.shared.lock().held()
    }

    /// Nobody reads the stream any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.shared.lock().gone.is_some()
    }

    /// Why nothing can be written now, where it is tried again.
    pub(crate) fn full(&self) -> Option<String> {
        self.shared.lock().full.as_ref().map(ToString::to_string)
    }

    /// Wake this task when the reader goes, falls behind no longer, or the stream has no room.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let mut state = self.shared.lock();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
    }

    /// Wait until everything queued is written.
    ///
    /// # Errors
    /// Nobody reads the stream, it has no room, or patience ended before.
    pub(crate) fn finish(&self, patience: Patience) -> io::Result<()> {
        let start = Instant::now();
        let (mut steps, mut moved) = (0, start);
        let mut state = self.shared.lock();
        loop {
            if let Some(why) = &state.gone {
                return Err(io::Error::new(why.kind(), why.to_string()));
            }
            if state.held() == 0 {
                return Ok(());
            }
            if let Some(why) = &state.full {
                return Err(io::Error::new(why.kind(), why.to_string()));
            }
            if state.steps != steps {
                (steps, moved) = (state.steps, Instant::now());
            }
            let until = match patience {
                Patience::Forever => None,
                Patience::WhileItMoves(time) => Some(moved + time),
                Patience::AtMost(time) => Some(start + time),
            };
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "its reader does not read"));
            }
            state = match until {
                None => self.shared.moved.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(_) => self.shared.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.fed.notify_one();
    }
}

/// Take to the stream what is queued, until it is closed or gone.
fn write_on(shared: &Shared, mut stream: impl Write) {
    let mut lines = Vec::new();
    loop {
        let mut state = shared.lock();
        while state.queued.is_empty() && !state.closed {
            state = shared.fed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.queued.is_empty() {
            return;
        }
        lines.clear();
        mem::swap(&mut lines, &mut state.queued);
        state.taken = lines.len();
        drop(state);
        if let Err(why) = write_out(shared, &mut stream, &lines) {
            let mut state = shared.lock();
            state.gone = Some(why);
            state.queued = Vec::new();
            state.taken = 0;
            tell_all(shared, state);
            return;
        }
    }
}

/// Write all of it; an error is final.
fn write_out(shared: &Shared, stream: &mut impl Write, mut lines: &[u8]) -> io::Result<()> {
    while !lines.is_empty() {
        let piece = &lines[..lines.len().min(PIECE)];
        match stream.write(piece).and_then(|n| stream.flush().map(|()| n)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                lines = &lines[n..];
                let mut state = shared.lock();
                state.taken = lines.len();
                state.steps += 1;
                state.written += n as u64;
                let caught_up = state.behind && state.held() <= shared.cap / 2;
                state.behind &= !caught_up;
                let written = state.written;
                let awaited = state.awaited.take_if(|mark| *mark <= written).is_some();
                if state.full.take().is_some() || caught_up || awaited {
                    tell_all(shared, state);
                } else {
                    drop(state);
                    shared.moved.notify_all();
                }
            }
            Err(why) => match why.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => thread::sleep(SOON),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    let mut state = shared.lock();
                    if state.full.replace(why).is_none() {
                        tell_all(shared, state);
                    } else {
                        drop(state);
                    }
                    thread::sleep(AGAIN);
                }
                _ => return Err(why),
            },
        }
    }
    Ok(())
}

/// Wake the task and whoever waits.
fn tell_all(shared: &Shared, state: MutexGuard<'_, State>) {
    let waker = state.waker.clone();
    drop(state);
    shared.moved.notify_all();
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that takes one piece for every word it is given: a number of bytes, or why not.
    struct Slow(Receiver<io::Result<usize>>, Sender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = self.0.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            let _ = self.1.send(bytes[..n].to_vec());
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow(cap: usize) -> (Queue, Sender<io::Result<usize>>, Receiver<Vec<u8>>) {
        let ((allow, allowed), (read, seen)) = (channel(), channel());
        (Queue::new("test", cap, Slow(allowed, read)).expect("a thread"), allow, seen)
    }

    const SHORT: Duration = Duration::from_millis(30);

    #[test]
    fn what_does_not_fit_is_counted_by_lines_and_the_rest_is_whole() {
        let (queue, allow, seen) = slow(10);
        assert_eq!(queue.put(b"1234\n"), 0);
        assert_eq!(queue.put(b"56\n78\n90\n"), 2, "five bytes are left, one line fits");
        assert!(queue.is_behind());
        queue.put_always(b"and this\n");
        assert_eq!(queue.put(b"x\n"), 1);
        assert_eq!(queue.finish(Patience::AtMost(SHORT)).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(queue.finish(Patience::WhileItMoves(SHORT)).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(allow);
        queue.finish(Patience::Forever).unwrap();
        let all: Vec<u8> = seen.try_iter().flatten().collect();
        assert_eq!(String::from_utf8_lossy(&all), "1234\n56\nand this\n");
        assert!(!queue.is_behind() && queue.put(b"x\n") == 0, "there is room again");
    }

    #[test]
    fn a_full_stream_is_tried_again_from_where_it_was() {
        let (queue, allow, seen) = slow(100);
        assert_eq!(queue.put(b"12345\n"), 0);
        allow.send(Ok(3)).unwrap();
        allow.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        let why = queue.finish(Patience::Forever).unwrap_err();
        assert_eq!((why.kind(), queue.full().is_some(), queue.is_gone()), (io::ErrorKind::StorageFull, true, false));
        allow.send(Err(io::ErrorKind::Interrupted.into())).unwrap();
        drop(allow);
        while queue.full().is_some() {
            thread::yield_now();
        }
        queue.finish(Patience::Forever).unwrap();
        assert_eq!(seen.try_iter().flatten().collect::<Vec<u8>>(), b"12345\n");
    }

    #[test]
    fn what_is_written_is_known_and_the_task_is_woken_for_it() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let count = Arc::new(Count(std::sync::atomic::AtomicUsize::new(0)));
        let (queue, allow, seen) = slow(100);
        queue.register(&Context::from_waker(&Waker::from(Arc::clone(&count))));
        assert!(queue.is_written(queue.mark()), "nothing is there to be written");
        assert_eq!(queue.put(b"12345\n"), 0);
        let first = queue.mark();
        assert_eq!(queue.put(b"789\n"), 0);
        assert!(!queue.is_written(first));
        for _ in 0..2 {
            allow.send(Ok(3)).unwrap();
            seen.recv().unwrap();
        }
        while !queue.is_written(first) {
            thread::yield_now();
        }
        assert!(count.0.load(std::sync::atomic::Ordering::SeqCst) <= 1 && !queue.is_written(queue.mark()));
        drop(allow);
        while count.0.load(std::sync::atomic::Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        queue.finish(Patience::Forever).unwrap();
        assert!(queue.is_written(queue.mark()));
    }

    #[test]
    fn a_reader_that_is_gone_is_said() {
        let (queue, allow, _seen) = slow(100);
        allow.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        assert!(!queue.is_gone());
        assert_eq!(queue.put(b"1\n"), 0);
        assert_eq!(queue.finish(Patience::Forever).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(queue.is_gone() && queue.put(b"2\n") == 0);
    }
}
