//! Our own writes, until the caches show them.
//!
//! A watch delivers late. A round that decides on a cache without its own last write would decide the same again; each
//! write is conditional, so that does no harm, but it is a refusal and a back-off for nothing, and what is read across
//! objects would be a mixture of before and after. So a round waits until each write it made is in the cache.
//!
//! # Guarantees
//! - [`Passage::Open`] only when the caches show every remembered write or something later.
//! - No wait is longer than [`PATIENCE`]; then the caller is told to read live.
//!
//! # Assumptions
//! - resourceVersions are comparable as integers within one resource type (KEP-5504).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::target::{Seen, Written};

/// The longest a cache is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How soon to look again if nothing woke the object meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Whether a round may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// A cache is behind; look again after this long, or when the object is touched.
    Wait(Duration),
    /// A cache stayed behind: read these live. The barrier has forgotten them.
    ReadLive(Vec<Written>),
}

/// Remembers writes by the uid of the object whose round made them.
#[derive(Debug, Default)]
pub struct Barrier {
    unseen: Mutex<HashMap<String, Vec<(Written, Instant)>>>,
}

impl Barrier {
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers a write made in a round of `owner`. A later write to the same object replaces an earlier one.
    pub fn wrote(&self, owner: &str, write: Written) {
        let mut unseen = self.lock();
        let writes = unseen.entry(owner.to_owned()).or_default();
        writes.retain(|(earlier, _)| earlier.target != write.target);
        writes.push((write, Instant::now()));
    }

    /// Whether a round of `owner` may begin, given what the caches hold for an object. `cached` gives None for what no
    /// cache holds; a kind without a cache must not be remembered.
    pub fn passage(&self, owner: &str, cached: impl Fn(&Written) -> Option<Seen>) -> Passage {
        let mut unseen = self.lock();
        let Some(writes) = unseen.get_mut(owner) else { return Passage::Open };
        writes.retain(|(write, _)| !shown(write, cached(write).as_ref()));
        if writes.is_empty() {
            unseen.remove(owner);
            return Passage::Open;
        }
        let oldest = writes.iter().map(|(_, since)| since.elapsed()).max().unwrap_or_default();
        if let Some(left) = PATIENCE.checked_sub(oldest).filter(|left| !left.is_zero()) {
            return Passage::Wait(left.min(LOOK_AGAIN));
        }
        let late = unseen.remove(owner).unwrap_or_default();
        Passage::ReadLive(late.into_iter().map(|(write, _)| write).collect())
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, owner: &str) {
        self.lock().remove(owner);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<(Written, Instant)>>> {
        // Each change of the map is whole, so a panic elsewhere leaves it usable.
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(write: &Written, cached: Option<&Seen>) -> bool {
    match cached {
        None => write.deleted,
        Some(cached) if write.deleted && cached.uid != write.uid => true,
        Some(_) if write.version.as_str().is_empty() => false,
        // Of another uid with a later version: ours came and went.
        Some(cached) => !write.version.newer_than(&cached.version),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use switchyard_decide::Version;

    use super::*;
    use crate::target::Target;

    fn write(name: &str, version: &str) -> Written {
        let target = Target::named::<ConfigMap>("shop", name);
        Written { target, uid: "u".into(), version: Version::new(version), deleted: false }
    }

    fn deletion(version: &str) -> Written {
        Written { deleted: true, ..write("a", version) }
    }

    fn held(uid: &str, version: &str) -> Seen {
        Seen { uid: uid.into(), version: Version::new(version) }
    }

    fn after(write: Written, cached: Option<&Seen>) -> Passage {
        let barrier = Barrier::new();
        barrier.wrote("owner", write);
        barrier.passage("owner", |_| cached.cloned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_waits_for_its_own_writes() {
        let waits = Passage::Wait(LOOK_AGAIN);
        for (write, cached, passage) in [
            (write("a", "10"), Some(held("u", "9")), waits.clone()),
            (write("a", "10"), Some(held("u", "10")), Passage::Open),
            (write("a", "9"), Some(held("u", "10")), Passage::Open),
            (write("a", "10"), None, waits.clone()),
            (write("a", "10"), Some(held("before", "9")), waits.clone()),
            (write("a", "10"), Some(held("after", "11")), Passage::Open),
            (deletion(""), Some(held("u", "9")), waits.clone()),
            (deletion(""), None, Passage::Open),
            (deletion(""), Some(held("after", "11")), Passage::Open),
            (deletion("10"), Some(held("u", "9")), waits.clone()),
            (deletion("10"), Some(held("u", "10")), Passage::Open),
            (deletion("10"), None, Passage::Open),
        ] {
            assert_eq!(after(write.clone(), cached.as_ref()), passage, "{write:?} {cached:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn others_do_not_wait_and_what_is_gone_is_forgotten() {
        let barrier = Barrier::new();
        barrier.wrote("owner", write("a", "10"));
        assert_eq!(barrier.passage("another", |_| None), Passage::Open);
        barrier.forget("owner");
        assert_eq!(barrier.passage("owner", |_| None), Passage::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn every_object_counts_and_of_each_the_last_write() {
        let barrier = Barrier::new();
        barrier.wrote("owner", write("a", "10"));
        barrier.wrote("owner", write("a", "12"));
        barrier.wrote("owner", write("b", "11"));
        let cached = |write: &Written| Some(held("u", if write.target.name == "b" { "11" } else { "10" }));
        assert!(matches!(barrier.passage("owner", cached), Passage::Wait(_)));
        assert_eq!(barrier.passage("owner", |_| Some(held("u", "12"))), Passage::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_that_stays_behind_is_read_past_once() {
        let barrier = Barrier::new();
        barrier.wrote("owner", write("a", "10"));
        tokio::time::advance(Duration::from_millis(4999)).await;
        assert_eq!(barrier.passage("owner", |_| None), Passage::Wait(Duration::from_millis(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(barrier.passage("owner", |_| None), Passage::ReadLive(vec![write("a", "10")]));
        assert_eq!(barrier.passage("owner", |_| None), Passage::Open);
    }
}
