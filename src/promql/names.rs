//! Which metrics an expression reads.

use super::store::NAME;
use promql_parser::{
    label::MatchOp,
    parser::{self, Expr, VectorSelector},
};
use std::collections::BTreeSet;

/// The names of the metrics that a query reads; `None` when one of its selectors leaves the name open.
///
/// ```
/// use highwater::promql::metrics;
/// assert_eq!(metrics("sum(rate(a_total[1m])) / scalar(b)").unwrap().unwrap().into_iter().collect::<Vec<_>>(), ["a_total", "b"]);
/// assert_eq!(metrics("sum({__name__=~\"a.*\"})").unwrap(), None);
/// ```
pub fn metrics(query: &str) -> Result<Option<BTreeSet<String>>, String> {
    let mut names = Some(BTreeSet::new());
    selectors(&parser::parse(query)?, &mut |selector| {
        let exact = |m: &&promql_parser::label::Matcher| m.name == NAME && matches!(m.op, MatchOp::Equal);
        let named = selector.matchers.matchers.iter().find(exact).map(|m| &m.value);
        match (selector.name.as_ref().or(named), &mut names) {
            (Some(name), Some(all)) => _ = all.insert(name.clone()),
            _ => names = None,
        }
    });
    Ok(names)
}

/// Calls `seen` for every selector.
fn selectors(expr: &Expr, seen: &mut impl FnMut(&VectorSelector)) {
    match expr {
        Expr::VectorSelector(selector) => seen(selector),
        Expr::MatrixSelector(matrix) => seen(&matrix.vs),
        Expr::Aggregate(e) => {
            if let Some(param) = &e.param {
                selectors(param, seen);
            }
            selectors(&e.expr, seen);
        }
        Expr::Unary(e) => selectors(&e.expr, seen),
        Expr::Paren(e) => selectors(&e.expr, seen),
        Expr::Subquery(e) => selectors(&e.expr, seen),
        Expr::Binary(e) => {
            selectors(&e.lhs, seen);
            selectors(&e.rhs, seen);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|arg| selectors(arg, seen)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}
