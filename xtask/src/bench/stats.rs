//! The statistics of the benchmark: ratios of samples that were taken side by side, and their spread.
use serde::{Deserialize, Serialize};

/// Spread of a set of numbers.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Debug)]
pub struct Five {
    /// Smallest.
    pub min: f64,
    /// A quarter lies below.
    pub q1: f64,
    /// The middle one.
    pub median: f64,
    /// A quarter lies above.
    pub q3: f64,
    /// Greatest.
    pub max: f64,
}

/// Above this width of the middle half, relative to the median, a figure counts as noisy.
pub const NOISY: f64 = 0.15;

impl Five {
    /// Of numbers that may be missing; `None` when all are.
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Option<Five> {
        let mut v: Vec<f64> = values
            .into_iter()
            .flatten()
            .filter(|x| x.is_finite())
            .collect();
        v.sort_by(f64::total_cmp);
        let (first, last) = (*v.first()?, *v.last()?);
        Some(Five {
            min: first,
            q1: quantile(&v, 0.25),
            median: quantile(&v, 0.5),
            q3: quantile(&v, 0.75),
            max: last,
        })
    }

    /// Whether the middle half is too wide for the median to be trusted.
    pub fn noisy(&self) -> bool {
        self.q3 - self.q1 > NOISY * self.median
    }
}

/// A quantile of sorted numbers, between two of them in proportion.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let place = q * (sorted.len() - 1) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let below = place as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// Ratios round by round, where both were measured: what disturbs a whole round cancels out.
pub fn ratios(of: &[Option<f64>], to: &[Option<f64>]) -> Option<Five> {
    Five::of(of.iter().zip(to).map(|(a, b)| Some((*a)? / (*b)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(v: &[f64]) -> Vec<Option<f64>> {
        v.iter().copied().map(Some).collect()
    }

    #[test]
    fn quartiles_lie_between_samples() {
        let five = Five::of(some(&[4.0, 1.0, 3.0, 2.0])).unwrap();
        assert_eq!(
            five,
            Five {
                min: 1.0,
                q1: 1.75,
                median: 2.5,
                q3: 3.25,
                max: 4.0
            }
        );
        let one = Five::of(some(&[7.0])).unwrap();
        assert_eq!((one.min, one.q1, one.median, one.max), (7.0, 7.0, 7.0, 7.0));
        assert_eq!(Five::of([None, Some(f64::NAN)]), None);
    }

    #[test]
    fn ratios_are_per_round() {
        // Round three was slow for both; a ratio of medians would be 4.0.
        let native = some(&[1.0, 2.0, 4.0]);
        assert_eq!(
            ratios(&some(&[3.0, 4.0, 8.0]), &native),
            Five::of(some(&[3.0, 2.0, 2.0]))
        );
        let missing = [Some(2.0), None, Some(12.0)];
        assert_eq!(ratios(&missing, &native), Five::of(some(&[2.0, 3.0])));
        assert_eq!(ratios(&[], &native), None);
    }

    #[test]
    fn a_wide_middle_half_is_noisy() {
        assert!(!Five::of(some(&[1.0, 1.0, 1.0, 9.0, 1.0])).unwrap().noisy());
        assert!(Five::of(some(&[1.0, 1.2, 1.5, 1.0])).unwrap().noisy());
    }
}
