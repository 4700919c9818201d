//! Takes what looks like a secret out of a text that somebody else wrote. A net, not a wall: a program that prints its
//! credential in a form of its own gets it past this.

/// What stands in a secret's place.
const MASK: &str = "***";
/// A name that ends in one of these holds a secret.
const NAMES: [&str; 12] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "private_key",
    "auth",
];
/// What tokens of well-known issuers begin with.
const ISSUERS: [&str; 9] = ["ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "eyJ"];
/// No token of those is shorter.
const TOKEN: usize = 16;

pub fn mask(text: &str) -> String {
    let mut in_key = false;
    let lines = text.split('\n').filter_map(|line| {
        let (began, was) = (line.contains("-----BEGIN ") && line.contains("PRIVATE KEY"), in_key);
        in_key = (was || began) && !line.contains("-----END ");
        match (was, began) {
            (_, true) => Some(MASK.to_owned()),
            (true, false) => None,
            (false, false) => Some(issued(&named(&schemes(&addresses(line))))),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `https://user:password@host`: what stands before the host.
fn addresses(line: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        masked.push_str(before);
        masked.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c)).unwrap_or(after.len());
        let (authority, beyond) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => masked.extend([MASK, "@", host]),
            None => masked.push_str(authority),
        }
        rest = beyond;
    }
    masked + rest
}

/// What follows `Authorization:`, `Bearer` and `Basic`.
fn schemes(line: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while let Some(start) = rest.to_ascii_lowercase().find("authorization") {
        let (before, after) = rest.split_at(start.saturating_add("authorization".len()));
        let value = after.trim_start_matches(['"', '\'', ':', '=', ' ']);
        let (between, _) = after.split_at(after.len().saturating_sub(value.len()));
        masked.push_str(before);
        masked.push_str(between);
        let end = value.find(['"', '\'']).unwrap_or(value.len());
        let (secret, beyond) = value.split_at(end);
        let given = between.contains([':', '=']) && !secret.is_empty();
        masked.push_str(if given { MASK } else { secret });
        rest = beyond;
    }
    masked.push_str(rest);
    let mut after_scheme = false;
    words(&masked, |word| {
        let hide = after_scheme && word.len() >= TOKEN;
        after_scheme = ["bearer", "basic"].contains(&word.to_ascii_lowercase().as_str());
        hide
    })
}

/// `password=...`, `"auth": "..."`, `--token ...`.
fn named(line: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['=', ':', ' ']) {
        let (before, after) = rest.split_at(at);
        let other = |c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c));
        let name = before.trim_end_matches(['"', '\'']).rsplit(other).next().unwrap_or_default().to_ascii_lowercase();
        masked.push_str(before);
        let value = after.trim_start_matches(['=', ':', ' ']);
        let (between, _) = after.split_at(after.len().saturating_sub(value.len()));
        let given = between.contains(['=', ':']) || name.starts_with("--");
        let secret = given && NAMES.iter().any(|n| name.ends_with(n));
        masked.push_str(between);
        rest = value;
        if !secret || value.is_empty() {
            continue;
        }
        let quote = value.chars().next().filter(|c| ['"', '\''].contains(c));
        let inside = quote.map_or(value, |q| value.strip_prefix(q).unwrap_or(value));
        let end = match quote {
            Some(q) => inside.find(q).unwrap_or(inside.len()),
            None => inside.find(|c: char| c.is_whitespace() || ",;&\"'}".contains(c)).unwrap_or(inside.len()),
        };
        masked.extend(quote);
        masked.push_str(if end == 0 { "" } else { MASK });
        rest = inside.split_at(end).1;
    }
    masked + rest
}

/// Tokens that are known by how they begin.
fn issued(line: &str) -> String {
    words(line, |word| word.len() >= TOKEN && ISSUERS.iter().any(|i| word.starts_with(i)))
}

/// The line with each word hidden that is to be.
fn words(line: &str, mut hide: impl FnMut(&str) -> bool) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-.+/~".contains(c);
    let mut masked = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let start = rest.find(part).unwrap_or(rest.len());
        let (gap, after) = rest.split_at(start);
        let (word, beyond) = after.split_at(after.find(|c| !part(c)).unwrap_or(after.len()));
        masked.push_str(gap);
        masked.push_str(if !word.is_empty() && hide(word) { MASK } else { word });
        rest = beyond;
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_hidden() {
        for (text, masked) in [
            ("fatal: https://bob:hunter2@git.test/x.git", "fatal: https://***@git.test/x.git"),
            ("https://t0ken@a.test and https://b:c@d.test/e", "https://***@a.test and https://***@d.test/e"),
            ("> Authorization: Basic Ym9iOmh1bnRlcjI=", "> Authorization: ***"),
            (r#"{"authorization":"Bearer abc"}"#, r#"{"authorization":"***"}"#),
            ("sent Bearer abcdefghijklmnop.qrst", "sent Bearer ***"),
            (r#"{"auths":{"r.test":{"auth":"Ym9iOmh1bnRlcjI="}}}"#, r#"{"auths":{"r.test":{"auth":"***"}}}"#),
            (r#""identitytoken": "abc", "x": 1"#, r#""identitytoken": "***", "x": 1"#),
            ("DB_PASSWORD=hunter2 make", "DB_PASSWORD=*** make"),
            ("password: 'hun ter2'", "password: '***'"),
            ("run --token hunter2 --verbose", "run --token *** --verbose"),
            ("-Dsonar.token=abc,x", "-Dsonar.token=***,x"),
            ("?access_token=abc&x=1", "?access_token=***&x=1"),
            ("found ghp_0123456789abcdefghij!", "found ***!"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nafter", "***\nafter"),
        ] {
            assert_eq!(mask(text), masked);
            assert_eq!(mask(masked), masked, "masked twice");
        }
    }

    #[test]
    fn what_does_not_is_left_alone() {
        for text in [
            "1 failed, 3 passed in 0.12s",
            "error: failed to execute command: waiting for process to exit: exit status 1",
            "the password is wrong",
            "basic tests, author: bob, https://git.test/a@b",
            "  File \"/src/a.py\", line 3: bearer of news",
            "tokens = 3",
            "an é and a 漢字: x=1",
            "",
        ] {
            assert_eq!(mask(text), text);
        }
    }

    #[test]
    fn any_text_is_taken() {
        for text in [
            "://",
            "authorization",
            "password=",
            "password=\"",
            "é://é@é",
            "token:\u{0}",
            "=:=: :",
            "-----BEGIN PRIVATE KEY",
        ] {
            mask(text);
        }
    }
}
