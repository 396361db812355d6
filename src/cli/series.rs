//! Series files: `ts,value`, and for `replay` also the counts of each sync. Every complaint names line and column.

use super::Failure;
use crate::model::{Grid, Time};
pub(super) use crate::model::{seconds, seconds_or_zero};
use std::path::Path;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    /// Where it stands in the file.
    pub(super) line: u64,
    pub(super) at: Time,
    /// `None`: a gap, a failed read.
    pub(super) value: Option<f64>,
    /// Further metrics of an object that has several: `value2` to `value4`.
    pub(super) others: [Option<f64>; 3],
    /// `spec.replicas`, `status.replicas` and ready pods, as far as the file has them.
    pub(super) replicas: Option<u32>,
    pub(super) status: Option<u32>,
    pub(super) ready: Option<u32>,
}

impl Row {
    /// The value of an object's metric, from 0.
    pub(super) fn metric(&self, i: usize) -> Option<f64> {
        match i.checked_sub(1) {
            None => self.value,
            Some(other) => *self.others.get(other)?,
        }
    }
}

/// The columns that are understood; the first two are required.
const COLUMNS: [&str; 8] = ["ts", "value", "replicas", "status", "ready", "value2", "value3", "value4"];

/// The end of year 9999, seconds: what lies beyond has no RFC 3339 instant.
const FURTHEST: f64 = 253_402_300_799.0;

/// Reads a file; the error is a usage error.
pub(super) fn read(path: &Path) -> Result<Vec<Row>, Failure> {
    Ok(read_metrics(path)?.0)
}

/// The same with the number of metrics that the file has.
pub(super) fn read_metrics(path: &Path) -> Result<(Vec<Row>, usize), Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
    parse(&text).map_err(|e| Failure::usage(format!("{}:{e}", path.display())))
}

/// Rows of a series file's text, or the line and what is wrong with it: what fuzzing calls.
#[doc(hidden)]
pub fn series_rows(text: &str) -> Result<usize, String> {
    parse(text).map(|(rows, _)| rows.len())
}

/// Reads rows; the error begins with the line.
fn parse(text: &str) -> Result<(Vec<Row>, usize), String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| format!("1: {e}"))?.clone();
    let place = COLUMNS.map(|name| header.iter().position(|h| h.trim_start_matches('\u{feff}') == name));
    for (name, place) in COLUMNS.iter().zip(place).take(2) {
        if place.is_none() {
            let found = header.iter().collect::<Vec<_>>().join(",");
            return Err(format!("1: no column {name}: the header must name ts,value; it is {found:?}"));
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| e.position().map_or(format!("{e}"), |p| format!("{}: {e}", p.line())))?;
        let line = record.position().map_or(0, csv::Position::line);
        // A comma within a number would be cut there, and read as another number.
        if record.iter().skip(header.len()).any(|field| !field.is_empty()) {
            let (place, named) = (header.len() + 1, header.len());
            return Err(format!("{line}:{place}: {} values where the header names {named}", record.len()));
        }
        let row = Line { fields: &record, number: line, place }.row()?;
        if let Some(last) = rows.last() {
            let column = place[0].map_or(1, |p| p + 1);
            if row.at == last.at {
                return Err(format!("{line}:{column}: column ts: {} stands twice", row.at));
            }
            if row.at < last.at {
                return Err(format!(
                    "{line}:{column}: column ts: {} comes after {}: sort the rows by time",
                    row.at, last.at
                ));
            }
        }
        rows.push(row);
    }
    let metrics = 1 + place[5..].iter().take_while(|p| p.is_some()).count();
    if rows.is_empty() { Err("2: no rows below the header".to_owned()) } else { Ok((rows, metrics)) }
}

/// One line with the places of the columns.
struct Line<'a> {
    fields: &'a csv::StringRecord,
    number: u64,
    place: [Option<usize>; COLUMNS.len()],
}

impl Line<'_> {
    fn row(&self) -> Result<Row, String> {
        let ts = self.field(0).ok_or_else(|| self.wrong(0, "", "an instant belongs here"))?;
        let seconds = ts.parse::<f64>().ok().filter(|s| s.is_finite());
        if seconds.is_some_and(|s| s.abs() > FURTHEST) {
            return Err(self.wrong(
                0,
                ts,
                "is no year of four digits: seconds since the epoch belong here, not milliseconds",
            ));
        }
        let at = seconds
            .map(Time::from_secs)
            .or_else(|| Time::parse(ts))
            .ok_or_else(|| self.wrong(0, ts, "is neither seconds since the epoch nor an RFC 3339 instant"))?;
        let others = [self.value(5)?, self.value(6)?, self.value(7)?];
        let (replicas, status, ready) = (self.count(2)?, self.count(3)?, self.count(4)?);
        Ok(Row { line: self.number, at, value: self.value(1)?, others, replicas, status, ready })
    }

    fn field(&self, column: usize) -> Option<&str> {
        self.fields.get((*self.place.get(column)?)?).filter(|f| !f.is_empty())
    }

    fn value(&self, column: usize) -> Result<Option<f64>, String> {
        let Some(field) = self.field(column) else { return Ok(None) };
        match field.parse::<f64>() {
            Ok(v) if v.is_finite() => Ok(Some(v)),
            Ok(_) => Err(self.wrong(column, field, "is not finite: leave it empty where there is no value")),
            Err(_) => Err(self.wrong(column, field, "is not a number")),
        }
    }

    fn count(&self, column: usize) -> Result<Option<u32>, String> {
        let Some(field) = self.field(column) else { return Ok(None) };
        field.parse().map(Some).map_err(|_| self.wrong(column, field, "is not a count"))
    }

    fn wrong(&self, column: usize, field: &str, what: &str) -> String {
        let place = self.place[column].map_or(0, |p| p + 1);
        let quoted = if field.is_empty() { String::new() } else { format!("{field:?} ") };
        format!("{}:{place}: column {}: {quoted}{what}", self.number, COLUMNS[column])
    }
}

/// Steps that people set, seconds. What lies within a share of one was meant to be it: who sleeps between two looks is late
/// each time, and days and weeks are found by whole steps only.
const USUAL: [f64; 16] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_200.0, 1_800.0, 3_600.0, 86_400.0];
const LATE: f64 = 0.02;

/// The rows on a regular grid: its step is the usual distance of the rows, what is missing is a gap, several values in
/// one slot are averaged.
pub(super) fn grid(rows: &[Row]) -> Result<Grid, String> {
    const LONGEST: f64 = 2e6;
    let mut distances: Vec<f64> = rows.windows(2).map(|w| w[1].at.since(w[0].at)).collect();
    distances.sort_by(f64::total_cmp);
    let step = distances.get(distances.len() / 2).copied().ok_or("a single row is no series")?;
    let step = USUAL.into_iter().find(|usual| (step / usual - 1.0).abs() < LATE).unwrap_or(step);
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Err("no rows".to_owned()) };
    let slots = (last.at.since(first.at) / step).round() + 1.0;
    if slots > LONGEST {
        return Err(format!("rows usually {step} s apart over {slots:.0} steps: too long for one series"));
    }
    let mut sums = vec![(0.0, 0_u32); slots as usize];
    for row in rows {
        let slot = (row.at.since(first.at) / step).round() as usize;
        if let (Some((sum, count)), Some(value)) = (sums.get_mut(slot), row.value) {
            *sum += value;
            *count += 1;
        }
    }
    let values = sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect();
    Ok(Grid { start: first.at, step, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_gaps_and_counts_are_read() {
        let (rows, metrics) =
            parse("ts,value,replicas,status,ready\n0,1.5,3,3,2\n1970-01-01T00:00:30Z,,4,,\n").unwrap();
        assert_eq!(metrics, 1);
        let first = (rows[0].at, rows[0].metric(0), rows[0].replicas, rows[0].status, rows[0].ready);
        assert_eq!(first, (Time::from_secs(0.0), Some(1.5), Some(3), Some(3), Some(2)));
        assert_eq!((rows[1].at, rows[1].value, rows[1].ready), (Time::from_secs(30.0), None, None));
    }

    #[test]
    fn every_complaint_names_line_and_column() {
        let said = |text: &str| parse(text).unwrap_err();
        assert_eq!(said("ts,value\n0,1\n15,many\n"), "3:2: column value: \"many\" is not a number");
        assert_eq!(
            said("value,ts\n1,0\n1,soon\n"),
            "3:2: column ts: \"soon\" is neither seconds since the epoch nor an RFC 3339 instant"
        );
        assert!(said("ts,value\n0,1\n0,2\n").starts_with("3:1: column ts: 1970-01-01T00:00:00.000Z stands twice"));
        assert!(said("ts,value\n15,1\n0,2\n").starts_with("3:1: column ts: 1970-01-01T00:00:00.000Z comes after"));
        assert!(said("t,v\n0,1\n").starts_with("1: no column ts"));
        assert_eq!(said("ts,value\n0,1\n15,2,5\n"), "3:3: 3 values where the header names 2");
        assert!(parse("ts,value\n0,1,\n15,2,\n").is_ok());
        assert!(said("ts,value\n1700000000000,1\n").ends_with("seconds since the epoch belong here, not milliseconds"));
        assert!(said("ts,value\n0,NaN\n").starts_with("2:2: column value: \"NaN\" is not finite"));
        assert!(said("ts,value,replicas\n0,1,-3\n").starts_with("2:3: column replicas: \"-3\" is not a count"));
        assert_eq!(said("ts,value\n"), "2: no rows below the header");
    }

    #[test]
    fn several_metrics_stand_in_columns_of_their_own() {
        let (rows, metrics) = parse("ts,value,value2\n0,1,9\n15,2,\n").unwrap();
        assert_eq!((metrics, rows[0].metric(1), rows[1].metric(1), rows[0].metric(2)), (2, Some(9.0), None, None));
    }

    #[test]
    fn a_grid_keeps_gaps() {
        let (rows, _) = parse("ts,value\n0,1\n15,2\n30,\n60,5\n75,6\n").unwrap();
        let grid = grid(&rows).unwrap();
        assert_eq!(grid.values, [Some(1.0), Some(2.0), None, None, Some(5.0), Some(6.0)]);
    }

    #[test]
    fn rows_that_come_a_little_late_each_time_are_on_the_step_that_was_meant() {
        let text = |every: f64| -> String {
            let row = |i: u32| format!("{},{i}\n", f64::from(i) * every);
            std::iter::once("ts,value\n".to_owned()).chain((0..2_001).map(row)).collect()
        };
        let of = |every: f64| grid(&parse(&text(every)).unwrap().0).unwrap();
        let late = of(303.0);
        assert_eq!((late.step, late.values.len()), (300.0, 2_021), "a day has 288 of them");
        assert_eq!(late.values.iter().flatten().count(), 2_001, "and nothing is lost");
        assert_eq!((of(15.0).step, of(45.0).step, of(45.0).values.len()), (15.0, 45.0, 2_001));
    }

    #[test]
    fn durations() {
        let read = ["15s", "30m", "2h", "7d", "90"].map(|d| seconds(d).unwrap() as u32);
        assert_eq!(read, [15, 1_800, 7_200, 604_800, 90]);
        for bad in ["", "m", "-5m", "0s", "5 weeks"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(seconds_or_zero("0s"), Ok(0.0));
    }
}
