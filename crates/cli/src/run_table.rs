//! Runs as MLflow's command line writes them: a table as CSV, times and numbers as Python has them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mlrs_client::tracking::{Run, Tag};

/// One line for each run: what it is, then a column for each metric, param and tag that any run has,
/// as `pandas.DataFrame.to_csv` writes it.
pub(crate) fn csv(runs: &[Run]) -> String {
    let metrics: BTreeSet<&str> = keys(runs, |run| {
        run.data
            .metrics
            .iter()
            .map(|metric| metric.key.as_str())
            .collect()
    });
    let params: BTreeSet<&str> = keys(runs, |run| {
        run.data
            .params
            .iter()
            .map(|param| param.key.as_str())
            .collect()
    });
    let tags: BTreeSet<&str> = keys(runs, |run| {
        run.data.tags.iter().map(|tag| tag.key.as_str()).collect()
    });
    let starts = column_of_times(runs.iter().map(|run| run.info.start_time));
    let ends = column_of_times(runs.iter().map(|run| run.info.end_time));

    let mut heading: Vec<String> = [
        "run_id",
        "experiment_id",
        "status",
        "artifact_uri",
        "start_time",
        "end_time",
    ]
    .map(str::to_owned)
    .to_vec();
    for (prefix, keys) in [("metrics", &metrics), ("params", &params), ("tags", &tags)] {
        heading.extend(keys.iter().map(|key| format!("{prefix}.{key}")));
    }
    let mut lines = vec![line(&heading)];
    for ((run, start), end) in runs.iter().zip(starts).zip(ends) {
        let info = &run.info;
        let mut fields = vec![
            info.run_id.clone(),
            info.experiment_id.clone(),
            info.status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            info.artifact_uri.clone().unwrap_or_default(),
            start,
            end,
        ];
        fields.extend(metrics.iter().map(|key| {
            let metric = run.data.metrics.iter().find(|metric| metric.key == *key);
            metric
                .map(|metric| number(metric.value))
                .unwrap_or_default()
        }));
        fields.extend(params.iter().map(|key| text(&run.data.params, key)));
        fields.extend(tags.iter().map(|key| text(&run.data.tags, key)));
        lines.push(line(&fields));
    }
    lines.concat()
}

fn keys<'a>(runs: &'a [Run], of: impl Fn(&'a Run) -> Vec<&'a str>) -> BTreeSet<&'a str> {
    runs.iter().flat_map(of).collect()
}

fn text(tags: &[Tag], key: &str) -> String {
    let tag = tags.iter().find(|tag| tag.key == key);
    tag.map(|tag| tag.value.clone()).unwrap_or_default()
}

/// Fields with quotes where they need some (RFC 4180), and a line feed.
fn line(fields: &[String]) -> String {
    let quoted = fields.iter().map(|field| {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}

/// Times in UTC; with milliseconds where any of them has some.
fn column_of_times(times: impl Iterator<Item = Option<i64>> + Clone) -> Vec<String> {
    let whole = times.clone().flatten().all(|time| time % 1000 == 0);
    let format = if whole {
        "%Y-%m-%d %H:%M:%S+00:00"
    } else {
        "%Y-%m-%d %H:%M:%S.%3f+00:00"
    };
    times
        .map(|time| {
            let time = time.and_then(|time| Timestamp::from_millisecond(time).ok());
            time.map(|time| time.strftime(format).to_string())
                .unwrap_or_default()
        })
        .collect()
}

/// A number as Python's `repr` writes it; nothing for what is not a number.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        return String::new();
    }
    let shortest = format!("{value:?}");
    match shortest.split_once('e') {
        None => shortest,
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}

/// A time in the zone of this machine, as `mlflow runs list` writes it.
pub(crate) fn local_time(milliseconds: i64) -> String {
    let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
    Timestamp::from_millisecond(milliseconds)
        .map(|time| {
            time.to_zoned(zone)
                .strftime("%Y-%m-%d %H:%M:%S %Z")
                .to_string()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (value, written) in [
            (3.0, "3.0"),
            (1e-5, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (0.0001, "0.0001"),
            (1e16, "1e+16"),
            (123_456_789_012_345.6, "123456789012345.6"),
            (1e300, "1e+300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, ""),
        ] {
            assert_eq!(number(value), written);
        }
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let fields = ["a", "b,c", "say \"no\"", "two\nlines", ""].map(str::to_owned);
        assert_eq!(
            line(&fields),
            "a,\"b,c\",\"say \"\"no\"\"\",\"two\nlines\",\n"
        );
    }

    #[test]
    fn milliseconds_are_written_where_a_column_has_some() {
        let times = [Some(1_795_269_623_149), None, Some(1_795_269_623_000)];
        assert_eq!(
            column_of_times(times.into_iter()),
            [
                "2026-11-21 14:00:23.149+00:00",
                "",
                "2026-11-21 14:00:23.000+00:00"
            ]
        );
        assert_eq!(
            column_of_times([Some(0)].into_iter()),
            ["1970-01-01 00:00:00+00:00"]
        );
    }
}
