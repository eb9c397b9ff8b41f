//! There is no tray on this system yet: [`Tray::show`] says so by returning nothing.

use tokio::sync::mpsc;

use super::{Action, Icon, Menu};

/// Has no value on this system.
#[derive(Debug)]
pub enum Tray {}

impl Tray {
    /// Always `None`.
    pub async fn show(_menu: Menu, _icon: Icon, _clicks: mpsc::UnboundedSender<Action>) -> Option<Self> {
        tracing::info!("there is no tray on this system yet");
        None
    }

    /// Cannot be called.
    pub async fn update(&mut self, _menu: Menu, _icon: Icon) {
        match *self {}
    }

    /// Cannot be called.
    pub async fn close(self) {
        match self {}
    }
}
