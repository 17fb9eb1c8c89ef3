//! What must hold between the lines of `meters.csv`.

use std::collections::{HashMap, HashSet};

use super::fault::Faults;
use super::meters::Line;
use super::{Carrier, Entity};

pub(super) fn check(lines: &[Line], entities: &[Entity], zone_id: Option<&str>, faults: &mut Faults) {
    check_pairs(lines, faults);
    check_agreement(lines, faults);
    check_entities(lines, entities, zone_id, faults);
    let carriers = carriers(lines);
    check_parents(lines, &carriers, faults);
    check_formulas(lines, &carriers, faults);
}

fn carriers(lines: &[Line]) -> HashMap<&str, HashSet<Carrier>> {
    let mut carriers: HashMap<&str, HashSet<Carrier>> = HashMap::new();
    for line in lines {
        carriers.entry(&line.channel.meter).or_default().insert(line.channel.carrier);
    }
    carriers
}

fn check_pairs(lines: &[Line], faults: &mut Faults) {
    let mut seen = HashMap::new();
    for Line { number, channel, .. } in lines {
        if let Some(first) = seen.insert((&channel.meter, &channel.item), number) {
            let twice = format!("duplicate channel `{}` `{}`, first in line {first}", channel.meter, channel.item);
            faults.add(*number, twice, "each pair of meter and item once", "remove one");
        }
    }
}

fn check_agreement(lines: &[Line], faults: &mut Faults) {
    let mut firsts: HashMap<&str, &Line> = HashMap::new();
    for line in lines {
        let channel = &line.channel;
        let first = *firsts.entry(&channel.meter).or_insert(line);
        let pairs = [
            ("entity", &first.channel.entity, &channel.entity),
            ("gateway", &first.channel.gateway, &channel.gateway),
            ("serial", &first.channel.serial, &channel.serial),
        ];
        for (column, before, now) in pairs.into_iter().filter(|(_, before, now)| before != now) {
            let seen = format!("{column} `{now}` of meter `{}`, but `{before}` in line {}", channel.meter, first.number);
            faults.add(line.number, seen, format!("one {column} per meter"), "make the lines of the meter agree");
        }
    }
}

fn check_entities(lines: &[Line], entities: &[Entity], zone_id: Option<&str>, faults: &mut Faults) {
    let known: HashSet<&str> = entities.iter().map(|entity| entity.id.as_str()).chain(zone_id).collect();
    for Line { number, channel, .. } in lines.iter().filter(|line| !known.contains(line.channel.entity.as_str())) {
        let seen = format!("meter `{}` belongs to the unknown entity `{}`", channel.meter, channel.entity);
        faults.add(*number, seen, "an id of entities.geojson or the zone's", "correct the entity");
    }
}

fn check_parents(lines: &[Line], carriers: &HashMap<&str, HashSet<Carrier>>, faults: &mut Faults) {
    let parents: HashMap<&str, Option<&str>> =
        lines.iter().map(|line| (line.channel.meter.as_str(), line.channel.parent.as_deref())).collect();
    for Line { number, channel, .. } in lines {
        let Some(parent) = channel.parent.as_deref() else {
            continue;
        };
        let meter = &channel.meter;
        let Some(above) = carriers.get(parent) else {
            faults.add(
                *number,
                format!("meter `{meter}` has the unknown parent `{parent}`"),
                "the id of another meter",
                "correct the parent",
            );
            continue;
        };
        if !above.contains(&channel.carrier) {
            let seen = format!("meter `{meter}` has the parent `{parent}` of another carrier");
            faults.add(*number, seen, "a parent of the same carrier", "correct the parent");
        }
        if super::is_on_cycle(meter, |id| parents.get(id).copied().flatten()) {
            faults.add(*number, format!("meter `{meter}` is its own parent in a cycle"), "parents without cycles", "cut the cycle");
        }
    }
}

fn check_formulas(lines: &[Line], carriers: &HashMap<&str, HashSet<Carrier>>, faults: &mut Faults) {
    let formulas: HashMap<&str, &[(bool, String)]> =
        lines.iter().map(|line| (line.channel.meter.as_str(), line.formula.as_slice())).collect();
    for line in lines {
        let meter = &line.channel.meter;
        for (_, term) in &line.formula {
            let seen = match carriers.get(term.as_str()) {
                None => format!("formula of `{meter}` names the unknown meter `{term}`"),
                Some(carriers) if !carriers.contains(&line.channel.carrier) => {
                    format!("formula of `{meter}` names `{term}` of another carrier")
                }
                Some(_) => continue,
            };
            faults.add(line.number, seen, "meters of the same carrier", "correct the formula");
        }
        if !line.formula.is_empty() && is_part_of_itself(meter, &formulas) {
            faults.add(line.number, format!("formula of `{meter}` leads back to it"), "formulas without cycles", "cut the cycle");
        }
    }
}

/// Whether following formulas from a meter leads back to it.
fn is_part_of_itself(meter: &str, formulas: &HashMap<&str, &[(bool, String)]>) -> bool {
    let mut seen = HashSet::new();
    let mut ahead = vec![meter];
    while let Some(part) = ahead.pop() {
        for (_, term) in formulas.get(part).copied().unwrap_or_default() {
            if term == meter {
                return true;
            }
            if seen.insert(term.as_str()) {
                ahead.push(term);
            }
        }
    }
    false
}
