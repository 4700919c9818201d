//! What should exist.

use std::cmp::Reverse;

use switchyard_api::pipeline::{Built, Memory};

use super::observed::{BuildSeen, Observed};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    pub build: Option<Built>,
    /// Builds beyond the retention limits: name and uid.
    pub surplus: Vec<(String, String)>,
}

pub fn layout(seen: &Observed, memory: &Memory) -> Layout {
    let build = memory.built.clone().filter(|b| b.ended.is_none());
    let used = |name: &str| {
        memory.built.as_ref().is_some_and(|b| b.build == name)
            || memory
                .environments
                .values()
                .any(|e| e.live.as_deref() == Some(name) || e.release.as_ref().is_some_and(|r| r.build == name))
    };
    let ended = |succeeded: bool| {
        let mut found: Vec<(&String, &BuildSeen)> = seen
            .builds
            .iter()
            .filter(|(name, b)| {
                b.conflict.is_none() && !used(name) && b.ended.as_ref().is_some_and(|e| e.succeeded == succeeded)
            })
            .collect();
        found.sort_by_key(|(name, b)| Reverse((b.created, (*name).clone())));
        found.into_iter().map(|(name, b)| (name.clone(), b.uid.clone())).collect::<Vec<_>>()
    };
    let beyond = |list: Vec<(String, String)>, limit: i32| list.into_iter().skip(usize::try_from(limit).unwrap_or(0));
    let surplus =
        beyond(ended(true), seen.order.succeeded_limit).chain(beyond(ended(false), seen.order.failed_limit)).collect();
    Layout { build, surplus }
}
