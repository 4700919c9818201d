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

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{
        api::ObjectMeta,
        runtime::{reflector::Store, watcher::Event},
    };

    use super::*;

    fn map(name: &str, version: &str) -> ConfigMap {
        let metadata = ObjectMeta {
            name: Some(name.into()),
            namespace: Some("shop".into()),
            uid: Some(format!("uid of {name}")),
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn names(objects: &[ConfigMap]) -> Vec<String> {
        let mut names: Vec<_> = objects
            .iter()
            .map(|o| format!("{}@{}", o.metadata.name.clone().unwrap(), o.metadata.resource_version.clone().unwrap()))
            .collect();
        names.sort();
        names
    }

    /// What comes out when these events come in, and, for each object, whether the store then had what came out.
    fn played(histories: Vec<Vec<Event<ConfigMap>>>) -> Vec<Vec<String>> {
        let writer = Writer::<ConfigMap>::default();
        let store: Store<ConfigMap> = writer.as_reader();
        let (events, incoming) = mpsc::unbounded();
        let mut out = Box::pin(changes(writer, incoming));
        let mut played = Vec::new();
        for history in histories {
            for event in history {
                events.unbounded_send(Ok(event)).unwrap();
            }
            let mut came = Vec::new();
            while let Some(Some(object)) = futures::FutureExt::now_or_never(out.next()) {
                let object = object.unwrap();
                if let Some(stored) = store.get(&ObjectRef::from(&object)) {
                    assert_eq!(stored.metadata, object.metadata, "woken before it can be read");
                }
                came.push(object);
            }
            played.push(names(&came));
        }
        played
    }

    #[test]
    fn a_list_wakes_what_is_new_changed_or_gone() {
        let first = vec![
            Event::Init,
            Event::InitApply(map("same", "1")),
            Event::InitApply(map("changed", "2")),
            Event::InitApply(map("gone", "3")),
            Event::InitDone,
        ];
        let again = vec![
            Event::Init,
            Event::InitApply(map("same", "1")),
            Event::InitApply(map("changed", "5")),
            Event::InitApply(map("new", "6")),
            Event::InitDone,
        ];
        let came = played(vec![first, again]);
        assert_eq!(came, vec![vec!["changed@2", "gone@3", "same@1"], vec!["changed@5", "gone@3", "new@6"]]);
    }

    #[test]
    fn a_list_wakes_nobody_before_it_can_be_read() {
        let history = vec![Event::Init, Event::InitApply(map("a", "1"))];
        assert_eq!(played(vec![history, vec![Event::InitDone]]), vec![vec![], vec!["a@1".to_owned()]]);
    }

    #[test]
    fn events_pass_through() {
        let listed = vec![Event::Init, Event::InitDone];
        let came = played(vec![listed, vec![Event::Apply(map("a", "1"))], vec![Event::Delete(map("a", "2"))]]);
        assert_eq!(came, vec![vec![], vec!["a@1".to_owned()], vec!["a@2".to_owned()]]);
    }

    #[tokio::test]
    async fn errors_pass_through_and_the_cache_stays() {
        let writer = Writer::<ConfigMap>::default();
        let store = writer.as_reader();
        let events = stream::iter(vec![
            Ok(Event::Init),
            Ok(Event::InitApply(map("a", "1"))),
            Ok(Event::InitDone),
            Err(watcher::Error::NoResourceVersion),
        ]);
        let came: Vec<_> = changes(writer, events).collect().await;
        assert!(matches!(came.as_slice(), [Ok(_), Err(watcher::Error::NoResourceVersion)]));
        assert_eq!(store.len(), 1);
    }
}
