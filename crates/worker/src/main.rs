//! Runs inside build pods: brings the source in, takes the image out. It holds one credential at a time, knows nothing
//! of Kubernetes, and says how it ended in its termination message.

mod accept;
mod access;
mod archive;
mod clone;
mod command;
mod failure;
mod fetch;
mod login;
mod pull;
mod push;
mod quality;
mod save;
mod scan;
mod sonarqube;
mod source;
mod tags;
mod termination;
mod verdict;

use std::process::ExitCode;

use clap::Parser;
use command::{Arguments, Command};
use switchyard_api::report::{Reason, Report};
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    let filter = EnvFilter::try_from_env("SWITCHYARD_LOG").unwrap_or_else(|_| EnvFilter::new("info,oci_client=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false)
        .init();
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let step = async {
        match arguments.command {
            Command::Clone(clone) => clone::run(&clone).await,
            Command::Fetch(fetch) => fetch::run(&fetch).await,
            Command::Save(save) => save::run(&save).await,
            Command::Login(login) => login::run(&login),
            Command::Push(push) => push::run(&push).await,
            Command::Pull(pull) => pull::run(&pull).await,
            Command::Accept(accept) => accept::run(&accept).await,
            Command::Quality(quality) => quality::run(&quality).await,
            Command::Version => {
                println!("switchyard-worker {}", env!("CARGO_PKG_VERSION"));
                return None;
            }
        }
        .map_or_else(|failure| Some(Report::Failed(failure.into())), Some)
    };
    let report = tokio::select! {
        report = step => report,
        // The first process of a container gets no default handler: without this a cancelled build hangs on.
        () = asked_to_stop() => Some(Report::Failed(failure::Failure::new(Reason::Stopped, "the pod was asked to stop").into())),
    };
    let Some(report) = report else { return ExitCode::SUCCESS };
    let written = termination::write(&report);
    if let Err(error) = &written {
        tracing::error!("cannot write the termination message: {error}");
    }
    match report {
        Report::Failed(failed) => {
            tracing::error!(reason = %failed.reason, "{}", failed.message);
            ExitCode::FAILURE
        }
        Report::Cloned(_) | Report::Pushed(_) | Report::Saved(_) | Report::Passed(_) if written.is_err() => {
            ExitCode::FAILURE
        }
        Report::Cloned(_) | Report::Pushed(_) | Report::Saved(_) | Report::Passed(_) => ExitCode::SUCCESS,
    }
}

/// Arguments that nobody understands come from an operator of another version: that is a result too.
fn misused(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let message = error.to_string().lines().next().unwrap_or_default().to_owned();
    let report = Report::Failed(failure::Failure::new(Reason::StepFailed, message).into());
    if let Err(error) = termination::write(&report) {
        eprintln!("cannot write the termination message: {error}");
    }
    ExitCode::FAILURE
}

async fn asked_to_stop() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
