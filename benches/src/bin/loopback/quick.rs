//! The echo through `quinn-udp`: batches with GSO and GRO, or a datagram a call.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

use crate::echo::nanos;
use crate::runtime::Runtime;

/// What GRO needs.
const SLOT: usize = 65_536;
/// Bytes of a GSO batch.
const TRAIN: usize = 65_000;

/// A socket with what `quinn-udp` wants, and one message to send over and over.
pub(crate) struct Quick<R: Runtime> {
    socket: R::Socket,
    state: UdpSocketState,
    slots: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
    /// As many copies of the message as one call may send.
    train: Vec<u8>,
    len: usize,
    segments: usize,
    batched: bool,
}

impl<R: Runtime> Quick<R> {
    /// Pass everything on, as it came and with as few calls: what `to` sends goes to whoever else sent last, and all else there. For ever.
    pub(crate) async fn forward(&mut self, to: SocketAddr) -> io::Result<()> {
        let mut other = to;
        loop {
            let count = self.recv_batch().await?;
            for (slot, meta) in self.slots.chunks_exact(SLOT).zip(&self.meta[..count]) {
                let destination = if meta.addr == to { other } else { to };
                if meta.addr != to {
                    other = meta.addr;
                }
                for train in slot[..meta.len].chunks(meta.stride.max(1) * self.segments) {
                    let segment_size = (train.len() > meta.stride).then_some(meta.stride);
                    let transmit = Transmit { destination, ecn: None, contents: train, segment_size, src_ip: None };
                    R::write(&self.socket, |socket| self.state.try_send(socket, &transmit)).await?;
                }
            }
        }
    }

    pub(crate) fn new(socket: std::net::UdpSocket, message: &[u8], batched: bool) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        let segments = if batched { state.max_gso_segments().min(TRAIN / message.len()).max(1) } else { 1 };
        Ok(Self {
            state,
            socket: R::open(socket)?,
            slots: vec![0; SLOT * if batched { BATCH_SIZE } else { 1 }],
            meta: [RecvMeta::default(); BATCH_SIZE],
            train: message.repeat(segments),
            len: message.len(),
            segments,
            batched,
        })
    }

    /// Receive, and say how many slots are filled.
    async fn recv_batch(&mut self) -> io::Result<usize> {
        let Self { socket, state, slots, meta, batched, .. } = self;
        R::read(socket, |socket| {
            if *batched {
                let mut chunks = slots.chunks_exact_mut(SLOT);
                let mut bufs: [_; BATCH_SIZE] = array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
                state.recv(socket, &mut bufs, meta)
            } else {
                state.recv(socket, &mut [IoSliceMut::new(slots)], &mut meta[..1])
            }
        })
        .await
    }

    /// Receive, and say how many datagrams came from whom.
    async fn recv(&mut self) -> io::Result<(u64, SocketAddr)> {
        let count = self.recv_batch().await?;
        let datagrams = self.meta[..count].iter().map(|meta| meta.len.div_ceil(meta.stride.max(1)) as u64).sum();
        Ok((datagrams, self.meta[0].addr))
    }

    async fn send(&self, mut count: u64, to: SocketAddr) -> io::Result<()> {
        while count > 0 {
            let now = count.min(self.segments as u64);
            let len = self.len * usize::try_from(now).unwrap_or(1);
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents: &self.train[..len],
                segment_size: (now > 1).then_some(self.len),
                src_ip: None,
            };
            R::write(&self.socket, |socket| self.state.try_send(socket, &transmit)).await?;
            count -= now;
        }
        Ok(())
    }

    /// Answer every datagram, for ever.
    pub(crate) async fn serve(&mut self) -> io::Result<()> {
        loop {
            let (count, from) = self.recv().await?;
            self.send(count, from).await?;
        }
    }

    /// Ask so often, so many at once; how long it took, and with one at once how long each took.
    pub(crate) async fn ask(
        &mut self,
        to: SocketAddr,
        count: u64,
        in_flight: u64,
        rtts: &mut Vec<u64>,
    ) -> io::Result<Duration> {
        let began = Instant::now();
        let mut asked = count.min(in_flight);
        self.send(asked, to).await?;
        let (mut answered, mut at) = (0, began);
        while answered < count {
            let (came, _) = self.recv().await?;
            answered += came;
            if in_flight == 1 {
                let now = Instant::now();
                rtts.push(nanos(now - at));
                at = now;
            }
            let more = came.min(count - asked);
            self.send(more, to).await?;
            asked += more;
        }
        Ok(began.elapsed())
    }
}
