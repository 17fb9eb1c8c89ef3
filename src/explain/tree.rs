//! An explanation as an indented text.

use std::fmt::Write;

use super::beside::{CoalPart, CostPart, EntryPart, StreamPart};
use super::spans::SpanPart;
use super::{CarrierPart, Explanation, FactorPart, IntervalPart, MeterPart};

#[must_use]
pub fn tree(explanation: &Explanation) -> String {
    let Explanation { entity, name_en, name_zh, at, as_known_on, kg_co2e, carriers, declared, .. } = explanation;
    let known = as_known_on.as_ref().map_or_else(String::new, |known| format!(", as known on {known}"));
    let mut out = Lines(format!("{entity} ({name_en}, {name_zh}) at {at}{known}: {kg_co2e} kg CO2e, location-based, of what is metered\n"));
    if carriers.is_empty() {
        out.line(1, "no meter has an interval there");
    }
    for gone in &explanation.no_longer_kept {
        out.line(1, gone);
    }
    for part in carriers {
        carrier(part, &mut out);
    }
    for part in declared {
        self::declared(part, &mut out);
    }
    out.0
}

struct Lines(String);

impl Lines {
    fn line(&mut self, depth: usize, told: &str) {
        writeln!(self.0, "{:indent$}{told}", "", indent = 2 * depth).expect("a string takes every write");
    }
}

fn carrier(part: &CarrierPart, out: &mut Lines) {
    let CarrierPart {
        carrier,
        scope,
        from,
        to,
        ledger_unit: unit,
        quantity,
        bought,
        co2e_ug,
        factors,
        meters,
        market,
        standard_coal,
        costs,
        ..
    } = part;
    let measured = part.measured_share.map_or_else(|| "-".to_owned(), |share| share.to_string());
    out.line(
        1,
        &format!("{carrier}, scope {scope}, {from} to {to}: {quantity} {unit} used, {bought} {unit} bought, measured share {measured}"),
    );
    out.line(2, &format!("{co2e_ug} µg CO2e ="));
    for FactorPart { stream, mg_per_unit, unit: per, tier, version, co2e_ug, source, recorded, valid_from, valid_to, confidence } in factors
    {
        out.line(3, &format!("{bought} {unit} × {mg_per_unit} mg/{per} = {co2e_ug} µg: {stream}, {version} ({tier})"));
        if let (Some(source), Some(recorded), Some(valid_from), Some(confidence)) = (source, recorded, valid_from, confidence) {
            let until = valid_to.as_deref().unwrap_or("another takes its place");
            out.line(4, &format!("{source}; recorded {recorded}, for {valid_from} until {until}, confidence {confidence}"));
        }
    }
    if factors.is_empty() {
        out.line(3, "nothing: the carrier has no factor by its nature");
    }
    for StreamPart { stream, amount, mg_per_unit, unit: per, tier, version, co2e_ug, .. } in market {
        out.line(2, &format!("by the market {amount} {unit} × {mg_per_unit} mg/{per} = {co2e_ug} µg CO2e: {stream}, {version} ({tier})"));
    }
    for CoalPart { basis, mg_per_unit, ce_ug, .. } in standard_coal {
        out.line(2, &format!("standard coal, {basis}: {quantity} {unit} × {mg_per_unit} mg/{} = {ce_ug} µg", part.factor_unit));
    }
    for CostPart { band, bought, ucny_per_unit, cost_ncny, tariff, .. } in costs {
        match ucny_per_unit.zip(*cost_ncny) {
            Some((price, cost)) => {
                out.line(2, &format!("cost, {band}: {bought} {unit} × {price} µCNY/{} = {cost} nano-CNY, {tariff}", part.factor_unit));
            }
            None => out.line(2, &format!("cost, {band}: {bought} {unit} without a price")),
        }
    }
    out.line(2, &format!("{bought} {unit} bought ="));
    for MeterPart { meter, item, sign, bought, intervals } in meters {
        out.line(3, &format!("{meter} {item}: {bought:+} × (into what was used: {sign:+} ×)"));
        for interval in intervals {
            self::interval(interval, unit, out);
        }
    }
}

fn interval(part: &IntervalPart, unit: &str, out: &mut Lines) {
    let IntervalPart { from, minutes, quantity, assumed, estimated, recorded_from, recorded_to, spans, .. } = part;
    let since = recorded_from.as_ref().map_or_else(String::new, |at| format!(", known since {at}"));
    let until =
        recorded_to.as_ref().map_or_else(|| " =".to_owned(), |at| format!(", corrected at {at}: its readings are no longer told apart"));
    out.line(4, &format!("{quantity} {unit} in {minutes} min from {from} (assumed {assumed}, estimated {estimated}){since}{until}"));
    for SpanPart { from, from_register, to, to_register, class, quality, energy, taken } in spans {
        out.line(
            5,
            &format!("{taken} {unit} of {energy}: register {from_register} at {from} to {to_register} at {to}, {class}, {quality}"),
        );
    }
}

fn declared(part: &StreamPart, out: &mut Lines) {
    let StreamPart { stream, scope, method, from, to, amount, unit, mg_per_unit, tier, version, co2e_ug, entry, .. } = part;
    out.line(1, &format!("declared, scope {scope}, {method}, {from} to {to}: {stream}"));
    out.line(2, &format!("{amount} thousandths of {unit} × {mg_per_unit} mg/{unit} = {co2e_ug} µg CO2e, {version} ({tier})"));
    if let Some(EntryPart { id, from, to, amount, source, recorded }) = entry {
        out.line(3, &format!("its share of {amount} thousandths of {unit} from {from} to {to}: entry {id}, {source}, recorded {recorded}"));
    }
}
