//! What the whole screen shows, compared by areas.

use super::Desktop;

/// Width of the screen in pixels.
pub(crate) const WIDTH: usize = 1360;
/// Height of the screen in pixels.
pub(crate) const HEIGHT: usize = 900;

/// The screen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen(Vec<u8>);

/// A rectangle of the screen, borders included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Leftmost column.
    pub left: i32,
    /// Uppermost row.
    pub top: i32,
    /// Rightmost column.
    pub right: i32,
    /// Lowest row.
    pub bottom: i32,
}

impl Area {
    /// Columns.
    pub fn width(&self) -> i32 {
        self.right - self.left + 1
    }

    /// Rows.
    pub fn height(&self) -> i32 {
        self.bottom - self.top + 1
    }

    /// Its middle.
    pub fn center(&self) -> (i32, i32) {
        (i32::midpoint(self.left, self.right), i32::midpoint(self.top, self.bottom))
    }
}

impl Screen {
    /// The smallest rectangle that holds everything that looks different in `before`.
    pub fn differs_from(&self, before: &Self) -> Option<Area> {
        let place = |index: usize| {
            let (x, y) = (index % WIDTH, index / WIDTH);
            (i32::try_from(x).expect("a column"), i32::try_from(y).expect("a row"))
        };
        let pairs = self.0.chunks_exact(3).zip(before.0.chunks_exact(3)).enumerate();
        pairs.filter(|(_, (now, before))| now != before).map(|(index, _)| place(index)).fold(
            None,
            |area, (x, y)| {
                let area = area.unwrap_or(Area { left: x, top: y, right: x, bottom: y });
                Some(Area {
                    left: area.left.min(x),
                    top: area.top.min(y),
                    right: area.right.max(x),
                    bottom: area.bottom.max(y),
                })
            },
        )
    }
}

impl Desktop {
    /// The screen once two looks at it show the same.
    pub fn settled_screen(&self) -> Screen {
        let mut before = self.look();
        self.until_some("the screen to stand still", || {
            let now = self.look();
            let still = now == before && now.0.len() == WIDTH * HEIGHT * 3;
            before = now;
            still.then(|| before.clone())
        })
    }

    fn look(&self) -> Screen {
        Screen(self.output("import", &["-window", "root", "-depth", "8", "rgb:-"]))
    }
}
