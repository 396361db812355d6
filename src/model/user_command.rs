//! Commands of the operator's own: programs that the screen runs about what is under the cursor.

use super::{Confirm, Label};

/// `[[command]]` of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct UserCommand {
    /// What it is called in the palette and in `highwater keys`; unique.
    pub name: Label,
    /// Its key, as `[keys]` would write it; `None`: it is run from the palette.
    pub key: Option<String>,
    /// One line for help and palette.
    pub about: Label,
    /// The program and its arguments, with placeholders; never a shell's line.
    pub argv: Vec<String>,
    /// Variables of our own environment that it gets beside the usual ones.
    pub env: Vec<String>,
    /// Declared to change nothing: only then a watching process runs it.
    pub read_only: bool,
    /// How it is confirmed. One that is read-only under [`Confirm::None`] runs at once.
    pub confirm: Confirm,
    /// Seconds after which it is ended.
    pub timeout: f64,
}

/// What a command is run about: the names of what is under the cursor, as far as there are any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Workload's name.
    pub workload: Option<Label>,
    /// Its name in its source: group, service or queue.
    pub id: Option<Label>,
    /// Name of the Kafka cluster or Prometheus that it is seen in.
    pub cluster: Option<Label>,
    /// Consumer group.
    pub group: Option<Label>,
    /// Topic.
    pub topic: Option<Label>,
    /// Partition of it.
    pub partition: Option<Label>,
    /// Namespace of the object that would be scaled.
    pub namespace: Option<Label>,
    /// Name of that object.
    pub target: Option<Label>,
}

/// What may stand in braces in an argument.
const PLACES: [&str; 8] = ["workload", "id", "cluster", "group", "topic", "partition", "namespace", "target"];

/// Programs whose `-c` takes a script: a name inside of it would be read as part of the script.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox"];

impl Names {
    fn get(&self, place: &str) -> Option<&Label> {
        match place {
            "workload" => self.workload.as_ref(),
            "id" => self.id.as_ref(),
            "cluster" => self.cluster.as_ref(),
            "group" => self.group.as_ref(),
            "topic" => self.topic.as_ref(),
            "partition" => self.partition.as_ref(),
            "namespace" => self.namespace.as_ref(),
            "target" => self.target.as_ref(),
            _ => None,
        }
    }

    /// The name to give to a program, or why there is none.
    fn value(&self, place: &str) -> Result<&str, String> {
        match self.get(place) {
            None => Err(format!("there is no {place} under the cursor")),
            Some(name) if name.is_empty() => Err(format!("the {place} under the cursor has an empty name")),
            // A label is not the name itself where that held what cannot be shown: the program would be given another.
            Some(name) if name.as_str().contains("\\u{") || name.as_str().chars().count() > Label::MAX_CHARS => {
                Err(format!("the name of the {place} under the cursor cannot be given on as it is: {name}"))
            }
            Some(name) => Ok(name.as_str()),
        }
    }
}

impl UserCommand {
    /// The argv with these names in it; the error is a sentence. A name stays one argument, and none becomes an option.
    ///
    /// ```
    /// use highwater::model::{Confirm, Label, Names, UserCommand};
    /// let command = UserCommand {
    ///     name: Label::new("lag"),
    ///     key: None,
    ///     about: Label::default(),
    ///     argv: ["kgroups", "--group={group}", "{topic}"].map(str::to_owned).into(),
    ///     env: Vec::new(),
    ///     read_only: true,
    ///     confirm: Confirm::None,
    ///     timeout: 30.0,
    /// };
    /// let on = |topic: &str| Names {
    ///     group: Some(Label::new("a; rm -rf /")),
    ///     topic: Some(Label::new(topic)),
    ///     ..Names::default()
    /// };
    /// assert_eq!(command.fill(&on("orders")).unwrap(), ["kgroups", "--group=a; rm -rf /", "orders"]);
    /// assert!(command.fill(&on("--delete")).unwrap_err().contains("begins with a dash"));
    /// ```
    pub fn fill(&self, names: &Names) -> Result<Vec<String>, String> {
        self.argv.iter().map(|word| fill(word, names)).collect()
    }

    /// What must be typed under [`Confirm::TypeName`]: the first name that it is given, else its own.
    pub fn name_to_type(&self, names: &Names) -> Label {
        let mut places = self.argv.iter().flat_map(|word| pieces(word)).filter_map(|piece| match piece {
            Piece::Place(place) => Some(place),
            Piece::Text(_) => None,
        });
        places.next().and_then(|place| names.get(place)).unwrap_or(&self.name).clone()
    }
}

fn fill(word: &str, names: &Names) -> Result<String, String> {
    let mut out = String::with_capacity(word.len());
    for piece in pieces(word) {
        out.push_str(match piece {
            Piece::Text(text) => text,
            Piece::Place(place) => names.value(place)?,
        });
    }
    if out.starts_with('-') && !word.starts_with('-') {
        return Err(format!("{out:?} begins with a dash: the program would take it for an option"));
    }
    Ok(out)
}

/// A part of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Place(&'a str),
}

/// Small letters in braces are a placeholder; other braces (`{.status}`, `{{.Name}}`) belong to the program.
fn pieces(word: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let (mut text, mut at) = (0, 0);
    while let Some(open) = word[at..].find('{').map(|o| at + o) {
        at = open + 1;
        let Some(place) = word[at..].find('}').map(|close| &word[at..at + close]) else { break };
        if place.is_empty() || !place.bytes().all(|b| b.is_ascii_lowercase()) {
            continue;
        }
        out.push(Piece::Text(&word[text..open]));
        out.push(Piece::Place(place));
        at += place.len() + 1;
        text = at;
    }
    out.push(Piece::Text(&word[text..]));
    out.retain(|piece| *piece != Piece::Text(""));
    out
}

/// Checks the template of a [`UserCommand`]; the error is a sentence with the mend.
pub fn check_argv(argv: &[String]) -> Result<(), String> {
    let program = argv.first().map_or("", String::as_str);
    let is_shell = SHELLS.contains(&program.rsplit('/').next().unwrap_or_default());
    for (i, word) in argv.iter().enumerate() {
        let pieces = pieces(word);
        let places = pieces.iter().filter_map(|p| if let Piece::Place(place) = p { Some(*place) } else { None });
        for place in places.clone() {
            if !PLACES.contains(&place) {
                return Err(format!("there is no {{{place}}}; there are {}", PLACES.join(", ")));
            }
        }
        let Some(first) = places.clone().next() else { continue };
        if i == 0 {
            return Err(format!("the program itself stands fast: {{{first}}} belongs into an argument"));
        }
        // What stands before the first name: of an option it must be all of the option's own.
        let before = match pieces.first() {
            Some(Piece::Text(text)) => *text,
            _ => "",
        };
        if before == "-" || (before.starts_with("--") && !before.contains('=')) {
            return Err(format!("{word:?}: a name cannot be (part of) an option's: write \"--option={{{first}}}\""));
        }
        let script = argv[i - 1].starts_with('-') && !argv[i - 1].starts_with("--") && argv[i - 1].ends_with('c');
        if is_shell && script {
            return Err(format!(
                "{word:?}: a name inside of a script would be read as part of it: write \"$1\" there and give \"{program}\", \
                 \"{{{first}}}\" as the arguments after it"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(argv: &[&str]) -> UserCommand {
        UserCommand {
            name: Label::new("mine"),
            key: None,
            about: Label::default(),
            argv: argv.iter().map(|w| (*w).to_owned()).collect(),
            env: Vec::new(),
            read_only: false,
            confirm: Confirm::TypeName,
            timeout: 1.0,
        }
    }

    fn group(name: &str) -> Names {
        Names { group: Some(Label::new(name)), ..Names::default() }
    }

    #[test]
    fn names_that_a_program_would_misread_are_refused_with_the_reason() {
        let c = command(&["x", "{group}"]);
        for (names, why) in [
            (group("-rf"), "begins with a dash"),
            (group(""), "empty name"),
            (group("a\u{1b}[2J"), "cannot be given on as it is"),
            (group(&"g".repeat(400)), "cannot be given on as it is"),
            (Names::default(), "there is no group under the cursor"),
        ] {
            let told = c.fill(&names).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        assert_eq!(command(&["x", "-g{group}"]).fill(&group("-rf")).unwrap(), ["x", "-g-rf"], "it is the option's own");
    }

    #[test]
    fn braces_of_others_are_left_alone() {
        let c = command(&["kubectl", "-o=jsonpath={.status}", "{{.Name}}", "{", "{group}{group}", "é{group}}"]);
        assert_eq!(check_argv(&c.argv), Ok(()));
        let filled = c.fill(&group("a")).unwrap();
        assert_eq!(filled, ["kubectl", "-o=jsonpath={.status}", "{{.Name}}", "{", "aa", "éa}"]);
    }

    #[test]
    fn the_first_name_is_the_one_to_type() {
        assert_eq!(command(&["x", "--to=5", "-g{group}"]).name_to_type(&group("fraud")), "fraud");
        assert_eq!(command(&["x"]).name_to_type(&group("fraud")), "mine");
    }

    #[test]
    fn templates_that_cannot_be_safe_are_named() {
        for (argv, why) in [
            (&["x", "{grp}"][..], "there is no {grp}; there are workload"),
            (&["{group}"], "the program itself"),
            (&["x", "-{group}"], "write \"--option={group}\""),
            (&["x", "--{group}=1"], "an option's"),
            (&["/bin/sh", "-c", "drain {group}"], "write \"$1\" there"),
            (&["bash", "-ec", "drain {group}"], "inside of a script"),
        ] {
            let told = check_argv(&argv.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()).unwrap_err();
            assert!(told.contains(why), "{argv:?}: {told}");
        }
        let fine = ["sh", "-c", "drain \"$1\"", "sh", "{group}"].map(str::to_owned);
        assert_eq!(check_argv(&fine), Ok(()));
    }

    proptest! {
        #[test]
        fn a_name_is_one_argument_or_refused(name in ".{0,40}", before in "(|--g=|-n|x)") {
            let word = format!("{before}{{group}}");
            if let Ok(argv) = command(&["x", &word, "end"]).fill(&group(&name)) {
                prop_assert_eq!(&argv, &["x".to_owned(), format!("{before}{name}"), "end".to_owned()]);
                prop_assert_eq!(argv[1].starts_with('-'), before.starts_with('-'));
            }
        }
    }
}
