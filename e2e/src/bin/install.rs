//! Makes the operator's image of what `cargo build --release` left and installs the operator in the test cluster: `install [image]`.

use anyhow::{Result, bail};
use switchyard_e2e::{ground::Ground, install, tell::Teller};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let image_only = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["image"] => true,
        _ => bail!("usage: install [image]"),
    };
    let teller = Teller::new();
    let ground = Ground::of_the_test_cluster().await?;
    if image_only {
        teller.say(&format!("the image is {}", install::image(&ground).await?));
        return Ok(());
    }
    teller.say("installing the operator");
    install::install(&ground).await?;
    teller.say("the operator is ready");
    Ok(())
}
