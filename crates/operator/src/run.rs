//! Puts the parts together: clients, caches, the election, and a loop for each kind.

use std::{sync::Arc, time::Duration};

use kube::Client;
use switchyard_cluster::{caches::synced, client, election::Election, events::Publisher, lease::Terms, writer::Writer};
use switchyard_decide::Kind;
use switchyard_probes::Asker;
use switchyard_registry::Registry;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use crate::{
    ask::{AskGit, Secrets},
    ask_checks::AskChecks,
    build::{AskForBuilds, BuildHands},
    caches::{Caches, Due, Key, pump},
    commands::Sweeper,
    driver::{Hands, Shell, now},
    http::{self, Health},
    leadership::{End, Signals, Stop, lead},
    pipeline::PipelineHands,
    queue::Queue,
    rollout::RolloutHands,
    settings::{LEASE, Settings, Unusable},
    telemetry::Metrics,
};

/// Rounds of one kind that run at once.
const AT_ONCE: usize = 16;
/// The caches must be filled by then; a cluster that answers slower than this has other problems.
const SYNC: Duration = Duration::from_mins(2);
/// How often a loop with nothing to do turns.
const BEAT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Unstartable {
    #[error("settings: {0}")]
    Settings(#[from] Unusable),
    #[error("cluster: {0}")]
    Unconfigured(#[from] client::Unconfigured),
    #[error("cluster client: {0}")]
    Client(#[from] Box<kube::Error>),
    #[error("registry client: {0}")]
    Registry(#[from] switchyard_registry::Error),
    #[error("client for checks: {0}")]
    Checks(#[from] switchyard_net::Error),
    #[error("listen on {0}: {1}")]
    Listen(std::net::SocketAddr, std::io::Error),
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

pub async fn run() -> Result<End, Unstartable> {
    let settings = Settings::from_env()?;
    let config = client::config(settings.kubeconfig.as_deref()).await?;
    let connect = || client::client(config.clone()).map_err(Box::new);
    let (work, election) = (connect()?, connect()?);
    let (health, metrics) = (Arc::new(Health::new()), Arc::new(Metrics::new()));
    let listener = http::listen(settings.listen).await.map_err(|e| Unstartable::Listen(settings.listen, e))?;
    tokio::spawn(http::serve(listener, Arc::clone(&health), Arc::clone(&metrics)));
    let signals = Signals::listen().map_err(Unstartable::Signals)?;
    let registry = Registry::new(settings.builds.insecure_registries.iter().cloned())?;
    let outside = switchyard_net::Client::new(switchyard_net::Guard::Network)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), scope = ?settings.scope, "started");

    let candidacy = Election::new(election, &settings.account.namespace, LEASE, Terms::of(&settings.pod)).start();
    // A standby is ready: it has nothing to fill its caches for, and takes over when the Lease is free.
    health.synced(true);
    let leads = |now| metrics.leads(now);
    Ok(lead(candidacy, signals, leads, |stop| {
        work_on(settings, work, (registry, outside), Arc::clone(&metrics), Arc::clone(&health), stop)
    })
    .await)
}

async fn work_on(
    settings: Settings,
    client: Client,
    (registry, outside): (Registry, switchyard_net::Client),
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: Stop,
) {
    health.synced(false);
    let started = now();
    let (caches, stream) = Caches::new(&client, &settings.scope);
    let writer = |kind: &str| {
        let metrics = Arc::clone(&metrics);
        Writer::new(client.clone(), format!("switchyard-{kind}"))
            .telling(move |kind, verb, result| metrics.write(kind, verb, result))
    };
    let publisher = |kind: &str| Publisher::new(client.clone(), format!("switchyard.dev/{kind}"), settings.pod.clone());
    let secrets = Secrets { client: client.clone(), account: settings.account.clone() };
    let pipelines = Arc::new(Shell::new(
        PipelineHands { client: client.clone(), caches: caches.clone(), writer: writer("pipeline") },
        caches.clone(),
        writer("pipeline"),
        publisher("pipeline"),
        AskGit { secrets: secrets.clone() },
        Arc::clone(&metrics),
    ));
    let builds = Arc::new(Shell::new(
        BuildHands {
            client: client.clone(),
            caches: caches.clone(),
            writer: writer("build"),
            settings: settings.builds.clone(),
            log_url: settings.log_url.clone(),
            metrics: Arc::clone(&metrics),
        },
        caches.clone(),
        writer("build"),
        publisher("build"),
        AskForBuilds { secrets, registry },
        Arc::clone(&metrics),
    ));
    let rollouts = Arc::new(Shell::new(
        RolloutHands { client: client.clone(), caches: caches.clone(), writer: writer("rollout"), started },
        caches.clone(),
        writer("rollout"),
        publisher("rollout"),
        AskChecks { client: outside },
        Arc::clone(&metrics),
    ));
    let commands = Sweeper {
        client: client.clone(),
        caches: caches.clone(),
        writer: writer("command"),
        due: Arc::new(Queue::new()),
    };
    let queues = (Arc::clone(&pipelines.queue), Arc::clone(&builds.queue), Arc::clone(&rollouts.queue));
    let sweeps = Arc::clone(&commands.due);
    let told = Arc::clone(&metrics);
    let pump = pump(
        stream,
        move |due| {
            match due {
                Due::Pipeline(key) => queues.0.wake(key, Instant::now()),
                Due::Build(key) => queues.1.wake(key, Instant::now()),
                Due::Rollout(key) => queues.2.wake(key, Instant::now()),
                Due::Commands => sweeps.wake((), Instant::now()),
            }
            std::future::ready(())
        },
        move |error| {
            tracing::warn!(%error, "a watch failed, and goes on");
            told.watch_error(error.what);
        },
    );
    let rounds = async {
        if let Err(unsynced) = synced(caches.ready(), SYNC).await {
            tracing::error!(%unsynced, "the caches are not filled");
            return;
        }
        tracing::info!("caches are filled");
        health.synced(true);
        tokio::join!(
            turns(pipelines, &health, stop.clone()),
            turns(builds, &health, stop.clone()),
            turns(rollouts, &health, stop.clone()),
            commands.run(stop)
        );
    };
    tokio::select! {
        () = rounds => {}
        () = pump => tracing::error!("the watches ended"),
    }
}

/// Rounds of one kind.
async fn turns<H, Q>(shell: Arc<Shell<H, Q>>, health: &Health, stop: Stop)
where
    H: Hands,
    Q: Asker<<H::Kind as Kind>::Question>,
{
    let queue = Arc::clone(&shell.queue);
    let round = move |key| {
        let shell = Arc::clone(&shell);
        async move { shell.turn(&key).await }
    };
    rounds(&queue, round, || health.beat(H::Kind::NAME), stop).await;
}

/// Rounds of what is due, until asked to stop; then those that run end. Tells each time it turns, due or not; not while
/// it waits for one of too many rounds to end.
async fn rounds<F>(queue: &Arc<Queue<Key>>, round: impl Fn(Key) -> F, turned: impl Fn(), mut stop: Stop)
where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    loop {
        turned();
        while let Some(ended) = running.try_join_next() {
            end_with(ended);
        }
        let key = tokio::select! {
            biased;
            () = stop.asked() => break,
            key = queue.next() => key,
            () = tokio::time::sleep(BEAT) => continue,
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let (queue, work) = (Arc::clone(queue), round(key.clone()));
        running.spawn(async move {
            work.await;
            queue.done(&key);
            drop(place);
        });
    }
    while let Some(ended) = running.join_next().await {
        end_with(ended);
    }
}

/// A panic in one round must not leave one controller standing still in a process that looks well.
fn end_with(ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|e| e.is_panic()) {
        tracing::error!("a round panicked: ending the process");
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn shop(number: usize) -> Key {
        ("shop".to_owned(), format!("shop-{number}"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_turns_while_idle_and_not_while_all_its_rounds_hang() {
        let (queue, count) = (Arc::new(Queue::new()), AtomicUsize::new(0));
        let turned = || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let turns = async || {
            let before = count.load(Ordering::Relaxed);
            tokio::time::sleep(BEAT * 10).await;
            count.load(Ordering::Relaxed).saturating_sub(before)
        };
        let (_ask, stop) = Stop::new();
        let watched = async {
            assert!(turns().await >= 9, "idle");
            (1..AT_ONCE).for_each(|n| queue.wake(shop(n), Instant::now()));
            assert!(turns().await >= 9, "all but one hang");
            (AT_ONCE..AT_ONCE + 2).for_each(|n| queue.wake(shop(n), Instant::now()));
            turns().await;
            assert_eq!(turns().await, 0, "all hang, and one more waits");
        };
        tokio::select! {
            () = rounds(&queue, |_| pending::<()>(), turned, stop) => panic!("nobody asked it to stop"),
            () = watched => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_is_asked_to_stop_lets_rounds_end() {
        let (queue, ended) = (Arc::new(Queue::new()), Arc::new(AtomicUsize::new(0)));
        (0..3).for_each(|n| queue.wake(shop(n), Instant::now()));
        let (ask, stop) = Stop::new();
        let round = |_| {
            let ended = Arc::clone(&ended);
            async move {
                tokio::time::sleep(BEAT * 3).await;
                ended.fetch_add(1, Ordering::Relaxed);
            }
        };
        let asked = async {
            tokio::time::sleep(BEAT).await;
            ask.send_replace(true);
        };
        tokio::join!(rounds(&queue, round, || (), stop), asked);
        assert_eq!(ended.load(Ordering::Relaxed), 3);
    }
}
