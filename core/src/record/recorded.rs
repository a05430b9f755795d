//! Writing down what goes into a machine and what comes out of it, at its boundary.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;
use core::ops::Deref;

use super::line::{Line, Version};
use super::read::{BadRecord, Object};
use crate::limits::MAX_DATAGRAM_V6;
use crate::time::Now;
use crate::{
    Commands, Datagrams, Durable, Machine, Network, NetworkChange, Path, Reject, SocketId, StoreError, StoreOp,
    StoreSeq, Transmit, Unsent, Wants,
};

/// Where a recording goes: a file, a socket, memory.
pub trait Tape {
    /// One line, without its end. What cannot be kept is lost; a machine does not stop for its recording.
    fn line(&mut self, line: &str);
}

impl Tape for String {
    fn line(&mut self, line: &str) {
        self.push_str(line);
        self.push('\n');
    }
}

/// A machine that can be recorded and replayed: it can write its commands and events, and read its commands and its beginning.
pub trait Recordable: Datagrams + Commands + Sized + 'static {
    /// What became of a datagram that was not turned away.
    type Taken: fmt::Debug;

    /// Take in one datagram, as [`handle_datagram`](Datagrams::handle_datagram) does, and say what became of it.
    ///
    /// # Errors
    /// As there.
    fn receive(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<Self::Taken, Reject>;

    /// Make a machine from the beginning of its recording, and write that beginning again. `labelled` says that it is one of a
    /// simulated network.
    ///
    /// # Errors
    /// What is odd about the line.
    fn start(line: Object<'_>, labelled: bool, again: &mut Line) -> Result<Self, BadRecord>;

    /// Write a command: its name under `in`, and all that [`read_command`](Self::read_command) needs, the time (`at`) included if it
    /// matters.
    fn write_command(line: &mut Line, now: Now, command: &Self::Command<'_>);

    /// Write what came of a command.
    fn write_outcome(line: &mut Line, command: &Self::Command<'_>, out: &Self::Outcome);

    /// Read the command of this name, and give it to `command`.
    ///
    /// # Errors
    /// What is odd about the line; that no such command is known.
    fn read_command(
        name: &str,
        line: Object<'_>,
        version: Version,
        command: &mut dyn FnMut(&Self::Command<'_>),
    ) -> Result<(), BadRecord>;

    /// Ask a machine that keeps state for the next change, as [`Durable::poll_store`] does; `None` if it is none.
    fn feed_store(_: &mut Recorded<Self>) -> Option<()> {
        None
    }

    /// Tell a machine that keeps state how a commit ended, as [`Durable::handle_stored`] does; `None` if it is none.
    fn feed_stored(_: &mut Recorded<Self>, _: Now, _: StoreSeq, _: Result<(), StoreError>) -> Option<()> {
        None
    }

    /// Write an event, without the datagram that it lends: that was an input already.
    fn write_event(line: &mut Line, event: &Self::Event<'_>);

    /// The name of the queue that the next event comes from, for machines whose events can be taken from several.
    fn next_queue(&self) -> &'static str {
        POLL_EVENT
    }

    /// Take the next event of the queue with this name; `Err` if there is no such queue.
    ///
    /// # Errors
    /// There is no such queue.
    fn poll_queue(&mut self, queue: &str) -> Result<Option<Self::Event<'_>>, NoSuchQueue> {
        if queue == POLL_EVENT { Ok(self.poll_event()) } else { Err(NoSuchQueue) }
    }
}

/// A recording names a queue that its machine does not have.
#[derive(Clone, Copy, Debug)]
pub struct NoSuchQueue;

/// The only queue of most machines.
const POLL_EVENT: &str = "poll_event";

/// A machine, and everything that goes in and out of it in writing, if there is a [`Tape`]. Without one it is the machine alone.
///
/// It can be looked at like the machine itself ([`Deref`]), and told things only through [`Commands`], so that nothing goes in unseen.
pub struct Recorded<M> {
    machine: M,
    writer: Option<Box<Writer>>,
}

/// Writes lines.
struct Writer {
    /// Which machine it is, where several share a tape.
    label: Option<u32>,
    version: Version,
    sink: Sink,
}

/// Where lines go.
pub(crate) enum Sink {
    /// To a tape, each at once.
    Tape(Box<dyn Tape + Send>),
    /// Nowhere: they are kept until somebody takes them.
    Keep(String),
}

impl Writer {
    #[cold]
    fn write(&mut self, write: impl FnOnce(&mut Line)) {
        let mut line = Line::new(self.version);
        if let Some(label) = self.label {
            line.number("node", u64::from(label));
        }
        write(&mut line);
        let line = line.finish();
        match &mut self.sink {
            Sink::Tape(tape) => tape.line(&line),
            Sink::Keep(lines) => lines.line(&line),
        }
    }
}

impl<M> Recorded<M> {
    /// The machine without a recording.
    pub const fn off(machine: M) -> Self {
        Self { machine, writer: None }
    }

    /// A machine that was just made. `start` writes all that it was made of, from the version on, which it must write first.
    pub(crate) fn begin(
        machine: M,
        (label, version): (Option<u32>, Version),
        sink: Sink,
        start: impl FnOnce(&mut Line),
    ) -> Self {
        let mut writer = Box::new(Writer { label, version, sink });
        writer.write(|line| {
            line.text("in", "start").number("version", version.number());
            start(line);
        });
        Self { machine, writer: Some(writer) }
    }

    /// The machine, without its recording.
    pub fn into_inner(self) -> M {
        self.machine
    }

    /// Write where the machine's socket is, so that [a capture](super::Capture) shows it. Does nothing else.
    pub fn note_address(&mut self, addr: SocketAddr) {
        self.write(|line| {
            line.text("in", "address").show("addr", &addr);
        });
    }

    /// Move the lines that were kept to the end of `out`.
    pub(crate) fn take_lines(&mut self, out: &mut String) {
        if let Some(Sink::Keep(lines)) = self.writer.as_mut().map(|writer| &mut writer.sink) {
            out.push_str(lines);
            lines.clear();
        }
    }

    #[inline]
    fn write(&mut self, write: impl FnOnce(&mut Line)) {
        if let Some(writer) = &mut self.writer {
            writer.write(write);
        }
    }
}

impl<M: Recordable> Recorded<M> {
    /// Tell the machine something by its own typed method, and write it down as the command that it is.
    pub(crate) fn tell<R: Clone + Into<M::Outcome>>(
        &mut self,
        now: Now,
        command: &M::Command<'_>,
        tell: impl FnOnce(&mut M) -> R,
    ) -> R {
        let out = tell(&mut self.machine);
        self.write(|line| {
            M::write_command(line, now, command);
            M::write_outcome(line, command, &out.clone().into());
        });
        out
    }

    /// Take in one datagram, written down, and say what became of it.
    pub(crate) fn take_in(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<M::Taken, Reject> {
        let Some(writer) = &mut self.writer else { return self.machine.receive(now, path, bytes) };
        // As it came: the machine may decrypt it in place.
        let came = bytes.to_vec();
        let taken = self.machine.receive(now, path, bytes);
        writer.write(|line| {
            line.text("in", "datagram").at(now).path(path).hex("hex", &came);
            match taken {
                // Recordings keep the name that this reason had when they got their form.
                Err(Reject::SourcePortZero) => line.show("out", &"Err(NoReturn)"),
                _ => line.out(&taken),
            };
        });
        taken
    }

    /// Take the next event of a queue. A poll that finds nothing is written only where the machine said that it wants to be polled:
    /// finding nothing may end something.
    pub(crate) fn poll(&mut self, queue: &str) -> Result<Option<M::Event<'_>>, NoSuchQueue> {
        let Self { machine, writer } = self;
        let wanted = writer.is_some() && machine.wants().events;
        let event = machine.poll_queue(queue)?;
        if let Some(writer) = writer
            && (event.is_some() || wanted)
        {
            writer.write(|line| {
                line.text("in", queue);
                match &event {
                    Some(event) => M::write_event(line, event),
                    None => _ = line.show("out", &"None"),
                }
            });
        }
        Ok(event)
    }

    /// Do to the machine what was done to it when this line was written. What comes of it is written again.
    pub(super) fn feed(&mut self, input: &str, line: Object<'_>, version: Version) -> Result<(), BadRecord> {
        match input {
            "datagram" => {
                let _ = self.handle_datagram(line.at()?, line.path()?, &mut line.hex("hex")?);
            }
            "timeout" => self.handle_timeout(line.at()?),
            "stop" => self.handle_stop(line.at()?),
            "network_up" => {
                let socket = SocketId::new(line.number("network")?);
                let network = Network { socket, group: line.path()?, port: line.number("port")? };
                self.handle_network(line.at()?, NetworkChange::Up(network));
            }
            "network_down" => {
                let socket = SocketId::new(line.number("network")?);
                self.handle_network(line.at()?, NetworkChange::Down(socket));
            }
            "unsent" => {
                let why = Unsent::from_code(line.u64("why")?)
                    .ok_or(BadRecord("has a reason that this program does not know"))?;
                self.handle_unsent(line.at()?, line.path()?, &line.hex("hex")?, why);
            }
            "poll_transmit" => {
                let room = if line.has("room") { line.number("room")? } else { MAX_DATAGRAM_V6 };
                self.poll_transmit(line.at()?, &mut alloc::vec![0; room.min(MAX_DATAGRAM_V6)]);
            }
            "poll_store" => drop(M::feed_store(self).ok_or(BadRecord("keeps something, and its machine does not"))?),
            "stored" => {
                let result = stored_result(&line.text("result")?)?;
                M::feed_stored(self, line.at()?, StoreSeq(line.u64("upto")?), result)
                    .ok_or(BadRecord("keeps something, and its machine does not"))?;
            }
            "address" => self.note_address(line.parsed("addr")?),
            queue if queue.starts_with("poll_") => {
                self.poll(queue).map_err(|NoSuchQueue| BadRecord("polls what this program does not have"))?;
            }
            command => {
                let now = if line.has("at") { line.at()? } else { Now::default() };
                M::read_command(command, line, version, &mut |command| {
                    self.handle_command(now, command);
                })?;
            }
        }
        Ok(())
    }
}

impl<M> Deref for Recorded<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M: fmt::Debug> fmt::Debug for Recorded<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("machine", &self.machine).field("on", &self.writer.is_some()).finish()
    }
}

impl<M: Recordable> Machine for Recorded<M> {
    type Event<'a>
        = M::Event<'a>
    where
        Self: 'a;

    fn handle_timeout(&mut self, now: Now) {
        self.machine.handle_timeout(now);
        self.write(|line| {
            line.text("in", "timeout").at(now);
        });
    }

    fn handle_stop(&mut self, now: Now) {
        self.machine.handle_stop(now);
        self.write(|line| {
            line.text("in", "stop").at(now);
        });
    }

    fn poll_event(&mut self) -> Option<M::Event<'_>> {
        let queue = self.machine.next_queue();
        // Its own queue the machine has.
        self.poll(queue).unwrap_or_default()
    }

    fn wants(&self) -> Wants {
        self.machine.wants()
    }
}

impl<M: Recordable + Durable> Durable for Recorded<M> {
    fn poll_store(&mut self) -> Option<StoreOp<'_>> {
        let Self { machine, writer } = self;
        let op = machine.poll_store();
        if let (Some(writer), Some(op)) = (writer, &op) {
            writer.write(|line| {
                line.text("in", "poll_store").number("seq", op.seq().0).hex("key", op.key());
                if let Some(value) = op.value() {
                    line.hex("value", value);
                }
            });
        }
        op
    }

    fn handle_stored(&mut self, now: Now, upto: StoreSeq, result: Result<(), StoreError>) {
        self.machine.handle_stored(now, upto, result);
        self.write(|line| {
            line.text("in", "stored").at(now).number("upto", upto.0).text("result", result_name(result));
        });
    }
}

const fn result_name(result: Result<(), StoreError>) -> &'static str {
    match result {
        Ok(()) => "kept",
        Err(StoreError::Full) => "full",
        Err(StoreError::TooLarge) => "too_large",
        Err(StoreError::Failed) => "failed",
    }
}

fn stored_result(name: &str) -> Result<Result<(), StoreError>, BadRecord> {
    let all = [Ok(()), Err(StoreError::Full), Err(StoreError::TooLarge), Err(StoreError::Failed)];
    all.into_iter().find(|result| result_name(*result) == name).ok_or(BadRecord("has an unknown end of a commit"))
}

impl<M: Recordable> Datagrams for Recorded<M> {
    fn handle_datagram(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        self.take_in(now, path, bytes).map(drop)
    }

    fn poll_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        let wanted = self.writer.is_some() && self.machine.wants().output;
        let transmit = self.machine.poll_transmit(now, out);
        if let Some(Transmit { path, len }) = transmit {
            self.write(|line| {
                let bytes = out.get(..len).unwrap_or_default();
                line.text("in", "poll_transmit").at(now).path(path).hex("hex", bytes);
            });
        } else if wanted {
            // Finding nothing may end a round of heartbeats; or there was no room.
            self.write(|line| {
                line.text("in", "poll_transmit").at(now).number("room", out.len() as u64);
            });
        }
        transmit
    }

    fn handle_unsent(&mut self, now: Now, path: Path, bytes: &[u8], why: Unsent) {
        self.machine.handle_unsent(now, path, bytes, why);
        self.write(|line| {
            line.text("in", "unsent").at(now).path(path).hex("hex", bytes).number("why", why.code());
        });
    }

    fn handle_network(&mut self, now: Now, change: NetworkChange) {
        self.machine.handle_network(now, change);
        self.write(|line| match change {
            NetworkChange::Up(Network { socket, group, port }) => {
                line.text("in", "network_up").at(now).path(group);
                line.number("network", socket.number().into()).number("port", port.into());
            }
            NetworkChange::Down(socket) => {
                line.text("in", "network_down").at(now).number("network", socket.number().into());
            }
        });
    }
}

impl<M: Recordable> Commands for Recorded<M> {
    type Command<'a> = M::Command<'a>;
    type Outcome = M::Outcome;

    fn handle_command(&mut self, now: Now, command: &M::Command<'_>) -> M::Outcome {
        let out = self.machine.handle_command(now, command);
        self.write(|line| {
            M::write_command(line, now, command);
            M::write_outcome(line, command, &out);
        });
        out
    }
}
