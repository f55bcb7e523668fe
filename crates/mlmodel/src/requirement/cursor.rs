//! A place in a text that is read from left to right: [`Cursor`].

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte where it stands.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// What is left.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// What was read since another place.
    pub fn since(&self, start: Self) -> &'a str {
        &self.text[start.at..self.at]
    }

    pub fn is_done(&self) -> bool {
        self.rest().is_empty()
    }

    /// Takes blanks and tabs; says whether there were any.
    pub fn blanks(&mut self) -> bool {
        !self
            .take_while(|character| matches!(character, ' ' | '\t'))
            .is_empty()
    }

    /// Takes a text, whatever its case, if it comes next.
    pub fn take(&mut self, expected: &str) -> bool {
        let next = self.rest().get(..expected.len());
        let found = next.is_some_and(|next| next.eq_ignore_ascii_case(expected));
        if found {
            self.at += expected.len();
        }
        found
    }

    /// Takes the first of these texts that comes next.
    pub fn take_one(&mut self, expected: &[&'static str]) -> Option<&'static str> {
        expected.iter().find(|text| self.take(text)).copied()
    }

    /// Takes a word of lower-case letters if it comes next and ends there.
    pub fn word(&mut self, expected: &str) -> bool {
        let rest = self.rest();
        let ends =
            |after: &str| !after.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let found = rest.strip_prefix(expected).is_some_and(ends);
        if found {
            self.at += expected.len();
        }
        found
    }

    pub fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|character| !fits(character))
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Takes digits; says whether there were any.
    pub fn digits(&mut self) -> bool {
        !self
            .take_while(|character| character.is_ascii_digit())
            .is_empty()
    }
}
