//! `kubectl switchyard`: follows a Build through all its steps, and gives orders by name.
//!
//! It reads and writes what anybody with kubectl could, by the same rights.

mod access;
mod arguments;
mod logs;
mod order;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    access::{Access, Error},
    arguments::{Arguments, Verb},
    order::Target,
};

/// What was asked about did not go well: the Build failed, or the order was not obeyed.
const NOT_WELL: u8 = 1;
/// It could not be asked, or not be answered. (As for arguments that cannot be read.)
const NOT_DONE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        // Closed: whoever read along has seen enough.
        Ok(true) | Err(Error::Closed) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_WELL),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(NOT_DONE)
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool, Error> {
    let access = Access::open(&arguments.cluster).await?;
    match arguments.verb {
        Verb::Logs(wanted) => logs::show(&access, &wanted).await,
        Verb::Cancel(cancel) => order::give(&access, &Target::Build(cancel.build), cancel.reason).await,
        Verb::Promote(order) => order::of_rollout(&access, order::Kind::Promote, order).await,
        Verb::Abort(order) => order::of_rollout(&access, order::Kind::Abort, order).await,
        Verb::Retry(order) => order::of_rollout(&access, order::Kind::Retry, order).await,
        Verb::Rollback(order) => order::of_rollout(&access, order::Kind::RollbackTo, order).await,
        Verb::Resume(resume) => order::give(&access, &Target::Rollout(resume.rollout), resume.reason).await,
    }
}
