//! What the collector tells once a batch is committed: log lines, retained alerts, requests to gateways, lock-step.
//!
//! Never tells what is not in the ledger. Invariant: what waits for the broker is bounded.

use std::collections::VecDeque;

use tracing::{debug, warn};

use super::{CollectError, Shell, alert_line, wall_now};
use crate::alerts::Change;
use crate::engine::Effects;
use crate::mqtt::Publication;
use crate::store::history::Packed;
use crate::wire::{encode, topic};

/// Publications that wait; beyond, the oldest go.
const PUBLICATIONS_MAX: usize = 100_000;

impl Shell {
    pub(super) fn tell_of_packing(packed: Packed) {
        if let Some(day) = packed.left {
            metrics::counter!("nengtan_history_days_unpacked_total").increment(1);
            warn!(
                day = encode::rfc3339(day, &jiff::tz::TimeZone::UTC),
                "this day's history is not packed, nor does it leave by [keep]: it has too many readings that each have a moment of their own; let meters read at common moments, as on whole minutes"
            );
        }
    }

    pub(super) fn tell(&mut self, effects: Effects) {
        let zone = self.engine.zone();
        let tz = &zone.profile().time_zone;
        for (rejection, more) in effects.rejections {
            metrics::counter!("nengtan_refused_total", "reason" => rejection.reason()).increment(more + 1);
            warn!(reason = rejection.reason(), %rejection, more, "refused");
        }
        for (book, year) in effects.changed_factors {
            let carrier = book.carrier().as_str();
            warn!(
                carrier,
                year,
                "the ledger goes on with the factors it began this year with; the zone folder now says others, `nengtan restate` takes them over"
            );
        }
        let now = self.engine.now(wall_now());
        for transition in effects.transitions {
            metrics::counter!("nengtan_alert_changes_total", "state" => transition.change.state()).increment(1);
            alert_line::log(&transition, now, tz);
            let topic = topic::alert(zone.id(), &transition.rule, &transition.subject);
            Self::publish(&mut self.publications, topic, alert_line::message(&transition, tz), true);
        }
        for ask in effects.asks {
            debug!(gateway = %ask.gateway, meter = %ask.meter, from = %encode::rfc3339(ask.from, tz), "asking for missing readings");
            let payload = encode::backfill(&ask.meter, ask.from, ask.to, tz);
            Self::publish(&mut self.publications, topic::backfill(zone.id(), &ask.gateway), payload, false);
        }
        for (asset, order) in effects.commands {
            let (topic, payload) = self.engine.command(asset, &order);
            metrics::counter!("nengtan_commands_total").increment(1);
            debug!(topic, id = order.id, value = order.value, reason = order.reason, "command");
            Self::publish(&mut self.publications, topic, payload, false);
        }
        if let Some(now) = effects.done {
            Self::publish(&mut self.publications, topic::clock_done(zone.id()), encode::clock_done(now, tz), false);
        }
    }

    /// A broker without our session may have lost what it retained and the requests that waited there: alerts that fire and open requests go out again.
    pub(super) fn tell_again(&mut self) -> Result<(), CollectError> {
        self.commit()?;
        let zone = self.engine.zone();
        let tz = &zone.profile().time_zone;
        for alert in self.engine.store().firing_alerts()? {
            let message = encode::Alert {
                rule: &alert.rule,
                subject: &alert.subject,
                state: Change::Raised.state(),
                severity: &alert.severity,
                value: alert.value,
                limit: alert.limit,
                since: encode::rfc3339(alert.since, tz),
                at: encode::rfc3339(alert.raised, tz),
            };
            let topic = topic::alert(zone.id(), &alert.rule, &alert.subject);
            Self::publish(&mut self.publications, topic, encode::alert(&message), true);
        }
        Ok(self.engine.ask_again()?)
    }

    fn publish(publications: &mut VecDeque<Publication>, topic: String, payload: Vec<u8>, retain: bool) {
        if publications.len() == PUBLICATIONS_MAX {
            publications.pop_front();
            warn!(waiting = PUBLICATIONS_MAX, "too much waits for the broker; the oldest publication goes");
        }
        publications.push_back(Publication { topic, payload, retain });
    }
}
