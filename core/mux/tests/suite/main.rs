//! The tables that were recorded from the reference, row by row, and what its page promises and its code does not keep.
#![allow(clippy::disallowed_methods, reason = "tests read their fixtures from files")]
#![allow(clippy::needless_pass_by_value, reason = "what a test makes for one call it gives away")]

mod closed;
mod common;
mod deviations;
mod holes;
mod hub;
mod library;
mod meeting;
mod model;
mod native;
mod news;
mod rest;
mod resume;
mod services;
mod signed;
mod tables;
mod voice;
mod websocket;
mod yamux;
