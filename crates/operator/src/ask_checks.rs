//! Answers the questions of Rollouts: pods, and whatever speaks Prometheus' API. No Secret is read for them.

use switchyard_decide::{Measured, Unreachable, rollout::Question};
use switchyard_net::Client;
use switchyard_probes::{Asker, HttpQuestion, Inconclusive, PrometheusQuestion, Verdict, http, prometheus};

pub struct AskChecks {
    pub client: Client,
}

impl Asker<Question> for AskChecks {
    async fn ask(&self, _: &str, question: &Question) -> Result<Measured, Unreachable> {
        let verdict = match question {
            Question::Http { check: _, address, path, condition, timeout } => {
                let condition = condition.as_deref();
                let question = HttpQuestion { address: *address, path, condition, limit: timeout.std() };
                http(&self.client, question).await
            }
            Question::Prometheus { check: _, address, query, condition, no_data, timeout } => {
                let no_data = *no_data;
                let question = PrometheusQuestion { address, query, condition, no_data, limit: timeout.std() };
                let answer = prometheus(&self.client, question).await;
                answer.map_err(|Inconclusive(why)| Unreachable::Inconclusive(why))?
            }
        };
        let Verdict { passed, said } = verdict;
        Ok(Measured::Checked { passed, said })
    }
}
