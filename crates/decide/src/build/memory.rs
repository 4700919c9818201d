//! Facts become memory: here and nowhere else.

use switchyard_api::build::{BuiltImage, Class, Failure, Memory};

use super::{
    classify::failure,
    commands,
    observed::{Observed, Source, Step},
    reasons, status, told,
};
use crate::{Answer, Measured, Unreachable};

pub fn remember(seen: &Observed) -> Memory {
    let mut memory = seen.memory.clone();
    if memory.finished.is_some() {
        return memory;
    }
    if memory.started.is_none() {
        start(seen, &mut memory);
        return memory;
    }
    for step in seen.order.steps() {
        if let Some(job) = seen.job(&memory, &step).cloned() {
            told::look(seen, &mut memory, &step, &job);
        }
    }
    told::refused(seen, &mut memory);
    for image in &seen.order.images {
        verify(seen, &mut memory, &image.name);
    }
    if !done(seen, &memory) {
        commands::obey(seen, &mut memory);
    }
    finish(seen, &mut memory);
    memory
}

/// A Build that was started once and lost its status is never run again: it takes its result from its annotation, or
/// ends as lost.
fn start(seen: &Observed, memory: &mut Memory) {
    if let Some(result) = &seen.marked_result {
        memory.started = Some(result.started.unwrap_or(result.finished));
        memory.finished = Some(result.finished);
        memory.version.clone_from(&result.version);
        memory.failure.clone_from(&result.failure);
        memory.skipped = result.skipped;
        memory.scans = result.scans.iter().map(|s| (s.image.clone(), s.clone())).collect();
        memory.served = result.images.iter().map(|i| i.name.clone()).collect();
        memory.pushed = result.images.iter().map(|i| (i.name.clone(), i.clone())).collect();
        return;
    }
    memory.started = Some(seen.now);
    if seen.marked_started {
        let message = "it was started before, and its status is gone";
        memory.failure = Some(failure("start", reasons::LOST, message, None));
        memory.finished = Some(seen.now);
    }
    if let (Source::Image { digest }, false) = (&seen.order.source, seen.order.scanned) {
        // Nothing is to be done but to ask its registry.
        let there = seen.order.images.iter().map(|i| BuiltImage {
            name: i.name.clone(),
            repository: i.repository.clone(),
            digest: digest.clone(),
            tags: vec![],
        });
        memory.pushed = there.map(|image| (image.name.clone(), image)).collect();
    }
}

fn verify(seen: &Observed, memory: &mut Memory, name: &str) {
    let Some(pushed) = memory.pushed.get(name) else { return };
    let (reason, message) = match (seen.answers.get(&seen.serves(pushed)), &seen.order.source) {
        (Some(Answer::Known { value: Measured::Digest(served), .. }), _) if *served == pushed.digest => {
            memory.served.insert(name.to_owned());
            return;
        }
        (Some(Answer::Known { value: Measured::Digest(served), .. }), _) => (
            reasons::DIGEST_MISMATCH,
            format!("pushed {}, but the registry serves {served} under that tag", pushed.digest),
        ),
        // What was just pushed may show late; what others pushed long ago is there or not.
        (Some(Answer::Unreachable { why: Unreachable::Missing(why), .. }), Source::Image { .. }) => {
            (reasons::IMAGE_NOT_FOUND, why.clone())
        }
        (Some(Answer::Known { .. } | Answer::Unreachable { .. }) | None, _) => return,
    };
    memory.failure.get_or_insert_with(|| failure(&Step::Image(name.to_owned()).to_string(), reason, message, None));
}

/// It has its result, or needs none.
fn done(seen: &Observed, memory: &Memory) -> bool {
    memory.skipped || seen.order.images.iter().all(|i| memory.served.contains(&i.name))
}

fn finish(seen: &Observed, memory: &mut Memory) {
    let done = done(seen, memory);
    let late = memory.started.is_some_and(|t| seen.now.since(t) >= seen.order.timeout);
    if memory.failure.is_none() && !done && late {
        memory.failure = Some(too_late(seen, memory));
    }
    if memory.failure.is_some() {
        memory.skipped = false;
    }
    if done || memory.failure.is_some() {
        memory.finished = Some(seen.now);
    }
}

/// Named after what it waited for, where that is known.
fn too_late(seen: &Observed, memory: &Memory) -> Failure {
    let waited = status::waiting(seen, memory).into_iter().next();
    let waited = waited.map(|w| format!("; it waited for {w}")).unwrap_or_default();
    let message = format!("not done after {}{waited}", seen.order.timeout);
    let mut open = status::open(seen, memory);
    let unserved = memory.pushed.keys().filter(|name| !memory.served.contains(*name));
    open.extend(unserved.map(|name| Step::Image(name.clone())));
    let problem = open.iter().find_map(|step| Some((step, status::problem(seen, memory, step)?)));
    let place = open.first().map_or_else(|| "build".to_owned(), ToString::to_string);
    match problem {
        Some((step, problem)) => {
            Failure { class: Class::Timeout, ..failure(&step.to_string(), &problem.reason, message, None) }
        }
        None => failure(&place, reasons::TIMEOUT, message, None),
    }
}
