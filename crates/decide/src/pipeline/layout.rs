//! What should exist.

use std::cmp::Reverse;

use switchyard_api::{
    CommitId,
    pipeline::{Built, Ended, Memory},
};

use super::observed::{BuildSeen, Observed};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    pub build: Option<Built>,
    /// What its paths are compared with.
    pub base: Option<CommitId>,
    /// Builds beyond the retention limits: name and uid.
    pub surplus: Vec<(String, String)>,
}

pub fn layout(seen: &Observed, memory: &Memory) -> Layout {
    let build = memory.built.clone().filter(|b| b.ended.is_none());
    // Without wanted paths nothing is compared: an empty commit, made to build again, builds again.
    let base = memory.candidates.last().filter(|_| seen.order.paths).map(|c| c.commit.clone());
    let succeeded_limit = seen.order.succeeded_limit;
    let failed_limit = seen.order.failed_limit;
    let mut surplus = beyond(seen, memory, succeeded_limit, |e| e.succeeded);
    surplus.extend(beyond(seen, memory, failed_limit, |e| !e.succeeded && !e.skipped));
    // Counted apart, so that commits nobody wants built do not push out what is worth a look.
    surplus.extend(beyond(seen, memory, failed_limit, |e| e.skipped));
    Layout { build, base, surplus }
}

/// Of the Builds that ended like this, those older than the newest `limit`, beside those that are referred to.
fn beyond(seen: &Observed, memory: &Memory, limit: i32, like: impl Fn(&Ended) -> bool) -> Vec<(String, String)> {
    let mut found: Vec<(&String, &BuildSeen)> = seen
        .builds
        .iter()
        .filter(|(name, b)| b.conflict.is_none() && !is_used(seen, memory, name) && b.ended.as_ref().is_some_and(&like))
        .collect();
    found.sort_by_key(|(name, b)| Reverse((b.created, (*name).clone())));
    let surplus = found.into_iter().skip(usize::try_from(limit).unwrap_or(0));
    surplus.map(|(name, b)| (name.clone(), b.uid.clone())).collect()
}

/// An environment refers to it, or may: one whose release is not remembered, because a status was lost, may run any.
fn is_used(seen: &Observed, memory: &Memory, build: &str) -> bool {
    if memory.built.as_ref().is_some_and(|b| b.build == build) {
        return true;
    }
    seen.order.environments.iter().any(|order| {
        let known = memory.environments.get(&order.name);
        let refers = known
            .is_some_and(|e| e.live.as_deref() == Some(build) || e.release.as_ref().is_some_and(|r| r.build == build));
        let serves =
            || order.rollouts.iter().filter_map(|r| seen.rollouts.get(r)).any(|r| r.names_us && r.live.is_some());
        refers || (known.is_none_or(|e| e.live.is_none()) && serves())
    })
}
