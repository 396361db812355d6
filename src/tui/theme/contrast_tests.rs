//! Whether every built-in theme can be read: WCAG 2.2 contrast, and colours that stay apart for every kind of colour
//! vision.

use super::*;

/// Contrast of text (WCAG 2.2, 1.4.3 AA).
const TEXT: f64 = 4.5;
/// Contrast of what is no text, and of text on the row under the cursor, which the cursor also marks (1.4.11).
const SHAPE: f64 = 3.0;

type Rgb = (u8, u8, u8);

fn linear(v: u8) -> f64 {
    let v = f64::from(v) / 255.0;
    if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

fn luminance((r, g, b): Rgb) -> f64 {
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

fn contrast(a: Rgb, b: Rgb) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[allow(clippy::many_single_char_names)] // they are the colour spaces' own names
/// CIE Lab under D65, where a distance of 10 is seen at a glance.
fn lab(c: [f64; 3]) -> [f64; 3] {
    let [r, g, b] = c;
    let f = |t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    let x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505);
    let y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
    let z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// How far two colours are apart when seen through a matrix on linear RGB.
fn apart(a: Rgb, b: Rgb, m: &[[f64; 3]; 3]) -> f64 {
    let seen = |(r, g, b): Rgb| {
        let c = [linear(r), linear(g), linear(b)];
        lab([0, 1, 2].map(|i: usize| m[i].iter().zip(c).map(|(k, v)| k * v).sum::<f64>().clamp(0.0, 1.0)))
    };
    let (a, b) = (seen(a), seen(b));
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// Full colour vision, and its three full deficiencies (Machado, Oliveira, Fernandes 2009, severity 1.0).
const VISIONS: [(&str, [[f64; 3]; 3]); 4] = [
    ("full", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    (
        "protanopia",
        [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
    ),
    (
        "deuteranopia",
        [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
    ),
    (
        "tritanopia",
        [[1.255_528, -0.076_749, -0.178_779], [-0.078_411, 0.930_809, 0.147_602], [0.004_733, 0.691_367, 0.303_900]],
    ),
];

/// Themes with colours of their own.
fn coloured() -> impl Iterator<Item = Theme> {
    let of = |name: &str| Theme::named(name, None, Depth::True, Charset::Braille).unwrap();
    themes()
        .into_iter()
        .map(move |info| of(info.name))
        .filter(|t| t.style(Slot::Text).fg.is_some_and(|c| rgb(c).is_some()))
}

fn colour(theme: &Theme, slot: Slot) -> Rgb {
    theme.style(slot).fg.and_then(rgb).unwrap_or_else(|| panic!("{}: {} has no colour", theme.name(), slot.name()))
}

fn ground(theme: &Theme, slot: Slot) -> Rgb {
    theme.style(slot).bg.and_then(rgb).unwrap_or_else(|| panic!("{}: {} has no background", theme.name(), slot.name()))
}

#[test]
fn every_word_can_be_read() {
    let words = [
        Slot::Text,
        Slot::Dim,
        Slot::Accent,
        Slot::Good,
        Slot::Look,
        Slot::Act,
        Slot::Unknown,
        Slot::Forecast,
        Slot::Rival,
        Slot::Title,
        Slot::Head,
        Slot::Key,
        Slot::Capacity,
        Slot::CapacityNeeded,
        Slot::Mark,
    ];
    let mut bad = Vec::new();
    for theme in coloured() {
        let (plain, chosen) = (ground(&theme, Slot::Background), ground(&theme, Slot::Selection));
        for slot in words {
            let c = colour(&theme, slot);
            for (on, ground, least) in [("the screen", plain, TEXT), ("the cursor", chosen, SHAPE)] {
                let is = contrast(c, ground);
                if is < least {
                    bad.push(format!("{}: {} on {on}: {is:.2} is less than {least}", theme.name(), slot.name()));
                }
            }
        }
        for slot in [Slot::Operate, Slot::Watch] {
            if contrast(colour(&theme, slot), ground(&theme, slot)) < TEXT {
                bad.push(format!("{}: the word of {}", theme.name(), slot.name()));
            }
        }
        for slot in [Slot::History, Slot::HistorySecond, Slot::Gauge, Slot::BorderFocus, Slot::Now] {
            if contrast(colour(&theme, slot), plain) < SHAPE {
                bad.push(format!("{}: the line of {}", theme.name(), slot.name()));
            }
        }
        for band in [Slot::Band, Slot::BandInner] {
            if contrast(colour(&theme, Slot::Forecast), ground(&theme, band)) < SHAPE {
                bad.push(format!("{}: the median on {}", theme.name(), band.name()));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn states_stay_apart() {
    let states = [Slot::Good, Slot::Look, Slot::Act, Slot::Unknown];
    let mut bad = Vec::new();
    for theme in coloured() {
        let safe = theme.name().starts_with("colour-blind") || theme.name() == "high-contrast";
        for (vision, matrix) in &VISIONS {
            if *vision != "full" && !safe {
                continue; // glyph and word say the state there
            }
            for (i, a) in states.iter().enumerate() {
                for b in &states[i + 1..] {
                    let is = apart(colour(&theme, *a), colour(&theme, *b), matrix);
                    if is < 15.0 {
                        bad.push(format!("{}, {vision}: {} and {}: {is:.1}", theme.name(), a.name(), b.name()));
                    }
                }
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn there_is_a_theme_for_everyone() {
    let names: Vec<&str> = themes().iter().map(|t| t.name).collect();
    assert!(names.len() >= 10, "{names:?}");
    let is_light = |t: &Theme| luminance(ground(t, Slot::Background)) > 0.5;
    assert!(coloured().filter(is_light).count() >= 3 && coloured().filter(|t| !is_light(t)).count() >= 6);
}
