//! Switchyard from the outside: what the demo and the end-to-end tests share.
//!
//! Everything here works on the cluster that `e2e/cluster/up` made, and on no other: [`ground::Ground`] is the only way
//! to a client, and it reads nothing but `e2e/cluster/env`. (The demo alone can be pointed elsewhere, by name.)

pub mod app;
pub mod audit;
pub mod example;
pub mod faults;
pub mod forge;
pub mod ground;
pub mod hosted;
pub mod install;
pub mod known;
pub mod listener;
pub mod load;
pub mod names;
pub mod orders;
pub mod place;
pub mod process;
pub mod proxy;
pub mod registry;
pub mod registry_proxy;
pub mod rows;
pub mod shop;
pub mod sonarqube;
pub mod state;
pub mod tell;
pub mod timeline;
pub mod watched;
