//! Changes a count where git keeps it: one number in one manifest of a checkout. Committing it is its owner's business.
//!
//! For targets that Argo CD or Flux apply: a change in the cluster would be put back, a change in git is rolled out.
//! Everything else in the file, comments included, stays as it is.

use super::{Change, Outcome, Plan, Seen, command::stale_count};
use crate::{
    model::{Label, PatchFileSettings, Replicas},
    process::Clock,
};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::Path,
};

/// The configured files by name.
#[derive(Clone, Debug)]
pub(super) struct PatchFiles {
    by_name: BTreeMap<Label, PatchFileSettings>,
    clock: Clock,
}

impl PatchFiles {
    pub(super) fn new(files: &[PatchFileSettings], clock: Clock) -> Self {
        Self { by_name: files.iter().map(|f| (f.name.clone(), f.clone())).collect(), clock }
    }

    fn get(&self, name: &Label) -> Result<PatchFileSettings, String> {
        let found = self.by_name.get(name).cloned();
        found.ok_or_else(|| format!("there is no [actuator.patch-file.{name}] in the configuration"))
    }

    pub(super) async fn plan(&self, name: &Label, change: &Change) -> Plan {
        let (settings, change) = match self.get(name) {
            Ok(settings) => (settings, change.clone()),
            Err(why) => return Plan::impossible(why),
        };
        let drawn = blocking(move || {
            let place = Place::find(&settings)?;
            stale_count(place.count, &change)?;
            Ok((place.difference(&settings, change.to), settings.file.display().to_string()))
        });
        match drawn.await {
            Ok((request, file)) => Plan {
                request,
                owner: format!("git: the change takes effect when {file} is committed and rolled out").into(),
                identity: "the user that this program runs as".into(),
                dry_run: Ok("the file can be read and holds the count that was on screen".into()),
                refused: Vec::new(),
                offers: Vec::new(),
            },
            Err(why) => Plan::impossible(why),
        }
    }

    /// Certain either way: the file is replaced as a whole or not at all.
    pub(super) async fn apply(&self, name: &Label, change: &Change) -> Outcome {
        let (settings, change) = match self.get(name) {
            Ok(settings) => (settings, change.clone()),
            Err(why) => return Outcome::Refused(why.into()),
        };
        let written = blocking(move || {
            let place = Place::find(&settings)?;
            stale_count(place.count, &change)?;
            replace(&settings.file, &place.with(change.to))
                .map_err(|e| format!("cannot write {}: {e}; nothing was changed", settings.file.display()))
        });
        written.await.map_or_else(|why| Outcome::Refused(why.into()), |()| Outcome::Applied)
    }

    pub(super) async fn observe(&self, name: &Label) -> Result<Seen, String> {
        let settings = self.get(name)?;
        let count = count(settings).await?;
        let replicas = Replicas {
            desired: count,
            ready: count,
            at: self.clock.now(),
            origin: format!("patch-file {name}").into(),
            uid: None,
        };
        Ok(Seen { replicas, writer: None, lever: None })
    }
}

/// The count that the file holds.
pub(super) async fn count(settings: PatchFileSettings) -> Result<u32, String> {
    blocking(move || Place::find(&settings).map(|p| p.count)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(format!("looking at the file broke: {e}")))
}

/// The line of the file that holds the count.
struct Place {
    text: String,
    /// Line from 0.
    line: usize,
    /// Bytes of the number within the line.
    number: std::ops::Range<usize>,
    count: u32,
}

impl Place {
    /// # Errors
    /// A file that cannot be read, or that does not have the key exactly once with a number.
    fn find(settings: &PatchFileSettings) -> Result<Self, String> {
        let file = settings.file.display();
        let text = fs::read_to_string(&settings.file).map_err(|e| format!("cannot read {file}: {e}"))?;
        let found: Vec<_> =
            text.lines().enumerate().filter_map(|(i, line)| Some((i, number(line, &settings.key)?))).collect();
        let [(line, (number, count))] = found.as_slice() else {
            let how_often = found.len();
            return Err(format!(
                "{file} has {how_often} lines `{}: NUMBER`, and exactly one is needed: give the count a file of its own, \
                 such as a kustomize patch",
                settings.key
            ));
        };
        let (line, number, count) = (*line, number.clone(), *count);
        Ok(Self { text, line, number, count })
    }

    fn line_with(&self, line: &str, to: u32) -> String {
        let (before, after) = (line.get(..self.number.start), line.get(self.number.end..));
        format!("{}{to}{}", before.unwrap_or_default(), after.unwrap_or_default())
    }

    /// The whole file with another count; its line ends stay.
    fn with(&self, to: u32) -> String {
        let lines = self.text.split_inclusive('\n').enumerate();
        lines.map(|(i, l)| if i == self.line { self.line_with(l, to) } else { l.to_owned() }).collect()
    }

    /// As `git diff` would show it.
    fn difference(&self, settings: &PatchFileSettings, to: u32) -> Vec<Label> {
        let old = self.text.lines().nth(self.line).unwrap_or_default();
        let at = self.line + 1;
        [
            format!("--- {}", settings.file.display()),
            format!("+++ {}", settings.file.display()),
            format!("@@ -{at} +{at} @@"),
            format!("-{old}"),
            format!("+{}", self.line_with(old, to)),
        ]
        .map(Label::from)
        .to_vec()
    }
}

/// Where a line's value stands, if the line is `key: NUMBER` (with a comment, perhaps) at any depth.
fn number(line: &str, key: &str) -> Option<(std::ops::Range<usize>, u32)> {
    let rest = line.trim_start().trim_start_matches("- ").trim_start();
    let value = rest.strip_prefix(key)?.trim_start().strip_prefix(':')?;
    let digits = value.trim_start();
    let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, after) = digits.split_at_checked(length)?;
    let ends = after.trim_start().is_empty() || after.trim_start().starts_with('#');
    let start = line.len() - digits.len();
    let count = number.parse().ok().filter(|_| ends)?;
    Some((start..start + length, count))
}

/// Writes beside the file and moves it there, so that a reader sees the old or the new one, never a half. A link is
/// followed: what it leads to lies in the checkout.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = &fs::canonicalize(file)?;
    let dir = file.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".highwater-").tempfile_in(dir)?;
    new.as_file().set_permissions(fs::metadata(file)?.permissions())?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ActionId, Target};

    const MANIFEST: &str =
        "# The scorer.\nkind: Deployment\nspec:\n  replicas: 4   # raised on Monday\n  paused: false\n";

    fn change(from: u32, to: u32) -> Change {
        let target = Target::PatchFile("scorer".into());
        Change { action: ActionId("a-1".into()), target, uid: None, from, to, reason: "lag".into(), lever: None }
    }

    fn with(text: &str) -> (tempfile::TempDir, PatchFiles) {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("scorer.yaml");
        fs::write(&file, text).unwrap();
        let settings = PatchFileSettings { name: "scorer".into(), file, key: "replicas".to_owned() };
        (dir, PatchFiles::new(&[settings], Clock::wall()))
    }

    #[tokio::test]
    async fn one_number_changes_and_the_difference_is_shown_before() {
        let (dir, files) = with(MANIFEST);
        let name = Label::new("scorer");
        let plan = files.plan(&name, &change(4, 9)).await;
        assert!(plan.refused.is_empty(), "{plan:?}");
        assert_eq!(plan.request[3].as_str(), "-  replicas: 4   # raised on Monday");
        assert_eq!(plan.request[4].as_str(), "+  replicas: 9   # raised on Monday");
        let read = || fs::read_to_string(dir.path().join("scorer.yaml")).unwrap();
        assert_eq!(read(), MANIFEST, "a plan changes nothing");
        assert_eq!(files.apply(&name, &change(4, 9)).await, Outcome::Applied);
        assert_eq!(read(), MANIFEST.replace(": 4 ", ": 9 "));
        assert_eq!(files.observe(&name).await.unwrap().replicas.desired, 9);
        let again = files.apply(&name, &change(4, 10)).await;
        assert!(matches!(&again, Outcome::Refused(why) if why.as_str().contains("look again")), "{again:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[tokio::test]
    async fn a_link_stays_and_what_it_leads_to_changes() {
        let (dir, files) = with(MANIFEST);
        let (link, checkout) = (dir.path().join("scorer.yaml"), tempfile::TempDir::new().unwrap());
        let manifest = checkout.path().join("patch.yaml");
        fs::rename(&link, &manifest).unwrap();
        std::os::unix::fs::symlink(&manifest, &link).unwrap();
        assert_eq!(files.apply(&"scorer".into(), &change(4, 9)).await, Outcome::Applied);
        assert_eq!(fs::read_to_string(&manifest).unwrap(), MANIFEST.replace(": 4 ", ": 9 "));
        assert_eq!(fs::read_link(&link).unwrap(), manifest);
    }

    #[tokio::test]
    async fn a_file_without_one_clear_count_is_refused_with_the_mend() {
        for text in
            ["", "replicas: four\n", "replicas: 4\nother:\n  replicas: 4\n", "minreplicas: 4\n", "replicas: 4.5\n"]
        {
            let (_dir, files) = with(text);
            let outcome = files.apply(&"scorer".into(), &change(4, 9)).await;
            assert!(
                matches!(&outcome, Outcome::Refused(why) if why.as_str().contains("exactly one")),
                "{text:?}: {outcome:?}"
            );
        }
    }
}
