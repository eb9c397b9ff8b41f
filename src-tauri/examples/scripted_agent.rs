//! A scripted agent on the local socket, to look at the window without the rest of the house. Not shipped.
//!
//! `scripted_agent [sharing|paused|waiting|attention|working_offline|off|sharing_upload|welcome] [en|ja] [light|dark]`;
//! instead of a state also `withdraw`, `create`, `restore` or `backup`, for `hearth-window --vault`. It listens on
//! HEARTH_SOCKET.

#![expect(clippy::print_stderr, reason = "a tool for the terminal")]

use std::error::Error;
use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[derive(Debug, Clone)]
struct Script {
    state: String,
    language: String,
    appearance: String,
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let script = Script {
        state: arguments.next().unwrap_or_else(|| "sharing".to_owned()),
        language: arguments.next().unwrap_or_else(|| "en".to_owned()),
        appearance: arguments.next().unwrap_or_else(|| "light".to_owned()),
    };
    let path = std::env::var("HEARTH_SOCKET")?;
    if std::fs::exists(&path)? {
        std::fs::remove_file(&path)?;
    }
    let listener = UnixListener::bind(&path)?;
    eprintln!("listening on {path}");
    for stream in listener.incoming() {
        let (stream, script) = (stream?, script.clone());
        std::thread::spawn(move || {
            if let Err(error) = serve(stream, &script) {
                eprintln!("a client left: {error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: UnixStream, script: &Script) -> Outcome {
    let hello = read(&mut stream)?;
    eprintln!("hello {}", hello["role"]);
    write(&mut stream, &json!({"type": "welcome", "build": protocol::local::build()}))?;
    let mut preferences = preferences(script);
    let mut status = status(script);
    loop {
        let request = read(&mut stream)?;
        let (id, command) = (&request["id"], &request["command"]);
        let name = command["command"].as_str().unwrap_or_default();
        eprintln!("asked {name}");
        let answer = match name {
            "preferences" => json!({"answer": "preferences", "preferences": preferences}),
            "set_preferences" => {
                preferences = command["preferences"].clone();
                json!({"answer": "done"})
            }
            "checks" => json!({"answer": "checks", "checks": checks()}),
            "earnings" => json!({"answer": "earnings", "earnings": earnings()}),
            "privacy" => json!({"answer": "privacy", "privacy": privacy()}),
            "wallet" => json!({"answer": "wallet", "wallet": wallet(script)}),
            "quote" if command["to"].as_str().unwrap_or_default().len() != 42 => {
                let error = json!({"code": "address_malformed", "detail": "not 20 bytes"});
                write(&mut stream, &json!({"type": "failed", "id": id, "error": error}))?;
                continue;
            }
            "quote" => json!({"answer": "quote", "quote": quote()}),
            "statement" => json!({"answer": "text", "file_name": "hearth-statement.json", "text": "{}"}),
            "journal" => json!({"answer": "text", "file_name": "hearth-journal.csv", "text": "at,purpose\n"}),
            "vault_view" => json!({"answer": "vault", "view": vault(script)}),
            "vault_decide" => match command["decision"]["decision"].as_str().unwrap_or_default() {
                "create" | "show_words" => json!({"answer": "words",
                    "words": "legal winner thank year wave sausage worth useful legal winner thank yellow"}),
                _ => json!({"answer": "done"}),
            },
            "finish_welcome" => {
                status["welcomed"] = json!(true);
                json!({"answer": "done"})
            }
            _ => json!({"answer": "done"}),
        };
        write(&mut stream, &json!({"type": "answer", "id": id, "answer": answer}))?;
        match name {
            "watch_status" | "finish_welcome" => {
                write(&mut stream, &json!({"type": "status", "status": status}))?
            }
            "watch_picture" if status["work"].is_object() => {
                write(&mut stream, &json!({"type": "picture", "picture": picture()}))?;
            }
            "snooze" => {
                status = status_of(script, "paused");
                write(&mut stream, &json!({"type": "status", "status": status}))?;
            }
            "resume" => {
                status = status_of(script, "sharing");
                write(&mut stream, &json!({"type": "status", "status": status}))?;
            }
            _ => {}
        }
    }
}

fn read(stream: &mut UnixStream) -> Result<Value, Box<dyn Error + Send + Sync>> {
    use std::io::Read as _;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

fn write(stream: &mut UnixStream, frame: &Value) -> Outcome {
    let body = serde_json::to_vec(frame)?;
    stream.write_all(&u32::try_from(body.len())?.to_le_bytes())?;
    stream.write_all(&body)?;
    Ok(())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn status(script: &Script) -> Value {
    status_of(script, &script.state)
}

fn status_of(_script: &Script, wanted: &str) -> Value {
    let (state, welcomed) = if wanted == "welcome" { ("waiting", false) } else { (wanted, true) };
    let reason = |code: &str, rest: Value| {
        let mut reason = json!({"code": code, "since_at": now() - 5 * MINUTE, "ends_at": null, "seen": null,
            "limit": null, "subject": null});
        if let (Value::Object(reason), Value::Object(rest)) = (&mut reason, rest) {
            reason.extend(rest);
        }
        reason
    };
    let reasons = match state {
        "paused" => json!([
            reason("exclusive_app", json!({"subject": "Blender"})),
            reason("user_active", json!({"limit": 2})),
            reason("gpu_hot", json!({"seen": 81, "limit": 75})),
        ]),
        "waiting" => json!([reason("no_work", json!({}))]),
        "attention" => json!([reason("worker_failing", json!({}))]),
        "off" => json!([reason("turned_off", json!({}))]),
        _ => json!([]),
    };
    let sharing = matches!(state, "sharing" | "working_offline");
    let zero = state == "waiting";
    let adapter = json!({"name": "NVIDIA GeForce RTX 3060", "backend": "vulkan", "driver": "nvidia 570.86",
        "vendor_id": 4318, "device_id": 9475, "software": false, "max_binding_bytes": 2_147_483_648_u64,
        "memory_bytes": 12_884_901_888_u64, "features": ["f16"]});
    json!({
        "at": now(), "network": "Local network", "state": state, "since_at": now() - 24 * MINUTE, "reasons": reasons,
        "card": {"sharing": sharing, "adapter": adapter,
            "confinement": {"files": "full", "network": "full", "processes": "full", "memory": "full",
                "parent": "full"},
            "limit_percent": 80, "duty_percent": sharing.then_some(80), "light": false, "watts": 96, "celsius": 61, "bundles_today": 3, "slices_today": 173,
            "yielded_in_millis": 9.2, "yield_p99_millis": 31.0},
        "upload": {"reasons": [], "sharing": state == "sharing_upload", "measured_bits_per_s": 18_000_000, "limit_bits_per_s": 13_500_000},
        "sent_today": {"sent_bytes": 21_306_448, "received_bytes": 402_113_009},
        "work": if zero { Value::Null } else { json!({
            "title": "Signal search", "purpose": "Looking for narrow radio signals in a telescope recording",
            "publisher": "Open Sky Archive", "family": "signal_search", "slices_done": 41, "slices_total": 64,
            "slice_permille": 420, "hits": [
                {"frequency_hz": 8_419_297_028_u64, "drift_micro_hz_s": -373_000, "snr_milli": 245_700},
                {"frequency_hz": 8_419_274_374_u64, "drift_micro_hz_s": -392_000, "snr_milli": 31_200}],
            "price_per_slice": "0.000175", "deadline_at": now() + 3 * HOUR}) },
        "today": if zero { json!({"unit": "EMBER", "paid": "0", "electricity": "0", "net": "0"}) } else {
            json!({"unit": "EMBER", "paid": "0.321", "electricity": "0.137", "net": "0.184"}) },
        "snooze": null,
        "benchmark": if welcomed { Value::Null } else { json!({"running": "download", "permille": 620,
            "finished_at": null, "adapter": adapter,
            "float": {"best": 12740.0, "median": 12655.0, "spread_percent": 0.6, "runs": 7},
            "integer": {"best": 6380.0, "median": 6351.0, "spread_percent": 0.4, "runs": 7},
            "half": {"best": 12810.0, "median": 12702.0, "spread_percent": 0.7, "runs": 7},
            "memory": {"best": 332.0, "median": 329.0, "spread_percent": 0.9, "runs": 6},
            "to_card_gbytes": 11.4, "from_card_gbytes": 6.2, "dispatch_micros": 71.0,
            "held": {"share_percent": 97.2, "seconds": 3.02, "before": card_state(44, 18), "at_end": card_state(61, 168)},
            "rtt_millis": 18.4, "up_bits_per_s": null, "down_bits_per_s": null,
            "error": null}) },
        "welcomed": welcomed, "notices": [], "wallet": "not_backed_up",
    })
}

/// Rules as they stand while somebody is here, a program of the owner's list runs, and one sensor is missing.
fn checks() -> Value {
    let check = |code: &str, verdict: &str, seen: Option<u32>, limit: Option<u32>| {
        let reason = (verdict == "holds").then(|| {
            json!({"code": code, "since_at": now() - 5 * MINUTE, "ends_at": null, "seen": seen, "limit": limit,
                "subject": (code == "exclusive_app").then_some("Blender")})
        });
        json!({"code": code, "verdict": verdict, "seen": seen, "limit": limit, "reason": reason})
    };
    json!([
        check("on_battery", "clear", None, None),
        check("power_saver", "clear", None, None),
        check("schedule", "off", None, None),
        check("in_call", "clear", None, None),
        check("exclusive_app", "holds", None, None),
        check("fullscreen_app", "no_source", None, None),
        check("screen_kept_on", "clear", None, None),
        check("media_playing", "clear", None, None),
        check("other_user", "clear", None, None),
        check("remote_session", "clear", None, None),
        check("user_active", "holds", None, Some(2)),
        check("gpu_busy", "clear", Some(3), Some(15)),
        check("cpu_busy", "clear", Some(12), Some(40)),
        check("gpu_hot", "clear", Some(61), Some(75)),
        check("cpu_hot", "clear", Some(54), Some(90)),
        check("metered", "clear", None, None),
        check("vpn", "clear", None, None),
        check("disk_low", "clear", Some(182_400), Some(5000)),
        check("at_a_loss", "clear", None, None),
    ])
}

fn card_state(celsius: u32, watts: u32) -> Value {
    json!({"celsius": {"known": celsius}, "watts": {"known": watts}, "throttles": {"known": []},
        "memory": {"known": {"used_bytes": 1_610_612_736, "total_bytes": 12_884_901_888_u64}}})
}

fn preferences(script: &Script) -> Value {
    json!({"enabled": true, "idle_after_seconds": 120, "light_percent": 0, "card_percent": 80,
        "card_memory_percent": 80, "max_celsius": 75, "max_cpu_celsius": 90, "with_power_saver": false,
        "in_calls": false, "with_media": false, "on_metered": false, "on_vpn": false,
        "max_other_cpu_percent": 40, "on_battery": false, "exclusive_programs": ["blender", "obs"],
        "hours": [0x00c1_ffff, 0x00c1_ffff, 0x00c1_ffff, 0x00c1_ffff, 0x00c1_ffff, 0x00ff_ffff, 0x00ff_ffff],
        "upload_kbits": 0, "month_mbytes": 150_000, "min_free_disk_mbytes": 5_000, "electricity_milli_per_kwh": 280,
        "token_milli": 940, "watts": null, "language": script.language, "appearance": script.appearance,
        "autostart": true})
}

fn picture() -> Value {
    let (columns, rows) = (360_usize, 16_usize);
    let mut seed = 42_u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        62 + (seed >> 16) % 23
    };
    let mut cells = vec![0_u8; columns * rows];
    for row in 0..rows {
        let line = 186.0 - row as f64 * 38.0 / 15.0;
        for column in 0..columns {
            let away = (column as f64 - line).abs();
            let level = if away < 1.2 {
                245
            } else if away < 2.5 {
                190
            } else if away < 4.0 {
                100
            } else {
                noise()
            };
            cells[row * columns + column] = u8::try_from(level).unwrap_or(255);
        }
    }
    let searched: Vec<Value> = (0..41_u64)
        .map(|index| {
            let levels: Vec<u32> = (0..6)
                .map(|at| match (index, at) {
                    (30, 3) => 250,
                    (15, 1) => 140,
                    _ => 40 + noise() % 3,
                })
                .collect();
            json!({"left_hz": 8_419_253_000 + index * 1422, "right_hz": 8_419_253_000 + (index + 1) * 1422,
                "levels": levels, "hit": index == 30 || index == 15})
        })
        .collect();
    json!({"kind": "waterfall", "columns": columns, "rows": rows, "levels": base64(&cells),
        "left_hz": 8_419_296_500_u64, "right_hz": 8_419_297_500_u64, "span_millis": 292_000,
        "mark": {"hit": {"frequency_hz": 8_419_297_028_u64, "drift_micro_hz_s": -373_000, "snr_milli": 245_700},
            "first_column": 186, "last_column": 148},
        "searched": searched})
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place)) & 63;
            text.push(if place <= chunk.len() { char::from(ALPHABET[digit as usize]) } else { '=' });
        }
    }
    text
}

fn earnings() -> Value {
    let money = |paid: &str, electricity: &str, net: &str| json!({"unit": "EMBER", "paid": paid, "electricity": electricity, "net": net});
    let figures = [
        ("0.321", "0.137", "0.184"),
        ("0.2212", "0.0826", "0.1386"),
        ("0.446", "0.1914", "0.2546"),
        ("0.4313", "0.183", "0.2483"),
        ("0.1822", "0.0739", "0.1083"),
        ("0", "0", "0"),
        ("0.4107", "0.1753", "0.2354"),
    ];
    let days: Vec<Value> = figures
        .iter()
        .enumerate()
        .map(|(index, (paid, electricity, net))| {
            let none = *paid == "0";
            let receipts = if none { json!([]) } else { json!([
                {"sequence": 25 - index, "issued_at": now() - 10 * MINUTE, "matures_at": now() + 168 * HOUR,
                    "kind": "computed", "title": "Signal search", "slices": 64, "amount": "0.0112"},
                {"sequence": 24 - index, "issued_at": now() - 33 * MINUTE, "matures_at": now() + 168 * HOUR,
                    "kind": "audited", "title": "Signal search", "slices": 9, "amount": "0.0016"}]) };
            json!({"date": format!("2026-11-{}", 23 - index), "shared_seconds": if none { 0 } else { 17_220 - index * 1300 },
                "money": money(paid, electricity, net),
                "final_at": if none { Value::Null } else { json!(now() + (7 - index as u64) * 24 * HOUR) },
                "receipts": receipts})
        })
        .collect();
    json!({"sum": money("2.0124", "0.8432", "1.1692"), "days": days, "no_work": null})
}

fn privacy() -> Value {
    let hours: Vec<Value> = (0..23_u64)
        .map(|hour| {
            let sent = match hour {
                0..6 => 2_100_000 + hour * 160_000,
                16 => 610_000,
                21.. => 4_800_000,
                _ => 41_000,
            };
            json!({"at": now() - (22 - hour) * HOUR, "sent_bytes": sent, "received_bytes": 17_000_000})
        })
        .collect();
    let row = |purpose: &str, destination: &str, sent: u64, received: u64, count: u32| json!({"purpose": purpose, "destination": destination, "sent_bytes": sent, "received_bytes": received, "count": count, "message": null});
    let sum = |of: Value, sent: u64, received: u64, count: u32| json!({"of": of, "sent_bytes": sent, "received_bytes": received, "count": count});
    let search = json!({"title": "Signal search", "publisher": "Open Sky Archive"});
    json!({"sent_bytes": 25_232_500, "received_bytes": 402_113_009,
        "system": {"counter": "tcp_info", "counted": 3376, "ours_sent_bytes": 25_227_500, "ours_received_bytes": 402_112_309,
            "sent_bytes": 25_227_500, "received_bytes": 402_112_309, "differing": 0, "underway": 0, "missing": 1,
            "missing_sent_bytes": 5_000},
        "rows": [
            row("result", "127.0.0.1:8470", 21_306_448, 88_210, 174),
            row("coordinator", "127.0.0.1:8470", 3_692_336, 1_204_118, 2_880),
            row("chain_rpc", "127.0.0.1:8545", 214_772, 918_002, 311),
            row("work_input", "127.0.0.1:8470", 18_944, 399_902_679, 12)],
        "destinations": [
            sum(json!({"of": "destination", "destination": "127.0.0.1:8470"}), 25_017_728, 401_195_007, 3_066),
            sum(json!({"of": "destination", "destination": "127.0.0.1:8545"}), 214_772, 918_002, 311)],
        "jobs": [
            sum(json!({"of": "job", "program": "7be104c9", "name": search}), 21_325_392, 399_990_889, 186),
            sum(json!({"of": "no_job"}), 3_907_108, 2_122_120, 3_191)],
        "publishers": [
            sum(json!({"of": "publisher", "publisher": "Open Sky Archive"}), 21_325_392, 399_990_889, 186),
            sum(json!({"of": "no_job"}), 3_907_108, 2_122_120, 3_191)],
        "hours": hours,
        "latest": [
            {"row": 3377, "at": now() - MINUTE, "purpose": "result", "destination": "127.0.0.1:8470", "object": "/v1/result",
                "job": search, "sent_bytes": 2318, "received_bytes": 212, "witness": {"witness": "equal"}, "kept": false},
            {"row": 3375, "at": now() - 3 * MINUTE, "purpose": "coordinator", "destination": "127.0.0.1:8470",
                "object": "/v1/heartbeat", "job": null, "sent_bytes": 5000, "received_bytes": 700,
                "witness": {"witness": "estimated"}, "kept": false}],
        "first_at": now() - 40 * 24 * HOUR, "deleted_at": null,
        "messages": {"count": 0, "bytes": 0, "at_most": 64, "at_most_bytes": 4_194_304, "body_at_most_bytes": 65_536},
        "journal_bytes": 14_200_000})
}

fn wallet(script: &Script) -> Value {
    if script.state == "waiting" {
        return json!({"brief": "none", "address": null, "unit": "EMBER", "balance": null, "proved_at": null,
            "fee": null, "withdrawals": [], "error": null});
    }
    json!({"brief": "not_backed_up", "address": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "unit": "EMBER",
        "balance": {"earned_here": "18.624", "earned_elsewhere": "0", "received": "0", "balance": "6.0902",
            "withdrawn": "10.494", "fees": "0.006", "pending": "2.0338"},
        "proved_at": now() - 2 * MINUTE, "fee": "0.0031",
        "withdrawals": [
            {"id": "a1", "at": now() - 72 * HOUR, "to": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "amount": "3.498",
                "fee": "0.002", "state": "final", "transaction": "0xabc", "block": 38_201_774},
            {"id": "a0", "at": now() - 480 * HOUR, "to": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "amount": "4.998",
                "fee": "0.002", "state": "final", "transaction": "0xdef", "block": 37_101_002}],
        "error": null})
}

fn quote() -> Value {
    json!({"id": "9c41e07d", "to": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "total": "5", "fee": "0.0031",
        "arrives": "4.9969", "unit": "EMBER", "expires_at": now() + 5 * MINUTE, "unchecked_address": false})
}

fn vault(script: &Script) -> Value {
    let (language, appearance) = (&script.language, &script.appearance);
    match script.state.as_str() {
        "create" => json!({"view": "create", "language": language, "appearance": appearance,
            "suggestion": "amber kettle orbit willow thimble dusk"}),
        "restore" => json!({"view": "restore", "language": language, "appearance": appearance}),
        "backup" => {
            json!({"view": "backup", "language": language, "appearance": appearance, "ask": [2, 7, 11]})
        }
        _ => json!({"view": "withdraw", "language": language, "appearance": appearance, "quote": quote(),
            "chain": "Local chain, 31337"}),
    }
}
