//! What is a filter, what is not, and what is said of it.

use super::*;

/// The tree as text: `&(a=1 |(b='x' c LIKE 'y'))`.
fn tree(filter: &Filter<Comparison>) -> String {
    let join = |sign: &str, parts: &[Filter<Comparison>]| {
        let parts: Vec<String> = parts.iter().map(tree).collect();
        format!("{sign}({})", parts.join(" "))
    };
    match filter {
        Filter::Is(comparison) => {
            let entity = comparison.identifier.entity.as_deref().unwrap_or("-");
            let value = match &comparison.value {
                Value::Number(number) => number.clone(),
                Value::Text(text) => format!("'{text}'"),
                Value::List(items) => items
                    .iter()
                    .map(|(Item::Number(text) | Item::Text(text))| text.as_str())
                    .collect::<Vec<_>>()
                    .join(","),
                Value::Nothing => String::new(),
            };
            format!(
                "{entity}:{}{}{value}",
                comparison.identifier.key,
                comparison.operator.text()
            )
        }
        Filter::All(parts) => join("&", parts),
        Filter::Any(parts) => join("|", parts),
    }
}

fn parsed(text: &str) -> String {
    parse(text).map_or_else(|error| format!("error: {error}"), |filter| tree(&filter))
}

#[test]
fn what_mlflow_takes_is_taken() {
    for (text, expected) in [
        ("", "&()"),
        (" \t\n ", "&()"),
        ("metrics.a IN (1, -2.5)", "metrics:aIN1,-2.5"),
        ("metrics.a > 1", "metrics:a>1"),
        ("metrics.a>-.5", "metrics:a>-.5"),
        ("metrics.`a b` >= 1e3", "metrics:a b>=1e3"),
        ("tags.\"x y\" like '%a%'", "tags:x yLIKE'%a%'"),
        ("run_id NOT IN ('a', \"b\",)", "-:run_idNOT INa,b"),
        ("params.x is not null", "params:xIS NOT NULL"),
        ("tags.mlflow.runName = 'a'", "tags:mlflow.runName='a'"),
        ("`run name` = 'x'", "-:run name='x'"),
        ("params.a = \"it's\"", "params:a='it's'"),
        (
            "metrics.a <> 1 and metrics.b == 2",
            "&(metrics:a!=1 metrics:b=2)",
        ),
        ("metrics.a > 1 metrics.b > 2", "&(metrics:a>1 metrics:b>2)"),
        ("metrics.a > 1 and", "metrics:a>1"),
        ("AND", "&()"),
        ("params.order = 'x'", "params:order='x'"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn or_binds_less_than_and_and_parentheses_most() {
    for (text, expected) in [
        ("a.b=1 or a.c=2 and a.d=3", "|(a:b=1 &(a:c=2 a:d=3))"),
        ("(a.b=1 OR a.c=2) AND a.d=3", "&(|(a:b=1 a:c=2) a:d=3)"),
        ("((a.b=1))", "a:b=1"),
        ("a.b='it''s' or a.c=1 or a.d=1", "|(a:b='it's' a:c=1 a:d=1)"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_filter_is_refused_with_the_place() {
    const COMPARISON: &str = "Expected a comparison such as `=`, `LIKE`, `IN (…)` or `IS NULL`";
    const NAME: &str = "Expected a name such as `metrics.accuracy`";
    let clause = |clause: &str, expected: &str, place: &str| {
        format!("Invalid clause(s) in filter string: '{clause}'. {expected} at {place}.")
    };
    for (text, expected) in [
        ("metrics.a", clause("metrics.a", COMPARISON, "its end")),
        ("a.b=1 or", clause("its end", NAME, "its end")),
        ("a.b=1 or and", clause("its end", NAME, "its end")),
        ("or a.b=1", clause("or a.b=1", NAME, "character 1, 'or'")),
        ("()", clause(")", NAME, "character 2, ')'")),
        (
            "(a.b=1",
            clause("its end", "Expected `AND`, `OR` or `)`", "its end"),
        ),
        (
            "a.b=1)",
            clause(")", "Expected `AND`, `OR` or the end", "character 6, ')'"),
        ),
        (
            "'a' = params.x",
            clause("'a' = params.x", NAME, "character 1, ''a''"),
        ),
        (
            "metrics.a between 1 and 2",
            clause(
                "metrics.a between 1 and 2",
                COMPARISON,
                "character 11, 'between'",
            ),
        ),
        (
            "metrics.é = 1 AND tags.a LIK 'b'",
            clause("tags.a LIK 'b'", COMPARISON, "character 26, 'LIK'"),
        ),
        (
            "metrics.a > inf",
            "Expected a number or a quoted string value (e.g. 'my-value') for 'a' at character 13, 'inf'.".to_owned(),
        ),
        (
            "metrics.a >",
            "Expected a number or a quoted string value (e.g. 'my-value') for 'a' at its end.".to_owned(),
        ),
        (
            "run_id in ()",
            "While parsing a list in the query, expected a non-empty list of string values, but got empty list".to_owned(),
        ),
    ] {
        assert_eq!(parsed(text), format!("error: {expected}"), "{text}");
    }
    for text in [
        "metrics.a > 1;",
        "a.b = 'x",
        "metrics.a-b > 1",
        "a.b = \u{0}",
    ] {
        assert!(
            parsed(text).starts_with("error: Invalid clause(s)"),
            "{text}: {}",
            parsed(text)
        );
    }
}

#[test]
fn size_is_bounded() {
    let deep = "(".repeat(100);
    assert!(parsed(&deep).contains("parentheses within each other"));
    let long = vec!["a.b=1"; 300].join(" and ");
    assert!(parsed(&long).contains("more than 200 comparisons"));
    assert!(parsed(&"a".repeat(2 << 20)).contains("longer than"));
    let like = |length: usize| format!("tags.big LIKE '{}'", "a".repeat(length));
    assert!(parsed(&like(1024)).starts_with("tags:bigLIKE"));
    let refused = "error: The pattern of `big LIKE` has 1025 bytes; a pattern may have 1024";
    assert_eq!(parsed(&like(1025)), refused);
    let many = vec![like(1000); 9].join(" OR ");
    assert!(parsed(&many).contains("more than 8192 bytes together"));
    assert!(parsed("a.b ILIKE 'x\\'").contains("ends with a single"));
    assert_eq!(parsed("a.b LIKE 'x\\\\'"), "a:bLIKE'x\\\\'");
}

#[test]
fn orders_have_a_direction() {
    let order = |text: &str| {
        parse_order(text).map_or_else(
            |error| error.to_string(),
            |(identifier, ascending)| {
                format!("{:?} {} {ascending}", identifier.entity, identifier.key)
            },
        )
    };
    assert_eq!(order("metrics.a DESC"), "Some(\"metrics\") a false");
    assert_eq!(order("start_time"), "None start_time true");
    assert_eq!(order("params.`a b` asc"), "Some(\"params\") a b true");
    assert_eq!(
        order("metrics.a foo"),
        "Invalid ordering key in order_by clause 'metrics.a foo'."
    );
    assert_eq!(
        order(""),
        "Invalid order_by clause ''. Could not be parsed."
    );
    assert_eq!(
        order("tags.x asc desc"),
        "Invalid order_by clause 'tags.x asc desc'. Could not be parsed."
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        let _ = parse(&text);
        let _ = parse_order(&text);
    }

    #[test]
    fn near_filters_are_read_or_refused(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "metrics", ".", "a", "=", "'x'", "1", "(", ")", "and", "or", "is", "not",
                "null", "in", ",", "`k`", "like", "-", "\"",
            ]),
            0..20,
        )
    ) {
        let _ = parse(&parts.join(" "));
        let _ = parse(&parts.concat());
    }
}
