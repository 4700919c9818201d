#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn terms() -> Terms {
    Terms { identity: "me".into(), ..Terms::of("pod") }
}

fn held(holder: &str, version: u64) -> Held {
    Held { version: version.to_string(), holder: holder.into(), duration: s(15), transitions: 3, acquired: None }
}

fn theirs(holder: &str, version: u64, since: u64) -> Knowledge {
    Knowledge::Theirs { held: held(holder, version), since: s(since) }
}

fn ours(version: u64, renewed: u64) -> Knowledge {
    Knowledge::Ours { held: held("me", version), renewed: s(renewed) }
}

fn wrote(version: u64, sent: u64) -> News {
    News::Wrote { held: held("me", version), sent: s(sent) }
}

#[test]
fn every_answer_has_its_step() {
    let wait = Step::Wait(s(2));
    let nothing = Knowledge::Nothing;
    let read = |holder, version| News::Read(held(holder, version));
    // known, news, now -> known, step
    let table = [
        // Standby.
        (nothing.clone(), News::Absent, 0, nothing.clone(), Step::Create),
        (nothing.clone(), News::Silence, 0, nothing.clone(), wait.clone()),
        (nothing.clone(), News::Beaten, 0, nothing.clone(), Step::Read),
        (nothing.clone(), read("other", 7), 1, theirs("other", 7, 1), wait.clone()),
        (nothing.clone(), read("", 7), 1, theirs("", 7, 1), Step::Take(held("", 7))),
        (theirs("other", 7, 1), read("other", 7), 15, theirs("other", 7, 1), wait.clone()),
        (theirs("other", 7, 1), read("other", 7), 16, theirs("other", 7, 1), Step::Take(held("other", 7))),
        (theirs("other", 7, 1), read("other", 8), 16, theirs("other", 8, 16), wait.clone()),
        (theirs("other", 7, 1), News::Silence, 60, theirs("other", 7, 1), wait.clone()),
        (theirs("other", 7, 1), News::Beaten, 60, theirs("other", 7, 1), Step::Read),
        (theirs("other", 7, 1), News::Absent, 2, nothing.clone(), Step::Create),
        // The answer to our taking it was lost.
        (theirs("other", 7, 1), read("me", 8), 20, theirs("me", 8, 20), Step::Take(held("me", 8))),
        (theirs("other", 7, 1), wrote(8, 20), 21, ours(8, 20), wait.clone()),
        // Leader.
        (ours(8, 20), wrote(9, 22), 23, ours(9, 22), wait.clone()),
        (ours(8, 20), News::Silence, 29, ours(8, 20), wait.clone()),
        (ours(8, 20), News::Silence, 30, ours(8, 20), Step::Lost),
        (ours(8, 20), News::Beaten, 25, ours(8, 20), Step::Read),
        (ours(8, 20), read("me", 9), 25, ours(9, 20), Step::Renew(held("me", 9))),
        (ours(8, 20), read("me", 9), 30, ours(9, 20), Step::Lost),
        (ours(8, 20), read("other", 9), 21, theirs("other", 9, 21), Step::Lost),
        (ours(8, 20), News::Absent, 21, nothing.clone(), Step::Lost),
        // The renewal took longer than a leader may act on it.
        (ours(8, 20), wrote(9, 22), 32, ours(9, 22), Step::Lost),
    ];
    for (known, news, now, then, step) in table {
        assert_eq!(next(known.clone(), &news, &terms(), s(now)), (then, step), "{known:?} {news:?} at {now}");
    }
}

#[test]
fn a_wait_ends_in_a_look_or_a_renewal() {
    assert_eq!(resume(&Knowledge::Nothing, &terms(), s(0)), Step::Read);
    assert_eq!(resume(&theirs("other", 7, 1), &terms(), s(99)), Step::Read);
    assert_eq!(resume(&ours(8, 20), &terms(), s(22)), Step::Renew(held("me", 8)));
    assert_eq!(resume(&ours(8, 20), &terms(), s(30)), Step::Lost);
}

#[test]
fn no_two_processes_are_the_same_candidate() {
    assert_ne!(Terms::of("pod").identity, Terms::of("pod").identity);
}

/// A server and three replicas whose requests are delayed, refused and lost, and which are paused. Whatever happens, at
/// most one of them may act.
mod many {
    use super::*;

    struct Server {
        version: u64,
        lease: Option<Held>,
    }

    struct Replica {
        terms: Terms,
        known: Knowledge,
        step: Step,
        /// When the news arrives; the request reached the server when it was sent.
        due: Option<(Duration, News)>,
        awake_at: Duration,
        lost: bool,
    }

    /// A small generator, so that a seed names a history (SplitMix64).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)) % bound
        }
    }

    impl Server {
        fn answer(&mut self, step: &Step, me: &str, sent: Duration) -> News {
            let fits = match step {
                Step::Read => return self.lease.clone().map_or(News::Absent, News::Read),
                Step::Create => self.lease.is_none(),
                Step::Take(seen) | Step::Renew(seen) => {
                    self.lease.as_ref().is_some_and(|lease| lease.version == seen.version)
                }
                Step::Wait(_) | Step::Lost => unreachable!(),
            };
            if !fits {
                return News::Beaten;
            }
            self.version += 1;
            let held = Held { version: self.version.to_string(), ..super::held(me, 0) };
            self.lease = Some(held.clone());
            News::Wrote { held, sent }
        }
    }

    /// Returns how many distinct replicas led.
    fn history(seed: u64) -> usize {
        let mut dice = Dice(seed);
        let mut server = Server { version: 0, lease: None };
        let mut replicas: Vec<Replica> = (0..3)
            .map(|n| Replica {
                terms: Terms { identity: format!("r{n}"), ..terms() },
                known: Knowledge::Nothing,
                step: Step::Read,
                due: None,
                awake_at: s(0),
                lost: false,
            })
            .collect();
        let mut led = std::collections::BTreeSet::new();
        for tick in 0..2400 {
            let now = Duration::from_millis(tick * 100);
            for (n, replica) in replicas.iter_mut().enumerate() {
                if now < replica.awake_at || replica.lost {
                    continue;
                }
                if dice.below(600) == 0 {
                    // Paused, or cut off: up to 40 s.
                    replica.awake_at = now + Duration::from_millis(dice.below(40_000));
                    continue;
                }
                if let Some((at, news)) = replica.due.take() {
                    if now < at {
                        replica.due = Some((at, news));
                        continue;
                    }
                    (replica.known, replica.step) = next(replica.known.clone(), &news, &replica.terms, now);
                }
                match replica.step.clone() {
                    Step::Wait(time) => {
                        replica.awake_at = now + time;
                        replica.step = resume(&replica.known, &replica.terms, now + time);
                    }
                    Step::Lost => replica.lost = true,
                    asked @ (Step::Read | Step::Create | Step::Take(_) | Step::Renew(_)) => {
                        let delay = Duration::from_millis(dice.below(3) * dice.below(4000));
                        let news = match dice.below(10) {
                            0 => News::Silence,
                            1 => {
                                // It happened, and the answer is lost.
                                server.answer(&asked, &replica.terms.identity, now);
                                News::Silence
                            }
                            _ => server.answer(&asked, &replica.terms.identity, now),
                        };
                        replica.due = Some((now + delay, news));
                    }
                }
                if leads_for(&replica.known, &replica.terms, now).is_some() {
                    led.insert(n);
                }
            }
            let leaders = replicas
                .iter()
                .filter(|replica| !replica.lost && leads_for(&replica.known, &replica.terms, now).is_some())
                .count();
            assert!(leaders <= 1, "seed {seed}: {leaders} leaders at {now:?}");
        }
        led.len()
    }

    #[test]
    fn never_do_two_lead() {
        let led: Vec<usize> = (0..2000).map(history).collect();
        // Otherwise this shows nothing.
        assert!(led.iter().filter(|led| **led > 1).count() > 500);
    }
}
