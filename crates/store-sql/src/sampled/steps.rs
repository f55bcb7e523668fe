//! The steps of a history in little memory, and which of its rows a chart gets.
//!
//! Steps mostly grow evenly, so a history of a million rows is a stretch or two.

/// A row by its step, and by its place among those of the same step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) step: i64,
    pub(super) place: u64,
}

/// Steps at even distances that have equally many rows.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: i64,
    /// From a step to the next; 0 while there is one step.
    distance: u64,
    steps: u64,
    /// Rows of each step.
    rows: u64,
}

impl Stretch {
    const fn one(step: i64) -> Self {
        Self {
            first: step,
            distance: 0,
            steps: 1,
            rows: 1,
        }
    }

    fn step(&self, index: u64) -> i64 {
        self.first
            .wrapping_add_unsigned(self.distance.wrapping_mul(index))
    }

    fn last(&self) -> i64 {
        self.step(self.steps - 1)
    }

    /// Takes in a stretch of one step that follows, if that is at the same distance and has as many
    /// rows.
    fn take(&mut self, next: Self) -> bool {
        let distance = next.first.abs_diff(self.last());
        let even = self.steps == 1 || distance == self.distance;
        if !even || next.rows != self.rows {
            return false;
        }
        self.distance = distance;
        self.steps += 1;
        true
    }
}

/// The steps of the rows of a history, which come in order.
#[derive(Debug, Default)]
pub(super) struct Steps {
    ended: Vec<Stretch>,
    /// The step that rows are still coming of.
    current: Option<Stretch>,
    total: u64,
}

impl Steps {
    /// Adds the step of the next row, which is none before the last. Tells whether one stretch more
    /// is held.
    pub(super) fn push(&mut self, step: i64) -> bool {
        self.total += 1;
        match &mut self.current {
            Some(current) if current.first == step => {
                current.rows += 1;
                false
            }
            _ => {
                let next = Some(Stretch::one(step));
                let before = std::mem::replace(&mut self.current, next);
                before.is_some_and(|before| self.end(before))
            }
        }
    }

    fn end(&mut self, stretch: Stretch) -> bool {
        let taken = self.ended.last_mut().is_some_and(|last| last.take(stretch));
        if !taken {
            self.ended.push(stretch);
        }
        !taken
    }

    /// At most `points` of the rows, as [`places`] has them.
    pub(super) fn chosen(mut self, points: u64) -> Vec<Chosen> {
        if let Some(current) = self.current.take() {
            self.end(current);
        }
        let mut stretches = self.ended.iter();
        let mut current = stretches.next();
        let mut before = 0;
        let mut chosen = Vec::new();
        for row in places(self.total, points) {
            while let Some(stretch) = current {
                let index = row - before;
                if index < stretch.steps * stretch.rows {
                    chosen.push(Chosen {
                        step: stretch.step(index / stretch.rows),
                        place: index % stretch.rows,
                    });
                    break;
                }
                before += stretch.steps * stretch.rows;
                current = stretches.next();
            }
        }
        chosen
    }
}

/// Which rows are taken, as SQL's `NTILE` deals them: the first buckets have one row more where the
/// rows do not divide evenly. The last bucket gives its last row.
fn places(total: u64, points: u64) -> Vec<u64> {
    if total <= points {
        return (0..total).collect();
    }
    let (size, larger) = (total / points, total % points);
    let mut places: Vec<u64> = (0..points)
        .map(|bucket| bucket * size + bucket.min(larger))
        .collect();
    if let Some(last) = places.last_mut() {
        *last = total - 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_dealt_as_ntile_deals_them() {
        assert_eq!(places(0, 3), [0; 0]);
        assert_eq!(places(3, 3), [0, 1, 2]);
        // Buckets of 3, 2 and 2; the last row instead of the last first.
        assert_eq!(places(7, 3), [0, 3, 6]);
        assert_eq!(places(10, 4), [0, 3, 6, 9]);
        assert_eq!(places(5, 1), [4]);
    }

    fn of(rows: &[i64]) -> Steps {
        let mut steps = Steps::default();
        let held = rows.iter().filter(|&&step| steps.push(step)).count();
        assert_eq!(held, steps.ended.len());
        steps
    }

    #[test]
    fn every_row_is_found_again() {
        let (most, least) = (i64::MAX, i64::MIN);
        let cases: [&[i64]; 7] = [
            &[],
            &[7],
            &[0, 1, 2, 3, 4, 5],
            &[5, 5, 5, 6, 6, 7, 9, 11, 11],
            &[-3, 0, 0, 3, 3, 6, 6],
            &[least, least, 0, most, most],
            &[least, most],
        ];
        for rows in cases {
            let found = of(rows).chosen(1000);
            let steps: Vec<i64> = found.iter().map(|chosen| chosen.step).collect();
            assert_eq!(steps, rows);
            for (index, chosen) in found.iter().enumerate() {
                let first = rows.iter().position(|&step| step == chosen.step);
                assert_eq!(chosen.place as usize, index - first.unwrap());
            }
        }
    }

    #[test]
    fn even_steps_are_one_stretch() {
        let rows: Vec<i64> = (0..10_000).flat_map(|step| [step * 5; 3]).collect();
        let mut steps = of(&rows);
        assert!(steps.ended.len() <= 1);
        steps.ended.clear();
        let steps = of(&rows).chosen(4);
        let steps: Vec<(i64, u64)> = steps.iter().map(|row| (row.step, row.place)).collect();
        assert_eq!(steps, [(0, 0), (12_500, 0), (25_000, 0), (49_995, 2)]);
    }
}
