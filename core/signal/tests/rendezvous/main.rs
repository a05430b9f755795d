//! Peers over brokers that refuse, lose, repeat, lie, die and come back: they meet, and what is acknowledged was handed over once.

mod by_hand;
mod flood;
mod kept;
mod legacy;
mod meeting;
mod sessions;
mod storm;
mod strangers;
mod streams;
mod told;
mod world;

use world::{World, places, secret};
