//! A changed zone folder takes the place of the one that an engine was opened with.
//!
//! The engine is made anew from its store, as a restart makes it, so there is one way in for a folder. Invariant: what would change the meaning of figures
//! that are there already is refused before anything is touched.

use std::path::Path;

use super::{Engine, EngineError};
use crate::accounting::YearFactors;
use crate::alerts::{BROKER_RULE, Change, OUTBOX_RULE, RESULT_RULE, Transition};
use crate::claims::watch;
use crate::domain::alert_rules::{AlertRules, RuleHead, Severity, ThresholdRule};
use crate::domain::channel::{Channel, ChannelId};
use crate::domain::factors::{FactorSet, MissingFactor};
use crate::domain::tariff::Tariff;
use crate::domain::zone::Zone;
use crate::store::alerts::Firing;
use crate::store::scale::Scale;

/// Why a running collector goes on with the folder that it has.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Unwelcome {
    #[error("{key} in zone.toml has changed, and the ledger was made with the old one; put it back, or begin another ledger with --data")]
    Key { key: &'static str },
    #[error(
        "register {item} of meter {meter} is gone from meters.csv, and its part of all earlier sums would go with it; put its line back, or restart the collector if that is meant"
    )]
    Meter { meter: String, item: String },
    #[error(
        "register {item} of meter {meter} was read at {seen:?} {unit} per unit of its display, and by the multiplier in meters.csv it is {wanted:?}: one register would \
         have two scales; put the multiplier back; a device or transformer that was exchanged gets a line of its own under a new meter id, beside the old one"
    )]
    Scale { meter: String, item: String, unit: &'static str, seen: f64, wanted: f64 },
    #[error(transparent)]
    Factor(#[from] MissingFactor),
}

/// Refuses another scale for a register that was read; `read_by` gives meter, item and the scale of each.
pub(super) fn refuse_other_scale<'r>(zone: &Zone, read_by: impl Iterator<Item = (&'r str, &'r str, Scale)>) -> Result<(), Unwelcome> {
    for (meter, item, seen) in read_by {
        let Some(register) = zone.channel_of(meter, item).and_then(Channel::register) else { continue };
        let wanted = register.ledger_per_unit();
        if seen != wanted {
            let number = |(mantissa, decimals): Scale| mantissa as f64 / 10_f64.powi(decimals.cast_signed());
            return Err(Unwelcome::Scale {
                meter: meter.to_owned(),
                item: item.to_owned(),
                unit: register.ledger_unit().as_str(),
                seen: number(seen),
                wanted: number(wanted),
            });
        }
    }
    Ok(())
}

impl Engine {
    /// Whether the ledger can go on with another version of its zone's folder.
    pub fn welcomes(&self, zone: &Zone, factors: &FactorSet) -> Result<(), Unwelcome> {
        let (old, new) = (self.zone.profile(), zone.profile());
        let keys = [
            ("id", old.id == new.id),
            ("clock", old.clock == new.clock),
            ("time_zone", old.time_zone == new.time_zone),
            ("interval_minutes", old.interval_ms == new.interval_ms),
            ("gwp", old.gwp == new.gwp),
        ];
        if let Some((key, _)) = keys.into_iter().find(|(_, same)| !same) {
            return Err(Unwelcome::Key { key });
        }
        for channel in self.zone.channels().iter().filter(|channel| channel.register().is_some()) {
            let meter = &self.zone.meter(channel.meter).id;
            let same = |id: &ChannelId| {
                let new = zone.channel(*id);
                new.item == channel.item && new.register().is_some()
            };
            if !zone.meter_of(meter).is_some_and(|meter| zone.meter(meter).channels.iter().any(same)) {
                return Err(Unwelcome::Meter { meter: meter.to_string(), item: channel.item.to_string() });
            }
        }
        let read = self.registers.iter().filter(|register| register.first.is_some()).filter_map(|register| {
            let channel = self.zone.channel(register.id);
            Some((&*self.zone.meter(channel.meter).id, &*channel.item, channel.register()?.ledger_per_unit()))
        });
        refuse_other_scale(zone, read)?;
        Ok(YearFactors::find_every(factors, zone)?)
    }

    /// The engine over the same ledger with another version of the zone's folder. The batch is committed and settled. An error is the store's.
    pub fn reload(self, folder: &Path, zone: Zone, accounts: (FactorSet, Tariff), rules: AlertRules) -> Result<Engine, EngineError> {
        let ids = self.zone.gateways().iter().map(|gateway| gateway.id.clone());
        let heard: Vec<Box<str>> = ids.zip(&self.statuses).filter(|(_, heard)| **heard).map(|(id, _)| id).collect();
        let Engine { store, wall, fed, next, heard_from, regulation, .. } = self;
        let mut engine = Engine::over(store, folder, zone, accounts, rules, wall)?;
        engine.fed = fed;
        engine.next = next;
        engine.set_regulation(regulation.is_on());
        engine.heard_from = engine.heard_from.max(heard_from);
        for gateway in heard {
            if let Some(index) = engine.zone.gateway_of(&gateway) {
                engine.statuses[index.0 as usize] = true;
            }
        }
        Ok(engine)
    }

    /// Ends alerts whose rule or subject is no more: nothing would ever clear them.
    pub(super) fn end_ownerless_alerts(&mut self) -> Result<(), EngineError> {
        let now = self.now(self.wall);
        for alert in self.store.firing_alerts()? {
            if self.owns(&alert) {
                continue;
            }
            self.batch.transitions.push(Transition {
                rule: alert.rule.into(),
                subject: alert.subject.into(),
                severity: Severity::from_name(&alert.severity).unwrap_or(Severity::Warning).as_str(),
                change: Change::Cleared,
                value: alert.value,
                limit: alert.limit,
                since: alert.since,
                at: now,
            });
        }
        Ok(())
    }

    fn owns(&self, Firing { rule, subject, .. }: &Firing) -> bool {
        let is = |head: &RuleHead| *head.id == **rule;
        let meter = self.zone.meter_of(subject);
        let threshold = |known: &ThresholdRule| is(&known.head) && known.subjects.iter().any(|of| of.watched.id(&self.zone) == subject);
        [BROKER_RULE, OUTBOX_RULE].contains(&rule.as_str())
            || watch::is_of_savings(rule)
            || (rule == RESULT_RULE && self.zone.assets().iter().any(|asset| *asset.id == **subject))
            || self.rules.thresholds.iter().any(threshold)
            || self.rules.stale.as_ref().is_some_and(|known| is(&known.head) && meter.is_some())
            || self.rules.gateway.as_ref().is_some_and(|known| is(&known.head) && self.zone.gateway_of(subject).is_some())
    }

    /// Asks once more for what gateways were asked for and have not sent: a broker that has lost the session has lost the requests, too.
    pub fn ask_again(&mut self) -> Result<(), EngineError> {
        self.asked.clear();
        self.restore_gaps()
    }
}
