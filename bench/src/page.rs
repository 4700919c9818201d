//! Results as tables, for the terminal and for a page in the documentation.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde::Serialize;
use switchyard_e2e::{ground::root, tell};

use crate::machine::Machine;

/// Where each run leaves its results; only those of a published one are checked in.
pub const RESULTS: &str = "target/bench";
pub const PUBLISHED: &str = "docs/results";

pub struct Table {
    pub title: &'static str,
    pub headings: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn for_terminal(&self) -> String {
        format!("{}\n\n{}\n", self.title, tell::table(&self.headings, &self.rows))
    }

    pub fn for_page(&self) -> String {
        let (headings, rule) = (self.headings.join(" | "), "---|".repeat(self.headings.len()));
        let mut text = format!("\n## {}\n\n| {headings} |\n|{rule}\n", self.title);
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }
}

/// The head of a page: what of, and where it was made. Rows of its own may follow.
pub fn head(title: &str, machine: &Machine, seconds: u64) -> String {
    let m = machine;
    format!(
        "# {title}\n\nWritten by `make bench`; [what is measured and how](../bench.md).\n\n\
         | | |\n|---|---|\n\
         | commit | `{}`{} |\n| when | {}, {seconds} s in all |\n| machine | {} cores, {}, {}, Linux {} |\n\
         | load average before, after | {}, {} |\n",
        m.commit,
        if m.changed { ", with changes not committed" } else { "" },
        m.began,
        m.cores,
        m.processor,
        m.memory,
        m.kernel,
        m.work_before,
        m.work_after,
    )
}

/// `NAME.md` and, for programs, `NAME.json` in this folder of the checkout.
pub fn write(folder: &str, name: &str, page: &str, all: &impl Serialize) -> Result<()> {
    let folder = root().join(folder);
    std::fs::create_dir_all(&folder)?;
    let json = serde_json::to_string_pretty(all)? + "\n";
    for (ending, text) in [("md", page), ("json", json.as_str())] {
        let path = folder.join(format!("{name}.{ending}"));
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
