//! How the driver gets at its machine: it owns it, borrows it, or shares it behind a lock.

use super::{App, DriverStats};
use crate::Machine;

/// Access to a machine and its app together, for the length of one turn.
pub trait MachineAccess {
    /// The machine.
    type Machine: Machine;
    /// What drains and commands it.
    type App: App<Self::Machine>;

    /// Run one turn.
    fn with<R>(&mut self, turn: impl FnOnce(&mut Self::Machine, &mut Self::App) -> R) -> R;

    /// The driver's counters, each time before it waits; for a holder that shows them to others.
    fn publish(&mut self, _: &DriverStats) {}
}

/// Machine and app belong to the driver.
#[derive(Debug)]
pub struct Own<M, A> {
    /// The machine.
    pub machine: M,
    /// Its app.
    pub app: A,
}

impl<M: Machine, A: App<M>> MachineAccess for Own<M, A> {
    type Machine = M;
    type App = A;

    fn with<R>(&mut self, turn: impl FnOnce(&mut M, &mut A) -> R) -> R {
        turn(&mut self.machine, &mut self.app)
    }
}

/// Machine and app are lent to the driver and used again afterwards.
#[derive(Debug)]
pub struct Lend<'a, M, A> {
    /// The machine.
    pub machine: &'a mut M,
    /// Its app.
    pub app: &'a mut A,
}

impl<M: Machine, A: App<M>> MachineAccess for Lend<'_, M, A> {
    type Machine = M;
    type App = A;

    fn with<R>(&mut self, turn: impl FnOnce(&mut M, &mut A) -> R) -> R {
        turn(self.machine, self.app)
    }
}
