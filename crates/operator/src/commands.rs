//! What people ordered: by target, and what becomes of orders that no controller takes up.
//!
//! The sweep looks at the cache alone, and only when a Command changed, a target went, or a time has come. What it
//! writes is conditional and can be done again, so it may be cut off anywhere.

use std::{sync::Arc, time::Duration};

use kube::{Api, Client, ResourceExt};
use switchyard_api::{
    Build, Command, Rollout, Timestamp,
    command::{CommandState, CommandStatus, TargetKind, TargetRef},
};
use switchyard_cluster::{Seen, Target, Writer, caches::Guarded, refusal::refusal};
use switchyard_decide::{
    Refusal, Version,
    command::{Act, Command as Ordered, GRACE, Seen as Record, missed, sweep},
};

use crate::{
    caches::{Caches, own},
    driver::{after, now},
    leadership::Stop,
    queue::Queue,
};

/// After a write that was refused or could not be sent.
const RETRY: Duration = Duration::from_mins(1);

/// Of these Commands, those for the object with this uid, in the order they were given. What cannot be read, or is being
/// deleted, is left out.
pub fn of<'a>(uid: &str, commands: impl IntoIterator<Item = &'a Arc<Guarded<Command>>>) -> Vec<&'a Command> {
    let decoded = commands.into_iter().filter_map(|command| command.0.as_ref().ok());
    let stays = |command: &&Command| command.metadata.deletion_timestamp.is_none();
    let mut found: Vec<&Command> = decoded.filter(|c| c.spec.target_ref.uid == uid).filter(stays).collect();
    found.sort_by_key(|command| (created(command), command.name_any()));
    found
}

/// A Command as its target's controller sees it. None: it was answered.
pub fn unanswered<Order>(command: &Command, order: Order) -> Option<Ordered<Order>> {
    let answered = command.status.as_ref().is_some_and(|status| status.state.is_final());
    (!answered).then(|| Ordered {
        uid: command.uid().unwrap_or_default(),
        name: command.name_any(),
        version: Version::new(command.resource_version().unwrap_or_default()),
        order,
        user: command.spec.user.clone(),
        reason: command.spec.reason.clone(),
    })
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
            Act::Delete(record) => (record, "delete", self.delete(record).await),
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
        let status = CommandStatus { state: CommandState::Stale, message, handled_time: Some(now()) };
        let status = serde_json::to_value(status).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let target = Target::named::<Command>(namespace, name);
        self.writer.apply_status(&target, &seen(record), &status).await.map(drop)
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
            TargetKind::Build => {
                let api: Api<Build> = Api::namespaced(self.client.clone(), namespace);
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
    let handled = command.status.as_ref().filter(|status| status.state.is_final());
    Record {
        created: created(command),
        there: caches.uid_of(&namespace, &target),
        handled: handled.map(|status| status.handled_time.unwrap_or_else(|| created(command))),
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

    fn command(name: &str, uid: &str, second: u8) -> Value {
        let target = json!({"kind": "Rollout", "name": "shop", "uid": uid});
        json!({
            "apiVersion": "switchyard.dev/v1alpha1", "kind": "Command",
            "metadata": {"name": name, "creationTimestamp": format!("2026-01-01T00:00:0{second}Z")},
            "spec": {"user": "alice", "type": "Resume", "targetRef": target},
        })
    }

    #[test]
    fn the_commands_of_an_object_have_its_uid_and_come_in_the_order_they_were_given() {
        let mut unreadable = command("unreadable", "u", 0);
        unreadable["spec"]["type"] = json!("Dance");
        let mut going = command("going", "u", 0);
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:09Z");
        let all = [
            command("b", "u", 1),
            command("a", "u", 1),
            command("z", "u", 0),
            command("of-the-one-before", "v", 0),
            unreadable,
            going,
        ];
        let all: Vec<Arc<Guarded<Command>>> = all.map(|c| Arc::new(serde_json::from_value(c).unwrap())).into();
        let names: Vec<String> = of("u", &all).into_iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["z", "a", "b"]);
        assert_eq!(all.iter().filter(|c| c.0.is_err()).count(), 1);
    }
}
