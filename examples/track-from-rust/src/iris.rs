//! The flowers: 150 irises of three species, with four measurements in centimetres each.

/// What is measured, in the order of [`Flower::measurements`].
pub const MEASUREMENTS: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
/// The species, by their number.
pub const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];

/// One flower.
#[derive(Debug, Clone, PartialEq)]
pub struct Flower {
    /// In centimetres.
    pub measurements: [f64; 4],
    /// Index into [`SPECIES`].
    pub species: usize,
}

/// The flowers in `iris.csv`.
pub fn read() -> Result<Vec<Flower>, String> {
    let rows = include_str!("../iris.csv").lines().enumerate().skip(1);
    rows.map(|(index, row)| parse(row).ok_or_else(|| format!("row {index} of iris.csv is broken")))
        .collect()
}

fn parse(row: &str) -> Option<Flower> {
    let mut fields = row.split(',');
    let mut measurements = [0.0; 4];
    for measurement in &mut measurements {
        *measurement = fields.next()?.parse().ok()?;
    }
    let name = fields.next()?;
    let species = SPECIES.iter().position(|species| *species == name)?;
    Some(Flower {
        measurements,
        species,
    })
}

/// Flowers to train on, and flowers to judge by.
#[derive(Debug)]
pub struct Split {
    pub training: Vec<Flower>,
    pub validation: Vec<Flower>,
}

impl Split {
    /// Every `every`th flower is to judge by. The rows are sorted by species, so each has its share.
    pub fn of(flowers: &[Flower], every: usize) -> Self {
        let (validation, training): (Vec<_>, Vec<_>) = flowers
            .iter()
            .cloned()
            .enumerate()
            .partition(|(index, _)| index % every == 0);
        let flowers =
            |part: Vec<(usize, Flower)>| part.into_iter().map(|(_, flower)| flower).collect();
        Self {
            training: flowers(training),
            validation: flowers(validation),
        }
    }
}
