use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use super::*;

/// Answers from a list, the last one for ever.
struct Script(Mutex<Vec<Result<Measured, Unreachable>>>, AtomicUsize);

impl Asker<u8> for Arc<Script> {
    async fn ask(&self, _: &str, _: &u8) -> Result<Measured, Unreachable> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut list = lock(&self.0);
        if list.len() > 1 { list.remove(0) } else { list[0].clone() }
    }
}

fn head(commit: char) -> Measured {
    Measured::Head { branch: "main".into(), commit: commit.to_string().repeat(40).parse().unwrap() }
}

fn clock() -> Timestamp {
    static TICKS: AtomicI64 = AtomicI64::new(0);
    Timestamp::from_millisecond(TICKS.fetch_add(1, Ordering::SeqCst))
}

struct Setup {
    probes: Probes<u8, Arc<Script>>,
    script: Arc<Script>,
    woken: Arc<tokio::sync::Semaphore>,
}

fn setup(answers: Vec<Result<Measured, Unreachable>>) -> Setup {
    let script = Arc::new(Script(Mutex::new(answers), AtomicUsize::new(0)));
    Setup { probes: Probes::new(Arc::clone(&script), clock), script, woken: Arc::new(tokio::sync::Semaphore::new(0)) }
}

impl Setup {
    fn want(&self, cadence: Option<Cadence>) {
        let woken = Arc::clone(&self.woken);
        let ask = cadence.map(|c| (7, c)).into_iter().collect();
        self.probes.want("uid", "ns", &ask, &move || woken.add_permits(1));
    }
    async fn woken(&self) {
        self.woken.acquire().await.unwrap().forget();
    }
}

const SECOND: switchyard_api::Duration = switchyard_api::Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_answer_given_again_wakes_nobody() {
    let s = setup(vec![Ok(head('a')), Ok(head('a')), Ok(head('a')), Ok(head('b'))]);
    s.want(Some(Cadence::Every(SECOND)));
    s.woken().await;
    let first = s.probes.answers("uid");
    s.woken().await;
    assert!(matches!(&first[&7], Answer::Known { value, .. } if *value == head('a')));
    assert!(matches!(&s.probes.answers("uid")[&7], Answer::Known { value, .. } if *value == head('b')));
    assert_eq!(s.script.1.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn until_ends_with_the_first_answer_and_not_with_a_failure() {
    let s = setup(vec![Err(Unreachable::Network("no".into())), Ok(head('a'))]);
    s.want(Some(Cadence::Until(SECOND)));
    s.woken().await;
    assert!(matches!(s.probes.answers("uid")[&7], Answer::Unreachable { .. }));
    s.woken().await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(s.script.1.load(Ordering::SeqCst), 2, "answered, so not asked again");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_asked_is_forgotten() {
    let s = setup(vec![Ok(head('a'))]);
    s.want(Some(Cadence::Every(SECOND)));
    s.woken().await;
    s.want(None);
    let asked = s.script.1.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(s.script.1.load(Ordering::SeqCst), asked);
    assert!(s.probes.answers("uid").is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_slow_the_pace_down_to_a_limit() {
    let seconds = |failures| pace(Cadence::Every(switchyard_api::Duration::from_mins(1)), failures).as_secs();
    assert_eq!([0, 1, 2, 3, 4, 9].map(seconds), [60, 60, 120, 240, 300, 300]);
    assert_eq!(
        pace(Cadence::Every(switchyard_api::Duration::from_mins(10)), 5).as_secs(),
        600,
        "never faster than asked"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_inconclusive_is_asked_again_at_the_same_pace() {
    let inconclusive = || Err(Unreachable::Inconclusive("no data".into()));
    let mut answers: Vec<_> = std::iter::repeat_with(inconclusive).take(20).collect();
    answers.push(Ok(head('a')));
    let s = setup(answers);
    let began = tokio::time::Instant::now();
    s.want(Some(Cadence::Until(SECOND)));
    s.woken().await;
    s.woken().await;
    assert_eq!(began.elapsed(), Duration::from_secs(20));
    assert_eq!(failures_after(1, &Err(Unreachable::Network("no".into()))), 2, "and failures do add up");
}
