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

fn rows(draws: &mut Draws, columns: usize, channels: u64) -> Columns {
    let mut all: Columns = vec![Vec::new(); columns];
    for channel in 0..channels {
        let mut at = draws.any() >> 20;
        for _ in 0..draws.below(12) {
            at += 1 + draws.below(900_000).cast_signed();
            all[CHANNEL].push(Cell::Integer(channel.cast_signed() * 3));
            all[TS].push(Cell::Integer(at));
            for column in &mut all[2..] {
                let tame = draws.below(2) == 0;
                column.push(draws.cell(tame));
            }
        }
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
fn any_rows_come_back_to_the_bit() {
    for seed in 0..400 {
        let draws = &mut Draws(0x9E37_79B9_7F4A_7C15 ^ (seed << 20));
        let channels = draws.below(9);
        let chunk = Chunk { readings: rows(draws, READING.len(), channels), intervals: rows(draws, INTERVAL.len(), channels) };
        let bytes = chunk.to_bytes();
        let back = Chunk::from_bytes(&bytes).unwrap_or_else(|| panic!("seed {seed}"));
        assert_eq!(bits(&back.readings), bits(&chunk.readings), "seed {seed}");
        assert_eq!(bits(&back.intervals), bits(&chunk.intervals), "seed {seed}");
        for cut in 0..bytes.len() {
            assert!(Chunk::from_bytes(&bytes[..cut]).is_none(), "seed {seed}: a torn one is none");
        }
    }
}

#[test]
fn what_meters_send_takes_few_bytes() {
    let mut chunk = Chunk { readings: vec![Vec::new(); READING.len()], intervals: vec![Vec::new(); INTERVAL.len()] };
    let draws = &mut Draws(7);
    for channel in 0..32 {
        let mut register = draws.below(1_000_000_000).cast_signed();
        for quarter in 0..8 {
            let energy = 9_000 + draws.below(4_000).cast_signed();
            register += energy;
            let (ts, power, factor) =
                (1_767_196_800_000 + quarter * 900_000, draws.below(100_000) as f64 / 10.0, draws.below(100) as f64 / 100.0);
            let first = [channel * 3, ts, register, quarter * 10_000 + channel, 130, energy].map(Cell::Integer);
            let rest =
                [Cell::Null, Cell::Real(power), Cell::Real(factor), Cell::Null, Cell::Null, Cell::Real(f64::from((power * 1e3) as f32))];
            chunk.readings.iter_mut().zip(first.into_iter().chain(rest)).for_each(|(column, cell)| column.push(cell));
            let interval = [channel * 3, ts - 900_000, 15, energy, 0, 0, 1, 0].map(Cell::Integer);
            chunk.intervals.iter_mut().zip(interval).for_each(|(column, cell)| column.push(cell));
        }
    }
    let bytes = chunk.to_bytes();
    assert_eq!(Chunk::from_bytes(&bytes).as_ref(), Some(&chunk));
    assert!(bytes.len() < 256 * 8, "{} bytes for 256 readings", bytes.len());
}
