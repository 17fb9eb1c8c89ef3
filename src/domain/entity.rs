//! Who uses energy: parcels, buildings and plants of the zone, and the residual nobody's meter explains.

/// Position in [`super::zone::Zone::entities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityIndex(pub u32);

#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    pub id: Box<str>,
    pub name_en: Box<str>,
    pub name_zh: Box<str>,
    pub kind: EntityKind,
    pub industry: Option<Box<str>>,
    pub parent: Option<EntityIndex>,
    pub floor_area_m2: Option<f64>,
    pub output_cny_per_year: Option<f64>,
    pub head_count: Option<f64>,
    pub product_unit: Option<Box<str>>,
    /// Listed as a key energy-using unit (重点用能单位).
    pub key_unit: bool,
}

/// An enum whose variants have a name in files.
macro_rules! named {
    ($(#[$attribute:meta])* $name:ident { $($(#[$variant_attribute:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_attribute])* $variant),*
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }

            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }
    };
}
pub(crate) use named;

named! {
    EntityKind {
        Factory = "factory",
        ProductionLine = "production_line",
        Biopharma = "biopharma",
        Office = "office",
        Hospital = "hospital",
        School = "school",
        DataCentre = "data_centre",
        Shop = "shop",
        Hotel = "hotel",
        Residential = "residential",
        EvCharging = "ev_charging",
        EnergyStation = "energy_station",
        Photovoltaic = "photovoltaic",
        Battery = "battery",
        GreenSpace = "green_space",
        Public = "public",
        Other = "other",
        /// Not a kind of the map: what the zone's own feeders measure and do not pass on.
        Residual = "residual",
    }
}
