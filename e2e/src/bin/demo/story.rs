//! The story, in the order in which it happens.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use switchyard_api::{Rollout, build::Phase};
use switchyard_e2e::{
    example::{Example, MANIFESTS, edit},
    forge::Repository,
    load::Running,
    place::Place,
    process::run,
    tell::{Teller, table},
    timeline::Timeline,
};
use tokio::time::Instant;

use crate::{
    follow::{Follower, Seen, live_commit},
    target::{Target, Way},
};

const NAMESPACE: &str = "shop-demo";
/// Before the patch of the live Service, load has to have gone on for this long.
const BEFORE: Duration = Duration::from_secs(2);
/// On the test cluster that many requests have to be counted in the switch.
const LEAST: usize = 10_000;

/// A line of the table at the end.
struct Row {
    commit: String,
    version: String,
    digest: String,
    push_to_live: String,
    sent: String,
    failed: String,
}

impl Row {
    /// As far as it came.
    fn of(pushed: &Pushed, seen: &Seen, push_to_live: String) -> Self {
        let status = seen.build.as_ref().and_then(|build| build.status.clone()).unwrap_or_default();
        let digest = status.images.first().map_or_else(|| "-".to_owned(), |image| image.digest.to_string());
        Self {
            commit: pushed.short().to_owned(),
            version: status.version.unwrap_or_else(|| "-".to_owned()),
            digest: digest.chars().take("sha256:".len() + 12).collect(),
            push_to_live,
            sent: String::new(),
            failed: String::new(),
        }
    }
}

pub async fn tell(tell: &Teller) -> Result<()> {
    let target = Target::find(tell).await?;
    tell.title("1. The operator");
    target.install(tell).await?;
    tell.say("Switchyard is installed in switchyard-system by its charts");

    tell.title("2. An application, from nothing");
    let place = namespace(&target, tell).await?;
    let repository = target.repository().await?;
    let example = Example::flask(&target.ground, &repository.url);
    let follower = Follower::new(tell, &place);
    let demo = Demo { tell, target: &target, place: &place, repository: &repository, follower };
    let mut rows = vec![demo.first(&example).await?];
    rows.push(demo.switch().await?);
    rows.push(demo.failing_test().await?);
    rows.push(demo.unhealthy().await?);

    tell.title("What became of each commit");
    let headings = ["commit", "version", "digest", "push to live", "requests sent", "requests failed"];
    let cells = rows.into_iter().map(|r| vec![r.commit, r.version, r.digest, r.push_to_live, r.sent, r.failed]);
    println!("\n{}", table(&headings, &cells.collect::<Vec<_>>()));
    demo.farewell();
    Ok(())
}

/// The demo's own, new each time.
async fn namespace(target: &Target, tell: &Teller) -> Result<Place> {
    let namespaces: Api<Namespace> = Api::all(target.ground.client.clone());
    let place = Place { ground: target.ground.clone(), namespace: NAMESPACE.to_owned() };
    if namespaces.get_opt(NAMESPACE).await?.is_some() {
        tell.say(&format!("removing the namespace {NAMESPACE} that an earlier demo left"));
        place.remove().await?;
        let gone = async || matches!(namespaces.get_opt(NAMESPACE).await, Ok(None)).then_some(());
        place.until("the namespace is gone", 180, gone).await;
    }
    Place::create(Arc::clone(&target.ground), NAMESPACE).await
}

struct Demo<'a> {
    tell: &'a Teller,
    target: &'a Target,
    place: &'a Place,
    repository: &'a Repository<'a>,
    follower: Follower<'a>,
}

/// A commit on its way.
struct Pushed {
    commit: String,
    at: Instant,
}

impl Pushed {
    fn short(&self) -> &str {
        &self.commit[..7]
    }
}

impl Demo<'_> {
    async fn push(&self, message: &str) -> Result<Pushed> {
        let commit = self.repository.push(message).await?;
        self.tell.say(&format!("git push: {} {message}", &commit[..7]));
        Ok(Pushed { commit, at: Instant::now() })
    }

    async fn show(&self) {
        self.tell.say(&format!("kubectl get pipelines,builds,rollouts\n{}", self.place.table().await));
    }

    async fn way(&self) -> Result<Way> {
        self.target.way_to(self.place, "shop").await
    }

    async fn first(&self, example: &Example<'_>) -> Result<Row> {
        example.copy_to(self.repository).await?;
        let pushed = self.push("feat: a shop that greets").await?;
        for manifest in MANIFESTS {
            self.place.apply_all(&example.manifest(manifest).await?).await?;
            self.tell.say(&format!("kubectl apply -f examples/flask/{manifest}"));
        }
        let row = self.until_live(&pushed, 600, async || Ok(())).await?;
        let way = self.way().await?;
        // It is live once the Service selects it; until every node knows takes a moment longer.
        let report = way.load.clone().most(200).start()?.finish().await.from_first_answer();
        ensure!(report.counted() > 0 && report.failed() == 0, "the first requests failed:\n{report}");
        self.tell.say(&format!("it serves: {}", report.served().into_keys().collect::<Vec<_>>().join(" and ")));
        self.show().await;
        Ok(Row { sent: report.counted().to_string(), failed: report.failed().to_string(), ..row })
    }

    /// Follows a commit until it serves; `meanwhile` from when its images are built.
    async fn until_live(
        &self,
        pushed: &Pushed,
        seconds: u64,
        mut meanwhile: impl AsyncFnMut() -> Result<()>,
    ) -> Result<Row> {
        let seen = self
            .follower
            .until(&pushed.commit, seconds, async |seen| {
                if seen.phase() == Some(Phase::Failed) {
                    let failure = seen.build.as_ref().and_then(|b| b.status.as_ref()?.failure.clone());
                    bail!("the build failed: {failure:?}");
                }
                if seen.phase().is_some_and(|phase| !matches!(phase, Phase::Pending | Phase::Checking)) {
                    meanwhile().await?;
                }
                Ok(seen.is_live(&pushed.commit))
            })
            .await?;
        let took = pushed.at.elapsed();
        self.tell.say(&format!("{} is live, {:.0} s after the push", pushed.short(), took.as_secs_f64()));
        Ok(Row::of(pushed, &seen, format!("{:.0} s", took.as_secs_f64())))
    }

    async fn switch(&self) -> Result<Row> {
        self.tell.title("3. A second commit, switched under load");
        let way = self.way().await?;
        edit(self.repository, "app.py", "VERSION = \"1\"", "VERSION = \"2\"").await?;
        edit(self.repository, "app.py", "Hello from the shop", "Hello again from the shop").await?;
        let pushed = self.push("feat: greet once more").await?;
        let blue = self.live_revision().await?;
        let timeline = Timeline::of(self.place, "shop").await;
        let mut load: Option<Running> = None;
        // From when the image is built, for a switch may come within two seconds of the end of the build.
        let row = self
            .until_live(&pushed, 600, async || {
                if load.is_none() {
                    self.tell.say(&format!("  load begins: {} requests a second", way.load.rate));
                    load = Some(way.load.clone().start()?);
                }
                Ok(())
            })
            .await?;
        let load = load.context("a commit goes live after its image is built")?;
        self.tell.say("  blue keeps its pods for a while, in case; then it is drained");
        let green = self.live_revision().await?;
        let patched = timeline.moment_of(&green).context("the Service was never seen to select green")?;
        self.follower
            .until(&pushed.commit, 300, async |_| {
                let enough = load.ended_since(patched - BEFORE) >= self.least();
                Ok(enough && self.place.pods_of(&blue).await.is_empty())
            })
            .await?;
        let gone = Instant::now();
        let before = patched - load.since();
        ensure!(before >= BEFORE, "the load began only {before:?} before the patch of the Service");
        let report = load.stop().await.between(patched - BEFORE, gone);
        self.tell.say(&format!("from 2 s before the patch of the Service until blue was gone:\n{report}"));
        ensure!(report.counted() >= self.least(), "only {} requests were counted", report.counted());
        ensure!(report.failed() == 0, "{} requests failed", report.failed());
        self.show().await;
        Ok(Row { sent: report.counted().to_string(), failed: report.failed().to_string(), ..row })
    }

    fn least(&self) -> usize {
        if self.target.is_ours() { LEAST } else { 50 }
    }

    async fn live_revision(&self) -> Result<String> {
        let rollout = self.place.find::<Rollout>("shop").await.context("the Rollout")?;
        let live = rollout.status.and_then(|status| status.live).context("nothing is live")?;
        Ok(live.revision.to_string())
    }

    async fn failing_test(&self) -> Result<Row> {
        self.tell.title("4. A commit whose tests fail");
        let before = live_commit(self.place.find("shop").await.as_ref());
        let (_way, load) = self.light_load().await?;
        edit(self.repository, "app.py", "Hello again from the shop", "Go away").await?;
        let pushed = self.push("feat: be honest with customers").await?;
        let seen = self
            .follower
            .until(&pushed.commit, 300, async |seen| {
                ensure!(seen.phase() != Some(Phase::Succeeded), "the build succeeded, though a test fails");
                Ok(seen.phase() == Some(Phase::Failed))
            })
            .await?;
        let failure = seen.build.as_ref().and_then(|b| b.status.clone()?.failure).context("a failed Build says why")?;
        self.tell.say(&format!("{}: {}, {}: {}", pushed.short(), failure.step, failure.reason, failure.message));
        if let Some(log) = &failure.log {
            self.tell.say(&format!("its log ends with\n{}", switchyard_e2e::process::tail(log, 6)));
        }
        let row = Row::of(&pushed, &seen, "not live: a test failed".to_owned());
        self.not_live(row, before.as_ref(), load).await
    }

    async fn unhealthy(&self) -> Result<Row> {
        self.tell.title("5. A commit that builds, but does not get healthy");
        let before = live_commit(self.place.find("shop").await.as_ref());
        let patch = r#"{"spec": {"progressDeadline": "20s"}}"#;
        run(&mut self.place.kubectl(&["patch", "rollout", "shop", "--type=merge", "--patch", patch])).await?;
        self.tell.say("kubectl patch rollout shop: progressDeadline 20s, so as not to wait for ten minutes");
        let (_way, load) = self.light_load().await?;
        edit(self.repository, "app.py", "Go away", "Hello from a new place").await?;
        edit(self.repository, "gunicorn.conf.py", "0.0.0.0:8000", "0.0.0.0:9000").await?;
        let pushed = self.push("feat: listen on another port").await?;
        let seen = self
            .follower
            .until(&pushed.commit, 600, async |seen| {
                ensure!(seen.phase() != Some(Phase::Failed), "the build failed, though nothing is wrong with it");
                ensure!(!seen.is_live(&pushed.commit), "it went live, though it is not healthy");
                let status = seen.rollout.as_ref().and_then(|r| r.status.as_ref());
                let rejected = |s: &switchyard_api::RolloutStatus| {
                    s.rejected.iter().any(|r| r.releases.iter().any(|release| release.commit.as_str() == pushed.commit))
                };
                Ok(status.is_some_and(rejected))
            })
            .await?;
        let rejected = seen.rollout.as_ref().and_then(|r| r.status.clone()?.rejected.pop()).context("just seen")?;
        self.tell.say(&format!("{}: {}: {}", pushed.short(), rejected.reason, rejected.message));
        let row = Row::of(&pushed, &seen, "not live: unhealthy".to_owned());
        self.not_live(row, before.as_ref(), load).await
    }

    /// A little, to see that nobody notices.
    async fn light_load(&self) -> Result<(Way, Running)> {
        let mut way = self.way().await?;
        way.load.rate = 10;
        let load = way.load.clone().start()?;
        Ok((way, load))
    }

    async fn not_live(&self, row: Row, before: Option<&String>, load: Running) -> Result<Row> {
        self.show().await;
        let report = load.stop().await;
        let now = live_commit(self.place.find("shop").await.as_ref());
        ensure!(now.as_ref() == before, "what serves has changed from {before:?} to {now:?}");
        ensure!(report.failed() == 0, "requests failed meanwhile:\n{report}");
        self.tell.say(&format!("what served before still does; {} requests meanwhile, 0 failed", report.counted()));
        Ok(Row { sent: report.counted().to_string(), failed: report.failed().to_string(), ..row })
    }

    fn farewell(&self) {
        let kubectl = if self.target.is_ours() {
            println!("The cluster stays up (`make cluster-down` ends it). To look around:\n");
            println!("  eval \"$(e2e/cluster/env)\"; export KUBECONFIG=$SWITCHYARD_KUBECONFIG");
            "kubectl"
        } else {
            println!("To look around:\n");
            "kubectl --context \"$SWITCHYARD_CONTEXT\""
        };
        for what in [
            "get pipelines,builds,rollouts",
            "describe rollout shop",
            "get builds -o yaml",
            "get events --sort-by=.lastTimestamp",
            "get service shop -o yaml       # its selector, and the record of the switch",
        ] {
            println!("  {kubectl} -n {NAMESPACE} {what}");
        }
        println!("  {kubectl} -n switchyard-system logs deployment/switchyard");
    }
}
