//! Texts with wildcards and variables. `*` is any text, also across levels of a topic, and `?` any character. MQTT's
//! `+` and `#` mean nothing here.

use super::action::Action;
use super::context::Client;
use super::variable::Variable;
use std::borrow::Cow;
use std::fmt;

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    #[error("{0:?} begins a variable with `${{` and does not end it with `}}`")]
    Open(String),
    #[error(
        "`${{{0}}}` is no variable of AWS IoT policies that this server knows; docs/policies.md names them, such as \
         ${{iot:Connection.Thing.ThingName}}"
    )]
    Unknown(String),
    #[error("{0:?} has several values and cannot stand in a text; use it as the key of a condition")]
    Many(String),
    #[error("{0:?} holds a variable, which takes the document's Version \"2012-10-17\"")]
    Version(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(String),
    AnyText,
    AnyCharacter,
    Variable(Variable),
}

/// A part of a pattern in which variables are filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Character(char),
    AnyText,
    AnyCharacter,
}

/// What a text is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
}

/// Which characters of a pattern's text mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) wildcards: bool,
    /// Only documents of the Version 2012-10-17 have them.
    pub(super) variables: bool,
}

/// How variables are filled in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) action: Action,
    /// Whether values must not hold what means something in a topic.
    pub(super) in_topic: bool,
    /// Whether case counts; where it does not, the pattern is [`Pattern::folded`].
    pub(super) exact: bool,
}

/// How a pattern and a text compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match<'a> {
    Yes,
    No,
    /// The client has no value for a variable; with some value it might match.
    Missing(&'a Variable),
    /// It would match with a value that must not stand there.
    Unsafe(&'a Variable),
}

/// A part of a pattern whose variables are filled in.
#[derive(Debug, Clone)]
enum Piece<'a> {
    Text(Cow<'a, str>),
    AnyText,
    AnyCharacter,
}

impl Pattern {
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Self, PatternError> {
        let mut tokens = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let mut found = None;
            if let Some(inner) = rest.strip_prefix("${") {
                if !syntax.variables {
                    return Err(PatternError::Version(text.to_owned()));
                }
                let (name, behind) = inner.split_once('}').ok_or_else(|| PatternError::Open(text.to_owned()))?;
                rest = behind;
                // These stand for themselves.
                if ["*", "?", "$"].contains(&name) {
                    plain.push_str(name);
                    continue;
                }
                let variable = Variable::named(name).ok_or_else(|| PatternError::Unknown(name.to_owned()))?;
                if variable.has_many() || variable == Variable::LastWillTopic {
                    return Err(PatternError::Many(name.to_owned()));
                }
                found = Some(Token::Variable(variable));
            } else {
                rest = &rest[c.len_utf8()..];
                match c {
                    '*' if syntax.wildcards => found = Some(Token::AnyText),
                    '?' if syntax.wildcards => found = Some(Token::AnyCharacter),
                    c => plain.push(c),
                }
            }
            if let Some(token) = found {
                if !plain.is_empty() {
                    tokens.push(Token::Text(std::mem::take(&mut plain)));
                }
                tokens.push(token);
            }
        }
        if !plain.is_empty() {
            tokens.push(Token::Text(plain));
        }
        Ok(Self { tokens })
    }

    /// The same in lower case; not the names of variables, where those of attributes are told apart by case.
    pub(super) fn folded(self) -> Self {
        let tokens = self.tokens.into_iter().map(|token| match token {
            Token::Text(text) => Token::Text(text.to_lowercase()),
            other => other,
        });
        Self { tokens: tokens.collect() }
    }

    /// Whether the client has no value for one of its variables.
    pub(super) fn lacks(&self, filling: &Filling<'_>) -> bool {
        let is_lacking = |token: &Token| match token {
            Token::Variable(variable) => filling.client.value(variable, filling.action).is_none(),
            _ => false,
        };
        self.tokens.iter().any(is_lacking)
    }

    /// A text in which only the wildcards mean something.
    pub(super) fn of_wildcards(text: &str) -> Self {
        let tokens = text.split_inclusive(['*', '?']).flat_map(|part| {
            let (plain, wildcard) = match part.strip_suffix('*') {
                Some(plain) => (plain, Some(Token::AnyText)),
                None => part.strip_suffix('?').map_or((part, None), |plain| (plain, Some(Token::AnyCharacter))),
            };
            let plain = (!plain.is_empty()).then(|| Token::Text(plain.to_owned()));
            plain.into_iter().chain(wildcard)
        });
        Self { tokens: tokens.collect() }
    }

    /// Compares a pattern without variables.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let pieces: Vec<Piece<'_>> = self.tokens.iter().map(|token| plain_piece(token)).collect();
        matches(&pieces, text)
    }

    /// Fills the variables in and compares. Wildcards in values mean nothing.
    pub(super) fn compare<'p>(&'p self, text: &str, filling: &Filling<'_>) -> Match<'p> {
        // Most patterns of a policy are about something else altogether.
        if let (Some(Token::Text(start)), true) = (self.tokens.first(), filling.exact)
            && !text.starts_with(start.as_str())
        {
            return Match::No;
        }
        let (mut missing, mut unsafe_value) = (None, None);
        let mut pieces = Vec::with_capacity(self.tokens.len());
        for token in &self.tokens {
            let Token::Variable(variable) = token else {
                pieces.push(plain_piece(token));
                continue;
            };
            pieces.push(match filling.client.value(variable, filling.action) {
                Some(value) => {
                    if filling.in_topic && !variable.may_stand_in_topic(&value) {
                        unsafe_value = Some(variable);
                    }
                    Piece::Text(cased(value, filling.exact))
                }
                None => {
                    missing = Some(variable);
                    Piece::AnyText
                }
            });
        }
        let text = cased(Cow::Borrowed(text), filling.exact);
        match (matches(&pieces, &text), missing, unsafe_value) {
            (false, _, _) => Match::No,
            (true, Some(variable), _) => Match::Missing(variable),
            (true, None, Some(variable)) => Match::Unsafe(variable),
            (true, None, None) => Match::Yes,
        }
    }

    /// Whether it has a variable of which this holds.
    pub(super) fn any_variable(&self, holds: impl Fn(&Variable) -> bool) -> bool {
        self.tokens.iter().any(|token| matches!(token, Token::Variable(variable) if holds(variable)))
    }

    /// What it means for this client, element by element. A variable without a value is any text.
    pub(super) fn elements(&self, filling: &Filling<'_>) -> Vec<Element> {
        let mut elements = Vec::new();
        for token in &self.tokens {
            match token {
                Token::Text(text) => elements.extend(text.chars().map(Element::Character)),
                Token::AnyText => elements.push(Element::AnyText),
                Token::AnyCharacter => elements.push(Element::AnyCharacter),
                Token::Variable(variable) => match filling.client.value(variable, filling.action) {
                    Some(value) => elements.extend(value.chars().map(Element::Character)),
                    None => elements.push(Element::AnyText),
                },
            }
        }
        elements
    }

    /// Whether all its variables have values, and such as may stand where they stand.
    pub(super) fn is_filled(&self, filling: &Filling<'_>) -> bool {
        let is_sound = |value: &str, variable: &Variable| !filling.in_topic || variable.may_stand_in_topic(value);
        !self.any_variable(|variable| {
            !filling.client.value(variable, filling.action).is_some_and(|value| is_sound(&value, variable))
        })
    }

    /// The text before the first wildcard or variable.
    pub(super) fn start(&self) -> &str {
        match self.tokens.first() {
            Some(Token::Text(text)) => text,
            _ => "",
        }
    }
}

/// As it is written, but that what stands for itself is not marked.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| match token {
            Token::Text(text) => f.write_str(text),
            Token::AnyText => f.write_str("*"),
            Token::AnyCharacter => f.write_str("?"),
            Token::Variable(variable) => write!(f, "${{{variable}}}"),
        })
    }
}

fn plain_piece(token: &Token) -> Piece<'_> {
    match token {
        Token::Text(text) => Piece::Text(Cow::Borrowed(text)),
        Token::AnyCharacter => Piece::AnyCharacter,
        Token::AnyText | Token::Variable(_) => Piece::AnyText,
    }
}

fn cased(text: Cow<'_, str>, exact: bool) -> Cow<'_, str> {
    if exact { text } else { Cow::Owned(text.to_lowercase()) }
}

/// A place in a pattern.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    pieces: &'a [Piece<'a>],
    /// What is left of a text that was begun.
    text: &'a str,
}

enum Step {
    Character(char),
    AnyText,
    AnyCharacter,
    End,
}

impl Cursor<'_> {
    fn next(&mut self) -> Step {
        loop {
            let mut characters = self.text.chars();
            if let Some(c) = characters.next() {
                self.text = characters.as_str();
                return Step::Character(c);
            }
            let Some((piece, rest)) = self.pieces.split_first() else { return Step::End };
            self.pieces = rest;
            match piece {
                Piece::Text(text) => self.text = text,
                Piece::AnyText => return Step::AnyText,
                Piece::AnyCharacter => return Step::AnyCharacter,
            }
        }
    }
}

/// On a mismatch the last `*` takes one character more: no earlier one needs to, so the time is at most the product of
/// both lengths, whatever a stranger sends.
fn matches(pieces: &[Piece<'_>], text: &str) -> bool {
    let (mut pattern, mut left) = (Cursor { pieces, text: "" }, text.chars());
    let mut retry = None;
    loop {
        let goes_on = match pattern.next() {
            Step::AnyText => {
                retry = Some((pattern, left.clone()));
                true
            }
            Step::AnyCharacter => left.next().is_some(),
            Step::Character(c) => left.next() == Some(c),
            Step::End if left.as_str().is_empty() => return true,
            Step::End => false,
        };
        if goes_on {
            continue;
        }
        let Some((behind_star, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (pattern, left) = (*behind_star, from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, proptest};

    /// The definition, written down as it is.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', pattern_rest)), _) => (0..=text.len()).any(|at| naive(pattern_rest, &text[at..])),
            (Some(('?', pattern_rest)), Some((_, rest))) => naive(pattern_rest, rest),
            (Some((wanted, pattern_rest)), Some((found, rest))) => wanted == found && naive(pattern_rest, rest),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

        #[test]
        fn wildcards_mean_what_their_definition_says(pattern in "[ab/+\u{e9}*?]{0,9}", text in "[ab/+\u{e9}]{0,12}") {
            let (spelt, read): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            let syntax = Syntax { wildcards: true, variables: true };
            assert_eq!(Pattern::of_wildcards(&pattern), Pattern::parse(&pattern, syntax).unwrap());
            assert_eq!(Pattern::of_wildcards(&pattern).is_match(&text), naive(&spelt, &read));
        }

        #[test]
        fn no_text_is_too_odd_to_be_read(text in ".{0,40}", wildcards: bool, variables: bool) {
            let _ = Pattern::parse(&text, Syntax { wildcards, variables });
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_both_lengths() {
        let pattern = Pattern::of_wildcards(&"a*".repeat(900));
        assert!(!pattern.is_match(&("b".to_owned() + &"a".repeat(60_000))));
        assert!(pattern.is_match(&"a".repeat(60_000)));
    }

    #[test]
    fn what_is_no_pattern_is_refused_and_escapes_stand_for_themselves() {
        let syntax = Syntax { wildcards: true, variables: true };
        let escaped = Pattern::parse("a${*}${?}${$}{b}", syntax).unwrap();
        assert!(escaped.is_match("a*?${b}") && !escaped.is_match("axx${b}"));
        let problem = |text| Pattern::parse(text, syntax).unwrap_err().to_string();
        assert!(problem("topic/${iot:Clientid2}").contains("${iot:Clientid2}"), "{}", problem("${iot:Clientid2}"));
        assert!(problem("a${iot:ClientId").contains("does not end"));
        assert!(problem("${iot:ConnectAttributes}").contains("several values"));
        let older = Syntax { variables: false, ..syntax };
        assert!(Pattern::parse("${iot:ClientId}", older).unwrap_err().to_string().contains("2012-10-17"));
    }
}
