//! Draws the tray by StatusNotifierItem over D-Bus (ksni): no toolkit is linked into the agent.
//!
//! Where no watcher is there (GNOME without its extension, or a panel that starts later) the item waits and registers
//! when one appears; until then Hearth is reached through its icon in the applications menu and by `hearth window`, and
//! closing the window ends only the window. Without a session bus there is no tray at all, and the agent runs on.

use tokio::sync::mpsc;

use super::glyph::{self, SIDES};
use super::{Action, Icon, Item, Menu};

/// The tray icon. Dropping it takes the icon away.
pub struct Tray {
    handle: ksni::Handle<Shown>,
    shown: (Menu, Icon),
}

impl std::fmt::Debug for Tray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tray").field("shown", &self.shown).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shown {
    menu: Menu,
    icon: Icon,
    clicks: mpsc::UnboundedSender<Action>,
}

impl Tray {
    /// Shows the tray, or returns `None` where there is no session bus.
    pub async fn show(menu: Menu, icon: Icon, clicks: mpsc::UnboundedSender<Action>) -> Option<Self> {
        use ksni::TrayMethods as _;
        let shown = Shown { menu: menu.clone(), icon, clicks };
        match shown.assume_sni_available(true).spawn().await {
            Ok(handle) => Some(Self { handle, shown: (menu, icon) }),
            Err(error) => {
                tracing::info!(%error, "there is no tray here");
                None
            }
        }
    }

    /// Draws `menu` and `icon` if they differ from what is shown.
    pub async fn update(&mut self, menu: Menu, icon: Icon) {
        if self.shown.0 == menu && self.shown.1 == icon {
            return;
        }
        self.shown = (menu.clone(), icon);
        let updated = self
            .handle
            .update(move |shown| {
                shown.menu = menu;
                shown.icon = icon;
            })
            .await;
        if updated.is_none() {
            tracing::warn!("the tray is gone");
        }
    }

    /// Takes the icon away.
    pub async fn close(self) {
        self.handle.shutdown().await;
    }
}

impl Shown {
    fn clicked(&self, action: Action) {
        if self.clicks.send(action).is_err() {
            tracing::debug!("the loop ended before its tray");
        }
    }
}

impl ksni::Tray for Shown {
    fn id(&self) -> String {
        "hearth".to_owned()
    }

    fn title(&self) -> String {
        "Hearth".to_owned()
    }

    fn category(&self) -> ksni::Category {
        ksni::Category::ApplicationStatus
    }

    fn status(&self) -> ksni::Status {
        if self.icon == Icon::Attention { ksni::Status::NeedsAttention } else { ksni::Status::Active }
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        pixmaps(self.icon)
    }

    fn attention_icon_pixmap(&self) -> Vec<ksni::Icon> {
        pixmaps(Icon::Attention)
    }

    fn tool_tip(&self) -> ksni::ToolTip {
        let description = match self.menu.items.get(1) {
            Some(Item::Text(reason)) => reason.clone(),
            _ => String::new(),
        };
        ksni::ToolTip { title: self.menu.title.clone(), description, ..Default::default() }
    }

    fn activate(&mut self, _x: i32, _y: i32) {
        self.clicked(Action::Open);
    }

    fn menu(&self) -> Vec<ksni::MenuItem<Self>> {
        self.menu.items.iter().map(line).collect()
    }

    fn watcher_offline(&self, reason: ksni::OfflineReason) -> bool {
        tracing::info!(?reason, "nobody shows tray icons at present");
        true
    }

    fn watcher_online(&self) {
        tracing::info!("the tray icon is shown again");
    }
}

fn line(item: &Item) -> ksni::MenuItem<Shown> {
    use ksni::menu::{StandardItem, SubMenu};
    match item {
        Item::Separator => ksni::MenuItem::Separator,
        Item::Text(text) => {
            let visible = !text.is_empty();
            StandardItem { label: literal(text), enabled: false, visible, ..Default::default() }.into()
        }
        Item::Click { label, action } => {
            let action = *action;
            let activate = Box::new(move |shown: &mut Shown| shown.clicked(action));
            StandardItem { label: literal(label), activate, ..Default::default() }.into()
        }
        Item::Submenu { label, items, shown } => SubMenu {
            label: literal(label),
            submenu: items.iter().map(line).collect(),
            visible: *shown,
            ..Default::default()
        }
        .into(),
    }
}

/// A label of the menu protocol: one underscore would mark an access key.
fn literal(text: &str) -> String {
    text.replace('_', "__")
}

fn pixmaps(icon: Icon) -> Vec<ksni::Icon> {
    SIDES
        .into_iter()
        .map(|side| {
            let picture = glyph::draw(icon, side);
            ksni::Icon { width: i32::from(side), height: i32::from(side), data: picture.argb }
        })
        .collect()
}
