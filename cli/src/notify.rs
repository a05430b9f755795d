//! What a service manager is told: that a node is ready, that it is alive, and that it ends (`sd_notify(3)`).
//!
//! The manager names a socket in `NOTIFY_SOCKET`, and in `WATCHDOG_USEC` how often it wants to hear that the node is alive. Without the first nothing is sent.
//! What cannot be sent is not sent again: the manager then does what it does with a node that says nothing.

use std::time::Duration;

use sluis_core::Instant;

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    #[cfg(unix)]
    socket: Option<std::os::unix::net::UnixDatagram>,
    /// Half of the time after which silence counts as death.
    every: Option<Duration>,
    due: Option<Instant>,
}

impl Notify {
    /// As the environment says.
    pub(crate) fn from_env() -> Self {
        #[cfg(unix)]
        if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
            return Self::to(&socket, watchdog());
        }
        Self::default()
    }

    #[cfg(unix)]
    fn to(socket: &std::ffi::OsStr, watchdog: Option<Duration>) -> Self {
        let socket = connect(socket).ok();
        let every = watchdog.filter(|_| socket.is_some()).map(|time| time / 2);
        Self { socket, every, due: None }
    }

    /// The node takes in what comes.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The node ends, because it was told to or has had enough.
    pub(crate) fn ending(&self) {
        self.tell("STOPPING=1");
    }

    /// The node does its work: said as often as the manager wants it.
    pub(crate) fn alive(&mut self, now: Instant) {
        let Some(every) = self.every else { return };
        if self.due.is_none_or(|due| due <= now) {
            self.tell("WATCHDOG=1");
            self.due = Some(now + every);
        }
    }

    /// When that is next to be said.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn tell(&self, what: &str) {
        #[cfg(unix)]
        if let Some(socket) = &self.socket {
            // The socket does not block: a manager that reads nothing does not hold the node up.
            let _ = socket.send(what.as_bytes());
        }
        #[cfg(not(unix))]
        let _ = what;
    }
}

/// A path, or behind an `@` a name of its own kind (Linux).
#[cfg(unix)]
fn connect(socket: &std::ffi::OsStr) -> std::io::Result<std::os::unix::net::UnixDatagram> {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let to = match socket.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let ours = UnixDatagram::unbound()?;
    ours.connect_addr(&to)?;
    ours.set_nonblocking(true)?;
    Ok(ours)
}

/// After what silence the manager thinks us dead, if it watches this process.
#[cfg(unix)]
fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|time| ours && *time > 0).map(Duration::from_micros)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// A socket that hears what is said, in a folder of its own.
    fn manager(name: &str) -> (UnixDatagram, std::path::PathBuf) {
        let folder = std::env::temp_dir().join(format!("sluis-notify-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = UnixDatagram::bind(folder.join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket, folder)
    }

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut buf = [0; 64];
        let len = socket.recv(&mut buf).ok()?;
        Some(String::from_utf8(buf[..len].to_vec()).unwrap())
    }

    #[test]
    fn the_manager_hears_that_the_node_is_ready_alive_and_ends() {
        let (socket, folder) = manager("whole");
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut notify = Notify::to(folder.join("socket").as_os_str(), Some(Duration::from_secs(10)));
        notify.ready();
        assert_eq!(heard(&socket).as_deref(), Some("READY=1"));
        for (now, says) in [(0, true), (1, false), (4, false), (5, true), (9, false), (30, true)] {
            notify.alive(at(now));
            assert_eq!(heard(&socket).is_some_and(|said| said == "WATCHDOG=1"), says, "at {now} s");
            assert!(notify.deadline().is_some_and(|due| due > at(now)));
        }
        notify.ending();
        assert_eq!(heard(&socket).as_deref(), Some("STOPPING=1"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_a_manager_nothing_is_due() {
        let (socket, folder) = manager("gone");
        drop(socket);
        std::fs::remove_dir_all(&folder).unwrap();
        for mut notify in
            [Notify::default(), Notify::to(folder.join("socket").as_os_str(), Some(Duration::from_secs(1)))]
        {
            notify.ready();
            notify.alive(Instant::ZERO);
            assert_eq!(notify.deadline(), None);
        }
    }

    /// Who reads nothing is not waited for.
    #[test]
    fn a_manager_that_reads_nothing_holds_nobody_up() {
        let (_socket, folder) = manager("full");
        let notify = Notify::to(folder.join("socket").as_os_str(), None);
        (0..10_000).for_each(|_| notify.ready());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
