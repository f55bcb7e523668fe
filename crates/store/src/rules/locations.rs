//! Where artifacts are: addresses put together.

/// `uri` with more parts of its path; a query or fragment stays at the end.
pub fn append(uri: &str, parts: &[&str]) -> String {
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    let (path, rest) = uri.split_at(end);
    let mut joined = path.to_owned();
    for part in parts {
        if !joined.is_empty() && !joined.ends_with('/') {
            joined.push('/');
        }
        joined.push_str(part);
    }
    joined.push_str(rest);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_grow_and_queries_stay() {
        for (uri, expected) in [
            ("mlflow-artifacts:/", "mlflow-artifacts:/1/a"),
            ("s3://box/root", "s3://box/root/1/a"),
            ("s3://box", "s3://box/1/a"),
            ("/var/runs/", "/var/runs/1/a"),
            ("./mlruns", "./mlruns/1/a"),
            ("dbfs:/x?y=z#f", "dbfs:/x/1/a?y=z#f"),
        ] {
            assert_eq!(append(uri, &["1", "a"]), expected);
        }
    }
}
