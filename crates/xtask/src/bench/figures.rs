//! Figures: what a load measured, medians, and targets with what became of them.

use std::fmt::Write as _;

/// What a run of load measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests a second.
    pub rate: f64,
    /// Median latency in milliseconds.
    pub p50: f64,
    /// 99th percentile of latency in milliseconds.
    pub p99: f64,
}

/// The median of one figure over the rounds; NaN when there is none.
pub fn median<T>(figures: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Something to reach.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is.
    pub what: String,
    /// What was measured; a target without a figure is left out.
    pub figure: Option<f64>,
    /// The bound.
    pub bound: f64,
    /// Whether more than the bound is better.
    pub more: bool,
}

impl Target {
    /// A target that more is better for.
    pub fn at_least(what: impl Into<String>, figure: Option<f64>, bound: f64) -> Self {
        Self {
            what: what.into(),
            figure,
            bound,
            more: true,
        }
    }

    /// A target that less is better for.
    pub fn at_most(what: impl Into<String>, figure: Option<f64>, bound: f64) -> Self {
        Self {
            more: false,
            ..Self::at_least(what, figure, bound)
        }
    }
}

/// The table of the targets that have a figure.
pub fn target_table(targets: &[Target]) -> String {
    let mut text = String::from("| what | figure | target | |\n|---|---|---|---|\n");
    for target in targets {
        let Some(figure) = target.figure else {
            continue;
        };
        let met = if target.more {
            figure >= target.bound
        } else {
            figure <= target.bound
        };
        let _ = writeln!(
            text,
            "| {} | {figure:.2} | {} {} | {} |",
            target.what,
            if target.more { "≥" } else { "≤" },
            target.bound,
            if met { "met" } else { "missed" }
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_no_mean() {
        let middle = median(&[1.0, 100.0, 3.0], |value| *value);
        assert!((middle - 3.0).abs() < f64::EPSILON);
        assert!(median::<f64>(&[], |value| *value).is_nan());
    }

    #[test]
    fn a_target_is_met_on_its_bound_and_left_out_without_a_figure() {
        let table = target_table(&[
            Target::at_least("rate", Some(20.0), 20.0),
            Target::at_most("memory", Some(61.0), 60.0),
            Target::at_least("nothing", None, 1.0),
        ]);
        assert_eq!(
            table,
            "| what | figure | target | |\n|---|---|---|---|\n\
             | rate | 20.00 | ≥ 20 | met |\n| memory | 61.00 | ≤ 60 | missed |\n"
        );
    }
}
