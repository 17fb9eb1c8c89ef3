//! `calendar.csv`: the days that differ from their day of the week.

use jiff::civil::Date;

use super::csv_file::{CsvFile, Row};
use super::fault::Fault;
use crate::domain::calendar::{DayType, DayTypes};

const HEADER: &[&str] = &["date", "day_type", "source"];

#[must_use]
pub fn read(text: &str) -> (DayTypes, Vec<Fault>) {
    let (file, mut faults) = CsvFile::read("calendar.csv", text, HEADER);
    let mut days = DayTypes::default();
    for mut row in file.rows() {
        if let Some((date, day_type)) = day(&mut row)
            && days.0.insert(date, day_type).is_some()
        {
            row.refuse::<()>("date", "each date once", "remove one of the lines");
        }
        faults.append(&mut row.faults);
    }
    (days, faults)
}

fn day(row: &mut Row) -> Option<(Date, DayType)> {
    // jiff also takes 20260101.
    let date = Some(row.field("date")).filter(|text| text.len() == 10).and_then(|text| text.parse().ok());
    let date = date.or_else(|| row.refuse("date", "YYYY-MM-DD", "correct it"));
    let day_type = row.one_of("day_type", &[DayType::Workday, DayType::Saturday, DayType::Sunday, DayType::Holiday], |day| match day {
        DayType::Workday => "workday",
        DayType::Saturday => "saturday",
        DayType::Sunday => "sunday",
        DayType::Holiday => "holiday",
    });
    if !row.has("source") {
        row.refuse::<()>("source", "the official notice", "name it");
    }
    Some((date?, day_type?))
}
