//! The alerts that the published, in-order data owe (`docs/zone.md`).
//!
//! Sees readings in the order in which they were published and the ticks of the clock; older readings change nothing.

use crate::zone::AlertRules;

/// One alert. `since` is the first value's time (threshold), the newest reading's (stale) or the clock's (gateway); `raised` and `cleared` are the
/// times of the values that decided, or the clock's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub rule: String,
    pub subject: String,
    pub since_ms: i64,
    pub raised_ms: i64,
    pub cleared_ms: Option<i64>,
}

/// A threshold on one meter.
#[derive(Clone, Debug)]
pub struct Watch {
    pub rule: String,
    pub subject: String,
    pub raise_above: f64,
    pub clear_below: f64,
    pub hold_ms: i64,
    /// Values dated before this time are not looked at.
    pub live_from_ms: i64,
    pub state: State,
    pub seen_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Quiet,
    Pending {
        since_ms: i64,
    },
    /// Index into the alerts.
    Firing {
        alert: usize,
    },
}

impl Watch {
    /// A value dated `at_ms`; one that is not newer than the last, or of the history, is skipped.
    pub fn observe(&mut self, value: f64, at_ms: i64, alerts: &mut Vec<Alert>) {
        if at_ms <= self.seen_ms || at_ms < self.live_from_ms {
            return;
        }
        self.seen_ms = at_ms;
        let above = self.raise_above < value;
        self.state = match self.state {
            State::Firing { alert } if value < self.clear_below => {
                alerts[alert].cleared_ms = Some(at_ms);
                State::Quiet
            }
            State::Firing { alert } => State::Firing { alert },
            State::Quiet | State::Pending { .. } if !above => State::Quiet,
            State::Quiet => self.hold(at_ms, at_ms, alerts),
            State::Pending { since_ms } => self.hold(since_ms, at_ms, alerts),
        };
    }

    fn hold(&self, since_ms: i64, at_ms: i64, alerts: &mut Vec<Alert>) -> State {
        if at_ms - since_ms < self.hold_ms {
            return State::Pending { since_ms };
        }
        alerts.push(Alert { rule: self.rule.clone(), subject: self.subject.clone(), since_ms, raised_ms: at_ms, cleared_ms: None });
        State::Firing { alert: alerts.len() - 1 }
    }
}

/// Staleness of meters and the connection of their gateways.
#[derive(Clone)]
pub struct Presence {
    stale: Option<(String, i64)>,
    gateway_rule: Option<String>,
    live_from_ms: i64,
    meters: Vec<MeterPresence>,
    gateways: Vec<GatewayPresence>,
}

#[derive(Clone)]
struct MeterPresence {
    id: String,
    gateway: usize,
    newest_ms: Option<i64>,
    alert: Option<usize>,
}

#[derive(Clone)]
struct GatewayPresence {
    id: String,
    online: bool,
    alert: Option<usize>,
    cleared_ms: i64,
}

impl Presence {
    /// `meters` are ids with the index of their gateway.
    #[must_use]
    pub fn new(rules: &AlertRules, meters: &[(&str, usize)], gateways: &[String], live_from_ms: i64) -> Presence {
        let meter = |&(id, gateway): &(&str, usize)| MeterPresence { id: id.to_owned(), gateway, newest_ms: None, alert: None };
        let gateway = |id: &String| GatewayPresence { id: id.clone(), online: true, alert: None, cleared_ms: i64::MIN / 2 };
        Presence {
            stale: rules.stale.as_ref().map(|stale| (stale.rule.clone(), stale.after_ms)),
            gateway_rule: rules.gateway.clone(),
            live_from_ms,
            meters: meters.iter().map(meter).collect(),
            gateways: gateways.iter().map(gateway).collect(),
        }
    }

    /// The newest device time published of a meter.
    #[must_use]
    pub fn newest(&self, meter: usize) -> Option<i64> {
        self.meters[meter].newest_ms
    }

    pub fn observe(&mut self, meter: usize, at_ms: i64, alerts: &mut [Alert]) {
        let meter = &mut self.meters[meter];
        if meter.newest_ms.is_none_or(|newest| newest < at_ms) {
            meter.newest_ms = Some(at_ms);
            if let Some(alert) = meter.alert.take() {
                alerts[alert].cleared_ms = Some(at_ms);
            }
        }
    }

    /// The gateway's status became `online` or `offline` while the clock stood at `now_ms`.
    pub fn connect(&mut self, gateway: usize, online: bool, now_ms: i64, alerts: &mut Vec<Alert>) {
        self.gateways[gateway].online = online;
        self.watch_gateway(gateway, now_ms, alerts);
    }

    pub fn tick(&mut self, now_ms: i64, alerts: &mut Vec<Alert>) {
        for gateway in 0..self.gateways.len() {
            self.watch_gateway(gateway, now_ms, alerts);
        }
        let Some((rule, after_ms)) = self.stale.clone() else { return };
        let stale: Vec<bool> = self.meters.iter().map(|meter| self.is_stale(meter, now_ms)).collect();
        for (meter, is_stale) in self.meters.iter_mut().zip(stale) {
            let gateway = &self.gateways[meter.gateway];
            let hidden = gateway.alert.is_some() || now_ms <= gateway.cleared_ms + after_ms;
            let Some(newest_ms) = meter.newest_ms.filter(|_| meter.alert.is_none() && !hidden && is_stale) else { continue };
            alerts.push(Alert { rule: rule.clone(), subject: meter.id.clone(), since_ms: newest_ms, raised_ms: now_ms, cleared_ms: None });
            meter.alert = Some(alerts.len() - 1);
        }
    }

    /// Silent for longer than the rule allows, since its newest reading or since the live part began.
    fn is_stale(&self, meter: &MeterPresence, now_ms: i64) -> bool {
        let silent_ms = meter.newest_ms.map(|newest| now_ms - newest.max(self.live_from_ms));
        self.stale.as_ref().zip(silent_ms).is_some_and(|((_, after_ms), silent_ms)| *after_ms < silent_ms)
    }

    /// Fires while the gateway is offline, or while all of its meters (two or more) are stale.
    fn watch_gateway(&mut self, gateway: usize, now_ms: i64, alerts: &mut Vec<Alert>) {
        let own = || self.meters.iter().filter(|meter| meter.gateway == gateway);
        let all_stale = own().count() >= 2 && own().all(|meter| self.is_stale(meter, now_ms));
        let fires = !self.gateways[gateway].online || all_stale;
        self.show_gateway(gateway, fires, now_ms, alerts);
    }

    fn show_gateway(&mut self, gateway: usize, fires: bool, now_ms: i64, alerts: &mut Vec<Alert>) {
        let (Some(rule), gateway) = (&self.gateway_rule, &mut self.gateways[gateway]) else {
            return;
        };
        match (gateway.alert, fires) {
            (None, true) => {
                alerts.push(Alert {
                    rule: rule.clone(),
                    subject: gateway.id.clone(),
                    since_ms: now_ms,
                    raised_ms: now_ms,
                    cleared_ms: None,
                });
                gateway.alert = Some(alerts.len() - 1);
            }
            (Some(alert), false) => {
                alerts[alert].cleared_ms = Some(now_ms);
                gateway.alert = None;
                gateway.cleared_ms = now_ms;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_fires_after_its_hold_and_clears_below_its_clear_level() {
        /// Claim, hold, values with their times, alerts as (since, raised, cleared).
        type Case = (&'static str, i64, &'static [(i64, f64)], &'static [(i64, i64, Option<i64>)]);
        let cases: [Case; 5] = [
            ("a short spike never fires", 60, &[(0, 900.0), (59, 600.0), (60, 900.0)], &[]),
            ("held long enough it fires", 60, &[(1, 900.0), (61, 900.0)], &[(1, 61, None)]),
            ("between the levels it keeps firing", 60, &[(1, 900.0), (61, 900.0), (90, 750.0), (99, 699.0)], &[(1, 61, Some(99))]),
            ("without a hold the first value fires", 0, &[(5, 801.0)], &[(5, 5, None)]),
            ("an older value is skipped", 0, &[(5, 1.0), (4, 900.0)], &[]),
        ];
        for (claim, hold_ms, values, expected) in cases {
            let mut watch = Watch {
                rule: "r".to_owned(),
                subject: "m".to_owned(),
                raise_above: 800.0,
                clear_below: 700.0,
                hold_ms,
                live_from_ms: 0,
                state: State::Quiet,
                seen_ms: i64::MIN,
            };
            let mut alerts = Vec::new();
            for (at_ms, value) in values {
                watch.observe(*value, *at_ms, &mut alerts);
            }
            let seen: Vec<_> = alerts.iter().map(|alert| (alert.since_ms, alert.raised_ms, alert.cleared_ms)).collect();
            assert_eq!(seen, expected, "{claim}");
        }
    }
}
