use serde_json::json;

use super::*;

const CLEAN: &[u8] = include_bytes!("../../tests/data/trivy-clean.json");
const VULNERABLE: &[u8] = include_bytes!("../../tests/data/trivy-vulnerable.json");
const CLEAN_IMAGE: &str = "sha256:1cca1c971e865dbcee4b402bcd4a4f8b47cef3c770785c62dc2a2120087bc1b9";
const VULNERABLE_IMAGE: &str = "sha256:0fad3d62bf02b7667fea3c2a976c63211b7f160ab282ec1e85b49df8171221f8";
const BOTH: &[Severity] = &[Severity::Critical, Severity::High];

fn rule(fail_on: &[Severity], ignore_unfixed: bool) -> Rule<'_> {
    Rule { fail_on, ignore_unfixed }
}

/// id, package, installed, fixed, severity.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

fn report(targets: &[&[Row<'_>]]) -> Vec<u8> {
    let results: Vec<_> = targets
        .iter()
        .map(|rows| {
            let rows: Vec<_> = rows
                .iter()
                .map(|(id, package, installed, fixed, severity)| {
                    json!({"VulnerabilityID": id, "PkgName": package, "InstalledVersion": installed,
                           "FixedVersion": fixed, "Severity": severity, "Title": "ignored"})
                })
                .collect();
            json!({"Target": "x", "Vulnerabilities": rows})
        })
        .collect();
    json!({"SchemaVersion": 2, "Metadata": {"ImageID": "sha256:1"}, "Results": results}).to_string().into_bytes()
}

fn judged(targets: &[&[Row<'_>]], rule: Rule<'_>) -> Verdict {
    judge(&report(targets), rule, "sha256:1").unwrap()
}

#[test]
fn reports_that_trivy_wrote() {
    let clean = judge(CLEAN, rule(&Severity::ALL, false), CLEAN_IMAGE).unwrap();
    assert_eq!(clean, Verdict { findings: Findings::default(), refused: None });

    let all = Findings { critical: 2, high: 2, medium: 1, fixable: 3, ..Findings::default() };
    let verdict = judge(VULNERABLE, rule(BOTH, false), VULNERABLE_IMAGE).unwrap();
    assert_eq!(verdict.findings, all);
    assert_eq!(
        verdict.refused.unwrap(),
        "2 critical and 2 high vulnerabilities: SWITCHYARD-2026-0001 in sample-critical 1.0.0 (mended in 2.0.0), \
         SWITCHYARD-2026-0002 in sample-critical-unfixed 1.0.0 (not mended yet), SWITCHYARD-2026-0003 in sample-high \
         1.0.0 (mended in 2.0.0), SWITCHYARD-2026-0004 in sample-high-unfixed 1.0.0 (not mended yet)"
    );
    let fixed = judge(VULNERABLE, rule(BOTH, true), VULNERABLE_IMAGE).unwrap();
    assert_eq!(fixed.findings, Findings { critical: 1, high: 1, medium: 1, fixable: 3, ..Findings::default() });
    assert!(fixed.refused.unwrap().starts_with("1 critical and 1 high vulnerability: "));
    // Only reported.
    assert_eq!(judge(VULNERABLE, rule(&[], false), VULNERABLE_IMAGE).unwrap().refused, None);
    assert_eq!(judge(VULNERABLE, rule(&[Severity::Low], false), VULNERABLE_IMAGE).unwrap().refused, None);
    let medium = judge(VULNERABLE, rule(&[Severity::Medium], false), VULNERABLE_IMAGE).unwrap();
    assert!(medium.refused.unwrap().starts_with("1 medium vulnerability: SWITCHYARD-2026-0005"));
}

#[test]
fn a_report_of_another_image_is_no_answer() {
    let of = |text: &[u8], image: &str| judge(text, rule(BOTH, false), image).unwrap_err();
    assert!(of(CLEAN, VULNERABLE_IMAGE).contains(CLEAN_IMAGE));
    assert!(of(b"{\"SchemaVersion\":2}", "sha256:1").contains("it is about"));
    assert!(of(b"{\"SchemaVersion\":3}", "sha256:1").contains("schema 3"));
    for broken in [&b""[..], b"null", b"[]", b"{}", b"{\"SchemaVersion\":2,\"Results\":7}", b"<html>"] {
        assert!(of(broken, "sha256:1").starts_with("it cannot be read"));
    }
}

#[test]
fn an_image_with_nothing_to_look_at_is_clean() {
    for results in [json!(null), json!([]), json!([{"Target": "x"}]), json!([{"Vulnerabilities": null}])] {
        let text = json!({"SchemaVersion": 2, "Metadata": {"ImageID": "sha256:1"}, "Results": results}).to_string();
        let verdict = judge(text.as_bytes(), rule(&Severity::ALL, false), "sha256:1").unwrap();
        assert_eq!(verdict, Verdict { findings: Findings::default(), refused: None });
    }
}

#[test]
fn one_vulnerability_of_one_package_counts_once() {
    let one = ("CVE-1", "log4j", "2.1", "2.17", "HIGH");
    let worse = ("CVE-1", "log4j", "2.2", "2.17", "CRITICAL");
    let verdict = judged(&[&[one, one], &[worse]], rule(BOTH, false));
    assert_eq!(verdict.findings, Findings { critical: 1, fixable: 1, ..Findings::default() });
    // The same in another package is another, and so is another in the same.
    let others = [one, ("CVE-1", "log4j-core", "2.1", "", "HIGH"), ("CVE-2", "log4j", "2.1", "", "LOW")];
    let verdict = judged(&[&others], rule(BOTH, false));
    assert_eq!(verdict.findings, Findings { high: 2, low: 1, fixable: 1, ..Findings::default() });
    // Of two versions one of which nothing mends, all is not mended.
    let verdict = judged(&[&[one, ("CVE-1", "log4j", "1.0", "", "HIGH")]], rule(BOTH, false));
    assert_eq!(verdict.findings, Findings { high: 1, ..Findings::default() });
    let verdict = judged(&[&[one, ("CVE-1", "log4j", "1.0", "", "HIGH")]], rule(BOTH, true));
    assert_eq!(verdict.findings, Findings { high: 1, fixable: 1, ..Findings::default() });
}

#[test]
fn a_severity_that_nobody_knows_is_unknown() {
    for severity in ["", "UNKNOWN", "NEGLIGIBLE", "critical"] {
        let verdict = judged(&[&[("CVE-1", "x", "1", "", severity)]], rule(&[Severity::Unknown], false));
        assert_eq!(verdict.findings, Findings { unknown: 1, ..Findings::default() });
        assert!(verdict.refused.unwrap().starts_with("1 unknown vulnerability"), "{severity}");
    }
}

#[test]
fn a_sentence_stays_short_and_clean() {
    let long = "x".repeat(500);
    let ids: Vec<String> = (0..40).map(|number| format!("CVE-{number}")).collect();
    let rows: Vec<Row<'_>> = ids.iter().map(|id| (id.as_str(), "openssl", "3.0.1", "3.0.2", "CRITICAL")).collect();
    let said = judged(&[&rows], rule(BOTH, false)).refused.unwrap();
    assert!(
        said.starts_with("40 critical vulnerabilities: CVE-0 in openssl 3.0.1 (mended in 3.0.2), CVE-1 "),
        "{said}"
    );
    assert!(said.ends_with("(mended in 3.0.2), and 35 more"), "{said}");
    let rows: Vec<Row<'_>> =
        ids.iter().map(|id| (id.as_str(), long.as_str(), long.as_str(), "\u{1b}[31m\n", "HIGH")).collect();
    let said = judged(&[&rows], rule(BOTH, false)).refused.unwrap();
    assert!(said.len() < 1000 && !said.contains(char::is_control), "{said}");
}
