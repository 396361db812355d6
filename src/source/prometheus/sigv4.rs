//! Signs requests for Amazon's managed services: AWS Signature Version 4, and the keys it is made with.
//!
//! Source: AWS IAM User Guide, "Create a signed AWS API request"; "Sourcing credentials with an external process".

use super::failure::Failure;
use crate::{
    model::{Secret, SecretSource, SigV4Settings, Time},
    process::read_secret,
};
use hmac::{Hmac, Mac as _};
use reqwest::{
    Body, Request, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";
/// The section of the shared credentials file that is read.
const PROFILE: &str = "[default]";

/// Signs for one region and service.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    region: String,
    service: String,
    keys: Keys,
}

/// What is signed with.
#[derive(Clone, Debug)]
struct Keys {
    id: String,
    secret: Secret,
    /// Of a session; long-lived keys have none.
    token: Option<Secret>,
    expires: Option<Time>,
}

impl Signer {
    /// Reads the keys where the settings say, else from the environment's usual variables.
    pub(super) async fn read(settings: &SigV4Settings) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::settings(format!("`sigv4`: {why}"));
        let keys = if let Some(source) = &settings.credentials {
            let text = read_secret(source).await.map_err(wrong)?;
            keys(text.expose()).map_err(|why| wrong(why.to_owned()))?
        } else {
            let variable = async |name: &str| read_secret(&SecretSource::Env(name.to_owned())).await;
            Keys {
                id: variable("AWS_ACCESS_KEY_ID").await.map_err(wrong)?.expose().to_owned(),
                secret: variable("AWS_SECRET_ACCESS_KEY").await.map_err(wrong)?,
                token: variable("AWS_SESSION_TOKEN").await.ok(),
                expires: None,
            }
        };
        Ok(Self { region: settings.region.clone(), service: settings.service.clone(), keys })
    }

    /// When the keys are of no use any more, where that is known.
    pub(super) fn expires(&self) -> Option<Time> {
        self.keys.expires
    }

    /// The token of a session, which is sent as it is.
    pub(super) fn token(&self) -> Option<&Secret> {
        self.keys.token.as_ref()
    }

    /// Signs what is otherwise ready to be sent; its query is written anew in the canonical form.
    pub(super) fn sign(&self, request: &mut Request, at: Time) -> Result<(), Failure> {
        let query = canonical_query(request.url());
        request.url_mut().set_query((!query.is_empty()).then_some(query.as_str()));
        let instant = instant(at);
        put(request.headers_mut(), DATE, &instant)?;
        if let Some(token) = &self.keys.token {
            put(request.headers_mut(), TOKEN, token.expose())?;
        }
        let (names, canonical) = canonical(request, &query);
        let day = instant.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!("{ALGORITHM}\n{instant}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let mut key = format!("AWS4{}", self.keys.secret.expose()).into_bytes();
        for part in [day, &self.region, &self.service, "aws4_request", &text] {
            key = mac(&key, part)?;
        }
        let (id, signature) = (&self.keys.id, hex(&key));
        let signed = format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        put(request.headers_mut(), AUTHORIZATION.as_str(), &signed)
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, text: &str) -> Result<(), Failure> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Failure::settings("`sigv4`: a credential has characters that none may have"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// The signed headers' names, and the request in the form that is signed.
fn canonical(request: &Request, query: &str) -> (String, String) {
    let text = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).map(|v| v.trim().to_owned());
    let host = Some(host(request.url()));
    // Sorted by name; nothing else is sent that a proxy on the way leaves as it is.
    let headers = [(CONTENT_TYPE.as_str(), text(CONTENT_TYPE.as_str())), ("host", host)];
    let headers = headers.into_iter().chain([(DATE, text(DATE)), (TOKEN, text(TOKEN))]);
    let headers: Vec<_> = headers.filter_map(|(name, value)| Some((name, value?))).collect();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    // Paths are encoded twice but for S3's: once as they are sent, once here.
    let path = encode(request.url().path(), b"/");
    let mut out = format!("{}\n{path}\n{query}\n", request.method());
    for (name, value) in headers {
        let _ = writeln!(out, "{name}:{value}"); // to a String: cannot fail
    }
    let body = request.body().and_then(Body::as_bytes).unwrap_or_default();
    let _ = write!(out, "\n{names}\n{}", hex(&Sha256::digest(body))); // likewise
    (names, out)
}

/// The `Host` header as it is sent: with the port only where that is not the scheme's own.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Pairs sorted as they are encoded.
fn canonical_query(url: &Url) -> String {
    let mut pairs: Vec<_> = url.query_pairs().map(|(name, value)| (encode(&name, b""), encode(&value, b""))).collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Percent-encodes every byte but the unreserved ones of RFC 3986 and those of `kept`.
pub(super) fn encode(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // to a String: cannot fail
        }
    }
    out
}

/// `20150830T123600Z`.
fn instant(at: Time) -> String {
    let text = at.to_string(); // 2015-08-30T12:36:00.000Z
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

fn mac(key: &[u8], text: &str) -> Result<Vec<u8>, Failure> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|e| Failure::settings(format!("`sigv4`: {e}")))?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}"); // to a String: cannot fail
        out
    })
}

/// Reads keys as a `credential_process` prints them (`aws configure export-credentials` does), or as they stand in the
/// shared credentials file. What is wrong is told without a word of the text.
fn keys(text: &str) -> Result<Keys, &'static str> {
    if text.trim_start().starts_with('{') { printed(text) } else { shared(text) }
}

fn printed(text: &str) -> Result<Keys, &'static str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Printed {
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
        expiration: Option<String>,
    }
    let wrong =
        "its `credentials` are not the JSON of a credential_process: AccessKeyId and SecretAccessKey are needed";
    let printed: Printed = serde_json::from_str(text).map_err(|_| wrong)?;
    let expires =
        printed.expiration.map(|at| Time::parse(&at).ok_or("the Expiration of its `credentials` is no instant"));
    Ok(Keys {
        id: printed.access_key_id,
        secret: Secret::new(printed.secret_access_key),
        token: printed.session_token.map(Secret::new),
        expires: expires.transpose()?,
    })
}

fn shared(text: &str) -> Result<Keys, &'static str> {
    let ours = text.lines().map(str::trim).skip_while(|line| *line != PROFILE).skip(1);
    let ours: Vec<&str> = ours.take_while(|line| !line.starts_with('[')).collect();
    let value = |key: &str| {
        let mut pairs = ours.iter().filter_map(|line| line.split_once('='));
        pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
    };
    let wrong =
        "its `credentials` are neither JSON nor a file with aws_access_key_id and aws_secret_access_key in [default]";
    Ok(Keys {
        id: value("aws_access_key_id").ok_or(wrong)?,
        secret: value("aws_secret_access_key").map(Secret::new).ok_or(wrong)?,
        token: value("aws_session_token").map(Secret::new),
        expires: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TlsSettings;

    /// The example keys of Amazon's documentation and test suite, which belong to nobody.
    const SHARED: &str = "# two people\n[other]\naws_access_key_id = NOBODY\n[default]\naws_access_key_id = AKIDEXAMPLE\n\
        aws_secret_access_key=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n";

    /// The signed headers and the signature of a request to the test suite's service at its time.
    fn signature(url: &str, form: Option<(&str, &str)>, token: Option<&str>) -> (String, String) {
        let tls = super::super::tls::config(&TlsSettings::default(), false).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap();
        let builder = form.map_or_else(|| client.get(url), |pair| client.post(url).form(&[pair]));
        let mut request = builder.build().unwrap();
        let keys = Keys { token: token.map(Secret::new), ..keys(SHARED).unwrap() };
        let signer = Signer { region: "us-east-1".into(), service: "service".into(), keys };
        signer.sign(&mut request, Time::parse("2015-08-30T12:36:00Z").unwrap()).unwrap();
        let header = request.headers()[AUTHORIZATION].to_str().unwrap();
        let start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
        let (names, signature) = header.strip_prefix(start).unwrap().split_once(", Signature=").unwrap();
        (names.to_owned(), signature.to_owned())
    }

    /// Names of the cases in Amazon's published test suite.
    #[test]
    fn signatures_are_those_of_amazons_test_suite() {
        let all = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for (case, query, signed) in [
            ("get-vanilla", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                "get-vanilla-query-order-key-case",
                "?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-vanilla-query-order-encoded",
                "?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
                "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
            ),
            (
                "get-vanilla-query-unreserved",
                &format!("?{all}={all}"),
                "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
            ),
            ("get-vanilla-utf8-query", "?ሴ=bar", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
        ] {
            let got = signature(&format!("https://example.amazonaws.com/{query}"), None, None);
            assert_eq!(got, ("host;x-amz-date".to_owned(), signed.to_owned()), "{case}");
        }
        let (names, signed) = signature("https://example.amazonaws.com/", Some(("Param1", "value1")), None);
        assert_eq!(names, "content-type;host;x-amz-date");
        assert_eq!(signed, "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
        let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        let (names, signed) = signature("https://example.amazonaws.com/", None, Some(token));
        assert_eq!(names, "host;x-amz-date;x-amz-security-token");
        assert_eq!(signed, "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8");
    }

    #[test]
    fn keys_are_read_as_a_process_prints_them_and_nothing_of_them_is_told() {
        let text = r#"{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"hunter2","SessionToken":"hunter3",
            "Expiration":"2026-01-01T12:00:00+00:00"}"#;
        let read = keys(text).unwrap();
        assert_eq!((read.id.as_str(), read.secret.expose()), ("AKID", "hunter2"));
        assert_eq!(read.expires, Time::parse("2026-01-01T12:00:00Z"));
        assert!(!format!("{read:?}").contains("hunter"));
        for wrong in [r#"{"AccessKeyId":"hunter2"}"#, "hunter2", &text.replace("2026-01-01T12", "hunter2")] {
            assert!(!keys(wrong).unwrap_err().contains("hunter2"), "{wrong}");
        }
    }
}
