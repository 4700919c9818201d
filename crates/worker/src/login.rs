//! One registry configuration of several, for a program that reads one.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use switchyard_api::report::{Passed, Report};

use crate::access::read_credential;
use crate::command::Login;
use crate::failure::Failure;

pub fn run(arguments: &Login) -> Result<Report, Failure> {
    let io = |error: std::io::Error| Failure::io("write config.json", &error);
    let configs = arguments.from.iter().map(|path| read_credential(path)).collect::<Result<Vec<_>, _>>()?;
    let merged = switchyard_registry::merge(&configs)?;
    std::fs::create_dir_all(&arguments.into).map_err(io)?;
    let (partial, whole) = (arguments.into.join("config.json.partial"), arguments.into.join("config.json"));
    // The step may run twice.
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(io)?;
    file.write_all(&merged).map_err(io)?;
    std::fs::rename(&partial, &whole).map_err(io)?;
    Ok(Report::Passed(Passed { message: format!("one configuration of {}", configs.len()) }))
}
