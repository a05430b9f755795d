//! `websocket.jsonl`: what is said on sockets, and what the reference does not survive.

use serde_json::Value;

use crate::common::{Difference, compare, rows, str, volatile};
use crate::deviations;
use crate::hub::{Hub, assembled};

const FILE: &str = "websocket.jsonl";

#[test]
fn websocket() {
    let rows = rows(FILE);
    assert_eq!(rows.len(), 387);
    let (mut found, mut hub) = (Vec::new(), Hub::open());
    for row in &rows {
        if row["step"] == 0 {
            hub = Hub::open();
        }
        let name = format!("{}/{}", str(row, "scenario"), row["step"]);
        let differences = step(&mut hub, row);
        found.extend(differences.into_iter().map(|(at, ours)| Difference {
            file: FILE.into(),
            row: name.clone(),
            at,
            ours,
        }));
    }
    deviations::check(FILE, found);
}

fn step(hub: &mut Hub, row: &Value) -> Vec<(String, String)> {
    let conn = || str(row, "conn");
    match str(row, "do") {
        "connect" => {
            let ours = match hub.connect(conn(), str(row, "path")) {
                Ok(()) => "accepted".to_owned(),
                Err(response) => response.status.to_string(),
            };
            let reference = row["status"].as_u64().map_or_else(|| str(row, "result").to_owned(), |s| s.to_string());
            assert_eq!(ours, reference, "{row}");
        }
        "send" if row["binary_hex"].is_string() => hub.conn_send_binary(conn()),
        "send" => hub.conn_send(conn(), &assembled(&row["text"], &row["text_parts"]).unwrap()),
        "recv" => return received(hub, row),
        "close" => hub.conn_close(conn()),
        "http" => return http(hub, row),
        // What the reference's server logged.
        "server-log" => {}
        other => panic!("unknown step {other}"),
    }
    Vec::new()
}

fn received(hub: &mut Hub, row: &Value) -> Vec<(String, String)> {
    let ours = hub.conn_recv(str(row, "conn"));
    let json: Value = ours.as_deref().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
    hub.capture(row, &json);
    let Some(reference) = row["text"].as_str() else {
        // The reference closed the socket, or said nothing.
        let quiet = str(row, "result").starts_with("nothing");
        return match ours {
            None if quiet => Vec::new(),
            ours => vec![(str(row, "result").to_owned(), ours.unwrap_or_else(|| "nothing".into()))],
        };
    };
    let reference: Value = serde_json::from_str(reference).unwrap();
    let mut ignore = volatile(row);
    ignore.extend(["/channel_id", "/tbz_hash", "/channels/*/id"].map(String::from));
    if reference["channel_id"].as_str().is_none_or(|id| !id.starts_with("ch-") || id == "ch-none") {
        ignore.retain(|pointer| pointer != "/channel_id");
    }
    compare(&reference, &json, &ignore)
}

fn http(hub: &mut Hub, row: &Value) -> Vec<(String, String)> {
    let body = if row["body"].is_null() { String::new() } else { row["body"].to_string() };
    let ours = hub.http(str(row, "method"), str(row, "path"), Some("application/json"), &body);
    let status = row["status"].as_u64().unwrap();
    if status != u64::from(ours.status) {
        return vec![("status".into(), ours.status.to_string())];
    }
    let reference: Value = serde_json::from_str(str(row, "response")).unwrap();
    let mut ignore = volatile(row);
    ignore.extend(
        ["/id", "/channel_id", "/channels/*/id", "/recent_frames/*/channel_id", "/recent_frames/*/timestamp"]
            .map(String::from),
    );
    compare(&reference, &serde_json::from_str(&ours.body).unwrap(), &ignore)
}
