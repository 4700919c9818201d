//! An object that this version cannot read: stored by another version, under another schema. It is told on the object
//! itself, and nothing else of its status is touched; the others go on.

use kube::core::error_boundary::InvalidObject;
use serde_json::{Value, json};
use switchyard_api::{
    Timestamp,
    condition::{self, Condition, READY, RECONCILING, STALLED, State, reason},
};
use switchyard_cluster::{ops::Ops, target::Target, writer::Writer};
use switchyard_decide::{Refusal, words};

/// Says so in the conditions, unless they do already.
pub async fn report(writer: &Writer, target: &Target, broken: &InvalidObject, now: Timestamp) -> Result<(), Refusal> {
    let Some((seen, object)) = writer.raw(target).await? else { return Ok(()) };
    match ops(&object, &broken.error, now) {
        Some(ops) => writer.patch_status(target, &seen, ops).await.map(drop),
        None => Ok(()),
    }
}

fn ops(object: &Value, why: &str, now: Timestamp) -> Option<Ops> {
    let before = object.pointer("/status/conditions").cloned().unwrap_or_default();
    // Where they cannot be read either, they are made anew.
    let before: Vec<Condition> = serde_json::from_value(before).unwrap_or_default();
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    let message = words::capped(&format!("this version of Switchyard cannot read it: {why}"), 1024);
    let mut after: Vec<Condition> = [(READY, State::Unknown), (RECONCILING, State::False), (STALLED, State::True)]
        .map(|(kind, status)| Condition { status, ..Condition::new(kind, false, reason::UNREADABLE, &*message) })
        .into();
    condition::carry(&before, &mut after, generation, now);
    if before == after {
        return None;
    }
    let ops = Ops::new();
    Some(if object.get("status").is_some_and(Value::is_object) {
        ops.set(&["status", "conditions"], json!(after)).set(&["status", "observedGeneration"], generation)
    } else {
        ops.set(&["status"], json!({"conditions": after, "observedGeneration": generation}))
    })
}
