//! What comes back: bodies within bounds, and errors in few words.

use reqwest::Response;

use crate::Error;

/// The longest excerpt of a stranger's text in a message, in characters.
const EXCERPT: usize = 200;

/// A body of at most `cap` bytes.
pub async fn read(mut answer: Response, cap: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| Error::of(&error))? {
        if body.len().saturating_add(piece.len()) > cap {
            return Err(Error::TooLarge { cap });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// One line, without control characters, of bounded length.
pub fn excerpt(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(EXCERPT).collect()
}

/// The innermost cause, which names what happened: "connection refused".
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    excerpt(&cause.to_string())
}
