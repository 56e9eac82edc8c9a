//! Topic names and filters (MQTT 5 §4.7), within AWS IoT's limits.

/// AWS: at most 256 bytes of UTF-8.
const LONGEST: usize = 256;
/// AWS: at most seven slashes.
const MOST_SLASHES: usize = 7;

/// A topic name or filter that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// More bytes than AWS takes.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// More levels than AWS takes.
    #[error("it has more than {MOST_SLASHES} slashes")]
    TooDeep,
    /// It contains a control character.
    #[error("it contains a control character")]
    Control,
    /// A filter where a topic is asked for.
    #[error("a topic to publish to may not contain + or #")]
    Wildcard,
    /// No filter.
    #[error("+ must be a whole level, and # the last one")]
    MisplacedWildcard,
    /// A shared subscription.
    #[error("shared subscriptions are not supported")]
    Shared,
}

fn check(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        Err(TopicError::Empty)
    } else if text.len() > LONGEST {
        Err(TopicError::TooLong)
    } else if text.bytes().filter(|byte| *byte == b'/').count() > MOST_SLASHES {
        Err(TopicError::TooDeep)
    } else if text.chars().any(char::is_control) {
        Err(TopicError::Control)
    } else {
        Ok(())
    }
}

/// Whether it may be published to.
///
/// # Errors
///
/// Why not.
pub fn check_name(topic: &str) -> Result<(), TopicError> {
    check(topic)?;
    if topic.contains(['+', '#']) { Err(TopicError::Wildcard) } else { Ok(()) }
}

/// Whether it may be subscribed to.
///
/// # Errors
///
/// Why not.
pub fn check_filter(filter: &str) -> Result<(), TopicError> {
    check(filter)?;
    if filter.starts_with("$share/") {
        return Err(TopicError::Shared);
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_right = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            other => !other.contains(['+', '#']),
        };
        if !is_right {
            return Err(TopicError::MisplacedWildcard);
        }
    }
    Ok(())
}

/// Whether it is a topic of the server, which no wildcard at the beginning matches (MQTT 5 §4.7.2).
#[must_use]
pub fn is_reserved(topic: &str) -> bool {
    topic.starts_with('$')
}

/// Whether a filter that was checked matches a topic that was checked.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if is_reserved(topic) && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    for level in filter.split('/') {
        match (level, names.next()) {
            // It stands for the parent, too.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_filters_are_checked_as_the_protocol_says() {
        for good in ["a", "/", "a//b", "$aws/things/t/jobs/$next/get", "a b", "\u{e9}"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        assert_eq!(check_name("a/+"), Err(TopicError::Wildcard));
        assert_eq!(check_name(""), Err(TopicError::Empty));
        assert_eq!(check_name("a\0b"), Err(TopicError::Control));
        assert_eq!(check_name(&"a/".repeat(8)), Err(TopicError::TooDeep));
        assert_eq!(check_name(&"a".repeat(257)), Err(TopicError::TooLong));
        for good in ["#", "+", "+/+", "a/#", "/+", "$aws/+/#"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["a#", "#/a", "a/#/b", "a+", "+a/b", "##", "++"] {
            assert_eq!(check_filter(bad), Err(TopicError::MisplacedWildcard), "{bad}");
        }
        assert_eq!(check_filter("$share/g/a"), Err(TopicError::Shared));
    }

    #[test]
    fn filters_match_as_the_protocol_says() {
        for (filter, topic) in [
            ("sport/tennis/#", "sport/tennis"),
            ("sport/tennis/#", "sport/tennis/a/b"),
            ("#", "a/b"),
            ("+/+", "/a"),
            ("/+", "/a"),
            ("+", "a"),
            ("$aws/#", "$aws/a"),
            ("$aws/things/t/jobs/+/get", "$aws/things/t/jobs/$next/get"),
            ("a//b", "a//b"),
        ] {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [
            ("#", "$aws/a"),
            ("+/a", "$aws/a"),
            ("+", "/a"),
            ("sport/+", "sport"),
            ("a", "a/b"),
            ("a/b", "a"),
            ("a", "b"),
        ] {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }
}
