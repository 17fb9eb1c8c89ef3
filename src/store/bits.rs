//! Bytes and bits that chunks are made of: numbers of variable length, and Golomb-Rice codes.
//!
//! Pure. Reading never goes past the end and never panics: what cannot be read is `None`.

/// Bits of a code's lower part, at most.
const LOW_BITS_MAX: u32 = 32;
/// A code's upper part beyond this is not counted out: the whole number follows as it is.
const ONES_MAX: u64 = 32;
/// First byte of a list of rare differences, in the place of the number of lower bits.
const RARE: u8 = u8::MAX;

#[derive(Debug, Default)]
pub struct Output {
    out: Vec<u8>,
    /// Bits that do not fill a byte yet, the first ones lowest.
    held: u64,
    held_bits: u32,
}

impl Output {
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        self.out
    }

    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub fn number(&mut self, mut number: u64) {
        while number >= 128 {
            self.out.push(number as u8 & 127 | 128);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    /// Small ones of either sign take few bytes.
    pub fn difference(&mut self, difference: i64) {
        self.number(folded(difference));
    }

    pub fn real(&mut self, real: f64) {
        self.out.extend(real.to_le_bytes());
    }

    /// Differences that are mostly small: as codes of one length of their lower part, or as a list of the few that are not 0.
    pub fn rice(&mut self, differences: &[i64]) {
        let folded: Vec<u64> = differences.iter().map(|difference| folded(*difference)).collect();
        let size = |low: u32| folded.iter().map(|number| code_bits(*number, low)).sum::<u64>();
        // The best length is near the mean length of the numbers, which a wild one does not move.
        let mean = folded.iter().map(|number| u64::BITS - number.leading_zeros()).sum::<u32>() / (folded.len() as u32).max(1);
        let lengths = mean.saturating_sub(2).min(LOW_BITS_MAX)..=(mean + 1).min(LOW_BITS_MAX);
        let (low, bits) = lengths.map(|low| (low, size(low))).min_by_key(|(_, bits)| *bits).unwrap_or_default();
        let mut rare = Output::default();
        let mut gap = 0;
        rare.number(folded.iter().filter(|number| **number != 0).count() as u64);
        for number in &folded {
            if *number == 0 {
                gap += 1;
                continue;
            }
            rare.number(gap);
            rare.number(*number);
            gap = 0;
            if rare.out.len() as u64 * 8 > bits {
                break;
            }
        }
        if (rare.out.len() as u64 * 8) <= bits {
            self.out.push(RARE);
            self.out.append(&mut rare.out);
            return;
        }
        self.out.push(low as u8);
        for number in folded {
            let ones = number >> low;
            if ones < ONES_MAX {
                self.put((1 << ones) - 1, ones as u32 + 1);
                self.put(number & ((1 << low) - 1), low);
            } else {
                self.put((1 << ONES_MAX) - 1, ONES_MAX as u32);
                self.put(number & 0xFFFF_FFFF, 32);
                self.put(number >> 32, 32);
            }
        }
        if self.held_bits > 0 {
            self.out.push(self.held as u8);
        }
        (self.held, self.held_bits) = (0, 0);
    }

    /// At most 33 bits.
    fn put(&mut self, bits: u64, count: u32) {
        self.held |= bits << self.held_bits;
        self.held_bits += count;
        while self.held_bits >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.held_bits -= 8;
        }
    }
}

fn code_bits(number: u64, low: u32) -> u64 {
    let ones = number >> low;
    if ones < ONES_MAX { ones + 1 + u64::from(low) } else { ONES_MAX + 64 }
}

/// 0, -1, 1, -2, … become 0, 1, 2, 3, …
fn folded(difference: i64) -> u64 {
    (difference << 1 ^ difference >> 63).cast_unsigned()
}

fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

pub struct Input<'a> {
    rest: &'a [u8],
    held: u64,
    held_bits: u32,
}

impl<'a> Input<'a> {
    #[must_use]
    pub fn new(rest: &'a [u8]) -> Input<'a> {
        Input { rest, held: 0, held_bits: 0 }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    pub fn number(&mut self) -> Option<u64> {
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

    pub fn difference(&mut self) -> Option<i64> {
        self.number().map(unfolded)
    }

    pub fn real(&mut self) -> Option<f64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(f64::from_le_bytes(*bytes))
    }

    /// So many differences of [`Output::rice`].
    pub fn rice(&mut self, count: usize) -> Option<Vec<i64>> {
        let low = self.byte()?;
        if low == RARE {
            let mut all = vec![0; count];
            let mut at = 0_usize;
            for _ in 0..self.number()? {
                at = at.checked_add(usize::try_from(self.number()?).ok()?)?;
                *all.get_mut(at)? = unfolded(self.number()?);
                at += 1;
            }
            return Some(all);
        }
        let low = Some(u32::from(low)).filter(|low| *low <= LOW_BITS_MAX)?;
        (self.held, self.held_bits) = (0, 0);
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(unfolded(self.code(low)?));
        }
        Some(all)
    }

    fn code(&mut self, low: u32) -> Option<u64> {
        let mut ones = 0;
        while ones < ONES_MAX && self.take(1)? == 1 {
            ones += 1;
        }
        if ones < ONES_MAX { Some(ones << low | self.take(low)?) } else { Some(self.take(32)? | self.take(32)? << 32) }
    }

    /// At most 32 bits.
    fn take(&mut self, count: u32) -> Option<u64> {
        while self.held_bits < count {
            self.held |= u64::from(self.byte()?) << self.held_bits;
            self.held_bits += 8;
        }
        let bits = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.held_bits -= count;
        Some(bits)
    }
}
