//! The demand of a scenario: from a file or a generator, what lies before the scored span and what is played.

use super::{
    DAY, LONGEST, Scenario,
    tables::{Generator, MOST},
};
use crate::{
    contest::Season,
    model::{Sample, Time},
    simulate::demand::{Demand, DemandSettings, Surge},
};

/// Second 0 of generated demand: a Monday, midnight.
const EPOCH: &str = "2026-01-05T00:00:00Z";
/// From Friday's to Saturday's height, and back on Sunday night, in seconds.
const EVENING: f64 = 4.0 * 3_600.0;

/// A demand series with one value a second, and how many of them are scored.
struct Series {
    begin: Time,
    rates: Vec<f64>,
    scored: usize,
}

impl Scenario {
    /// A seed's season. `points`: what stands in the file of [`Scenario::csv`], in order of time; every seed has the same
    /// then. The error is a sentence that names the file.
    pub fn season(&self, seed: u64, points: Option<&[Sample]>) -> Result<Season, String> {
        let scored = self.scored() as usize;
        let series = match points {
            None => self.generated(seed, scored),
            Some(points) => read(points, scored).map_err(|why| match self.csv() {
                Some(path) => format!("{}: {why}", path.display()),
                None => why,
            })?,
        };
        if !series.rates.iter().all(|rate| rate.is_finite()) {
            return Err(format!("{}: demand grows beyond every number", self.file.display()));
        }
        Ok(self.cut(&series))
    }

    fn generated(&self, seed: u64, scored: usize) -> Series {
        let d = &self.demand;
        let mean = self.mean();
        let kind = d.generator.unwrap_or(Generator::Diurnal);
        let surge =
            |start: f64, ramp: f64, hold: f64, factor: f64, every: f64| Surge { start, ramp, hold, factor, every };
        let calendar = surge(2.0 * 3_600.0, 30.0, 540.0, 1.5, 4.0 * 3_600.0);
        let history = d.history.map_or(7.0 * DAY, |h| h.0).round();
        let higher = d.peak.map(|p| p.0 / mean);
        let (daily, surges) = match kind {
            Generator::Diurnal | Generator::Growth => (higher.map_or(0.55, |h| h - 1.0), vec![calendar]),
            Generator::FlashCrowd => {
                // In the evening, when three times the demand is within what the largest group can do: at the day's height
                // nobody could be in time, and all that would be priced is by how much.
                let crowd = surge(history + scored as f64 * 0.9, 30.0, 1_140.0, higher.unwrap_or(3.0), 0.0);
                (0.55, vec![calendar, crowd])
            }
            Generator::BatchNight => (0.2, vec![surge(2.0 * 3_600.0, 600.0, 4_800.0, higher.unwrap_or(5.0), DAY)]),
        };
        let mut surges = surges;
        if let Some(weekend) = d.weekend {
            surges.push(surge(5.0 * DAY - EVENING, EVENING, 2.0 * DAY, weekend.0, 7.0 * DAY));
        }
        let settings = DemandSettings {
            mean,
            daily,
            peak: 14.0 * 3_600.0,
            surges,
            bursts: d.bursts.map_or(if kind == Generator::BatchNight { 0.0 } else { 6.0 }, |b| b.0),
            noise: d.noise.map_or(0.05, |n| n.0),
            ..DemandSettings::default()
        };
        let mut demand = Demand::new(settings, seed ^ 0xDE_3A2D);
        let total = history as usize + scored;
        let growth = d.growth.map_or(if kind == Generator::Growth { 1.4 } else { 1.0 }, |g| g.0) - 1.0;
        let rates = (0..total)
            .map(|second| {
                let since = (second as f64 - history).max(0.0) / scored.max(1) as f64;
                demand.rate(second as f64) * (1.0 + growth * since)
            })
            .collect();
        Series { begin: Time::parse(EPOCH).unwrap_or_default(), rates, scored }
    }

    /// Cuts a series into what policies may have seen and what is played.
    fn cut(&self, series: &Series) -> Season {
        let Series { begin, rates, scored } = series;
        let cut = rates.len() - scored;
        let step = self.observe.scrape.0.round().max(1.0) as usize;
        let history = rates[..cut]
            .chunks(step)
            .enumerate()
            .map(|(i, slot)| Sample {
                at: begin.plus(((i + 1) * step) as f64),
                value: slot.iter().sum::<f64>() / slot.len() as f64,
            })
            .collect();
        let operated = (self.observe.operated.0 as usize).min(cut);
        Season {
            history,
            operated: rates[cut - operated..cut].to_vec(),
            played: rates[cut..].to_vec(),
            begin: begin.plus(cut as f64),
        }
    }
}

/// The series between a file's points.
fn read(points: &[Sample], scored: usize) -> Result<Series, String> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err("no row has a value".to_owned());
    };
    if let Some(p) = points.iter().find(|p| !(0.0..=MOST).contains(&p.value)) {
        return Err(format!("a demand of {:?} at {}: it must lie between 0 and {MOST:e}", p.value, p.at));
    }
    if last.at.since(first.at) > LONGEST {
        return Err("more than a year of demand".to_owned());
    }
    let since: Vec<(f64, f64)> = points.iter().map(|p| (p.at.since(first.at), p.value)).collect();
    let rates = every_second(&since);
    if rates.len() < scored {
        let (has, wants) = (crate::model::duration(rates.len() as f64), crate::model::duration(scored as f64));
        return Err(format!("{has} of demand, but scored = {wants}"));
    }
    Ok(Series { begin: first.at, rates, scored })
}

/// Values between points, one a second; before the first and after the last there are none.
fn every_second(points: &[(f64, f64)]) -> Vec<f64> {
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { return Vec::new() };
    let mut right = 0;
    (0..=(last - first).floor() as usize)
        .map(|second| {
            let t = first + second as f64;
            while right + 1 < points.len() && points[right].0 < t {
                right += 1;
            }
            let (t1, v1) = points[right];
            let (t0, v0) = points[right.saturating_sub(1)];
            if t1 > t0 { v0 + (v1 - v0) * ((t - t0) / (t1 - t0)).clamp(0.0, 1.0) } else { v1 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_demand_as_it_can_be() {
        let row = |t: f64, value| Sample { at: Time::from_secs(t), value };
        for value in [-5.0, 1e13, f64::INFINITY, f64::NAN] {
            let why = read(&[row(0.0, 1.0), row(60.0, value)], 60).err();
            assert!(why.is_some_and(|w| w.contains("must lie between 0 and 1e12")), "{value}");
        }
        assert!(read(&[row(0.0, 1.0), row(60.0, 0.0)], 60).is_ok());
    }

    #[test]
    fn a_daily_wave_goes_as_high_as_is_asked() {
        let text =
            "[demand]\ngenerator = \"diurnal\"\nmean = 1000\npeak = 3000\nnoise = 0\nbursts = 0\nhistory = \"1h\"\n";
        let scenario = Scenario::parse(text, std::path::Path::new("s.toml")).unwrap();
        let played = scenario.season(1, None).unwrap().played;
        let highest = played[13 * 3_600 + 1_800];
        assert!((2_900.0..=3_000.0).contains(&highest), "half past two in the afternoon: {highest}");
        assert!(played.iter().all(|v| *v >= 0.0) && played.iter().any(|v| *v <= 0.0), "nights are empty");
    }

    #[test]
    fn rows_become_seconds() {
        assert_eq!(every_second(&[(0.0, 0.0), (4.0, 8.0), (6.0, 8.0)]), [0.0, 2.0, 4.0, 6.0, 8.0, 8.0, 8.0]);
        assert!(every_second(&[]).is_empty());
    }
}
