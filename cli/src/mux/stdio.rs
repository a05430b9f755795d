//! Standard input and output as one byte stream, each moved by a thread of its own: they block.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use sluis_net::{Accept, ByteStream};

/// Bytes that are read at a time, and that may wait each way.
const CHUNK: usize = 16 * 1024;
const ROOM: usize = 64 * 1024;

/// What one thread and the stream share.
#[derive(Default)]
struct Way {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// The thread is writing what it has taken out.
    busy: bool,
    /// Whoever puts bytes in puts no more.
    ended: bool,
    /// All is written.
    done: bool,
    failed: Option<io::Error>,
    waker: Option<Waker>,
}

impl Way {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Read standard input to its end.
    fn read(&self) {
        let mut buffer = [0; CHUNK];
        loop {
            let read = io::stdin().lock().read(&mut buffer);
            let mut state = self.lock();
            match read {
                Ok(0) => state.ended = true,
                Ok(len) => state.bytes.extend(buffer.iter().take(len)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => state.failed = Some(error),
            }
            state.waker.take().into_iter().for_each(Waker::wake);
            if state.ended || state.failed.is_some() {
                return;
            }
            while state.bytes.len() >= ROOM {
                state = self.wait(state);
            }
        }
    }

    /// Write to standard output until no more comes.
    fn write(&self) {
        let mut state = self.lock();
        loop {
            while state.bytes.is_empty() && !state.ended {
                state = self.wait(state);
            }
            let bytes = std::mem::take(&mut state.bytes);
            state.busy = !bytes.is_empty();
            drop(state);
            let (front, back) = bytes.as_slices();
            let mut out = io::stdout().lock();
            let written = out.write_all(front).and_then(|()| out.write_all(back)).and_then(|()| out.flush());
            state = self.lock();
            state.busy = false;
            state.failed = written.err();
            state.done = state.ended && state.bytes.is_empty();
            state.waker.take().into_iter().for_each(Waker::wake);
            if state.done || state.failed.is_some() {
                return;
            }
        }
    }
}

/// Both, as a stream.
pub(super) struct Stdio {
    input: Arc<Way>,
    output: Arc<Way>,
}

impl Stdio {
    fn begin() -> io::Result<Self> {
        let (input, output) = (Arc::<Way>::default(), Arc::<Way>::default());
        let (read, write) = (Arc::clone(&input), Arc::clone(&output));
        thread::Builder::new().name("stdin".into()).spawn(move || read.read())?;
        thread::Builder::new().name("stdout".into()).spawn(move || write.write())?;
        Ok(Self { input, output })
    }
}

/// Ready once nothing is left to be written, and where `done` nothing will be.
fn poll_written(way: &Way, cx: &Context<'_>, done: bool) -> Poll<io::Result<()>> {
    let mut state = way.lock();
    if let Some(error) = &state.failed {
        return Poll::Ready(Err(error.kind().into()));
    }
    if if done { state.done } else { state.bytes.is_empty() && !state.busy } {
        return Poll::Ready(Ok(()));
    }
    state.waker = Some(cx.waker().clone());
    Poll::Pending
}

impl ByteStream for Stdio {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.input.lock();
        let len = buf.len().min(state.bytes.len());
        if len > 0 {
            buf.iter_mut().zip(state.bytes.drain(..len)).for_each(|(to, from)| *to = from);
            self.input.changed.notify_all();
            return Poll::Ready(Ok(len));
        }
        if let Some(error) = &state.failed {
            return Poll::Ready(Err(error.kind().into()));
        }
        if state.ended {
            return Poll::Ready(Ok(0));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.output.lock();
        if let Some(error) = &state.failed {
            return Poll::Ready(Err(error.kind().into()));
        }
        let len = buf.len().min(ROOM.saturating_sub(state.bytes.len()));
        if len == 0 {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.bytes.extend(buf.iter().take(len));
        self.output.changed.notify_all();
        Poll::Ready(Ok(len))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_written(&self.output, cx, false)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.lock().ended = true;
        self.output.changed.notify_all();
        poll_written(&self.output, cx, true)
    }
}

/// What accepts one connection: that of standard input and output.
pub(super) struct Once(Option<Stdio>);

impl Once {
    pub(super) fn begin() -> io::Result<Self> {
        Stdio::begin().map(|stdio| Self(Some(stdio)))
    }
}

impl Accept for Once {
    type Tcp = Stdio;

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Stdio, SocketAddr)>> {
        self.0.take().map_or(Poll::Pending, |stdio| Poll::Ready(Ok((stdio, (Ipv4Addr::LOCALHOST, 0).into()))))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
