//! Follows what is published and knows which alerts it owes: thresholds on gauges and interval means, stale meters, gateways.

use crate::keyed::Key;
use crate::log::{Index, MeterLog};
use crate::payload;
use crate::roster::{FlowGauge, Meter, Roster};
use crate::truth::alerts::{Alert, Presence, State, Watch};
use crate::truth::means::{Mean, Means};
use crate::truth::{Limits, Swap};
use crate::window::Window;
use crate::zone::{AlertRules, Channel, Limit, Quantity, Threshold, Zone};

#[derive(Clone)]
pub struct Vigil {
    pub alerts: Vec<Alert>,
    presence: Presence,
    /// Per meter.
    watches: Vec<Vec<Watched>>,
    key: Key,
}

#[derive(Clone)]
struct Watched {
    watch: Watch,
    source: Source,
}

/// Where a watch takes its values from.
#[derive(Clone)]
enum Source {
    Flow,
    PowerFactor,
    /// Slot of a gauge channel.
    Gauge(usize),
    /// Slot of a register, and ledger units per hour in a kilowatt.
    Mean {
        slot: usize,
        means: Box<Means>,
        ledger_per_h: f64,
    },
}

impl Vigil {
    #[must_use]
    pub fn new(zone: &Zone, rules: &AlertRules, roster: &Roster, window: &Window, key: Key) -> Vigil {
        let meters: Vec<(&str, usize)> = roster.meters.iter().map(|meter| (meter.id.as_str(), meter.gateway)).collect();
        let live_from_ms = zone.live_from_ms.unwrap_or(window.start_ms);
        let watches = |meter: &Meter| rules.thresholds.iter().flat_map(|rule| watched(zone, meter, rule, live_from_ms)).collect();
        Vigil {
            alerts: Vec::new(),
            presence: Presence::new(rules, &meters, &roster.gateways, live_from_ms),
            watches: roster.meters.iter().map(watches).collect(),
            key,
        }
    }

    /// The newest device time published of a meter.
    #[must_use]
    pub fn newest(&self, meter: usize) -> Option<i64> {
        self.presence.newest(meter)
    }

    /// A reading was published.
    pub fn observe(&mut self, meter: usize, roster: &Meter, log: &MeterLog, index: Index) {
        let (position, at_ms) = (index as usize, log.at[index as usize]);
        if self.presence.newest(meter).is_some_and(|newest| at_ms <= newest) {
            return;
        }
        self.presence.observe(meter, at_ms, &mut self.alerts);
        for Watched { watch, source } in &mut self.watches[meter] {
            let thousandths = match source {
                Source::Flow => log.flow_of(index),
                Source::PowerFactor => log.flow_of(index).map(|flow| payload::power_factor(self.key, roster, at_ms, flow)),
                Source::Gauge(slot) => log.gauges[*slot].get(position).copied(),
                Source::Mean { slot, means, ledger_per_h } => {
                    let closed = means.read(at_ms, log.registers[*slot].shown[position]);
                    observe_means(watch, &closed, *ledger_per_h, &mut self.alerts);
                    None
                }
            };
            if let Some(thousandths) = thousandths {
                watch.observe(thousandths as f64 / 1000.0, at_ms, &mut self.alerts);
            }
        }
    }

    /// A swap was declared.
    pub fn swap(&mut self, meter: usize, swap: &Swap) {
        for Watched { watch, source } in &mut self.watches[meter] {
            if let Source::Mean { slot, means, ledger_per_h } = source {
                let closed = means.swap(swap.at_ms, swap.closing[*slot], swap.opening[*slot]);
                observe_means(watch, &closed, *ledger_per_h, &mut self.alerts);
            }
        }
    }

    pub fn connect(&mut self, gateway: usize, online: bool, now_ms: i64) {
        self.presence.connect(gateway, online, now_ms, &mut self.alerts);
    }

    pub fn tick(&mut self, now_ms: i64) {
        self.presence.tick(now_ms, &mut self.alerts);
    }
}

fn observe_means(watch: &mut Watch, means: &[Mean], ledger_per_h: f64, alerts: &mut Vec<Alert>) {
    // An interval of the history ends no later than the live part begins.
    let live_from_ms = watch.live_from_ms;
    for mean in means.iter().filter(|mean| live_from_ms < mean.end_ms) {
        watch.observe(mean.per_h / ledger_per_h, mean.end_ms, alerts);
    }
}

fn watched(zone: &Zone, meter: &Meter, rule: &Threshold, live_from_ms: i64) -> Vec<Watched> {
    let sources: Vec<(Source, usize)> = match rule.on {
        Quantity::Gauge => gauge_source(zone, meter, &rule.item).into_iter().collect(),
        Quantity::IntervalMean => mean_sources(zone, meter, &rule.item),
    };
    let matching = sources.into_iter().filter(|(_, channel)| matches(rule, &zone.channels[*channel]));
    matching.map(|(source, channel)| Watched { watch: watch(rule, &zone.channels[channel], live_from_ms), source }).collect()
}

fn gauge_source(zone: &Zone, meter: &Meter, item: &str) -> Option<(Source, usize)> {
    if let Some(slot) = meter.gauges.iter().position(|channel| zone.channels[*channel].item == item) {
        return Some((Source::Gauge(slot), meter.gauges[slot]));
    }
    let (flow, channel) = (meter.flow?, *meter.registers.first()?);
    match item {
        "power_factor" if flow.with_power_factor => Some((Source::PowerFactor, channel)),
        item if item == flow.item => Some((Source::Flow, channel)),
        _ => None,
    }
}

fn mean_sources(zone: &Zone, meter: &Meter, item: &str) -> Vec<(Source, usize)> {
    let slots = meter.registers.iter().enumerate().filter(|(_, channel)| zone.channels[**channel].item == item);
    slots
        .map(|(slot, &channel)| {
            let channel_of = &zone.channels[channel];
            let means = Box::new(Means::new(Limits::of(channel_of), zone.interval_ms));
            (Source::Mean { slot, means, ledger_per_h: ledger_per_h(channel_of) }, channel)
        })
        .collect()
}

fn ledger_per_h(channel: &Channel) -> f64 {
    FlowGauge::of(channel.carrier).map_or(channel.ledger_per_unit as f64, |flow| flow.ledger_per_h)
}

fn matches(rule: &Threshold, channel: &Channel) -> bool {
    let listed = |list: &[String], id: &String| list.is_empty() || list.contains(id);
    rule.level.is_none_or(|level| level == channel.level)
        && rule.carrier.is_none_or(|carrier| carrier == channel.carrier)
        && listed(&rule.meters, &channel.meter)
        && listed(&rule.entities, &channel.entity)
}

fn watch(rule: &Threshold, channel: &Channel, live_from_ms: i64) -> Watch {
    let rating = channel.rating_per_h as f64 / ledger_per_h(channel);
    let level = |limit| match limit {
        Limit::Value(value) => value,
        Limit::Rating(share) => share * rating,
    };
    Watch {
        rule: rule.rule.clone(),
        subject: channel.meter.clone(),
        raise_above: level(rule.raise_above),
        clear_below: level(rule.clear_below),
        hold_ms: rule.hold_ms,
        live_from_ms,
        state: State::Quiet,
        seen_ms: i64::MIN,
    }
}
