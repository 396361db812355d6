//! The way from one horizon that was worked out to the next.

use super::{LEVELS, Outlook, members::Members};

/// The horizons that are worked out. Each is twice as far as the one before, but no further from it than a sixth of the
/// whole: members' weights and errors change slowly with the horizon.
pub(super) fn knots(steps: usize) -> Vec<usize> {
    let mut knots = vec![1];
    let mut k = 1_usize;
    while k < steps {
        k = (k + k.min((steps / 6).max(8))).min(steps);
        knots.push(k);
    }
    knots
}

/// The place of the knot nearest to a step.
pub(super) fn nearest(knots: &[usize], step: usize) -> usize {
    (0..knots.len()).min_by_key(|i| knots[*i].abs_diff(step)).unwrap_or(0)
}

/// Forecasts at knots, and what is known of the way between them.
pub(super) struct Path<'a> {
    knots: &'a [usize],
    outlooks: &'a [Outlook],
    /// What quantiles lie from the forecast at each knot.
    offsets: Vec<Vec<f64>>,
    /// The members, where they know a season: what they say then changes with every step.
    members: Option<&'a Members<'a>>,
    /// Steps from the window's end to now.
    age: usize,
}

impl<'a> Path<'a> {
    pub(super) fn new(
        knots: &'a [usize],
        outlooks: &'a [Outlook],
        members: Option<&'a Members<'a>>,
        age: usize,
    ) -> Self {
        let offsets = outlooks.iter().map(|o| o.offsets(&LEVELS)).collect();
        Self { knots, outlooks, offsets, members, age }
    }

    /// Quantiles at step `k`. Between two knots the members are asked anew, with the weights of either: interpolated is
    /// how far each is believed, and how far quantiles lie from the forecast, never a season.
    pub(super) fn at(&self, k: usize) -> [f64; 4] {
        let right = self.knots.partition_point(|x| *x < k).min(self.knots.len() - 1);
        let left = if self.knots[right] == k { right } else { right.saturating_sub(1) };
        let width = self.knots[right] - self.knots[left];
        let share = if width == 0 { 0.0 } else { (k - self.knots[left]) as f64 / width as f64 };
        let line = |a: f64, b: f64| a + share * (b - a);
        let point = |i: usize| match self.members {
            Some(members) if self.knots[i] != k => self.outlooks[i].point_at(members, k + self.age),
            _ => self.outlooks[i].point,
        };
        let middle = if left == right { point(left) } else { line(point(left), point(right)) };
        let mut out = std::array::from_fn(|i| middle + line(self.offsets[left][i], self.offsets[right][i]));
        out.sort_by(f64::total_cmp); // each was estimated on its own
        out
    }
}
