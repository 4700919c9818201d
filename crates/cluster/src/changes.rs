//! From the events of a watch to a store and the objects that changed, in this order.
//!
//! kube's own `reflect` and `touched_objects` lose two kinds of wake-up when a watch has to list again, which is what a
//! long cut ends in: an object that vanished meanwhile is emitted by nothing, and a changed one is emitted before it is
//! in the store (that takes the new list as a whole, at its end), so that whoever wakes reads the old one and is not
//! woken again. Here a listed object is emitted once the list is in the store, if it differs from what was there; a
//! vanished one too, as it was last seen.

use std::{collections::HashMap, sync::Arc};

use futures::{Stream, StreamExt, stream};
use kube::runtime::{
    reflector::{ObjectRef, store::Writer},
    watcher,
};

use crate::{caches::Cached, target::Seen};

/// Feeds `store` from `events` and yields what changed in it.
pub(crate) fn changes<K>(
    store: Writer<K>,
    events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send
where
    K: Cached,
{
    events
        .scan(store, |store, event| {
            let changed = event.map(|event| keep(store, event));
            std::future::ready(Some(changed))
        })
        .flat_map(|changed| match changed {
            Ok(objects) => stream::iter(objects.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        })
}

fn keep<K>(store: &mut Writer<K>, event: watcher::Event<K>) -> Vec<K>
where
    K: Cached,
{
    let before = if matches!(event, watcher::Event::InitDone) { store.as_reader().state() } else { Vec::new() };
    store.apply_watcher_event(&event);
    match event {
        watcher::Event::Apply(object) | watcher::Event::Delete(object) => vec![object],
        watcher::Event::Init | watcher::Event::InitApply(_) => Vec::new(),
        watcher::Event::InitDone => differences(before, &store.as_reader().state()),
    }
}

fn differences<K>(before: Vec<Arc<K>>, after: &[Arc<K>]) -> Vec<K>
where
    K: Cached,
{
    let mut old: HashMap<ObjectRef<K>, Arc<K>> =
        before.into_iter().map(|object| (ObjectRef::from(object.as_ref()), object)).collect();
    let mut changed = Vec::new();
    for object in after {
        let was = old.remove(&ObjectRef::from(object.as_ref()));
        if was.is_none_or(|was| Seen::of(was.as_ref()) != Seen::of(object.as_ref())) {
            changed.push(object.as_ref().clone());
        }
    }
    changed.extend(old.into_values().map(Arc::unwrap_or_clone));
    changed
}
