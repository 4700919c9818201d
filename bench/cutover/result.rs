//! What a run says in the end: a page for people and the same, switch by switch, for programs.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;
use switchyard_bench::{
    figures::Figures,
    machine::Machine,
    page::{self, Table},
};

use crate::{
    run::{Outcome, Switch},
    settings::{ANSWER, DRAIN, LIMIT, MIX, REPLICAS, SCALE_DOWN_DELAY, STREAM_EVERY, STREAMS, Settings},
    writes::{Purpose, Row, rows, written},
};

/// Writes of the protocol: Nominate, Claim, Select, Confirm, Drop, Retire.
const PROTOCOL: u32 = 6;
/// Of the failures, that many stand on the page.
const SHOWN: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    pub machine: Machine,
    pub asked: Settings,
    pub seconds: u64,
    pub switchyard: Outcome,
    pub controls: Vec<Outcome>,
    pub writes: Vec<Row>,
    /// Of one switch, the whole of its status writes included, and the new revision and the history left out.
    pub writes_per_switch: Option<Figures>,
    /// What keeps this from being a proof; empty is good.
    pub shortcomings: Vec<String>,
}

impl Results {
    pub fn new(
        machine: Machine,
        asked: Settings,
        seconds: u64,
        switchyard: Outcome,
        controls: Vec<(bool, Outcome)>,
    ) -> Self {
        let mut shortcomings = vec![];
        if switchyard.failed > 0 {
            shortcomings.push(format!("{} requests failed over the switches of the Rollout", switchyard.failed));
        }
        if switchyard.requests < asked.requests || switchyard.switches.len() < asked.switches as usize {
            let (switches, requests) = (switchyard.switches.len(), switchyard.requests);
            shortcomings.push(format!("only {switches} switches and {requests} requests were made"));
        }
        for (must_fail, control) in &controls {
            if *must_fail && control.failed == 0 {
                shortcomings.push(format!("{}: nothing failed, so this bench would not see a loss", control.name));
            }
        }
        let counts: Vec<_> = switchyard.writes.iter().collect();
        let per_switch = counts.iter().map(|count| f64::from(written(count, &[Purpose::Protocol, Purpose::Status])));
        let writes_per_switch = Figures::of(per_switch.collect());
        let writes = rows(&counts);
        let controls = controls.into_iter().map(|(_, control)| control).collect();
        Self { machine, asked, seconds, switchyard, controls, writes, writes_per_switch, shortcomings }
    }

    pub fn write(&self, folder: &str) -> Result<()> {
        page::write(folder, "cutover", &self.page(), self)
    }

    fn runs(&self) -> impl Iterator<Item = &Outcome> {
        std::iter::once(&self.switchyard).chain(&self.controls)
    }

    /// For the terminal.
    pub fn tables(&self) -> String {
        let text: String = self.all().iter().map(Table::for_terminal).collect();
        text + &self.verdict()
    }

    fn page(&self) -> String {
        let mut text = page::head("Cutover", &self.machine, self.seconds);
        let _ = writeln!(
            text,
            "| Kubernetes | {}, one node, kube-proxy in nftables mode |\n\
             | asked for | {} switches, {} requests at {} a second; {} switches of each control |\n\
             | application | {} pods, an answer takes {} ms, ends gracefully at SIGTERM |\n\
             | Rollout | `scaleDownDelay` {} s, `drain` {} s, preStop hook injected |\n\
             | load | of {} requests one over a connection of its own, the others over kept ones; each {} s a stream, of {} s in turn |\n\
             | a failure is | no whole 2xx answer within {} s; nothing is tried again |\n",
            self.machine.kubernetes,
            self.asked.switches,
            grouped(self.asked.requests),
            self.asked.rate,
            self.asked.control_switches,
            REPLICAS,
            ANSWER.as_millis(),
            SCALE_DOWN_DELAY.as_secs(),
            DRAIN.as_secs(),
            MIX.len(),
            STREAM_EVERY.as_secs(),
            STREAMS.map(|length| length.as_secs().to_string()).join(" and "),
            LIMIT.as_secs(),
        );
        let _ = writeln!(text, "{}", self.verdict());
        self.all().iter().for_each(|table| text.push_str(&table.for_page()));
        text
    }

    fn all(&self) -> Vec<Table> {
        let mut tables = vec![self.losses(), self.times(), self.latencies(), self.streams(), self.writes()];
        tables.extend(self.failures());
        tables
    }

    fn losses(&self) -> Table {
        let rows = self.runs().map(|run| {
            let switches = run.switches.len();
            vec![
                run.name.clone(),
                switches.to_string(),
                grouped(run.requests),
                grouped(run.failed),
                format!("{:.1}", per_million(run)),
                format!("{} of {switches}", run.switches_with_failures),
            ]
        });
        Table {
            title: "Requests lost",
            headings: vec!["who switches", "switches", "requests", "failed", "per million", "switches that lost some"],
            rows: rows.collect(),
        }
    }

    fn times(&self) -> Table {
        let intervals: [(&str, Interval); 8] = [
            ("asked for, to green's slices list all ready", |s| s.asked_to_ready),
            ("green's slices list all ready, to selector committed", |s| s.ready_to_selected),
            ("green's slices list all ready, to blue's last answer on a new connection", |s| s.ready_to_last_new),
            ("green's slices list all ready, to blue's last answer on a kept connection", |s| s.ready_to_last_kept),
            ("selector committed, to blue's last answer on a new connection", |s| s.selected_to_last_new),
            ("selector committed, to the live Service's slices list green alone", |s| s.selected_to_listed),
            ("selector committed, to blue told to end", |s| s.selected_to_down),
            ("the whole switch", |s| Some(s.whole)),
        ];
        let rows = intervals.into_iter().map(|(name, of)| {
            let figures = Figures::of(self.switchyard.switches.iter().filter_map(of).collect());
            let mut row = vec![name.to_owned(), figures.as_ref().map_or(0, |f| f.count).to_string()];
            row.extend(Figures::cells(figures.as_ref(), 0));
            row
        });
        Table {
            title: "Times of a switch of the Rollout, in milliseconds",
            headings: vec!["from, to", "switches", "least", "median", "p90", "p99", "most"],
            rows: rows.collect(),
        }
    }

    fn latencies(&self) -> Table {
        let rows = self.runs().flat_map(|run| {
            run.answered.iter().map(|answered| {
                let counts =
                    [run.name.clone(), answered.mode.clone(), grouped(answered.sent), grouped(answered.failed)];
                counts.into_iter().chain(Figures::cells(answered.milliseconds.as_ref(), 1)).collect()
            })
        });
        Table {
            title: "Answers, in milliseconds from when the request was due",
            headings: vec!["who switches", "over", "sent", "failed", "least", "median", "p90", "p99", "most"],
            rows: rows.collect(),
        }
    }

    fn streams(&self) -> Table {
        let rows = self.runs().map(|run| {
            let streams = &run.streams;
            let after = streams.served_after_selected.as_ref();
            vec![
                run.name.clone(),
                streams.counted().to_string(),
                streams.whole.to_string(),
                streams.failed.len().to_string(),
                streams.outlived.to_string(),
                after.map_or("-".to_owned(), |f| format!("{:.1} to {:.1} s", f.least, f.most)),
            ]
        });
        Table {
            title: "Streams, apart",
            headings: vec![
                "who switches",
                "streams",
                "whole",
                "cut early (failed)",
                "outlived the drain",
                "and were served after the switch for",
            ],
            rows: rows.collect(),
        }
    }

    fn writes(&self) -> Table {
        let rows = self.writes.iter().map(|row| {
            let f = &row.per_switch;
            vec![
                row.purpose.meaning().to_owned(),
                row.what.clone(),
                format!("{:.0}", f.median),
                format!("{:.0} to {:.0}", f.least, f.most),
                row.total.to_string(),
            ]
        });
        Table {
            title: "Writes of the operator, from the audit log",
            headings: vec!["for", "write", "a switch (median)", "from, to", "all"],
            rows: rows.collect(),
        }
    }

    fn failures(&self) -> Option<Table> {
        let failures = &self.switchyard.failures;
        if failures.is_empty() && self.switchyard.streams.failed.is_empty() {
            return None;
        }
        let requests = failures.iter().take(SHOWN).map(|failure| {
            let after = failure.after_selected.map_or("before it".to_owned(), |s| format!("{s:.2} s"));
            vec![after, failure.mode.clone(), failure.kind.clone(), failure.what.clone()]
        });
        let streams = self.switchyard.streams.failed.iter().take(SHOWN);
        let streams = streams.map(|what| vec![String::new(), "stream".to_owned(), "cut".to_owned(), what.clone()]);
        Some(Table {
            title: "What failed with the Rollout",
            headings: vec!["after the selector", "over", "kind", "what"],
            rows: requests.chain(streams).collect(),
        })
    }

    fn verdict(&self) -> String {
        let run = &self.switchyard;
        let (switches, requests) = (run.switches.len(), grouped(run.requests));
        let mut text = format!("{} of {requests} requests failed over {switches} switches", grouped(run.failed));
        if run.failed == 0 && switches > 0 {
            // The rule of three: the bound at 95 % for something that was not seen in so many trials.
            let bound = 300.0 / f64::from(u32::try_from(switches).unwrap_or(u32::MAX));
            let _ = write!(text, " (so with 95 % confidence fewer than {bound:.1} % of switches lose any)");
        }
        for control in &self.controls {
            let share = control.requests.checked_div(control.failed);
            let share = share.map_or_else(|| "none".to_owned(), |each| format!("1 in {}", grouped(each)));
            let _ = write!(text, "; {}: {share}", control.name);
        }
        text.push_str(".\n");
        if let Some(writes) = &self.writes_per_switch {
            let (median, most) = (writes.median, writes.most);
            let _ = writeln!(
                text,
                "\nA switch takes {median:.0} writes (at most {most:.0}), its status included and the new revision's two \
                 objects aside; the protocol has {PROTOCOL}: Nominate, Claim, Select, Confirm, Drop, Retire."
            );
        }
        for shortcoming in &self.shortcomings {
            let _ = writeln!(text, "\nNot as it should be: {shortcoming}.");
        }
        text
    }
}

/// In milliseconds.
type Interval = fn(&Switch) -> Option<f64>;

fn per_million(run: &Outcome) -> f64 {
    let number = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    if run.requests == 0 { 0.0 } else { number(run.failed) * 1e6 / number(run.requests) }
}

/// `2,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let numbers = [0, 999, 1_000, 2_000_000].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "2,000,000"]);
    }
}
