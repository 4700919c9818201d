//! What only a real API server can show: run by `make test-e2e`, with an administrator's kubeconfig of the test cluster in
//! `SWITCHYARD_KUBECONFIG`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

mod cuts;
mod election;
mod ground;
mod proxy;
mod writes;
