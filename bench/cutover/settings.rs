//! How much is done, and how fast.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use switchyard_e2e::load::Mode;

/// Pods of a revision.
pub const REPLICAS: u16 = 2;
/// Short, so that many switches fit into an hour, and yet longer than anything in the cluster lags behind: kube-proxy
/// gathers changes for up to one second.
pub const SCALE_DOWN_DELAY: Duration = Duration::from_secs(1);
pub const DRAIN: Duration = Duration::from_secs(3);
/// Of each request, until the whole answer.
pub const LIMIT: Duration = Duration::from_secs(5);
/// What an answer takes the application, so that some are under way at any moment.
pub const ANSWER: Duration = Duration::from_millis(20);
/// One of five requests comes over a connection of its own; the others over kept ones.
pub const MIX: [Mode; 5] = [Mode::Fresh, Mode::Kept, Mode::Kept, Mode::Kept, Mode::Kept];
/// One stream every so often, of these lengths in turn: one that ends before blue may, and one that outlives it.
pub const STREAM_EVERY: Duration = Duration::from_secs(2);
pub const STREAMS: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(30)];
/// The longest that one switch may take, pods and all.
pub const SWITCH_LIMIT: Duration = Duration::from_mins(2);

const USAGE: &str =
    "usage: cutover [--switches N] [--requests M] [--rate PER_SECOND] [--control-switches N] [--publish]
  --switches          of the Rollout (200)
  --requests          sent meanwhile, at least (2000000)
  --rate              of requests, a fifth of them over new connections (1000)
  --control-switches  of each control (5; 0 leaves them out)
  --publish           write docs/results/cutover.md and .json";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    pub switches: u32,
    pub requests: u64,
    pub rate: u32,
    pub control_switches: u32,
    #[serde(skip)]
    pub publish: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { switches: 200, requests: 2_000_000, rate: 1_000, control_switches: 5, publish: false }
    }
}

impl Settings {
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut settings = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut number = || -> Result<u64> {
                let value = arguments.next().with_context(|| format!("{name} needs a number\n{USAGE}"))?;
                value.parse().with_context(|| format!("{name} {value}"))
            };
            match name.as_str() {
                "--switches" => settings.switches = u32::try_from(number()?)?,
                "--requests" => settings.requests = number()?,
                "--rate" => settings.rate = u32::try_from(number()?)?,
                "--control-switches" => settings.control_switches = u32::try_from(number()?)?,
                "--publish" => settings.publish = true,
                "--help" => bail!("{USAGE}"),
                _ => bail!("{name} is not known\n{USAGE}"),
            }
        }
        // Bounds: what one machine bears, and what ends.
        ensure!((1..=1_000).contains(&settings.switches), "--switches is 1 to 1000");
        ensure!(settings.control_switches <= 50, "--control-switches is 0 to 50");
        ensure!((50..=5_000).contains(&settings.rate), "--rate is 50 to 5000");
        ensure!(settings.requests <= 10_000_000, "--requests is at most 10 million");
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
        let short = parse("--switches 10 --requests 60000 --control-switches 0").unwrap();
        assert_eq!((short.switches, short.requests, short.control_switches, short.publish), (10, 60_000, 0, false));
    }

    #[test]
    fn what_would_not_end_is_refused() {
        for line in ["--switches 0", "--rate 100000", "--requests 99999999", "--requests", "--switches ten", "--fast"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
