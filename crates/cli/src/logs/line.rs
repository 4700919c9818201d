//! A line of a log, as it is shown.

use jiff::Timestamp;

/// `image/web build | `, before each line of that container.
pub fn prefix(step: &str, container: &str) -> String {
    format!("{step} {container} | ")
}

/// When a line was written, and its text: as the API server gives it out with timestamps.
pub fn split(line: &str) -> (Option<Timestamp>, &str) {
    let stamped = line.split_once(' ').unwrap_or((line, ""));
    stamped.0.parse().map_or((None, line), |time| (Some(time), stamped.1))
}

/// Without what would move the cursor, ring the bell or colour the rest: a build's log is written by strangers, and ends
/// in a person's terminal beside the lines of others.
pub fn plain(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' && characters.next_if_eq(&'[').is_some() {
            // A control sequence ends with its first character from here on (ECMA-48, 5.4).
            while characters.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
        } else if c == '\t' || !c.is_control() {
            kept.push(c);
        }
    }
    kept
}

/// How far a log was read, so that after a cut it goes on where it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The latest line, and how many were written at that very moment.
    last: Option<(Timestamp, usize)>,
    /// What was read before the cut, and how many lines of its last moment came again.
    before: Option<(Timestamp, usize)>,
    again: usize,
}

impl Position {
    /// The log is asked for once more. From when on?
    pub fn resume(&mut self) -> Option<Timestamp> {
        self.before = self.last;
        self.again = 0;
        self.last.map(|(time, _)| time)
    }

    /// Whether a line is a new one.
    pub fn is_new(&mut self, time: Timestamp) -> bool {
        if let Some((before, count)) = self.before {
            if time < before {
                return false;
            }
            if time == before && self.again < count {
                self.again = self.again.saturating_add(1);
                return false;
            }
        }
        // Two streams share a log, so a line may be a little older than the one above it.
        self.last = match self.last {
            Some((last, count)) if last == time => Some((last, count.saturating_add(1))),
            Some((last, count)) if last > time => Some((last, count)),
            Some(_) | None => Some((time, 1)),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_time_before_a_line_is_told_from_the_line() {
        let (time, text) = split("2026-11-21T20:00:00.123456789Z Step 1/3 : FROM scratch");
        assert_eq!((time.unwrap().subsec_nanosecond(), text), (123_456_789, "Step 1/3 : FROM scratch"));
        assert_eq!(split("2026-11-21T20:00:00Z ").1, "");
        assert_eq!(split("2026-11-21T20:00:00Z").1, "");
        assert_eq!(split("unable to retrieve container logs"), (None, "unable to retrieve container logs"));
    }

    #[test]
    fn a_log_cannot_write_over_other_lines() {
        let forged = "\u{1b}[2K\u{1b}[1;32m\rbuild/shop-1 Succeeded\u{1b}[0m\u{7}\u{9b}1A";
        assert_eq!(plain(forged), "build/shop-1 Succeeded1A");
        assert_eq!(plain("a\tb \u{1b}c é 你 \u{1b}["), "a\tb c é 你 ");
    }

    #[test]
    fn after_a_cut_no_line_is_shown_twice_and_none_is_left_out() {
        let log = [1, 2, 2, 3, 3, 3, 4].map(at);
        for cut in 0..=log.len() {
            let mut position = Position::default();
            assert_eq!(position.resume(), None);
            assert!(log[..cut].iter().all(|time| position.is_new(*time)));
            let from = position.resume();
            // What the server gives from a moment on has all lines of that moment.
            let again = log.iter().filter(|time| from.is_none_or(|from| **time >= from));
            let new = again.filter(|time| position.is_new(**time)).count();
            assert_eq!(new, log.len() - cut, "cut after {cut} lines");
        }
    }

    #[test]
    fn a_line_that_is_a_little_older_than_the_one_above_it_is_shown() {
        let mut position = Position::default();
        position.resume();
        assert!([5, 7, 6, 7].map(at).iter().all(|time| position.is_new(*time)));
        assert_eq!(position.resume(), Some(at(7)));
        assert!(!position.is_new(at(7)) && !position.is_new(at(7)) && position.is_new(at(7)));
    }
}
