//! One leader, whoever dies.

use std::time::{Duration, Instant};

use kube::Client;
use switchyard_cluster::{Candidacy, Election, Leadership, Terms, client};
use tokio::time::timeout;

use crate::{
    ground::{Ground, on_ground},
    proxy::Proxy,
};

fn stand(client: Client, ground: &Ground, pod: &str) -> Candidacy {
    Election::new(client, &ground.namespace, "switchyard", Terms::of(pod)).start()
}

async fn becomes(candidacy: &Candidacy, wanted: Leadership, within: Duration) -> Instant {
    let mut leadership = candidacy.leadership();
    let outcome = timeout(within, leadership.wait_for(|now| *now == wanted)).await;
    outcome.unwrap_or_else(|_| panic!("not {wanted:?} within {within:?}")).unwrap();
    Instant::now()
}

#[test]
#[ignore = "needs the test cluster"]
fn a_released_lease_is_taken_at_once() {
    on_ground(async |ground: Ground| {
        let first = stand(ground.client.clone(), &ground, "a");
        becomes(&first, Leadership::Leading, Duration::from_secs(5)).await;
        let second = stand(ground.client.clone(), &ground, "b");
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(*second.leadership().borrow(), Leadership::Standby, "longer than the Lease lasts");
        assert_eq!(*first.leadership().borrow(), Leadership::Leading);
        first.release().await;
        let released = Instant::now();
        let led = becomes(&second, Leadership::Leading, Duration::from_secs(5)).await;
        println!("taken over {:?} after the release", led.duration_since(released));
        second.release().await;
    });
}

/// The leader is cut off without a word. It must know before another begins.
#[test]
#[ignore = "needs the test cluster"]
fn a_leader_that_is_cut_off_stops_before_another_begins() {
    on_ground(async |ground: Ground| {
        let proxy = Proxy::before(&ground.config).await;
        let first = stand(client::client(proxy.config(&ground.config)).unwrap(), &ground, "a");
        becomes(&first, Leadership::Leading, Duration::from_secs(5)).await;
        let second = stand(ground.client.clone(), &ground, "b");
        tokio::time::sleep(Duration::from_secs(5)).await;
        proxy.cut_for_good();
        let cut = Instant::now();
        let lost = becomes(&first, Leadership::Lost, Duration::from_secs(12));
        let led = becomes(&second, Leadership::Leading, Duration::from_secs(30));
        let (lost, led) = tokio::join!(lost, led);
        println!("lost {:?} and taken over {:?} after the cut", lost.duration_since(cut), led.duration_since(cut));
        assert!(led.duration_since(lost) > Duration::from_secs(2));
        second.release().await;
    });
}

/// Only the connection is lost, not the way: no reason to give up.
#[test]
#[ignore = "needs the test cluster"]
fn a_leader_outlives_a_connection() {
    on_ground(async |ground: Ground| {
        let proxy = Proxy::before(&ground.config).await;
        let first = stand(client::client(proxy.config(&ground.config)).unwrap(), &ground, "a");
        becomes(&first, Leadership::Leading, Duration::from_secs(5)).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(11)).await;
            proxy.cut();
        }
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert_eq!(*first.leadership().borrow(), Leadership::Leading);
        first.release().await;
    });
}
