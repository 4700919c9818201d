//! The life of the process: standby, leader, end.
//!
//! ```text
//! standby ── elected ──▶ leading ── signal ──▶ draining ── rounds ended ──▶ lease released, exit 0
//!    └────── signal ──▶ exit 0   └── lost ──▶ exit 1, at once
//! ```
//!
//! A lost Lease ends the process at once and not the work alone: whatever is under way was decided by a leader that is
//! none any more. The Lease does not fence; what protects the cluster from late writes is that each carries the version
//! its decision saw.

use std::{future::Future, io, process::ExitCode, time::Duration};

use switchyard_cluster::{Candidacy, Leadership};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time,
};

/// How long rounds may take to end after a signal. A call ends within 30 s; so does, by default, the patience of the
/// kubelet, of which the release of the Lease needs the rest.
pub const DRAIN: Duration = Duration::from_secs(20);

/// Tells work to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// And what asks: by `true`.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (ask, stop) = watch::channel(false);
        (ask, Self(stop))
    }

    /// Resolves when no new work is to be begun.
    pub async fn asked(&mut self) {
        // Whoever could ask is gone: that asks as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Before anything else: until then a signal ends the process.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Asked to, or nothing left to do.
    Asked,
    /// The Lease is lost. End the process without waiting for anything.
    Lost,
    /// The work ended by itself, which it never should.
    Failed,
}

impl End {
    /// Ends the process.
    pub fn exit(self) -> ExitCode {
        match self {
            Self::Asked => ExitCode::SUCCESS,
            Self::Failed => ExitCode::FAILURE,
            // Not a return: tasks would go on while the runtime winds down.
            Self::Lost => std::process::exit(1),
        }
    }
}

/// Waits to be elected, then works until asked to stop. `leads` is told of each change.
///
/// `work` begins rounds until its [`Stop`] is asked, and returns when the last has ended.
pub async fn lead<W: Future<Output = ()>>(
    candidacy: Candidacy,
    mut signals: Signals,
    leads: impl Fn(bool),
    work: impl FnOnce(Stop) -> W,
) -> End {
    leads(false);
    let mut leadership = candidacy.leadership();
    let end = live(&mut leadership, signals.next(), &leads, work).await;
    leads(false);
    if end != End::Lost {
        candidacy.release().await;
    }
    end
}

async fn live<W: Future<Output = ()>>(
    leadership: &mut watch::Receiver<Leadership>,
    signal: impl Future<Output = ()>,
    leads: &impl Fn(bool),
    work: impl FnOnce(Stop) -> W,
) -> End {
    tokio::pin!(signal);
    tokio::select! {
        // Who is asked to stop begins nothing, elected or not.
        biased;
        () = &mut signal => return End::Asked,
        elected = leadership.wait_for(|now| *now != Leadership::Standby) => match elected.as_deref() {
            Ok(Leadership::Leading) => {}
            Ok(Leadership::Standby | Leadership::Lost) | Err(_) => return End::Lost,
        },
    }
    leads(true);

    let (ask, stop) = Stop::new();
    let work = work(stop);
    tokio::pin!(work);
    tokio::select! {
        biased;
        _ = leadership.wait_for(|now| *now != Leadership::Leading) => return End::Lost,
        () = &mut work => return End::Failed,
        () = signal => {}
    }
    tracing::info!("asked to stop: letting rounds end");
    ask.send_replace(true);
    tokio::select! {
        biased;
        _ = leadership.wait_for(|now| *now != Leadership::Leading) => End::Lost,
        ended = time::timeout(DRAIN, work) => {
            if ended.is_err() {
                tracing::warn!("rounds did not end within {DRAIN:?}");
            }
            End::Asked
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    async fn until_stopped(mut stop: Stop) {
        stop.asked().await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_asked_to_stop_begins_nothing() {
        for now in [Leadership::Standby, Leadership::Leading] {
            let (_tell, mut leadership) = watch::channel(now);
            let end = live(&mut leadership, ready(()), &|_| panic!("never led"), |_| pending::<()>()).await;
            assert_eq!(end, End::Asked);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_lets_its_rounds_end() {
        let (_tell, mut leadership) = watch::channel(Leadership::Leading);
        let ended = AtomicBool::new(false);
        let work = async |stop: Stop| {
            until_stopped(stop).await;
            time::sleep(DRAIN / 2).await;
            ended.store(true, Ordering::Relaxed);
        };
        let signal = time::sleep(Duration::from_mins(1));
        assert_eq!(live(&mut leadership, signal, &|_| (), work).await, End::Asked);
        assert!(ended.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_that_do_not_end_are_not_waited_for() {
        let (_tell, mut leadership) = watch::channel(Leadership::Leading);
        let began = time::Instant::now();
        assert_eq!(live(&mut leadership, time::sleep(SOON), &|_| (), |_| pending::<()>()).await, End::Asked);
        assert_eq!(began.elapsed().as_secs(), SOON.as_secs().saturating_add(DRAIN.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_lease_ends_everything_at_once() {
        for signalled in [false, true] {
            let (tell, mut leadership) = watch::channel(Leadership::Leading);
            tokio::spawn(async move {
                time::sleep(Duration::from_secs(5)).await;
                tell.send_replace(Leadership::Lost);
                pending::<()>().await;
            });
            let signal = async move { if signalled { time::sleep(SOON).await } else { pending().await } };
            let began = time::Instant::now();
            assert_eq!(live(&mut leadership, signal, &|_| (), |_| pending::<()>()).await, End::Lost);
            assert_eq!(began.elapsed().as_secs(), 5);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_by_itself_is_a_failure() {
        let (_tell, mut leadership) = watch::channel(Leadership::Leading);
        assert_eq!(live(&mut leadership, pending(), &|_| (), |_| ready(())).await, End::Failed);
    }
}
