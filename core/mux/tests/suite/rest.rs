//! `rest.jsonl` and `rest_131_by_target.jsonl`: what REST clients ask and are answered.

use serde_json::Value;
use sluis_mux::rest::Response;

use crate::common::{Difference, compare, rows, str, volatile};
use crate::deviations;
use crate::hub::{Hub, assembled};

#[test]
fn rest_1_0_0() {
    replay("rest.jsonl", 173);
}

#[test]
fn by_target_1_3_1() {
    replay("rest_131_by_target.jsonl", 19);
}

fn replay(file: &str, expected: usize) {
    let rows = rows(file);
    assert_eq!(rows.len(), expected);
    let (mut found, mut hub) = (Vec::new(), Hub::open());
    for row in &rows {
        if row["step"] == 0 {
            hub = Hub::open();
        }
        let request = &row["request"];
        let body = assembled(&request["body"], &request["body_parts"]).unwrap_or_default();
        let content_type = request["headers"]["content-type"].as_str();
        let ours = hub.http(str(request, "method"), str(request, "path"), content_type, &body);
        let json: Value = serde_json::from_str(&ours.body).unwrap_or(Value::Null);
        hub.capture(row, &json);
        let name = format!("{}/{}", str(row, "scenario"), row["step"]);
        let differences = differences(row, &ours, &json);
        found.extend(differences.into_iter().map(|(at, ours)| Difference {
            file: file.into(),
            row: name.clone(),
            at,
            ours,
        }));
    }
    deviations::check(file, found);
}

fn differences(row: &Value, ours: &Response, json: &Value) -> Vec<(String, String)> {
    let response = &row["response"];
    if response["status"] != ours.status {
        let detail = &json["detail"];
        return vec![("status".into(), format!("{} {detail}", ours.status))];
    }
    let mut found = headers(&response["headers"], ours);
    let Some(body) = response["body"].as_str() else { return found };
    if ours.status == 422 {
        found.extend(problems(body, json));
        return found;
    }
    let Ok(reference) = serde_json::from_str::<Value>(body) else {
        assert_eq!(body, ours.body);
        return found;
    };
    let mut ignore = volatile(row);
    if reference["detail"].as_str().is_some_and(|detail| detail.contains("Channel ch-")) {
        // The id in the text is the reference's.
        let strip = |text: &Value| {
            text["detail"].as_str().unwrap().split(' ').filter(|word| !word.starts_with("ch-")).collect::<String>()
        };
        assert_eq!(strip(&reference), strip(json));
        ignore.push("/detail".into());
    }
    for id in ["/id", "/channel_id", "/tbz_hash", "/recent_frames/*/channel_id"] {
        ignore.push(id.into());
    }
    found.extend(compare(&reference, json, &ignore));
    found
}

fn headers(expected: &Value, ours: &Response) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in expected.as_object().unwrap() {
        let have = ours.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        // A relative reference means the same (RFC 9110 10.2.2), and says nothing that the client said first.
        let want = value.as_str().unwrap().trim_start_matches("${BASE_URL}");
        if have != Some(want) {
            found.push((format!("header {name}"), format!("{have:?}")));
        }
    }
    found
}

/// Type and place of each problem; the words belong to pydantic.
fn problems(reference: &str, ours: &Value) -> Vec<(String, String)> {
    let reference: Value = serde_json::from_str(reference).unwrap();
    let list = |value: &Value| -> Vec<(Value, Value)> {
        value["detail"].as_array().unwrap().iter().map(|p| (p["type"].clone(), p["loc"].clone())).collect()
    };
    let (reference, ours) = (list(&reference), list(ours));
    if reference == ours { Vec::new() } else { vec![("problems".into(), serde_json::to_string(&ours).unwrap())] }
}
