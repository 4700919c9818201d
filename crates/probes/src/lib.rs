//! Asks slow questions beside the rounds, and keeps the answers.
//!
//! # Guarantees
//! - What is asked for is asked, once at a time; what is no longer asked for is dropped, with its answer.
//! - An object is woken only when an answer changes. An answer that was given again keeps its first time.
//! - A question that has not been answered is absent: not asked yet is not unreachable.

mod check;
mod http;
mod prometheus;

pub use check::{Inconclusive, Verdict};
pub use http::{HttpQuestion, http};
pub use prometheus::{PrometheusQuestion, prometheus};

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use switchyard_api::Timestamp;
use switchyard_decide::{Answer, Cadence, Measured, Unreachable};
use tokio::task::AbortHandle;

/// Somebody who can answer. Whoever asks bounds the time: [`LIMIT`] for one answer.
pub trait Asker<Q>: Send + Sync + 'static {
    /// `namespace` is that of the object that asks: its Secrets, and nobody else's, may be used.
    fn ask(&self, namespace: &str, question: &Q) -> impl Future<Output = Result<Measured, Unreachable>> + Send;
}

/// The longest one answer may take: more than what each asker allows itself, a minute, so that its own words stand.
pub const LIMIT: Duration = Duration::from_secs(90);
/// After each failure but the first the pace is doubled, up to this.
const SLOWEST: Duration = Duration::from_mins(5);

/// Questions of one kind of object, by the uid of who asks.
pub struct Probes<Q, A> {
    asker: Arc<A>,
    known: Arc<Mutex<HashMap<String, BTreeMap<Q, Probe>>>>,
    now: fn() -> Timestamp,
}

struct Probe {
    cadence: Cadence,
    answer: Option<Answer>,
    /// Held for its end.
    _task: Stopped,
}

/// A task that ends with its owner.
struct Stopped(AbortHandle);
impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<Q, A> Probes<Q, A>
where
    Q: Clone + Ord + Debug + Send + Sync + 'static,
    A: Asker<Q>,
{
    pub fn new(asker: A, now: fn() -> Timestamp) -> Self {
        Self { asker: Arc::new(asker), known: Arc::default(), now }
    }

    /// What is known so far.
    pub fn answers(&self, owner: &str) -> BTreeMap<Q, Answer> {
        let known = lock(&self.known);
        let answered = known.get(owner).into_iter().flatten().filter_map(|(q, p)| Some((q.clone(), p.answer.clone()?)));
        answered.collect()
    }

    /// The whole set that `owner` asks. `wake` is called when an answer changed.
    pub fn want(
        &self,
        owner: &str,
        namespace: &str,
        ask: &BTreeMap<Q, Cadence>,
        wake: &(impl Fn() + Clone + Send + Sync + 'static),
    ) {
        let mut known = lock(&self.known);
        if ask.is_empty() {
            known.remove(owner);
            return;
        }
        let probes = known.entry(owner.to_owned()).or_default();
        probes.retain(|q, p| ask.get(q) == Some(&p.cadence));
        for (question, cadence) in ask {
            if !probes.contains_key(question) {
                let task = self.start(owner, namespace, question.clone(), *cadence, wake.clone());
                probes.insert(question.clone(), Probe { cadence: *cadence, answer: None, _task: Stopped(task) });
            }
        }
    }

    /// The object is gone.
    pub fn forget(&self, owner: &str) {
        lock(&self.known).remove(owner);
    }

    fn start(
        &self,
        owner: &str,
        namespace: &str,
        question: Q,
        cadence: Cadence,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> AbortHandle {
        let (asker, known, now) = (Arc::clone(&self.asker), Arc::clone(&self.known), self.now);
        let (owner, namespace) = (owner.to_owned(), namespace.to_owned());
        let task = async move {
            let mut failures: u32 = 0;
            loop {
                let reply = tokio::time::timeout(LIMIT, asker.ask(&namespace, &question)).await;
                let answer = reply.unwrap_or_else(|_| Err(Unreachable::Network(format!("no answer within {LIMIT:?}"))));
                failures = failures_after(failures, &answer);
                let done = answer.is_ok() && matches!(cadence, Cadence::Until(_));
                if store(&known, &owner, &question, answer, now()) {
                    wake();
                }
                if done {
                    return;
                }
                tokio::time::sleep(pace(cadence, failures)).await;
            }
        };
        tokio::spawn(task).abort_handle()
    }
}

/// Failures in a row. To say nothing is no failure of whoever was asked, and what waits for it is not to wait longer.
fn failures_after(failures: u32, answer: &Result<Measured, Unreachable>) -> u32 {
    match answer {
        Ok(_) | Err(Unreachable::Inconclusive(_)) => 0,
        Err(
            Unreachable::Secret(_) | Unreachable::Credentials(_) | Unreachable::Missing(_) | Unreachable::Network(_),
        ) => failures.saturating_add(1),
    }
}

fn pace(cadence: Cadence, failures: u32) -> Duration {
    let (Cadence::Until(pace) | Cadence::Every(pace)) = cadence;
    let slower = pace.std().saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(8)));
    slower.min(SLOWEST.max(pace.std()))
}

/// Whether the answer changed.
fn store<Q: Ord>(
    known: &Mutex<HashMap<String, BTreeMap<Q, Probe>>>,
    owner: &str,
    question: &Q,
    answer: Result<Measured, Unreachable>,
    now: Timestamp,
) -> bool {
    let mut known = lock(known);
    let Some(probe) = known.get_mut(owner).and_then(|probes| probes.get_mut(question)) else { return false };
    let next = match (answer, &probe.answer) {
        (Ok(value), Some(Answer::Known { at, value: before })) if *before == value => Answer::Known { at: *at, value },
        (Ok(value), _) => Answer::Known { at: now, value },
        (Err(why), Some(Answer::Unreachable { since, .. })) => Answer::Unreachable { since: *since, why },
        (Err(why), _) => Answer::Unreachable { since: now, why },
    };
    let changed = probe.answer.as_ref() != Some(&next);
    probe.answer = Some(next);
    changed
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change of the map is whole, so a panic elsewhere leaves it usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
