//! Numbers for people, where [`crate::model::si`] and [`crate::model::duration`] are not enough. Never a bare NaN.

pub use crate::model::bytes;

use crate::model::{
    Price, Recommendation, Role, Severity, SourceStatus, Time, WorkloadKind, WorkloadState, Zone, lateness, si,
};

/// A value with its unit; without one the bare number.
pub fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "s" => lateness(value),
        "" => si(value),
        unit if unit.starts_with("bytes") => format!("{}{}", bytes(value), &unit["bytes".len()..]),
        unit => format!("{} {unit}", si(value)),
    }
}

/// A source by kind and name, see [`crate::model::SourceKind::named`].
pub fn source(status: &SourceStatus) -> String {
    status.kind.named(status.name.as_str())
}

/// What a signal is called: a pool of brokers has its stored bytes where others have memory.
pub fn role(kind: WorkloadKind, role: Role) -> String {
    match (kind, role) {
        (WorkloadKind::Brokers, Role::Memory) => "stored".to_owned(),
        _ => role.name().replace('_', " "),
    }
}

/// What there is so many of.
pub fn noun(kind: WorkloadKind) -> &'static str {
    if kind == WorkloadKind::Brokers { "brokers" } else { "replicas" }
}

/// A rate per second: `12.4k/s`.
pub fn rate(value: f64) -> String {
    format!("{}/s", si(value))
}

/// A ratio as a percentage: `87%`; below 10 % with one decimal.
pub fn percent(ratio: f64) -> String {
    let p = ratio * 100.0;
    if p.is_nan() || p.abs() >= 1e6 {
        return format!("{}%", si(p));
    }
    if p != 0.0 && p.abs() < 9.95 { format!("{p:.1}%") } else { format!("{p:.0}%") }
}

/// The age of something, in its largest unit: `0.4s`, `12s`, `3m`, `2h`, `5d`.
pub fn age(seconds: f64) -> String {
    match seconds.max(0.0) {
        s if !s.is_finite() => "?".to_owned(),
        s if s < 9.95 => format!("{s:.1}s"),
        s if s < 99.5 => format!("{s:.0}s"),
        s if s < 5970.0 => format!("{:.0}m", s / 60.0),
        s if s < 171_000.0 => format!("{:.0}h", s / 3600.0),
        s => format!("{}d", si((s / 86_400.0).round())),
    }
}

/// A count down: `4:12`, `1:02:03`.
pub fn countdown(seconds: f64) -> String {
    let s = if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { 0 };
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

/// A whole number with thousands separated: `1,204`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A price: `+4.0`, `−12`, `0`; the sign says whether it is spent more or less.
pub fn price_change(value: f64) -> String {
    match value {
        v if !v.is_finite() => "?".to_owned(),
        v if v.abs() < 0.05 => "0".to_owned(),
        v if v.abs() < 9.95 => format!("{v:+.1}"),
        v if v.abs() < 999.5 => format!("{v:+.0}"),
        v if v > 0.0 => format!("+{}", si(v)),
        v => si(v),
    }
}

/// A price: `4.0`, `19.8`, `1.2k`.
pub fn price(value: f64) -> String {
    if value.abs() < 99.95 { format!("{value:.1}") } else { si(value) }
}

/// What prices are in: pod-hours, where one costs 1, else the currency that its price is configured in.
pub fn price_unit(price: &Price) -> String {
    if (price.pod_hour - 1.0).abs() < 1e-9 {
        "pod-hours".to_owned()
    } else {
        format!("at {} a pod-hour", si(price.pod_hour))
    }
}

/// What other rules would say, by their names on screen; one that is not there is a usual one.
pub fn rivals(state: &WorkloadState, r: &Recommendation) -> [(&'static str, Option<u32>); 3] {
    let hpa = if has_hpa(state) { "HPA" } else { "usual HPA" };
    let keda = if has_keda(state) { "KEDA" } else { "usual KEDA" };
    [(hpa, r.others.hpa), (keda, r.others.keda), ("usual CPU rule", r.others.threshold)]
}

/// Whether an HPA of nobody but a person is on the target: KEDA writes one of its own.
pub fn has_hpa(state: &WorkloadState) -> bool {
    state.hpa.as_ref().is_some_and(|h| !h.keda)
}

/// Whether a ScaledObject is on the target.
pub fn has_keda(state: &WorkloadState) -> bool {
    state.scaled_object.is_some()
}

/// The word of a severity, as the filter takes it.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Unknown => "unknown",
        Severity::Look => "look",
        Severity::Act => "act",
    }
}

/// Hours and minutes of the day, UTC: `14:07`.
pub fn clock(t: Time) -> String {
    let minutes = t.millis().div_euclid(60_000).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Hours and minutes by the clocks of a zone.
pub fn clock_in(zone: &Zone, t: Time) -> String {
    let (hour, minute, _) = zone.clock(t);
    format!("{hour:02}:{minute:02}")
}

/// Hours, minutes and seconds by the clocks of a zone.
pub fn clock_seconds_in(zone: &Zone, t: Time) -> String {
    let (hour, minute, second) = zone.clock(t);
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// Hours, minutes and seconds of the day, UTC: `14:07:32`.
pub fn clock_seconds(t: Time) -> String {
    format!("{}:{:02}", clock(t), t.millis().div_euclid(1000).rem_euclid(60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_number_fits_a_column(value in proptest::num::f64::ANY) {
            for text in [si(value), bytes(value), age(value), percent(value), price(value), price_change(value), rate(value)] {
                prop_assert!(text.len() <= 16, "{text}");
                prop_assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            }
        }
    }

    #[test]
    fn words_of_the_screen() {
        assert_eq!(count(1_204), "1,204");
        assert_eq!(countdown(252.0), "4:12");
        assert_eq!(percent(0.873), "87%");
        assert_eq!(percent(0.0), "0%");
        assert_eq!(bytes(1.5 * 1024.0 * 1024.0 * 1024.0), "1.5 GiB");
        assert_eq!(with_unit(19.5 * 1024.0 * 1024.0, "bytes/s"), "19.5 MiB/s");
        assert_eq!((with_unit(0.084, "s"), with_unit(2.5, "cores")), ("84 ms".to_owned(), "2.5 cores".to_owned()));
        assert_eq!(price_change(-4.0), "-4.0");
        assert_eq!(clock_seconds(Time::from_millis(50_852_000)), "14:07:32");
        assert_eq!(si(f64::INFINITY), "?");
    }
}
