//! What no single value of a scenario can tell, and where in the file it stands.

use super::{Scenario, service::ServiceTable};
use toml::de::{DeTable, DeValue};

/// A key by its path in the file, and what is wrong with it.
pub(super) type Wrong = (&'static str, String);

/// Fails with `key` and a sentence when something is `wrong`.
pub(super) fn refuse(wrong: bool, key: &'static str, what: &str) -> Result<(), Wrong> {
    if wrong { Err((key, format!("{key}: {what}"))) } else { Ok(()) }
}

impl Scenario {
    /// What no single value can tell.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let (d, r) = (&self.demand, self.group.replicas);
        let within = |n: u32| (r.min..=r.max.0).contains(&n);
        let bounds = format!("min = {} is above max = {}", r.min, r.max.0);
        refuse(r.min > r.max.0, "group.replicas", &bounds)?;
        refuse(!r.start.is_none_or(within), "group.replicas", "start must lie within min and max")?;
        refuse(d.csv.is_some() && d.generator.is_some(), "demand", "csv or generator, not both")?;
        let none = d.csv.is_none() && d.generator.is_none();
        refuse(none, "demand", "name a csv file or a generator (diurnal, batch-night, flash-crowd or growth)")?;
        refuse(d.scored.is_some_and(|s| s.0 < 60.0), "demand.scored", "it must be at least a minute")?;
        refuse(d.mean.is_some_and(|m| d.peak.is_some_and(|p| p.0 < m.0)), "demand.peak", "it must not be below mean")?;
        self.service.as_ref().map_or(Ok(()), ServiceTable::check)?;
        refuse(self.observe.scrape.0 < 1.0, "observe.scrape", "it must be at least 1s, the arena's own step")?;
        refuse(self.slo.time_lag.0 <= 0.0, "slo.time_lag", "it must be above zero")?;
        let alone = self.trouble.neighbour.is_some() && self.group.ceiling.is_none();
        refuse(alone, "trouble.neighbour", "it needs group.ceiling, which both share")
    }
}

/// The keys of a file as they are written.
pub(super) struct Written<'t>(Option<DeTable<'t>>);

impl<'t> Written<'t> {
    /// Those of a text; none where it is no TOML.
    pub(super) fn of(text: &'t str) -> Self {
        Self(DeTable::parse(text).ok().map(toml::Spanned::into_inner))
    }

    /// Where the key of a path begins; where it is not written, the table above it; 0: neither is.
    pub(super) fn offset(&self, path: &str) -> usize {
        let (mut table, mut offset) = (self.0.as_ref(), 0);
        for name in path.split('.') {
            let Some((key, value)) = table.and_then(|t| t.iter().find(|(key, _)| key.get_ref() == name)) else { break };
            offset = key.span().start;
            table = value.get_ref().as_table();
        }
        offset
    }
}

/// Line and column, from 1, of a byte offset.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}
