//! The decision, one seen state at a time. What several rounds come to is tested in `crates/world`.

mod builder;
mod failing;
mod gates;
mod orders;
mod permits;
mod random;
mod sentences;
mod serving;
mod switching;
