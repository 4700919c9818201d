//! The course of one client's life under a plan: its writes, counted, and what is to be done with each request.

use std::fmt;

use hyper::{Method, StatusCode};

use super::plan::{Fault, Plan};

/// A write, as it went by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub number: usize,
    pub method: Method,
    pub path: String,
    /// The answer's; none if there was none.
    pub status: Option<StatusCode>,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {} {}", self.number, self.method, self.path)?;
        match self.status {
            Some(status) => write!(f, " -> {}", status.as_u16()),
            None => f.write_str(" -> no answer"),
        }
    }
}

/// What is to be done with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// Pass it on; with its number if it is a write.
    Pass(Option<usize>),
    /// Pass it on; once it has its answer, strike.
    Then(usize, Fault),
    /// Not passed on, and answered by this.
    Answer(StatusCode),
    /// Kept until it is released.
    Hold(usize),
    /// Not passed on: to its client it looks like a cut.
    Refuse,
    /// The same, and the client is to be killed.
    Kill,
}

#[derive(Debug, Default)]
pub struct Course {
    pub plan: Plan,
    pub writes: Vec<Write>,
    pub struck: Option<Write>,
    /// Nothing passes: between a kill and the restart, or for good.
    pub closed: bool,
    /// No Lease is reached.
    pub leaseless: bool,
}

/// Leases and events are written by the clock and for people; reviews only ask.
fn is_write(method: &Method, path: &str) -> bool {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    let apart = ["/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/"];
    !reads && !is_of("leases", path) && !is_of("events", path) && !apart.iter().any(|prefix| path.starts_with(prefix))
}

fn is_of(collection: &str, path: &str) -> bool {
    path.split('/').any(|part| part == collection)
}

impl Course {
    pub fn of(plan: Plan) -> Self {
        Self { plan, ..Self::default() }
    }

    /// Numbers the request, and says what becomes of it.
    pub fn meet(&mut self, method: &Method, path: &str) -> Fate {
        if self.closed || (self.leaseless && is_of("leases", path)) {
            return Fate::Refuse;
        }
        if !is_write(method, path) {
            return Fate::Pass(None);
        }
        let number = self.writes.len() + 1;
        self.writes.push(Write { number, method: method.clone(), path: path.to_owned(), status: None });
        let due = self.plan.fault.filter(|(_, n)| *n == number && self.struck.is_none());
        let Some((fault, _)) = due else { return Fate::Pass(Some(number)) };
        match fault {
            Fault::KillBefore => {
                self.strike(number, fault);
                Fate::Kill
            }
            Fault::Conflict => self.refuse(number, fault, StatusCode::CONFLICT),
            Fault::Busy => self.refuse(number, fault, StatusCode::TOO_MANY_REQUESTS),
            Fault::Broken => self.refuse(number, fault, StatusCode::INTERNAL_SERVER_ERROR),
            Fault::Late | Fault::Latest => {
                self.strike(number, fault);
                Fate::Hold(number)
            }
            Fault::KillAfter | Fault::Lost | Fault::Rival | Fault::WatchCut | Fault::WatchStall | Fault::WatchGone => {
                Fate::Then(number, fault)
            }
        }
    }

    fn refuse(&mut self, number: usize, fault: Fault, status: StatusCode) -> Fate {
        self.answered(number, status);
        self.strike(number, fault);
        Fate::Answer(status)
    }

    /// The fault has its effect on what comes after.
    pub fn strike(&mut self, number: usize, fault: Fault) {
        self.struck = self.writes.get(number - 1).cloned();
        self.closed |= fault.kills() || fault.holds();
        self.leaseless |= fault == Fault::Rival;
    }

    pub fn answered(&mut self, number: usize, status: StatusCode) {
        // Counting may have begun anew since.
        if let Some(write) = self.writes.get_mut(number - 1) {
            write.status = Some(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "/api/v1/namespaces/a/services/shop";
    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/s/leases/switchyard";

    #[test]
    fn reads_leases_and_events_are_not_counted() {
        let mut course = Course::of(Plan::at(Fault::Conflict, 1));
        for (method, path) in [
            (Method::GET, "/api/v1/pods"),
            (Method::PUT, LEASE),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events"),
            (Method::POST, "/api/v1/namespaces/a/events"),
            (Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        ] {
            assert_eq!(course.meet(&method, path), Fate::Pass(None), "{method} {path}");
        }
        assert!(course.writes.is_empty() && course.struck.is_none());
        assert_eq!(course.meet(&Method::PATCH, SERVICE), Fate::Answer(StatusCode::CONFLICT));
    }

    #[test]
    fn each_fault_strikes_once_and_at_its_write() {
        for (fault, second) in [
            (Fault::KillBefore, Fate::Kill),
            (Fault::KillAfter, Fate::Then(2, Fault::KillAfter)),
            (Fault::Conflict, Fate::Answer(StatusCode::CONFLICT)),
            (Fault::Busy, Fate::Answer(StatusCode::TOO_MANY_REQUESTS)),
            (Fault::Broken, Fate::Answer(StatusCode::INTERNAL_SERVER_ERROR)),
            (Fault::Late, Fate::Hold(2)),
            (Fault::Rival, Fate::Then(2, Fault::Rival)),
        ] {
            let mut course = Course::of(Plan::at(fault, 2));
            assert_eq!(course.meet(&Method::PATCH, SERVICE), Fate::Pass(Some(1)));
            let fate = course.meet(&Method::PATCH, SERVICE);
            if let Fate::Then(number, fault) = fate {
                course.strike(number, fault);
            }
            assert_eq!((fate, course.struck.as_ref().map(|w| w.number)), (second, Some(2)), "{fault:?}");
            course.closed = false;
            assert_eq!(course.meet(&Method::PATCH, SERVICE), Fate::Pass(Some(3)), "{fault:?}");
        }
    }

    #[test]
    fn what_comes_after_a_fault() {
        let after = |fault| {
            let mut course = Course::of(Plan::at(fault, 1));
            if let Fate::Then(number, fault) = course.meet(&Method::PATCH, SERVICE) {
                course.strike(number, fault);
            }
            (course.meet(&Method::GET, SERVICE), course.meet(&Method::PUT, LEASE))
        };
        for fault in [Fault::KillBefore, Fault::KillAfter, Fault::Late, Fault::Latest] {
            assert_eq!(after(fault), (Fate::Refuse, Fate::Refuse), "{fault:?}");
        }
        assert_eq!(after(Fault::Rival), (Fate::Pass(None), Fate::Refuse), "it goes on without its Lease");
        assert_eq!(after(Fault::Lost), (Fate::Pass(None), Fate::Pass(None)));
    }
}
