//! What Switchyard asks of Git: which commit a ref names, that one commit on disk, and its version.
//!
//! Runs the `git` program (2.39 or newer). Guarantees:
//! - No text of a user reaches a process before it was checked, and none where it could be read as an option.
//! - Git sees no configuration but ours: no system or user file, no `GIT_*` variable, no hook, no template.
//! - A password reaches Git only through a credential helper that answers for one scheme, host and port; it is in no
//!   argument, no URL, no file and no error.
//! - Every call ends: by low speed, by its total time, or by being dropped; the helpers Git started end with it.
//!
//! Caveats: Git LFS objects are not fetched, and submodules only when asked for. Plain `http` sends a password in the clear, to the host
//! the user named.

mod checkout;
pub mod conventional;
mod credentials;
mod error;
mod history;
mod name;
mod paths;
mod process;
mod remote;
mod submodules;
mod url;

pub use checkout::{Checkout, Cloned, clone};
pub use conventional::Version;
pub use credentials::Credentials;
pub use error::Error;
pub use name::{BranchName, CommitId, RefName, TagName, TagPrefix};
pub use paths::{Comparison, Difference, compare};
pub use remote::{Listed, Remote, list_ref};
pub use url::{Scheme, Url};
