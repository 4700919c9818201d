//! What only a real API server can show. Runs where `SWITCHYARD_KUBECONFIG` names a kubeconfig of an administrator, and
//! then never skips; without it, does nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

mod cuts;
mod election;
mod ground;
mod proxy;
mod writes;
