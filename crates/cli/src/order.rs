//! Orders: each is a Command, in the name of whoever gives it. See docs/spec/command.md.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    ResourceExt as _,
    api::{ObjectMeta, PostParams},
};
use switchyard_api::{
    Build, Command, CommandSpec, Revision, Rollout, RolloutStatus,
    command::{CommandState, CommandStatus, CommandType, TargetKind, TargetRef},
};
use tokio::time::Instant;

pub use switchyard_api::command::CommandType as Kind;

use crate::{
    access::{Access, Asked, Error},
    arguments::{BuildName, OfRevision, RolloutName},
};

/// So long the answer is waited for: what an order asks for may take much longer.
const ANSWER: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(500);

/// What an order is given to.
pub enum Target {
    Build(BuildName),
    Rollout(RolloutName),
}

/// An order to a Rollout that is meant for one revision of it.
pub async fn of_rollout(access: &Access, kind: Kind, order: OfRevision) -> Result<bool, Error> {
    let OfRevision { rollout, revision, reason } = order;
    let found = rollout_of(access, &rollout).await?;
    let status = found.status.unwrap_or_default();
    let revision = match revision {
        Some(revision) => revision,
        None => meant(kind, &status).ok_or_else(|| Error::Mistaken(which(kind, &rollout, &status)))?,
    };
    let target = target(TargetKind::Rollout, rollout.0, found.metadata.uid);
    order_and_wait(access, kind, target, Some(revision), reason).await
}

/// An order that is meant for the whole object.
pub async fn give(access: &Access, target_name: &Target, reason: Option<String>) -> Result<bool, Error> {
    let (kind, target) = match target_name {
        Target::Build(name) => {
            let asked = Asked { verb: "get", resource: "builds.switchyard.dev", name: Some(&name.0) };
            let build = access.call(asked, access.api::<Build>().get(&name.0)).await?;
            (Kind::Cancel, target(TargetKind::Build, name.0.clone(), build.metadata.uid))
        }
        Target::Rollout(name) => {
            let rollout = rollout_of(access, name).await?;
            (Kind::Resume, target(TargetKind::Rollout, name.0.clone(), rollout.metadata.uid))
        }
    };
    order_and_wait(access, kind, target, None, reason).await
}

async fn rollout_of(access: &Access, name: &RolloutName) -> Result<Rollout, Error> {
    let asked = Asked { verb: "get", resource: "rollouts.switchyard.dev", name: Some(&name.0) };
    access.call(asked, access.api::<Rollout>().get(&name.0)).await
}

fn target(kind: TargetKind, name: String, uid: Option<String>) -> TargetRef {
    TargetRef { kind, name, uid: uid.unwrap_or_default() }
}

/// The revision that an order is meant for if it names none: only where there is no doubt.
fn meant(kind: CommandType, status: &RolloutStatus) -> Option<Revision> {
    let next = status.next.as_ref().map(|next| next.revision);
    match kind {
        Kind::Promote => next,
        // What is live and not confirmed can be given up too.
        Kind::Abort => next.or_else(|| status.live.as_ref().filter(|live| !live.confirmed).map(|live| live.revision)),
        Kind::Retry => status.rejected.iter().max_by_key(|rejected| rejected.time).map(|rejected| rejected.revision),
        Kind::RollbackTo | Kind::Resume | Kind::Cancel => None,
    }
}

/// What could have been meant.
fn which(kind: CommandType, rollout: &RolloutName, status: &RolloutStatus) -> String {
    let name = &rollout.0;
    match kind {
        Kind::RollbackTo => {
            let mut known: Vec<String> = status.history.iter().map(|entry| entry.revision.to_string()).collect();
            known.dedup();
            format!("--revision: which one to go back to? rollout/{name} had {}", known.join(", "))
        }
        Kind::Retry => format!("rollout/{name} has given up no revision"),
        Kind::Promote | Kind::Abort | Kind::Resume | Kind::Cancel => {
            format!("rollout/{name} has no revision on its way: name one by --revision")
        }
    }
}

async fn order_and_wait(
    access: &Access,
    kind: CommandType,
    target: TargetRef,
    revision: Option<Revision>,
    reason: Option<String>,
) -> Result<bool, Error> {
    let asked = Asked { verb: "create", resource: "selfsubjectreviews.authentication.k8s.io", name: None };
    let reviews = access.everywhere::<SelfSubjectReview>();
    let review = access.call(asked, reviews.create(&PostParams::default(), &SelfSubjectReview::default())).await?;
    let user = review.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default();
    let metadata = ObjectMeta { generate_name: Some(format!("{}-", kind.verb())), ..ObjectMeta::default() };
    let spec = CommandSpec { user, target_ref: target, kind, revision, reason };
    let command = Command { metadata, spec, status: None };
    let asked = Asked { verb: "create", resource: "commands.switchyard.dev", name: None };
    let created = access.call(asked, access.api::<Command>().create(&PostParams::default(), &command)).await?;
    let name = created.name_any();
    println!("command/{name} created");
    let status = answer(access, &name).await?;
    println!("{}", told(&name, status.as_ref()));
    Ok(status.is_none_or(|s| matches!(s.state, CommandState::Done | CommandState::Pending)))
}

/// What became of it, so far.
async fn answer(access: &Access, name: &str) -> Result<Option<CommandStatus>, Error> {
    let since = Instant::now();
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        let asked = Asked { verb: "get", resource: "commands.switchyard.dev", name: Some(name) };
        let status = access.call(asked, access.api::<Command>().get(name)).await?.status;
        if status.as_ref().is_some_and(|s| s.state.is_final()) || since.elapsed() >= ANSWER {
            return Ok(status);
        }
    }
}

fn told(name: &str, status: Option<&CommandStatus>) -> String {
    match status {
        Some(status) if status.state.is_final() => format!("{:?}: {}", status.state, status.message),
        Some(status) => format!("{:?}: {} (kubectl get command {name} --watch)", status.state, status.message),
        None => format!("nobody has looked at it within {} s: does the operator run?", ANSWER.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(next: Option<&str>, confirmed: bool) -> RolloutStatus {
        let place = |revision: &str| json!({"revision": revision, "ready": 1, "wanted": 1, "confirmed": confirmed});
        let rejected = |revision: &str, time: &str| json!({"revision": revision, "reason": "Aborted", "message": "", "time": time});
        serde_json::from_value(json!({
            "live": place("bcdfghjkmn"), "next": next.map(place),
            "rejected": [rejected("qqqqqqqqqq", "2026-01-01T00:00:02Z"), rejected("rrrrrrrrrr", "2026-01-01T00:00:01Z")],
        }))
        .unwrap()
    }

    fn meant_by(kind: Kind, next: Option<&str>, confirmed: bool) -> Option<String> {
        meant(kind, &status(next, confirmed)).map(|revision| revision.to_string())
    }

    #[test]
    fn an_order_means_the_revision_that_there_is_no_doubt_about() {
        let next = Some("k7w2m9xq4b");
        assert_eq!(meant_by(Kind::Promote, next, true).as_deref(), next);
        assert_eq!(meant_by(Kind::Promote, None, false), None);
        assert_eq!(meant_by(Kind::Abort, next, false).as_deref(), next);
        assert_eq!(meant_by(Kind::Abort, None, false).as_deref(), Some("bcdfghjkmn"), "live, and not confirmed");
        assert_eq!(meant_by(Kind::Abort, None, true), None);
        assert_eq!(meant_by(Kind::Retry, None, true).as_deref(), Some("qqqqqqqqqq"), "given up last");
        assert_eq!(meant_by(Kind::RollbackTo, next, true), None);
    }

    #[test]
    fn what_is_pending_says_how_to_see_more() {
        let status = |state| CommandStatus { state, message: "2 of 3 pods are ready".to_owned(), handled_time: None };
        let pending = told("promote-x", Some(&status(CommandState::Pending)));
        assert_eq!(pending, "Pending: 2 of 3 pods are ready (kubectl get command promote-x --watch)");
        assert_eq!(told("promote-x", Some(&status(CommandState::Stale))), "Stale: 2 of 3 pods are ready");
        assert!(told("promote-x", None).contains("does the operator run?"));
    }
}
