//! What each Action does to a small cluster, and fair rounds until silent.
//!
//! This is the one specification of the writes: the model explores it in every order (`tests/`), `plan` runs it to
//! say what an edit would do, and conformance compares it with a real API server.

pub mod rollout;
