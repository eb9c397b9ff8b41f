//! Pictures of the app for `docs/pictures`, taken while a test goes through it; only where somebody asks for them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Desktop, Page, Window};
use crate::text;

/// A folder of pictures, or nothing.
#[derive(Debug)]
pub struct Album<'a> {
    folder: Option<PathBuf>,
    desktop: &'a Desktop,
}

impl<'a> Album<'a> {
    /// The folder that `HEARTH_PICTURES` names.
    pub fn from_environment(desktop: &'a Desktop) -> Self {
        let folder =
            std::env::var_os("HEARTH_PICTURES").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        Self { folder, desktop }
    }

    /// Whether pictures are taken.
    pub fn is_open(&self) -> bool {
        self.folder.is_some()
    }

    /// Takes the page, by the screen.
    pub fn page(&self, page: &Page, name: &str) {
        if !self.is_open() {
            return;
        }
        let window = self.desktop.window("Hearth");
        self.desktop.focus(window);
        page.drawn();
        self.window(window, name);
    }

    /// Takes the page in English and, through Settings, in Japanese; `place` is where it is reached, and `shown` is on
    /// it when it is complete. Leaves the page in English.
    pub fn page_in_both(&self, page: &Page, name: &str, place: &str, shown: &str) {
        self.page(page, &format!("{name}.en"));
        self.in_japanese(page, || {
            page.click(&format!("nav-{place}"));
            page.see(shown);
            self.page(page, &format!("{name}.ja"));
        });
        page.click(&format!("nav-{place}"));
        page.see(shown);
    }

    /// Does `these` with the page in Japanese, where pictures are taken.
    pub fn in_japanese(&self, page: &Page, these: impl FnOnce()) {
        if !self.is_open() {
            return;
        }
        page.speak("ja");
        these();
        page.speak("en");
    }

    /// Takes a window that only the screen knows.
    pub fn window(&self, window: Window, name: &str) {
        self.take(name, |path| self.desktop.picture(window, path));
    }

    /// Takes the whole screen.
    pub fn screen(&self, name: &str) {
        self.take(name, |path| self.desktop.picture_of_all(path));
    }

    fn take(&self, name: &str, shoot: impl FnOnce(&Path)) {
        let Some(folder) = &self.folder else { return };
        std::fs::create_dir_all(folder).expect("the folder of the pictures");
        let path = folder.join(format!("{name}.png"));
        shoot(&path);
        // 256 colours are enough for these pages and a quarter of the size.
        let smaller = format!("PNG8:{}", text(&path));
        let shrunk = Command::new("convert")
            .args([text(&path), "-strip", "+dither", "-colors", "256", &smaller])
            .status();
        assert!(shrunk.expect("convert runs").success(), "the picture {name} is written");
    }
}
