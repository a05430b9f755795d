//! What it costs that a change of a machine's state is on the medium before it is acknowledged.
//!
//! `cargo run --release -p sluis-benches --bin kept [-- --json] [--rounds N] [--folder PATH]`
//!
//! Batches of 1 and 100 pins: keys of 40 bytes, values of 64, in a state of 1,000. The floor is the database underneath, redb, with the same
//! changes in one transaction each. Everything runs interleaved with it, on the file system of `target/` unless told otherwise: only the ratio within a
//! round counts. Times are on the wall. Timings decide nothing: the exit code is 0 whatever they are.

use std::future::poll_fn;
use std::path::Path;
use std::process::ExitCode;

use redb::{Builder, Database, TableDefinition};
use sluis_benches::medium::{self, timed};
use sluis_benches::report::Report;
use sluis_core::driver::{Store as _, StoreBatch};
use sluis_core::{StoreOp, StoreSeq};
use sluis_store::{Background, Store};

const KEYS: usize = 1000;
/// In every round, the store is to reach so much of the database's speed.
const TARGET: f64 = 0.8;
const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");

fn main() -> ExitCode {
    medium::main("kept", measure)
}

fn measure(folder: &Path, report: &mut Report, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tokio = {
        let _inside = runtime.enter();
        sluis_tokio::blocking()
    };
    for batch in [1, 100] {
        let raw = Builder::new().set_cache_size(8 << 20).create(folder.join(format!("{batch}.redb")))?;
        let open = |name: &str| Store::open(folder.join(format!("{batch}-{name}")), b"node");
        let mut direct = open("direct")?;
        let mut on_tokio = Background::new(open("tokio")?, tokio.clone());
        let mut on_smol = Background::new(open("smol")?, sluis_smol::blocking());
        commit_raw(&raw, &changes(&mut 0, KEYS))?;
        direct.commit(&changes(&mut 0, KEYS))?;
        runtime.block_on(commit_on(&mut on_tokio, changes(&mut 0, KEYS)));
        runtime.block_on(commit_on(&mut on_smol, changes(&mut 0, KEYS)));
        let [mut a, mut b, mut c, mut d] = [0; 4];
        medium::compare(
            report,
            (batch, rounds),
            TARGET,
            &mut [
                timed("redb", || commit_raw(&raw, &changes(&mut a, batch)).expect("a disk that works")),
                timed("store, blocking", || direct.commit(&changes(&mut b, batch)).expect("a disk that works")),
                timed("store, tokio", || runtime.block_on(commit_on(&mut on_tokio, changes(&mut c, batch)))),
                timed("store, smol", || sluis_smol::block_on(commit_on(&mut on_smol, changes(&mut d, batch)))),
            ],
        );
    }
    Ok(())
}

/// The next so many pins, which are set over and over.
fn changes(turn: &mut usize, count: usize) -> StoreBatch {
    let mut batch = StoreBatch::new();
    for _ in 0..count {
        *turn += 1;
        let key = format!("pin/jis:building-7:sensor-{:014}", *turn % KEYS);
        let value = format!("{:064}", *turn);
        let op = StoreOp::put(StoreSeq(*turn as u64), key.as_bytes(), value.as_bytes());
        assert!(batch.push(&op.expect("short enough")));
    }
    batch
}

/// The floor.
fn commit_raw(database: &Database, batch: &StoreBatch) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for op in batch.ops() {
            table.insert(op.key(), op.value().unwrap_or_default())?;
        }
    }
    Ok(transaction.commit()?)
}

/// As a driver does it.
async fn commit_on(store: &mut Background, batch: StoreBatch) {
    store.start(batch);
    let (_, result) = poll_fn(|cx| store.poll_commit(cx)).await;
    result.expect("a disk that works");
}
