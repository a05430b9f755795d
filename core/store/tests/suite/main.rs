//! Stores in real directories.

mod files;
mod machines;
