//! How programs here tell what they do: one line a step, with the seconds since the start.

use std::io::Write as _;

use tokio::time::Instant;

#[derive(Clone, Copy)]
pub struct Teller {
    began: Instant,
}

impl Default for Teller {
    fn default() -> Self {
        Self::new()
    }
}

impl Teller {
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }

    pub fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    pub fn say(&self, text: &str) {
        for (i, line) in text.trim_end().lines().enumerate() {
            match i {
                0 => println!("[{:4}s] {line}", self.seconds()),
                _ => println!("        {line}"),
            }
        }
        let _ = std::io::stdout().flush();
    }

    /// A heading.
    pub fn title(&self, text: &str) {
        println!();
        self.say(text);
    }
}

/// Rows under headings, aligned.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(headings.to_vec());
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    text.push_str(&line(rule.iter().map(String::as_str).collect()));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["7f3a91c".to_owned(), "1.0.0".to_owned()], vec!["short".to_owned(), "-".to_owned()]];
        let text = super::table(&["commit", "version"], &rows);
        assert_eq!(text, "commit   version\n-------  -------\n7f3a91c  1.0.0\nshort    -\n");
    }
}
