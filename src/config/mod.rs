//! Reads files into domain types and reports every fault of them at once.
//!
//! Nothing behind this module meets a value that it has not checked.

pub mod alerts_toml;
mod allocations_csv;
pub mod assets_toml;
pub mod broker;
pub mod calendar_csv;
pub mod check;
pub mod csv_file;
pub mod entities_geojson;
pub mod entries_csv;
mod factor_lists;
pub mod factors;
pub mod fault;
mod indicators_csv;
pub mod influx;
pub mod meter_links;
pub mod meters_csv;
mod named_set;
pub mod settings;
pub mod source_text;
pub mod supplies_csv;
#[cfg(test)]
mod tariff_cases;
pub mod tariffs;
pub mod toml_table;
#[cfg(test)]
mod zone_cases;
pub mod zone_folder;
pub mod zone_toml;
