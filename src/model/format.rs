//! Numbers for a person: three significant digits with an SI prefix, and durations. Screens and sentences share these.

/// Powers of 1000.
const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];

/// A value in three significant digits with an SI prefix, trailing zeros dropped; the unit is the caller's.
/// What is not finite is `?`, what is not zero is never shown as 0.
///
/// ```
/// use highwater::model::si;
/// assert_eq!(si(15_149.0), "15.1k");
/// assert_eq!(si(418_000.0), "418k");
/// assert_eq!(si(999.6), "1k");
/// assert_eq!(si(-0.05), "-0.05");
/// assert_eq!(si(0.0), "0");
/// assert_eq!(si(0.000_01), "<0.001");
/// assert_eq!(si(1e40), "1.0e40");
/// assert_eq!(si(f64::NAN), "?");
/// ```
pub fn si(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    let mut scaled = value.abs();
    let mut prefix = 0;
    // 999.5 rounds to 1000: the next prefix is due there, not at 1000.
    while scaled >= 999.5 && prefix + 1 < PREFIXES.len() {
        scaled /= 1000.0;
        prefix += 1;
    }
    if scaled >= 999.5 {
        return format!("{value:.1e}");
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let decimals = match scaled {
        s if s >= 99.95 => 0,
        s if s >= 9.995 => 1,
        s if s >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{scaled:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    match text {
        "0" if scaled > 0.0 => if sign.is_empty() { "<0.001" } else { ">-0.001" }.to_owned(),
        "0" => text.to_owned(),
        _ => format!("{sign}{text}{}", PREFIXES[prefix]),
    }
}

/// Bytes with binary prefixes: `812 B`, `1.5 GiB`.
pub fn bytes(value: f64) -> String {
    const PREFIXES: [&str; 7] = [" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"];
    let mut rest = value;
    let mut step = 0;
    while rest.abs() >= 999.5 && step + 1 < PREFIXES.len() {
        rest /= 1024.0;
        step += 1;
    }
    format!("{}{}", si(rest), PREFIXES[step])
}

/// Seconds as a person says them: `250 ms`, `1.9 s`, `34 s`, `38 min`, `2h10`, `3 d`. What is not finite is `?`.
///
/// ```
/// use highwater::model::duration;
/// assert_eq!(duration(0.25), "250 ms");
/// assert_eq!(duration(34.2), "34 s");
/// assert_eq!(duration(8.0 * 60.0), "8 min");
/// assert_eq!(duration(7_800.0), "2h10");
/// assert_eq!(duration(3.2 * 86_400.0), "3 d");
/// ```
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let s = seconds.abs();
    let minutes = (s / 60.0).round() as u64;
    match s {
        0.0 => "0 s".to_owned(),
        s if s < 0.9995 => format!("{sign}{} ms", (s * 1000.0).round().max(1.0)),
        s if s < 9.95 => format!("{sign}{} s", si((s * 10.0).round() / 10.0)),
        s if s < 119.5 => format!("{sign}{s:.0} s"),
        _ if minutes < 120 => format!("{sign}{minutes} min"),
        _ if minutes < 48 * 60 => format!("{sign}{}h{:02}", minutes / 60, minutes % 60),
        s => format!("{sign}{:.0} d", s / 86_400.0),
    }
}

/// Seconds behind or over: as [`duration`], but to the second below ten minutes, where the next minute may be twice the
/// objective.
///
/// ```
/// use highwater::model::lateness;
/// assert_eq!(lateness(34.0), "34 s");
/// assert_eq!(lateness(125.0), "2m05");
/// assert_eq!(lateness(180.0), "3 min");
/// assert_eq!(lateness(700.0), "12 min");
/// ```
pub fn lateness(seconds: f64) -> String {
    let whole = if (119.5..599.5).contains(&seconds) { seconds.round() as u64 } else { 0 };
    if whole.is_multiple_of(60) { duration(seconds) } else { format!("{}m{:02}", whole / 60, whole % 60) }
}

/// Reads `15s`, `30m`, `1h`, `7d` or plain seconds, above zero; the error is a sentence.
pub fn seconds(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        other => return Err(format!("{other:?} is no unit of time: write 15s, 5m, 2h or 7d")),
    };
    match number.trim().parse::<f64>() {
        Ok(v) if v.is_finite() && v > 0.0 => Ok(v * factor),
        Ok(_) => Err(format!("{text:?} must be above zero")),
        Err(_) => Err(format!("{text:?} is no duration: write 15s, 5m, 2h or 7d")),
    }
}

/// The same, for durations that may be zero.
pub fn seconds_or_zero(text: &str) -> Result<f64, String> {
    match text.trim() {
        "0" | "0s" => Ok(0.0),
        text => seconds(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_carries_into_the_next_unit() {
        assert_eq!(
            [9.996, 99.96, 999.4, 999.5, 999_500.0].map(si),
            ["10", "100", "999", "1k", "1M"].map(str::to_owned)
        );
        assert_eq!(
            [0.9996, 9.96, 59.6, 119.6, 7_199.0].map(duration),
            ["1 s", "10 s", "60 s", "2 min", "2h00"].map(str::to_owned)
        );
    }

    #[test]
    fn a_sign_stays_in_front() {
        assert_eq!(si(-12_345.0), "-12.3k");
        assert_eq!(duration(-34.0), "-34 s");
    }
}
