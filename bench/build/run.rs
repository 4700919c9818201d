//! One run: a Build or a Job, from being asked for until it is done.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::api::LogParams;
use serde::Serialize;
use switchyard_e2e::place::Place;

use crate::{
    phases::{Lines, Moments, Phase, lines, pushing, seconds},
    subject,
    witness::{PodSeen, Witness},
};

/// The longest that one may take.
const LIMIT: Duration = Duration::from_mins(5);

/// Who builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Contestant {
    Build,
    Job,
    CachedBuild,
}

impl Contestant {
    pub const ALL: [Self; 3] = [Self::Build, Self::Job, Self::CachedBuild];

    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "Build",
            Self::Job => "bare Job",
            Self::CachedBuild => "Build, cached",
        }
    }

    fn object(self, round: u32) -> String {
        match self {
            Self::Build => format!("built-{round}"),
            Self::Job => format!("bare-{round}"),
            Self::CachedBuild => format!("cached-{round}"),
        }
    }
}

/// Forth in even rounds, back in odd ones.
pub fn turns(round: u32) -> [Contestant; 3] {
    let mut turns = Contestant::ALL;
    if !round.is_multiple_of(2) {
        turns.reverse();
    }
    turns
}

/// How one run went, in seconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    pub round: u32,
    pub contestant: Contestant,
    pub whole: f64,
    pub phases: BTreeMap<Phase, f64>,
    /// By the kubelet's own account, which counts whole seconds.
    pub containers: BTreeMap<String, f64>,
}

pub struct Scene<'a> {
    pub place: &'a Place,
    pub witness: &'a Witness,
    pub url: &'a str,
}

impl Scene<'_> {
    /// `of_build` is the Job whose Kaniko a bare one runs; without it there is none yet, and a Build is to be run.
    pub async fn run(&self, contestant: Contestant, round: u32, commit: &str, of_build: Option<&Job>) -> Result<Trial> {
        let name = contestant.object(round);
        let (asked, job, (done, ended)) = match contestant {
            Contestant::Build | Contestant::CachedBuild => {
                let cached = contestant == Contestant::CachedBuild;
                let object = subject::build(self.place, &name, self.url, commit, cached);
                let asked = self.create("/apis/switchyard.dev/v1alpha1", "builds", &object).await?;
                let what = format!("the Build {name} is finished");
                let done = self.witness.until(&what, LIMIT, |seen| seen.builds.get(&name).cloned()).await?;
                let of_it = |seen: &crate::witness::Seen| {
                    seen.jobs.iter().find(|(_, job)| job.build.as_ref() == Some(&name)).map(|(job, _)| job.clone())
                };
                (asked, self.witness.until("its Job was seen", LIMIT, of_it).await?, done)
            }
            Contestant::Job => {
                let of_build = of_build.context("a Build runs before the first bare Job")?;
                let object = subject::job(self.place, &name, self.url, commit, of_build)?;
                let asked = self.create("/apis/batch/v1", "jobs", &object).await?;
                let what = format!("the Job {name} is finished");
                let done = self.witness.until(&what, LIMIT, |seen| seen.jobs.get(&name)?.done.clone()).await?;
                (asked, name.clone(), done)
            }
        };
        if let Err(why) = ended {
            bail!("{name} did not go well: {why}");
        }
        let made = self.witness.until("its Job was seen", LIMIT, |seen| Some(seen.jobs.get(&job)?.made)).await?;
        let over = |seen: &crate::witness::Seen| seen.pods.get(&job).filter(|pod| pod.ended.is_some()).cloned();
        let pod = self.witness.until("its pod was seen to end", LIMIT, over).await?;
        let moments = self.moments(contestant, asked, made, done, &pod).await.with_context(|| name.clone())?;
        let ran = pod.ran.iter().map(|(container, (from, to))| (container.clone(), seconds(*from, *to)));
        Ok(Trial { round, contestant, whole: moments.whole(), phases: moments.phases(), containers: ran.collect() })
    }

    /// When it was asked for.
    async fn create(&self, group: &str, resource: &str, object: &serde_json::Value) -> Result<Timestamp> {
        let path = format!("{group}/namespaces/{}/{resource}", self.place.namespace);
        let asked = Timestamp::now();
        self.place.post(&path, object).await?;
        Ok(asked)
    }

    async fn moments(
        &self,
        contestant: Contestant,
        asked: Timestamp,
        job: Timestamp,
        done: Timestamp,
        pod: &PodSeen,
    ) -> Result<Moments> {
        let kaniko = self.log(&pod.name, "build").await?;
        let push: Result<Lines, Timestamp> = match contestant {
            Contestant::Job => Err(pushing(&kaniko).context("Kaniko does not say when it pushes")?),
            Contestant::Build | Contestant::CachedBuild => Ok(lines("push", &self.log(&pod.name, "push").await?)?),
        };
        Ok(Moments {
            asked,
            job,
            scheduled: pod.scheduled.context("it was never seen to be scheduled")?,
            clone: lines("clone", &self.log(&pod.name, "clone").await?)?,
            build: lines("build", &kaniko)?,
            push,
            noticed: pod.ended.context("it was never seen to end")?,
            done,
        })
    }

    async fn log(&self, pod: &str, container: &str) -> Result<String> {
        let parameters = LogParams { container: Some(container.to_owned()), timestamps: true, ..LogParams::default() };
        let log = self.place.api::<Pod>().logs(pod, &parameters).await;
        log.with_context(|| format!("read the log of {container} in {pod}"))
    }

    /// The Job of a Build that ran.
    pub async fn job_of(&self, contestant: Contestant, round: u32) -> Result<Job> {
        let name = contestant.object(round);
        let selector = format!("{}={name}", switchyard_api::names::LABEL_BUILD);
        let mut jobs = self.place.list::<Job>(&selector).await;
        jobs.pop().with_context(|| format!("the Build {name} has no Job"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_forth_and_back() {
        let order: Vec<_> = (0..4).flat_map(turns).map(Contestant::name).collect();
        let forth = ["Build", "bare Job", "Build, cached"];
        let back = ["Build, cached", "bare Job", "Build"];
        assert_eq!(order, [forth, back, forth, back].concat());
    }
}
