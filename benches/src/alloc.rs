//! An allocator that counts. Declare it in a binary or test that measures:
//!
//! ```
//! #[global_allocator]
//! static ALLOC: sluis_benches::alloc::Counting = sluis_benches::alloc::Counting;
//! ```
#![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait; everything is passed on to the system's allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counting.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}
static LIVE: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);

/// What an allocation of so many bytes takes out of the heap with glibc on 64 bits: a header of 8 bytes, a multiple of
/// 16 bytes, at least 32. (From 128 KiB on it may be mapped by itself, which costs at most a page more.)
const fn chunk(bytes: usize) -> usize {
    let whole = (bytes + 8).next_multiple_of(16);
    if whole < 32 { 32 } else { whole }
}

fn taken(bytes: usize) {
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
    LIVE.fetch_add(bytes, Ordering::Relaxed);
    HELD.fetch_add(chunk(bytes), Ordering::Relaxed);
}

fn given_back(bytes: usize) {
    LIVE.fetch_sub(bytes, Ordering::Relaxed);
    HELD.fetch_sub(chunk(bytes), Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged to `System`, which upholds the contract; counting neither allocates nor
// unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        given_back(layout.size());
        taken(size);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        given_back(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

/// How often this thread called the allocator for memory (growing in place included) while `f` ran.
///
/// Zero without [`Counting`] as the global allocator, so a check must also show that it counts at all.
pub fn calls_in(f: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    f();
    CALLS.with(Cell::get) - before
}

/// Heap of the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// Bytes asked for and not given back.
    pub live: usize,
    /// The same with the allocator's headers and rounding.
    pub held: usize,
}

/// What the process holds on the heap now.
#[must_use]
pub fn heap() -> Heap {
    Heap { live: LIVE.load(Ordering::Relaxed), held: HELD.load(Ordering::Relaxed) }
}
