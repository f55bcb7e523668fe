//! Events become values: [`Composer`].

use std::collections::HashMap;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::scalar::{self, Scalar};
use super::{TEXT_LIMIT, Texts, YamlSyntax};

/// How many values a text may unfold to.
const MOST_VALUES: usize = 500_000;
/// How many bytes of text its values may hold together.
const MOST_BYTES: usize = 4 * TEXT_LIMIT;
/// YAML allows keys of 1024 characters; escapes take up to four each when they are written.
const LONGEST_KEY: usize = 240;
/// The longest key of what is not written again.
const LONGEST_KEY_OF_TEXTS: usize = 1024;
/// How deep nodes may nest.
const MOST_DEPTH: usize = 128;

/// The key whose value is merged into its map.
const MERGE: &str = "<<";

/// What a value has cost of the budget.
#[derive(Clone, Copy, Default)]
struct Cost {
    values: usize,
    bytes: usize,
}

/// Makes the value of a text.
pub(super) struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    texts: Texts<'a>,
    anchors: HashMap<usize, (Value, Cost)>,
    spent: Cost,
    depth: usize,
}

type Found<'a> = (Event<'a>, Span);

impl<'a> Composer<'a> {
    pub(super) fn new(text: &'a str, texts: Texts<'a>) -> Self {
        let mut options = Options::default();
        options.flow_nesting_limit = MOST_DEPTH;
        options.block_nesting_limit = MOST_DEPTH;
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            texts,
            anchors: HashMap::new(),
            spent: Cost::default(),
            depth: 0,
        }
    }

    /// The one document of the text; none when there is none.
    pub(super) fn document(&mut self) -> Result<Option<Value>, YamlSyntax> {
        let mut value = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(value),
                Event::DocumentStart(..) if value.is_some() => {
                    return Err(YamlSyntax::at(&span.start, "a second document begins"));
                }
                Event::DocumentStart(..) => {
                    let root = self.next()?;
                    value = Some(self.node(root, true)?);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Found<'a>, YamlSyntax> {
        match self.parser.next() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(error.into()),
            // It ends with an event of its own.
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn take(&mut self, cost: Cost, at: &Span) -> Result<(), YamlSyntax> {
        self.spent.values = self.spent.values.saturating_add(cost.values);
        self.spent.bytes = self.spent.bytes.saturating_add(cost.bytes);
        if self.spent.values > MOST_VALUES || self.spent.bytes > MOST_BYTES {
            return Err(YamlSyntax::at(
                &at.start,
                "the values are too many or too long",
            ));
        }
        Ok(())
    }

    /// The value of a node that begins with this event.
    fn node(&mut self, found: Found<'a>, is_root: bool) -> Result<Value, YamlSyntax> {
        let (event, span) = found;
        let before = self.spent;
        let anchor = event.anchor_id();
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                let scalar = match self.texts {
                    Texts::All => scalar_as_text(&text, style),
                    Texts::Under(_) => tagged_scalar(&text, style, tag.as_deref(), &span)?,
                };
                self.take(cost_of(&scalar), &span)?;
                scalar
            }
            Event::Alias(id) => return self.alias(id, &span),
            Event::SequenceStart(_, _, tag) => {
                known(tag.as_deref(), &span)?;
                self.nested(&span, Self::list)?
            }
            Event::MappingStart(_, _, tag) => {
                known(tag.as_deref(), &span)?;
                self.nested(&span, |composer| composer.map(is_root))?
            }
            _ => return Err(YamlSyntax::at(&span.start, "expected a value")),
        };
        if let Some(id) = anchor.filter(|id| *id != 0) {
            let cost = Cost {
                values: self.spent.values - before.values,
                bytes: self.spent.bytes - before.bytes,
            };
            // The copy that waits for aliases is held, too.
            self.take(cost, &span)?;
            self.anchors.insert(id, (value.clone(), cost));
        }
        Ok(value)
    }

    fn nested(
        &mut self,
        span: &Span,
        inner: impl FnOnce(&mut Self) -> Result<Value, YamlSyntax>,
    ) -> Result<Value, YamlSyntax> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            let message = format!("values nest deeper than {MOST_DEPTH}");
            return Err(YamlSyntax::at(&span.start, message));
        }
        self.take(
            Cost {
                values: 1,
                bytes: 0,
            },
            span,
        )?;
        let value = inner(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn alias(&mut self, id: usize, span: &Span) -> Result<Value, YamlSyntax> {
        let Some((value, cost)) = self.anchors.get(&id) else {
            // An anchor inside of which its own alias is has no value yet.
            return Err(YamlSyntax::at(&span.start, "an alias of what holds it"));
        };
        let (value, cost) = (value.clone(), *cost);
        self.take(cost, span)?;
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, YamlSyntax> {
        let mut values = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(values)),
                found => values.push(self.node(found, false)?),
            }
        }
    }

    /// A key that comes twice: the last one counts, as in Python. What is merged counts less than what
    /// the map has itself.
    fn map(&mut self, is_root: bool) -> Result<Value, YamlSyntax> {
        let mut own = Map::new();
        let mut merged = Map::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(
                &event,
                Event::Scalar(text, ScalarStyle::Plain, _, None) if text == MERGE
            );
            let key = self.key((event, span))?;
            let value = self.next()?;
            if is_merge {
                let from = self.node(value, false)?;
                merge(&mut merged, from).map_err(|message| YamlSyntax::at(&span.start, message))?;
                continue;
            }
            let stays_text = match self.texts {
                Texts::Under(keys) => is_root && keys.contains(&key.as_str()),
                Texts::All => false,
            };
            let value = if stays_text {
                self.text(&key, value)?
            } else {
                self.node(value, false)?
            };
            own.insert(key, value);
        }
        if merged.is_empty() {
            return Ok(Value::Object(own));
        }
        merged.extend(own);
        Ok(Value::Object(merged))
    }

    /// A key, as it was written.
    fn key(&mut self, found: Found<'a>) -> Result<String, YamlSyntax> {
        let (event, span) = found;
        let key = match event {
            Event::Scalar(text, style, anchor, tag) => {
                known(tag.as_deref(), &span)?;
                let text = text.into_owned();
                if anchor != 0 {
                    let value = scalar_as_text(&text, style);
                    let cost = cost_of(&value);
                    self.take(cost, &span)?;
                    self.anchors.insert(anchor, (value, cost));
                }
                text
            }
            Event::Alias(id) => match self.alias(id, &span)? {
                Value::String(text) => text,
                _ => return Err(YamlSyntax::at(&span.start, "expected a text as a key")),
            },
            _ => return Err(YamlSyntax::at(&span.start, "expected a text as a key")),
        };
        let limit = match self.texts {
            Texts::Under(_) => LONGEST_KEY,
            Texts::All => LONGEST_KEY_OF_TEXTS,
        };
        if key.len() > limit {
            let message = format!("a key of {} bytes, over the limit of {limit}", key.len());
            return Err(YamlSyntax::at(&span.start, message));
        }
        self.take(
            Cost {
                values: 0,
                bytes: key.len(),
            },
            &span,
        )?;
        Ok(key)
    }

    /// A scalar as it was written, or null.
    fn text(&mut self, key: &str, found: Found<'a>) -> Result<Value, YamlSyntax> {
        let (event, span) = found;
        let wrong = || YamlSyntax::at(&span.start, format!("`{key}`: expected a text"));
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                known(tag.as_deref(), &span)?;
                let value = scalar_as_text(&text, style);
                let cost = cost_of(&value);
                self.take(cost, &span)?;
                if anchor != 0 {
                    self.take(cost, &span)?;
                    self.anchors.insert(anchor, (value.clone(), cost));
                }
                Ok(value)
            }
            Event::Alias(id) => match self.alias(id, &span)? {
                value @ (Value::String(_) | Value::Null) => Ok(value),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

/// The value of a scalar, as its tag says or, without one, as it looks.
fn tagged_scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: &Span,
) -> Result<Value, YamlSyntax> {
    known(tag, span)?;
    let kind = match tag.and_then(Tag::core_suffix) {
        None if style == ScalarStyle::Plain && tag.is_none() => return Ok(scalar::plain(text)),
        Some("null") => return Ok(Value::Null),
        Some("bool") => Scalar::Bool,
        Some("int") => Scalar::Int,
        Some("float") => Scalar::Float,
        None | Some(_) => return Ok(Value::from(text)),
    };
    scalar::tagged(text, kind)
        .ok_or_else(|| YamlSyntax::at(&span.start, "the value is not what its tag says"))
}

/// A scalar as it was written; null where nothing, or a word for it, stands without quotes.
fn scalar_as_text(text: &str, style: ScalarStyle) -> Value {
    match style {
        ScalarStyle::Plain if scalar::is_null(text) => Value::Null,
        _ => Value::from(text),
    }
}

fn cost_of(scalar: &Value) -> Cost {
    Cost {
        values: 1,
        bytes: scalar.as_str().map_or(0, str::len),
    }
}

/// Refuses a tag that is not of the YAML namespace: it would build something.
fn known(tag: Option<&Tag>, span: &Span) -> Result<(), YamlSyntax> {
    let Some(tag) = tag else {
        return Ok(());
    };
    let full = format!("{}{}", tag.handle(), tag.suffix());
    // `!` alone says that a scalar is a text.
    if full == "!" || full.starts_with("tag:yaml.org,2002:") {
        return Ok(());
    }
    Err(YamlSyntax::at(
        &span.start,
        "expected a value without a tag",
    ))
}

/// Merges a map, or each map of a list, of which the first counts most.
fn merge(into: &mut Map<String, Value>, from: Value) -> Result<(), &'static str> {
    const EXPECTED: &str = "expected a map, or a list of maps, to merge";
    match from {
        Value::Object(map) => into.extend(map),
        Value::Array(maps) => {
            for map in maps.into_iter().rev() {
                let Value::Object(map) = map else {
                    return Err(EXPECTED);
                };
                into.extend(map);
            }
        }
        _ => return Err(EXPECTED),
    }
    Ok(())
}
