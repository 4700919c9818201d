//! One pod's worth of folders, and the worker run in it.
#![allow(dead_code)] // Each test binary uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::{Command, Output};

use switchyard_api::report::{Failed, Reason, Report};

pub struct Pod {
    pub root: tempfile::TempDir,
}

impl Pod {
    pub fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs a step; returns its exit code, its report and everything it said.
    pub fn run(&self, arguments: &[&str]) -> (i32, Report, String) {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_switchyard-worker"))
            .args(arguments)
            .env("SWITCHYARD_TERMINATION_LOG", self.path("message"))
            .env("SWITCHYARD_LOG", "debug")
            .output()
            .unwrap();
        let message = std::fs::read_to_string(self.path("message")).unwrap();
        let said = [stdout, stderr, message.clone().into_bytes()].concat();
        (status.code().unwrap(), Report::parse(&message).unwrap(), String::from_utf8(said).unwrap())
    }

    pub fn clone(&self, origin: &str, commit: &str, more: &[&str]) -> (i32, Report, String) {
        let (url, into, steps) = (format!("{origin}/shop.git"), self.path("src"), self.path("steps"));
        let fixed = ["clone", "--url", &url, "--commit", commit, "--into", &into, "--steps", &steps];
        self.run(&[&fixed, more].concat())
    }

    pub fn push(&self, host: &str, more: &[&str]) -> (i32, Report, String) {
        let (layout, steps, repository) = (self.path("out"), self.path("steps"), format!("{host}/acme/shop"));
        let fixed =
            ["push", "--layout", &layout, "--steps", &steps, "--repository", &repository, "--insecure-registry", host];
        self.run(&[&fixed, more].concat())
    }
}

pub fn reason(report: Report) -> Reason {
    match report {
        Report::Failed(Failed { reason, message, scan: _ }) => {
            assert!(!message.is_empty());
            reason
        }
        other @ (Report::Cloned(_) | Report::Pushed(_) | Report::Saved(_) | Report::Passed(_)) => panic!("{other:?}"),
    }
}
