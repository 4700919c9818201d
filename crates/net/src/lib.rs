//! Guarded HTTP, for addresses that users may name.
//!
//! # Guarantees
//! - One request, to the address that was named: no redirect is followed, and no proxy of the environment is asked.
//! - No connection to loopback, link-local (where clouds keep the credentials of a machine), multicast or unspecified
//!   addresses, whatever a name resolves to at that moment; unless the client was made to allow it.
//! - No credential is sent but the one that a caller gives for one address, and no cookie kept.
//! - Time is bounded over everything, from the name to the last byte; so is the body.
//!
//! Assumption: the process has installed a rustls provider (`rustls::crypto::ring`) before the first client is made.

mod body;
mod client;
mod guard;

pub use body::{excerpt, innermost, read};
pub use client::{Answer, Body, Client, Error};
pub use guard::Guard;
