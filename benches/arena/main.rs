//! The arena's report: every case on every seed under every policy, priced against a clairvoyant.
//!
//! `cargo bench --bench arena` plays the cases of `benches/arena/cases` and writes `docs/arena.md` with its plots.
//! After `--`: names of cases (default: all), `--seeds N` (default 10; 4 of
//! the further families), `--quick` (2 seeds, short searches),
//! `--fresh` (play again what this very binary has already played). Days are kept in `target/arena` as they finish, so that
//! a run that was cut short goes on where it stopped.

mod day;
mod others;
mod plot;
mod report;

use day::{Case, Day};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// Cases in the order of the report; those that are not named here follow by their names.
const ORDER: [&str; 13] = [
    "eager-15s",
    "cooperative-4s",
    "kip-848-1s",
    "eager-45s",
    "start-up-180s",
    "skew-0",
    "skew-0.4",
    "flash-crowd",
    "growth",
    "downstream-12",
    "rate-noise",
    "eager-little-lag",
    "quick-little-lag",
];
/// Cases of which the day of the first seed is drawn.
const DRAWN: [&str; 3] = ["eager-15s", "cooperative-4s", "flash-crowd"];

/// What was asked for.
struct Asked {
    cases: Vec<String>,
    /// Seeds a case; `None`: as many as the case has.
    seeds: Option<u64>,
    moves: Option<usize>,
    fresh: bool,
}

fn main() -> Result<(), String> {
    let Some(asked) = arguments()? else { return Ok(()) };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cases = cases(&root.join("benches/arena/cases"), &asked.cases)?;
    let store = Store::open(&root.join("target/arena"), asked.fresh)?;
    let seeds = |case: &Case| asked.seeds.unwrap_or(if ORDER.contains(&case.name.as_str()) { 10 } else { 4 });
    let cases: Vec<Case> = cases.into_iter().map(|case| Case { seeds: seeds(&case), ..case }).collect();
    // By case, so that whole cases finish.
    let jobs: Vec<(usize, u64)> =
        cases.iter().enumerate().flat_map(|(c, case)| (1..=case.seeds).map(move |seed| (c, seed))).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::<Day>::new()));
    let began = Instant::now();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((case, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let case = &cases[case];
                    let moves = asked.moves.unwrap_or(case.scenario.moves());
                    let day = store.find(case, seed, moves).map_or_else(|| play(case, seed, moves, root), Ok);
                    match day.and_then(|day| store.keep(&day).map(|()| day)) {
                        Ok(day) => {
                            let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                            done.push(day);
                            progress(&done, case, seed, jobs.len(), began);
                            if done.iter().filter(|d| d.case == case.name).count() as u64 == case.seeds
                                && let Err(e) = report::write(&root.join("docs"), &cases, &done, "")
                            {
                                eprintln!("report: {e}");
                            }
                        }
                        Err(e) => eprintln!("{} seed {seed}: {e}", case.name),
                    }
                }
            });
        }
    });
    let done = done.into_inner().map_err(|_| "a day was cut short".to_owned())?;
    let others = if asked.cases.is_empty() {
        others::section(root, &store.folder, store.program, asked.seeds.unwrap_or(10))?
    } else {
        String::new()
    };
    report::write(&root.join("docs"), &cases, &done, &others)?;
    let lost = jobs.len() - done.len();
    if lost > 0 { Err(format!("{lost} days failed: see above")) } else { Ok(()) }
}

/// Plays a day, and draws it where it is one to be drawn.
fn play(case: &Case, seed: u64, moves: usize, root: &Path) -> Result<Day, String> {
    let (day, curves) = day::play(case, seed, moves)?;
    if seed == 1 && DRAWN.contains(&case.name.as_str()) {
        let path = root.join("docs/arena").join(format!("{}.svg", case.name));
        write(&path, &plot::day(&case.name, &curves))?;
    }
    Ok(day)
}

fn progress(done: &[Day], case: &Case, seed: u64, jobs: usize, began: Instant) {
    let Some(day) = done.last() else { return };
    let (elapsed, share) = (began.elapsed().as_secs_f64(), done.len() as f64 / jobs as f64);
    let price = |policy: &str| day.played.iter().find(|p| p.policy == policy).map_or(f64::NAN, |p| p.score.price);
    eprintln!(
        "{:>3}/{jobs} {:<22} seed {seed}/{} {:5.0} s  planner {:.1}  oracle {:.1}  bound {:.1}  ({:.0} s gone, about {:.0} left)",
        done.len(),
        case.name,
        case.seeds,
        day.seconds,
        price("planner"),
        day.oracle.price,
        day.bound,
        elapsed,
        elapsed / share - elapsed,
    );
}

/// The command line; `None`: nothing is to be played (a test run builds benches only).
fn arguments() -> Result<Option<Asked>, String> {
    let mut asked = Asked { cases: Vec::new(), seeds: None, moves: None, fresh: false };
    let mut args = std::env::args().skip(1);
    let mut any = false;
    while let Some(arg) = args.next() {
        any = true;
        match arg.as_str() {
            "--bench" => {}
            "--quick" => (asked.seeds, asked.moves) = (Some(2), Some(500)),
            "--fresh" => asked.fresh = true,
            "--seeds" => {
                let n = args.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                asked.seeds = Some(n.ok_or("--seeds: a number above zero belongs here")?);
            }
            name if !name.starts_with('-') => asked.cases.push(name.to_owned()),
            other => return Err(format!("{other}: there are --seeds N, --quick, --fresh and names of cases")),
        }
    }
    Ok(any.then_some(asked))
}

/// Reads the cases of a folder, in the order of the report.
fn cases(folder: &Path, wanted: &[String]) -> Result<Vec<Case>, String> {
    let said = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).map_err(said)? {
        let path = entry.map_err(said)?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            cases.push(Case::read(&path)?);
        }
    }
    let place = |name: &str| ORDER.iter().position(|o| *o == name).unwrap_or(ORDER.len());
    cases.sort_by(|a, b| place(&a.name).cmp(&place(&b.name)).then_with(|| a.name.cmp(&b.name)));
    if let Some(unknown) = wanted.iter().find(|w| cases.iter().all(|c| c.name != **w)) {
        let names: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
        return Err(format!("{unknown}: no such case; there are {}", names.join(", ")));
    }
    cases.retain(|c| wanted.is_empty() || wanted.contains(&c.name));
    Ok(cases)
}

/// Days that were played, one JSON document a line, each with what it depends on.
struct Store {
    folder: PathBuf,
    /// Of this binary: another one may play otherwise.
    program: u64,
    before: Vec<Day>,
    writing: Mutex<()>,
}

impl Store {
    fn open(folder: &Path, fresh: bool) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let program = std::env::current_exe().and_then(fs::read).map_err(|e| format!("this program: {e}"))?;
        let program = day::fingerprint(&program);
        let text = fs::read_to_string(folder.join("days.jsonl")).unwrap_or_default(); // none yet
        let days = text.lines().filter_map(|line| serde_json::from_str::<Day>(line).ok()); // a cut line is played again
        let before = days.filter(|d| !fresh && d.program == program).collect();
        Ok(Self { folder: folder.to_owned(), program, before, writing: Mutex::new(()) })
    }

    fn find(&self, case: &Case, seed: u64, moves: usize) -> Option<Day> {
        let same =
            |d: &&Day| d.case == case.name && d.scenario == case.fingerprint && d.seed == seed && d.moves == moves;
        self.before.iter().find(same).cloned()
    }

    fn keep(&self, day: &Day) -> Result<(), String> {
        if day.program != 0 {
            return Ok(()); // it came from here
        }
        let _one_at_a_time = self.writing.lock();
        let day = Day { program: self.program, ..day.clone() };
        let path = self.folder.join("days.jsonl");
        let said = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(said)?;
        let line = serde_json::to_string(&day).map_err(|e| e.to_string())?;
        writeln!(file, "{line}").map_err(said)
    }
}

/// Writes a file and the folders above it.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let said = |e: std::io::Error| format!("{}: {e}", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(said)?;
    fs::write(path, text).map_err(said)
}
