//! What the sensors of the desktop have found, and what that makes together.
//!
//! Several services know the same thing: the lock of the screen, what keeps it on. Each sensor writes its own
//! fact here; this file puts them together and tells what has changed. It asks nobody. The parent makes the
//! board, the sensors write on it.

use std::cell::RefCell;

use crate::signals::{Change, Input, Outlet, Power, Reading, Session, Unknown};

/// What logind says of our session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) locked: bool,
    pub(super) remote: bool,
    pub(super) active: bool,
}

/// The facts, one for each source.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) login: Reading<Login>,
    pub(super) screen_savers: [Reading<bool>; 3],
    /// `None` until the system has first spoken of sleep.
    pub(super) falling_asleep: Option<bool>,
    pub(super) power: Reading<Power>,
    pub(super) power_savers: [Reading<bool>; 2],
    pub(super) metered: Reading<bool>,
    pub(super) vpn: Reading<bool>,
    /// `NetworkManager` has spoken since the start.
    pub(super) network_manager_seen: bool,
    pub(super) media: Reading<bool>,
    pub(super) inhibitors: [Reading<bool>; 3],
    pub(super) game: Reading<bool>,
    pub(super) mutter: Reading<Input>,
    pub(super) idle_hint: Reading<Input>,
    /// Whether input is told from here.
    pub(super) idle: bool,
}

/// Which of [`Facts::inhibitors`] logind tells; the session bus tells the others.
pub(super) const INHIBITOR_LOGIND: usize = 0;

const KINDS: usize = 10;

impl Facts {
    fn unread(idle: bool) -> Self {
        let not_yet = Unknown::NotYet;
        Self {
            login: Reading::Unknown(not_yet),
            screen_savers: [Reading::Unknown(not_yet); 3],
            falling_asleep: None,
            power: Reading::Unknown(not_yet),
            power_savers: [Reading::Unknown(not_yet); 2],
            metered: Reading::Unknown(not_yet),
            vpn: Reading::Unknown(not_yet),
            network_manager_seen: false,
            media: Reading::Unknown(not_yet),
            inhibitors: [Reading::Unknown(not_yet); 3],
            game: Reading::Unknown(not_yet),
            mutter: Reading::Unknown(not_yet),
            idle_hint: Reading::Unknown(not_yet),
            idle,
        }
    }

    /// The session bus tells nothing any more.
    pub(super) fn lose_session_bus(&mut self, why: Unknown) {
        self.screen_savers = [Reading::Unknown(why); 3];
        self.media = Reading::Unknown(why);
        for (number, inhibitor) in self.inhibitors.iter_mut().enumerate() {
            if number != INHIBITOR_LOGIND {
                *inhibitor = Reading::Unknown(why);
            }
        }
        self.game = Reading::Unknown(why);
        self.mutter = Reading::Unknown(why);
    }

    /// The system bus tells nothing any more. The power supply and the network have the kernel to ask, and a
    /// sleep that was announced stays announced until somebody says otherwise.
    pub(super) fn lose_system_bus(&mut self, why: Unknown) {
        self.login = Reading::Unknown(why);
        self.power_savers = [Reading::Unknown(why); 2];
        self.inhibitors[INHIBITOR_LOGIND] = Reading::Unknown(why);
        self.idle_hint = Reading::Unknown(why);
    }

    /// Nothing tells anything.
    pub(super) fn lose_everything(&mut self) {
        let failed = Unknown::Failed;
        self.lose_session_bus(failed);
        self.lose_system_bus(failed);
        self.power = Reading::Unknown(failed);
        self.metered = Reading::Unknown(failed);
        self.vpn = Reading::Unknown(failed);
    }

    /// What all this makes, each kind of change in its place. `None` where it is not yet known whether it is
    /// known.
    fn changes(&self) -> [Option<Change>; KINDS] {
        [
            self.session().map(Change::Session),
            self.falling_asleep.map(Change::FallingAsleep),
            read(self.power).map(Change::Power),
            any(&self.power_savers).map(Change::PowerSaver),
            read(self.metered).map(Change::Metered),
            read(self.vpn).map(Change::Vpn),
            read(self.media).map(Change::Media),
            any(&self.inhibitors).map(Change::Inhibited),
            read(self.game).map(Change::Game),
            self.input().map(Change::Input),
        ]
    }

    /// Desktops differ in whom they tell of a lock, so that either counts.
    fn session(&self) -> Option<Reading<Session>> {
        let saver = any(&self.screen_savers);
        let login = match self.login {
            Reading::Unknown(Unknown::NotYet) => return None,
            Reading::Known(login) => login,
            // Without logind there are no seats: nobody can switch to another user or take the session up
            // from afar.
            Reading::Unknown(Unknown::NoSource) => {
                return Some(match saver? {
                    Reading::Known(locked) => {
                        Reading::Known(Session { locked, remote: false, on_screen: true })
                    }
                    Reading::Unknown(why) => Reading::Unknown(why),
                });
            }
            Reading::Unknown(why) => return Some(Reading::Unknown(why)),
        };
        let session = |locked| Session { locked, remote: login.remote, on_screen: login.active };
        if login.locked {
            return Some(Reading::Known(session(true)));
        }
        Some(match saver? {
            Reading::Known(locked) => Reading::Known(session(locked)),
            Reading::Unknown(Unknown::NoSource) => Reading::Known(session(false)),
            Reading::Unknown(why) => Reading::Unknown(why),
        })
    }

    fn input(&self) -> Option<Reading<Input>> {
        let input = match self.mutter {
            Reading::Unknown(Unknown::NoSource) => self.idle_hint,
            mutter => mutter,
        };
        read(input).filter(|_| self.idle)
    }
}

fn read<T>(reading: Reading<T>) -> Option<Reading<T>> {
    match reading {
        Reading::Unknown(Unknown::NotYet) => None,
        reading => Some(reading),
    }
}

/// True as soon as one says so. Else one that should know and does not makes the whole unknown; one that does
/// not exist counts for nothing.
pub(super) fn any(readings: &[Reading<bool>]) -> Option<Reading<bool>> {
    if readings.contains(&Reading::Known(true)) {
        return Some(Reading::Known(true));
    }
    if readings.contains(&Reading::Unknown(Unknown::NotYet)) {
        return None;
    }
    let no_source = Reading::Unknown(Unknown::NoSource);
    let unknown = readings.iter().find(|&&r| r.known().is_none() && r != no_source);
    let known = readings.contains(&Reading::Known(false)).then_some(Reading::Known(false));
    Some(unknown.copied().or(known).unwrap_or(no_source))
}

/// The facts and what has been told of them. Belongs to the one thread of the desktop's sensors.
pub(super) struct Board {
    facts: RefCell<Facts>,
    told: RefCell<[Option<Change>; KINDS]>,
    outlet: Outlet,
}

impl Board {
    pub(super) fn new(idle: bool, outlet: Outlet) -> Self {
        Self { facts: RefCell::new(Facts::unread(idle)), told: RefCell::default(), outlet }
    }

    /// Writes a fact down and tells what that changes.
    pub(super) fn update(&self, write: impl FnOnce(&mut Facts)) {
        let changes = {
            let mut facts = self.facts.borrow_mut();
            write(&mut facts);
            facts.changes()
        };
        for (number, change) in changes.into_iter().enumerate() {
            let Some(change) = change else { continue };
            let told = self.told.borrow_mut()[number].replace(change.clone());
            if told.as_ref() != Some(&change) {
                (self.outlet)(change);
            }
        }
    }

    /// Looks at the facts.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Facts) -> T) -> T {
        look(&self.facts.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: Reading<bool> = Reading::Known(true);
    const NO: Reading<bool> = Reading::Known(false);
    const NONE: Reading<bool> = Reading::Unknown(Unknown::NoSource);
    const NOT_YET: Reading<bool> = Reading::Unknown(Unknown::NotYet);
    const HUNG: Reading<bool> = Reading::Unknown(Unknown::TimedOut);

    #[test]
    fn one_that_says_yes_is_enough_and_one_that_hangs_leaves_a_no_in_doubt() {
        for (readings, expected) in [
            ([NO, YES, HUNG], Some(YES)),
            ([NOT_YET, YES, NONE], Some(YES)),
            ([NO, NOT_YET, HUNG], None),
            ([NO, HUNG, NONE], Some(HUNG)),
            ([NO, NONE, NONE], Some(NO)),
            ([NONE, NONE, NONE], Some(NONE)),
        ] {
            assert_eq!(any(&readings), expected, "{readings:?}");
        }
    }

    #[test]
    fn sensors_that_cannot_start_say_so_of_every_value_once() {
        let (send, told) = std::sync::mpsc::channel();
        let board = Board::new(true, std::sync::Arc::new(move |change| send.send(change).unwrap()));
        board.update(|_| {});
        assert_eq!(told.try_iter().count(), 0, "nothing has been read yet");
        board.update(Facts::lose_everything);
        board.update(Facts::lose_everything);
        let failed = Reading::Unknown(Unknown::Failed);
        let changes: Vec<Change> = told.try_iter().collect();
        assert_eq!(
            changes,
            [
                Change::Session(Reading::Unknown(Unknown::Failed)),
                Change::Power(Reading::Unknown(Unknown::Failed)),
                Change::PowerSaver(failed),
                Change::Metered(failed),
                Change::Vpn(failed),
                Change::Media(failed),
                Change::Inhibited(failed),
                Change::Game(failed),
                Change::Input(Reading::Unknown(Unknown::Failed)),
            ]
        );
    }

    #[test]
    fn a_session_is_locked_when_either_says_so() {
        let open = Reading::Known(Login { locked: false, remote: false, active: true });
        let locked = Reading::Known(Login { locked: true, remote: false, active: true });
        let hint_none = Reading::Unknown(Unknown::NoSource);
        let hint_failed = Reading::Unknown(Unknown::Failed);
        let session = |locked| Some(Reading::Known(Session { locked, remote: false, on_screen: true }));
        for (login, saver, expected) in [
            (open, NO, session(false)),
            (open, YES, session(true)),
            (open, NONE, session(false)),
            (open, HUNG, Some(Reading::Unknown(Unknown::TimedOut))),
            (open, NOT_YET, None),
            (locked, HUNG, session(true)),
            (locked, NO, session(true)),
            (hint_none, YES, session(true)),
            (hint_none, NONE, Some(Reading::Unknown(Unknown::NoSource))),
            (hint_failed, YES, Some(Reading::Unknown(Unknown::Failed))),
        ] {
            let mut facts = Facts::unread(false);
            facts.login = login;
            facts.screen_savers = [saver, NONE, NONE];
            assert_eq!(facts.session(), expected, "{login:?} {saver:?}");
        }
    }
}
