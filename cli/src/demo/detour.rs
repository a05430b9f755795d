//! A way through which a sensor and the hub talk, and whose address on the hub's side can change: a router that forgets its mappings.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sluis_core::limits::MAX_DATAGRAM_V4;

/// How long to listen on one side before looking at the other.
const TURN: Duration = Duration::from_millis(1);

/// It ends when this is dropped.
pub(super) struct Detour {
    /// Where the sensor finds the hub.
    pub(super) addr: SocketAddr,
    moved: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Detour {
    /// To the hub that is there.
    pub(super) fn open(hub: SocketAddr) -> io::Result<Self> {
        let [front, first, second] = [(); 3].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
        let (front, backs) = (front?, [first?, second?]);
        for socket in [&front, &backs[0], &backs[1]] {
            socket.set_read_timeout(Some(TURN))?;
        }
        let (moved, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let this = Self { addr: front.local_addr()?, moved: Arc::clone(&moved), over: Arc::clone(&over) };
        thread::Builder::new().name("detour".to_owned()).spawn(move || {
            let (mut buffer, mut sensor) = (vec![0; MAX_DATAGRAM_V4], None);
            while !over.load(Ordering::Relaxed) {
                // Asked anew for each datagram: what is sent after the change goes by the new way.
                let back = || &backs[usize::from(moved.load(Ordering::SeqCst))];
                if let Ok((len, from)) = front.recv_from(&mut buffer) {
                    sensor = Some(from);
                    // What is lost here is lost as on any network.
                    let _ = back().send_to(buffer.get(..len).unwrap_or_default(), hub);
                }
                if let (Ok((len, _)), Some(sensor)) = (back().recv_from(&mut buffer), sensor) {
                    let _ = front.send_to(buffer.get(..len).unwrap_or_default(), sensor);
                }
            }
        })?;
        Ok(this)
    }

    /// From now on the hub sees the sensor at another address, and reaches it at the one before no more.
    pub(super) fn change_address(&self) {
        self.moved.store(true, Ordering::SeqCst);
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
