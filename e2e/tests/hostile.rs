//! A hostile Dockerfile, a hostile test and a hostile repository: what they try to read, and do not get. Each attempt is
//! also made where its guard is missing, and succeeds there: or it would prove nothing.

#[path = "hostile/names.rs"]
mod names;
#[path = "hostile/reading.rs"]
mod reading;
#[path = "hostile/sources.rs"]
mod sources;
#[path = "hostile/writing.rs"]
mod writing;

use switchyard_e2e::{ground::Ground, known::Known};

/// The credentials of the cluster's own users.
fn credentials(ground: &Ground) -> [Known; 3] {
    let password = |name: &'static str, setting: &str| {
        let of = |what: &str| ground.setting(&format!("{setting}_{what}"));
        Known::password(name, of("USER"), of("PASSWORD"))
    };
    [password("git", "GIT_READER"), password("push", "REGISTRY_PUSH"), password("pull", "REGISTRY_PULL")]
}
