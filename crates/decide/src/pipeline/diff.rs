//! From what is seen to what should exist: the writes.

use super::{Action, layout::Layout, observed::Observed};

pub fn diff(seen: &Observed, layout: &Layout) -> Vec<Action> {
    let missing = layout.build.iter().filter(|b| !seen.builds.contains_key(&b.build));
    let create = missing.map(|b| Action::CreateBuild {
        name: b.build.clone(),
        commit: b.commit.clone(),
        branch: b.branch.clone(),
        base: layout.base.clone(),
    });
    let delete = layout.surplus.iter().map(|(name, uid)| Action::DeleteBuild { name: name.clone(), uid: uid.clone() });
    create.chain(delete).collect()
}
