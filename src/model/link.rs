//! Links out of the screen: templates of the configuration, filled in for a workload.

use super::{Time, WorkloadView};

/// One template: `[links]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it leads to: `grafana`, `runbook`.
    pub name: String,
    /// `https://grafana.example.com/d/lag?var-group={id}&from={from}&to={to}`
    pub template: String,
}

impl Link {
    /// The address for a workload; `from` and `to` are the chart's edges, as milliseconds since the epoch.
    pub fn fill(&self, view: &WorkloadView, (from, to): (Time, Time)) -> String {
        let w = &view.workload;
        let object = w.target.as_ref().and_then(|t| t.kubernetes());
        let value = |place: &str| match place {
            "name" => w.name.to_string(),
            "kind" => w.entity.kind.name().to_owned(),
            "source" => w.entity.source.to_string(),
            "id" => w.entity.id.to_string(),
            "namespace" => object.map_or_else(String::new, |(_, namespace, _)| namespace.to_string()),
            "target" => object.map_or_else(String::new, |(_, _, name)| name.to_string()),
            "from" => from.millis().to_string(),
            "to" => to.millis().to_string(),
            _ => String::new(),
        };
        let mut out = String::with_capacity(self.template.len());
        let mut rest = self.template.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, after)) = after.split_once('}') else { break };
            out.push_str(before);
            encode(&value(place), &mut out);
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// What may stand in braces in a template.
const PLACES: [&str; 8] = ["name", "kind", "source", "id", "namespace", "target", "from", "to"];

/// Checks the template of a [`Link`]; the error is a sentence that names the placeholder that there is not, or the scheme
/// that is no web page.
pub fn check_link(template: &str) -> Result<(), String> {
    if !template.starts_with("https://") && !template.starts_with("http://") {
        return Err("a link begins with https:// or http://".to_owned());
    }
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((place, after)) = after.split_once('}') else { return Err("a { is never closed".to_owned()) };
        if !PLACES.contains(&place) {
            return Err(format!("there is no {{{place}}}; there are {}", PLACES.join(", ")));
        }
        rest = after;
    }
    Ok(())
}

/// Percent-encodes all but the unreserved characters of RFC 3986: a name can never become another part of the address.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(char::from_digit(u32::from(byte >> 4), 16).map(|c| c.to_ascii_uppercase()));
            out.extend(char::from_digit(u32::from(byte & 15), 16).map(|c| c.to_ascii_uppercase()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_become_another_part_of_the_address() {
        let mut out = String::new();
        encode("a b/ü&x=1#é", &mut out);
        assert_eq!(out, "a%20b%2F%C3%BC%26x%3D1%23%C3%A9");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(check_link("https://g/{id}").is_ok());
        assert!(check_link("https://g/{ID}").unwrap_err().contains("no {ID}; there are name, kind"));
        assert!(check_link("javascript:alert(1)").is_err() && check_link("https://g/{id").is_err());
    }
}
