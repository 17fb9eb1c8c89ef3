//! The register rule, by tables and by properties. Numbers of the tables are kWh and minutes unless a case says otherwise.

use super::mark::{Class, Mark, Quality, Span, Verdict, What};
use super::scan::Limits;
use super::window::{Changes, Outcome, Window};
use crate::domain::units::{Millis, Quantity};

const MINUTE: i64 = 60_000;
const KWH: i64 = 1_000;

fn limits(rating_kw: i64, width: u32) -> Limits {
    Limits { rating_per_h: Quantity(rating_kw * KWH), step: Quantity(1), full: Quantity(10_i64.pow(width) * KWH) }
}

fn reading(minute: i64, kwh: i64) -> Mark {
    Mark {
        at: Millis(minute * MINUTE),
        what: What::Reading(Quantity(kwh * KWH)),
        seq: minute,
        flow_per_h: None,
        serial: 0,
        verdict: Verdict::HELD,
    }
}

fn swap(minute: i64, closing: i64, opening: i64) -> Mark {
    let what = What::Swap { closing: Quantity(closing * KWH), opening: Quantity(opening * KWH) };
    Mark { what, ..reading(minute, 0) }
}

/// Feeds marks in the order given and keeps what the changes say, as the store does.
#[derive(Default)]
struct Book {
    window: Window,
    marks: Vec<Mark>,
    spans: Vec<Span>,
}

impl Book {
    fn feed(&mut self, limits: Limits, mark: Mark) -> Outcome {
        let mut changes = Changes::default();
        let mut outcome = self.window.insert(limits, mark, &mut changes);
        if outcome == Outcome::NeedsHistory {
            let oldest = self.window.oldest().unwrap();
            let history = self.marks.iter().filter(|other| other.at < oldest).copied().collect();
            outcome = self.window.insert_with_history(limits, history, true, mark, &mut changes);
        }
        for mark in &changes.marks {
            match self.marks.binary_search_by_key(&mark.key(), Mark::key) {
                Ok(index) => self.marks[index] = *mark,
                Err(index) => self.marks.insert(index, *mark),
            }
        }
        for gone in &changes.removed {
            let index = self.spans.iter().position(|span| span == gone).expect("a removed span was there");
            self.spans.remove(index);
        }
        self.spans.extend(&changes.added);
        self.spans.sort_by_key(|span| (span.from, span.to));
        outcome
    }

    fn total(&self) -> i64 {
        self.spans.iter().map(|span| span.energy.0).sum()
    }

    fn total_of(&self, quality: Quality) -> i64 {
        self.spans.iter().filter(|span| span.quality == quality).map(|span| span.energy.0).sum()
    }

    fn classes(&self) -> Vec<Class> {
        self.marks.iter().map(|mark| mark.verdict.class).collect()
    }
}

fn read(limits: Limits, marks: &[Mark]) -> Book {
    let mut book = Book::default();
    for mark in marks {
        book.feed(limits, *mark);
    }
    book
}

fn check(claim: &str, limits: Limits, kwh: &[i64], wanted_kwh: i64, assumed_kwh: i64) {
    let marks: Vec<Mark> = kwh.iter().zip(0..).map(|(kwh, index)| reading(15 * index, *kwh)).collect();
    let book = read(limits, &marks);
    assert_eq!(book.total(), wanted_kwh * KWH, "{claim}: {:?}", book.marks);
    assert_eq!(book.total_of(Quality::Assumed), assumed_kwh * KWH, "{claim}: assumed");
}

#[test]
fn the_six_register_cases_come_out_right() {
    use Class::{Dip, First, Normal, Reset, Rollover};
    check("replaced or reset to zero after 20", limits(400, 6), &[10, 15, 20, 10, 30], 40, 10);
    check("one bad sample below", limits(400, 6), &[10, 15, 20, 19, 30], 20, 10);
    check("a false zero at a restart", limits(400, 6), &[100, 0, 101], 1, 1);
    check("rollover of a six-digit register", limits(400, 6), &[999_984, 20, 30], 46, 36);
    check("plausibility depends on the rating", limits(200, 6), &[1000, 1050, 1100], 100, 0);
    let late = [reading(0, 10), reading(30, 30), reading(15, 20), reading(45, 40)];
    let book = read(limits(400, 6), &late);
    assert_eq!(book.total(), 30 * KWH);
    assert_eq!(book.spans.len(), 3, "the late one splits its span");

    let classes =
        |kwh: &[i64]| read(limits(400, 6), &kwh.iter().zip(0..).map(|(kwh, i)| reading(15 * i, *kwh)).collect::<Vec<_>>()).classes();
    assert_eq!(classes(&[10, 15, 20, 10, 30]), [First, Normal, Normal, Reset, Normal]);
    assert_eq!(classes(&[10, 15, 20, 19, 30]), [First, Normal, Normal, Dip, Normal]);
    assert_eq!(classes(&[999_984, 20, 30]), [First, Rollover, Normal]);
}

#[test]
fn other_numbers_come_out_by_the_same_rule() {
    // 400 kW: at most 120 kWh in 15 minutes.
    check("a reset far from zero use", limits(400, 6), &[5000, 5010, 7, 20], 10 + 7 + 13, 7);
    check("a dip that only a dip explains", limits(400, 6), &[5000, 5010, 4000, 5030], 30, 0);
    check("a dip of exactly a tenth is a reset if both fit", limits(400, 6), &[50, 100, 90, 110], 50 + 90 + 20, 90);
    check("a dip just under a tenth", limits(400, 6), &[50, 100, 91, 110], 60, 10);
    check("a spike", limits(400, 6), &[100, 90_000, 110, 120], 20, 0);
    check("two spikes in a row", limits(400, 6), &[100, 90_000, 90_001, 110, 120], 20, 0);
    check("rollover where a reset cannot be", limits(400, 4), &[9990, 20, 300, 25, 30], 30 + 5 + 5, 0);
    check("a rollover may use the whole cap", limits(400, 4), &[9900, 20, 30], 130, 120);
    check("one more is a reset", limits(400, 4), &[9899, 20, 30], 30, 20);
    check("near full scale a dip comes before a rollover", limits(400, 5), &[99_990, 5, 99_999, 10, 20], 9 + 11 + 10, 11);
    check("a false zero, then nothing new", limits(400, 6), &[100, 0, 100], 0, 0);
}

#[test]
fn what_nobody_can_explain_is_held_and_then_bounded() {
    // A used meter with another register was put in: the energy up to its first reading is unknown, what it counted is measured.
    let kwh = [5000, 5010, 3000, 3010, 3020, 3030, 3040];
    let marks: Vec<Mark> = kwh.iter().zip(0..).map(|(kwh, i)| reading(15 * i, *kwh)).collect();
    let held = read(limits(400, 6), &marks[..5]);
    assert_eq!(held.total(), 10 * KWH, "held: not counted yet");
    let book = read(limits(400, 6), &marks);
    assert_eq!(book.total(), (10 + 30 + 10) * KWH);
    assert_eq!(book.spans[1].quality, Quality::Estimated);
    assert_eq!(book.classes()[2], Class::Rebased);

    // Two hours are enough, however few the readings.
    let slow = [reading(0, 5000), reading(60, 3000), reading(180, 3100), reading(240, 3150)];
    let book = read(limits(400, 6), &slow);
    assert_eq!((book.total(), book.classes()[1]), (150 * KWH, Class::Rebased));
}

#[test]
fn a_declared_swap_loses_nothing() {
    let marks = [reading(0, 5000), swap(10, 5007, 3), reading(15, 9), reading(30, 20)];
    let book = read(limits(400, 6), &marks);
    assert_eq!((book.total(), book.total_of(Quality::Measured)), ((7 + 6 + 11) * KWH, (7 + 6 + 11) * KWH));

    let late_event = [marks[0], marks[2], marks[3], reading(45, 25), marks[1]];
    let late = read(limits(400, 6), &late_event);
    assert_eq!(late.total(), (7 + 6 + 11 + 5) * KWH, "the event may come after the readings");

    let at_reading = [reading(0, 5000), swap(15, 5007, 3), reading(15, 3), reading(30, 20)];
    assert_eq!(read(limits(400, 6), &at_reading).total(), (7 + 17) * KWH, "a reading of that moment is the new register's");
}

#[test]
fn a_changed_serial_starts_from_zero() {
    let new = |minute, kwh, serial| Mark { serial, ..reading(minute, kwh) };
    let marks = [new(0, 50, 1), new(15, 60, 1), new(30, 70, 2), new(45, 80, 2)];
    let book = read(limits(400, 6), &marks);
    assert_eq!(book.total(), (10 + 70 + 10) * KWH);
    assert_eq!(book.total_of(Quality::Assumed), 70 * KWH);
    let seldom = [new(0, 50, 1), new(15, 60, 0), new(30, 65, 0), new(45, 70, 2), new(60, 80, 0), new(75, 90, 2)];
    let in_order = read(limits(400, 6), &seldom);
    assert_eq!((in_order.total(), in_order.total_of(Quality::Assumed)), ((10 + 5 + 70 + 10 + 10) * KWH, 70 * KWH));
    let late = [seldom[1], seldom[2], seldom[4], seldom[5], seldom[3], seldom[0]];
    assert_eq!(read(limits(400, 6), &late).marks, in_order.marks, "the number that a mark inherits does not depend on the order");
    let event = [new(0, 50, 1), new(15, 60, 0), swap(20, 65, 0), new(30, 5, 0), new(45, 9, 3)];
    assert_eq!(read(limits(400, 6), &event).total(), (10 + 5 + 5 + 4) * KWH, "the event explains the number that follows it");
    let far = [new(0, 50, 1), new(15, 60_000, 2), new(30, 60_010, 2)];
    let book = read(limits(400, 6), &far);
    assert_eq!((book.total(), book.spans[0].quality), (10 * KWH, Quality::Estimated));
}

#[test]
fn a_counter_that_stands_while_energy_flows_is_assumed() {
    let with_flow = |minute, kwh, kw: f32| Mark { flow_per_h: Some(kw * 1000.0), ..reading(minute, kwh) };
    let marks = [
        with_flow(0, 50, 0.0),
        with_flow(15, 75, 100.0),
        with_flow(30, 85, 100.0),
        with_flow(45, 85, 100.0),
        with_flow(60, 85, 100.0),
        with_flow(75, 85, 0.5),
        with_flow(90, 95, 100.0),
        with_flow(105, 120, 100.0),
        with_flow(120, 120, 0.0),
    ];
    let book = read(limits(400, 6), &marks);
    let (first, normal, frozen) = (Class::First, Class::Normal, Class::Frozen);
    assert_eq!(book.classes(), [first, normal, normal, frozen, frozen, frozen, normal, normal, normal]);
    let assumed: Vec<bool> = book.spans.iter().map(|span| span.quality == Quality::Assumed).collect();
    assert_eq!(assumed, [false, true, true, true, true, true, false, false], "it stopped and started again inside the spans beside");
}

#[test]
fn a_counter_that_stands_at_a_low_load_is_assumed_and_one_that_has_not_got_to_its_next_step_is_not() {
    let read_at = |kw: f32, kwh: [i64; 7]| {
        let mark = |(quarter, kwh): (i64, i64)| Mark { flow_per_h: Some(kw * 1000.0), ..reading(15 * quarter, kwh) };
        let marks: Vec<Mark> = (0..).zip(kwh).map(mark).collect();
        read(Limits { step: Quantity(KWH), ..limits(800, 6) }, &marks)
    };
    // 2.5 kWh a quarter of an hour.
    let book = read_at(10.0, [50, 52, 55, 55, 55, 57, 60]);
    let (first, normal, frozen) = (Class::First, Class::Normal, Class::Frozen);
    assert_eq!(book.classes(), [first, normal, normal, frozen, frozen, normal, normal]);
    let assumed: Vec<bool> = book.spans.iter().map(|span| span.quality == Quality::Assumed).collect();
    assert_eq!(assumed, [false, true, true, true, true, false]);
    // 0.6 % of the rating.
    assert_eq!(read_at(5.0, [50, 51, 52, 52, 52, 53, 54]).classes(), [first, normal, normal, frozen, frozen, normal, normal]);
    // 0.75 kWh: in one of four the register does not move.
    let book = read_at(3.0, [50, 51, 52, 52, 53, 54, 55]);
    assert!(book.spans.iter().all(|span| span.quality == Quality::Measured), "{:?}", book.spans);
}

#[test]
fn a_counter_that_stops_before_a_rest_or_starts_after_one_is_assumed() {
    let read_at = |kw: [f32; 6], kwh: [i64; 6]| {
        let mark = |((quarter, kwh), kw): ((i64, i64), f32)| Mark { flow_per_h: Some(kw * 1000.0), ..reading(15 * quarter, kwh) };
        let marks: Vec<Mark> = (0..).zip(kwh).zip(kw).map(mark).collect();
        let book = read(Limits { step: Quantity(KWH), ..limits(800, 6) }, &marks);
        assert!(!book.classes().contains(&Class::Frozen), "{:?}", book.marks);
        book.spans.iter().map(|span| span.quality == Quality::Assumed).collect::<Vec<bool>>()
    };
    let nothing = [false; 5];
    // 10 kWh a quarter of an hour, then nothing.
    assert_eq!(read_at([40.0, 40.0, 40.0, 0.0, 0.0, 0.0], [50, 60, 70, 70, 70, 70]), nothing);
    assert_eq!(read_at([40.0, 40.0, 40.0, 0.0, 0.0, 0.0], [50, 60, 64, 64, 64, 64]), [false, true, false, false, false], "it stopped");
    assert_eq!(read_at([43.0, 43.0, 43.0, 0.0, 0.0, 0.0], [50, 61, 71, 71, 71, 71]), nothing, "three quarters of a step are still in it");
    assert_eq!(read_at([0.0, 0.0, 40.0, 40.0, 40.0, 40.0], [50, 50, 60, 70, 80, 90]), nothing);
    assert_eq!(read_at([0.0, 0.0, 40.0, 40.0, 40.0, 40.0], [50, 50, 54, 64, 74, 84]), [false, true, false, false, false], "it started");
    // A gauge that is apart from its register all the time is not a counter that stands.
    assert_eq!(read_at([80.0, 80.0, 80.0, 80.0, 80.0, 80.0], [50, 60, 70, 80, 90, 100]), nothing);
    // The machine stopped inside its last span: the gauge, a mean of the span, says so too.
    assert_eq!(read_at([40.0, 40.0, 16.0, 0.0, 0.0, 0.0], [50, 60, 64, 64, 64, 64]), nothing);
}

#[test]
fn one_value_per_moment_and_the_higher_count_wins() {
    let mut book = read(limits(400, 6), &[reading(0, 10), reading(15, 20)]);
    assert_eq!(book.feed(limits(400, 6), reading(15, 20)), Outcome::Duplicate);
    let newer = Mark { seq: 99, ..reading(15, 25) };
    assert!(matches!(book.feed(limits(400, 6), newer), Outcome::Lost(loser) if loser.register() == Quantity(20 * KWH)));
    assert_eq!(book.total(), 15 * KWH);
    let older = Mark { seq: 1, ..reading(15, 22) };
    assert!(matches!(book.feed(limits(400, 6), older), Outcome::Lost(loser) if loser.register() == Quantity(22 * KWH)));
    assert_eq!(book.total(), 15 * KWH);
}

/// A small generator (xorshift); the seed is printed by the assertion that fails.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn unruly_register(draws: &mut Draws) -> Vec<Mark> {
    let mut kwh = 999_000 + i64::try_from(draws.below(990)).unwrap();
    let mut marks = Vec::new();
    let mut device = 1;
    for index in 0..60 {
        let grows = draws.below(4) != 0;
        kwh = (kwh + i64::from(grows) * i64::try_from(draws.below(40)).unwrap()) % 1_000_000;
        let shown = match draws.below(20) {
            0 => 0,
            1 => kwh - kwh.min(3),
            2 => (kwh + 50_000) % 1_000_000,
            3 => {
                kwh = 0;
                kwh
            }
            _ => kwh,
        };
        let swapped = draws.below(25) == 0;
        device += u32::from(swapped || draws.below(25) == 0);
        let mut named = |rarely: u64| if draws.below(rarely) == 0 { device } else { 0 };
        if swapped {
            marks.push(Mark { serial: named(2), ..swap(15 * index, kwh + 1, 5) });
        }
        let serial = named(8);
        if !swapped || draws.below(2) == 0 {
            let flow_per_h = [None, Some(0.0), Some(30_000.0), Some(80_000.0)][usize::try_from(draws.below(4)).unwrap()];
            marks.push(Mark { flow_per_h, serial, ..reading(15 * index, shown) });
        }
    }
    marks
}

/// The same moments told again: with another count, another gauge, sometimes another value.
fn told_again(draws: &mut Draws, marks: &[Mark]) -> Vec<Mark> {
    let mut again = marks.to_vec();
    for mark in &mut again {
        mark.seq = mark.seq - 1 + i64::try_from(draws.below(3)).unwrap();
        mark.flow_per_h = (draws.below(2) == 0).then_some(60_000.0);
        if let (What::Reading(register), 0) = (mark.what, draws.below(4)) {
            mark.what = What::Reading(Quantity(register.0 + KWH));
        }
    }
    again
}

#[test]
fn the_ledger_is_a_function_of_the_set_whatever_the_order() {
    for seed in 1..400_u64 {
        let draws = &mut Draws(0x9E37_79B9_7F4A_7C15 ^ (seed << 20));
        let marks = unruly_register(draws);
        let again = told_again(draws, &marks[10..30]);
        let set = [marks.as_slice(), again.as_slice(), &marks[20..40]].concat();
        let in_order = read(limits(400, 6), &set);
        let mut shuffled = set.clone();
        for index in (1..shuffled.len()).rev() {
            let other = usize::try_from(draws.below(index as u64 + 1)).unwrap();
            shuffled.swap(index, other);
        }
        let book = read(limits(400, 6), &shuffled);
        assert_eq!(book.marks, in_order.marks, "seed {seed}");
        assert_eq!(book.spans, in_order.spans, "seed {seed}");
    }
}

#[test]
fn spans_are_gapless_between_good_marks() {
    for seed in 1..200_u64 {
        let book = read(limits(400, 6), &unruly_register(&mut Draws(0x2545_F491_4F6C_DD1D ^ (seed << 20))));
        for pair in book.spans.windows(2) {
            assert_eq!(pair[0].to, pair[1].from, "seed {seed}");
        }
        assert!(book.spans.iter().all(|span| span.energy.0 >= 0), "seed {seed}");
    }
}
