//! Negative controls: without each rule of the protocol, a property breaks. So the properties can break, and every rule
//! is needed.

use switchyard_decide::{
    Answer, Kind as _, Measured,
    build::{Action, Build, Observed},
};
use switchyard_world::build::Cluster;

use crate::{
    bounds::{Bounds, NO, Start},
    properties::{ALONE, CANCELLED, CHECKED, ENDED, FEW, FINAL, LOST, SERVED, WISE},
    rules::{self, Rules, Write, acts, land, plan, report},
    run::{Check, check},
};

const MUTANT: Rules = Rules { heeds_permit: false, ..rules::SOUND };

fn driver(plan: fn(&Observed) -> Vec<Write>) -> Rules {
    Rules { plan, ..MUTANT }
}
fn world(land: fn(&mut Cluster, &Write) -> bool) -> Rules {
    Rules { land, ..MUTANT }
}
/// The round of one that sees something else than there is.
fn with_eyes(lie: fn(&mut Observed), seen: &Observed) -> Vec<Write> {
    let mut lied = seen.clone();
    lie(&mut lied);
    plan(&lied)
}

#[test]
fn a_stop_that_deletes() {
    let rules = world(|cluster, write| {
        if let Write::Act(Action::Stop { step, attempt, .. }) = write {
            let key = (step.clone(), *attempt);
            cluster.jobs.remove(&key);
            cluster.pods.remove(&key);
            return true;
        }
        land(cluster, write)
    });
    let bounds = Bounds { unpulled: 1, ticks: 1, deposed: 1, ..NO };
    check(&Check::mutant("mutant: a Stop deletes the Job", rules, bounds, ALONE).checks(0));
}

#[test]
fn a_further_attempt_by_a_cached_job() {
    let rules = Rules { looks: false, ..MUTANT };
    let bounds = Bounds { unpulled: 1, ticks: 1, deposed: 1, ..NO };
    check(&Check::mutant("mutant: a further attempt by cached Jobs alone", rules, bounds, ALONE).checks(0));
}

#[test]
fn a_job_judged_before_its_pod() {
    let rules = driver(|seen| with_eyes(|seen| seen.jobs.values_mut().for_each(|job| job.pod_ended = true), seen));
    let bounds = Bounds { broken: 1, ticks: 1, ..NO };
    check(&Check::mutant("mutant: a Job is judged before its pod is seen", rules, bounds, WISE));
}

#[test]
fn a_pod_that_the_cache_does_not_have() {
    let rules = Rules { reads_pods: false, ..MUTANT };
    let bounds = Bounds { broken: 1, ticks: 1, ..NO };
    check(&Check::mutant("mutant: a pod that is not in the cache is gone", rules, bounds, WISE));
}

#[test]
fn attempts_without_end() {
    let rules = driver(|seen| with_eyes(|seen| seen.order.retries = 9, seen));
    let bounds = Bounds { evicted: 2, ticks: 2, ..NO };
    check(&Check::mutant("mutant: retries are not counted", rules, bounds, FEW));
}

#[test]
fn a_build_that_goes_on_after_its_end() {
    let rules = driver(|seen| {
        let forgetful = |seen: &mut Observed| {
            (seen.memory.finished, seen.memory.failure) = (None, None);
            seen.commands.clear();
        };
        let mut lied = seen.clone();
        forgetful(&mut lied);
        let runs = acts(Build::decide(&lied)).filter(Write::is_run);
        plan(seen).into_iter().chain(runs).collect()
    });
    let bounds = Bounds { orders: 1, ..NO };
    let mutant = |breaks| Check::mutant("mutant: a Build goes on after its end", rules, bounds, breaks);
    check(&mutant(ENDED));
    check(&mutant(CANCELLED));
}

#[test]
fn actions_before_memory() {
    let rules = driver(|seen| {
        let decision = Build::decide(seen);
        let report = report(seen, &decision);
        acts(decision).chain(report).collect()
    });
    let bounds = Bounds { orders: 1, crashes: 1, ..NO };
    check(&Check::mutant("mutant: actions come before memory", rules, bounds, CANCELLED).from(Start::Begun).checks(2));
}

#[test]
fn a_status_written_unseen() {
    let rules = world(|cluster, write| match write {
        Write::Report { memory, .. } => {
            let at = cluster.build.version.clone();
            cluster.report(&at, memory).is_ok()
        }
        Write::Look(_) | Write::Act(_) => land(cluster, write),
    });
    let bounds = Bounds { broken: 1, deposed: 1, ..NO };
    check(&Check::mutant("mutant: a status is written whatever was seen", rules, bounds, FINAL).checks(0));
}

#[test]
fn a_start_that_is_not_marked() {
    let rules = driver(|seen| with_eyes(|seen| seen.marked_started = false, seen));
    let bounds = Bounds { lost: 1, ..NO };
    check(&Check::mutant("mutant: the mark of a start is not heeded", rules, bounds, LOST).from(Start::Begun));
}

#[test]
fn a_start_that_is_marked_last() {
    let rules = driver(|seen| {
        let mut writes = plan(seen);
        writes.sort_by_key(|w| matches!(w, Write::Act(Action::MarkStarted { .. })));
        writes
    });
    let bounds = Bounds { lost: 1, ..NO };
    check(&Check::mutant("mutant: a start is marked after the first Job", rules, bounds, LOST));
}

#[test]
fn any_answer_of_the_registry() {
    let rules = driver(|seen| {
        let believing = |seen: &mut Observed| {
            for pushed in seen.memory.pushed.values() {
                let question = seen.serves(pushed);
                let value = Measured::Digest(pushed.digest.clone());
                seen.answers.insert(question, Answer::Known { at: seen.now, value });
            }
        };
        with_eyes(believing, seen)
    });
    check(&Check::mutant("mutant: what the worker says it pushed counts", rules, NO, SERVED));
}

#[test]
fn images_beside_checks() {
    let rules = driver(|seen| {
        let hasty = |seen: &mut Observed| seen.order.checks.clear();
        let mut writes = plan(seen);
        if !writes.iter().any(|w| matches!(w, Write::Report { .. })) {
            let mut lied = seen.clone();
            hasty(&mut lied);
            writes.extend(acts(Build::decide(&lied)).filter(Write::is_run));
        }
        writes
    });
    check(&Check::mutant("mutant: images do not wait for checks", rules, NO, CHECKED));
}
