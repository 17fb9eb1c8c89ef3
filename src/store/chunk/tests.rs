//! Whatever a chunk holds, it comes back to the bit.

use super::*;

struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn any(&mut self) -> i64 {
        (self.below(1 << 31) << 33 ^ self.below(1 << 31) << 11 ^ self.below(1 << 11)).cast_signed()
    }

    /// From the tame to what no meter sends: huge, tiny, negative zero, thirty digits, no number of decimals.
    fn real(&mut self) -> f64 {
        match self.below(8) {
            0 => -0.0,
            1 => f64::from_bits(self.any() as u64 & 0x7FEF_FFFF_FFFF_FFFF),
            2 => 1.0 / 3.0,
            3 => 0.123_456_789_012_345_68,
            4 => f64::MIN_POSITIVE,
            _ => self.below(100_000) as f64 / 100.0,
        }
    }

    fn cell(&mut self, tame: bool) -> Cell {
        match self.below(if tame { 40 } else { 3 }) {
            0 => Cell::Null,
            1 => Cell::Real(self.real()),
            2 => Cell::Integer(self.any()),
            _ => Cell::Integer(self.below(3).cast_signed()),
        }
    }
}

fn rows(draws: &mut Draws, columns: usize) -> Columns {
    let mut all: Columns = vec![Vec::new(); columns];
    let mut at = draws.any() >> 20;
    for _ in 0..draws.below(120) {
        at += if draws.below(9) == 0 { 1 + draws.below(900_000).cast_signed() } else { 900_000 };
        all[TS].push(Cell::Integer(at));
    }
    let count = i64::try_from(all[TS].len()).unwrap();
    for column in &mut all[1..] {
        let (style, drift) = (draws.below(4), draws.any() >> 50);
        column.extend((0..count).map(|row| match style {
            0 => draws.cell(false),
            1 => draws.cell(true),
            2 => Cell::Integer((row * drift).wrapping_add(draws.below(9).cast_signed())),
            _ => Cell::Integer(if draws.below(50) == 0 { draws.any() } else { drift }),
        }));
    }
    all
}

fn bits(columns: &Columns) -> Vec<Vec<(u8, u64)>> {
    let cell = |cell: &Cell| match *cell {
        Cell::Null => (0, 0),
        Cell::Integer(value) => (1, value as u64),
        Cell::Real(value) => (2, value.to_bits()),
    };
    columns.iter().map(|column| column.iter().map(cell).collect()).collect()
}

#[test]
fn any_rows_come_back_to_the_bit_and_a_torn_chunk_is_none() {
    for seed in 0..400 {
        let draws = &mut Draws(0x9E37_79B9_7F4A_7C15 ^ (seed << 20));
        let chunk = Chunk { readings: rows(draws, READING.len()), intervals: rows(draws, INTERVAL.len()) };
        let bytes = chunk.to_bytes();
        let back = Chunk::from_bytes(&bytes).unwrap_or_else(|| panic!("seed {seed}"));
        assert_eq!(bits(&back.readings), bits(&chunk.readings), "seed {seed}");
        assert_eq!(bits(&back.intervals), bits(&chunk.intervals), "seed {seed}");
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 300) {
            assert!(Chunk::from_bytes(&bytes[..cut]).is_none(), "seed {seed}, cut to {cut}");
        }
    }
}

/// A day of quarters of an hour; loads go up and down, a fifth of them at random.
fn day(draws: &mut Draws) -> Chunk {
    let mut chunk = Chunk::empty(96, 96);
    let mut register = draws.below(1_000_000_000).cast_signed();
    for quarter in 0..96_i64 {
        let base = 10_000 + 1_000 * (12 - (quarter / 4 - 13).abs().min(12));
        let mut rise = || (base - base / 10 + draws.below(base as u64 / 5).cast_signed()) * 10;
        let (energy, power) = (rise(), rise() as f64 / 1_000.0);
        register += energy;
        let ts = 1_767_196_800_000 + quarter * 900_000;
        let first = [ts, register, quarter * 10_000 + 5, 130, energy].map(Cell::Integer);
        let gauges = [Cell::Real(power), Cell::Real(0.88 + draws.below(11) as f64 / 100.0), Cell::Null, Cell::Null];
        let flow = Cell::Real(f64::from((power * 1e3) as f32));
        let reading = first.into_iter().chain([Cell::Null]).chain(gauges).chain([flow]);
        chunk.readings.iter_mut().zip(reading).for_each(|(column, cell)| column.push(cell));
        let interval = [ts - 900_000, 15, energy, 0, 0, 1, 0].map(Cell::Integer);
        chunk.intervals.iter_mut().zip(interval).for_each(|(column, cell)| column.push(cell));
    }
    chunk
}

#[test]
fn what_meters_send_takes_few_bytes_and_one_wild_reading_a_few_more() {
    let mut chunk = day(&mut Draws(7));
    let tame = chunk.to_bytes().len();
    assert!(tame < 96 * 5, "{tame} bytes for 96 readings");
    for (column, wild) in [(VALUE, i64::MAX - 1), (ENERGY, i64::MIN), (3, 77)] {
        chunk.readings[column][40] = Cell::Integer(wild);
    }
    let wild = chunk.to_bytes();
    assert_eq!(Chunk::from_bytes(&wild).as_ref(), Some(&chunk));
    assert!(wild.len() < tame + 96, "{} bytes instead of {tame}", wild.len());
}
