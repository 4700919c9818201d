//! Repositories on the Git server, and a person who pushes to them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::{fs, process::Command};

use crate::{ground::Ground, process::run};

/// A repository on the server, and a working copy of it.
pub struct Repository<'a> {
    ground: &'a Ground,
    /// Its address in the cluster.
    pub url: String,
    /// Its address from here.
    remote: String,
    folder: PathBuf,
}

impl<'a> Repository<'a> {
    /// An empty one, on the test cluster's server.
    pub async fn create(ground: &'a Ground, name: &str) -> Result<Self> {
        let url = run(ground.tool("git-repo")?.arg(name)).await?.trim().to_owned();
        let remote = format!("{}/{name}.git", ground.setting("GIT_ADDRESS_URL"));
        Self::at(ground, url, remote).await
    }

    /// One that is there already, empty or not.
    pub async fn at(ground: &'a Ground, url: String, remote: String) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("switchyard-{}-{}", std::process::id(), crate::place::suffix()));
        fs::create_dir_all(&folder).await.with_context(|| format!("create {}", folder.display()))?;
        let repository = Self { ground, url, remote, folder };
        run(repository.git().args(["init", "--quiet", "--initial-branch=main"])).await?;
        Ok(repository)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Begins from what the server's branch holds, if it holds anything.
    pub async fn fetch(&self, branch: &str) -> Result<()> {
        let known = run(self.git().args(["ls-remote", &self.remote, &format!("refs/heads/{branch}")])).await?;
        if !known.trim().is_empty() {
            run(self.git().args(["fetch", "--quiet", &self.remote, branch])).await?;
            run(self.git().args(["checkout", "--quiet", "-B", "main", "FETCH_HEAD"])).await?;
        }
        Ok(())
    }

    pub async fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.folder.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).await?;
        }
        fs::write(&path, text).await.with_context(|| format!("write {}", path.display()))
    }

    /// Commits everything in the working copy and pushes it; the commit's full name.
    pub async fn push(&self, message: &str) -> Result<String> {
        run(self.git().args(["add", "--all"])).await?;
        run(self.git().args(["commit", "--quiet", "--allow-empty", "-m", message])).await?;
        run(self.git().args(["push", "--quiet", &self.remote, "main"])).await?;
        Ok(run(self.git().args(["rev-parse", "HEAD"])).await?.trim().to_owned())
    }

    /// A link at this path, to whatever lies at `target` where it is read. Not pushed yet.
    pub async fn symlink(&self, path: &str, target: &str) -> Result<()> {
        fs::symlink(target, self.folder.join(path)).await.with_context(|| format!("link {path} to {target}"))
    }

    /// A submodule at this path, which is at this commit of whatever `.gitmodules` says; pushed. The commit's full name.
    pub async fn link(&self, path: &str, commit: &str, message: &str) -> Result<String> {
        // An empty folder, as a clone without submodules has it: else `add` would take the link for a deletion.
        fs::create_dir_all(self.folder.join(path)).await?;
        let link = format!("160000,{commit},{path}");
        run(self.git().args(["update-index", "--add", "--cacheinfo", &link])).await?;
        self.push(message).await
    }

    /// Writes these files, commits and pushes.
    pub async fn commit(&self, files: &[(&str, String)], message: &str) -> Result<String> {
        for (path, text) in files {
            self.write(path, text).await?;
        }
        self.push(message).await
    }

    /// Git as a person with a password, none of which stands in an argument or a URL, and no settings of this machine.
    fn git(&self) -> Command {
        let mut command = self.ground.command("git");
        let helper = "!f() { printf 'username=%s\\npassword=%s\\n' \"$SWITCHYARD_GIT_WRITER_USER\" \"$SWITCHYARD_GIT_WRITER_PASSWORD\"; }; f";
        command
            .current_dir(&self.folder)
            .args(["-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-c", "credential.helper="])
            .args(["-c", &format!("credential.helper={helper}")])
            .env("HOME", &self.folder)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        command
    }
}

impl Drop for Repository<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
