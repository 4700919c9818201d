//! What people ordered: by target, and what becomes of orders that no controller takes up.
//!
//! The sweep looks at the cache alone, and only when a Command changed, a target went, or a time has come. What it
//! writes is conditional and can be done again, so it may be cut off anywhere.

use std::{sync::Arc, time::Duration};

use kube::{Api, Client, ResourceExt};
use switchyard_api::{
    Command, Rollout, Timestamp,
    command::{CommandState, CommandStatus, CommandType, TargetKind, TargetRef},
};
use switchyard_cluster::{Seen, Target, Writer, caches::Guarded, refusal::refusal, target::Written};
use switchyard_decide::{
    Refusal,
    command::{Act, GRACE, Seen as Record, missed, sweep},
    rollout::{self, CommandOrder},
    words,
};

use crate::{
    caches::{Caches, own},
    driver::{after, now},
    leadership::Stop,
    queue::Queue,
};

/// Of a message, in characters, as the schema has it.
const LONGEST: usize = 4096;
/// After a write that was refused or could not be sent.
const RETRY: Duration = Duration::from_mins(1);

/// Of these Commands, those that wait for the Rollout with this uid, in the order they were given. What cannot be read
/// is left out.
pub fn waiting<'a>(uid: &str, commands: impl IntoIterator<Item = &'a Arc<Guarded<Command>>>) -> Vec<rollout::Command> {
    let decoded = commands.into_iter().filter_map(|command| command.0.as_ref().ok());
    let mut found: Vec<&Command> =
        decoded.filter(|c| c.spec.target_ref.uid == uid && !is_handled(c) && !is_going(c)).collect();
    found.sort_by_key(|command| (created(command), command.name_any()));
    found.into_iter().filter_map(waits).collect()
}

fn is_handled(command: &Command) -> bool {
    command.status.as_ref().is_some_and(|status| status.state.is_final())
}

fn is_going(command: &Command) -> bool {
    command.metadata.deletion_timestamp.is_some()
}

/// None where it names no revision and needs one, which the schema refuses.
fn waits(command: &Command) -> Option<rollout::Command> {
    let Seen { uid, version } = Seen::of(command);
    let spec = &command.spec;
    let order = match spec.kind {
        CommandType::Promote => CommandOrder::Promote(spec.revision?),
        CommandType::Abort => CommandOrder::Abort(spec.revision?),
        CommandType::Retry => CommandOrder::Retry(spec.revision?),
        CommandType::RollbackTo => CommandOrder::RollbackTo(spec.revision?),
        CommandType::Resume => CommandOrder::Resume,
    };
    let (name, user, reason) = (command.name_any(), spec.user.clone(), spec.reason.clone());
    Some(rollout::Command { uid, name, version, order, user, reason })
}

/// Says in the status of a Command what became of it; once said, it stands.
pub async fn answer(
    writer: &Writer,
    namespace: &str,
    name: &str,
    seen: &Seen,
    state: CommandState,
    message: &str,
) -> Result<Written, Refusal> {
    let message = words::capped(message, LONGEST);
    let status = CommandStatus { state, message, handled_time: state.is_final().then(now) };
    let status = serde_json::to_value(status).map_err(|error| Refusal::Invalid(error.to_string()))?;
    writer.apply_status(&Target::named::<Command>(namespace, name), seen, &status).await
}

fn created(command: &Command) -> Timestamp {
    command.creation_timestamp().map_or_else(Timestamp::default, |time| time.0.into())
}

/// Marks Commands whose target is gone, and deletes old ones.
pub struct Sweeper {
    pub client: Client,
    pub caches: Caches,
    pub writer: Writer,
    pub due: Arc<Queue<()>>,
}

impl Sweeper {
    /// Sweeps whenever it is due, until asked to stop.
    pub async fn run(self, mut stop: Stop) {
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return,
                () = self.turn() => {}
            }
        }
    }

    async fn turn(&self) {
        self.due.next().await;
        let again = self.sweep().await;
        self.due.done(&());
        if let Some(wait) = again {
            self.due.wake((), after(wait));
        }
    }

    /// One sweep, and after how long to do the next if nothing wakes it.
    async fn sweep(&self) -> Option<Duration> {
        let now = now();
        let commands = self.caches.commands.all();
        let seen: Vec<Record> =
            commands.iter().filter_map(|c| c.0.as_ref().ok()).map(|c| record(c, &self.caches)).collect();
        let sweep = sweep(now, &seen);
        let mut again = sweep.check_again.map(|time| time.since(now).std().saturating_add(Duration::from_millis(5)));
        for act in &sweep.acts {
            if let Some(wait) = self.act(act).await {
                again = Some(again.map_or(wait, |other| other.min(wait)));
            }
        }
        again
    }

    /// Does it, or says when to try again.
    async fn act(&self, act: &Act) -> Option<Duration> {
        let (record, verb, done) = match act {
            Act::Stale(record) => (record, "mark as stale", self.stale(record).await),
            Act::Delete(record) => {
                (record, "delete", self.writer.delete(&target(record), &seen(record)).await.map(drop))
            }
        };
        let Record { namespace, name, .. } = record;
        match done {
            Ok(()) => {
                tracing::info!(namespace, name, verb, "command");
                None
            }
            // Somebody was faster, and what they did wakes us once the cache shows it.
            Err(Refusal::Stale) => Some(GRACE.std()),
            Err(refusal) => {
                tracing::warn!(namespace, name, verb, ?refusal, "command: refused");
                Some(RETRY)
            }
        }
    }

    /// Marks it if its target is not there in truth either.
    async fn stale(&self, record: &Record) -> Result<(), Refusal> {
        let there = self.live(&record.namespace, &record.target).await.map_err(|error| refusal(&error))?;
        let Some(message) = missed(&record.target, there.as_deref()) else { return Err(Refusal::Stale) };
        let Record { namespace, name, .. } = record;
        answer(&self.writer, namespace, name, &seen(record), CommandState::Stale, &message).await.map(drop)
    }

    async fn delete(&self, record: &Record) -> Result<(), Refusal> {
        let target = Target::named::<Command>(&record.namespace, &record.name);
        self.writer.delete(&target, &seen(record)).await.map(drop)
    }

    /// The uid under the target's name, past every cache.
    async fn live(&self, namespace: &str, target: &TargetRef) -> kube::Result<Option<String>> {
        let found = match target.kind {
            TargetKind::Rollout => {
                let api: Api<Rollout> = Api::namespaced(self.client.clone(), namespace);
                api.get_metadata_opt(&target.name).await?.and_then(|object| object.metadata.uid)
            }
        };
        Ok(found)
    }
}

fn record(command: &Command, caches: &Caches) -> Record {
    let (namespace, name) = own(command);
    let target = command.spec.target_ref.clone();
    let Seen { uid, version } = Seen::of(command);
    let time = command.status.as_ref().and_then(|status| status.handled_time);
    Record {
        created: created(command),
        there: caches.uid_of(&namespace, &target),
        handled: is_handled(command).then(|| time.unwrap_or_else(|| created(command))),
        namespace,
        name,
        uid,
        version,
        target,
    }
}

fn seen(record: &Record) -> Seen {
    Seen { uid: record.uid.clone(), version: record.version.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// For the Rollout with this uid; `changes` go over it.
    fn command(name: &str, uid: &str, second: u8, changes: Value) -> Arc<Guarded<Command>> {
        let mut object = json!({
            "apiVersion": "switchyard.dev/v1alpha1", "kind": "Command",
            "metadata": {"name": name, "creationTimestamp": format!("2026-01-01T00:00:0{second}Z")},
            "spec": {"user": "alice", "type": "Resume", "targetRef": {"kind": "Rollout", "name": "shop", "uid": uid}},
        });
        merge(&mut object, changes);
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn merge(object: &mut Value, changes: Value) {
        match (object, changes) {
            (Value::Object(object), Value::Object(changes)) => {
                for (key, value) in changes {
                    merge(object.entry(key).or_insert(Value::Null), value);
                }
            }
            (object, value) => *object = value,
        }
    }

    fn names(uid: &str, commands: &[Arc<Guarded<Command>>]) -> Vec<String> {
        waiting(uid, commands).into_iter().map(|command| command.name).collect()
    }

    #[test]
    fn a_rollout_sees_the_commands_with_its_uid_in_the_order_they_were_given() {
        let commands = [
            command("b", "u", 1, json!({})),
            command("a", "u", 1, json!({})),
            command("z", "u", 0, json!({})),
            command("of-the-one-before", "v", 0, json!({})),
        ];
        assert_eq!(names("u", &commands), ["z", "a", "b"]);
    }

    #[test]
    fn a_command_that_was_handled_is_never_seen_again() {
        let in_state = |state: &str, time: Value| {
            let status = json!({"state": state, "message": "", "handledTime": time});
            command(state, "u", 0, json!({"status": status}))
        };
        let time = || json!("2026-01-01T00:00:09Z");
        let commands = [
            in_state("Done", time()),
            in_state("Refused", time()),
            in_state("Stale", time()),
            in_state("Pending", Value::Null),
        ];
        assert_eq!(names("u", &commands), ["Pending"]);
    }

    #[test]
    fn what_cannot_be_read_hides_nothing() {
        let dance = command("x", "u", 0, json!({"spec": {"type": "Dance"}}));
        assert!(dance.0.is_err());
        let nothing_named = command("y", "u", 0, json!({"spec": {"type": "Promote"}}));
        assert_eq!(names("u", &[dance, nothing_named, command("a", "u", 0, json!({}))]), ["a"]);
    }

    #[test]
    fn each_type_is_the_order_of_its_name() {
        for kind in CommandType::ALL {
            let revision = if kind == CommandType::Resume { Value::Null } else { json!("k7w2m9xq4b") };
            let spec = json!({"type": kind, "revision": revision, "reason": "INC-42"});
            let seen = waiting("u", &[command("a", "u", 0, json!({"spec": spec}))]).pop().unwrap();
            let order = format!("{:?}", seen.order);
            assert!(order.starts_with(&format!("{kind:?}")), "{order}");
            assert_eq!(order.contains("k7w2m9xq4b"), kind != CommandType::Resume, "{order}");
            assert_eq!((seen.user.as_str(), seen.reason.as_deref()), ("alice", Some("INC-42")));
        }
    }
}
