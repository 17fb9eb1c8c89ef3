//! What the zone's meters show of a quarter of an hour, as far as it matters for batteries and charging.

use nengtan_fleet::physics::World;
use nengtan_fleet::zone::{Carrier, Channel, Direction, Zone};

use crate::domain::assets::{Asset, AssetKind};
use crate::store::planning::{HEAT, STATE_OF_CHARGE, WAITING};

/// What can take and give.
pub const STORAGES: [AssetKind; 2] = [AssetKind::Battery, AssetKind::V2g];
/// Ledger units: Wh in a kWh, litres in a m³.
const WH_PER_KWH: f64 = 1000.0;
const KJ_PER_KWH: f64 = 3600.0;

/// Positions of channels in what a step gives.
pub struct Meters {
    /// With their signs: what is bought at the zone's border.
    border: Vec<(usize, f64)>,
    sun: Vec<usize>,
    batteries: Vec<Vec<(usize, f64)>>,
    /// Of each battery its gauge.
    states: Vec<Option<usize>>,
    vehicles: Vec<Vec<(usize, f64)>>,
    /// Of each work the gauge of what waits.
    waiting: Vec<Option<usize>>,
    outdoor: Option<usize>,
    /// Gas of the stations that have a heat pump.
    gas: Vec<(usize, f64)>,
    /// What their stations make, of each heat pump.
    heat: Vec<Option<usize>>,
}

/// kWh of a quarter of an hour.
#[derive(Clone, Debug, Default)]
pub struct Quarter {
    /// Below 0 where the zone feeds in.
    pub bought_kwh: f64,
    pub sun_kwh: f64,
    pub batteries_kwh: Vec<f64>,
    pub vehicles_kwh: Vec<f64>,
    pub states_pct: Vec<f64>,
    pub waiting_kwh: Vec<f64>,
    pub outdoor_c: Option<f64>,
    /// m³ of the stations that have a heat pump.
    pub gas_m3: f64,
    /// What the stations of heat pumps made.
    pub heat_kwh: Vec<f64>,
    /// Truth that no meter shows.
    pub undelivered_kwh: f64,
}

impl Quarter {
    /// What was drawn besides batteries and vehicles, work as it was done.
    pub fn load_kwh(&self) -> f64 {
        self.bought_kwh + self.sun_kwh - self.batteries_kwh.iter().sum::<f64>() - self.vehicles_kwh.iter().sum::<f64>()
    }

    /// What is bought for that.
    pub fn net_kwh(&self) -> f64 {
        self.load_kwh() - self.sun_kwh
    }
}

impl Meters {
    pub fn of(zone: &Zone, assets: &[Asset]) -> Meters {
        let taken = |carrier: Carrier, wanted: &dyn Fn(&Channel) -> bool| -> Vec<(usize, f64)> {
            let sign = |channel: &Channel| match channel.direction {
                Direction::Import => 1.0,
                Direction::Export => -1.0,
                Direction::Generation | Direction::Made | Direction::Gauge => 0.0,
            };
            let found = zone.channels.iter().enumerate().filter(|(_, channel)| channel.carrier == carrier && channel.boundary);
            found
                .filter(|(_, channel)| wanted(channel))
                .map(|(index, channel)| (index, sign(channel)))
                .filter(|(_, sign)| *sign != 0.0)
                .collect()
        };
        let of_kind = |kind: AssetKind| assets.iter().filter(move |asset| asset.kind == kind);
        let own = |asset: &Asset| taken(Carrier::Electricity, &|channel| channel.entity == *asset.entity);
        let gauge =
            |asset: &Asset, item: &str| zone.channels.iter().position(|channel| channel.entity == *asset.entity && channel.item == item);
        let pumps: Vec<&Asset> = of_kind(AssetKind::HeatPump).collect();
        let generates = |channel: &Channel| channel.carrier == Carrier::Electricity && channel.direction == Direction::Generation;
        Meters {
            border: taken(Carrier::Electricity, &|channel| channel.parent.is_none()),
            sun: (0..zone.channels.len()).filter(|index| generates(&zone.channels[*index])).collect(),
            batteries: STORAGES.into_iter().flat_map(of_kind).map(own).collect(),
            states: STORAGES.into_iter().flat_map(of_kind).map(|asset| gauge(asset, STATE_OF_CHARGE)).collect(),
            vehicles: of_kind(AssetKind::EvCharging).map(own).collect(),
            waiting: of_kind(AssetKind::Batch).map(|asset| gauge(asset, WAITING)).collect(),
            outdoor: zone.channels.iter().position(|channel| channel.item == "outdoor_temperature_c"),
            heat: pumps.iter().map(|asset| gauge(asset, HEAT)).collect(),
            gas: taken(Carrier::NaturalGas, &|channel| pumps.iter().any(|pump| *pump.entity == channel.entity)),
        }
    }

    /// `flows` are what the world's last step gave: ledger units per channel.
    pub fn read(&self, flows: &[f64], world: &World) -> Quarter {
        let sum = |channels: &[(usize, f64)]| channels.iter().map(|(channel, sign)| flows[*channel] * sign / WH_PER_KWH).sum::<f64>();
        Quarter {
            bought_kwh: sum(&self.border),
            sun_kwh: self.sun.iter().map(|channel| flows[*channel] / WH_PER_KWH).sum(),
            batteries_kwh: self.batteries.iter().map(|channels| sum(channels)).collect(),
            vehicles_kwh: self.vehicles.iter().map(|channels| sum(channels)).collect(),
            states_pct: self.states.iter().map(|state| state.map_or(0.0, |channel| flows[channel])).collect(),
            waiting_kwh: self.waiting.iter().map(|gauge| gauge.map_or(0.0, |channel| flows[channel])).collect(),
            outdoor_c: self.outdoor.map(|channel| flows[channel]),
            gas_m3: sum(&self.gas),
            heat_kwh: self.heat.iter().map(|meter| meter.map_or(0.0, |channel| flows[channel] / KJ_PER_KWH)).collect(),
            undelivered_kwh: world.undelivered_kwh(),
        }
    }
}
