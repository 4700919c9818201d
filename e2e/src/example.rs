//! The examples, with their placeholders filled in.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tokio::fs;

use crate::{
    forge::Repository,
    ground::{Ground, root},
};

/// What the examples name for everyone; the test cluster, which has no way out, has bases of its own.
const PUBLIC_BASE: &str = "python:3.12-slim";
/// As `e2e/cluster/streamlit` publishes it.
const BASE_STREAMLIT: &str = "base/python-streamlit:bookworm";
/// What a newcomer applies, in this order.
pub const MANIFESTS: [&str; 4] = ["secrets.yaml", "role.yaml", "pipeline.yaml", "rollout.yaml"];

pub struct Example<'a> {
    ground: &'a Ground,
    /// Below `examples`.
    folder: String,
    git_url: String,
    base: Option<String>,
}

impl<'a> Example<'a> {
    pub fn flask(ground: &'a Ground, git_url: &str) -> Self {
        Self::of("flask", ground, git_url)
    }

    pub fn streamlit(ground: &'a Ground, git_url: &str) -> Self {
        let base = format!("{}/{BASE_STREAMLIT}", ground.setting("REGISTRY"));
        Self { base: Some(base), ..Self::of("streamlit", ground, git_url) }
    }

    pub fn of(folder: &str, ground: &'a Ground, git_url: &str) -> Self {
        let base = ground.find("IMAGE_BASE_PYTHON").map(str::to_owned);
        Self { ground, folder: folder.to_owned(), git_url: git_url.to_owned(), base }
    }

    /// A file of the example with its placeholders replaced.
    pub async fn manifest(&self, name: &str) -> Result<String> {
        let settings = [
            ("GIT_USER", "GIT_READER_USER"),
            ("GIT_PASSWORD", "GIT_READER_PASSWORD"),
            ("PUSH_USER", "REGISTRY_PUSH_USER"),
            ("PUSH_PASSWORD", "REGISTRY_PUSH_PASSWORD"),
            ("PULL_USER", "REGISTRY_PULL_USER"),
            ("PULL_PASSWORD", "REGISTRY_PULL_PASSWORD"),
            ("REGISTRY", "REGISTRY"),
        ];
        let mut text = self.read(name).await?.replace("GIT_URL", &self.git_url);
        for (placeholder, setting) in settings {
            text = text.replace(placeholder, self.ground.setting(setting));
        }
        Ok(text)
    }

    /// Puts the application into a working copy, as it stands in the example.
    pub async fn copy_to(&self, repository: &Repository<'_>) -> Result<()> {
        for name in self.files().await? {
            repository.write(&name, &self.read(&name).await?).await?;
        }
        Ok(())
    }

    async fn read(&self, name: &str) -> Result<String> {
        let path = root().join("examples").join(&self.folder).join(name);
        let text = fs::read_to_string(&path).await.with_context(|| format!("read {}", path.display()))?;
        Ok(match &self.base {
            Some(base) => text.replace(PUBLIC_BASE, base),
            None => text,
        })
    }

    /// Everything that belongs into the application's repository.
    async fn files(&self) -> Result<Vec<String>> {
        let example = root().join("examples").join(&self.folder);
        let (mut files, mut folders) = (Vec::new(), vec![example.clone()]);
        while let Some(folder) = folders.pop() {
            let mut entries = fs::read_dir(&folder).await.with_context(|| format!("read {}", folder.display()))?;
            while let Some(entry) = entries.next_entry().await? {
                let path = entry.path();
                let hidden =
                    |path: &Path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(['.', '_']));
                if hidden(&path) {
                    continue;
                }
                if entry.file_type().await?.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&example)?.to_string_lossy().into_owned();
                if !MANIFESTS.contains(&name.as_str()) {
                    files.push(name);
                }
            }
        }
        Ok(files)
    }
}

/// One change to one file, which has to have something to change.
pub async fn edit(repository: &Repository<'_>, file: &str, from: &str, to: &str) -> Result<()> {
    let path = repository.folder().join(file);
    let text = fs::read_to_string(&path).await.with_context(|| format!("read {}", path.display()))?;
    ensure!(text.contains(from), "{file} has no {from:?} to change");
    repository.write(file, &text.replace(from, to)).await
}
