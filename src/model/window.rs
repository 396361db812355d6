//! Spans of the week: when nothing is changed, or when something may be.

use super::{Label, Time};
use std::fmt;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: u16 = 24 * 60;

/// Days of the week and a span of the day, as written: `mon-fri 08:00-18:00`, `sat,sun`, `22:00-06:00`. A span past
/// midnight belongs to the day that it begins on.
///
/// ```
/// use highwater::model::{Time, WeekSpan, Zone};
/// let night: WeekSpan = "fri 22:00-06:00".parse().unwrap();
/// let at = |text| Time::parse(text).unwrap();
/// assert!(night.contains(at("2026-03-06T23:00:00Z"), &Zone::default())); // a Friday
/// assert!(night.contains(at("2026-03-07T05:59:00Z"), &Zone::default()));
/// assert!(!night.contains(at("2026-03-07T23:00:00Z"), &Zone::default()));
/// let east: Zone = "+01:00".parse().unwrap();
/// assert!(!night.contains(at("2026-03-07T05:59:00Z"), &east)); // an hour later there
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeekSpan {
    text: String,
    /// Bit 0: Monday.
    days: u8,
    /// Minutes of the day; `from` above `to`: past midnight.
    from: u16,
    to: u16,
}

/// The time zone that spans of the week are read in; UTC unless one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(jiff::tz::TimeZone);

impl Zone {
    /// This machine's own.
    pub fn system() -> Self {
        Self(jiff::tz::TimeZone::system())
    }

    fn named(database: &jiff::tz::TimeZoneDatabase, name: &str) -> Result<Self, String> {
        database.get(name).map(Self).map_err(|_| {
            if database.is_definitively_empty() {
                return format!(
                    "{name:?} cannot be looked up, for this machine has no time zone database: install the package tzdata, \
                     or write UTC or +02:00"
                );
            }
            format!("{name:?} is not a time zone that this machine knows: write UTC, +02:00 or Europe/Berlin")
        })
    }

    /// What its clocks show at an instant: hours, minutes, seconds. UTC where the instant is beyond any calendar.
    pub fn clock(&self, t: Time) -> (u8, u8, u8) {
        let Ok(at) = jiff::Timestamp::from_millisecond(t.millis()).map(|t| self.0.to_datetime(t)) else {
            let seconds = t.millis().div_euclid(1000).rem_euclid(86_400);
            return ((seconds / 3600) as u8, (seconds / 60 % 60) as u8, (seconds % 60) as u8);
        };
        (at.hour().unsigned_abs(), at.minute().unsigned_abs(), at.second().unsigned_abs())
    }

    /// What it is called then: `UTC`, `CET`, `+05:30`.
    pub fn name(&self, t: Time) -> Label {
        let at = jiff::Timestamp::from_millisecond(t.millis()).unwrap_or_default();
        Label::new(self.0.to_offset_info(at).abbreviation())
    }

    /// The instants at which its clocks show this minute on the day of `t`, the day before and the day after, as far as
    /// they do; a minute that a change of the clocks leaves out is the one after it, one that comes twice the first.
    pub fn around(&self, t: Time, hour: u8, minute: u8) -> Vec<Time> {
        let Ok(at) = jiff::Timestamp::from_millisecond(t.millis()) else { return Vec::new() };
        let (Ok(hour), Ok(minute)) = (i8::try_from(hour), i8::try_from(minute)) else { return Vec::new() };
        let today = self.0.to_datetime(at).date();
        let days = [today.yesterday(), Ok(today), today.tomorrow()].into_iter().filter_map(Result::ok);
        let shown = days.filter_map(|day| {
            let civil = jiff::civil::Time::new(hour, minute, 0, 0).ok()?.on(day.year(), day.month(), day.day());
            let stamp = self.0.to_ambiguous_timestamp(civil).compatible().ok()?;
            Some(Time::from_millis(stamp.as_millisecond()))
        });
        shown.collect()
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }
}

impl std::str::FromStr for Zone {
    type Err = String;

    /// `UTC`, `+02:00`, or a name that the machine's time zone database knows.
    fn from_str(name: &str) -> Result<Self, String> {
        let fixed = || {
            let (hours, minutes) = name.strip_prefix(['+', '-'])?.split_once(':')?;
            let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok().filter(|m| *m < 60)? * 60;
            jiff::tz::Offset::from_seconds(if name.starts_with('-') { -seconds } else { seconds }).ok()
        };
        if name == "UTC" {
            return Ok(Self::default());
        }
        match fixed() {
            Some(offset) => Ok(Self(jiff::tz::TimeZone::fixed(offset))),
            None => Self::named(jiff::tz::db(), name),
        }
    }
}

impl std::str::FromStr for WeekSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is not a span of the week: write \"mon-fri 08:00-18:00\", \"sat,sun\" or \"22:00-06:00\"")
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (days, hours) = match *words.as_slice() {
            [one] if one.contains(':') => (None, Some(one)),
            [one] => (Some(one), None),
            [days, hours] => (Some(days), Some(hours)),
            _ => return Err(wrong()),
        };
        let days = days.map_or(Some(0x7f), parse_days).ok_or_else(wrong)?;
        let (from, to) = hours.map_or(Some((0, DAY)), parse_hours).ok_or_else(wrong)?;
        Ok(Self { text: text.to_owned(), days, from, to })
    }
}

fn parse_days(text: &str) -> Option<u8> {
    let day = |name: &str| DAYS.iter().position(|d| name.eq_ignore_ascii_case(d));
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        // `sat-mon` goes over the end of the week.
        let count = (last + 7 - first) % 7;
        for i in 0..=count {
            days |= 1 << ((first + i) % 7);
        }
    }
    Some(days)
}

fn parse_hours(text: &str) -> Option<(u16, u16)> {
    let minutes = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        let (h, m): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        (m < 60 && h * 60 + m <= DAY).then_some(h * 60 + m)
    };
    let (from, to) = text.split_once('-')?;
    let span = (minutes(from)?, minutes(to)?);
    (span.0 != span.1 && span.0 < DAY).then_some(span)
}

impl WeekSpan {
    /// Whether an instant lies in it, by the clocks of a zone.
    pub fn contains(&self, t: Time, zone: &Zone) -> bool {
        let Ok(stamp) = jiff::Timestamp::from_millisecond(t.millis()) else { return false };
        let local = stamp.to_zoned(zone.0.clone());
        let day = local.weekday().to_monday_zero_offset();
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let on = |day: i8| self.days & (1 << day.rem_euclid(7)) != 0;
        if self.from < self.to {
            on(day) && (self.from..self.to).contains(&minute)
        } else {
            on(day) && minute >= self.from || on(day - 1) && minute < self.to
        }
    }
}

impl fmt::Display for WeekSpan {
    /// As written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(span: &str, at: &str) -> bool {
        let at = Time::parse(&format!("{at}:00Z")).unwrap();
        span.parse::<WeekSpan>().unwrap().contains(at, &Zone::default())
    }

    #[test]
    fn days_and_hours_are_what_they_say() {
        // 2026-03-02 was a Monday.
        assert!(holds("mon-fri 08:00-18:00", "2026-03-02T08:00") && !holds("mon-fri 08:00-18:00", "2026-03-02T18:00"));
        assert!(!holds("mon-fri 08:00-18:00", "2026-03-07T12:00"));
        assert!(holds("sat-mon", "2026-03-02T23:59") && holds("SAT,sun", "2026-03-08T00:00"));
        assert!(holds("22:00-06:00", "2026-03-04T02:00") && holds("fri 16:00-24:00", "2026-03-06T23:59"));
        assert!(!holds("mon 22:00-06:00", "2026-03-02T05:00"), "the night before Monday is Sunday's");
        for wrong in
            ["", "mon-", "monday", "8-18", "08:00", "08:00-08:00", "24:00-25:00", "mon 08:00-18:00 utc", "mon:fri"]
        {
            assert!(wrong.parse::<WeekSpan>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_zone_has_a_name_that_changes_with_its_clocks() {
        // As the database has Europe/Berlin, which a machine may lack.
        let berlin = Zone(jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        let [winter, summer] = ["2026-01-01T12:00:00Z", "2026-07-01T12:00:00Z"].map(|t| Time::parse(t).unwrap());
        assert_eq!((berlin.clock(winter), berlin.name(winter).as_str()), ((13, 0, 0), "CET"));
        assert_eq!((berlin.clock(summer), berlin.name(summer).as_str()), ((14, 0, 0), "CEST"));
    }

    #[test]
    fn a_name_that_cannot_be_looked_up_is_told_from_one_that_is_wrong() {
        assert!("Europe/Nowhere".parse::<Zone>().is_err());
        let nowhere = Zone::named(&jiff::tz::TimeZoneDatabase::none(), "Europe/Berlin").unwrap_err();
        assert!(nowhere.contains("no time zone database: install the package tzdata"), "{nowhere}");
    }
}
