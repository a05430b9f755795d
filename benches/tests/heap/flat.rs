//! Bad input makes nothing grow: five million packets of every bad kind in every encoding against one hub, after which it
//! holds no byte more than when it was warm.

use sluis_benches::alloc::heap;
use sluis_benches::bad::{Flood, Kind};
use sluis_benches::samples::ENCODINGS;
use sluis_core::Reject;
use sluis_core::time::Duration;

/// Enough for every table that these can fill at all, and for the longest time-out.
const WARM_UP: u64 = 250_000;
const PACKETS: u64 = 5_000_000;
/// 500 packets a second, for nearly three hours: the waiting room fills and empties again and again.
const STEP: Duration = Duration::from_millis(2);
/// How much the heap may differ from moment to moment: what the hub holds of the event it told last.
const SLACK: usize = 4096;
/// How much resident memory may differ: what the test's own output and the allocator's housekeeping take.
const NOISE: u64 = 1 << 20;

/// Resident memory of this process in bytes; `None` where the system does not say.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[test]
fn five_million_bad_packets_leave_nothing_behind() {
    let _alone = crate::alone();
    let encodings = ENCODINGS.map(|(encoding, _)| encoding);
    let mut flood = Flood::new(&Kind::ALL, &encodings, STEP);
    let send = |flood: &mut Flood, count| (0..count).for_each(|_| flood.send());

    send(&mut flood, WARM_UP);
    let (warm, warm_resident) = (heap(), resident());
    for tenth in 1..=10 {
        send(&mut flood, PACKETS / 10);
        let live = heap().live;
        assert!(live <= warm.live + SLACK, "after {tenth} tenths the heap has {live} bytes, {} when warm", warm.live);
    }
    flood.check();
    let stats = flood.hub.stats();
    assert!(stats.received > PACKETS + WARM_UP);
    assert!(stats.waiting > 64 && stats.expired > 64, "the waiting room was used: {stats:?}");
    for why in [
        Reject::Header,
        Reject::Malformed,
        Reject::TooLong,
        Reject::NotForUs,
        Reject::OwnName,
        Reject::Rood,
        Reject::HeartbeatNotAccepted,
        Reject::BadTimestamp,
        Reject::Stale,
        Reject::Future,
        Reject::Replay,
        Reject::Busy,
        Reject::Unrequested,
        Reject::WrongResponder,
    ] {
        assert!(stats.rejected.get(why) > 0, "none was {why}: {:?}", stats.rejected);
    }
    // Only Linux says how much is resident.
    if cfg!(target_os = "linux") {
        let (warm, now) = (warm_resident.expect("VmRSS"), resident().expect("VmRSS"));
        assert!(now <= warm + NOISE, "{now} bytes resident, {warm} when warm");
    }
}
