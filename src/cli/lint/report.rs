//! Findings for people and for scripts.

use super::{Linted, Prices};
use crate::{
    lint::{self, Finding, Known, Severity, Subject},
    manifest::{Document, Manifest, Place, yaml_of},
    model::duration,
    simulate::arena::Score,
};
use serde_json::{Value, json};
use std::fmt::{Display, Write};

/// Prices that differ by less than this are the same.
const SAME: f64 = 0.05;

/// Line and column of a finding; the cluster's objects have none.
fn place(linted: &Linted, documents: &[Vec<Document>], pointer: &str) -> Option<Place> {
    linted.manifest.place(documents.get(linted.documents)?, pointer)
}

/// `spec.triggers[0].metadata.lagThreshold` of a JSON pointer.
fn path(pointer: &str) -> String {
    let mut out = String::new();
    for segment in pointer.split('/').skip(1).map(|s| s.replace("~1", "/").replace("~0", "~")) {
        match segment.parse::<usize>() {
            Ok(i) => {
                let _ = write!(out, "[{i}]"); // writing to a String cannot fail
            }
            Err(_) if segment.contains(['.', '/']) => {
                let _ = write!(out, "[{segment:?}]"); // likewise
            }
            Err(_) => {
                out.push_str(if out.is_empty() { "" } else { "." });
                out.push_str(&segment);
            }
        }
    }
    out
}

/// Whether it looks at the lag of a group, which is what the facts are about.
fn is_group(linted: &Linted) -> bool {
    let Manifest { object, value, .. } = &linted.manifest;
    !Subject { object, facts: &linted.facts, written: value }.lags().is_empty()
}

/// The rules, and the annotations that are read.
pub(super) fn rules() -> String {
    let mut out = String::from("Rules\n");
    for (name, about) in lint::rules() {
        let _ = writeln!(out, "  {name:<26} {about}");
    }
    out.push_str("\nAnnotations\n");
    for (name, about) in lint::annotations() {
        let _ = writeln!(out, "  {name:<26} {about}");
    }
    out
}

/// What was not told, as lines of a list.
fn assumed(linted: &Linted) -> Vec<(&'static str, String, String)> {
    fn of<T: Display>(name: &'static str, known: &Known<T>) -> Option<(&'static str, String, String)> {
        (!known.is_told()).then(|| (name, known.value.to_string(), known.source()))
    }
    let facts = &linted.facts;
    [of("commit", &facts.commit), of("protocol", &facts.protocol), of("slo", &facts.slo)]
        .into_iter()
        .flatten()
        .collect()
}

/// What nobody knows: rules that need it keep silent.
fn unknown(linted: &Linted) -> Vec<&'static str> {
    let facts = &linted.facts;
    let missing = [
        ("partitions", facts.partitions.is_none()),
        ("rate", facts.rate.is_none()),
        ("consumer-rate", facts.consumer_rate.is_none()),
    ];
    missing.into_iter().filter(|(_, missing)| *missing).map(|(name, _)| name).collect()
}

pub(super) fn text(all: &[Linted], documents: &[Vec<Document>]) -> String {
    let mut out = String::new();
    for linted in all {
        one(linted, documents, &mut out);
    }
    let count = |severity| all.iter().flat_map(|l| &l.findings).filter(|f| f.severity == severity).count();
    let (objects, errors) = (all.len(), count(Severity::Error));
    let (warnings, notes) = (count(Severity::Warning), count(Severity::Note));
    let _ = writeln!(
        out,
        "{objects} object{}: {errors} error{}, {warnings} warning{}, {notes} note{}",
        s(objects),
        s(errors),
        s(warnings),
        s(notes)
    );
    out
}

fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn one(linted: &Linted, documents: &[Vec<Document>], out: &mut String) {
    let title = linted.manifest.title();
    let _ = writeln!(out, "{title} ({})\n", linted.file);
    let prices = linted.prices.as_ref().and_then(|p| p.as_ref().ok());
    for (i, finding) in linted.findings.iter().enumerate() {
        let at = match place(linted, documents, &finding.pointer) {
            Some(place) => format!("{}:{place}", linted.file),
            None => path(&finding.pointer),
        };
        let _ = writeln!(out, "{at}: {}[{}]: {}", finding.severity.word(), finding.rule, finding.what);
        paragraph(out, &finding.why);
        if let Some((prices, mended)) = prices.and_then(|p| Some((p, p.mended.get(i)?.as_ref()?))) {
            paragraph(out, &difference(prices, mended));
        }
        if !finding.mend.is_empty() {
            out.push_str("    write instead:\n");
            indent(out, &yaml_of(&linted.manifest.value, &finding.mend));
        }
        out.push('\n');
    }
    if linted.findings.is_empty() {
        out.push_str("    nothing to say\n\n");
    }
    if is_group(linted) {
        for (name, value, why) in assumed(linted) {
            let _ = writeln!(out, "    {name} = {value} {why}");
        }
        let unknown = unknown(linted);
        if !unknown.is_empty() {
            let _ = writeln!(out, "    not known, so not judged by: {} (--NAME tells)", unknown.join(", "));
        }
    }
    match &linted.prices {
        Some(Ok(prices)) => table(linted, prices, out),
        Some(Err(why)) => {
            let _ = writeln!(out, "    not priced: {why}");
        }
        None => {}
    }
    out.push('\n');
}

fn difference(prices: &Prices, mended: &Score) -> String {
    let (from, to) = (prices.written.price, mended.price);
    let span = duration(prices.seconds);
    if (to - from).abs() < SAME {
        return format!("price of {span}: {from:.1} with this mend as without it");
    }
    let together = prices.all.as_ref().is_some_and(|(_, all)| all.price < from);
    let word = match (to < from, together) {
        (true, _) => "",
        (false, true) => ": more alone, so only with the others",
        (false, false) => ": more",
    };
    format!("price of {span}: {from:.1} as written, {to:.1} with this mend{word}")
}

/// What a day costs: the object, the object with all mends, the planner.
fn table(linted: &Linted, prices: &Prices, out: &mut String) {
    if let Some((edits, _)) = prices.all.as_ref().filter(|_| linted.findings.len() > 1) {
        out.push_str("    all mends together:\n");
        indent(out, &yaml_of(&linted.manifest.value, edits));
        out.push('\n');
    }
    let days = prices.days;
    let span = duration(prices.seconds);
    let _ = writeln!(out, "    {span} of the arena, mean of {days} seed{}:\n", s(days as usize));
    let _ = writeln!(
        out,
        "    {:<16} {:>8} {:>8} {:>7} {:>8} {:>8} {:>11}",
        "", "PRICE", "POD-H", "PODS", "SLO MIN", "ACTIONS", "REBALANCES"
    );
    let mut row = |name: &str, score: &Score| {
        let _ = writeln!(
            out,
            "    {name:<16} {:>8.1} {:>8.1} {:>7.1} {:>8.1} {:>8.1} {:>11.1}",
            score.price, score.pod_hours, score.average_replicas, score.slo_minutes, score.actions, score.rebalances
        );
    };
    row("as written", &prices.written);
    if let Some((_, score)) = &prices.all {
        row("all mends", score);
    }
    if let Some(score) = &prices.planner {
        row("planner", score);
    }
    if prices.all.as_ref().is_some_and(|(_, all)| all.price > prices.written.price + SAME) {
        out.push_str(
            "\n    On these days the mends cost more than they save: price other days before you write them.\n",
        );
    }
}

/// Text of at most 110 columns, moved in.
fn paragraph(out: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width == 0 || width + length + 1 > 110 {
            out.push_str(if width == 0 { "    " } else { "\n    " });
            width = 0;
        } else {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    if width > 0 {
        out.push('\n');
    }
}

fn indent(out: &mut String, text: &str) {
    for line in text.lines() {
        let _ = writeln!(out, "      {line}");
    }
}

pub(super) fn document(all: &[Linted], documents: &[Vec<Document>]) -> Value {
    let objects: Vec<Value> = all.iter().map(|l| object(l, documents)).collect();
    json!({"version": 1, "objects": objects})
}

fn object(linted: &Linted, documents: &[Vec<Document>]) -> Value {
    let prices = linted.prices.as_ref().and_then(|p| p.as_ref().ok());
    let finding = |(i, f): (usize, &Finding)| {
        let place = place(linted, documents, &f.pointer);
        let mended = prices.and_then(|p| p.mended.get(i)?.as_ref()).map(|s| s.price);
        let mend = (!f.mend.is_empty()).then(|| yaml_of(&linted.manifest.value, &f.mend));
        json!({
            "rule": f.rule, "severity": f.severity, "line": place.map(|p| p.line), "column": place.map(|p| p.column),
            "path": path(&f.pointer), "what": f.what, "why": f.why, "mend": mend, "price_with_mend": mended,
        })
    };
    let findings: Vec<Value> = linted.findings.iter().enumerate().map(finding).collect();
    let assumed: Vec<Value> =
        assumed(linted).iter().map(|(name, value, why)| json!({"name": name, "value": value, "why": why})).collect();
    let not_priced = linted.prices.as_ref().and_then(|p| p.as_ref().err());
    json!({
        "object": linted.manifest.title(), "file": linted.file, "findings": findings, "assumed": assumed,
        "unknown": unknown(linted), "not_priced": not_priced,
        "price": prices.map(|p| json!({
            "as_written": p.written.price, "all_mends": p.all.as_ref().map(|(_, s)| s.price),
            "planner": p.planner.map(|s| s.price), "seeds": p.days, "seconds": p.seconds,
            "mend": p.all.as_ref().map(|(edits, _)| yaml_of(&linted.manifest.value, edits)),
        })),
    })
}
