//! Reading a query.

use super::field::{Field, FieldError};
use super::pattern::{Pattern, Piece, phrase_of};
use super::words::number_of;
use super::{Bound, Query, Range, Test};
use std::iter::Peekable;
use std::str::{Chars, FromStr};

/// The longest query, in bytes.
pub const LONGEST_QUERY: usize = 1_000;
/// So many terms a query may have.
pub const MOST_TERMS: usize = 12;
/// How deep brackets may stand in one another.
const DEEPEST: usize = 16;

/// A text that is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing.
    #[error("the query is empty; `*` finds every thing")]
    Empty,
    /// Too long.
    #[error("the query is longer than {LONGEST_QUERY} bytes")]
    TooLong,
    /// Too many terms.
    #[error("the query has more than {MOST_TERMS} terms")]
    TooManyTerms,
    /// Too many brackets in one another.
    #[error("the query's brackets stand more than {DEEPEST} deep in one another")]
    TooDeep,
    /// A control character.
    #[error("the query holds a control character; write it as plain text")]
    Control,
    /// No such field.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Something else was expected.
    #[error("the query has {found} where {expected} should be")]
    Unexpected {
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// Numbers of a field that has none.
    #[error("{0} is a text; put the ends of its range in quotes, as in {0}:[\"a\" TO \"b\"]")]
    NotNumber(Field),
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        if text.len() > LONGEST_QUERY {
            return Err(QueryError::TooLong);
        }
        if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return Err(QueryError::Control);
        }
        let mut reader = Reader { rest: text.chars().peekable(), terms: 0, depth: 0 };
        reader.skip_blanks();
        if reader.rest.peek().is_none() {
            return Err(QueryError::Empty);
        }
        let query = reader.any_of(None)?;
        match reader.rest.peek() {
            None => Ok(query),
            Some(found) => Err(unexpected(&found.to_string(), "the end or one more term")),
        }
    }
}

fn unexpected(found: &str, expected: &'static str) -> QueryError {
    QueryError::Unexpected { found: format!("{found:?}"), expected }
}

/// A word as it stands in a query.
struct Word {
    pieces: Vec<Piece>,
    /// As it was written, without what escapes.
    plain: String,
    /// Whether any of it was escaped or quoted, so that it is no operator.
    literal: bool,
    quoted: bool,
}

impl Word {
    fn is(&self, operator: &str) -> bool {
        !self.literal && self.plain == operator
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    terms: usize,
    depth: usize,
}

impl Reader<'_> {
    /// Some `all_of` with OR between them; within `field:( … )` of that field.
    fn any_of(&mut self, field: Option<&Field>) -> Result<Query, QueryError> {
        let mut any = vec![self.all_of(field)?];
        while self.take_operator("OR") {
            any.push(self.all_of(field)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Query::Or(any) })
    }

    /// Some terms with AND, NOT or nothing between them.
    fn all_of(&mut self, field: Option<&Field>) -> Result<Query, QueryError> {
        let mut all = vec![self.one(field)?];
        loop {
            let expected = self.take_operator("AND");
            self.skip_blanks();
            let ends = matches!(self.rest.peek(), None | Some(')')) || self.comes("OR");
            if ends && !expected {
                return Ok(if all.len() == 1 { all.remove(0) } else { Query::And(all) });
            }
            all.push(self.one(field)?);
        }
    }

    fn one(&mut self, field: Option<&Field>) -> Result<Query, QueryError> {
        let mut negated = false;
        loop {
            self.skip_blanks();
            if self.take_operator("NOT") || self.take('-') {
                negated = !negated;
            } else {
                break;
            }
        }
        let query = if self.take('(') { self.bracket(field)? } else { self.term(field)? };
        Ok(if negated { Query::Not(Box::new(query)) } else { query })
    }

    fn bracket(&mut self, field: Option<&Field>) -> Result<Query, QueryError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(QueryError::TooDeep);
        }
        let query = self.any_of(field)?;
        self.skip_blanks();
        if !self.take(')') {
            return Err(self.surprise("a closing bracket"));
        }
        self.depth -= 1;
        Ok(query)
    }

    fn term(&mut self, field: Option<&Field>) -> Result<Query, QueryError> {
        self.terms += 1;
        if self.terms > MOST_TERMS {
            return Err(QueryError::TooManyTerms);
        }
        if let Some(field) = field {
            return self.value(Some(field));
        }
        let word = self.word(":<>", "a term")?;
        match self.rest.peek() {
            Some(':') if !word.quoted => {
                self.rest.next();
                let field = word.plain.parse()?;
                if self.take('(') {
                    // The bracket's own terms are counted.
                    self.terms -= 1;
                    return self.bracket(Some(&field));
                }
                self.value(Some(&field))
            }
            Some('<' | '>') if !word.quoted => {
                let field = word.plain.parse()?;
                self.value(Some(&field))
            }
            Some(found @ (':' | '<' | '>')) => Err(unexpected(&found.to_string(), "the end of a term")),
            _ if word.is("AND") || word.is("OR") => Err(unexpected(&word.plain, "a term")),
            _ => Ok(plain(None, word)),
        }
    }

    /// What a field is asked for.
    fn value(&mut self, field: Option<&Field>) -> Result<Query, QueryError> {
        let test = match self.rest.peek() {
            Some('[' | '{') => self.range(field)?,
            Some('<' | '>') => self.comparison(field)?,
            _ => {
                let word = self.word("", "a value")?;
                if word.is("AND") || word.is("OR") {
                    return Err(unexpected(&word.plain, "a value"));
                }
                return Ok(plain(field, word));
            }
        };
        Ok(Query::Term { field: field.cloned(), test })
    }

    /// `<5`, `>=5` and so on.
    fn comparison(&mut self, field: Option<&Field>) -> Result<Test, QueryError> {
        let above = self.rest.next() == Some('>');
        let inclusive = self.take('=');
        let end = self.word("", "a number")?;
        let bound = Some((end, inclusive));
        let (low, high) = if above { (bound, None) } else { (None, bound) };
        range_of(low, high, field)
    }

    /// `[1 TO 5]`, `{"a" TO *]` and so on.
    fn range(&mut self, field: Option<&Field>) -> Result<Test, QueryError> {
        let low_inclusive = self.rest.next() == Some('[');
        self.skip_blanks();
        let low = self.word("]}", "the lower end of a range")?;
        if !self.take_operator("TO") {
            return Err(self.surprise("TO, as in [1 TO 5]"));
        }
        self.skip_blanks();
        let high = self.word("]}", "the upper end of a range")?;
        self.skip_blanks();
        let high_inclusive = match self.rest.next() {
            Some(']') => true,
            Some('}') => false,
            Some(found) => return Err(unexpected(&found.to_string(), "the range's closing bracket")),
            None => return Err(end_too_soon("the range's closing bracket")),
        };
        let bound = |end: Word, inclusive| (end.literal || end.plain != "*").then_some((end, inclusive));
        range_of(bound(low, low_inclusive), bound(high, high_inclusive), field)
    }

    /// Up to a blank, a closing bracket or one of `ends`.
    fn word(&mut self, ends: &str, expected: &'static str) -> Result<Word, QueryError> {
        if self.take('"') {
            return self.quoted();
        }
        let mut word = Word { pieces: Vec::new(), plain: String::new(), literal: false, quoted: false };
        while let Some(&c) = self.rest.peek() {
            if c.is_whitespace() || c == ')' || c == '"' || ends.contains(c) {
                break;
            }
            self.rest.next();
            let (c, piece) = match c {
                '\\' => {
                    word.literal = true;
                    let escaped = self.rest.next().ok_or_else(|| end_too_soon("what \\ escapes"))?;
                    (escaped, Piece::Text(escaped.into()))
                }
                '*' => (c, Piece::Any),
                '?' => (c, Piece::One),
                _ => (c, Piece::Text(c.into())),
            };
            word.plain.push(c);
            word.pieces.push(piece);
        }
        if word.plain.is_empty() { Err(self.surprise(expected)) } else { Ok(word) }
    }

    fn quoted(&mut self) -> Result<Word, QueryError> {
        let mut plain = String::new();
        loop {
            match self.rest.next().ok_or_else(|| end_too_soon("a closing quote"))? {
                '"' => break,
                '\\' => plain.push(self.rest.next().ok_or_else(|| end_too_soon("what \\ escapes"))?),
                c => plain.push(c),
            }
        }
        Ok(Word { pieces: vec![Piece::Text(plain.clone())], plain, literal: true, quoted: true })
    }

    /// Whether this operator comes next, as a word of its own.
    fn comes(&self, operator: &str) -> bool {
        let mut ahead = self.rest.clone();
        operator.chars().all(|c| ahead.next() == Some(c))
            && ahead.peek().is_none_or(|c| c.is_whitespace() || "()[{\"".contains(*c))
    }

    fn take_operator(&mut self, operator: &str) -> bool {
        self.skip_blanks();
        let comes = self.comes(operator);
        if comes {
            self.rest.by_ref().take(operator.len()).for_each(drop);
        }
        comes
    }

    fn take(&mut self, wanted: char) -> bool {
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn surprise(&mut self, expected: &'static str) -> QueryError {
        match self.rest.peek() {
            Some(found) => unexpected(&found.to_string(), expected),
            None => end_too_soon(expected),
        }
    }
}

fn end_too_soon(expected: &'static str) -> QueryError {
    QueryError::Unexpected { found: "its end".to_owned(), expected }
}

fn plain(field: Option<&Field>, word: Word) -> Query {
    let field = field.cloned();
    if word.quoted {
        return Query::Term { field, test: Test::Phrase(phrase_of(&word.plain)) };
    }
    let pattern = Pattern::new(word.pieces);
    match (pattern.is_any(), &field) {
        (true, None) => Query::All,
        (true, Some(_)) => Query::Term { field, test: Test::Exists },
        _ => Query::Term { field, test: Test::Like(pattern) },
    }
}

type End = Option<(Word, bool)>;

/// Of numbers, unless an end is quoted or is no number.
fn range_of(low: End, high: End, field: Option<&Field>) -> Result<Test, QueryError> {
    let number = |(word, inclusive): &(Word, bool)| {
        let at = number_of(&word.plain).filter(|_| !word.quoted)?;
        Some(Bound { at, inclusive: *inclusive })
    };
    let (low_number, high_number) = (low.as_ref().map(number), high.as_ref().map(number));
    if !matches!(low_number, Some(None)) && !matches!(high_number, Some(None)) {
        return match field {
            Some(field) if !field.has_numbers() => Err(QueryError::NotNumber(field.clone())),
            _ => Ok(Test::Numbers(Range { low: low_number.flatten(), high: high_number.flatten() })),
        };
    }
    let text = |(word, inclusive): (Word, bool)| Bound { at: phrase_of(&word.plain), inclusive };
    Ok(Test::Texts(Range { low: low.map(text), high: high.map(text) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn operators_bind_as_they_should() {
        let parse = |text: &str| text.parse::<Query>().unwrap();
        assert_eq!(parse("a b OR c"), parse("(a AND b) OR (c)"));
        assert_eq!(parse("a OR b c"), parse("a OR (b AND c)"));
        assert_eq!(parse("a NOT b"), parse("a AND (NOT b)"));
        assert_eq!(parse("NOT NOT a"), parse("a"));
        assert_eq!(parse("-a"), parse("NOT a"));
        assert_eq!(parse("thingName:(a OR b)"), parse("thingName:a OR thingName:b"));
        assert_eq!(parse("attributes.x<5"), parse("attributes.x:{* TO 5}"));
        assert_eq!(parse("attributes.x>=5"), parse("attributes.x:[5 TO *]"));
        assert_ne!(parse("a\\-b"), parse("a -b"));
        assert_eq!(parse("ANDroid"), parse("android"));
        assert_ne!(parse("\\AND"), parse("x"));
    }

    #[test]
    fn what_is_no_query_is_refused_with_a_reason() {
        let thirteen = ["a"; 13].join(" ");
        let long = "a".repeat(1_001);
        let deep = "(".repeat(20);
        for (text, word) in [
            ("", "empty"),
            ("  ", "empty"),
            ("(a", "closing bracket"),
            ("a)", "the end"),
            ("a AND", "its end"),
            ("OR a", "\"OR\""),
            ("a OR", "its end"),
            ("NOT", "its end"),
            ("thingName:", "a value"),
            ("thingname:a", "no field"),
            ("urn:dev:1", "\\:"),
            ("thingName:[1 TO 5]", "quotes"),
            ("attributes.x:[1 5]", "TO"),
            ("attributes.x:[1 TO 5", "closing bracket"),
            ("attributes.x:\"a", "closing quote"),
            ("a\\", "escapes"),
            ("a\u{1}b", "control"),
            (&thirteen, "12 terms"),
            (&long, "1000 bytes"),
            (&deep, "deep"),
        ] {
            let error = text.parse::<Query>().unwrap_err().to_string();
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_stumble(text in "[a-z:()\\[\\]{}<>=\"\\\\*? .TOANDR-]{0,60}") {
            let _ = text.parse::<Query>();
        }
    }
}
