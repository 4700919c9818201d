//! The operator: three controllers, one loop, one leader.
//!
//! A library for the sake of one test: conformance writes by the same hands, without the loop
//! (`e2e/tests/conformance.rs`).

mod ask;
mod ask_checks;
mod build;
pub mod caches;
mod commands;
pub mod driver;
mod http;
mod leadership;
mod pipeline;
mod pods;
mod queue;
pub mod rollout;
mod run;
#[cfg(test)]
mod server;
mod settings;
mod telemetry;
mod unreadable;

use std::process::ExitCode;

/// The whole process.
pub async fn main() -> ExitCode {
    // A second TLS provider in the process would panic at the first connection.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("switchyard: another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    if let Err(why) = telemetry::log() {
        eprintln!("switchyard: {why}");
        return ExitCode::FAILURE;
    }
    match run::run().await {
        Ok(end) => end.exit(),
        Err(why) => {
            tracing::error!(%why, "cannot run");
            ExitCode::FAILURE
        }
    }
}
