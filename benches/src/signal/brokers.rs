//! Brokers to measure against: mosquitto, and one that does nothing but acknowledge.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sluis_signal::mqtt::{MAX_PACKET, Packet, Reader, encode};

/// A port of 127.0.0.1 on which nobody listens.
///
/// # Errors
/// The system's.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Serve clients, one after the other, on a thread of its own: they are let in, and every message is acknowledged and dropped. Says
/// the port.
///
/// # Errors
/// The system's.
pub fn null() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes is followed by the next.
            let _ = acknowledge_all(stream);
        }
    });
    Ok(port)
}

fn acknowledge_all(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(MAX_PACKET);
    let (mut buffer, mut out) = (vec![0; 64 * 1024], Vec::with_capacity(4096));
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        let (mut rest, mut packet) = (&buffer[..len], [0; 8]);
        loop {
            let (heard, taken) = reader.read(rest).map_err(io::Error::other)?;
            let answer = match heard {
                None => break,
                Some(Packet::Connect(_)) => encode::connack(0, &mut packet),
                Some(Packet::Subscribe { id, .. }) => encode::suback(id, &[1], &mut packet),
                Some(Packet::Publish(publish)) => publish.id.map_or(Ok(0), |id| encode::puback(id, &mut packet)),
                Some(Packet::PingReq) => encode::pingresp(&mut packet),
                Some(_) => Ok(0),
            };
            out.extend_from_slice(&packet[..answer.map_err(io::Error::other)?]);
            rest = &rest[taken..];
        }
        stream.write_all(&out)?;
        out.clear();
    }
}

/// Debian's mosquitto on a port of 127.0.0.1, without anything that is kept. It ends with this.
#[derive(Debug)]
pub struct Mosquitto {
    program: PathBuf,
    config: PathBuf,
    /// Where it listens.
    pub port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    /// Where it is installed, if it is.
    #[must_use]
    pub fn find() -> Option<PathBuf> {
        let places = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"].map(PathBuf::from);
        places.into_iter().find(|path| path.exists())
    }

    /// Start it, and wait until it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn start(program: &Path) -> io::Result<Self> {
        let port = free_port()?;
        let config = std::env::temp_dir().join(format!("sluis-bench-{}-{port}.conf", std::process::id()));
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\nset_tcp_nodelay true\n"
        );
        std::fs::write(&config, text)?;
        let mut this = Self { program: program.to_owned(), config, port, child: None };
        this.revive()?;
        for _ in 0..500 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(this);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("mosquitto does not listen"))
    }

    /// Start it again on the same port.
    ///
    /// # Errors
    /// The system's.
    pub fn revive(&mut self) -> io::Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(&self.config).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// Kill it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether it runs.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.child.is_some()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(&self.config);
    }
}
