//! Which of several replicas acts: the rules, as one pure function.
//!
//! The rules are those of client-go's `leaderelection`: a holder renews; another may take over when the Lease has not
//! changed for its whole duration *by the watcher's own clock*, so that clocks of nodes need not agree. Every write is
//! conditional on the version that was read.
//!
//! Written here because no crate has these rules: `kube-lease-manager` 0.13 (kube 5) compares the holder's wall clock with
//! its own and takes over by an unconditional patch; `kube-leader-election` 0.44 has no kube 5.
//!
//! # Caveats
//! A Lease does not fence. A leader that was paused acts until it notices, and a write that it sent may arrive later
//! still. What keeps that harmless is that every write carries the version its decision saw; see `docs/` on the switch.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// The terms of an election. Times between replicas need not agree, but `duration` must be longer than `renew_within`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Unique to this process: the pod, and something random.
    pub identity: String,
    /// How long others wait for a leader that fell silent.
    pub duration: Duration,
    /// How long a leader acts on its last renewal.
    pub renew_within: Duration,
    /// How often to look, or renew.
    pub every: Duration,
}

impl Terms {
    /// The terms of a process in `pod`. A container that restarts is another candidate.
    pub fn of(pod: &str) -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self {
            identity: format!("{pod}_{random:016x}"),
            duration: Duration::from_secs(15),
            renew_within: Duration::from_secs(10),
            every: Duration::from_secs(2),
        }
    }
}

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub version: String,
    /// Empty if it was released.
    pub holder: String,
    pub duration: Duration,
    pub transitions: i32,
    /// For people.
    pub acquired: Option<jiff::Timestamp>,
}

/// What this replica knows. Times are since its start, by its own monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Nothing was read yet, or there is no Lease.
    Nothing,
    /// Somebody's, or nobody's, unchanged since `since`.
    Theirs { held: Held, since: Duration },
    /// Ours, as last renewed by a request that was sent at `renewed`.
    Ours { held: Held, renewed: Duration },
}

/// What a request to the server brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Read(Held),
    Absent,
    /// Our write happened.
    Wrote {
        held: Held,
        sent: Duration,
    },
    /// Our write was refused because another came first.
    Beaten,
    /// No answer.
    Silence,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Read,
    Create,
    /// Write our name, on condition of this version.
    Take(Held),
    Renew(Held),
    /// Look again after this long.
    Wait(Duration),
    /// This replica led and may no longer act.
    Lost,
}

/// How long this replica may still act; None if it may not.
pub fn leads_for(known: &Knowledge, terms: &Terms, now: Duration) -> Option<Duration> {
    match known {
        Knowledge::Nothing | Knowledge::Theirs { .. } => None,
        Knowledge::Ours { renewed, .. } => {
            terms.renew_within.checked_sub(now.saturating_sub(*renewed)).filter(|left| !left.is_zero())
        }
    }
}

/// Takes in what a request brought, and says what to do.
pub fn next(known: Knowledge, news: &News, terms: &Terms, now: Duration) -> (Knowledge, Step) {
    let led = matches!(known, Knowledge::Ours { .. });
    let known = learn(known, news, terms, now);
    let step = match &known {
        _ if led && leads_for(&known, terms, now).is_none() => Step::Lost,
        Knowledge::Nothing => match news {
            News::Absent => Step::Create,
            News::Beaten => Step::Read,
            News::Silence | News::Read(_) | News::Wrote { .. } => Step::Wait(terms.every),
        },
        Knowledge::Theirs { held, since } => match news {
            News::Beaten => Step::Read,
            News::Read(_) if free(held, now.saturating_sub(*since), terms) => Step::Take(held.clone()),
            News::Read(_) | News::Silence | News::Absent | News::Wrote { .. } => Step::Wait(terms.every),
        },
        Knowledge::Ours { held, .. } => match news {
            News::Beaten => Step::Read,
            // Our own write, whose answer was lost.
            News::Read(_) => Step::Renew(held.clone()),
            News::Silence | News::Absent | News::Wrote { .. } => Step::Wait(terms.every),
        },
    };
    (known, step)
}

/// What to do when a wait is over.
pub fn resume(known: &Knowledge, terms: &Terms, now: Duration) -> Step {
    match known {
        Knowledge::Nothing | Knowledge::Theirs { .. } => Step::Read,
        Knowledge::Ours { held, .. } if leads_for(known, terms, now).is_some() => Step::Renew(held.clone()),
        Knowledge::Ours { .. } => Step::Lost,
    }
}

fn learn(known: Knowledge, news: &News, terms: &Terms, now: Duration) -> Knowledge {
    match (known, news) {
        (_, News::Wrote { held, sent }) => Knowledge::Ours { held: held.clone(), renewed: *sent },
        // Counted from the last renewal that was answered, never from the read.
        (Knowledge::Ours { renewed, .. }, News::Read(held)) if held.holder == terms.identity => {
            Knowledge::Ours { held: held.clone(), renewed }
        }
        (Knowledge::Theirs { held: was, since }, News::Read(held)) if was.version == held.version => {
            Knowledge::Theirs { held: was, since }
        }
        (_, News::Read(held)) => Knowledge::Theirs { held: held.clone(), since: now },
        (_, News::Absent) => Knowledge::Nothing,
        (known, News::Beaten | News::Silence) => known,
    }
}

/// Released, expired, or ours by a write whose answer was lost.
fn free(held: &Held, unchanged: Duration, terms: &Terms) -> bool {
    held.holder.is_empty() || held.holder == terms.identity || unchanged >= held.duration
}

#[cfg(test)]
mod tests;
