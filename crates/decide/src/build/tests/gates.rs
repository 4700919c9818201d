//! Checks by a SonarQube server: what its scanner says when it fails.

use switchyard_api::{build::Class, report::Reason};

use super::{
    super::reasons::CHECK_FAILED,
    builder::{build, job, unit},
};

/// The scanner's own words, of several of its versions.
#[test]
fn a_scanner_that_cannot_talk_to_its_server_is_no_failing_check() {
    let of = |log: &str, gate: bool| {
        let mut seen = build().retries(0);
        seen.check("unit").gate = gate;
        let mut seen = seen.started().with(unit(), 1, job().ended("check", 1, log).failed());
        let failure = seen.settle().status.failure.unwrap();
        (failure.reason, failure.class, failure.message)
    };
    let version = "Failed to query server version";
    for (said, reason, class) in [
        (
            format!("ERROR {version}: Call to URL [http://s/api/v2/analysis/version] failed: Connection refused"),
            Reason::SonarQubeUnavailable,
            Class::Infrastructure,
        ),
        (
            format!("20:21:22.523 ERROR {version}: GET http://s/api/v2/analysis/version failed with HTTP 503."),
            Reason::SonarQubeUnavailable,
            Class::Infrastructure,
        ),
        (
            "ERROR: SonarQube server [http://s] can not be reached".to_owned(),
            Reason::SonarQubeUnavailable,
            Class::Infrastructure,
        ),
        (
            format!(
                "[ERROR] {version}: GET http://s/api/v2/analysis/version failed with HTTP 401. Please check the property sonar.token"
            ),
            Reason::SonarQubeUnauthorized,
            Class::User,
        ),
        (
            "ERROR: Not authorized. Analyzing this project requires authentication.".to_owned(),
            Reason::SonarQubeUnauthorized,
            Class::User,
        ),
        ("ERROR You're not authorized to analyze this project".to_owned(), Reason::SonarQubeUnauthorized, Class::User),
    ] {
        let log =
            format!("INFO Scanner configuration file\nERROR Error during SonarScanner CLI execution\n{said}\nERROR \n");
        let (found, of_class, message) = of(&log, true);
        assert_eq!((found, of_class), (reason.to_string(), class), "{said}");
        let told = said.split_once("ERROR").unwrap().1.trim_start_matches([':', ']', ' ']);
        assert_eq!(message, format!("the scanner of check unit: {told}"));
        assert_eq!(of(&log, false).0, CHECK_FAILED, "a check of the user's own may print anything");
    }
    let broken = "ERROR Error during parsing of file page.py\nINFO the page says: 401 Not authorized\n";
    let expected =
        (CHECK_FAILED.to_owned(), Class::User, "the scanner of check unit ended with exit code 1".to_owned());
    assert_eq!(of(broken, true), expected);
}
