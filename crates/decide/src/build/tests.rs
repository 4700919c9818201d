//! A Build, step by step, and what becomes of each way to fail.

mod builder;
mod cancelling;
mod failing;
mod gates;
mod going;
mod other_sources;
mod permits;
mod sentences;
mod starting;
