//! `alerts.toml`: rules, and the meters each one matches.
//!
//! Residuals and virtual meters are watched where a rule names them, by their interval means: nobody publishes gauges of them.

use rustc_hash::FxHashSet;

use super::fault::{Fault, ID_REMEDY, ID_WANTED, is_id, joined};
use super::toml_table::{Cell, Table, TomlFile};
use crate::domain::alert_rules::{
    AlertRules, GatewayRule, RuleHead, Severity, Signal, StaleRule, ThresholdRule, ThresholdSubject, Watched, ledger_per_gauge,
    ledger_per_mean,
};
use crate::domain::channel::{Carrier, Channel, Level, MeterIndex};
use crate::domain::decimal::{Decimal, DecimalError};
use crate::domain::tree::PartKind;
use crate::domain::units::SECOND_MS;
use crate::domain::zone::Zone;

const HOLD_S_MAX: i64 = 366 * 86_400;

/// The rules, resolved for the zone if it is known; without one only the file itself is checked.
#[must_use]
pub fn read(text: &str, zone: Option<&Zone>) -> (AlertRules, Vec<Fault>) {
    let (mut file, mut root) = TomlFile::parse("alerts.toml", text);
    let mut rules = AlertRules::default();
    let mut ids: Vec<String> = Vec::new();
    let thresholds = file.optional(&mut root, "threshold").and_then(|cell| file.array(cell)).unwrap_or_default();
    for table in thresholds {
        let Some(table) = file.table(table) else { continue };
        if let Some(draft) = read_threshold(&mut file, table, &mut ids)
            && let Some(zone) = zone
        {
            rules.thresholds.extend(resolve(&mut file, draft, zone));
        }
    }
    if let Some(mut table) = file.optional(&mut root, "stale").and_then(|cell| file.table(cell)) {
        let head = read_head(&mut file, &mut table, &mut ids, false);
        let after_s = file.needed(&mut table, "after_s").and_then(|cell| file.integer(&cell, 1, HOLD_S_MAX));
        file.no_more(table);
        rules.stale = head.zip(after_s).map(|(head, after_s)| StaleRule { head, after_ms: after_s * SECOND_MS });
    }
    if let Some(mut table) = file.optional(&mut root, "gateway").and_then(|cell| file.table(cell)) {
        rules.gateway = read_head(&mut file, &mut table, &mut ids, false).map(|head| GatewayRule { head });
        file.no_more(table);
    }
    file.no_more(root);
    (rules, file.faults)
}

/// A threshold before its meters are looked up.
struct Draft<'t> {
    head: RuleHead,
    on: Signal,
    item: Cell<'t>,
    item_name: String,
    level: Option<Level>,
    carrier: Option<Carrier>,
    meters: Option<Vec<(Cell<'t>, String)>>,
    entities: Option<Vec<(Cell<'t>, String)>>,
    raise: Limit<'t>,
    clear: Limit<'t>,
    hold_ms: i64,
}

/// A level as written.
struct Limit<'t> {
    cell: Cell<'t>,
    value: Decimal,
    of_rating: bool,
}

fn read_head(file: &mut TomlFile, table: &mut Table<'_>, ids: &mut Vec<String>, named: bool) -> Option<RuleHead> {
    let id = file.needed(table, "rule").and_then(|cell| read_rule_id(file, &cell, ids));
    let mut name = |key| {
        let cell = if named { file.needed(table, key) } else { file.optional(table, key) };
        cell.and_then(|cell| file.text(&cell)).or_else(|| id.clone().filter(|_| !named))
    };
    let (name_en, name_zh) = (name("name_en"), name("name_zh"));
    let severity = file.needed(table, "severity").and_then(|cell| file.one_of(&cell, Severity::ALL, Severity::as_str));
    Some(RuleHead { id: id?.into(), name_en: name_en?.into(), name_zh: name_zh?.into(), severity: severity? })
}

fn read_rule_id(file: &mut TomlFile, cell: &Cell<'_>, ids: &mut Vec<String>) -> Option<String> {
    let id = file.text(cell)?;
    if !is_id(&id) {
        return file.refuse(cell, ID_WANTED, ID_REMEDY);
    }
    if ids.contains(&id) {
        return file.refuse(cell, "each rule's id once", ID_REMEDY);
    }
    ids.push(id.clone());
    Some(id)
}

fn read_threshold<'t>(file: &mut TomlFile, mut table: Table<'t>, ids: &mut Vec<String>) -> Option<Draft<'t>> {
    let head = read_head(file, &mut table, ids, true);
    let on = file.needed(&mut table, "on").and_then(|cell| file.one_of(&cell, Signal::ALL, Signal::as_str));
    let item = file.needed(&mut table, "item");
    let item_name = item.as_ref().and_then(|cell| file.text(cell));
    let level = file.optional(&mut table, "level").map_or(Some(None), |cell| file.one_of(&cell, Level::ALL, Level::as_str).map(Some));
    let carrier =
        file.optional(&mut table, "carrier").map_or(Some(None), |cell| file.one_of(&cell, Carrier::ALL, Carrier::as_str).map(Some));
    let meters = read_names(file, &mut table, "meters");
    let entities = read_names(file, &mut table, "entities");
    let raise = read_limit(file, &mut table, "raise_above");
    let clear = read_limit(file, &mut table, "clear_below");
    let hold_s = file.needed(&mut table, "hold_s").and_then(|cell| file.integer(&cell, 0, HOLD_S_MAX));
    file.no_more(table);
    Some(Draft {
        head: head?,
        on: on?,
        item: item?,
        item_name: item_name?,
        level: level?,
        carrier: carrier?,
        meters: meters?,
        entities: entities?,
        raise: raise?,
        clear: clear?,
        hold_ms: hold_s? * SECOND_MS,
    })
}

/// The names of a filter; none where the rule has no such filter.
#[expect(clippy::option_option, reason = "the outer option is a fault, the inner one the filter")]
fn read_names<'t>(file: &mut TomlFile, table: &mut Table<'t>, key: &str) -> Option<Option<Vec<(Cell<'t>, String)>>> {
    let Some(cell) = file.optional(table, key) else { return Some(None) };
    let names = file.array(cell)?.into_iter().map(|cell| file.text(&cell).map(|name| (cell, name)));
    names.collect::<Option<Vec<_>>>().map(Some)
}

fn read_limit<'t>(file: &mut TomlFile, table: &mut Table<'t>, key: &str) -> Option<Limit<'t>> {
    let of_rating_key = format!("{key}_rating");
    let plain = file.optional(table, key);
    let of_rating = file.optional(table, &of_rating_key);
    match (plain, of_rating) {
        (Some(cell), None) => Some(Limit { value: file.decimal(&cell)?, cell, of_rating: false }),
        (None, Some(cell)) => Some(Limit { value: file.decimal(&cell)?, cell, of_rating: true }),
        (Some(cell), Some(_)) => file.refuse(&cell, &format!("{key} or {of_rating_key}, not both"), "remove one of them"),
        (None, None) => {
            file.fault(table.line, &table.key(key), "nothing", &format!("{key} or {of_rating_key}"), "add one of them");
            None
        }
    }
}

fn resolve(file: &mut TomlFile, draft: Draft<'_>, zone: &Zone) -> Option<ThresholdRule> {
    for (cell, name) in draft.meters.iter().flatten().filter(|(_, name)| zone.meter_of(name).is_none() && zone.part_of(name).is_none()) {
        let wanted = "ids of meters.csv, with -residual for what the meters below one do not account for";
        file.fault(cell.line, &cell.key, &format!("{name:?}"), wanted, "correct it or add the meter");
    }
    let known = |name: &str| name == zone.id() || zone.entity_of(name).is_some();
    for (cell, name) in draft.entities.iter().flatten().filter(|(_, name)| !known(name)) {
        file.fault(cell.line, &cell.key, &format!("{name:?}"), "ids of entities.geojson", "correct it or add the feature");
    }
    let filters = Filters { meters: names(draft.meters.as_ref()), entities: names(draft.entities.as_ref()) };
    let mut subjects = Vec::new();
    for meter in (0..zone.meters().len() as u32).map(MeterIndex).filter(|meter| !zone.is_virtual(*meter)) {
        let Some(channel) = matching_channel(&draft, &filters, zone, meter) else { continue };
        subjects.extend(subject(file, &draft, zone, Watched::Meter(meter), channel)?);
    }
    for (cell, name) in draft.meters.iter().flatten() {
        let Some(part) = zone.part_of(name) else { continue };
        match (draft.on, zone.part(part).kind) {
            (Signal::IntervalMean, _) => {}
            (Signal::Gauge, PartKind::Virtual) => continue,
            (Signal::Gauge, PartKind::Residual) => {
                file.refuse::<()>(cell, "meters that publish gauges", "watch it on interval_mean, or take it out");
                continue;
            }
        }
        let of_meter = zone.meter(zone.part(part).meter).channels.iter().map(|id| zone.channel(*id));
        let Some(channel) = of_meter.into_iter().find(|channel| *channel.item == *draft.item_name && channel.ledger_unit().is_some())
        else {
            file.refuse::<()>(&draft.item, &format!("a register of the meter that {name} is of"), "correct it");
            continue;
        };
        subjects.extend(subject(file, &draft, zone, Watched::Part(part), channel)?);
    }
    let Draft { head, on, item_name, hold_ms, .. } = draft;
    Some(ThresholdRule { head, on, item: item_name.into(), hold_ms, subjects })
}

/// The names that a rule is for; none: all.
struct Filters<'d> {
    meters: Option<FxHashSet<&'d str>>,
    entities: Option<FxHashSet<&'d str>>,
}

fn names<'d>(listed: Option<&'d Vec<(Cell, String)>>) -> Option<FxHashSet<&'d str>> {
    listed.map(|names| names.iter().map(|(_, name)| name.as_str()).collect())
}

/// The channel for which a rule watches a meter: the register of an interval mean, else the first one that passes the filters, registers first.
fn matching_channel<'z>(draft: &Draft, filters: &Filters, zone: &'z Zone, meter: MeterIndex) -> Option<&'z Channel> {
    let id = &*zone.meter(meter).id;
    let passes = |names: &Option<FxHashSet<&str>>, id: &str| names.as_ref().is_none_or(|names| names.contains(id));
    let entity = zone.meter(meter).entity;
    let entity_passes =
        passes(&filters.entities, &zone.entity(entity).id) || (entity == zone.residual() && passes(&filters.entities, zone.id()));
    if !passes(&filters.meters, id) || !entity_passes {
        return None;
    }
    let channels = zone.meter(meter).channels.iter().map(|id| zone.channel(*id));
    let mut matching = channels.filter(|channel| {
        draft.level.is_none_or(|level| channel.level == level) && draft.carrier.is_none_or(|carrier| channel.carrier == carrier)
    });
    match draft.on {
        Signal::IntervalMean => matching.find(|channel| *channel.item == *draft.item_name && channel.register().is_some()),
        Signal::Gauge => matching.clone().find(|channel| channel.register().is_some()).or_else(|| matching.next()),
    }
}

/// The meter's levels; the inner none: the meter has no register and so no rating to compare with.
#[expect(clippy::option_option, reason = "the outer option is a fault, the inner one a meter without rating")]
fn subject<'t>(
    file: &mut TomlFile,
    draft: &Draft<'t>,
    zone: &Zone,
    watched: Watched,
    channel: &Channel,
) -> Option<Option<ThresholdSubject>> {
    let register = match watched {
        Watched::Meter(_) => channel.register(),
        Watched::Part(_) => None,
    };
    if let (Watched::Part(_), Some(limit)) = (watched, [&draft.raise, &draft.clear].into_iter().find(|limit| limit.of_rating)) {
        return file.refuse(&limit.cell, "a level in the item's unit: sums of meters have no rating", "use it without _rating");
    }
    if register.is_none() && (draft.raise.of_rating || draft.clear.of_rating) {
        return Some(None);
    }
    let mut level = |limit: &Limit<'t>| -> Option<f64> {
        let Some(register) = register.filter(|_| limit.of_rating) else { return Some(limit.value.to_f64()) };
        let unit = register.ledger_unit();
        let per_unit = match draft.on {
            Signal::IntervalMean => Some(ledger_per_mean(unit)),
            Signal::Gauge => ledger_per_gauge(unit, &draft.item_name),
        };
        let Some(per_unit) = per_unit else {
            let remedy = format!("use {} instead", limit.cell.key.trim_end_matches("_rating"));
            return file.refuse(
                &draft.item,
                &format!("an item that is a flow of {} and so can be compared with a rating", channel.carrier.as_str()),
                &remedy,
            );
        };
        match level_of_rating(limit.value, register.rating_per_h().0, per_unit) {
            Ok(level) => Some(level),
            Err(_) => file.refuse(&limit.cell, "a share of the rating of few digits", "round it"),
        }
    };
    let (raise_above, clear_below) = (level(&draft.raise)?, level(&draft.clear)?);
    if clear_below > raise_above {
        let wanted = joined([format!("at most the raise level, {raise_above} for {}", watched.id(zone))]);
        file.fault(draft.clear.cell.line, &draft.clear.cell.key, &format!("{clear_below}"), &wanted, "lower it");
        return None;
    }
    let register = (draft.on == Signal::IntervalMean).then_some(channel.id);
    Some(Some(ThresholdSubject { watched, register, raise_above, clear_below }))
}

/// share × rating in the item's unit, as the nearest float.
fn level_of_rating(share: Decimal, rating_per_h: i64, per_unit: i64) -> Result<f64, DecimalError> {
    let ledger = share.times(Decimal::from(rating_per_h))?;
    Ok(ledger.to_f64() / per_unit as f64)
}
