//! Where a Rollout may come to rest. Written from the user's side, apart from the rules that lead there.

use switchyard_api::Revision;
use switchyard_decide::rollout::Selects;

use super::Cluster;

impl Cluster {
    /// Whether silence is right here, given whose pods become ready; and if not, what is missing.
    pub fn rests(&self, healthy: impl Fn(Revision) -> bool) -> Result<(), &'static str> {
        let memory = &self.rollout.memory;
        let Some(service) = &self.service else { return Err("there is no live Service") };
        if service.foreign.is_some() {
            return Ok(());
        }
        let confirmed = memory.confirmed.map(|c| c.revision);
        let Some(record) = &service.record else {
            return confirmed.map_or(Ok(()), |_| Err("the record is lost, and what it should say is known"));
        };
        if !memory.failed.keys().all(|r| memory.rejected.contains(r) && record.voids(*r, memory.attempt(*r))) {
            return Err("a revision failed and was not given up for good");
        }
        if record.live.is_some() && service.selects != Selects::from(record.live) {
            return Err("selector and record disagree");
        }
        if self.commands.values().any(|c| c.answer.is_none()) {
            return Err("somebody who ordered something was not answered");
        }
        let order = self.rollout.order.as_ref().ok().filter(|o| o.replicas > 0);
        let described = order.and_then(|o| o.wanted(memory).ok());
        let paused = order.is_some_and(|o| o.paused) && memory.held.is_none();
        let wanted = match &memory.held {
            Some(held) => order.map(|_| held.revision),
            None if paused => record.live,
            None => described,
        };
        let given_up = |r: &Revision| memory.rejected.contains(r) || record.voids(*r, memory.attempt(*r));
        let goal = match wanted {
            Some(wanted) if !given_up(&wanted) => Some(wanted),
            Some(_) => confirmed.filter(|c| !given_up(c)),
            None => record.live.or(confirmed),
        };
        if record.live.is_none() && self.rollout.order.as_ref().is_ok_and(|o| o.replicas == 0) {
            return Ok(()); // at no replicas nothing is switched
        }
        let proven = |g: Revision| confirmed == Some(g) || record.fallback == Some(g);
        if goal.is_some_and(|g| proven(g) && !healthy(g)) {
            return Ok(()); // said in status: what was proven once is not given up, but waited for
        }
        let manual = order.is_some_and(|o| o.manual) && record.live.is_some();
        let promoted = |g: Revision| memory.promoted.as_ref().is_some_and(|p| p.revision == g);
        if let Some(goal) = goal
            && record.live != Some(goal)
        {
            let person = manual && record.candidate == Some(goal) && !promoted(goal);
            return if person { Ok(()) } else { Err("the goal is not live") };
        }
        if wanted.is_some() && goal.is_some() && confirmed != goal {
            return Err("what is live and wanted is not confirmed");
        }
        if record.candidate.is_some() || (confirmed == goal && record.fallback.is_some()) {
            return Err("a slot is held for nothing");
        }
        if record.live.is_none() {
            return Ok(()); // nothing loses its pods before something is live, unless it was given up
        }
        let replicas = self.rollout.order.as_ref().ok().map(|o| o.replicas);
        for revision in self.children.keys() {
            let has = self.deployment(*revision).map_or(0, |d| d.replicas);
            let spared = paused && described == Some(*revision);
            if !record.holds(*revision) && has > 0 && replicas.is_some() && !spared {
                return Err("pods run for nothing");
            }
            let kept = record.holds(*revision) || [wanted, goal, confirmed, described].contains(&Some(*revision));
            let bereft = self.children.get(revision).is_some_and(|c| c.exposed && c.deployment.is_none());
            if bereft && !kept && replicas.is_some() {
                return Err("the Service of a revision that is gone is left");
            }
            if record.live == Some(*revision) && replicas.is_some_and(|n| n != has) {
                return Err("what is live has another size than the spec says");
            }
        }
        Ok(())
    }
}
