//! Seasonal indices by MSTL (multiple seasonal-trend decomposition with LOESS), as augurs has it.
//!
//! A decomposition sees the whole slice that it is given, so one of the whole window would know the future of every
//! past instant. It is therefore made anew at the beginning of every cycle from the cycles before, and is used until
//! the next: the member's record stays honest, and what has been decomposed once is remembered ([`super::memo`]).

use super::{memo::Memo, seasons::Season, window::Window};
use augurs::{Fit, mstl::MSTLModel};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Cycles of the longest period that a decomposition looks back on.
const LOOK_BACK: usize = 6;
/// Share of the newest value in the level that the season stands on.
const ALPHA: f64 = 0.5;
/// Values before a new index that its level is worked out from.
const WARM_UP: usize = 24;

/// One cycle of the seasonal component, in the units of the series; `None` when the library failed.
type Index = Option<Arc<[f32]>>;
static DECOMPOSED: Memo<Index> = Memo::new();

/// Indices over a window, each from the beginning of one cycle on.
pub(super) struct Mstl {
    /// For every instant of the window the index in force: one cycle, from the instant's own phase 0 on.
    pieces: Vec<(usize, Arc<[f32]>)>,
    period: usize,
    /// Level without season after every instant, in the window's units; `NaN` before the first index.
    pub(super) levels: Vec<f64>,
    scale: f64,
}

impl Mstl {
    /// Decomposes a window by those of its seasons that have cycles enough; `None` when there are none.
    pub(super) fn new(window: &Window, seasons: &[Season]) -> Option<Self> {
        let n = window.len();
        let usable = |s: &&Season| s.cycles_needed().is_some_and(|cycles| cycles * s.period + s.period / 2 <= n);
        let used: Vec<&Season> = seasons.iter().filter(usable).collect();
        let longest = *used.last()?;
        let (period, least) = (longest.period, longest.cycles_needed()?);
        let periods: Vec<usize> = used.iter().map(|s| s.period).collect();
        let aligned = (period - window.slot % period) % period;
        let mut pieces: Vec<(usize, Arc<[f32]>)> = Vec::new();
        for cut in (aligned + least * period..n).step_by(period) {
            let from = cut.saturating_sub(LOOK_BACK * period).max(aligned);
            let slice = &window.raw[from..cut];
            if let Some(index) = DECOMPOSED.get(slice, &periods, || decompose(slice, &periods)) {
                pieces.push((cut, index));
            }
        }
        pieces.first()?;
        let mut mstl = Self { pieces, period, levels: Vec::new(), scale: window.scale };
        mstl.levels = mstl.level(window);
        Some(mstl)
    }

    /// The season at slot `u` (which may lie beyond the window) as it was known at `t`.
    pub(super) fn season(&self, t: usize, u: usize) -> f64 {
        let piece = self.pieces.partition_point(|(cut, _)| *cut <= t);
        piece.checked_sub(1).map_or(f64::NAN, |i| self.at(i, u))
    }

    fn at(&self, piece: usize, u: usize) -> f64 {
        let (cut, index) = &self.pieces[piece];
        let phase = (u % self.period + self.period - cut % self.period) % self.period;
        f64::from(index[phase]) / self.scale
    }

    fn level(&self, window: &Window) -> Vec<f64> {
        let n = window.len();
        let mut levels = vec![f64::NAN; n];
        for (i, (cut, _)) in self.pieces.iter().enumerate() {
            let end = self.pieces.get(i + 1).map_or(n, |(next, _)| *next);
            let begin = cut.saturating_sub(WARM_UP);
            let mut level = window.y[begin] - self.at(i, begin);
            for (t, out) in levels.iter_mut().enumerate().take(end).skip(begin) {
                level += ALPHA * (window.y[t] - self.at(i, t) - level);
                if t >= *cut {
                    *out = level;
                }
            }
        }
        levels
    }
}

/// Decomposes whole cycles. augurs computes in f32, so the values are centred and scaled first; a panic is caught.
fn decompose(slice: &[f64], periods: &[usize]) -> Index {
    let count = slice.len() as f64;
    let mean = slice.iter().map(|v| v / count).sum::<f64>();
    let spread = slice.iter().map(|v| (v - mean).abs() / count).sum::<f64>();
    if !(spread > 0.0 && spread.is_finite()) {
        return None;
    }
    let centred: Vec<f64> = slice.iter().map(|v| (v - mean) / spread).collect();
    let longest = *periods.last()?;
    // The model holds no state of ours, so nothing can be left half-changed by a panic.
    let index: Vec<f32> = catch_unwind(AssertUnwindSafe(|| {
        let fitted = MSTLModel::naive(periods.to_vec()).fit(&centred).ok()?;
        let seasonal = fitted.fit().seasonal();
        // The last cycle of each component, repeated.
        let of = |i: usize| {
            seasonal.iter().zip(periods).map(|(s, p)| s.get(s.len() - p + i % p).map_or(0.0, |v| f64::from(*v))).sum()
        };
        Some(
            (0..longest)
                .map(|i| {
                    let sum: f64 = of(i);
                    (sum * spread) as f32
                })
                .collect(),
        )
    }))
    .ok()??;
    index.iter().all(|v| v.is_finite()).then(|| index.into())
}
