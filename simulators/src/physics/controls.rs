//! What the regulation has set: one set point per asset, in the asset's unit. Without one an asset follows its plan.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub struct Controls(BTreeMap<String, f64>);

impl Controls {
    pub fn set(&mut self, asset: &str, set_point: f64) {
        self.0.insert(asset.to_owned(), set_point);
    }

    /// Back to the asset's plan.
    pub fn clear(&mut self, asset: &str) {
        self.0.remove(asset);
    }

    #[must_use]
    pub fn set_point(&self, asset: Option<&str>) -> Option<f64> {
        self.0.get(asset?).copied()
    }
}
