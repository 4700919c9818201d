//! What the benches share: where a result was made, percentiles, and the page that says it.

pub mod figures;
pub mod machine;
pub mod page;
