//! Tells what the objects say while something happens.

use std::{sync::Mutex, time::Duration};

use anyhow::{Result, bail};
use kube::ResourceExt as _;
use switchyard_api::{Build, Pipeline, Rollout, build::Phase};
use switchyard_e2e::{place::Place, tell::Teller};
use tokio::time::Instant;

const LOOK: Duration = Duration::from_millis(300);

/// What a commit has come to so far.
pub struct Seen {
    pub pipeline: Option<Pipeline>,
    pub build: Option<Build>,
    pub rollout: Option<Rollout>,
}

impl Seen {
    pub async fn of(place: &Place, commit: &str) -> Self {
        let builds = place.list::<Build>("").await;
        Self {
            pipeline: place.find("shop").await,
            build: builds
                .into_iter()
                .find(|build| build.spec.source.git.as_ref().is_some_and(|git| git.commit.as_str() == commit)),
            rollout: place.find("shop").await,
        }
    }

    pub fn phase(&self) -> Option<Phase> {
        self.build.as_ref()?.status.as_ref()?.phase
    }

    /// Whether this commit is what serves.
    pub fn is_live(&self, commit: &str) -> bool {
        live_commit(self.rollout.as_ref()).as_deref() == Some(commit)
    }

    /// The object that has the word, what it does, and what it waits for.
    fn line(&self, commit: &str) -> String {
        let waits =
            |waiting: &[String]| waiting.first().map_or_else(String::new, |what| format!(": waiting for {what}"));
        if let Some(build) = &self.build {
            let status = build.status.clone().unwrap_or_default();
            if !matches!(status.phase, Some(Phase::Succeeded)) {
                let phase = status.phase.map_or_else(|| "new".to_owned(), |phase| format!("{phase:?}"));
                return format!("Build {} {phase}{}", build.name_any(), waits(&status.waiting_for));
            }
        }
        if let (Some(rollout), true) = (&self.rollout, self.build.is_some()) {
            let status = rollout.status.clone().unwrap_or_default();
            let phase = status.phase.map_or_else(|| "new".to_owned(), |phase| format!("{phase:?}"));
            return format!("Rollout shop {phase}{}", waits(&status.waiting_for));
        }
        let status = self.pipeline.as_ref().and_then(|p| p.status.clone()).unwrap_or_default();
        let waiting =
            if status.waiting_for.is_empty() { ": it looks every 10 s".to_owned() } else { waits(&status.waiting_for) };
        format!("Pipeline shop has not seen {}{waiting}", &commit[..7])
    }
}

/// The commit that serves.
pub fn live_commit(rollout: Option<&Rollout>) -> Option<String> {
    Some(rollout?.status.as_ref()?.live.as_ref()?.releases.first()?.commit.to_string())
}

/// Looks at a place, and tells what changed since the last look.
pub struct Follower<'a> {
    pub tell: &'a Teller,
    pub place: &'a Place,
    told: Mutex<String>,
}

impl<'a> Follower<'a> {
    pub fn new(tell: &'a Teller, place: &'a Place) -> Self {
        Self { tell, place, told: Mutex::default() }
    }

    /// Until this is so.
    pub async fn until(
        &self,
        commit: &str,
        seconds: u64,
        mut so: impl AsyncFnMut(&Seen) -> Result<bool>,
    ) -> Result<Seen> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let seen = Seen::of(self.place, commit).await;
            let line = seen.line(commit);
            if std::mem::replace(&mut *self.told.lock().unwrap(), line.clone()) != line {
                self.tell.say(&format!("  {line}"));
            }
            if so(&seen).await? {
                return Ok(seen);
            }
            if Instant::now() > deadline {
                bail!("after {seconds} s it is still so: {line}\n{}", self.place.explain().await);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
