//! Percentiles of what was measured.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    pub count: usize,
    pub least: f64,
    pub median: f64,
    pub p90: f64,
    pub p99: f64,
    pub most: f64,
}

impl Figures {
    /// None of nothing.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        // The smallest value that so many thousandths do not exceed.
        let at = |thousandths: usize| values.get((values.len() * thousandths).div_ceil(1000).max(1) - 1).copied();
        Some(Self {
            count: values.len(),
            least: *values.first()?,
            median: at(500)?,
            p90: at(900)?,
            p99: at(990)?,
            most: *values.last()?,
        })
    }

    /// Least, median, 90th and 99th percentile, most.
    pub fn cells(figures: Option<&Self>, digits: usize) -> Vec<String> {
        match figures {
            Some(f) => [f.least, f.median, f.p90, f.p99, f.most].iter().map(|v| format!("{v:.digits$}")).collect(),
            None => vec!["-".to_owned(); 5],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred = (1..=100).rev().map(f64::from).collect();
        let figures = Figures::of(hundred).unwrap();
        let expected = Figures { count: 100, least: 1.0, median: 50.0, p90: 90.0, p99: 99.0, most: 100.0 };
        assert_eq!(figures, expected);
        assert_eq!(Figures::of(vec![7.0]).unwrap().p99.to_string(), "7");
        assert_eq!(Figures::of(vec![]), None);
    }
}
