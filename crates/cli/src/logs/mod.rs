//! The logs of a Build: every step in the order in which they run, each container from its beginning.

mod line;
mod order;
mod read;

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Write as _},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt as _, api::ListParams};
use switchyard_api::{Build, names::LABEL_OWNER_UID};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use self::{
    order::{Gone, Run, State},
    read::{Lines, Reader},
};
use crate::{
    access::{Access, Asked, Error},
    arguments::Logs,
};

/// How often the Build and its pods are looked at. (Looked at rather than watched: it takes no right more than a log does,
/// and a cut mends itself.)
const LOOK: Duration = Duration::from_secs(1);
/// So long the API server may be away.
const AWAY: Duration = Duration::from_mins(2);
/// So long containers may take to end after their Build did.
const LAST: Duration = Duration::from_secs(40);
/// Lines that wait to be printed.
const QUEUE: usize = 256;

/// A Build and its pods, as they are now.
struct Seen {
    build: Build,
    runs: Vec<Run>,
}

/// Whether it went well, as far as that was waited for.
pub async fn show(access: &Access, wanted: &Logs) -> Result<bool, Error> {
    let first = look(access, wanted).await?;
    if let Some(step) = &wanted.step {
        let steps = order::steps(&first.build);
        if !steps.contains(step) {
            let steps = steps.join(", ");
            return Err(Error::Mistaken(format!("build/{} has no step {step}: it has {steps}", wanted.build.0)));
        }
    }
    if wanted.follow && order::ending(&first.build).is_none() {
        return follow(access, wanted, first).await;
    }
    for run in &first.runs {
        print_run(access, run).await?;
    }
    end(&first, wanted)
}

async fn look(access: &Access, wanted: &Logs) -> Result<Seen, Error> {
    let name = wanted.build.0.as_str();
    let asked = Asked { verb: "get", resource: "builds.switchyard.dev", name: Some(name) };
    let build: Build = access.call(asked, access.api::<Build>().get(name)).await?;
    let uid = build.uid().unwrap_or_default();
    let parameters = ListParams::default().labels(&format!("{LABEL_OWNER_UID}={uid}"));
    let asked = Asked { verb: "list", resource: "pods", name: None };
    let pods = access.call(asked, access.api::<Pod>().list(&parameters)).await?;
    let mut runs = order::runs(&build, &pods.items);
    runs.retain(|run| wanted.step.as_ref().is_none_or(|step| run.step == *step));
    Ok(Seen { build, runs })
}

/// All that a pod wrote so far.
async fn print_run(access: &Access, run: &Run) -> Result<(), Error> {
    announce(run)?;
    for container in run.containers.iter().filter(|c| matches!(c.state, State::Running | State::Ended)) {
        let (lines, mut written) = mpsc::channel(QUEUE);
        let mut reader = Reader::new(access, run, &container.name);
        let reading = async {
            // Dropped with it: that is the end of the lines.
            let lines = lines;
            reader.read(false, &lines).await
        };
        let printing = async {
            while let Some(line) = written.recv().await {
                print(&line)?;
            }
            Ok(())
        };
        match tokio::try_join!(reading, printing) {
            Ok(_) => {}
            Err(error @ (Error::Forbidden { .. } | Error::Closed | Error::Write(_))) => return Err(error),
            // A container that never ran has no log, and that is no reason to end.
            Err(error) => {
                let prefix = line::prefix(&run.step, &container.name);
                print(&format!("{prefix}(its log cannot be read: {error})"))?;
            }
        }
    }
    Ok(())
}

/// What runs side by side is shown side by side; what is over already, before that.
async fn follow(access: &Access, wanted: &Logs, mut seen: Seen) -> Result<bool, Error> {
    let (tell, told) = watch::channel(vec![]);
    let (lines, mut written) = mpsc::channel(QUEUE);
    let mut known = BTreeSet::new();
    let mut readers: JoinSet<Result<(), Error>> = JoinSet::new();
    let (mut waits, mut answered, mut ended) = (String::new(), Instant::now(), None);
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tell.send_replace(seen.runs.clone());
        for run in &seen.runs {
            if !known.insert(run.pod.clone()) {
                continue;
            }
            if run.is_over() {
                print_run(access, run).await?;
                continue;
            }
            announce(run)?;
            read_beside(access, run, &told, &lines, &mut readers);
        }
        while let Some(read) = readers.try_join_next() {
            read.unwrap_or(Ok(()))?;
        }
        if readers.is_empty() {
            wait_for(&seen, &mut waits)?;
        }
        if order::ending(&seen.build).is_some() {
            let since = ended.get_or_insert_with(Instant::now);
            if readers.is_empty() || since.elapsed() > LAST {
                break;
            }
        }
        // Lines are printed as they come, until it is time for the next look.
        loop {
            tokio::select! {
                biased;
                Some(line) = written.recv() => print(&line)?,
                _ = ticks.tick() => break,
            }
        }
        match look(access, wanted).await {
            Ok(now) => (seen, answered) = (now, Instant::now()),
            Err(error) if error.is_passing() && answered.elapsed() < AWAY => {}
            Err(error) => return Err(error),
        }
    }
    while let Ok(line) = written.try_recv() {
        print(&line)?;
    }
    end(&seen, wanted)
}

/// The containers of a pod one after the other, and those that run beside them at the same time.
fn read_beside(
    access: &Access,
    run: &Run,
    told: &watch::Receiver<Vec<Run>>,
    lines: &Lines,
    readers: &mut JoinSet<Result<(), Error>>,
) {
    let reader = |name: &str| Reader::new(access, run, name);
    let (beside, turns): (Vec<_>, Vec<_>) = run.containers.iter().partition(|c| c.beside);
    for container in beside {
        readers.spawn(reader(&container.name).follow(told.clone(), lines.clone()));
    }
    let turns: Vec<Reader> = turns.into_iter().map(|container| reader(&container.name)).collect();
    let (told, lines) = (told.clone(), lines.clone());
    readers.spawn(async move {
        for reader in turns {
            reader.follow(told.clone(), lines.clone()).await?;
        }
        Ok(())
    });
}

/// While nothing writes: what would make it move, each time that this is another.
fn wait_for(seen: &Seen, waits: &mut String) -> Result<(), Error> {
    let status = seen.build.status.as_ref();
    let now = status.map(|s| s.waiting_for.join("; ")).unwrap_or_default();
    if now != *waits && !now.is_empty() {
        print(&format!("waiting for {}", line::plain(&now)))?;
    }
    *waits = now;
    Ok(())
}

/// A second try looks like the first, so it is said.
fn announce(run: &Run) -> Result<(), Error> {
    if run.attempt > 1 { print(&format!("{}: attempt {}", run.step, run.attempt)) } else { Ok(()) }
}

/// What is no longer there, and how it ended.
fn end(seen: &Seen, wanted: &Logs) -> Result<bool, Error> {
    let gone = order::gone(&seen.build, &seen.runs);
    for step in gone.iter().filter(|gone| wanted.step.as_ref().is_none_or(|step| gone.step == *step)) {
        for line in told_of(step) {
            print(&line)?;
        }
    }
    let Some(ending) = order::ending(&seen.build) else {
        print(&line::plain(&order::said(&seen.build)))?;
        return Ok(true);
    };
    for line in &ending.lines {
        print(&line::plain(line))?;
    }
    Ok(ending.well || !wanted.follow)
}

/// What is left of a step whose pod is gone.
fn told_of(gone: &Gone) -> Vec<String> {
    let mut lines = vec![match &gone.pod {
        Some(pod) => format!("{}: its pod {pod} is gone", gone.step),
        None => format!("{}: there is no pod of it", gone.step),
    }];
    lines.extend(gone.url.iter().map(|url| format!("{}: its log is kept at {url}", gone.step)));
    if let Some(log) = &gone.log {
        lines.push(format!("{}: its last lines were", gone.step));
        let prefix = line::prefix(&gone.step, gone.container.as_deref().unwrap_or_default());
        lines.extend(log.lines().map(|text| format!("{prefix}{}", line::plain(text))));
    }
    lines
}

fn print(line: &str) -> Result<(), Error> {
    writeln!(std::io::stdout().lock(), "{line}")
        .map_err(|error| if error.kind() == ErrorKind::BrokenPipe { Error::Closed } else { Error::Write(error) })
}
