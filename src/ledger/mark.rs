//! One reading or declared swap of a channel, with the verdict of the scan.

use crate::domain::units::{Millis, Quantity};

/// What a mark is. Quantities are registers in ledger units after the multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Reading(Quantity),
    /// The old register stood at `closing`, the new one at `opening`, at the same moment.
    Swap {
        closing: Quantity,
        opening: Quantity,
    },
}

/// How a reading was understood. The numbers are stored; they never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Nobody has decided yet: a drop or an impossible rise waits for its next readings.
    Held = 0,
    /// The channel's first reading; carries no energy.
    First = 1,
    Normal = 2,
    Rollover = 3,
    /// Replaced or reset to zero without a word.
    Reset = 4,
    /// A declared swap event.
    Swap = 5,
    /// The first reading under another serial number, without an event.
    NewSerial = 6,
    /// The register went on from a level that nothing explains; the energy up to it is unknown.
    Rebased = 7,
    /// The counter stood still while energy flowed.
    Frozen = 8,
    /// A bad sample below the register's true course.
    Dip = 9,
    /// A bad sample above it.
    Spike = 10,
}

impl Class {
    pub const ALL: [Class; 11] = [
        Class::Held,
        Class::First,
        Class::Normal,
        Class::Rollover,
        Class::Reset,
        Class::Swap,
        Class::NewSerial,
        Class::Rebased,
        Class::Frozen,
        Class::Dip,
        Class::Spike,
    ];

    /// A good mark bounds spans; the others carry no energy.
    #[must_use]
    pub fn is_good(self) -> bool {
        match self {
            Class::Held | Class::Dip | Class::Spike => false,
            Class::First
            | Class::Normal
            | Class::Rollover
            | Class::Reset
            | Class::Swap
            | Class::NewSerial
            | Class::Rebased
            | Class::Frozen => true,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Held => "held",
            Class::First => "first",
            Class::Normal => "normal",
            Class::Rollover => "rollover",
            Class::Reset => "reset",
            Class::Swap => "swap",
            Class::NewSerial => "new_serial",
            Class::Rebased => "rebased",
            Class::Frozen => "frozen",
            Class::Dip => "dip",
            Class::Spike => "spike",
        }
    }
}

/// How sure the energy of a span is. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Quality {
    Measured = 0,
    Assumed = 1,
    Estimated = 2,
}

/// The scan's word on a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub class: Class,
    pub quality: Quality,
    /// A second class was possible as well.
    pub ambiguous: bool,
    /// The scan was settled at this mark when it had seen nothing later: a rescan may start here.
    pub anchor: bool,
    /// Energy since the good mark before, in ledger units.
    pub energy: Quantity,
    /// Hash of the serial number of the device that was there by then, whether this mark named it or an earlier one; 0 if none did.
    pub serial: u32,
}

impl Verdict {
    pub const HELD: Verdict =
        Verdict { class: Class::Held, quality: Quality::Measured, ambiguous: false, anchor: false, energy: Quantity(0), serial: 0 };

    /// One byte for the store: class in the low four bits, quality in two, then ambiguous and anchor.
    fn code(self) -> u8 {
        self.class as u8 | (self.quality as u8) << 4 | u8::from(self.ambiguous) << 6 | u8::from(self.anchor) << 7
    }

    /// From what [`Mark::code`] gave, and a row's other columns; `None` for a code that no version has written.
    #[must_use]
    pub fn from_code(code: u16, energy: Quantity, serial: Option<u32>) -> Option<Verdict> {
        let class = *Class::ALL.get(usize::from(code & 15))?;
        let quality = match code >> 4 & 3 {
            0 => Quality::Measured,
            1 => Quality::Assumed,
            2 => Quality::Estimated,
            _ => return None,
        };
        Some(Verdict { class, quality, ambiguous: code & 64 != 0, anchor: code & 128 != 0, energy, serial: serial.unwrap_or(0) })
    }
}

const SERIAL_FROM_BEFORE: u16 = 1 << 8;

/// One reading or swap of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Device time.
    pub at: Millis,
    pub what: What,
    /// The gateway's count; breaks ties between two values of one moment.
    pub seq: i64,
    /// Mean flow since the meter's previous reading, in ledger units per hour, where the meter sends a gauge.
    pub flow_per_h: Option<f32>,
    /// Hash of the device's serial number; 0 if the reading names none. Of a swap: the new device's.
    pub serial: u32,
    pub verdict: Verdict,
}

impl Mark {
    /// Marks are ordered by this. A reading dated exactly like a swap belongs to the new register.
    #[must_use]
    pub fn key(&self) -> (Millis, bool) {
        (self.at, matches!(self.what, What::Reading(_)))
    }

    /// The verdict for the store, where the row's serial number is the verdict's: bit 8 says that the mark itself named none.
    #[must_use]
    pub fn code(&self) -> u16 {
        u16::from(self.verdict.code()) | if self.serial == self.verdict.serial { 0 } else { SERIAL_FROM_BEFORE }
    }

    /// The mark's own serial number, from what [`Mark::code`] gave.
    #[must_use]
    pub fn own_serial(code: u16, verdict: &Verdict) -> u32 {
        if code & SERIAL_FROM_BEFORE == 0 { verdict.serial } else { 0 }
    }

    /// The register from which the next reading counts.
    #[must_use]
    pub fn register(&self) -> Quantity {
        match self.what {
            What::Reading(register) => register,
            What::Swap { opening, .. } => opening,
        }
    }
}

/// What flowed between two neighbouring good marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Millis,
    pub to: Millis,
    pub energy: Quantity,
    pub quality: Quality,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_survives_its_code() {
        for class in Class::ALL {
            for quality in [Quality::Measured, Quality::Assumed, Quality::Estimated] {
                for (ambiguous, anchor) in [(false, false), (true, false), (false, true), (true, true)] {
                    for (serial, known) in [(0, 0), (5, 5), (0, 5)] {
                        let verdict = Verdict { class, quality, ambiguous, anchor, energy: Quantity(7), serial: known };
                        let mark = Mark { at: Millis(0), what: What::Reading(Quantity(0)), seq: 0, flow_per_h: None, serial, verdict };
                        assert_eq!(Verdict::from_code(mark.code(), Quantity(7), Some(known)), Some(verdict));
                        assert_eq!(Mark::own_serial(mark.code(), &verdict), serial);
                    }
                }
            }
        }
        assert_eq!(Verdict::from_code(15, Quantity(0), None), None);
    }
}
