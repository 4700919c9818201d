//! Tags with `$(…)` in them, made into tags a registry takes.

use switchyard_api::report::{Cloned, Reason};

use crate::failure::Failure;

/// A branch in a tag, which has 128 characters in all.
const MAX_BRANCH: usize = 63;
const MAX_TAG: usize = 128;

/// The tags to set, each once and in the order given. One that asks for what this build does not have is left out, and
/// where none is left the short commit is the tag: an image without any would be taken for rubbish.
pub fn expand(templates: &[String], cloned: &Cloned) -> Result<Vec<String>, Failure> {
    let mut tags = Vec::new();
    for template in templates {
        match expand_one(template, cloned)? {
            Some(tag) if !tags.contains(&tag) => tags.push(tag),
            Some(_) => {}
            None => tracing::warn!("left out the tag {template}: this build has no version or no branch"),
        }
    }
    if tags.is_empty() {
        tags.push(short(cloned).to_owned());
        tracing::info!("no tag was left, so the short commit is the tag");
    }
    Ok(tags)
}

fn expand_one(template: &str, cloned: &Cloned) -> Result<Option<String>, Failure> {
    let invalid = |why: &str| {
        let shown: String = template.chars().take(200).collect();
        Failure::new(Reason::ImageNameInvalid, format!("cannot use the tag {shown:?}: {why}"))
    };
    let (mut tag, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("$(") {
        let (name, after) = after.split_once(')').ok_or_else(|| invalid("a $( has no closing bracket"))?;
        let value = match name {
            "commit" => Some(cloned.commit.clone()),
            "short" => Some(short(cloned).to_owned()),
            "version" => cloned.version.clone(),
            "branch" => cloned.branch.as_deref().and_then(safe),
            _ => return Err(invalid("it knows $(version), $(branch), $(short) and $(commit)")),
        };
        let Some(value) = value else { return Ok(None) };
        tag.push_str(before);
        tag.push_str(&value);
        rest = after;
    }
    tag.push_str(rest);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if tag.len() > MAX_TAG || !tag.starts_with(word) || !tag.chars().all(|c| word(c) || ".-".contains(c)) {
        return Err(invalid("a tag has up to 128 letters, digits, dots, dashes and underscores, no dot or dash first"));
    }
    Ok(Some(tag))
}

fn short(cloned: &Cloned) -> &str {
    cloned.commit.get(..7).unwrap_or(&cloned.commit)
}

/// `feature/größe` as `feature-gr--e`; None when nothing is left that can begin a tag.
fn safe(branch: &str) -> Option<String> {
    let replaced: String =
        branch.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    let trimmed = replaced.trim_start_matches(['.', '-']);
    let cut = trimmed.get(..trimmed.len().min(MAX_BRANCH))?;
    (!cut.is_empty()).then(|| cut.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloned(branch: Option<&str>, version: Option<&str>) -> Cloned {
        Cloned {
            commit: "7f3a91c".to_owned() + &"0".repeat(33),
            branch: branch.map(str::to_owned),
            version: version.map(str::to_owned),
            committed: 0,
            subject: String::new(),
        }
    }

    fn expanded(templates: &[&str], cloned: &Cloned) -> Option<Vec<String>> {
        let templates: Vec<String> = templates.iter().map(|template| (*template).to_owned()).collect();
        expand(&templates, cloned).ok()
    }

    #[test]
    fn tags_people_ask_for() {
        let main = cloned(Some("main"), Some("1.2.3"));
        let row = |templates: &[&str], tags: &[&str]| {
            assert_eq!(expanded(templates, &main).unwrap(), tags, "{templates:?}");
        };
        row(&["$(version)", "$(branch)-$(short)"], &["1.2.3", "main-7f3a91c"]);
        row(&["latest", "v$(version)", "latest"], &["latest", "v1.2.3"]);
        row(&["$(commit)"], &[&main.commit]);
        row(&[], &["7f3a91c"]);
    }

    #[test]
    fn what_a_build_does_not_have_is_left_out() {
        let bare = cloned(None, None);
        assert_eq!(expanded(&["$(version)", "$(branch)-$(short)", "x-$(short)"], &bare).unwrap(), ["x-7f3a91c"]);
        assert_eq!(expanded(&["$(version)"], &bare).unwrap(), ["7f3a91c"]);
    }

    #[test]
    fn branches_become_safe() {
        let rows = [
            ("feature/größe", Some("feature-gr--e")),
            ("dependabot/npm_and_yarn/a-1.2", Some("dependabot-npm_and_yarn-a-1.2")),
            ("#1", Some("1")),
            ("日本", None),
        ];
        for (branch, expected) in rows {
            assert_eq!(safe(branch).as_deref(), expected, "{branch}");
        }
        assert_eq!(safe(&"a".repeat(200)).unwrap().len(), MAX_BRANCH);
        let long = cloned(Some(&"b".repeat(200)), Some("1.2.3"));
        assert_eq!(expanded(&["$(branch)-$(short)"], &long).unwrap()[0].len(), 71);
    }

    #[test]
    fn what_is_no_tag() {
        let main = cloned(Some("main"), Some("1.2.3"));
        for template in ["", "-x", "a b", "a/b", "a:b", "$(shell)", "$(version", "$x", &"a".repeat(129)] {
            assert_eq!(expanded(&[template], &main), None, "{template}");
        }
    }
}
