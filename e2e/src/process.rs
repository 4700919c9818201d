//! Programs run to their end, with what they said when it went wrong.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Of a failed program's output, that many lines.
const LINES: usize = 30;

/// A command that sees nothing of a cluster or a proxy that the caller's shell may point at.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    for name in ["KUBECONFIG", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

/// Its standard output, once it succeeded.
pub async fn run(command: &mut Command) -> Result<String> {
    feed(command, "").await
}

/// The same, with something to read.
pub async fn feed(command: &mut Command, input: &str) -> Result<String> {
    let (ended, output, errors) = finish(command, input).await?;
    if !ended.success() {
        bail!("{} ended with {ended}:\n{}", line(command), tail(&format!("{output}{errors}"), LINES));
    }
    Ok(output)
}

/// What it said on failing; an error if it succeeded.
pub async fn refused(command: &mut Command, input: &str) -> Result<String> {
    let (ended, output, errors) = finish(command, input).await?;
    if ended.success() {
        bail!("{} should have failed, and said:\n{}", line(command), tail(&output, LINES));
    }
    Ok(errors)
}

async fn finish(command: &mut Command, input: &str) -> Result<(std::process::ExitStatus, String, String)> {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {}", line(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.with_context(|| format!("write to {}", line(command)))?;
    }
    let output = child.wait_with_output().await.with_context(|| format!("run {}", line(command)))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status, text(&output.stdout), text(&output.stderr)))
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn line(command: &Command) -> String {
    let command = command.as_std();
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|a| a.to_string_lossy()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_says_what_was_run_and_what_it_said() {
        let error =
            run(command("sh").args(["-c", "echo out; echo because >&2; exit 3"])).await.unwrap_err().to_string();
        for part in ["sh -c", "exit status: 3", "out", "because"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(feed(&mut command("cat"), "hello").await.unwrap(), "hello");
        assert_eq!(refused(command("sh").args(["-c", "echo no >&2; exit 1"]), "").await.unwrap(), "no\n");
        assert!(refused(&mut command("true"), "").await.is_err());
    }

    #[test]
    fn the_caller_s_cluster_is_not_seen() {
        let command = command("kubectl");
        assert!(command.as_std().get_envs().any(|(name, value)| name == "KUBECONFIG" && value.is_none()));
    }
}
