//! Random numbers that depend on their key alone, never on the order in which they are drawn.

/// A key made of a seed and of what is drawn for: `Key::new(seed).text("late").number(at)`.
#[derive(Clone, Copy, Debug)]
pub struct Key(u64);

impl Key {
    #[must_use]
    pub fn new(seed: u64) -> Key {
        Key(mix(seed))
    }

    #[must_use]
    pub fn number(self, number: i64) -> Key {
        Key(mix(self.0 ^ mix(number.cast_unsigned())))
    }

    #[must_use]
    pub fn text(self, text: &str) -> Key {
        text.bytes().fold(self.number(1), |key, byte| Key(mix(key.0 ^ u64::from(byte))))
    }

    /// From 0 up to, not including, 1.
    #[must_use]
    pub fn uniform(self) -> f64 {
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[must_use]
    pub fn within(self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A whole number from `low` up to, not including, `high`.
    #[must_use]
    pub fn whole(self, low: i64, high: i64) -> i64 {
        (self.within(low as f64, high as f64) as i64).clamp(low, (high - 1).max(low))
    }

    /// An index into a list that is not empty.
    #[must_use]
    pub fn index(self, len: usize) -> usize {
        ((self.uniform() * len as f64) as usize).min(len - 1)
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014).
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn draws_are_spread_evenly_and_repeat_for_the_same_key() {
        let draw = |number| Key::new(7).text("late").number(number).uniform();
        let below_half = (0..10_000).filter(|number| draw(*number) < 0.5).count();
        assert!((4_800..5_200).contains(&below_half), "{below_half}");
        assert!(draw(3).to_bits() == draw(3).to_bits());
    }
}
