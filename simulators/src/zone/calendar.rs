//! `calendar.csv`: days that differ from their day of the week.

use std::collections::HashMap;
use std::path::Path;

use jiff::civil::Date;

use super::DayType;
use super::fault::Faults;

const FILE: &str = "calendar.csv";
const HEADER: [&str; 3] = ["date", "day_type", "source"];

pub(super) fn read(folder: &Path) -> (HashMap<Date, DayType>, Faults) {
    let mut faults = Faults::new(FILE);
    let mut days = HashMap::new();
    let Some(text) = faults.read(folder, false) else {
        return (days, faults);
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_bytes());
    for (index, record) in reader.records().enumerate() {
        let Ok(record) = record else { continue };
        let line = record.position().map_or(1, |position| position.line() as usize);
        let columns: Vec<&str> = record.iter().map(str::trim).collect();
        if index == 0 {
            if columns != HEADER {
                faults.add(line, format!("header `{}`", columns.join(",")), "date,day_type,source", "correct the header");
                break;
            }
            continue;
        }
        let &[date, day_type, source] = columns.as_slice() else {
            faults.add(line, format!("{} columns", columns.len()), "3 columns", "add or remove commas");
            continue;
        };
        if source.is_empty() {
            faults.add(line, format!("no source for {date}"), "the official notice", "name it");
        }
        let (Some(date), Some(day_type)) = (read_date(date, line, &mut faults), read_day_type(day_type, line, &mut faults)) else {
            continue;
        };
        if days.insert(date, day_type).is_some() {
            faults.add(line, format!("duplicate date {date}"), "each date once", "remove one");
        }
    }
    (days, faults)
}

fn read_date(text: &str, line: usize, faults: &mut Faults) -> Option<Date> {
    let date = text.parse().ok().filter(|_| text.len() == "2026-01-01".len());
    if date.is_none() {
        faults.add(line, format!("date `{text}`"), "a date YYYY-MM-DD", "correct the date");
    }
    date
}

fn read_day_type(text: &str, line: usize, faults: &mut Faults) -> Option<DayType> {
    match text {
        "workday" => Some(DayType::Workday),
        "saturday" => Some(DayType::Saturday),
        "sunday" | "holiday" => Some(DayType::Rest),
        _ => {
            faults.add(line, format!("day_type `{text}`"), "workday, saturday, sunday or holiday", "choose one of them");
            None
        }
    }
}
