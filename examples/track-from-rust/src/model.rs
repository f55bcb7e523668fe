//! Softmax regression: three linear functions of the measurements, the largest of which wins. Trained
//! by gradient descent on the mean cross-entropy, over standardized measurements.

use crate::iris::Flower;

const INPUTS: usize = 4;
const CLASSES: usize = 3;

/// A trained model, which takes measurements as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    /// One row for each measurement, one column for each species.
    pub weights: [[f64; CLASSES]; INPUTS],
    /// One for each species.
    pub bias: [f64; CLASSES],
}

impl Classifier {
    /// The probability of each species; they add up to 1.
    pub fn probabilities(&self, measurements: &[f64; INPUTS]) -> [f64; CLASSES] {
        let mut scores = self.bias;
        for (value, weights) in measurements.iter().zip(&self.weights) {
            for (score, weight) in scores.iter_mut().zip(weights) {
                *score += value * weight;
            }
        }
        // Without the largest, no exponential overflows.
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers = scores.map(|score| (score - largest).exp());
        let sum: f64 = powers.iter().sum();
        powers.map(|power| power / sum)
    }

    /// The species of the highest probability.
    pub fn predict(&self, measurements: &[f64; INPUTS]) -> usize {
        let probabilities = self.probabilities(measurements);
        (0..CLASSES).fold(0, |best, class| {
            if probabilities[class] > probabilities[best] {
                class
            } else {
                best
            }
        })
    }

    /// The mean cross-entropy in nats.
    pub fn loss(&self, flowers: &[Flower]) -> f64 {
        let losses = flowers
            .iter()
            .map(|flower| -self.probabilities(&flower.measurements)[flower.species].ln());
        losses.sum::<f64>() / flowers.len() as f64
    }

    /// The share of flowers whose species is predicted, 0 to 1.
    pub fn accuracy(&self, flowers: &[Flower]) -> f64 {
        let right = flowers
            .iter()
            .filter(|flower| self.predict(&flower.measurements) == flower.species);
        right.count() as f64 / flowers.len() as f64
    }
}

/// A model on its way.
#[derive(Debug)]
pub struct Training {
    /// Standardized: mean 0 and deviation 1 in each measurement.
    flowers: Vec<Flower>,
    mean: [f64; INPUTS],
    deviation: [f64; INPUTS],
    /// Of standardized measurements.
    model: Classifier,
}

impl Training {
    /// A model that knows nothing.
    pub fn new(flowers: &[Flower]) -> Self {
        let count = flowers.len() as f64;
        let mean: [f64; INPUTS] = std::array::from_fn(|input| {
            flowers
                .iter()
                .map(|flower| flower.measurements[input])
                .sum::<f64>()
                / count
        });
        let deviation: [f64; INPUTS] = std::array::from_fn(|input| {
            let squares = flowers
                .iter()
                .map(|flower| (flower.measurements[input] - mean[input]).powi(2));
            (squares.sum::<f64>() / count).sqrt()
        });
        let standardized = flowers.iter().map(|flower| Flower {
            measurements: std::array::from_fn(|input| {
                (flower.measurements[input] - mean[input]) / deviation[input]
            }),
            species: flower.species,
        });
        Self {
            flowers: standardized.collect(),
            mean,
            deviation,
            model: Classifier {
                weights: [[0.0; CLASSES]; INPUTS],
                bias: [0.0; CLASSES],
            },
        }
    }

    /// One step downhill over all flowers; the loss before it.
    pub fn step(&mut self, rate: f64) -> f64 {
        let loss = self.model.loss(&self.flowers);
        let scale = rate / self.flowers.len() as f64;
        let mut next = self.model.clone();
        for flower in &self.flowers {
            let mut error = self.model.probabilities(&flower.measurements);
            error[flower.species] -= 1.0;
            for (class, error) in error.iter().enumerate() {
                next.bias[class] -= scale * error;
                for (weights, value) in next.weights.iter_mut().zip(&flower.measurements) {
                    weights[class] -= scale * error * value;
                }
            }
        }
        self.model = next;
        loss
    }

    /// The model as it is now, for measurements as they are.
    pub fn classifier(&self) -> Classifier {
        let weights: [[f64; CLASSES]; INPUTS] = std::array::from_fn(|input| {
            self.model.weights[input].map(|weight| weight / self.deviation[input])
        });
        let bias = std::array::from_fn(|class| {
            let shift: f64 = (0..INPUTS)
                .map(|input| weights[input][class] * self.mean[input])
                .sum();
            self.model.bias[class] - shift
        });
        Classifier { weights, bias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iris;

    #[test]
    fn the_loss_falls_and_nearly_every_flower_is_recognized() {
        let flowers = iris::read().unwrap();
        let data = iris::Split::of(&flowers, 5);
        assert_eq!((data.training.len(), data.validation.len()), (120, 30));
        let mut training = Training::new(&data.training);
        let losses: Vec<f64> = (0..200).map(|_| training.step(0.5)).collect();
        assert!(
            (losses[0] - 3_f64.ln()).abs() < 1e-12,
            "an even guess at first"
        );
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]));
        let classifier = training.classifier();
        assert!(classifier.accuracy(&data.validation) > 0.9);
        // What takes measurements as they are says the same as what was trained.
        assert!(
            (classifier.loss(&data.training) - training.model.loss(&training.flowers)).abs() < 1e-9
        );
    }
}
