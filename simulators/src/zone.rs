//! The zone folder as the fleet reads it (`docs/zone.md`). Shares the document with the collector, never code.

/// What a channel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    Electricity,
    NaturalGas,
    Heat,
    Steam,
    Water,
    Production,
    Weather,
}

/// Sign and meaning of a channel's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Import,
    Export,
    Generation,
    Made,
    Gauge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Entry,
    Unit,
    Equipment,
}

/// A parcel, building or asset on the map.
#[derive(Clone, Debug)]
pub struct Entity {
    pub id: String,
    pub name_en: String,
    pub name_zh: String,
    pub kind: String,
    pub industry: Option<String>,
    pub parent: Option<String>,
    pub floor_area_m2: Option<f64>,
    pub output_cny_per_year: Option<f64>,
    pub head_count: Option<f64>,
}

/// One line of `meters.csv` that stands for a real device (virtual meters are left out).
#[derive(Clone, Debug)]
pub struct Channel {
    pub meter: String,
    pub item: String,
    pub entity: String,
    pub parent: Option<String>,
    pub level: Level,
    pub boundary: bool,
    pub carrier: Carrier,
    pub direction: Direction,
    /// Ledger units (Wh, kJ, litre, gram, piece) in one of the display's units, before the multiplier; 1 for a gauge.
    pub ledger_per_unit: i64,
    /// The register's smallest step in ledger units after the multiplier; 0 for a gauge.
    pub step: i64,
    /// CT × PT.
    pub multiplier: f64,
    /// Digits after the decimal point of the display.
    pub decimals: u32,
    /// Full scale in ledger units after the multiplier; 0 for a gauge.
    pub full: i64,
    /// Largest possible flow in ledger units per hour after the multiplier; 0 for a gauge.
    pub rating_per_h: i64,
    pub serial: String,
    pub valid_from_ms: i64,
    pub gateway: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayType {
    Workday,
    Saturday,
    /// Sunday or public holiday.
    Rest,
}

/// A zone folder, validated.
#[derive(Clone, Debug)]
pub struct Zone {
    pub id: String,
    pub folder: std::path::PathBuf,
    pub tz: jiff::tz::TimeZone,
    pub latitude: f64,
    pub longitude: f64,
    pub interval_ms: i64,
    pub history_interval_ms: i64,
    pub live_from_ms: Option<i64>,
    pub entities: Vec<Entity>,
    pub channels: Vec<Channel>,
    /// Exceptions to the day of the week.
    pub calendar: std::collections::HashMap<jiff::civil::Date, DayType>,
    /// Megajoules per metered cubic metre of natural gas.
    pub gas_mj_per_m3: f64,
    /// Kilojoules per kilogram of steam.
    pub steam_kj_per_kg: f64,
}

impl Zone {
    /// Local civil time of an instant.
    #[must_use]
    pub fn local(&self, at_ms: i64) -> jiff::civil::DateTime {
        let at = jiff::Timestamp::from_millisecond(at_ms).expect("simulated times lie within jiff's range");
        self.tz.to_datetime(at)
    }

    /// The day type of a local date.
    #[must_use]
    pub fn day_type(&self, date: jiff::civil::Date) -> DayType {
        self.calendar.get(&date).copied().unwrap_or(match date.weekday() {
            jiff::civil::Weekday::Saturday => DayType::Saturday,
            jiff::civil::Weekday::Sunday => DayType::Rest,
            _ => DayType::Workday,
        })
    }
}
