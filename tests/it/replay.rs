//! A real year of a steel plant through a real Mosquitto: the ledger's sums are the file's.

use crate::harness::collector::Collector;
use crate::harness::fleet::Fleet;
use crate::harness::ledger::{query, show, stored};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::{SOON, folder, path, repository, shared, skipped, until};

/// kWh with up to two decimals, in Wh.
fn wh(text: &str) -> i64 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let hundredths: i64 = format!("{rest:0<2}").parse().unwrap();
    (whole.parse::<i64>().unwrap() * 100 + hundredths) * 10
}

#[test]
fn the_steel_plants_year_and_each_month_equal_the_files_sums_exactly() {
    let Some(file) = shared("data/steel_industry_2018.csv") else {
        return skipped("replay", "../shared/data/steel_industry_2018.csv is missing");
    };
    // A day's last row is stamped 0:00 with the date that it closes, so the date's month is the interval's.
    let mut months = [0_i64; 12];
    for line in std::fs::read_to_string(&file).unwrap().lines().skip(1) {
        let mut fields = line.split(',');
        let month: usize = fields.next().unwrap().split('/').nth(1).unwrap().parse().unwrap();
        months[month - 1] += wh(fields.next().unwrap());
    }
    assert_eq!(months.iter().sum::<i64>(), 959_636_710, "the file is the published one");

    let folder = folder();
    let (data, zone) = (folder.path().join("data"), repository("config/zones/steel-plant"));
    let broker = Mosquitto::start();
    let collector = Collector::start(&zone, &data, &broker.url());
    let map = repository("config/replay/steel.toml");
    let url = broker.url();
    let arguments = ["replay", "--file", path(&file), "--map", path(&map), "--zone", path(&zone), "--broker", &url];
    Fleet::spawn(&arguments, &folder.path().join("fleet.stderr")).finish();
    until(SOON, "all readings are stored", || {
        stored(&data, "SELECT COUNT(*) FROM every_reading WHERE verdict IS NOT NULL").filter(|rows| *rows == 35_041)
    });
    collector.stop();

    for entity in ["steel-plant", "E-STEEL"] {
        let sql = format!(
            "SELECT quantity FROM rollup_row WHERE level = 3 AND entity = (SELECT id FROM entity_row WHERE entity = '{entity}') ORDER BY ts"
        );
        let seen: Vec<i64> = query(&data, &sql).iter().map(|row| row["quantity"].as_i64().unwrap()).collect();
        assert_eq!(seen, months, "{entity}");
        let year = show(&data, &["energy", "--entity", entity, "--from", "2018-01-01", "--to", "2019-01-01"]);
        assert_eq!((year.len(), year[0]["kwh"].as_f64().unwrap()), (1, 959_636.71), "{entity}");
        assert_eq!(year[0]["measured_share"], 1.0);
    }
}
