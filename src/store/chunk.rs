//! The readings and intervals of one channel and day as one compact value, and back.
//!
//! Pure. Rows come in order of time and are kept as columns. An integer is kept as what it is off a guess made of what came before it, a real number as an
//! integer of as few decimals as give it back to the bit, and what is left over as a Golomb-Rice code (R. F. Rice, JPL Publication 79-22, 1979). A guess
//! may be wrong: that costs bits, never a digit. Invariant: `Chunk::from_bytes(chunk.to_bytes())` is the chunk, whatever it holds.

use super::bits::{Input, Output};

/// Rows of a kind in one chunk; a reading every 20 ms of a day.
const ROWS_MAX: usize = 1 << 22;
/// Decimals that are tried for a column of real numbers; none of them: its numbers go as they are.
const DECIMALS_MAX: u8 = 9;
const POWERS: [f64; DECIMALS_MAX as usize + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
const AS_THEY_ARE: u8 = u8::MAX;
/// A column of flows that a gauge gives begins with this and the number of gauge and unit.
const LINKED: u8 = 128;
/// Up to here a real number holds every integer.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// One value of a row, as the store types it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
}

pub const TS: usize = 0;
/// Columns of a reading, in the order in which they are kept: a guess looks at columns before its own.
pub const READING: [&str; 11] = ["ts", "value", "seq", "verdict", "energy", "serial", "g1", "g2", "g3", "g4", "flow"];
const VALUE: usize = 1;
const ENERGY: usize = 4;
const GAUGES: std::ops::Range<usize> = 6..10;
const FLOW: usize = 10;
/// Columns of an interval, likewise.
pub const INTERVAL: [&str; 7] = ["ts", "minutes", "quantity", "assumed", "estimated", "parts", "recorded_from"];
const MINUTES: usize = 1;
const QUANTITY: usize = 2;
/// Ledger units per hour of a gauge's unit (engine/restore.rs, `flow_gauge`): kW of electricity and m³/h, kW of heat, t/h.
const FLOWS: [f64; 3] = [1e3, 3.6e3, 1e6];
const MINUTE_MS: i64 = 60_000;

/// Columns of equal length.
pub type Columns = Vec<Vec<Cell>>;

#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    pub readings: Columns,
    pub intervals: Columns,
}

impl Chunk {
    /// Without rows, with room for some.
    #[must_use]
    pub fn empty(readings: usize, intervals: usize) -> Chunk {
        let columns = |count, room| (0..count).map(|_| Vec::with_capacity(room)).collect();
        Chunk { readings: columns(READING.len(), readings), intervals: columns(INTERVAL.len(), intervals) }
    }

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Output::default();
        for (columns, readings) in [(&self.readings, None), (&self.intervals, Some(&self.readings))] {
            out.number(columns[TS].len() as u64);
            for (index, column) in columns.iter().enumerate() {
                write(&mut out, column, &columns[..index], readings);
            }
        }
        out.bytes()
    }

    /// `None` for what [`Chunk::to_bytes`] has not made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Chunk> {
        let mut input = Input::new(bytes);
        let readings = read_all(&mut input, READING.len(), None)?;
        let intervals = read_all(&mut input, INTERVAL.len(), Some(&readings))?;
        input.is_empty().then_some(Chunk { readings, intervals })
    }

    /// The row of a moment among a kind's columns.
    #[must_use]
    pub fn row_at(columns: &Columns, ts: i64) -> Option<usize> {
        columns[TS].binary_search_by_key(&ts, |cell| integer(*cell)).ok()
    }
}

fn integer(cell: Cell) -> i64 {
    match cell {
        Cell::Integer(value) => value,
        Cell::Null | Cell::Real(_) => 0,
    }
}

fn kind(cell: Cell) -> u8 {
    match cell {
        Cell::Null => 0,
        Cell::Integer(_) => 1,
        Cell::Real(_) => 2,
    }
}

/// What another column says of the one after `known`, row by row: a reading's energy is what the register rose by, an interval's the energy of the reading
/// at its end. Which kind of rows it is shows in how many columns are known.
fn told(known: &[Vec<Cell>], readings: Option<&Columns>, row: usize) -> i64 {
    match (known.len(), readings) {
        (ENERGY, None) => {
            let register = |row: usize| integer(known[VALUE][row]);
            row.checked_sub(1).map_or(0, |before| register(row).wrapping_sub(register(before)))
        }
        (QUANTITY, Some(readings)) => {
            let end = integer(known[TS][row]).wrapping_add(integer(known[MINUTES][row]).wrapping_mul(MINUTE_MS));
            Chunk::row_at(readings, end).map_or(0, |row| integer(readings[ENERGY][row]))
        }
        _ => 0,
    }
}

/// How the integers of a column are guessed, of the one that stands for them.
#[derive(Clone, Copy)]
enum Guess {
    /// By another column.
    Told,
    /// As zero: they lie around a level.
    Level,
    /// As the one before.
    Before,
    /// As far from the one before as that was from its own.
    Trend,
}

const GUESSES: [Guess; 4] = [Guess::Told, Guess::Level, Guess::Before, Guess::Trend];

impl Guess {
    fn of(self, before: &[i64], told: &[i64]) -> i64 {
        match (self, before) {
            (Guess::Told, _) => told[before.len()],
            (Guess::Level, _) | (Guess::Before | Guess::Trend, []) => 0,
            (Guess::Trend, [.., last, one]) => one.wrapping_mul(2).wrapping_sub(*last),
            (Guess::Before | Guess::Trend, [.., one]) => *one,
        }
    }

    /// Rows at the beginning that the guess cannot know.
    fn heads(self) -> usize {
        if matches!(self, Guess::Trend) { 2 } else { 1 }
    }
}

fn write(out: &mut Output, column: &[Cell], known: &[Vec<Cell>], readings: Option<&Columns>) {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    for cell in column {
        match runs.last_mut() {
            Some((last, length)) if *last == kind(*cell) => *length += 1,
            Some(_) | None => runs.push((kind(*cell), 1)),
        }
    }
    if let [(only, _)] = runs[..] {
        out.byte(only);
    } else {
        out.byte(3);
        for (kind, length) in &runs {
            out.byte(*kind);
            out.number(*length as u64);
        }
    }
    let (mut integers, mut hints, mut reals) = (Vec::new(), Vec::new(), Vec::new());
    for (row, cell) in column.iter().enumerate() {
        match cell {
            Cell::Null => {}
            Cell::Integer(value) => {
                integers.push(*value);
                hints.push(told(known, readings, row));
            }
            Cell::Real(value) => reals.push((row, *value)),
        }
    }
    if !integers.is_empty() {
        write_integers(out, &integers, &hints);
    }
    if !reals.is_empty() {
        write_reals(out, &reals, known);
    }
}

fn write_reals(out: &mut Output, reals: &[(usize, f64)], known: &[Vec<Cell>]) {
    if known.len() == FLOW {
        let gives = |(_, gauge, unit): &(u8, usize, f64)| {
            reals.iter().all(|(row, value)| flow(known[*gauge][*row], *unit).is_some_and(|flow| flow.to_bits() == value.to_bits()))
        };
        if let Some((link, ..)) = links().find(gives) {
            out.byte(LINKED + link);
            return;
        }
    }
    let wholes = |decimals: u8| reals.iter().map(|(_, value)| decimal(*value, decimals)).collect::<Option<Vec<i64>>>();
    if let Some((decimals, wholes)) = (0..=DECIMALS_MAX).find_map(|decimals| Some((decimals, wholes(decimals)?))) {
        out.byte(decimals);
        write_integers(out, &wholes, &vec![0; wholes.len()]);
    } else {
        out.byte(AS_THEY_ARE);
        for (_, value) in reals {
            out.real(*value);
        }
    }
}

fn write_integers(out: &mut Output, values: &[i64], hints: &[i64]) {
    let mut best: Option<(usize, u32, Vec<i64>)> = None;
    let mut sorted = Vec::with_capacity(values.len());
    // Hints of nothing are a level of zero.
    let hintless = usize::from(hints.iter().all(|hint| *hint == 0));
    for (number, guess) in GUESSES.iter().enumerate().skip(hintless) {
        let off: Vec<i64> = values.iter().enumerate().map(|(row, value)| value.wrapping_sub(guess.of(&values[..row], hints))).collect();
        let rest = off.get(guess.heads()..).unwrap_or_default();
        let middle = median(rest, &mut sorted);
        let cost = rest.iter().map(|off| i64::BITS - off.wrapping_sub(middle).unsigned_abs().leading_zeros()).sum();
        if best.as_ref().is_none_or(|(_, least, _)| cost < *least) {
            best = Some((number, cost, off));
        }
        if cost == 0 {
            break;
        }
    }
    let Some((number, _, off)) = best else { return };
    out.byte(number as u8);
    let (heads, rest) = off.split_at(GUESSES[number].heads().min(off.len()));
    for head in heads {
        out.difference(*head);
    }
    if rest.is_empty() {
        return;
    }
    let middle = median(rest, &mut sorted);
    out.difference(middle);
    // Registers count in steps of their resolution. None: every guess was right.
    let step = rest.iter().fold(0, |step, off| common_divisor(step, off.wrapping_sub(middle).unsigned_abs()));
    out.number(step);
    if step != 0 {
        let steps: Vec<i64> = rest.iter().map(|off| off.wrapping_sub(middle).wrapping_div(step.cast_signed())).collect();
        out.rice(&steps);
    }
}

fn median(values: &[i64], sorted: &mut Vec<i64>) -> i64 {
    sorted.clear();
    sorted.extend(values);
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *sorted.select_nth_unstable(middle).1 }
}

fn read_all(input: &mut Input, width: usize, readings: Option<&Columns>) -> Option<Columns> {
    let rows = usize::try_from(input.number()?).ok().filter(|rows| *rows <= ROWS_MAX)?;
    let mut columns = Columns::with_capacity(width);
    for _ in 0..width {
        let column = read(input, rows, &columns, readings)?;
        columns.push(column);
    }
    Some(columns)
}

fn read(input: &mut Input, rows: usize, known: &[Vec<Cell>], readings: Option<&Columns>) -> Option<Vec<Cell>> {
    let mut kinds = Vec::with_capacity(rows);
    match input.byte()? {
        3 => {
            while kinds.len() < rows {
                let kind = input.byte()?;
                let length = usize::try_from(input.number()?).ok().filter(|length| (1..=rows - kinds.len()).contains(length))?;
                kinds.resize(kinds.len() + length, kind);
            }
        }
        kind => kinds.resize(rows, kind),
    }
    if kinds.iter().any(|kind| *kind > 2) {
        return None;
    }
    let hints = |wanted: u8| kinds.iter().enumerate().filter(move |(_, kind)| **kind == wanted).map(|(row, _)| row);
    let told: Vec<i64> = hints(1).map(|row| told(known, readings, row)).collect();
    let mut integers = if told.is_empty() { Vec::new() } else { read_integers(input, &told)? }.into_iter();
    let real_rows: Vec<usize> = hints(2).collect();
    let mut reals = if real_rows.is_empty() { Vec::new() } else { read_reals(input, &real_rows, known)? }.into_iter();
    let cell = |kind: &u8| match kind {
        0 => Some(Cell::Null),
        1 => integers.next().map(Cell::Integer),
        _ => reals.next().map(Cell::Real),
    };
    kinds.iter().map(cell).collect()
}

fn read_reals(input: &mut Input, rows: &[usize], known: &[Vec<Cell>]) -> Option<Vec<f64>> {
    match input.byte()? {
        AS_THEY_ARE => rows.iter().map(|_| input.real()).collect(),
        decimals @ 0..=DECIMALS_MAX => {
            let wholes = read_integers(input, &vec![0; rows.len()])?;
            Some(wholes.into_iter().map(|whole| whole as f64 / POWERS[usize::from(decimals)]).collect())
        }
        link => {
            let (_, gauge, unit) = links().find(|(known, ..)| Some(*known) == link.checked_sub(LINKED))?;
            let gauges = known.get(gauge)?;
            rows.iter().map(|row| flow(gauges[*row], unit)).collect()
        }
    }
}

fn read_integers(input: &mut Input, told: &[i64]) -> Option<Vec<i64>> {
    let guess = *GUESSES.get(usize::from(input.byte()?))?;
    let mut values = Vec::with_capacity(told.len());
    for _ in 0..guess.heads().min(told.len()) {
        let off = input.difference()?;
        values.push(guess.of(&values, told).wrapping_add(off));
    }
    if values.len() == told.len() {
        return Some(values);
    }
    let (middle, step) = (input.difference()?, input.number()?.cast_signed());
    let steps = if step == 0 { vec![0; told.len() - values.len()] } else { input.rice(told.len() - values.len())? };
    for count in steps {
        let off = middle.wrapping_add(count.wrapping_mul(step));
        values.push(guess.of(&values, told).wrapping_add(off));
    }
    Some(values)
}

/// The flow that a gauge gives, as the engine keeps it: single precision.
#[allow(clippy::cast_possible_truncation, reason = "the engine keeps flows in single precision")]
fn flow(gauge: Cell, per_unit: f64) -> Option<f64> {
    match gauge {
        Cell::Real(value) => Some(f64::from((value.abs() * per_unit) as f32)),
        Cell::Null | Cell::Integer(_) => None,
    }
}

/// Which gauge and unit give a flow, by number.
fn links() -> impl Iterator<Item = (u8, usize, f64)> {
    (0..).zip(GAUGES.flat_map(|column| FLOWS.map(|unit| (column, unit)))).map(|(link, (column, unit))| (link, column, unit))
}

#[allow(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^53")]
fn decimal(value: f64, decimals: u8) -> Option<i64> {
    let scale = POWERS[usize::from(decimals)];
    let whole = (value * scale).round();
    // By way of the integer: it knows no negative zero.
    (whole.abs() <= EXACT_MAX && (whole as i64 as f64 / scale).to_bits() == value.to_bits()).then_some(whole as i64)
}

fn common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests;
