//! Sends load and says what became of it: `load ADDRESS:PORT RATE SECONDS [fresh|kept]`.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use switchyard_e2e::load::{Load, Mode};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, rate, seconds, mode) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [address, rate, seconds] => (*address, *rate, *seconds, None),
        [address, rate, seconds, "fresh"] => (*address, *rate, *seconds, Some(Mode::Fresh)),
        [address, rate, seconds, "kept"] => (*address, *rate, *seconds, Some(Mode::Kept)),
        _ => {
            eprintln!("usage: load ADDRESS:PORT RATE SECONDS [fresh|kept]");
            return Ok(ExitCode::from(2));
        }
    };
    let longest = Duration::from_secs(seconds.parse().context("SECONDS")?);
    let mut load = Load::new(address.parse().context("ADDRESS:PORT")?, rate.parse().context("RATE")?).longest(longest);
    if let Some(mode) = mode {
        load = load.modes(&[mode]);
    }
    let report = load.start()?.finish().await;
    print!("{report}");
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
