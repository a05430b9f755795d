//! The clocks.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sluis_core::time::iso;

use super::Finding;
use crate::run;

const CHECK: &str = "clock";
/// Seconds since 1970: this program is not older than that (2026), and nobody runs it after that (2100).
const PLAUSIBLE: std::ops::Range<u64> = 1_767_225_600..4_102_444_800;
/// How long the two clocks are compared, and how far they may be apart then.
const LONG: Duration = Duration::from_millis(20);
const APART: Duration = Duration::from_millis(200);

/// Whether the wall clock shows a time that can be, and both clocks move on together.
pub(super) fn look() -> Finding {
    let (wall, monotonic) = (SystemTime::now(), Instant::now());
    thread::sleep(LONG);
    let took = monotonic.elapsed();
    let step = wall.elapsed().ok();
    let seconds = wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    judge(seconds, step, took, iso::format(run::wall(), &mut [0; iso::FORMAT_LEN]))
}

/// `step`: how far the wall clock moved while the other one moved by `took`; none: backwards.
fn judge(seconds: u64, step: Option<Duration>, took: Duration, shows: &str) -> Finding {
    const MEND: &str = "set it, and have it kept right (`timedatectl set-ntp true`): pings of other clocks are refused, from 5 s ahead and 30 s behind";
    if !PLAUSIBLE.contains(&seconds) {
        return Finding::problem(CHECK, format!("it shows {shows}, which cannot be"), MEND);
    }
    match step {
        Some(step) if step.abs_diff(took) <= APART => {
            Finding::ok(CHECK, format!("it shows {shows}, and moves on evenly"))
        }
        Some(step) => Finding::warning(
            CHECK,
            format!("it moved by {} ms within {} ms: somebody sets it", step.as_millis(), took.as_millis()),
            MEND,
        ),
        None => Finding::problem(CHECK, "it ran backwards: somebody sets it", MEND),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn clocks_that_cannot_be_or_do_not_move_on_are_named() {
        let ms = Duration::from_millis;
        for (seconds, step, status) in [
            (1_800_000_000, Some(ms(20)), Status::Ok),
            (1_800_000_000, Some(ms(3000)), Status::Warning),
            (1_800_000_000, None, Status::Problem),
            (0, Some(ms(20)), Status::Problem),
            (9_000_000_000, Some(ms(20)), Status::Problem),
        ] {
            assert_eq!(judge(seconds, step, ms(20), "now").status, status, "{seconds} {step:?}");
        }
        assert_eq!(look().status, Status::Ok);
    }
}
