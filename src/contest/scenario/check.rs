//! What no single value of a scenario can tell, and where in the file it stands.

use super::Scenario;
use toml::de::DeTable;

/// A key by its path in the file, and what is wrong with it.
pub(super) type Wrong = (&'static str, String);

/// Fails with `key` and a sentence when something is `wrong`.
pub(super) fn refuse(wrong: bool, key: &'static str, what: &str) -> Result<(), Wrong> {
    if wrong { Err((key, format!("{key}: {what}"))) } else { Ok(()) }
}

/// Keys that a generator's demand is made with.
const GENERATORS: [&str; 7] = [
    "demand.mean",
    "demand.peak",
    "demand.growth",
    "demand.bursts",
    "demand.noise",
    "demand.weekend",
    "demand.history",
];
/// Tables of a group, where clients call on the service; and of both, where a queue is played.
const GROUPS: [&str; 4] = ["group", "slo", "trouble", "policy"];
const OTHERS: [&str; 5] = ["service", "group", "slo", "trouble", "policy"];
/// Policies that nobody plays where a service stands behind the group.
const ALONE: [&str; 3] = ["policy.threshold", "policy.fixed", "policy.oracle"];

impl Scenario {
    /// What no single value can tell.
    pub(super) fn check(&self, written: &Written<'_>) -> Result<(), Wrong> {
        let idle = |keys: &'static [&'static str], why| {
            keys.iter().try_for_each(|key| refuse(written.has(key), key, &format!("it does nothing here: {why}")))
        };
        if self.demand.csv.is_some() {
            idle(&GENERATORS, "demand.csv holds demand as it was")?;
        }
        if let Some(queue) = &self.queue {
            idle(&OTHERS, "a queue of jobs is played")?;
            queue.check()?;
            let silent = self.demand.csv.is_none() && self.demand.mean.is_none();
            refuse(silent, "demand.mean", "say how many jobs come per hour")?;
        }
        if let Some(service) = &self.service {
            service.check()?;
            if service.has_clients() {
                idle(&GROUPS, "with service.callers = \"clients\" there is no consumer group")?;
            } else {
                idle(&ALONE, "no such policy plays where a service stands behind the group")?;
            }
        }
        self.check_group()?;
        self.check_demand()?;
        self.check_trouble()
    }

    fn check_group(&self) -> Result<(), Wrong> {
        let r = self.group.replicas;
        let within = |n: u32| (r.min..=r.max.0).contains(&n);
        let bounds = format!("min = {} is above max = {}", r.min, r.max.0);
        refuse(r.min > r.max.0, "group.replicas", &bounds)?;
        refuse(!r.start.is_none_or(within), "group.replicas", "start must lie within min and max")?;
        let fixed = self.policy.fixed.replicas;
        refuse(!fixed.is_none_or(within), "policy.fixed.replicas", "it must lie within group.replicas' min and max")?;
        let scrape = self.observe.scrape.0;
        refuse(scrape < 1.0, "observe.scrape", "it must be at least 1s, the arena's own step")?;
        refuse(scrape > self.scored(), "observe.scrape", "it is longer than what is scored: nobody would look")?;
        refuse(self.slo.time_lag.0 <= 0.0, "slo.time_lag", "it must be above zero")
    }

    fn check_demand(&self) -> Result<(), Wrong> {
        let d = &self.demand;
        refuse(d.csv.is_some() && d.generator.is_some(), "demand", "csv or generator, not both")?;
        let none = d.csv.is_none() && d.generator.is_none();
        refuse(none, "demand", "name a csv file or a generator (diurnal, batch-night, flash-crowd or growth)")?;
        refuse(self.scored() < 60.0, "demand.scored", "it must be at least a minute")?;
        let higher = d.peak.map_or(1.0, |peak| peak.0 / self.mean());
        refuse(higher < 1.0, "demand.peak", "it must not be below mean")
    }

    fn check_trouble(&self) -> Result<(), Wrong> {
        let t = &self.trouble;
        let alone = t.neighbour.is_some() && self.group.ceiling.is_none();
        refuse(alone, "trouble.neighbour", "it needs group.ceiling, which both share")?;
        let nobody = t.session.0 > 0.0 && t.crashes.0 + t.absences.0 <= 0.0;
        refuse(nobody, "trouble.session", "it does nothing without crashes or absences")?;
        let late = t.deployments.iter().any(|at| at.0 >= self.scored());
        refuse(late, "trouble.deployments", "one begins after the end of what is scored")?;
        let hot = t.hot.map_or((0.0, 1.0), |h| (h.from.0, h.until.0));
        refuse(hot.1 <= hot.0, "trouble.hot", "until must come after from")?;
        refuse(hot.0 >= self.scored(), "trouble.hot", "it begins after the end of what is scored")
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
        self.along(path).last().unwrap_or(0)
    }

    fn has(&self, path: &str) -> bool {
        self.along(path).count() == path.split('.').count()
    }

    /// Where each name of a path begins, as far as it is written.
    fn along<'s>(&'s self, path: &'s str) -> impl Iterator<Item = usize> + use<'s, 't> {
        let mut table = self.0.as_ref();
        path.split('.').map_while(move |name| {
            let (key, value) = table?.iter().find(|(key, _)| key.get_ref() == name)?;
            table = value.get_ref().as_table();
            Some(key.span().start)
        })
    }
}

/// Line and column, from 1, of a byte offset.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}
