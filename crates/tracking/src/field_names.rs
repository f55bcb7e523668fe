//! Both spellings of a field: protobuf's JSON mapping reads `run_id` and `runId` alike.
//!
//! [`BothSpellings`] goes around a deserializer and gives every struct in it the names that it
//! declares, so that no wire type lists its fields twice. A field in both spellings reaches serde as
//! the same name twice, which it refuses. Keys of maps are the caller's and stay as they are. A list
//! is no struct here, although serde would read it as the fields in their order; and it has at most
//! [`MOST_ITEMS`], as three bytes of a request (`{},`) may be a hundred in memory.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Items that a list may have; MLflow's own limits are far below.
const MOST_ITEMS: usize = 100_000;

/// The error for a list with more of them.
pub(crate) const TOO_MANY: &str = "it has more than 100,000 items";

/// Whether `sent` is the name of `field` in JSON (protobuf's `json_name`): `runId` for `run_id`.
pub(crate) fn is_json_name(field: &str, sent: &str) -> bool {
    let mut sent = sent.chars();
    let mut after_underscore = false;
    for expected in field.chars() {
        if expected == '_' {
            after_underscore = true;
            continue;
        }
        let expected = if after_underscore {
            expected.to_ascii_uppercase()
        } else {
            expected
        };
        after_underscore = false;
        if sent.next() != Some(expected) {
            return false;
        }
    }
    sent.next().is_none()
}

/// The name that a struct declares for what was sent.
fn declared<'f>(fields: &'static [&'static str], sent: &'f str) -> &'f str {
    // Nearly every key has no capitals.
    if !sent.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return sent;
    }
    let known = fields.iter().find(|field| is_json_name(field, sent));
    known.copied().unwrap_or(sent)
}

/// A deserializer whose structs have their fields in either spelling.
pub(crate) struct BothSpellings<D>(pub(crate) D);

/// Methods that pass a visitor on as it is: nothing in them can be a struct.
macro_rules! pass_on {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for BothSpellings<D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Within(visitor))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_seq(Within(visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Within(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0
            .deserialize_struct(name, fields, Fields { visitor, fields })
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Within(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(length, Within(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0
            .deserialize_tuple_struct(name, length, Within(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }
}

/// A visitor of what may hold structs.
struct Within<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Within<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(BothSpellings(source))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, source: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(BothSpellings(source))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Items { items, count: 0 })
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        let fields = &[];
        self.0.visit_map(Entries { entries, fields })
    }
}

/// A visitor of a struct.
struct Fields<V> {
    visitor: V,
    fields: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Fields<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        let fields = self.fields;
        self.visitor.visit_map(Entries { entries, fields })
    }
}

/// The items of a list, and how many of them were read.
struct Items<A> {
    items: A,
    count: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if self.count > MOST_ITEMS {
            return Err(A::Error::custom(TOO_MANY));
        }
        self.count += 1;
        self.items.next_element_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.items.size_hint()
    }
}

/// The entries of a map, or of a struct with these fields.
struct Entries<A> {
    entries: A,
    fields: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if self.fields.is_empty() {
            return self.entries.next_key_seed(seed);
        }
        let fields = self.fields;
        self.entries.next_key_seed(Key { seed, fields })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.entries.next_value_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.entries.size_hint()
    }
}

/// A value of any kind.
struct Seed<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(BothSpellings(source))
    }
}

/// A key of a struct with these fields, handed on as it is declared.
struct Key<S> {
    seed: S,
    fields: &'static [&'static str],
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<S::Value, D::Error> {
        source.deserialize_identifier(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Key<S> {
    type Value = S::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, sent: &str) -> Result<S::Value, E> {
        let name = declared(self.fields, sent);
        self.seed.deserialize(StrDeserializer::new(name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Outer {
        run_id: Option<String>,
        inner_list: Vec<Inner>,
        inner_map: BTreeMap<String, Inner>,
        one_inner: Option<Inner>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        model_id_2: Option<String>,
    }

    fn read(text: &str) -> Result<Outer, serde_json::Error> {
        Outer::deserialize(BothSpellings(&mut serde_json::Deserializer::from_str(text)))
    }

    #[test]
    fn names_in_json_are_those_of_protobuf() {
        for (field, name) in [
            ("run_id", "runId"),
            ("name", "name"),
            ("a_b_c", "aBC"),
            ("model_id_2", "modelId2"),
            ("_a", "A"),
        ] {
            assert!(is_json_name(field, name), "{field} {name}");
        }
        for (field, name) in [("run_id", "runID"), ("run_id", "runIdx"), ("run_id", "run")] {
            assert!(!is_json_name(field, name), "{field} {name}");
        }
    }

    #[test]
    fn structs_at_any_depth_have_both_spellings_and_maps_have_their_keys() {
        let snake = r#"{"run_id":"r","inner_list":[{"model_id_2":"a"}],"inner_map":{"aB":{"model_id_2":"b"}},"one_inner":{"model_id_2":"c"}}"#;
        let camel = r#"{"runId":"r","innerList":[{"modelId2":"a"}],"innerMap":{"aB":{"modelId2":"b"}},"oneInner":{"modelId2":"c"},"noField":1}"#;
        let expected = read(snake).unwrap();
        assert_eq!(
            expected.one_inner.as_ref().unwrap().model_id_2.as_deref(),
            Some("c")
        );
        assert_eq!(read(camel).unwrap(), expected);
    }

    #[test]
    fn a_field_in_both_spellings_is_there_twice() {
        for text in [
            r#"{"run_id":"r","runId":"s"}"#,
            r#"{"runId":null,"run_id":"s"}"#,
            r#"{"inner_list":[{"modelId2":"a","model_id_2":"a"}]}"#,
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("duplicate field"), "{text}: {error}");
        }
    }

    #[test]
    fn a_list_has_its_limit() {
        let list = |count| format!(r#"{{"inner_list":[{}]}}"#, vec!["{}"; count].join(","));
        let read_list = read(&list(MOST_ITEMS)).unwrap();
        assert_eq!(read_list.inner_list.len(), MOST_ITEMS);
        let error = read(&list(MOST_ITEMS + 1)).unwrap_err().to_string();
        assert!(error.contains(TOO_MANY), "{error}");
    }

    #[test]
    fn a_list_is_no_struct() {
        for text in [
            r#"["r"]"#,
            r#"{"inner_list":[["a"]]}"#,
            r#"{"one_inner":["a"]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
