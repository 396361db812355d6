//! Plots as SVG text: a day of demand, counts and lag; bars of regret. Readable on light and dark pages.

use crate::day::Curves;
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
/// Demand, planner, HPA, clairvoyant: told apart with every kind of colour vision (Okabe and Ito).
const COLOURS: [&str; 4] = ["#999999", "#0072B2", "#D55E00", "#009E73"];
/// Seconds of one point of a curve.
const POINT: usize = 300;

/// A drawing area with its own vertical axis.
struct Panel {
    top: f64,
    height: f64,
    most: f64,
}

impl Panel {
    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - (value / self.most).clamp(0.0, 1.0))
    }

    fn frame(&self, out: &mut String, title: &str, unit: impl Fn(f64) -> String) {
        let _ = writeln!(out, r#"<text x="{LEFT}" y="{:.0}" font-weight="bold">{title}</text>"#, self.top - 6.0);
        for i in 0..=4 {
            let value = self.most * f64::from(i) / 4.0;
            let y = self.y(value);
            let _ = writeln!(
                out,
                r##"<path d="M{LEFT} {y:.1}H{:.0}" stroke="#888" stroke-opacity=".3"/><text x="{:.0}" y="{:.1}" text-anchor="end">{}</text>"##,
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                unit(value)
            );
        }
    }

    fn curve(&self, out: &mut String, values: &[f64], colour: &str) {
        let step = (WIDTH - LEFT - RIGHT) / values.len().max(1) as f64;
        let mut path = String::new();
        for (i, value) in values.iter().enumerate() {
            let (x, y) = (LEFT + step * i as f64, self.y(*value));
            let _ = write!(path, "{}{x:.1} {y:.1}H{:.1}", if i == 0 { 'M' } else { 'L' }, x + step);
        }
        let _ = writeln!(out, r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4"/>"#);
    }
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#777\">\n<title>{title}</title>\n"
    )
}

fn legend(out: &mut String, y: f64, names: &[(&str, &str)]) {
    for (i, (name, colour)) in names.iter().enumerate() {
        let x = LEFT + 150.0 * i as f64;
        let _ = writeln!(
            out,
            r#"<path d="M{x} {:.0}h24" stroke="{colour}" stroke-width="3"/><text x="{:.0}" y="{y:.0}">{name}</text>"#,
            y - 4.0,
            x + 30.0
        );
    }
}

/// The highest of every [`POINT`] seconds.
fn points(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    values.chunks(POINT).map(|chunk| chunk.iter().copied().fold(0.0, f64::max)).collect()
}

/// A day under each policy: demand, replicas, seconds behind.
pub fn day(case: &str, curves: &Curves) -> String {
    let mut out = open(560.0, &format!("A day of {case}"));
    let names: Vec<&str> = std::iter::once("demand").chain(curves.policies.iter().map(|p| p.0)).collect();
    legend(&mut out, 16.0, &names.iter().copied().zip(COLOURS).collect::<Vec<_>>());
    let demand = points(curves.demand.iter().copied());
    let top = demand.iter().copied().fold(1.0, f64::max);
    let panel = Panel { top: 50.0, height: 120.0, most: (top / 4_000.0).ceil() * 4_000.0 };
    panel.frame(&mut out, "Demand, thousand records/s", |v| format!("{:.0}", v / 1000.0));
    panel.curve(&mut out, &demand, COLOURS[0]);
    let panel = Panel { top: 215.0, height: 150.0, most: 40.0 };
    panel.frame(&mut out, "Replicas asked for", |v| format!("{v:.0}"));
    for ((_, start, outcome), colour) in curves.policies.iter().zip(&COLOURS[1..]) {
        let mut changes = outcome.changes.iter().peekable();
        let mut count = f64::from(*start);
        let counts = (0..curves.demand.len()).map(|second| {
            while let Some((_, n)) = changes.next_if(|(t, _)| *t <= second as f64) {
                count = f64::from(*n);
            }
            count
        });
        panel.curve(&mut out, &points(counts), colour);
    }
    let panel = Panel { top: 410.0, height: 110.0, most: curves.slo * 4.0 };
    panel.frame(&mut out, "Seconds behind (worst of five minutes; cut at the top)", |v| format!("{v:.0}"));
    for ((_, _, outcome), colour) in curves.policies.iter().zip(&COLOURS[1..]) {
        let late = outcome.lags.iter().zip(&curves.demand).map(|(lag, rate)| f64::from(*lag) / rate.max(1.0));
        panel.curve(&mut out, &points(late), colour);
    }
    let y = panel.y(curves.slo);
    let _ = writeln!(out, r##"<path d="M{LEFT} {y:.1}H{:.0}" stroke="#c00" stroke-dasharray="4 3"/>"##, WIDTH - RIGHT);
    for hour in (0..=24).step_by(4) {
        let x = LEFT + (WIDTH - LEFT - RIGHT) * f64::from(hour) / 24.0;
        let _ = writeln!(out, r#"<text x="{x:.0}" y="540" text-anchor="middle">{hour}:00</text>"#);
    }
    out + "</svg>\n"
}

/// Regrets per case on a logarithmic axis: `(case, [(policy, ratio)])`, as many policies in each.
pub fn regrets(cases: &[(String, Vec<(String, f64)>)]) -> String {
    let bars = cases.first().map_or(0, |(_, bars)| bars.len());
    let row = 14.0 * bars as f64 + 10.0;
    let height = 60.0 + row * cases.len() as f64;
    let mut out = open(height, "Regret over the clairvoyant, per cent");
    let names: Vec<&str> = cases.first().map_or(Vec::new(), |(_, bars)| bars.iter().map(|b| b.0.as_str()).collect());
    legend(&mut out, 16.0, &names.into_iter().zip([COLOURS[1], COLOURS[3], COLOURS[2]]).collect::<Vec<_>>());
    let (left, decades) = (190.0, 4.0);
    // From one per cent to ten thousand.
    let x = |ratio: f64| left + (WIDTH - left - 60.0) * ((ratio * 100.0).max(1.0).log10() / decades).min(1.0);
    for percent in [1.0, 10.0, 100.0, 1_000.0, 10_000.0] {
        let at = x(percent / 100.0);
        let _ = writeln!(
            out,
            r##"<path d="M{at:.0} 34V{height:.0}" stroke="#888" stroke-opacity=".3"/><text x="{at:.0}" y="32" text-anchor="middle">{percent} %</text>"##
        );
    }
    for (i, (case, bars)) in cases.iter().enumerate() {
        let top = 42.0 + row * i as f64;
        let _ =
            writeln!(out, r#"<text x="{:.0}" y="{:.0}" text-anchor="end">{case}</text>"#, left - 8.0, top + row / 2.0);
        for ((j, (_, ratio)), colour) in bars.iter().enumerate().zip([COLOURS[1], COLOURS[3], COLOURS[2]]) {
            let (y, width) = (top + 14.0 * j as f64, (x(*ratio) - left).max(1.0));
            let _ = writeln!(
                out,
                r#"<rect x="{left}" y="{y:.0}" width="{width:.1}" height="11" fill="{colour}"/><text x="{:.0}" y="{:.0}">{:.1}</text>"#,
                left + width + 4.0,
                y + 10.0,
                ratio * 100.0
            );
        }
    }
    out + "</svg>\n"
}
