//! PURE. Which class of devices may compute which program, and whether a wrong slice is the device's fault or the class's.
//!
//! Drivers have faults, and a fault of a driver shows on every device of its class (backend, chip, driver). So a class
//! proves itself per program before its devices can be blamed: it is tried with one bundle at a time, every audit of which
//! goes to the trusted verifier, and a mismatch then blocks the program for the class and costs the device nothing but
//! the bundle's pay. What this is worth to a cheat, and what it costs others:
//!
//! * It is not paid for a rejected bundle, whichever class it claims. Its trust belongs to its key and stays as it is.
//! * Inventing classes postpones its first fault by [`MAX_DEVICE_HOLDS`] bundles and those that it holds meanwhile: then
//!   it gets no more trials.
//! * By claiming the class of others it can block a program for it, if it is tried before 8 honest slices were, or with an
//!   accomplice in another network. It is heard [`MAX_DEVICE_HOLDS`] times; trials of all devices of one network end
//!   after [`MAX_NETWORK_HOLDS`]. New keys in new networks begin anew, so an operator sees both digests of every hold
//!   and takes it off.
//! * By letting trials expire it delays others of the class by every second lease: after an expired trial it waits for one
//!   lease before the next.

use super::{Fault, fault};

/// Audited slices of a class that must agree with the reference before its devices can be blamed.
pub const QUALIFY_AFTER: u32 = 8;
/// Holds that one device may bring about; it is tried no more then.
pub const MAX_DEVICE_HOLDS: u32 = 2;
/// Holds that the devices of one network may bring about together.
pub const MAX_NETWORK_HOLDS: u32 = 8;

/// What a class has shown for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not enough yet.
    Unknown {
        /// Slices that agreed with the reference.
        agreed: u32,
    },
    /// It computes this program rightly.
    Qualified,
    /// A reference contradicted it: no lease of this program goes to this class.
    Blocked,
}

impl Standing {
    /// Before anything is known.
    pub const NEW: Self = Self::Unknown { agreed: 0 };

    /// After `slices` more audited slices of the class agreed with the reference.
    #[must_use]
    pub fn after_agreement(self, slices: u32) -> Self {
        match self {
            Self::Unknown { agreed } => {
                let agreed = agreed.saturating_add(slices);
                if agreed >= QUALIFY_AFTER { Self::Qualified } else { Self::Unknown { agreed } }
            }
            // One right slice does not take a wrong one back.
            Self::Qualified | Self::Blocked => self,
        }
    }

    /// After the verifier itself, being of this class, computed all known answers of the program.
    #[must_use]
    pub fn after_known_answers(self) -> Self {
        self.after_agreement(QUALIFY_AFTER)
    }
}

/// What is known of a device that would be tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trial {
    /// A bundle of this class and program is with a device or not judged yet.
    pub under_way: bool,
    /// The device let its last trial expire less than a lease ago.
    pub let_expire: bool,
    /// Holds that the device brought about, of whatever class.
    pub device_holds: u32,
    /// Holds that devices of its network brought about.
    pub network_holds: u32,
}

/// Whether a device gets a lease of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// As its own trust allows.
    Full,
    /// One bundle without audits of others, audited by the trusted verifier.
    Trial,
    /// Not at present.
    Later,
    /// Not while the class stands as it does.
    Refused,
}

/// Whether a device of a class that stands so gets a lease.
pub fn admit(standing: Standing, trial: Trial) -> Admission {
    match standing {
        Standing::Qualified => Admission::Full,
        Standing::Blocked => Admission::Refused,
        Standing::Unknown { .. }
            if trial.device_holds >= MAX_DEVICE_HOLDS || trial.network_holds >= MAX_NETWORK_HOLDS =>
        {
            Admission::Refused
        }
        Standing::Unknown { .. } if trial.under_way || trial.let_expire => Admission::Later,
        Standing::Unknown { .. } => Admission::Trial,
    }
}

/// How many slices of a bundle are audited: as many as the device's tier says, and enough to qualify its class.
pub fn audits(standing: Standing, tier: u16) -> u16 {
    match standing {
        Standing::Qualified => tier,
        Standing::Unknown { .. } | Standing::Blocked => tier.max(QUALIFY_AFTER as u16),
    }
}

/// Whether audits may go to strangers. Those of a class that is not qualified may not: they could be of the same class
/// and repeat its mistake.
pub fn may_ask_strangers(standing: Standing) -> bool {
    standing == Standing::Qualified
}

/// Whom a rejected bundle is put down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Its device.
    Device(Fault),
    /// Its class: no fault of the device, and the program is blocked for the class.
    Class,
}

/// Whom `wrong` wrong slices are put down to. `repeated`: an unrelated device of the class gave the same wrong output for
/// one of them, which errors of single devices do not. Accomplices do, so a device whose bundles have brought about
/// [`MAX_DEVICE_HOLDS`] holds already speaks against its class no more.
pub fn blame(standing: Standing, wrong: u32, repeated: bool, device_holds: u32) -> Blame {
    let class = repeated && device_holds < MAX_DEVICE_HOLDS;
    if standing == Standing::Qualified && !class { Blame::Device(fault(wrong)) } else { Blame::Class }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF: Standing = Standing::Unknown { agreed: 4 };

    #[test]
    fn eight_agreeing_slices_qualify_a_class_and_nothing_unblocks_it() {
        assert_eq!(Standing::NEW.after_agreement(7), Standing::Unknown { agreed: 7 });
        assert_eq!(Standing::NEW.after_agreement(8), Standing::Qualified);
        assert_eq!(HALF.after_agreement(3).after_agreement(1), Standing::Qualified);
        assert_eq!(Standing::Blocked.after_agreement(1000), Standing::Blocked);
        assert_eq!(Standing::NEW.after_known_answers(), Standing::Qualified, "the verifier's own class");
        assert_eq!(Standing::Blocked.after_known_answers(), Standing::Blocked, "an operator decides");
    }

    #[test]
    fn an_unqualified_class_is_tried_with_one_bundle_at_a_time() {
        let check =
            |standing, trial, expected, why: &str| assert_eq!(admit(standing, trial), expected, "{why}");
        let free = Trial::default();
        check(Standing::NEW, free, Admission::Trial, "the first bundle");
        check(HALF, Trial { under_way: true, ..free }, Admission::Later, "one at a time");
        check(HALF, Trial { let_expire: true, ..free }, Admission::Later, "others may try meanwhile");
        check(Standing::Blocked, free, Admission::Refused, "a blocked class gets nothing");
        let trouble = Trial { under_way: true, let_expire: true, device_holds: 9, network_holds: 99 };
        check(Standing::Qualified, trouble, Admission::Full, "holds of other programs do not count here");
    }

    #[test]
    fn a_device_that_keeps_inventing_classes_is_tried_no_more() {
        let check = |device_holds, network_holds, expected| {
            let trial = Trial { device_holds, network_holds, ..Trial::default() };
            assert_eq!(admit(Standing::NEW, trial), expected, "{device_holds} {network_holds}");
        };
        check(1, 1, Admission::Trial);
        check(2, 2, Admission::Refused);
        check(0, 7, Admission::Trial);
        check(0, 8, Admission::Refused);
    }

    #[test]
    fn a_trial_is_audited_enough_to_qualify_and_by_the_trusted_verifier() {
        assert_eq!([2, 16].map(|tier| audits(Standing::NEW, tier)), [8, 16]);
        assert_eq!(audits(Standing::Qualified, 2), 2);
        assert!(!may_ask_strangers(HALF) && !may_ask_strangers(Standing::Blocked));
        assert!(may_ask_strangers(Standing::Qualified));
    }

    #[test]
    fn a_device_is_blamed_only_when_its_class_is_known_to_be_right_and_it_alone_is_wrong() {
        let check = |standing, wrong, repeated, expected| {
            assert_eq!(blame(standing, wrong, repeated, 1), expected, "{standing:?} {wrong} {repeated}");
        };
        check(Standing::Qualified, 1, false, Blame::Device(Fault::Soft));
        check(Standing::Qualified, 3, false, Blame::Device(Fault::Hard));
        check(Standing::Qualified, 16, true, Blame::Class);
        check(HALF, 16, false, Blame::Class);
        check(Standing::Blocked, 1, false, Blame::Class);
        let accomplice = blame(Standing::Qualified, 3, true, MAX_DEVICE_HOLDS);
        assert_eq!(
            accomplice,
            Blame::Device(Fault::Hard),
            "whoever has blocked two programs is heard no more"
        );
    }

    /// What a device hands in.
    #[derive(Debug, Clone, Copy)]
    enum Bundle {
        Right(u32),
        Wrong(u32),
    }

    proptest! {
        #[test]
        fn no_history_of_a_class_blames_a_device_before_eight_slices_agreed(
            bundles in prop::collection::vec(
                prop_oneof![(1_u32..17).prop_map(Bundle::Right), (1_u32..17).prop_map(Bundle::Wrong)], 0..20),
        ) {
            let mut standing = Standing::NEW;
            let mut agreed = 0;
            for bundle in bundles {
                if admit(standing, Trial::default()) == Admission::Refused {
                    prop_assert_eq!(standing, Standing::Blocked);
                    break;
                }
                match bundle {
                    Bundle::Right(slices) => {
                        agreed += slices;
                        standing = standing.after_agreement(slices);
                    }
                    Bundle::Wrong(wrong) => match blame(standing, wrong, false, 0) {
                        Blame::Device(_) => prop_assert!(agreed >= QUALIFY_AFTER),
                        Blame::Class => {
                            prop_assert!(agreed < QUALIFY_AFTER);
                            standing = Standing::Blocked;
                        }
                    },
                }
            }
        }

        #[test]
        fn a_cheat_with_endless_classes_hands_in_no_more_wrong_bundles_than_its_holds(classes in 1_u32..200) {
            // Every bundle it ever hands in is wrong, each under a class of its own.
            let mut holds = 0;
            for _ in 0..classes {
                let trial = Trial { device_holds: holds, network_holds: holds, ..Trial::default() };
                if admit(Standing::NEW, trial) == Admission::Trial {
                    prop_assert_eq!(blame(Standing::NEW, 16, false, holds), Blame::Class);
                    holds += 1;
                }
            }
            prop_assert!(holds <= MAX_DEVICE_HOLDS);
        }
    }
}
