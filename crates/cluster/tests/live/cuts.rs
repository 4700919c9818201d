//! A connection that falls silent without being closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt, api::DeleteParams};
use switchyard_cluster::{Scope, caches, client};
use tokio::time::{sleep, timeout};

use crate::{
    ground::{Ground, on_ground},
    proxy::Proxy,
};

const READERS: u32 = 40;

/// Forty readers at once; then every connection falls silent. Each call must end, and those after it must be answered.
#[test]
#[ignore = "needs the test cluster"]
fn calls_end_though_their_connections_are_cut_under_load() {
    on_ground(async |ground: Ground| {
        ground.create(&ground.map("shop")).await;
        let proxy = Proxy::before(&ground.config).await;
        let client = client::client(proxy.config(&ground.config)).unwrap();
        let (answered, failed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let began = Instant::now();
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), &ground.namespace);
            let (answered, failed) = (answered.clone(), failed.clone());
            readers.push(tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                let mut last = Instant::now();
                while began.elapsed() < Duration::from_secs(45) {
                    let asked = Instant::now();
                    match api.get("shop").await {
                        Ok(_) => {
                            answered.fetch_add(1, Ordering::Relaxed);
                            last = Instant::now();
                        }
                        Err(_) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    longest = longest.max(asked.elapsed());
                    sleep(Duration::from_millis(20)).await;
                }
                (longest, last.duration_since(began))
            }));
        }
        sleep(Duration::from_secs(3)).await;
        let before = answered.load(Ordering::Relaxed);
        let connections = proxy.cut();
        let mut longest = Duration::ZERO;
        for reader in readers {
            let (its_longest, last_answer) =
                timeout(Duration::from_secs(90), reader).await.expect("a call hangs").unwrap();
            longest = longest.max(its_longest);
            assert!(last_answer > Duration::from_secs(40), "a reader was not answered again: {last_answer:?}");
        }
        let failed = failed.load(Ordering::Relaxed);
        println!(
            "{connections} connections cut after {before} answers; {failed} calls failed, the longest after {longest:?}; \
             {} answers in all",
            answered.load(Ordering::Relaxed)
        );
        assert!(failed > 0, "no call was under way when the connections were cut");
        assert!(longest < client::CALL + Duration::from_secs(2), "{longest:?}");
    });
}

/// The watch's own connection falls silent right after it began, which is the worst moment.
#[test]
#[ignore = "needs the test cluster"]
fn a_silent_watch_is_noticed_and_the_cache_catches_up() {
    on_ground(async |ground: Ground| {
        ground.create(&ground.map("stays")).await;
        ground.create(&ground.map("goes")).await;
        let proxy = Proxy::before(&ground.config).await;
        let watching = client::client(proxy.config(&ground.config)).unwrap();
        let scope = Scope::Namespaces([ground.namespace.clone()].into());
        let caches::Feed { cache, mut touched } =
            caches::feed::<ConfigMap>(&watching, &scope, None, caches::ManagedFields::Drop);
        let (wake, mut woken) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(object) = touched.next().await {
                if let Ok(object) = object {
                    let _ = wake.send((object.name_any(), Instant::now()));
                }
            }
        });
        caches::synced(vec![("configmaps", cache.ready())], Duration::from_secs(10)).await.unwrap();
        assert!(cache.get(&ground.namespace, "stays").unwrap().managed_fields().is_empty());
        ground.create(&ground.map("before")).await;
        wait_for(&mut woken, "before").await;

        proxy.cut();
        let cut = Instant::now();
        ground.create(&ground.map("new")).await;
        ground.api::<ConfigMap>().delete("goes", &DeleteParams::default()).await.unwrap();
        let new = wait_for(&mut woken, "new").await.duration_since(cut);
        let gone = wait_for(&mut woken, "goes").await.duration_since(cut);
        println!("the cut was noticed: created object seen after {new:?}, deleted one after {gone:?}");
        assert!(new > Duration::from_secs(20), "the watch was not cut: {new:?}");
        assert!(new.max(gone) < Duration::from_mins(1));
        assert!(cache.get(&ground.namespace, "new").is_some());
        assert!(cache.get(&ground.namespace, "goes").is_none());
    });
}

async fn wait_for(woken: &mut tokio::sync::mpsc::UnboundedReceiver<(String, Instant)>, name: &str) -> Instant {
    timeout(Duration::from_mins(2), async {
        loop {
            let (woke, at) = woken.recv().await.unwrap();
            if woke == name {
                return at;
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{name} woke nobody"))
}
