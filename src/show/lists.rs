//! `show alerts`, `show meters`, `show quality`.

use rusqlite::Connection;

use super::{Selection, ShowError};
use crate::store::read::{Cell, Table, query};

/// A column of local time from one of milliseconds.
fn local(ms: &str) -> String {
    format!(
        "strftime('%Y-%m-%dT%H:%M:%S', {ms} / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= {ms} ORDER BY from_ts DESC LIMIT 1), 'unixepoch')"
    )
}

/// Restricts rows to the entities asked for by the column `entity`; ids are bound, never written into the text.
fn of_entities(selection: &Selection, column: &str, parameters: &mut Vec<Cell>) -> String {
    if selection.entities.is_empty() {
        return String::new();
    }
    let marks: Vec<String> = selection
        .entities
        .iter()
        .map(|entity| {
            parameters.push(Cell::Text(entity.clone()));
            format!("?{}", parameters.len())
        })
        .collect();
    let marks = marks.join(", ");
    format!(" AND {column} IN (SELECT entity FROM entity_row WHERE entity IN ({marks}) OR name_en IN ({marks}) OR name_zh IN ({marks}))")
}

/// Alerts, the newest first; `from` and `to` bound when they were raised.
pub fn alerts(ledger: &Connection, selection: &Selection) -> Result<Table, ShowError> {
    let wanted = selection.resolve(ledger)?;
    let mut parameters = vec![
        wanted.from.map_or(Cell::Integer(i64::MIN), |from| Cell::Integer(from.0)),
        wanted.to.map_or(Cell::Integer(i64::MAX), |to| Cell::Integer(to.0)),
    ];
    let entity = "(SELECT entity FROM channel_row c WHERE c.meter = a.subject AND entity IS NOT NULL LIMIT 1)";
    let restricted = of_entities(selection, entity, &mut parameters);
    let (since, raised, cleared) = (local("since"), local("raised"), local("cleared"));
    let sql = format!(
        "SELECT rule, subject, {entity} AS entity, severity, CASE WHEN cleared IS NULL THEN 'firing' ELSE 'cleared' END AS state, {since} AS since, \
         {raised} AS raised, {cleared} AS cleared, value, \"limit\" FROM alert_row a WHERE raised >= ?1 AND raised < ?2{restricted} \
         ORDER BY a.raised DESC, rule, subject"
    );
    Ok(query(ledger, &sql, &parameters)?)
}

/// Meters and their newest values.
pub fn meters(ledger: &Connection, selection: &Selection) -> Result<Table, ShowError> {
    selection.resolve(ledger)?;
    let mut parameters = Vec::new();
    let restricted = of_entities(selection, "c.entity", &mut parameters);
    let latest = local("l.ts");
    let sql = format!(
        "SELECT c.meter, c.item, c.entity, k.carrier, c.level, c.boundary, c.gateway, {latest} AS latest_at, \
         CASE WHEN c.register THEN l.value / k.per_unit ELSE l.value END AS latest_value, k.unit FROM channel_row c \
         LEFT JOIN newest l ON l.channel = c.id LEFT JOIN carrier_row k ON k.id = c.carrier WHERE c.entity IS NOT NULL{restricted} ORDER BY c.meter, c.item"
    );
    Ok(query(ledger, &sql, &parameters)?)
}

/// How good each register's data are: readings by class, shares of quality, and how much of its time is covered.
pub fn quality(ledger: &Connection, selection: &Selection) -> Result<Table, ShowError> {
    let wanted = selection.resolve(ledger)?;
    let mut parameters = vec![
        wanted.from.map_or(Cell::Integer(i64::MIN), |from| Cell::Integer(from.0)),
        wanted.to.map_or(Cell::Integer(i64::MAX), |to| Cell::Integer(to.0)),
    ];
    let restricted = of_entities(selection, "c.entity", &mut parameters);
    let (first, last) = (local("first_ts"), local("last_ts"));
    let class = |number: u8, name: &str| format!("SUM(r.verdict & 15 = {number}) AS {name}");
    let classes = [(3, "rollover"), (4, "reset"), (6, "new_serial"), (7, "rebased"), (8, "frozen"), (9, "dip"), (10, "spike"), (0, "held")]
        .map(|(number, name)| class(number, name))
        .join(", ");
    let share = |quality: u8| {
        format!(
            "CASE WHEN SUM(r.energy) > 0 THEN 1.0 * SUM(CASE WHEN (r.verdict >> 4) & 3 = {quality} THEN r.energy ELSE 0 END) / SUM(r.energy) END"
        )
    };
    let sql = format!(
        "SELECT meter, item, entity, {first} AS first_at, {last} AS last_at, readings, rollover, reset, new_serial, rebased, frozen, dip, spike, held, \
         ambiguous, measured_share, assumed_share, estimated_share FROM (SELECT c.meter, c.item, c.entity, MIN(r.ts) AS first_ts, \
         MAX(r.ts) AS last_ts, COUNT(*) AS readings, {classes}, \
         SUM(r.verdict & 64 <> 0) AS ambiguous, {} AS measured_share, {} AS assumed_share, {} AS estimated_share \
         FROM every_reading r JOIN channel_row c ON c.id = r.channel WHERE r.verdict IS NOT NULL AND r.ts >= ?1 AND r.ts < ?2 \
         AND r.block BETWEEN block_of(?1) AND block_of(?2){restricted} \
         GROUP BY r.channel) ORDER BY meter, item",
        share(0),
        share(1),
        share(2)
    );
    Ok(query(ledger, &sql, &parameters)?)
}

/// What was refused, by reason, and what came in, by kind.
pub fn refusals(ledger: &Connection) -> Result<Table, ShowError> {
    let sql = "SELECT 'refused' AS kind, reason AS name, count FROM refusal_row UNION ALL SELECT 'counted', name, count FROM count_row ORDER BY 1, 2";
    Ok(query(ledger, sql, &[])?)
}
