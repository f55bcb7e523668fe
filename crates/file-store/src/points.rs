//! Metrics: a file for each, a line for each point.
//!
//! A line of a run is `time value`, `time value step`, or the latter with the name and digest of a
//! dataset, which belong to the logged model of the point and are told there. A line of a logged
//! model is `time value step run`, with or without those two.

use std::io::{BufRead as _, BufReader, Read as _};

use mlrs_store::StoreError;
use mlrs_store::import::{ModelPoint, Point, PointSource, TakePoints};

use crate::files::{Folder, ReadError};
use crate::reason;

/// Points that are held at once.
const PORTION: usize = 1024;

/// The longest line in bytes: the name of a dataset has at most 500 characters.
const LONGEST_LINE: u64 = 8192;

/// The folder `metrics` of a run or a model.
pub(crate) struct Metrics(pub(crate) Folder);

/// A kind of point that lines hold.
trait Line: Sized {
    /// Reads a line, without its end; the fault says what is wrong with it.
    fn parse(line: &str) -> Result<Self, &'static str>;
}

impl Line for Point {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.trim().split(' ');
        let (time, value) = (words.next(), words.next());
        point(time, value, words.next().or(Some("0")))
    }
}

impl Line for ModelPoint {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let words: Vec<&str> = line.trim().split(' ').collect();
        let dataset = match words.len() {
            4 => None,
            6 => Some((words[4].to_owned(), words[5].to_owned())),
            _ => return Err("a point of a logged model has 4 or 6 words"),
        };
        Ok(Self {
            point: point(Some(words[0]), Some(words[1]), Some(words[2]))?,
            run_id: words[3].to_owned(),
            dataset,
        })
    }
}

fn point(
    time: Option<&str>,
    value: Option<&str>,
    step: Option<&str>,
) -> Result<Point, &'static str> {
    let whole = |word: Option<&str>| word.and_then(|word| word.parse().ok());
    Ok(Point {
        timestamp: whole(time).ok_or("the time is no whole number")?,
        value: value
            .and_then(|word| word.parse().ok())
            .ok_or("the value is no number")?,
        step: whole(step).ok_or("the step is no whole number")?,
    })
}

impl Metrics {
    fn read<P: Line>(&self, key: &str, take: TakePoints<'_, P>) -> Result<(), StoreError> {
        let unread = |error: ReadError| StoreError::invalid(reason(&error));
        let refused = |line, reason| {
            unread(ReadError::Line {
                path: self.0.shown(key),
                line,
                reason,
            })
        };
        let mut lines = BufReader::new(self.0.open(key).map_err(unread)?);
        let mut points = Vec::with_capacity(PORTION);
        let mut text = String::new();
        for number in 1.. {
            text.clear();
            let read = lines.by_ref().take(LONGEST_LINE).read_line(&mut text);
            match read {
                Ok(0) => break,
                Ok(length) if length as u64 == LONGEST_LINE => {
                    return Err(refused(number, "it is too long"));
                }
                Ok(_) => {}
                Err(_) => return Err(refused(number, "it cannot be read")),
            }
            points.push(P::parse(&text).map_err(|reason| refused(number, reason))?);
            if points.len() == PORTION {
                take(key, &points)?;
                points.clear();
            }
        }
        if points.is_empty() {
            return Ok(());
        }
        take(key, &points)
    }
}

impl<P: Line> PointSource<P> for Metrics {
    fn each(&self, take: TakePoints<'_, P>) -> Result<(), StoreError> {
        let keys = self.0.keys();
        for key in keys.map_err(|error| StoreError::invalid(reason(&error)))? {
            self.read(&key, take)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Result<Vec<(String, Vec<Point>)>, StoreError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("metrics/train")).unwrap();
        std::fs::write(folder.path().join("metrics/train/loss"), text).unwrap();
        let metrics = Metrics(Folder::root(folder.path()).unwrap().folder("metrics"));
        let mut taken = Vec::new();
        metrics.each(&mut |key, points: &[Point]| {
            taken.push((key.to_owned(), points.to_vec()));
            Ok(())
        })?;
        Ok(taken)
    }

    #[test]
    fn lines_of_all_ages_are_points() {
        let read = points("5 1.5\n6 -inf 2\n7 nan 3 data digest").unwrap();
        let (key, points) = &read[0];
        assert_eq!(key, "train/loss");
        assert_eq!(
            points[..2],
            [
                Point {
                    value: 1.5,
                    timestamp: 5,
                    step: 0
                },
                Point {
                    value: f64::NEG_INFINITY,
                    timestamp: 6,
                    step: 2
                },
            ]
        );
        assert!(points[2].value.is_nan());
    }

    #[test]
    fn many_points_come_in_portions() {
        let text = "1 2 3\n".repeat(PORTION + 1);
        let read = points(&text).unwrap();
        let lengths: Vec<usize> = read.iter().map(|(_, points)| points.len()).collect();
        assert_eq!(lengths, [PORTION, 1]);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, expected) in [
            (
                "1 2 3\n1 x 3\n",
                "`metrics/train/loss`, line 2: the value is no number",
            ),
            (
                "1 2 3\n\n",
                "`metrics/train/loss`, line 2: the time is no whole number",
            ),
            (
                "1 2 3.5\n",
                "`metrics/train/loss`, line 1: the step is no whole number",
            ),
            (
                "17320000",
                "`metrics/train/loss`, line 1: the value is no number",
            ),
        ] {
            assert_eq!(points(text).unwrap_err().to_string(), expected);
        }
        let long = "1".repeat(LONGEST_LINE as usize + 1);
        let error = points(&long).unwrap_err().to_string();
        assert_eq!(error, "`metrics/train/loss`, line 1: it is too long");
    }

    #[test]
    fn a_line_of_a_logged_model_names_its_run() {
        let point = ModelPoint::parse("1 2.0 3 r name digest\n").unwrap();
        assert_eq!((point.run_id.as_str(), point.point.step), ("r", 3));
        assert_eq!(
            point.dataset,
            Some(("name".to_owned(), "digest".to_owned()))
        );
        assert!(ModelPoint::parse("1 2.0 3").is_err());
    }
}
