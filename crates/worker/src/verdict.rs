//! Judges what Trivy found, by its JSON report (schema 2). Pure: the same report and rule, the same verdict.

use std::collections::BTreeMap;

use serde::Deserialize;
use switchyard_api::build::Severity;
use switchyard_api::report::Findings;

/// The only one there is.
const SCHEMA: u32 = 2;
/// How many findings a sentence names, and how long their list may be, in bytes.
const MAX_NAMED: usize = 5;
const MAX_LIST: usize = 800;
/// Of one name or version out of a stranger's package.
const MAX_WORD: usize = 80;

/// What is too much.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// One finding of one of these.
    pub fail_on: &'a [Severity],
    /// What no version of the package mends does not count.
    pub ignore_unfixed: bool,
}

/// What was found, and why that is too much, if it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub findings: Findings,
    pub refused: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: u32,
    metadata: Option<Metadata>,
    /// Absent where nothing was found to look at.
    results: Option<Vec<Target>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    vulnerabilities: Option<Vec<Vulnerability>>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    pkg_name: String,
    #[serde(default)]
    installed_version: String,
    #[serde(default)]
    fixed_version: String,
    #[serde(default)]
    severity: String,
}

impl Vulnerability {
    /// Without one that is known, unknown.
    fn severity(&self) -> Severity {
        Severity::ALL.into_iter().find(|known| known.as_trivy() == self.severity).unwrap_or(Severity::Unknown)
    }

    /// As Trivy's own status "fixed": a version is named.
    fn is_fixed(&self) -> bool {
        !self.fixed_version.is_empty()
    }
}

/// Judges a report. `image` is the digest of the config of the image it must be about. An error says why this is no
/// report of it.
pub fn judge(report: &[u8], rule: Rule<'_>, image: &str) -> Result<Verdict, String> {
    let report: Report = serde_json::from_slice(report).map_err(|error| format!("it cannot be read: {error}"))?;
    if report.schema_version != SCHEMA {
        return Err(format!("it has schema {}, and {SCHEMA} is understood", report.schema_version));
    }
    let about = report.metadata.and_then(|metadata| metadata.image_id).unwrap_or_default();
    if about != image {
        return Err(format!("it is about {:?}, and the image is {image}", word(&about)));
    }
    let found = each_once(report.results.unwrap_or_default(), rule.ignore_unfixed);
    let refused: Vec<&Vulnerability> =
        found.iter().filter(|vulnerability| rule.fail_on.contains(&vulnerability.severity())).collect();
    Ok(Verdict { findings: count(&found), refused: (!refused.is_empty()).then(|| sentence(&refused)) })
}

/// One vulnerability of one package counts once, however many files it was found in: as its worst, and as fixable only
/// if every version found can be mended. The worst come first.
fn each_once(targets: Vec<Target>, ignore_unfixed: bool) -> Vec<Vulnerability> {
    let mut once: BTreeMap<(String, String), Vulnerability> = BTreeMap::new();
    let all = targets.into_iter().flat_map(|target| target.vulnerabilities.unwrap_or_default());
    for found in all.filter(|found| found.is_fixed() || !ignore_unfixed) {
        let known = once.entry((found.id.clone(), found.pkg_name.clone())).or_insert_with(|| found.clone());
        if !found.is_fixed() {
            known.fixed_version.clear();
        }
        if found.severity() < known.severity() {
            known.severity = found.severity;
        }
    }
    let mut found: Vec<Vulnerability> = once.into_values().collect();
    // What can be mended is what a person reads first.
    found.sort_by_key(|found| (found.severity(), !found.is_fixed()));
    found
}

fn count(found: &[Vulnerability]) -> Findings {
    let of = |severity| number(found.iter().filter(|found| found.severity() == severity).count());
    Findings {
        critical: of(Severity::Critical),
        high: of(Severity::High),
        medium: of(Severity::Medium),
        low: of(Severity::Low),
        unknown: of(Severity::Unknown),
        fixable: number(found.iter().filter(|found| found.is_fixed()).count()),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// `2 critical and 1 high vulnerability: CVE-2024-1 in openssl 3.0.1 (mended in 3.0.2), and 2 more`.
fn sentence(refused: &[&Vulnerability]) -> String {
    let counts: Vec<(usize, String)> = Severity::ALL
        .into_iter()
        .filter_map(|severity| {
            let count = refused.iter().filter(|found| found.severity() == severity).count();
            (count > 0).then(|| (count, format!("{count} {}", severity.as_trivy().to_ascii_lowercase())))
        })
        .collect();
    let noun = if counts.last().is_some_and(|(count, _)| *count == 1) { "vulnerability" } else { "vulnerabilities" };
    let words: Vec<String> = counts.into_iter().map(|(_, words)| words).collect();
    let counted = match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    };
    let (mut named, mut length) = (Vec::new(), 0_usize);
    for found in refused.iter().take(MAX_NAMED) {
        let mended = if found.is_fixed() {
            format!("mended in {}", word(&found.fixed_version))
        } else {
            "not mended yet".to_owned()
        };
        let (id, package, version) = (word(&found.id), word(&found.pkg_name), word(&found.installed_version));
        let name = format!("{id} in {package} {version} ({mended})");
        length = length.saturating_add(name.len());
        if length > MAX_LIST {
            break;
        }
        named.push(name);
    }
    match refused.len().saturating_sub(named.len()) {
        0 => {}
        more => named.push(format!("and {more} more")),
    }
    format!("{counted} {noun}: {}", named.join(", "))
}

fn word(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    if clean.chars().count() <= MAX_WORD { clean } else { clean.chars().take(MAX_WORD).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests;
