//! What a Build takes beside a bare Job that clones, runs the same Kaniko and lets it push; and where the difference goes.
//! See docs/bench.md.

mod phases;
mod result;
mod run;
mod settings;
mod subject;
mod witness;

use std::{process::ExitCode, sync::Arc};

use anyhow::Result;
use switchyard_bench::{
    machine::Machine,
    page::{PUBLISHED, RESULTS},
};
use switchyard_e2e::{
    forge::Repository,
    ground::Ground,
    place::{self, Place},
    tell::Teller,
};

use crate::{
    result::Results,
    run::{Contestant, Scene, Trial, turns},
    settings::Settings,
    witness::Witness,
};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let settings = Settings::parse(std::env::args().skip(1))?;
    let tell = Teller::new();
    let ground = Arc::new(Ground::of_the_test_cluster().await?);
    let mut machine = Machine::look(&ground).await?;
    let trials =
        place::within(ground.clone(), "bench-build", async |place| compare(&place, settings, tell).await).await??;
    machine.end()?;
    let kaniko = ground.setting("IMAGE_KANIKO").to_owned();
    let results = Results::new(machine, settings, tell.seconds(), kaniko, trials);
    results.write(RESULTS)?;
    if settings.publish {
        results.write(PUBLISHED)?;
    }
    println!("\n{}", results.tables());
    Ok(if results.shortcomings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn compare(place: &Place, settings: Settings, tell: Teller) -> Result<Vec<Trial>> {
    place.equip().await;
    let repository = Repository::create(&place.ground, &format!("{}/shop", place.namespace)).await?;
    let witness = Witness::start(place);
    let scene = Scene { place, witness: &witness, url: &repository.url };
    // Not counted: the first of each pulls images, fills the cache, and pushes the base's layers.
    tell.say("warming up");
    let commit = subject::commit(&repository, &place.ground, 0).await?;
    scene.run(Contestant::Build, 0, &commit, None).await?;
    let of_build = scene.job_of(Contestant::Build, 0).await?;
    for contestant in [Contestant::Job, Contestant::CachedBuild] {
        scene.run(contestant, 0, &commit, Some(&of_build)).await?;
    }
    let mut trials = vec![];
    for round in 1..=settings.rounds {
        let commit = subject::commit(&repository, &place.ground, round).await?;
        for contestant in turns(round) {
            let trial = scene.run(contestant, round, &commit, Some(&of_build)).await?;
            tell.say(&format!("round {round} of {}: {}, {:.1} s", settings.rounds, contestant.name(), trial.whole));
            trials.push(trial);
        }
    }
    Ok(trials)
}
