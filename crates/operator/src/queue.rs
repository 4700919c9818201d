//! Which object is due next: each at most once at a time, and never twice for two reasons to look.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

/// Keys and when they are due. A key that is being worked on waits until [`Queue::done`].
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    order: BTreeSet<(Instant, K)>,
    due: HashMap<K, Instant>,
    running: HashSet<K>,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    pub fn new() -> Self {
        let state = State { order: BTreeSet::new(), due: HashMap::new(), running: HashSet::new() };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// `key` is due at `when`, or earlier if it was already.
    pub fn wake(&self, key: K, when: Instant) {
        let mut state = self.lock();
        if state.due.get(&key).is_some_and(|due| *due <= when) {
            return;
        }
        if let Some(later) = state.due.insert(key.clone(), when) {
            state.order.remove(&(later, key.clone()));
        }
        state.order.insert((when, key));
        drop(state);
        self.changed.notify_one();
    }

    /// The next key that is due, once it is.
    pub async fn next(&self) -> K {
        loop {
            let wait = match self.take(Instant::now()) {
                Ok(key) => return key,
                Err(wait) => wait,
            };
            match wait {
                Some(when) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(when) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Work on `key` has ended.
    pub fn done(&self, key: &K) {
        self.lock().running.remove(key);
        self.changed.notify_one();
    }

    fn take(&self, now: Instant) -> Result<K, Option<Instant>> {
        let mut state = self.lock();
        let next = state.order.iter().find(|(_, key)| !state.running.contains(key)).cloned();
        match next {
            Some((when, key)) if when <= now => {
                state.order.remove(&(when, key.clone()));
                state.due.remove(&key);
                state.running.insert(key.clone());
                Ok(key)
            }
            Some((when, _)) => Err(Some(when)),
            None => Err(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn two_reasons_are_one_round_at_the_earlier_time() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.wake("a", start + Duration::from_secs(9));
        queue.wake("a", start + Duration::from_secs(3));
        queue.wake("a", start + Duration::from_secs(6));
        assert_eq!(queue.next().await, "a");
        assert_eq!(start.elapsed().as_secs(), 3);
        queue.done(&"a");
        assert!(tokio::time::timeout(Duration::from_mins(1), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_woken_while_it_runs_runs_again_and_not_at_once_twice() {
        let queue = Queue::new();
        queue.wake("a", Instant::now());
        assert_eq!(queue.next().await, "a");
        queue.wake("a", Instant::now());
        queue.wake("b", Instant::now());
        assert_eq!(queue.next().await, "b");
        assert!(tokio::time::timeout(Duration::from_secs(1), queue.next()).await.is_err());
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
    }
}
