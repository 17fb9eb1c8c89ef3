//! The zone's channels grouped into meters, and meters into gateways.

use std::collections::HashMap;

use crate::zone::{Carrier, Channel, Direction, Zone};

#[derive(Clone)]
pub struct Roster {
    pub gateways: Vec<String>,
    /// In the order of `meters.csv`.
    pub meters: Vec<Meter>,
}

#[derive(Clone)]
pub struct Meter {
    pub id: String,
    pub gateway: usize,
    /// Reads nothing before this time.
    pub valid_from_ms: i64,
    /// Indices into the zone's channels.
    pub registers: Vec<usize>,
    /// Indices into the zone's channels of direction `gauge`.
    pub gauges: Vec<usize>,
    pub flow: Option<FlowGauge>,
}

/// The conventional gauge that goes beside a register (`docs/wire.md`).
#[derive(Clone, Copy, Debug)]
pub struct FlowGauge {
    pub item: &'static str,
    /// Ledger units per hour in one of the gauge's units.
    pub ledger_per_h: f64,
    pub with_power_factor: bool,
}

impl Roster {
    #[must_use]
    pub fn new(zone: &Zone) -> Roster {
        let mut roster = Roster { gateways: Vec::new(), meters: Vec::new() };
        let mut by_id: HashMap<&str, usize> = HashMap::new();
        let mut by_gateway: HashMap<&str, usize> = HashMap::new();
        for (index, channel) in zone.channels.iter().enumerate() {
            let gateway = *by_gateway.entry(&channel.gateway).or_insert_with(|| {
                roster.gateways.push(channel.gateway.clone());
                roster.gateways.len() - 1
            });
            let meter = *by_id.entry(&channel.meter).or_insert_with(|| {
                let valid_from_ms = channel.valid_from_ms;
                roster.meters.push(Meter {
                    id: channel.meter.clone(),
                    gateway,
                    valid_from_ms,
                    registers: Vec::new(),
                    gauges: Vec::new(),
                    flow: None,
                });
                roster.meters.len() - 1
            });
            roster.meters[meter].add(index, channel);
        }
        roster
    }

    #[must_use]
    pub fn meter_of(&self, id: &str) -> Option<usize> {
        self.meters.iter().position(|meter| meter.id == id)
    }
}

impl Meter {
    fn add(&mut self, index: usize, channel: &Channel) {
        self.valid_from_ms = self.valid_from_ms.max(channel.valid_from_ms);
        if channel.direction == Direction::Gauge {
            self.gauges.push(index);
        } else {
            self.registers.push(index);
            self.flow = self.flow.or(FlowGauge::of(channel.carrier));
        }
    }
}

impl FlowGauge {
    #[must_use]
    pub fn of(carrier: Carrier) -> Option<FlowGauge> {
        let (item, ledger_per_h) = match carrier {
            Carrier::Electricity => ("active_power_kw", 1000.0),
            Carrier::NaturalGas | Carrier::Water => ("flow_m3_h", 1000.0),
            Carrier::Heat => ("thermal_power_kw", 3600.0),
            Carrier::Steam => ("mass_flow_t_h", 1_000_000.0),
            Carrier::Production | Carrier::Weather => return None,
        };
        Some(FlowGauge { item, ledger_per_h, with_power_factor: carrier == Carrier::Electricity })
    }
}
