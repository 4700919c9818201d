//! How much is done.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

const USAGE: &str = "usage: bench-build [--rounds N] [--publish]
  --rounds   each of a Build, a bare Job and a Build with a cache (10)
  --publish  write docs/results/build.md and .json";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    pub rounds: u32,
    #[serde(skip)]
    pub publish: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds: 10, publish: false }
    }
}

impl Settings {
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut settings = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--rounds" => {
                    let value = arguments.next().with_context(|| format!("{name} needs a number\n{USAGE}"))?;
                    settings.rounds = value.parse().with_context(|| format!("{name} {value}"))?;
                }
                "--publish" => settings.publish = true,
                "--help" => bail!("{USAGE}"),
                _ => bail!("{name} is not known\n{USAGE}"),
            }
        }
        // In turns forth and back, so that what changes with time falls on all alike.
        ensure!((2..=100).contains(&settings.rounds), "--rounds is 2 to 100");
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings> {
        Settings::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_not_said_is_a_full_run() {
        assert_eq!(parse("").unwrap(), Settings::default());
        assert_eq!(parse("--rounds 2 --publish").unwrap(), Settings { rounds: 2, publish: true });
        for line in ["--rounds 1", "--rounds", "--rounds many", "--fast"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
