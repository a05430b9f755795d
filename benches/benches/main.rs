//! Criterion benches, one file a subject. `cargo bench -p sluis-benches [-- NAME]` measures,
//! `cargo bench -p sluis-benches -- --test` runs each once.

mod canonical;
mod framing;
mod gate;
mod logs;
mod node;
mod peers;
mod registry;
mod relay;
mod replay;
mod session;
mod tokens;

fn main() {
    let mut criterion = criterion::Criterion::default().configure_from_args();
    framing::all(&mut criterion);
    canonical::all(&mut criterion);
    gate::all(&mut criterion);
    replay::all(&mut criterion);
    relay::all(&mut criterion);
    registry::all(&mut criterion);
    session::all(&mut criterion);
    node::all(&mut criterion);
    peers::all(&mut criterion);
    tokens::all(&mut criterion);
    logs::all(&mut criterion);
    criterion.final_summary();
}
