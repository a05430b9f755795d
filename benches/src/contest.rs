//! Timing several things against each other on a machine that has other things to do.
//!
//! All of them run in every round, in an order that turns with the rounds, in short batches of a
//! few milliseconds of the thread's own processor time. What counts is the median, over the rounds, of the ratio within one round: what slows a whole round
//! down cancels out, and the rounds in which something came between fall to the ends.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How long a batch should take.
const BATCH: Duration = Duration::from_millis(2);

/// Processor time of this thread: what others do on the same core does not count.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Duration);

impl Stopwatch {
    /// From now on. Reading this clock takes some 200 ns.
    #[must_use]
    pub fn start() -> Self {
        Self(Self::read())
    }

    /// What this thread has used since.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::read().saturating_sub(self.0)
    }

    fn read() -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
    }
}

/// One of the things compared: runs so many operations and says how long they took.
pub struct Runner<'a> {
    name: &'static str,
    run: Box<dyn FnMut(u64) -> Duration + 'a>,
    batch: u64,
}

impl<'a> Runner<'a> {
    /// Something to time that needs no preparation.
    pub fn new(name: &'static str, mut op: impl FnMut() + 'a) -> Self {
        Self::custom(name, move |n| {
            let began = Stopwatch::start();
            for _ in 0..n {
                op();
            }
            began.elapsed()
        })
    }

    /// Something that prepares and times its batches itself.
    pub fn custom(name: &'static str, run: impl FnMut(u64) -> Duration + 'a) -> Self {
        Self { name, run: Box::new(run), batch: 0 }
    }

    /// Find the batch size, which also warms everything up.
    fn calibrate(&mut self) {
        let mut n = 16;
        loop {
            let took = (self.run)(n);
            if took >= BATCH / 4 || n >= 1 << 24 {
                let per_op = took.as_nanos().max(1) / u128::from(n);
                self.batch = u64::try_from(BATCH.as_nanos() / per_op.max(1)).unwrap_or(1).clamp(1, 1 << 24);
                return;
            }
            n *= 4;
        }
    }

    fn nanos(&mut self) -> f64 {
        (self.run)(self.batch).as_nanos() as f64 / self.batch as f64
    }
}

/// How one of the things did.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its name.
    pub name: &'static str,
    /// Median nanoseconds of one operation.
    pub nanos: f64,
    /// Median ratio of its time to the first one's time.
    pub ratio: f64,
}

/// Run all of them for so many rounds. The first is what the others are compared with.
pub fn run(runners: &mut [Runner<'_>], rounds: usize) -> Vec<Standing> {
    for runner in runners.iter_mut() {
        runner.calibrate();
    }
    let count = runners.len();
    let mut times = vec![Vec::with_capacity(rounds); count];
    for round in 0..rounds {
        for step in 0..count {
            let at = (round + step) % count;
            times[at].push(runners[at].nanos());
        }
    }
    let base = times[0].clone();
    runners
        .iter()
        .zip(times)
        .map(|(runner, mut times)| {
            let mut ratios: Vec<f64> = times.iter().zip(&base).map(|(a, b)| a / b).collect();
            Standing { name: runner.name, nanos: median(&mut times), ratio: median(&mut ratios) }
        })
        .collect()
}

/// The middle of some numbers, of an even count the mean of the two in the middle; 0 of none.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let mid = numbers.len() / 2;
    match numbers {
        [] => 0.0,
        _ if numbers.len() % 2 == 1 => numbers[mid],
        _ => f64::midpoint(numbers[mid - 1], numbers[mid]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Runner, median, run};

    /// A contestant that takes so many nanoseconds each time, and a thousand times as long now and then.
    fn steady(name: &'static str, nanos: u64) -> Runner<'static> {
        let mut calls = 0;
        Runner::custom(name, move |n| {
            calls += 1;
            Duration::from_nanos(n * nanos * if calls % 4 == 0 { 1000 } else { 1 })
        })
    }

    #[test]
    fn the_first_is_the_measure_and_interruptions_do_not_count() {
        let standings = run(&mut [steady("one", 100), steady("slower", 300)], 21);
        assert!((standings[0].ratio - 1.0).abs() < 1e-9 && (standings[0].nanos - 100.0).abs() < 1e-9, "{standings:?}");
        assert!((standings[1].ratio - 3.0).abs() < 1e-9 && (standings[1].nanos - 300.0).abs() < 1e-9, "{standings:?}");
    }

    #[test]
    fn medians() {
        assert!((median(&mut [3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&mut [4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
