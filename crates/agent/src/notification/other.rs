//! Systems on which notifications are not written yet: the tray icon's exclamation mark has to do.

use super::Notification;

/// Logs it.
pub(crate) async fn show(notification: Notification) {
    tracing::info!(title = notification.title, "a notification is not shown on this system yet");
}
