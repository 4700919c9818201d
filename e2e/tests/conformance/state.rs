//! What both sides should agree on, without what pods, clocks and caches say.

use std::collections::BTreeMap;

use switchyard_api::{
    Revision,
    rollout::{Memory, ReleaseRef},
};
use switchyard_decide::{
    Mistake, Version,
    rollout::{CommandOrder, JobKey, JobState, Observed, Order, Record, Seen, Selects},
};

use super::versions::Versions;

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    order: Result<Order, Mistake>,
    memory: Memory,
    service: Option<Live>,
    preview: Option<(bool, Selects)>,
    commands: BTreeMap<String, CommandOrder>,
    revisions: BTreeMap<Revision, Child>,
}
#[derive(Clone, Debug, PartialEq)]
struct Live {
    foreign: bool,
    record: Option<Record>,
    selects: Selects,
}
#[derive(Clone, Debug, PartialEq)]
struct Child {
    deployment: Option<Deployed>,
    exposed: bool,
    conflict: bool,
    jobs: BTreeMap<JobKey, &'static str>,
}
#[derive(Clone, Debug, PartialEq)]
struct Deployed {
    claim: Option<Version>,
    replicas: i32,
    releases: Vec<ReleaseRef>,
}

impl State {
    pub fn of(seen: &Observed) -> Self {
        let child = |seen: &Seen| {
            let deployment = seen.deployment.as_ref();
            Child {
                deployment: deployment.map(|d| Deployed {
                    claim: d.claim.clone(),
                    replicas: d.replicas,
                    releases: d.releases.clone(),
                }),
                exposed: seen.exposed,
                conflict: seen.conflict.is_some(),
                jobs: seen.jobs.iter().map(|(key, state)| (key.clone(), how(state))).collect(),
            }
        };
        let revisions = seen.revisions.iter().map(|(r, seen)| (*r, child(seen)));
        Self {
            order: seen.order.clone(),
            memory: seen.memory.clone(),
            service: seen.service.as_ref().map(|s| Live {
                foreign: s.foreign.is_some(),
                record: s.record.clone(),
                selects: s.selects.clone(),
            }),
            preview: seen.preview.as_ref().map(|p| (p.foreign.is_some(), p.selects.clone())),
            commands: seen.commands.iter().map(|c| (c.uid.clone(), c.order)).collect(),
            // A name that nothing has any more is no revision.
            revisions: revisions.filter(|(_, c)| c.deployment.is_some() || c.exposed).collect(),
        }
    }

    /// In the versions of the world.
    pub fn translated(mut self, versions: &Versions) -> Self {
        self.memory = versions.worlds_memory(&self.memory);
        if let Some(record) = self.service.as_mut().and_then(|s| s.record.as_mut()) {
            *record = versions.worlds_record(record);
        }
        for child in self.revisions.values_mut() {
            for claim in child.deployment.iter_mut().filter_map(|d| d.claim.as_mut()) {
                *claim = versions.worlds_nomination(claim);
            }
            let jobs = std::mem::take(&mut child.jobs).into_iter();
            child.jobs = jobs
                .map(|(key, state)| (JobKey { under: versions.worlds_nomination(&key.under), ..key }, state))
                .collect();
        }
        self
    }
}

fn how(state: &JobState) -> &'static str {
    match state {
        JobState::Running(_) => "runs",
        JobState::Passed => "passed",
        JobState::Failed(_) => "failed",
    }
}
