//! The tariff reader against the published hours and against files that are wrong.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::tariffs::{find, read};
use super::zone_toml::SetRef;
use crate::domain::calendar::LocalCalendar;
use crate::domain::channel::Carrier;
use crate::domain::tariff::{Band, Tariff};
use crate::domain::units::{HOUR_MS, MicroCnyPerUnit, Millis};

fn shandong() -> Tariff {
    let mut faults = Vec::new();
    let found = find(std::path::Path::new("."), &SetRef { name: "cn-sd-industry".to_owned(), line: 1 }, &mut faults);
    assert_eq!(faults, []);
    found.unwrap()
}

fn midnight(date: &str, tz: &TimeZone) -> Millis {
    let date: Date = date.parse().unwrap();
    Millis(date.to_zoned(tz.clone()).unwrap().timestamp().as_millisecond())
}

/// One letter an hour: Sharp, Peak, flat (.), valley (v), deep valley (d).
fn letters(tariff: &Tariff, date: &str, tz: &TimeZone) -> String {
    let mut calendar = LocalCalendar::new(tz.clone());
    let spans = tariff.day(Carrier::Electricity, midnight(date, tz), &mut calendar);
    for pair in spans.windows(2) {
        assert_eq!(pair[0].to, pair[1].from, "{date}: no gap");
        assert_ne!(pair[0].band, pair[1].band, "{date}: no border without a change");
    }
    let letter = |band| match band {
        Band::Sharp => 'S',
        Band::Peak => 'P',
        Band::Flat => '.',
        Band::Valley => 'v',
        Band::DeepValley => 'd',
        Band::Unpriced => '?',
    };
    spans.iter().flat_map(|span| std::iter::repeat_n(letter(span.band), (span.to.ms_since(span.from) / HOUR_MS) as usize)).collect()
}

/// Drawn by hand from the table of the announcement for 2025 and 2026 (Lu Fagai Jiage [2023] No. 914).
#[test]
fn shandongs_hours_are_the_published_ones() {
    let tz = TimeZone::get("Asia/Shanghai").unwrap();
    let winter = "..vvvv.PP.vdddv.SSSPP...";
    let spring = "..........vdddv..SSSPP..";
    let autumn = "..........vdddv.PSSPP...";
    let june = ".......vvvvv....PSSSSSP.";
    let summer = ".vvvvv..........PSSSSSP.";
    let months = [winter, winter, spring, spring, spring, june, summer, summer, autumn, autumn, autumn, winter];
    for (month, wanted) in (1..).zip(months) {
        let year = if month == 12 { 2025 } else { 2026 };
        assert_eq!(letters(&shandong(), &format!("{year}-{month:02}-15"), &tz), wanted, "month {month}");
    }
    assert_eq!(letters(&shandong(), "2026-12-01", &tz), "?".repeat(24), "tariffs change every December");
}

/// Floating 0.3949 × multiplier + 0.1675 + 0.02716875, worked out by hand and rounded half to even.
#[test]
fn only_the_floating_part_is_multiplied() {
    let tariff = shandong();
    let prices = tariff.electricity[0].price.map(|price| price.0);
    assert_eq!(prices, [984_469, 865_999, 589_569, 313_139, 234_159]);
    assert_eq!(tariff.electricity[0].funds, MicroCnyPerUnit(27_169));
}

#[test]
fn other_carriers_cost_the_same_all_day_and_per_ledger_unit() {
    let tz = TimeZone::get("Asia/Shanghai").unwrap();
    let mut calendar = LocalCalendar::new(tz.clone());
    // 3.95 CNY/m3; 62 CNY/GJ = 0.062 CNY/MJ; 230 CNY/t = 0.23 CNY/kg; 5.25 CNY/m3.
    let cases = [(Carrier::NaturalGas, 3_950_000), (Carrier::Heat, 62_000), (Carrier::Steam, 230_000), (Carrier::Water, 5_250_000)];
    for (carrier, micro) in cases {
        let spans = shandong().day(carrier, midnight("2026-01-15", &tz), &mut calendar);
        let seen: Vec<_> = spans.iter().map(|span| (span.band, span.price)).collect();
        assert_eq!(seen, [(Band::Flat, Some(MicroCnyPerUnit(micro)))], "{carrier:?}");
    }
    let before = shandong().day(Carrier::Heat, midnight("2022-06-01", &tz), &mut calendar);
    assert_eq!((before[0].band, before[0].price), (Band::Unpriced, None), "a missing price is no zero");
}

#[test]
fn bands_follow_the_wall_clock_when_the_clocks_change() {
    let text = "id = \"x\"\n[[electricity]]\nfrom = \"2020-01-01\"\nrecorded = \"2020\"\nsource = \"s\"\nconfidence = \"low\"\n\
                floating_cny_per_kwh = 0.1\n[electricity.multiplier]\nsharp = 2\npeak = 1.5\nflat = 1\nvalley = 0.5\ndeep_valley = 0.1\n\
                [[electricity.season]]\nmonths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\nvalley = [\"01:00-04:00\"]\n";
    let (tariff, faults) = read("x.toml", text);
    assert_eq!(faults, []);
    let tz = TimeZone::get("Europe/Berlin").unwrap();
    let tariff = tariff.unwrap();
    assert_eq!(letters(&tariff, "2026-03-28", &tz), format!(".vvv{}", ".".repeat(20)));
    assert_eq!(letters(&tariff, "2026-03-29", &tz), format!(".vv{}", ".".repeat(20)), "02:00 does not exist: 23 hours");
    assert_eq!(letters(&tariff, "2026-10-25", &tz), format!(".vvvv{}", ".".repeat(20)), "02:00 comes twice: 25 hours");
}

#[test]
fn a_tariff_tells_all_its_faults() {
    let text = "id = \"x\"\n[[electricity]]\nfrom = \"soon\"\nto = \"2020-01-01\"\nrecorded = \"2020\"\nsource = \"s\"\nconfidence = \"sure\"\n\
                floating_cny_per_kwh = -0.1\n[electricity.multiplier]\nsharp = 2\n\
                [[electricity.season]]\nmonths = [1, 13]\npeak = [\"7-9\", \"22:00-02:00\", \"07:01-08:00\"]\n\
                [[electricity.season]]\nmonths = [1]\npeak = [\"07:00-09:00\"]\nsharp = [\"06:00-08:00\"]\nvalley = [\"08:00-10:00\"]\n\
                [[price]]\ncarrier = \"gold\"\nfrom = \"2020-01-01\"\nper = \"oz\"\ncny = 1\nrecorded = \"2020\"\nsource = \"s\"\nconfidence = \"low\"\n\
                [[price]]\ncarrier = \"heat\"\nfrom = \"2020-01-01\"\nper = \"m3\"\ncny = 1\nrecorded = \"2020\"\nsource = \"s\"\nconfidence = \"low\"\n";
    let (tariff, faults) = read("my.toml", text);
    assert!(tariff.is_none());
    let all = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let wanted = [
        "my.toml:3: electricity.from: saw \"soon\"",
        "my.toml:7: electricity.confidence",
        "my.toml:8: electricity.floating_cny_per_kwh: saw -0.1",
        "electricity.multiplier.deep_valley",
        "electricity.season.months: saw 13",
        "saw \"7-9\"",
        "saw \"22:00-02:00\"",
        "saw \"07:01-08:00\"",
        "electricity.season.sharp: saw \"06:00-08:00\" outside of peak",
        "\"08:00-10:00\" twice",
        "price.carrier: saw \"gold\", wanted natural_gas, heat, steam or water",
        "price.per: saw \"m3\", wanted MJ or GJ",
    ];
    for wanted in wanted {
        assert!(all.contains(wanted), "{wanted} is missing in\n{all}");
    }
}

#[test]
fn two_prices_at_one_time_and_a_month_without_season_are_faults() {
    let price = |from: &str| {
        format!(
            "[[price]]\ncarrier = \"heat\"\nfrom = \"{from}\"\nper = \"GJ\"\ncny = 1\nrecorded = \"2020\"\nsource = \"s\"\nconfidence = \"low\"\n"
        )
    };
    let (_, faults) = read("my.toml", &format!("id = \"x\"\n{}{}", price("2020-01-01"), price("2021-01-01")));
    assert!(faults[0].to_string().contains("overlaps"), "{faults:?}");
    let text = "id = \"x\"\n[[electricity]]\nfrom = \"2020-01-01\"\nrecorded = \"2020\"\nsource = \"s\"\nconfidence = \"low\"\n\
                floating_cny_per_kwh = 0.1\n[electricity.multiplier]\nsharp = 2\npeak = 1.5\nflat = 1\nvalley = 0.5\ndeep_valley = 0.1\n\
                [[electricity.season]]\nmonths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n";
    let (_, faults) = read("my.toml", text);
    assert!(faults[0].to_string().contains("month 12 0 times"), "{faults:?}");
}
