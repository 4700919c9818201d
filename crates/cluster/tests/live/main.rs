//! What only a real API server can show. Runs where `SWITCHYARD_KUBECONFIG` names a kubeconfig of an administrator, and
//! then never skips; without it, does nothing.

mod cuts;
mod election;
mod ground;
mod proxy;
mod writes;
