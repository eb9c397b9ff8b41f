//! Shows a notification by org.freedesktop.Notifications on the session bus.
//!
//! A connection is made for each: there are few, and none should be kept open for the next one. Where nobody shows
//! notifications the tray icon's exclamation mark has to do.

use std::collections::HashMap;
use std::time::Duration;

use zbus::zvariant::Value;

use super::Notification;

/// How long the desktop may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Shows it, or logs why not.
pub(crate) async fn show(notification: Notification) {
    match tokio::time::timeout(WITHIN, notify(notification)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::info!(error = &error as &dyn std::error::Error, "a notification cannot be shown");
        }
        Err(_) => tracing::info!("the desktop did not take a notification in time"),
    }
}

async fn notify(notification: Notification) -> zbus::Result<()> {
    let bus = zbus::Connection::session().await?;
    let Notification { title, body } = notification;
    let (actions, hints): (Vec<&str>, HashMap<&str, Value<'_>>) =
        (Vec::new(), HashMap::from([("urgency", Value::U8(1)), ("desktop-entry", Value::from("hearth"))]));
    let shown_for: i32 = -1;
    let arguments = ("Hearth", 0_u32, "hearth", title.as_str(), body.as_str(), actions, hints, shown_for);
    bus.call_method(
        Some("org.freedesktop.Notifications"),
        "/org/freedesktop/Notifications",
        Some("org.freedesktop.Notifications"),
        "Notify",
        &arguments,
    )
    .await?;
    Ok(())
}
