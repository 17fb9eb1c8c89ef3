//! Rows of readings and intervals as one compressed value, and back.
//!
//! Pure. Rows come in order of channel and time and are turned into columns; each integer is told as its difference to a guess made of what came before
//! it, each real number as an integer of as few decimals as give it back to the bit, and the whole is deflated. A guess may be wrong: that costs bytes,
//! never a digit. Invariant: `Chunk::from_bytes(chunk.to_bytes())` is the chunk, whatever it holds.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// Beyond this a value is no chunk that this program has written.
const BYTES_MAX: usize = 1 << 26;
/// Of 1 to 9: what small chunks gain beyond is little.
const LEVEL: u8 = 6;
/// Decimals that are tried for a column of real numbers; none of them: its numbers go as they are.
const DECIMALS_MAX: u8 = 9;
const POWERS: [f64; DECIMALS_MAX as usize + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
const AS_THEY_ARE: u8 = u8::MAX;
/// Up to here a real number holds every integer.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// One value of a row, as the store types it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
}

/// How the integers of a column are guessed.
#[derive(Clone, Copy, Debug)]
enum Guess {
    /// As in the row before.
    Row,
    /// As in the channel's row before.
    Channel,
    /// As far from the channel's row before as at the same place of the channel before.
    Grid,
    /// What the register in this column rose by.
    Rise(usize),
    /// The energy of the reading at the interval's end.
    Energy,
    /// A flow: one of the gauges from this column on, in ledger units per hour.
    Gauge(usize),
}

pub const CHANNEL: usize = 0;
const TS: usize = 1;
/// Columns of a reading, in the order in which they are told: a guess looks at columns before its own.
pub const READING: [&str; 12] = ["channel", "ts", "value", "seq", "verdict", "energy", "serial", "g1", "g2", "g3", "g4", "flow"];
const READING_GUESSES: [Guess; 12] = [
    Guess::Row,
    Guess::Grid,
    Guess::Channel,
    Guess::Grid,
    Guess::Row,
    Guess::Rise(2),
    Guess::Row,
    Guess::Channel,
    Guess::Channel,
    Guess::Channel,
    Guess::Channel,
    Guess::Gauge(7),
];
const READING_ENERGY: usize = 5;
/// Columns of an interval, likewise.
pub const INTERVAL: [&str; 8] = ["channel", "ts", "minutes", "quantity", "assumed", "estimated", "parts", "recorded_from"];
const INTERVAL_GUESSES: [Guess; 8] = [Guess::Row, Guess::Grid, Guess::Row, Guess::Energy, Guess::Row, Guess::Row, Guess::Row, Guess::Row];
const MINUTES: usize = 2;
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
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_number(&mut out, self.readings[CHANNEL].len() as u64);
        put_number(&mut out, self.intervals[CHANNEL].len() as u64);
        write(&mut out, &self.readings, &READING_GUESSES, &[]);
        write(&mut out, &self.intervals, &INTERVAL_GUESSES, &self.readings);
        compress_to_vec(&out, LEVEL)
    }

    /// `None` for what [`Chunk::to_bytes`] has not made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Chunk> {
        let plain = decompress_to_vec_with_limit(bytes, BYTES_MAX).ok()?;
        let mut input = Input(&plain);
        let count = |input: &mut Input| usize::try_from(input.number()?).ok().filter(|count| *count <= BYTES_MAX);
        let (readings, intervals) = (count(&mut input)?, count(&mut input)?);
        let readings = read(&mut input, readings, &READING_GUESSES, &[])?;
        let intervals = read(&mut input, intervals, &INTERVAL_GUESSES, &readings)?;
        input.0.is_empty().then_some(Chunk { readings, intervals })
    }
}

fn integer(cell: Cell) -> i64 {
    match cell {
        Cell::Integer(value) => value,
        Cell::Null | Cell::Real(_) => 0,
    }
}

/// Where a row stands: the channel's row before, and the row at the same place of the channel before.
#[derive(Clone, Copy, Default)]
struct Place {
    before: Option<usize>,
    above: Option<usize>,
}

fn places(channels: &[Cell]) -> Vec<Place> {
    let (mut start, mut last_start) = (0, 0);
    let mut places = Vec::with_capacity(channels.len());
    for (row, channel) in channels.iter().enumerate() {
        let same = row > 0 && channels[row - 1] == *channel;
        if !same {
            (last_start, start) = (start, row);
        }
        let above = Some(last_start + row - start).filter(|above| *above < start);
        places.push(Place { before: same.then(|| row - 1), above });
    }
    places
}

/// The columns before the one at work, and what it holds so far.
struct Known<'a> {
    columns: &'a [Vec<Cell>],
    own: &'a [Cell],
    readings: &'a [Vec<Cell>],
}

impl Known<'_> {
    fn guess(&self, guess: Guess, row: usize, place: Place) -> i64 {
        let own = |row: usize| integer(self.own[row]);
        let before = place.before.map_or(0, own);
        match guess {
            Guess::Row => row.checked_sub(1).map_or(0, own),
            Guess::Channel | Guess::Gauge(_) => before,
            Guess::Grid => match (place.before, place.above) {
                (Some(before), Some(above)) => own(before).wrapping_add(own(above)).wrapping_sub(own(above - 1)),
                (Some(before), None) => own(before),
                (None, Some(above)) => own(above),
                (None, None) => 0,
            },
            Guess::Rise(register) => {
                let register = &self.columns[register];
                place.before.map_or(0, |before| integer(register[row]).wrapping_sub(integer(register[before])))
            }
            Guess::Energy => self.energy(row).unwrap_or(before),
        }
    }

    fn energy(&self, row: usize) -> Option<i64> {
        let of = |column: usize| integer(self.columns[column][row]);
        let end = of(TS).wrapping_add(of(MINUTES).wrapping_mul(MINUTE_MS));
        let channels = self.readings.get(CHANNEL)?;
        let key = |row: &usize| (integer(channels[*row]), integer(self.readings[TS][*row]));
        let rows: (usize, usize) = (0, channels.len());
        let (mut low, mut high) = rows;
        while low < high {
            let middle = usize::midpoint(low, high);
            if key(&middle) < (of(CHANNEL), end) { low = middle + 1 } else { high = middle }
        }
        (low < rows.1 && key(&low) == (of(CHANNEL), end)).then(|| integer(self.readings[READING_ENERGY][low]))
    }
}

/// The flow that a gauge gives, as the engine keeps it: single precision.
#[allow(clippy::cast_possible_truncation, reason = "the engine keeps flows in single precision")]
fn flow(gauge: Cell, per_unit: f64) -> Option<f64> {
    match gauge {
        Cell::Real(value) => Some(f64::from((value.abs() * per_unit) as f32)),
        Cell::Null | Cell::Integer(_) => None,
    }
}

/// From 1 on, which gauge and unit give a flow.
fn links(first: usize) -> impl Iterator<Item = (u8, usize, f64)> {
    (1..).zip((first..first + 4).flat_map(|column| FLOWS.map(|unit| (column, unit)))).map(|(link, (column, unit))| (link, column, unit))
}

#[allow(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^53")]
fn decimal(value: f64, scale: f64) -> Option<i64> {
    let whole = (value * scale).round();
    // By way of the integer: it knows no negative zero.
    (whole.abs() <= EXACT_MAX && (whole as i64 as f64 / scale).to_bits() == value.to_bits()).then_some(whole as i64)
}

fn write(out: &mut Vec<u8>, columns: &[Vec<Cell>], guesses: &[Guess], readings: &[Vec<Cell>]) {
    let places = places(&columns[CHANNEL]);
    for (index, (column, guess)) in columns.iter().zip(guesses).enumerate() {
        let kind = |cell: &Cell| match cell {
            Cell::Null => 0,
            Cell::Integer(_) => 1,
            Cell::Real(_) => 2,
        };
        let first = column.first().map_or(0, kind);
        if column.iter().all(|cell| kind(cell) == first) {
            out.push(first);
        } else {
            out.push(3);
            out.extend(column.iter().map(kind));
        }
        let difference = |(row, cell): (usize, &Cell)| match cell {
            Cell::Integer(value) => {
                let known = Known { columns: &columns[..index], own: &column[..row], readings };
                Some(value.wrapping_sub(known.guess(*guess, row, places[row])))
            }
            Cell::Null | Cell::Real(_) => None,
        };
        let differences: Vec<i64> = column.iter().enumerate().filter_map(difference).collect();
        if !differences.is_empty() {
            // Registers count in steps of their resolution. None: every guess was right.
            let step = differences.iter().fold(0, |step, difference| common_divisor(step, difference.unsigned_abs()));
            put_number(out, step);
            if step != 0 {
                for difference in &differences {
                    put_difference(out, difference.wrapping_div(step.cast_signed()));
                }
            }
        }
        write_reals(out, columns, index, *guess, &places);
    }
}

fn write_reals(out: &mut Vec<u8>, columns: &[Vec<Cell>], index: usize, guess: Guess, places: &[Place]) {
    let reals = || {
        columns[index].iter().enumerate().filter_map(|(row, cell)| if let Cell::Real(value) = cell { Some((row, *value)) } else { None })
    };
    if reals().next().is_none() {
        return;
    }
    if let Guess::Gauge(first) = guess {
        for (row, value) in reals() {
            let fits = |(_, column, unit): &(u8, usize, f64)| {
                flow(columns[*column][row], *unit).is_some_and(|flow| flow.to_bits() == value.to_bits())
            };
            let link = links(first).find(fits).map_or(0, |(link, ..)| link);
            out.push(link);
            if link == 0 {
                out.extend(value.to_le_bytes());
            }
        }
        return;
    }
    let fits = |decimals: &u8| reals().all(|(_, value)| decimal(value, power(*decimals)).is_some());
    let Some(decimals) = (0..=DECIMALS_MAX).find(fits) else {
        out.push(AS_THEY_ARE);
        reals().for_each(|(_, value)| out.extend(value.to_le_bytes()));
        return;
    };
    out.push(decimals);
    let mut wholes = vec![0; columns[index].len()];
    for (row, value) in reals() {
        wholes[row] = decimal(value, power(decimals)).unwrap_or(0); // All fit, as was just seen.
        put_difference(out, wholes[row].wrapping_sub(places[row].before.map_or(0, |before| wholes[before])));
    }
}

fn read(input: &mut Input, rows: usize, guesses: &[Guess], readings: &[Vec<Cell>]) -> Option<Columns> {
    let mut columns: Columns = Vec::with_capacity(guesses.len());
    let mut at: Vec<Place> = vec![Place::default(); rows];
    for (index, guess) in guesses.iter().enumerate() {
        let kinds = match input.byte()? {
            3 => input.take(rows)?.to_vec(),
            kind => vec![kind; rows],
        };
        let mut column = Vec::with_capacity(rows);
        let step = if kinds.contains(&1) { input.number()?.cast_signed() } else { 0 };
        for (row, kind) in kinds.iter().enumerate() {
            column.push(match kind {
                0 => Cell::Null,
                1 => {
                    let off = if step == 0 { 0 } else { input.difference()?.wrapping_mul(step) };
                    let known = Known { columns: &columns, own: &column, readings };
                    Cell::Integer(known.guess(*guess, row, at[row]).wrapping_add(off))
                }
                2 => Cell::Real(0.0),
                _ => return None,
            });
        }
        if index == CHANNEL {
            at = places(&column);
        }
        if kinds.contains(&2) {
            read_reals(input, &columns, &mut column, *guess, &at)?;
        }
        columns.push(column);
    }
    Some(columns)
}

fn read_reals(input: &mut Input, columns: &[Vec<Cell>], column: &mut [Cell], guess: Guess, places: &[Place]) -> Option<()> {
    let decimals = if matches!(guess, Guess::Gauge(_)) { AS_THEY_ARE } else { input.byte()? };
    let mut wholes = vec![0_i64; column.len()];
    for row in 0..column.len() {
        if !matches!(column[row], Cell::Real(_)) {
            continue;
        }
        let value = match (guess, decimals) {
            (Guess::Gauge(first), _) => match input.byte()? {
                0 => input.real()?,
                link => {
                    let (_, gauge, unit) = links(first).find(|(known, ..)| *known == link)?;
                    flow(columns[gauge][row], unit)?
                }
            },
            (_, AS_THEY_ARE) => input.real()?,
            (_, 0..=DECIMALS_MAX) => {
                wholes[row] = places[row].before.map_or(0, |before| wholes[before]).wrapping_add(input.difference()?);
                wholes[row] as f64 / power(decimals)
            }
            _ => return None,
        };
        column[row] = Cell::Real(value);
    }
    Some(())
}

fn power(decimals: u8) -> f64 {
    POWERS[usize::from(decimals)]
}

fn common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        out.push(number as u8 & 127 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Small differences of either sign take few bytes.
fn put_difference(out: &mut Vec<u8>, difference: i64) {
    put_number(out, (difference << 1 ^ difference >> 63) as u64);
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(number);
            }
        }
        None
    }

    fn difference(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn real(&mut self) -> Option<f64> {
        Some(f64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests;
