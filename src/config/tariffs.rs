//! Tariffs: the built-in one and a zone's own, both in the format of `config/tariffs/cn-sd-industry.toml`.

use std::path::Path;

use jiff::civil::Date;

use super::fault::Fault;
use super::named_set::{self, keep};
use super::toml_table::{Cell, Table, TomlFile};
use super::zone_toml::SetRef;
use crate::domain::channel::Carrier;
use crate::domain::decimal::Decimal;
use crate::domain::factors::Confidence;
use crate::domain::tariff::{
    BAND_STEP_MINUTES, Band, DAY_MINUTES, ElectricityTariff, FlatPrice, Hours, PriceSource, Season, Tariff, Validity,
};
use crate::domain::units::MicroCnyPerUnit;

const BUILT_IN: [(&str, &str); 1] = [("cn-sd-industry", include_str!("../../config/tariffs/cn-sd-industry.toml"))];

/// The tariff a zone names: a built-in one, or a file beside `zone.toml`.
pub fn find(folder: &Path, wanted: &SetRef, faults: &mut Vec<Fault>) -> Option<Tariff> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == wanted.name) {
        return keep(read(&format!("{name}.toml"), text), faults);
    }
    let text = named_set::file(folder, wanted, "zone.tariff", &BUILT_IN.map(|(name, _)| name), faults)?;
    keep(read(&wanted.name, &text), faults)
}

/// The tariff, complete if there are no faults.
#[must_use]
pub fn read(name: &str, text: &str) -> (Option<Tariff>, Vec<Fault>) {
    let (mut file, mut root) = TomlFile::parse(name, text);
    let id = file.needed(&mut root, "id").and_then(|cell| file.text(&cell));
    let mut tariff = Tariff { id: id.unwrap_or_default().into(), ..Tariff::default() };
    for table in tables(&mut file, &mut root, "electricity") {
        let line = table.line;
        let Some(read) = read_electricity(&mut file, table) else { continue };
        if tariff.electricity.iter().any(|other| other.valid.overlaps(&read.valid)) {
            refuse_overlap(&mut file, line, "electricity.from", read.valid);
        }
        tariff.electricity.push(read);
    }
    for table in tables(&mut file, &mut root, "price") {
        let line = table.line;
        let Some(read) = read_price(&mut file, table) else { continue };
        if tariff.prices.iter().any(|other| other.carrier == read.carrier && other.valid.overlaps(&read.valid)) {
            refuse_overlap(&mut file, line, "price.from", read.valid);
        }
        tariff.prices.push(read);
    }
    if tariff.electricity.is_empty() && tariff.prices.is_empty() && file.faults.is_empty() {
        file.fault(1, "electricity", "no price at all", "at least one [[electricity]] or [[price]]", "add one");
    }
    file.no_more(root);
    (file.faults.is_empty().then_some(tariff), file.faults)
}

fn refuse_overlap(file: &mut TomlFile, line: usize, key: &str, valid: Validity) {
    let seen = format!("a period from {} that overlaps another of its carrier", valid.from);
    file.fault(line, key, &seen, "one price at any time", "give the earlier period a `to`");
}

fn tables<'t>(file: &mut TomlFile, root: &mut Table<'t>, key: &str) -> Vec<Table<'t>> {
    let cells = file.optional(root, key).and_then(|cell| file.array(cell)).unwrap_or_default();
    cells.into_iter().filter_map(|cell| file.table(cell)).collect()
}

fn date(file: &mut TomlFile, cell: &Cell<'_>) -> Option<Date> {
    let text = file.text(cell)?;
    text.parse::<Date>().ok().or_else(|| file.refuse(cell, "a date in quotes", "write it like \"2026-12-01\""))
}

fn validity(file: &mut TomlFile, table: &mut Table<'_>) -> Option<Validity> {
    let from = file.needed(table, "from").and_then(|cell| date(file, &cell));
    let Some(cell) = file.optional(table, "to") else { return Some(Validity { from: from?, to: None }) };
    let to = date(file, &cell);
    if from.zip(to).is_some_and(|(from, to)| to <= from) {
        return file.refuse(&cell, "a date after `from`", "correct one of the two");
    }
    Some(Validity { from: from?, to: Some(to?) })
}

fn source(file: &mut TomlFile, table: &mut Table<'_>) -> Option<PriceSource> {
    let recorded = file.needed(table, "recorded").and_then(|cell| file.text(&cell));
    let source = file.needed(table, "source").and_then(|cell| file.text(&cell));
    let confidence = file.needed(table, "confidence").and_then(|cell| file.one_of(&cell, Confidence::ALL, Confidence::as_str));
    Some(PriceSource { recorded: recorded?.into(), source: source?.into(), confidence: confidence? })
}

/// The sum of a table of named parts; 0 where there is none.
fn parts(file: &mut TomlFile, table: &mut Table<'_>, key: &str) -> Option<Decimal> {
    let Some(cell) = file.optional(table, key) else { return Some(Decimal::from(0)) };
    let mut values = file.table(cell)?;
    let mut sum = Some(Decimal::from(0));
    for part in values.keys() {
        let cell = file.needed(&mut values, &part)?;
        let value = file.decimal(&cell);
        sum =
            sum.zip(value).and_then(|(sum, value)| sum.plus(value).ok().or_else(|| file.refuse(&cell, "a smaller sum", "round the parts")));
    }
    sum
}

fn read_electricity(file: &mut TomlFile, mut table: Table<'_>) -> Option<ElectricityTariff> {
    let line = table.line;
    let valid = validity(file, &mut table);
    let from = source(file, &mut table);
    let floating = file.needed(&mut table, "floating_cny_per_kwh").and_then(|cell| file.decimal(&cell));
    let fixed = parts(file, &mut table, "fixed_cny_per_kwh");
    let funds = parts(file, &mut table, "funds_cny_per_kwh");
    let demand = file.optional(&mut table, "demand_cny_per_kw_month").map_or(Some(None), |cell| file.decimal(&cell).map(Some));
    let season_tables = tables(file, &mut table, "season");
    let multipliers = multipliers(file, &mut table, !season_tables.is_empty());
    let seasons = seasons(file, line, season_tables);
    file.no_more(table);
    let (floating, fixed, funds) = (floating?, fixed?, funds?);
    let price = |multiplier: Decimal| {
        let sum = floating.times(multiplier)?.plus(fixed)?.plus(funds)?;
        MicroCnyPerUnit::from_cny(sum)
    };
    let rounded = multipliers.map(|multipliers| multipliers.map(|multiplier| price(multiplier).ok()));
    let mut prices = [MicroCnyPerUnit(0); 5];
    for (price, rounded) in prices.iter_mut().zip(rounded?) {
        let Some(rounded) = rounded else {
            file.fault(line, "electricity", "a price of too many digits", "fewer digits", "round the parts");
            return None;
        };
        *price = rounded;
    }
    let demand = demand?.map(|demand| MicroCnyPerUnit::from_cny(demand).map(|price| price.0)).transpose().ok()?;
    let funds = MicroCnyPerUnit::from_cny(funds).ok()?;
    Some(ElectricityTariff { valid: valid?, price: prices, funds, demand_ucny_per_kw_month: demand, seasons: seasons?, from: from? })
}

/// By [`Band::number`]. Only where there are seasons do the bands differ.
fn multipliers(file: &mut TomlFile, table: &mut Table<'_>, needed: bool) -> Option<[Decimal; 5]> {
    let cell = if needed { file.needed(table, "multiplier") } else { file.optional(table, "multiplier") };
    let Some(cell) = cell else { return (!needed).then_some([Decimal::from(1); 5]) };
    let mut values = file.table(cell)?;
    let found = Band::PRICED.map(|band| file.needed(&mut values, band.as_str()).and_then(|cell| file.decimal(&cell)));
    file.no_more(values);
    let mut all = [Decimal::from(1); 5];
    for (into, found) in all.iter_mut().zip(found) {
        *into = found?;
    }
    Some(all)
}

fn seasons(file: &mut TomlFile, line: usize, tables: Vec<Table<'_>>) -> Option<Vec<Season>> {
    if tables.is_empty() {
        return Some(Vec::new());
    }
    let count = tables.len();
    let seasons: Vec<Season> = tables.into_iter().filter_map(|table| read_season(file, table)).collect();
    if seasons.len() < count {
        return None;
    }
    let times = |month: i8| seasons.iter().flat_map(|season| &season.months).filter(|other| **other == month).count();
    let wrong: Vec<String> =
        (1..=12).filter(|month| times(*month) != 1).map(|month| format!("month {month} {} times", times(month))).collect();
    if !wrong.is_empty() {
        file.fault(line, "electricity.season", &wrong.join(", "), "each month in one season", "correct the lists of months");
        return None;
    }
    Some(seasons)
}

fn read_season(file: &mut TomlFile, mut table: Table<'_>) -> Option<Season> {
    let line = table.line;
    let cells = file.needed(&mut table, "months").and_then(|cell| file.array(cell));
    let cells = cells.unwrap_or_default();
    let count = cells.len();
    let months: Vec<i8> = cells.iter().filter_map(|cell| file.integer(cell, 1, 12).map(|month| month as i8)).collect();
    let mut of = |band: Band| {
        let cells = file.optional(&mut table, band.as_str()).map_or(Some(Vec::new()), |cell| file.array(cell))?;
        let read: Vec<Option<Hours>> = cells.iter().map(|cell| hours(file, cell)).collect();
        read.into_iter().collect::<Option<Vec<Hours>>>()
    };
    let (sharp, peak, deep, valley) = (of(Band::Sharp), of(Band::Peak), of(Band::DeepValley), of(Band::Valley));
    file.no_more(table);
    let (sharp, peak, deep, valley) = (sharp?, peak?, deep?, valley?);
    let good = file.faults.len();
    refuse_outside(file, line, (Band::Sharp, &sharp), (Band::Peak, &peak));
    refuse_outside(file, line, (Band::DeepValley, &deep), (Band::Valley, &valley));
    refuse_twice(file, line, &[&peak[..], &valley[..]].concat());
    if file.faults.len() > good || months.len() < count || months.is_empty() {
        return None;
    }
    // Inner bands first: the first that contains a minute wins.
    let with = |band: Band, hours: Vec<Hours>| hours.into_iter().map(move |hours| (band, hours));
    let hours =
        with(Band::Sharp, sharp).chain(with(Band::DeepValley, deep)).chain(with(Band::Peak, peak)).chain(with(Band::Valley, valley));
    Some(Season { months, hours: hours.collect() })
}

fn refuse_outside(file: &mut TomlFile, line: usize, (inner, hours): (Band, &[Hours]), (outer, around): (Band, &[Hours])) {
    for hours in hours {
        if !around.iter().any(|around| around.from <= hours.from && hours.to <= around.to) {
            let seen = format!("{} outside of {}", shown(*hours), outer.as_str());
            let wanted = format!("hours inside of {}", outer.as_str());
            file.fault(line, &format!("electricity.season.{}", inner.as_str()), &seen, &wanted, "correct one of the two");
        }
    }
}

fn refuse_twice(file: &mut TomlFile, line: usize, all: &[Hours]) {
    for (at, hours) in all.iter().enumerate() {
        if all[..at].iter().any(|other| other.from < hours.to && hours.from < other.to) {
            let seen = format!("{} twice", shown(*hours));
            file.fault(line, "electricity.season", &seen, "each hour in peak or in valley, once", "correct the hours");
        }
    }
}

fn shown(hours: Hours) -> String {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    format!("\"{}-{}\"", time(hours.from), time(hours.to))
}

/// `"07:00-09:00"`; the day ends at 24:00.
fn hours(file: &mut TomlFile, cell: &Cell<'_>) -> Option<Hours> {
    let text = file.text(cell)?;
    let time = |text: &str| {
        let (hour, minute) = text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2)?;
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok().filter(|minute| *minute < 60)?);
        let of_day = hour * 60 + minute;
        (of_day <= DAY_MINUTES && i64::from(of_day) % BAND_STEP_MINUTES == 0).then_some(of_day)
    };
    let found = text.split_once('-').and_then(|(from, to)| Some(Hours { from: time(from)?, to: time(to)? }));
    let wanted = "two times of a day, at whole 5 minutes, such as \"07:00-09:00\"";
    found.filter(|hours| hours.from < hours.to).or_else(|| file.refuse(cell, wanted, "correct it; hours over midnight are two entries"))
}

/// Units a price may be per, and how many of the ledger's thousand they hold.
const PER: [(Carrier, &str, i64); 7] = [
    (Carrier::NaturalGas, "m3", 1),
    (Carrier::Water, "m3", 1),
    (Carrier::Water, "t", 1),
    (Carrier::Heat, "MJ", 1),
    (Carrier::Heat, "GJ", 1_000),
    (Carrier::Steam, "kg", 1),
    (Carrier::Steam, "t", 1_000),
];

fn read_price(file: &mut TomlFile, mut table: Table<'_>) -> Option<FlatPrice> {
    const CARRIERS: [Carrier; 4] = [Carrier::NaturalGas, Carrier::Heat, Carrier::Steam, Carrier::Water];
    let carrier = file.needed(&mut table, "carrier").and_then(|cell| file.one_of(&cell, &CARRIERS, Carrier::as_str));
    let valid = validity(file, &mut table);
    let from = source(file, &mut table);
    let per = file.needed(&mut table, "per").and_then(|cell| {
        let units: Vec<(&'static str, i64)> =
            PER.iter().filter(|(of, _, _)| Some(*of) == carrier).map(|(_, unit, thousands)| (*unit, *thousands)).collect();
        if carrier.is_none() { None } else { file.one_of(&cell, &units, |(unit, _)| unit) }
    });
    let price = file.needed(&mut table, "cny").and_then(|cell| {
        let cny = file.decimal(&cell)?;
        let (_, thousands) = per?;
        let micro = cny.times(Decimal::from(1_000_000)).and_then(|micro| micro.divided_rounded(Decimal::from(thousands)));
        micro.map(MicroCnyPerUnit).ok().or_else(|| file.refuse(&cell, "a smaller price", "correct it"))
    });
    file.no_more(table);
    Some(FlatPrice { carrier: carrier?, valid: valid?, price: price?, from: from? })
}
