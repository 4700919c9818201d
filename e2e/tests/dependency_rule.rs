//! What decides cannot reach the network, a clock's runtime or a Kubernetes client: not by restraint, but because the
//! crate does not have them.

use std::{collections::BTreeSet, process::Command};

const FORBIDDEN: [&str; 10] =
    ["tokio", "hyper", "hyper-util", "reqwest", "h2", "mio", "tower", "rustls", "kube-client", "kube-runtime"];

/// Every crate that this one is built with.
fn dependencies(package: &str) -> BTreeSet<String> {
    let arguments = ["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--package", package];
    let cargo = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let lines = String::from_utf8(cargo.stdout).unwrap();
    lines.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn forbidden(package: &str) -> Vec<&'static str> {
    let found = dependencies(package);
    assert!(found.contains("switchyard-api"), "{package} has {} dependencies and not the API", found.len());
    FORBIDDEN.into_iter().filter(|name| found.contains(*name)).collect()
}

#[test]
fn decide_reaches_no_network() {
    for package in ["switchyard-decide", "switchyard-api", "switchyard-manifests"] {
        assert_eq!(
            forbidden(package),
            [""; 0],
            "{package} may not depend on these: cargo tree -p {package} -e normal -i NAME"
        );
    }
}

#[test]
fn the_rule_sees_what_the_operator_has() {
    let found = forbidden("switchyard-operator");
    for name in ["tokio", "hyper", "kube-client", "kube-runtime"] {
        assert!(found.contains(&name), "the operator surely has {name}, and these were found: {found:?}");
    }
}
