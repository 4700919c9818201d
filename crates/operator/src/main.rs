//! The operator's program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    switchyard_operator::main().await
}
