//! The one loop: observe, decide, report, apply. The same for every kind.
//!
//! Architecture Invariant: the status is written before anything is done. With the actions first, a crash between a
//! rollback and its status would put the failed revision live again. If what must be remembered changed, the round
//! ends with that write.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::{Resource, ResourceExt, core::error_boundary::InvalidObject};
use serde_json::Value;
use switchyard_api::Timestamp;
use switchyard_cluster::{
    barrier::{Barrier, Passage},
    caches::Cached,
    events::Publisher,
    target::{Seen, Target, Written},
    writer::Writer,
};
use switchyard_decide::{Answer, Decision, Kind, Refusal};
use switchyard_probes::{Asker, Probes};
use tokio::time::Instant;

use crate::{
    ask::Counted,
    caches::{Caches, Key},
    queue::Queue,
    telemetry::{Metrics, Outcome},
    unreadable,
};

/// What the driver knows, and `observe` copies.
pub struct Known<K: Kind> {
    pub now: Timestamp,
    pub answers: std::collections::BTreeMap<K::Question, Answer>,
    pub refused: Option<(K::Action, Refusal)>,
}

/// We could not look. Logged, counted, backed off; never put into a status.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Blind(pub String);

impl From<kube::Error> for Blind {
    fn from(error: kube::Error) -> Self {
        Self(error.to_string())
    }
}

/// An object to decide on, and what was read before it.
pub type Fresh<H> = (Arc<<H as Hands>::Object>, <H as Hands>::Sight);

/// What a kind does to the cluster. Implemented three times.
pub trait Hands: Send + Sync + 'static {
    type Kind: Kind;
    type Object: Cached;
    /// What was read live before the object, where it has to be read in that order.
    type Sight: Send;

    fn status(object: &Self::Object) -> <Self::Kind as Kind>::Status;
    /// The object as the caches have it; an error says why it cannot be read.
    fn object(&self, key: &Key) -> Option<Result<Arc<Self::Object>, InvalidObject>>;
    /// The object to decide on: the cached one, or a live one where an old one could do harm. None: it is gone.
    fn fresh(&self, cached: Arc<Self::Object>) -> impl Future<Output = Result<Option<Fresh<Self>>, Blind>> + Send;
    fn observe(
        &self,
        object: &Self::Object,
        sight: Self::Sight,
        known: Known<Self::Kind>,
    ) -> impl Future<Output = Result<<Self::Kind as Kind>::Observed, Blind>> + Send;
    fn apply(
        &self,
        object: &Self::Object,
        seen: &<Self::Kind as Kind>::Observed,
        action: &<Self::Kind as Kind>::Action,
    ) -> impl Future<Output = Result<Vec<Written>, Refusal>> + Send;
}

/// Words that only count pods are written at most this often.
const CALM: Duration = Duration::from_secs(2);
/// After a refusal, doubled each time.
const FIRST_BACK_OFF: Duration = Duration::from_millis(250);
const LONGEST_BACK_OFF: Duration = Duration::from_mins(1);

/// Per object, by uid: what changes only the timing.
#[derive(Debug)]
struct Pace<A> {
    failures: u32,
    /// Nothing is applied before then.
    not_before: Option<Instant>,
    refused: Option<(A, Refusal)>,
    reported: Option<Instant>,
}
impl<A> Default for Pace<A> {
    fn default() -> Self {
        Self { failures: 0, not_before: None, refused: None, reported: None }
    }
}

pub struct Shell<H: Hands, Q> {
    pub hands: H,
    pub caches: Caches,
    pub writer: Writer,
    pub publisher: Publisher,
    probes: Probes<<H::Kind as Kind>::Question, Counted<Q>>,
    pub metrics: Arc<Metrics>,
    pub queue: Arc<Queue<Key>>,
    barrier: Barrier,
    paces: Mutex<HashMap<String, Pace<<H::Kind as Kind>::Action>>>,
    uids: Mutex<HashMap<Key, String>>,
}

/// When to look again if nothing wakes the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    WhenWoken,
    After(Duration),
}

impl<H, Q> Shell<H, Q>
where
    H: Hands,
    Q: Asker<<H::Kind as Kind>::Question>,
{
    pub fn new(
        hands: H,
        caches: Caches,
        writer: Writer,
        publisher: Publisher,
        asker: Q,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            hands,
            caches,
            writer,
            publisher,
            probes: Probes::new(Counted { asker, kind: H::Kind::NAME, metrics: Arc::clone(&metrics) }, now),
            metrics,
            queue: Arc::new(Queue::new()),
            barrier: Barrier::new(),
            paces: Mutex::default(),
            uids: Mutex::default(),
        }
    }

    /// One round, and its outcome as metrics count it.
    pub async fn turn(&self, key: &Key) {
        let started = Instant::now();
        let (outcome, again) = self.round(key).await;
        self.metrics.round(H::Kind::NAME, outcome, started.elapsed());
        if let Again::After(wait) = again {
            self.queue.wake(key.clone(), after(wait));
        }
    }

    async fn round(&self, key: &Key) -> (Outcome, Again) {
        let cached = match self.hands.object(key) {
            None => return self.gone(key),
            Some(Err(broken)) => return self.unreadable(key, &broken).await,
            Some(Ok(object)) => object,
        };
        let uid = cached.uid().unwrap_or_default();
        self.known(|uids| uids.insert(key.clone(), uid.clone()));
        match self.barrier.passage(&uid, |write| self.caches.seen(write)) {
            Passage::Open => {}
            Passage::Wait(wait) => return (Outcome::Waited, Again::After(wait)),
            // Whatever is decided on an older view is conditional on it, so going on is safe; it is worth a line.
            Passage::ReadLive(late) => tracing::warn!(kind = H::Kind::NAME, ?key, ?late, "a cache is late"),
        }
        let (object, sight) = match self.hands.fresh(cached).await {
            Ok(Some((object, sight))) if object.meta().uid.as_deref() == Some(&uid) => (object, sight),
            Ok(_) => return (Outcome::Waited, Again::WhenWoken),
            Err(blind) => return self.blind(key, &uid, &blind),
        };
        if object.meta().deletion_timestamp.is_some() {
            self.probes.forget(&uid);
            return (Outcome::Silent, Again::WhenWoken);
        }
        self.on(key, &uid, object.as_ref(), sight).await
    }

    async fn on(&self, key: &Key, uid: &str, object: &H::Object, sight: H::Sight) -> (Outcome, Again) {
        let refused = lock(&self.paces).get(uid).and_then(|p| p.refused.clone());
        let known = Known { now: now(), answers: self.probes.answers(uid), refused };
        let seen = match self.hands.observe(object, sight, known).await {
            Ok(seen) => seen,
            Err(blind) => return self.blind(key, uid, &blind),
        };
        let mut decision = H::Kind::decide(&seen);
        let before = H::status(object);
        H::Kind::carry(&before, &mut decision.status, object.meta().generation.unwrap_or(0), now());
        record::<H::Kind>(key, &seen, &decision);
        let mut postponed = None;
        if decision.status != before {
            match self.report(key, uid, object, &before, &decision).await {
                Reported::Written if H::Kind::memory(&decision.status) != H::Kind::memory(&before) => {
                    return (Outcome::Acted, Again::After(Duration::ZERO));
                }
                Reported::Written => {}
                Reported::Postponed(wait) => postponed = Some(wait),
                Reported::Refused(refusal) => return self.refused(key, uid, None, refusal),
            }
        }
        let (queue, wake) = (Arc::clone(&self.queue), key.clone());
        self.probes.want(uid, &key.0, &decision.ask, &move || queue.wake(wake.clone(), Instant::now()));
        let outcome = match self.act(key, uid, object, &seen, &decision).await {
            Ok(outcome) => outcome,
            Err(end) => return end,
        };
        let timer = decision.check_again.map(|t| t.since(now()).std().saturating_add(Duration::from_millis(5)));
        let again = [timer, postponed].into_iter().flatten().min();
        (outcome, again.map_or(Again::WhenWoken, Again::After))
    }

    async fn act(
        &self,
        key: &Key,
        uid: &str,
        object: &H::Object,
        seen: &<H::Kind as Kind>::Observed,
        decision: &Decision<H::Kind>,
    ) -> Result<Outcome, (Outcome, Again)> {
        let waits =
            lock(&self.paces).get(uid).and_then(|p| p.not_before).map(|t| t.saturating_duration_since(Instant::now()));
        if let Some(wait) = waits.filter(|w| !w.is_zero() && !decision.actions.is_empty()) {
            return Err((Outcome::Waited, Again::After(wait)));
        }
        for action in &decision.actions {
            if let Err(veto) = H::Kind::permit(seen, action) {
                tracing::error!(
                    kind = H::Kind::NAME,
                    ?key,
                    ?action,
                    veto = veto.0,
                    "vetoed: this is a fault of the operator"
                );
                self.metrics.veto(H::Kind::NAME, veto.0);
                return Err((Outcome::Vetoed, Again::After(self.failed(uid, None))));
            }
            tracing::info!(
                kind = H::Kind::NAME,
                namespace = key.0,
                name = key.1,
                rule = decision.rule,
                ?action,
                "apply"
            );
            match self.hands.apply(object, seen, action).await {
                Ok(written) => written.into_iter().for_each(|w| self.barrier.wrote(uid, w)),
                Err(refusal) => return Err(self.refused(key, uid, Some(action), refusal)),
            }
        }
        if let Some(pace) = lock(&self.paces).get_mut(uid) {
            let was_refused = pace.refused.take().is_some();
            (pace.failures, pace.not_before) = (0, None);
            if was_refused {
                // The status still tells of the refusal.
                return Err((Outcome::Silent, Again::After(Duration::ZERO)));
            }
        }
        Ok(if decision.actions.is_empty() { Outcome::Silent } else { Outcome::Acted })
    }

    async fn report(
        &self,
        key: &Key,
        uid: &str,
        object: &H::Object,
        before: &<H::Kind as Kind>::Status,
        decision: &Decision<H::Kind>,
    ) -> Reported {
        let (Ok(was), Ok(status)) = (serde_json::to_value(before), serde_json::to_value(&decision.status)) else {
            return Reported::Refused(Refusal::Invalid("the status cannot be written as JSON".to_owned()));
        };
        let urgent = H::Kind::memory(before) != H::Kind::memory(&decision.status) || outline(&was) != outline(&status);
        let last = lock(&self.paces).get(uid).and_then(|p| p.reported);
        if let Some(left) = last.and_then(|t| CALM.checked_sub(t.elapsed())).filter(|_| !urgent) {
            return Reported::Postponed(left);
        }
        match self.writer.apply_status(&Target::of(object), &Seen::of(object), &status).await {
            Ok(written) => {
                self.barrier.wrote(uid, written);
                lock(&self.paces).entry(uid.to_owned()).or_default().reported = Some(Instant::now());
                let occasion = object.meta().resource_version.clone().unwrap_or_default();
                for event in H::Kind::events(before, &decision.status) {
                    self.tell(key, object, &event, &occasion).await;
                }
                Reported::Written
            }
            Err(refusal) => Reported::Refused(refusal),
        }
    }

    async fn tell(&self, key: &Key, object: &H::Object, event: &switchyard_decide::Event, occasion: &str) {
        tracing::info!(
            kind = H::Kind::NAME,
            namespace = key.0,
            name = key.1,
            reason = event.reason,
            note = event.note,
            "event"
        );
        self.publisher.tell(object, event, occasion).await;
    }

    /// Changes which objects are known, and counts them.
    fn known<T>(&self, change: impl FnOnce(&mut HashMap<Key, String>) -> T) -> T {
        let mut uids = lock(&self.uids);
        let result = change(&mut uids);
        self.metrics.objects(H::Kind::NAME, uids.len());
        result
    }

    fn gone(&self, key: &Key) -> (Outcome, Again) {
        if let Some(uid) = self.known(|uids| uids.remove(key)) {
            self.probes.forget(&uid);
            self.barrier.forget(&uid);
            lock(&self.paces).remove(&uid);
        }
        (Outcome::Silent, Again::WhenWoken)
    }

    /// Nothing is done about it, and it is told where people look.
    async fn unreadable(&self, key: &Key, broken: &InvalidObject) -> (Outcome, Again) {
        let why = &broken.error;
        tracing::error!(kind = H::Kind::NAME, namespace = key.0, name = key.1, why, "object cannot be read");
        let target = Target::named::<H::Object>(&key.0, &key.1);
        match unreadable::report(&self.writer, &target, broken, now()).await {
            Ok(()) => (Outcome::Blind, Again::WhenWoken),
            Err(refusal) => {
                let uid = broken.metadata.uid.clone().unwrap_or_default();
                self.known(|uids| uids.insert(key.clone(), uid.clone()));
                tracing::warn!(kind = H::Kind::NAME, namespace = key.0, name = key.1, ?refusal, "its status neither");
                (Outcome::Blind, Again::After(self.failed(&uid, None)))
            }
        }
    }

    fn blind(&self, key: &Key, uid: &str, blind: &Blind) -> (Outcome, Again) {
        let wait = self.failed(uid, None);
        tracing::warn!(kind = H::Kind::NAME, namespace = key.0, name = key.1, %blind, ?wait, "could not look");
        (Outcome::Blind, Again::After(wait))
    }

    fn refused(
        &self,
        key: &Key,
        uid: &str,
        action: Option<&<H::Kind as Kind>::Action>,
        refusal: Refusal,
    ) -> (Outcome, Again) {
        let asked = match &refusal {
            Refusal::Unavailable { retry_after_seconds } => retry_after_seconds.map(Duration::from_secs),
            Refusal::Stale | Refusal::Owned(_) | Refusal::Denied(_) | Refusal::Invalid(_) => None,
        };
        let told = refusal.message().is_some() || matches!(refusal, Refusal::Owned(_));
        tracing::info!(kind = H::Kind::NAME, namespace = key.0, name = key.1, ?refusal, ?action, "refused");
        let wait = self.failed(uid, action.map(|a| (a.clone(), refusal))).max(asked.unwrap_or_default());
        // What a person must mend is told in the next round; only the writes wait.
        (Outcome::Refused, Again::After(if told && action.is_some() { Duration::ZERO } else { wait }))
    }

    /// Remembers a refusal, and how long to wait before the next write.
    fn failed(&self, uid: &str, refused: Option<(<H::Kind as Kind>::Action, Refusal)>) -> Duration {
        let mut paces = lock(&self.paces);
        let pace = paces.entry(uid.to_owned()).or_default();
        let stale = matches!(&refused, Some((_, Refusal::Stale)));
        let wait = FIRST_BACK_OFF.saturating_mul(2u32.saturating_pow(pace.failures.min(16)));
        let wait = wait.min(if stale { Duration::from_secs(5) } else { LONGEST_BACK_OFF });
        pace.failures = pace.failures.saturating_add(1);
        pace.not_before = Some(after(wait));
        if refused.is_some() {
            pace.refused = refused;
        }
        self.metrics.back_off(H::Kind::NAME, wait);
        wait
    }
}

enum Reported {
    Written,
    Postponed(Duration),
    Refused(Refusal),
}

/// What of a status is never postponed: everything but counts and sentences.
fn outline(status: &Value) -> Vec<&Value> {
    let conditions = status.get("conditions").and_then(Value::as_array).into_iter().flatten();
    let words = conditions.flat_map(|c| ["type", "status", "reason", "observedGeneration"].map(|k| c.get(k)));
    words.chain([status.get("phase"), status.get("observedGeneration"), status.get("releases")]).flatten().collect()
}

/// One line for each decision that does something: enough to replay it.
fn record<K: Kind>(key: &Key, seen: &K::Observed, decision: &Decision<K>) {
    if !decision.actions.is_empty() && tracing::enabled!(target: "switchyard::record", tracing::Level::DEBUG) {
        let seen = serde_json::to_string(seen).unwrap_or_default();
        let actions = serde_json::to_string(&decision.actions).unwrap_or_default();
        tracing::debug!(target: "switchyard::record", kind = K::NAME, ?key, rule = decision.rule, actions, seen);
    }
}

/// No wait here is so long that the clock could not tell it; if one were, at once is the safe reading.
pub fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}

pub fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole, so a panic elsewhere leaves it usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
