//! One run: a release after the other goes live under load, and what that did to the requests.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use serde::Serialize;
use switchyard_bench::figures::Figures;
use switchyard_e2e::{
    audit::AuditLog,
    load::{Load, Mode, Streams},
    place::Place,
    tell::Teller,
};
use tokio::time::Instant;

use crate::{
    account::{Account, Streamed, Told, milliseconds},
    settings::{LIMIT, MIX, REPLICAS, STREAM_EVERY, STREAMS, SWITCH_LIMIT},
    subject::NAME,
    witness::{Seen, Witness},
    writes::{self, Count},
};

/// Whoever moves the traffic.
pub trait Switcher {
    /// What it is called in the results.
    fn name(&self) -> String;
    /// Makes this release live: done once it has nothing left to do but to wait for pods that end.
    async fn release(&self, place: &Place, witness: &Witness, release: u32) -> Result<()>;
}

/// How much of it.
pub struct Extent {
    pub switches: u32,
    pub requests: u64,
    pub rate: u32,
}

/// Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Switch {
    pub number: u32,
    pub blue: String,
    pub green: String,
    /// From the new release being asked for until its own slices list all its pods ready.
    pub asked_to_ready: Option<f64>,
    /// From then until the selector was committed.
    pub ready_to_selected: Option<f64>,
    /// From the same moment until the last answer that blue gave on a connection of its own.
    pub ready_to_last_new: Option<f64>,
    /// And on a kept connection: those stay with blue until it ends.
    pub ready_to_last_kept: Option<f64>,
    /// From the selector until the live Service's slices list green alone.
    pub selected_to_listed: Option<f64>,
    /// From the selector until the last answer that blue gave on a connection of its own.
    pub selected_to_last_new: Option<f64>,
    /// From the selector until blue was told to end.
    pub selected_to_down: Option<f64>,
    /// From being asked for until nothing was left to do.
    pub whole: f64,
    pub requests: u64,
    pub failed: u64,
}

/// Of one mode of the load.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    pub mode: String,
    pub sent: u64,
    pub failed: u64,
    pub milliseconds: Option<Figures>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub name: String,
    pub seconds: f64,
    pub requests: u64,
    /// Requests, and streams that were cut too early.
    pub failed: u64,
    /// How many switches lost something.
    pub switches_with_failures: usize,
    pub answered: Vec<Answered>,
    pub streams: Streamed,
    /// The most that a request left after it was due, in milliseconds.
    pub latest: f64,
    pub failures: Vec<Told>,
    pub switches: Vec<Switch>,
    #[serde(skip)]
    pub writes: Vec<Count>,
}

struct Moments {
    asked: Instant,
    done: Instant,
}

pub async fn run(place: &Place, switcher: &impl Switcher, extent: &Extent, tell: Teller) -> Result<Outcome> {
    let witness = Witness::start(place);
    switcher.release(place, &witness, 0).await.context("the first release")?;
    let address = place.address_of(NAME).await;
    let ready = usize::from(REPLICAS);
    witness.until("the first release is live", SWITCH_LIMIT, |seen| (seen.alone.len() == 1).then_some(())).await?;
    // kube-proxy follows a little later, and that is no switch.
    place.until("every request of a second is answered", 30, async || answers(address).await.then_some(())).await;
    tell.say(&format!("{}: {ready} pods of the first release serve at {address}", switcher.name()));

    let longest = SWITCH_LIMIT * (extent.switches + 1);
    let mut load = Load::new(address, extent.rate).modes(&MIX).longest(longest).most(extent.requests * 3 + 100_000);
    load.limit = LIMIT;
    let load = load.start()?;
    let streams = Streams::start(address, STREAM_EVERY, &STREAMS, longest)?;
    let mut account = Account::new(load.since());
    let (mut moments, mut counts) = (vec![], vec![]);
    let mut log: Option<AuditLog> = None;
    for number in 1..=extent.switches {
        // Each switch gets its share of the requests, and some of them come before it.
        let due = extent.requests * u64::from(number - 1) / u64::from(extent.switches);
        let least = Duration::from_secs(1) * u32::from(number == 1);
        pause_until(|| load.sent() >= due && load.since().elapsed() >= least).await;
        // What the one before wrote, to the last: it goes on after blue was told to end.
        counts.extend(written(place, log.replace(AuditLog::from_now(&place.ground)))?);
        let asked = Instant::now();
        switcher.release(place, &witness, number).await.with_context(|| format!("switch {number}"))?;
        moments.push(Moments { asked, done: Instant::now() });
        account.add(load.take());
        let (sent, failed) = (account.sent(), account.failed());
        tell.say(&format!(
            "{}: switch {number} of {} in {:.1} s; {failed} of {sent} requests failed",
            switcher.name(),
            extent.switches,
            asked.elapsed().as_secs_f64()
        ));
    }
    pause_until(|| load.sent() >= extent.requests).await;
    let green = witness.look(|seen| seen.selected.last().map(|(_, revision)| revision.clone()));
    let green = green.context("no revision is live")?;
    only_this_one_has_pods(place, &green).await;
    counts.extend(written(place, log)?);
    let (streams, going) = streams.stop().await;
    let since = load.since();
    let report = load.stop().await;
    let seconds = since.elapsed().as_secs_f64();
    account.add(report.samples);
    let outcome = witness.look(|seen| {
        let streams = Streamed::of(&streams, going, seen);
        let all = each(&account, seen, &moments);
        let answered = account.modes.iter().map(|(mode, tally)| Answered {
            mode: mode.to_string(),
            sent: tally.sent,
            failed: tally.failed,
            milliseconds: tally.latency(),
        });
        Outcome {
            name: switcher.name(),
            seconds,
            requests: account.sent(),
            failed: account.failed() + streams.failed.len() as u64,
            switches_with_failures: all.iter().filter(|switch| switch.failed > 0).count(),
            answered: answered.collect(),
            streams,
            latest: report.latest.as_secs_f64() * 1000.0,
            failures: account.told(seen),
            switches: all,
            writes: counts,
        }
    });
    tell.say(&format!("{}: {} of {} requests failed", outcome.name, outcome.failed, outcome.requests));
    Ok(outcome)
}

async fn answers(address: SocketAddr) -> bool {
    let load = Load::new(address, 50).modes(&[Mode::Fresh]).most(50).start();
    match load {
        Ok(load) => load.finish().await.failed() == 0,
        Err(_) => false,
    }
}

/// What the operator wrote since that log began, if it did.
fn written(place: &Place, log: Option<AuditLog>) -> Result<Option<Count>> {
    let entries = log.map(|log| log.of_the_operator()).transpose()?;
    Ok(entries.map(|entries| writes::count(&entries, &place.namespace)))
}

/// Until what the load itself brings about, so no longer than the load lasts.
async fn pause_until(so: impl Fn() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Blue's last pod is gone: nothing more can be lost.
async fn only_this_one_has_pods(place: &Place, green: &str) {
    place
        .until("only the last release has pods", 60, async || {
            let deployments = place.list::<Deployment>("").await;
            let mut others = deployments.iter().filter(|d| !d.name_any().ends_with(&format!("-{green}")));
            let all_down = others.all(|d| d.status.as_ref().and_then(|s| s.replicas).unwrap_or(0) == 0);
            let pods = place.list::<k8s_openapi::api::core::v1::Pod>("").await;
            (all_down && pods.len() == usize::from(REPLICAS)).then_some(())
        })
        .await;
}

fn each(account: &Account, seen: &Seen, moments: &[Moments]) -> Vec<Switch> {
    let mut switches = vec![];
    let numbered = seen.selected.windows(2).zip(moments).enumerate();
    for (place, (pair, Moments { asked, done })) in numbered {
        let ((_, blue), (selected, green)) = (&pair[0], &pair[1]);
        let ready = seen.ready.get(green).copied();
        let from = |from: Option<Instant>, to: Option<Instant>| Some(milliseconds(from?, to?));
        let last_new = account.last_by(blue, Mode::Fresh);
        // Until the next one was asked for: what blue loses at its end counts for the switch that ended it.
        let next = moments.get(place + 1).map_or_else(|| *done + SWITCH_LIMIT, |next| next.asked);
        let (requests, failed) = account.between(*asked, next);
        switches.push(Switch {
            number: u32::try_from(place + 1).unwrap_or(u32::MAX),
            blue: blue.clone(),
            green: green.clone(),
            asked_to_ready: from(Some(*asked), ready),
            ready_to_selected: from(ready, Some(*selected)),
            ready_to_last_new: from(ready, last_new),
            ready_to_last_kept: from(ready, account.last_by(blue, Mode::Kept)),
            selected_to_listed: from(Some(*selected), seen.alone.get(green).copied()),
            selected_to_last_new: from(Some(*selected), last_new),
            selected_to_down: from(Some(*selected), seen.down.get(blue).copied()),
            whole: milliseconds(*asked, *done),
            requests,
            failed,
        });
    }
    switches
}
