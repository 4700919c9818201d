//! How many requests a switch loses, and how long it takes: many switches of a Rollout under load, then the same by a
//! naive switcher, which has to lose some. See docs/bench.md.

mod account;
mod guarded;
mod naive;
mod result;
mod run;
mod settings;
mod subject;
mod witness;
mod writes;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use switchyard_bench::{
    machine::Machine,
    page::{PUBLISHED, RESULTS},
};
use switchyard_e2e::{ground::Ground, install::Image, place, tell::Teller};

use crate::{
    guarded::Guarded,
    naive::Naive,
    result::Results,
    run::{Extent, Outcome, Switcher, run},
    settings::Settings,
};

/// The application that is switched.
const PAGE: Image = Image { name: "bench-page", binaries: &["bench-page"], dockerfile: "bench/page/Dockerfile" };

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let settings = Settings::parse(std::env::args().skip(1))?;
    let tell = Teller::new();
    let ground = Arc::new(Ground::of_the_test_cluster().await?);
    let mut machine = Machine::look(&ground).await?;
    tell.say("making the image of the application");
    let image = PAGE.publish(&ground).await?;

    let all = Extent { switches: settings.switches, requests: settings.requests, rate: settings.rate };
    let guarded = Guarded { image: image.clone() };
    let switchyard = in_a_place(&ground, "bench", &guarded, &all, tell).await?;
    let mut controls = vec![];
    for naive in Naive::all(&image).into_iter().filter(|_| settings.control_switches > 0) {
        let share = settings.requests * u64::from(settings.control_switches) / u64::from(settings.switches);
        let extent = Extent { switches: settings.control_switches, requests: share, rate: settings.rate };
        let outcome = in_a_place(&ground, "bench-control", &naive, &extent, tell).await?;
        controls.push((naive.must_fail(), outcome));
    }
    machine.end()?;
    let results = Results::new(machine, settings, tell.seconds(), switchyard, controls);
    results.write(RESULTS)?;
    if settings.publish {
        results.write(PUBLISHED)?;
    }
    println!("\n{}", results.tables());
    Ok(if results.shortcomings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn in_a_place(
    ground: &Arc<Ground>,
    name: &str,
    switcher: &impl Switcher,
    extent: &Extent,
    tell: Teller,
) -> Result<Outcome> {
    tell.title(&switcher.name());
    place::within(ground.clone(), name, async |place| {
        place.equip_to_pull().await;
        run(&place, switcher, extent, tell).await
    })
    .await?
    .with_context(|| switcher.name())
}
