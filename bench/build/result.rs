//! What a run says in the end: a page for people and the same, trial by trial, for programs.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;
use switchyard_bench::{
    figures::Figures,
    machine::Machine,
    page::{self, Table},
};

use crate::{
    phases::Phase,
    run::{Contestant, Trial},
    settings::Settings,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    pub machine: Machine,
    pub asked: Settings,
    pub seconds: u64,
    /// The image that both built on, and that of Kaniko.
    pub kaniko: String,
    pub trials: Vec<Trial>,
    /// What keeps this from saying what it should; empty is good.
    pub shortcomings: Vec<String>,
}

impl Results {
    pub fn new(machine: Machine, asked: Settings, seconds: u64, kaniko: String, trials: Vec<Trial>) -> Self {
        let mut results = Self { machine, asked, seconds, kaniko, trials, shortcomings: vec![] };
        for contestant in Contestant::ALL {
            let runs = results.of(contestant).count();
            if runs < asked.rounds as usize {
                results.shortcomings.push(format!("{}: only {runs} runs", contestant.name()));
            }
        }
        results
    }

    pub fn write(&self, folder: &str) -> Result<()> {
        page::write(folder, "build", &self.page(), self)
    }

    /// For the terminal.
    pub fn tables(&self) -> String {
        let text: String = self.all().iter().map(Table::for_terminal).collect();
        text + &self.verdict()
    }

    fn of(&self, contestant: Contestant) -> impl Iterator<Item = &Trial> {
        self.trials.iter().filter(move |trial| trial.contestant == contestant)
    }

    /// Within each round, how much longer the one took than the other, in seconds.
    fn longer(&self, one: Contestant, other: Contestant, of: impl Fn(&Trial) -> f64) -> Option<Figures> {
        let pairs = self.of(one).filter_map(|a| Some((a, self.of(other).find(|b| b.round == a.round)?)));
        Figures::of(pairs.map(|(a, b)| of(a) - of(b)).collect())
    }

    fn page(&self) -> String {
        let mut text = page::head("Build", &self.machine, self.seconds);
        let _ = writeln!(
            text,
            "| Kubernetes | {}, one node |\n| Kaniko | {}, with warm images on the node |\n\
             | asked for | {} rounds: a Build, a bare Job and a Build with a cache, forth and back in turn |\n\
             | application | `examples/flask`, a new commit each round; neither checks nor a scan |\n",
            self.machine.kubernetes,
            self.kaniko.rsplit('/').next().unwrap_or(&self.kaniko),
            self.asked.rounds,
        );
        let _ = writeln!(text, "{}", self.verdict());
        self.all().iter().for_each(|table| text.push_str(&table.for_page()));
        text
    }

    fn all(&self) -> [Table; 4] {
        [self.wholes(), self.differences(), self.phases(), self.containers()]
    }

    fn wholes(&self) -> Table {
        let rows = Contestant::ALL.map(|contestant| {
            let figures = Figures::of(self.of(contestant).map(|trial| trial.whole).collect());
            let mut row = vec![contestant.name().to_owned(), self.of(contestant).count().to_string()];
            row.extend(Figures::cells(figures.as_ref(), 1));
            row
        });
        Table {
            title: "From asked for to done, in seconds",
            headings: vec!["who", "runs", "least", "median", "p90", "p99", "most"],
            rows: rows.into(),
        }
    }

    fn differences(&self) -> Table {
        let pairs = [(Contestant::Build, Contestant::Job), (Contestant::Build, Contestant::CachedBuild)];
        let rows = pairs.map(|(one, other)| {
            let figures = self.longer(one, other, |trial| trial.whole);
            let mut row = vec![format!("{}, less {}", one.name(), other.name())];
            row.extend(Figures::cells(figures.as_ref(), 1));
            row
        });
        Table {
            title: "Of the same round, in seconds",
            headings: vec!["difference", "least", "median", "p90", "p99", "most"],
            rows: rows.into(),
        }
    }

    fn phases(&self) -> Table {
        let rows = Phase::ALL.map(|phase| {
            let of = move |trial: &Trial| trial.phases.get(&phase).copied().unwrap_or(f64::NAN);
            let median = |contestant| Figures::of(self.of(contestant).map(of).collect()).map(|f| f.median);
            let [build, job, cached] = Contestant::ALL.map(median);
            let difference = self.longer(Contestant::Build, Contestant::Job, of).map(|f| f.median);
            let mut row = vec![phase.meaning().to_owned()];
            row.extend([build, job, difference, cached].map(cell));
            row
        });
        Table {
            title: "Where it goes, in seconds (medians, each by itself)",
            headings: vec!["phase", "Build", "bare Job", "Build more than Job", "Build, cached"],
            rows: rows.into(),
        }
    }

    /// A mean, for the kubelet counts whole seconds: what is cut off at the beginning and at the end evens out.
    fn containers(&self) -> Table {
        let rows = ["clone", "build", "push"].map(|container| {
            let mean = |contestant: Contestant| {
                let took: Vec<f64> =
                    self.of(contestant).filter_map(|trial| trial.containers.get(container).copied()).collect();
                let count = f64::from(u32::try_from(took.len()).unwrap_or(u32::MAX));
                (!took.is_empty()).then(|| took.iter().sum::<f64>() / count)
            };
            let mut row = vec![container.to_owned()];
            row.extend(Contestant::ALL.map(|contestant| cell(mean(contestant))));
            row
        });
        Table {
            title: "How long each container ran, by the kubelet's account, in seconds (means of whole seconds)",
            headings: vec!["container", "Build", "bare Job", "Build, cached"],
            rows: rows.into(),
        }
    }

    fn verdict(&self) -> String {
        let median = |contestant| Figures::of(self.of(contestant).map(|t| t.whole).collect()).map(|f| f.median);
        let [build, job, cached] = Contestant::ALL.map(median).map(cell);
        let more = cell(self.longer(Contestant::Build, Contestant::Job, |trial| trial.whole).map(|f| f.median));
        let mut text = format!(
            "A Build takes {build} s and a bare Job {job} s (medians); of the same round a Build takes {more} s more. With \
             `cache` it takes {cached} s.\n"
        );
        for shortcoming in &self.shortcomings {
            let _ = writeln!(text, "\nNot as it should be: {shortcoming}.");
        }
        text
    }
}

fn cell(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |s| format!("{s:.1}"))
}
