//! For `cargo fuzz` alone: its working corpora `corpus/<target>/` start from copies of the committed ones, `seeds/<target>/`, which
//! thus stay as they are.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=seeds");
    if env::var_os("CARGO_CFG_FUZZING").is_none() {
        return Ok(());
    }
    for target in fs::read_dir("seeds")? {
        let target = target?;
        let folder = Path::new("corpus").join(target.file_name());
        fs::create_dir_all(&folder)?;
        for seed in fs::read_dir(target.path())? {
            let seed = seed?;
            fs::copy(seed.path(), folder.join(seed.file_name()))?;
        }
    }
    Ok(())
}
