//! From nothing to a live application by `git push`, then what happens to good and bad commits.
//!
//! On the test cluster; or, with SWITCHYARD_CONTEXT, on that context of your kubeconfig, with light load.

mod follow;
mod story;
mod target;

use std::process::ExitCode;

use switchyard_e2e::tell::Teller;

#[tokio::main]
async fn main() -> ExitCode {
    let tell = Teller::new();
    match story::tell(&tell).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell.title(&format!("the demo failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
