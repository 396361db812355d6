//! The metric packs: what to ask per exporter family, read from `config/packs/*.toml`.
//!
//! The format is explained at the top of `config/packs/vllm.toml`.

use super::slots::Slot;
use crate::{model::PrometheusSettings, promql};
use promql_parser::parser::{self, Expr};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, path::Path, sync::LazyLock};

/// One exporter family.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Name on screen.
    pub name: String,
    /// Metric names that tell that the family is there.
    pub detect: Vec<String>,
    /// Prefixes that wrappers put before every metric name.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// What can be asked, by name.
    pub concepts: BTreeMap<String, Concept>,
    #[serde(default)]
    gpu: Templates,
    #[serde(default)]
    service: Templates,
    #[serde(default)]
    queue: Templates,
    #[serde(default)]
    training: Templates,
    #[serde(default)]
    broker: Templates,
    #[serde(default)]
    group: Templates,
}

/// Parts of an entity's identity, each with its templates over labels, best first.
pub(super) type Templates = BTreeMap<String, Vec<String>>;

/// One PromQL expression of a pack.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concept {
    /// PromQL with `$w`, `$sel` and `$by`.
    pub query: String,
    /// Unit of what the query gives; empty: a plain count.
    #[serde(default)]
    pub unit: String,
    /// Field of the model that it fills (`service.waiting`); `None`: not asked, for the user's own use.
    pub into: Option<String>,
    /// Factor from the query's unit to the model's.
    #[serde(default = "one")]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

macro_rules! built_in {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../config/packs/", $name, ".toml")))),*]
    };
}

/// Name and text of every built-in pack. Earlier ones win where two fill the same field of the same thing.
const BUILT_IN: [(&str, &str); 30] = built_in!(
    "dcgm" "nvidia_smi" "vllm" "sglang" "tgi" "triton" "torchserve" "tf_serving" "dynamo" "ray_serve" "kserve"
    "kueue" "volcano" "celery" "rabbitmq" "redis" "training" "axolotl" "prime_rl"
    "kafka_jmx" "kafka_jmx_grafanacloud" "kafka_jmx_bitnami" "kafka_jmx_reporter"
    "kafka_exporter" "kminion" "kafka_lag_exporter" "kube_state" "cadvisor" "node" "keda"
);

/// The built-in packs.
pub fn all() -> &'static [Pack] {
    static ALL: LazyLock<Vec<Pack>> = LazyLock::new(|| {
        let read = |(name, text): &(&str, &str)| match read(name, text) {
            Ok(pack) => Some(pack),
            Err(e) => {
                tracing::error!("a built-in metric pack is left out: {e}");
                None
            }
        };
        BUILT_IN.iter().filter_map(read).collect()
    });
    &ALL
}

/// The built-in packs and those of the user's folder; a user's pack replaces the built-in one of its name.
pub fn load(folder: Option<&Path>) -> Result<Vec<Pack>, String> {
    let mut packs = all().to_vec();
    let Some(folder) = folder else { return Ok(packs) };
    let unreadable = |e| format!("cannot read the metric packs in {}: {e}", folder.display());
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let pack = read(&path.display().to_string(), &text)?;
        match packs.iter_mut().find(|p| p.name == pack.name) {
            Some(old) => *old = pack,
            None => packs.push(pack),
        }
    }
    Ok(packs)
}

/// Reads and checks one pack; `file` is for the error alone.
pub fn read(file: &str, text: &str) -> Result<Pack, String> {
    examine(text).map_err(|problems| {
        let said: Vec<_> = problems.iter().map(|p| format!("metric pack {file}{p}")).collect();
        said.join("\n")
    })
}

/// Something that is wrong in a pack's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// The concept that it is in.
    pub concept: Option<String>,
    /// What is wrong, and what to write instead.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.concept {
            Some(concept) => write!(f, ":{}, concept {concept}: {}", self.line, self.what),
            None => write!(f, ":{}: {}", self.line, self.what),
        }
    }
}

/// Reads a pack and names everything that is wrong with it.
pub fn examine(text: &str) -> Result<Pack, Vec<Problem>> {
    let pack: Pack = toml::from_str(text).map_err(|e| {
        let line = text.get(..e.span().map_or(0, |s| s.start)).unwrap_or_default().matches('\n').count() + 1;
        vec![Problem { line, concept: None, what: e.message().to_owned() }]
    })?;
    let mut problems = Vec::new();
    let mut wrong = |key: &str, concept: Option<&String>, what: String| {
        let line = text.lines().position(|l| l.trim_start().starts_with(key)).unwrap_or(0) + 1;
        problems.push(Problem { line, concept: concept.cloned(), what });
    };
    if pack.detect.is_empty() {
        wrong("detect", None, "`detect` names no metric".to_owned());
    }
    let plain = |n: &&String| n.is_empty() || !n.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    for (key, names) in [("detect", &pack.detect), ("prefixes", &pack.prefixes)] {
        for name in names.iter().filter(plain) {
            wrong(key, None, format!("{name:?} is no metric name (letters, digits, `_`, `:`)"));
        }
    }
    for (name, concept) in &pack.concepts {
        let header = format!("[concepts.{name}]");
        let slot = concept.into.as_deref().map(|into| {
            Slot::parse(into).ok_or_else(|| format!("`into = {into:?}` is no field; there are {}", Slot::names()))
        });
        let slot = slot.transpose().unwrap_or_else(|what| {
            wrong(&header, Some(name), what);
            None
        });
        if let Some(slot) = slot.filter(|s| pack.templates(*s).is_empty()) {
            let what = format!("`into` needs a [{}] table that says how its rows are told apart", slot.entity());
            wrong(&header, Some(name), what);
        }
        let query = Ask::new(&pack, name, concept, slot).promql("", 60.0, &BTreeMap::new());
        if let Err(e) = query.and_then(|query| parser::parse(&query)) {
            wrong(&header, Some(name), format!("the query does not parse: {e}"));
        }
    }
    problems.sort_by_key(|p| p.line);
    if problems.is_empty() { Ok(pack) } else { Err(problems) }
}

/// What is odd about a pack that can be used: rows that fall together, a `select` without effect, functions that only a
/// server knows.
pub fn notes(pack: &Pack) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, concept) in &pack.concepts {
        let slot = concept.into.as_deref().and_then(Slot::parse);
        let Ok(query) = Ask::new(pack, name, concept, slot).promql("", 60.0, &BTreeMap::new()) else { continue };
        let mut note = |what: String| notes.push(format!("{name}: {what}"));
        if let Some(slot) = slot
            && let Some(kept) = grouping(&query)
            && let Some(parts) = pack.templates(slot).get(if matches!(slot, Slot::Gpu(_)) { "gpu" } else { "name" })
        {
            let labels = |template: &String| labels_in(template).map(str::to_owned).collect::<Vec<_>>();
            if !parts.iter().any(|template| labels(template).iter().all(|l| kept.contains(l))) {
                let wanted: Vec<_> = parts.iter().map(|p| labels(p).join(", ")).collect();
                note(format!("its rows fall together: group by ({})", wanted.join("), or by (")));
            }
        }
        if !concept.query.contains("$sel") {
            note("the source's `select` has no effect on it: put {$sel} behind its metrics".to_owned());
        }
        if let Err(promql::QueryError::Execution(why)) =
            promql::instant(&promql::SeriesStore::new(None), &query, crate::model::Time::from_millis(0))
        {
            note(format!("a server answers it, exporters that are read directly do not: {why}"));
        }
    }
    notes
}

/// The labels that the outermost aggregation of a query keeps; `None`: no `by`.
fn grouping(query: &str) -> Option<Vec<String>> {
    fn outermost(expr: &Expr) -> Option<Vec<String>> {
        match expr {
            Expr::Aggregate(e) => match &e.modifier {
                Some(parser::LabelModifier::Include(labels)) => Some(labels.labels.clone()),
                Some(parser::LabelModifier::Exclude(_)) => None,
                None => Some(Vec::new()),
            },
            Expr::Paren(e) => outermost(&e.expr),
            Expr::Unary(e) => outermost(&e.expr),
            Expr::Binary(e) => outermost(&e.lhs).or_else(|| outermost(&e.rhs)),
            Expr::Call(call) => call.args.args.iter().find_map(|arg| outermost(arg)),
            _ => None,
        }
    }
    outermost(&parser::parse(query).ok()?)
}

impl Pack {
    /// The templates that tell the rows of a slot apart.
    pub(super) fn templates(&self, slot: Slot) -> &Templates {
        match slot {
            Slot::Gpu(_) => &self.gpu,
            Slot::Service(..) | Slot::Pods => &self.service,
            Slot::Queue(..) => &self.queue,
            Slot::Training(..) => &self.training,
            Slot::Broker(_) => &self.broker,
            Slot::Group(_) => &self.group,
        }
    }

    /// Every prefix to look for: none, the pack's own, the source's.
    pub(super) fn all_prefixes<'a>(&'a self, settings: &'a PrometheusSettings) -> Vec<&'a str> {
        let mut prefixes = vec![""];
        for prefix in self.prefixes.iter().map(String::as_str).chain([settings.prefix.as_str()]) {
            if !prefixes.contains(&prefix) {
                prefixes.push(prefix);
            }
        }
        prefixes
    }

    /// Every expression by name, with its placeholders replaced: what a person would send.
    pub fn queries(&self, window: f64, select: &BTreeMap<String, String>) -> Vec<(&str, String)> {
        let text = |name, concept| Some((name, Ask::new(self, name, concept, None).promql("", window, select).ok()?));
        self.concepts.iter().filter_map(|(name, concept)| text(name.as_str(), concept)).collect()
    }

    /// The concepts that fill a field of the model.
    pub(super) fn asks(&self) -> impl Iterator<Item = Ask<'_>> {
        let mut asks: Vec<_> = self
            .concepts
            .iter()
            .filter_map(|(name, concept)| Some((Slot::place(concept.into.as_deref()?)?, name, concept)))
            .collect();
        asks.sort_by_key(|((place, _), ..)| *place); // ttft_p95 before latency_p95: the better one is history first
        asks.into_iter().map(|((_, slot), name, concept)| Ask::new(self, name, concept, Some(slot)))
    }
}

/// A concept together with what its query needs from its pack.
#[derive(Clone, Copy)]
pub(super) struct Ask<'p> {
    pub name: &'p str,
    pub concept: &'p Concept,
    pub slot: Option<Slot>,
    pack: &'p Pack,
}

impl<'p> Ask<'p> {
    fn new(pack: &'p Pack, name: &'p str, concept: &'p Concept, slot: Option<Slot>) -> Self {
        Self { name, concept, slot, pack }
    }

    /// The PromQL to send: placeholders replaced, metric names prefixed.
    pub(super) fn promql(
        &self,
        prefix: &str,
        window: f64,
        select: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        let rows = match self.slot {
            Some(slot) => Some(self.pack.templates(slot)),
            None => self.pack.tables().into_iter().find(|t| !t.is_empty()),
        };
        let by = rows.map(labels_of).unwrap_or_default();
        let query = fill(&self.concept.query.replace("$by", &by.join(",")), window, select);
        if prefix.is_empty() {
            return Ok(query);
        }
        let mut expr = parser::parse(&query)?;
        add_prefix(&mut expr, prefix);
        Ok(expr.to_string())
    }
}

impl Pack {
    fn tables(&self) -> [&Templates; 5] {
        [&self.gpu, &self.service, &self.queue, &self.training, &self.broker]
    }
}

/// Replaces `$w` by the window, seconds, and `$sel` by label matchers.
///
/// ```
/// use highwater::source::prometheus::packs::fill;
/// let select = [("model_name".to_owned(), "a\"b".to_owned())].into();
/// assert_eq!(fill("rate(x{job=\"y\",$sel}[$w])", 60.0, &select), r#"rate(x{job="y",model_name="a\"b"}[60s])"#);
/// assert_eq!(fill("x{$sel}", 60.0, &Default::default()), "x{}");
/// ```
pub fn fill(query: &str, window: f64, select: &BTreeMap<String, String>) -> String {
    let quote = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let matchers: Vec<_> = select.iter().map(|(name, value)| format!("{name}=\"{}\"", quote(value))).collect();
    // A short window is what was seen so far, and rates are over just that.
    let window = match window {
        w if w >= 60.0 => format!("{}s", w.ceil() as u64),
        w if w.fract() == 0.0 && w >= 1.0 => format!("{}s", w as u64),
        w => format!("{}ms", (w * 1000.0).ceil().max(1.0) as u64),
    };
    query.replace("$w", &window).replace("$sel", &matchers.join(","))
}

/// The labels that templates use, each once, in order.
fn labels_of(templates: &Templates) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for template in templates.values().flatten() {
        for name in labels_in(template) {
            if !labels.iter().any(|l| l == name) {
                labels.push(name.to_owned());
            }
        }
    }
    labels
}

/// The labels of one template.
fn labels_in(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).map(|part| part.split('}').next().unwrap_or_default())
}

/// Puts `prefix` before every metric name.
fn add_prefix(expr: &mut Expr, prefix: &str) {
    let rename = |selector: &mut parser::VectorSelector| {
        if let Some(name) = &mut selector.name {
            name.insert_str(0, prefix);
        }
    };
    match expr {
        Expr::VectorSelector(selector) => rename(selector),
        Expr::MatrixSelector(matrix) => rename(&mut matrix.vs),
        Expr::Aggregate(e) => add_prefix(&mut e.expr, prefix),
        Expr::Unary(e) => add_prefix(&mut e.expr, prefix),
        Expr::Paren(e) => add_prefix(&mut e.expr, prefix),
        Expr::Subquery(e) => add_prefix(&mut e.expr, prefix),
        Expr::Binary(e) => {
            add_prefix(&mut e.lhs, prefix);
            add_prefix(&mut e.rhs, prefix);
        }
        Expr::Call(call) => call.args.args.iter_mut().for_each(|arg| add_prefix(arg, prefix)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_pack_reads() {
        for (name, text) in BUILT_IN {
            let pack = read(name, text).unwrap();
            assert_eq!(pack.name, name, "a pack is named after its file");
            assert_eq!(notes(&pack), Vec::<String>::new(), "{name}");
        }
        assert_eq!(all().len(), BUILT_IN.len());
    }

    #[test]
    fn a_wrapped_pack_asks_for_wrapped_names() {
        let vllm = all().iter().find(|p| p.name == "vllm").unwrap();
        let ask = vllm.asks().find(|a| a.concept.into.as_deref() == Some("service.kv_cache")).unwrap();
        let select = [("model_name".to_owned(), "fraud".to_owned())].into();
        let query = ask.promql("kserve_", 60.0, &select).unwrap();
        assert!(query.contains("kserve_vllm:kv_cache_usage_perc{model_name=\"fraud\"}"), "{query}");
        assert!(query.contains("kserve_vllm:gpu_cache_usage_perc"), "{query}");
    }

    #[test]
    fn an_expression_survives_being_parsed_and_printed() {
        for (pack, name, query) in all()
            .iter()
            .flat_map(|p| p.queries(60.0, &BTreeMap::new()).into_iter().map(|(name, query)| (&p.name, name, query)))
        {
            let printed = parser::parse(&query).unwrap().to_string(); // matchers come out sorted, hence not the tree
            let again = parser::parse(&printed).unwrap_or_else(|e| panic!("{pack} {name}: {printed}: {e}"));
            assert_eq!(again.to_string(), printed, "{pack} {name}");
        }
    }

    #[test]
    fn a_wrong_pack_says_where_and_what() {
        let pack = |into: &str, query: &str| {
            format!("name='x'\ndetect=['y']\n[service]\nname=['{{a}}']\n[concepts.c]\nquery='{query}'\ninto='{into}'")
        };
        assert!(read("x.toml", &pack("service.waiting", "sum(y)")).is_ok());
        let error = read("x.toml", &pack("service.wating", "sum(y)")).unwrap_err();
        assert!(error.contains("x.toml") && error.contains("service.waiting"), "{error}");
        assert!(read("x.toml", &pack("service.waiting", "sum(y")).unwrap_err().contains("does not parse"));
        assert!(read("x.toml", &pack("queue.waiting", "sum(y)")).unwrap_err().contains("[queue]"));
    }

    #[test]
    fn what_a_pack_could_do_better_is_noted() {
        let text = "name='x'\ndetect=['y']\n[service]\nname=['{a}']\n[concepts.one]\nquery='sum(y{$sel})'\n\
                    into='service.waiting'\n[concepts.two]\nquery='avg by (b) (present_over_time(y[5m:1m]))'\n";
        let notes = notes(&examine(text).unwrap());
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].contains("one: its rows fall together: group by (a)"), "{notes:?}");
        assert!(notes[1].contains("$sel") && notes[2].contains("subquery"), "{notes:?}");
        let wrong = examine(&text.replace("sum(y{$sel})", "sum(y{$sel}").replace("y[5m:1m]", "y[5x]")).unwrap_err();
        assert_eq!(wrong.iter().map(|p| p.line).collect::<Vec<_>>(), [5, 8], "every one, with its line: {wrong:?}");
    }

    #[test]
    fn a_users_pack_replaces_the_built_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let text = "name='redis'\ndetect=['my_len']\n[queue]\nname=['{q}']\n[concepts.w]\nquery='my_len'\ninto='queue.waiting'";
        std::fs::write(folder.path().join("mine.toml"), text).unwrap();
        let packs = load(Some(folder.path())).unwrap();
        assert_eq!(packs.len(), all().len());
        assert_eq!(packs.iter().find(|p| p.name == "redis").unwrap().detect, ["my_len"]);
        assert!(load(Some(Path::new("/no/such/folder"))).unwrap_err().contains("/no/such/folder"));
    }
}
