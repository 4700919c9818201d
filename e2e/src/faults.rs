//! Faults for real: an operator on a control plane with played pods, let down at each of its writes in each way, and a
//! judge who reads every revision that etcd ever held. See `docs/faults.md`.

pub mod builds;
pub mod case;
pub mod control_plane;
pub mod history;
pub mod judge;
pub mod observer;
pub mod registry;
pub mod results;
pub mod run;
pub mod scene;
pub mod workload;
