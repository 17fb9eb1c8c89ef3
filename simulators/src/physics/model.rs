//! What all models have in common: flows out of a moment.

use super::measures::Kind;
use super::moment::Moment;

/// Something that draws, makes or moves energy, water or goods.
pub trait Model: Send + Copied {
    /// The names of its flows. Electricity is in kWh, gas, water and air in m³, heat and cold in GJ, steam in t, goods in their own unit.
    /// What flows out of the model into its meter (generation) is negative.
    fn flows(&self) -> &'static [&'static str];

    /// Writes what flowed during the moment, one quantity per name. `demand` is what the things it feeds took in the same step, for
    /// models that feed some.
    fn step(&mut self, moment: &Moment, demand: f64, flows: &mut [f64]);

    /// The asset that holds its rooms' temperature, and the temperature, °C; none for what has no rooms or no asset.
    fn room(&self) -> Option<(&str, f64)> {
        None
    }

    /// What the programme builds is there from now on.
    fn commission(&mut self) {}

    /// Takes a measure from now on; false for a kind that is nothing to it.
    fn take(&mut self, _kind: Kind, _by: f64) -> bool {
        false
    }
}

/// A model as it stands now, once more.
pub trait Copied {
    fn copied(&self) -> Box<dyn Model>;
}

impl<M: Model + Clone + 'static> Copied for M {
    fn copied(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }
}
