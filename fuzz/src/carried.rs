//! A native mux connection inside a WebSocket (`sluis.mux.1`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use sluis_net::ByteStream as _;
use sluis_web::Carried;
use sluis_web::hyper::rt;

/// The first byte says what the rest is: what a stranger sends (0), what an honest client sends in messages that are cut somehow (1), or what
/// both ends say to each other (else). The next two say how it is cut.
pub fn carried(data: &[u8]) {
    let Some(([kind, message, piece], rest)) = data.split_first_chunk() else { return };
    let (message, piece) = (usize::from(*message) + 1, usize::from(*piece) + 1);
    match kind % 3 {
        0 => {
            let at_once = heard(Line::of(rest, usize::MAX), 4096);
            assert_eq!(at_once, heard(Line::of(rest, piece), message), "chunking shows");
            assert!(at_once.0.len() <= rest.len(), "more came out than went in");
        }
        1 => {
            let frames = in_messages(rest, message);
            let (bytes, _) = heard(Line::of(&frames, piece), 300);
            assert!(bytes == rest, "what came out is not what went in");
        }
        _ => spoken(rest, message, piece),
    }
}

/// A stream that has these bytes in pieces of this size, then its end; it takes as many at a time.
#[derive(Default)]
struct Line {
    incoming: Vec<u8>,
    read: usize,
    piece: usize,
    written: Vec<u8>,
    /// Every other time it takes nothing.
    rests: bool,
}

impl Line {
    fn of(incoming: &[u8], piece: usize) -> Self {
        Self { incoming: incoming.to_vec(), piece, ..Self::default() }
    }
}

impl rt::Read for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let len = (self.incoming.len() - self.read).min(self.piece).min(buf.remaining());
        let from = self.read;
        buf.put_slice(&self.incoming[from..from + len]);
        self.read += len;
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.rests = !self.rests;
        if self.rests {
            return Poll::Pending;
        }
        let len = buf.len().min(self.piece);
        self.written.extend_from_slice(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a server hears on a line, read in pieces of this size, and whether that ends in peace.
fn heard(line: Line, size: usize) -> (Vec<u8>, bool) {
    let (mut server, mut all, mut buffer) = (Carried::server(line), Vec::new(), vec![0; size]);
    let cx = &mut Context::from_waker(Waker::noop());
    loop {
        match server.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(0)) => return (all, true),
            Poll::Ready(Ok(len)) => all.extend_from_slice(&buffer[..len]),
            Poll::Ready(Err(_)) => return (all, false),
            Poll::Pending => panic!("it waits for a line that never lets it wait"),
        }
    }
}

/// Frames of a client: messages of at most so many bytes, some of them in fragments, with pings in between.
fn in_messages(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for (n, message) in bytes.chunks(size).enumerate() {
        let (first, second) = message.split_at(if n % 3 == 1 { message.len() / 2 } else { message.len() });
        frame(&mut all, if second.is_empty() { 0x82 } else { 0x02 }, first);
        if n % 2 == 1 {
            frame(&mut all, 0x89, b"ping");
        }
        if !second.is_empty() {
            frame(&mut all, 0x80, second);
        }
    }
    frame(&mut all, 0x88, &[]);
    all
}

fn frame(all: &mut Vec<u8>, head: u8, body: &[u8]) {
    let len = body.len();
    all.push(head);
    match u8::try_from(len) {
        Ok(len @ 0..=125) => all.push(0x80 | len),
        _ => {
            all.push(0x80 | 126);
            all.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    let mask = [len.to_le_bytes()[0], 7, 0, 255];
    all.extend_from_slice(&mask);
    all.extend(body.iter().enumerate().map(|(n, byte)| byte ^ mask[n % 4]));
}

/// A client writes in pieces on a line that takes little at a time; its server hears all of it.
fn spoken(bytes: &[u8], size: usize, piece: usize) {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut client = Carried::client(Line::of(&[], piece));
    for some in bytes.chunks(size) {
        let mut rest = some;
        while !rest.is_empty() {
            if let Poll::Ready(taken) = client.poll_write(cx, rest) {
                rest = &rest[taken.expect("the line is not lost")..];
            }
        }
    }
    while client.poll_close(cx).is_pending() {}
    let (all, in_peace) = heard(Line::of(&client.into_inner().written, piece), size);
    assert!(all == bytes && in_peace, "what was heard is not what was said");
}
