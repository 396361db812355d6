//! Tests of themes.

use super::*;
use ratatui::style::Color;

fn load(text: &str) -> Result<Theme, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.toml"), text).unwrap();
    Theme::named("mine", Some(folder.path()), Depth::True, Charset::Braille)
}

#[test]
fn every_built_in_theme_styles_every_slot_it_needs() {
    for info in themes() {
        assert!(!info.about.is_empty(), "{} says what it is", info.name);
        let theme = Theme::named(info.name, None, Depth::True, Charset::Braille).unwrap();
        for slots in
            [[Slot::Act, Slot::Text], [Slot::Look, Slot::Good], [Slot::Unknown, Slot::Good], [Slot::Dim, Slot::Text]]
        {
            assert_ne!(theme.style(slots[0]), theme.style(slots[1]), "{}: {slots:?}", info.name);
        }
    }
}

#[test]
fn the_selection_shows_without_colour() {
    for info in themes() {
        let theme = Theme::named(info.name, None, Depth::None, Charset::Ascii).unwrap();
        let selection = theme.style(Slot::Selection);
        assert!(selection.add_modifier.contains(Modifier::REVERSED), "{}", info.name);
        assert!(Slot::ALL.iter().all(|s| theme.style(*s).fg.is_none() && theme.style(*s).bg.is_none()));
    }
}

#[test]
fn a_users_theme_holds_only_what_differs() {
    let mine =
        load("base = \"harbor-dark\"\n[palette]\ncoral = \"#ff6b9a light-magenta\"\n[slots]\nact = \"coral bold\"")
            .unwrap();
    let base = Theme::fallback(Depth::True, Charset::Braille);
    assert_eq!(mine.style(Slot::Act).fg, Some(Color::Rgb(0xff, 0x6b, 0x9a)));
    assert_eq!(mine.style(Slot::Good), base.style(Slot::Good));
}

#[test]
fn mistakes_are_answered_with_the_nearest_name() {
    let error = load("[slots]\natc = \"red\"").unwrap_err();
    assert!(error.contains("slots.atc") && error.contains("did you mean \"act\"?"), "{error}");
    let error = load("base = \"harbour-dark\"").unwrap_err();
    assert!(error.contains("did you mean \"harbor-dark\"?"), "{error}");
    let error = load("[slots]\nact = \"redd\"").unwrap_err();
    assert!(error.contains("slots.act") && error.contains("redd"), "{error}");
    let error = load("base = \"mine\"").unwrap_err();
    assert!(error.contains("loop"), "{error}");
}

#[test]
fn colours_step_down_to_what_the_terminal_has() {
    let orange = Color::Rgb(255, 135, 0);
    assert_eq!(Depth::Ansi256.fit(orange, None), Some(Color::Indexed(208)));
    assert_eq!(Depth::Ansi16.fit(orange, Some(Color::LightRed)), Some(Color::LightRed));
    assert_eq!(Depth::Ansi256.fit(Color::Rgb(38, 38, 38), None), Some(Color::Indexed(235)), "the grey ramp is finer");
    assert_eq!(Depth::None.fit(orange, None), None);
}

#[test]
fn the_environment_says_what_the_terminal_can() {
    let depth =
        |vars: &[(&str, &str)]| Depth::detect(|n| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned()));
    assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Depth::True);
    assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), Depth::None);
    assert_eq!(depth(&[("TERM", "screen-256color")]), Depth::Ansi256);
    assert_eq!(depth(&[("TERM", "linux")]), Depth::Ansi16);
    let charset = |lang: &str| Charset::detect(|n| (n == "LANG").then(|| lang.to_owned()));
    assert_eq!(charset("de_DE.UTF-8"), Charset::Braille);
    assert_eq!(charset("C"), Charset::Ascii);
}
