//! A question in Flux, and its annotated CSV as a table.
//!
//! Invariant: a cell has the type that the server's annotation gives it; tables of several shapes come as one, with a column for each name.

use super::{InfluxError, Server, causes, message};
use crate::store::read::{Cell, Table};

impl Server {
    /// Runs a Flux script and gives all tables of its answer as one.
    pub async fn flux(&self, script: &str) -> Result<Table, InfluxError> {
        let url = self.target.url.clone();
        let body = serde_json::json!({"query": script, "type": "flux", "dialect": {"header": true, "annotations": ["datatype"], "delimiter": ","}});
        let request = self
            .http
            .post(format!("{}/api/v2/query", url.trim_end_matches('/')))
            .query(&[("org", &self.target.org)])
            .header("Authorization", format!("Token {}", self.target.token.expose()))
            .header("Accept", "application/csv")
            .header("Content-Type", "application/json")
            .body(body.to_string());
        let unreachable = |error: reqwest::Error| InfluxError::Unreachable { url: url.clone(), detail: causes(&error) };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(unreachable)?;
        match status {
            200 => parse(&text),
            400 => Err(InfluxError::Flux(message(&text))),
            _ => {
                let remedy = "check INFLUX_TOKEN, --org and --bucket with `nengtan check --online`";
                Err(InfluxError::Answer { url, status, detail: message(&text), remedy })
            }
        }
    }
}

/// Columns that number tables and results, of no use to people.
const BOOKKEEPING: [&str; 2] = ["result", "table"];

/// Annotated CSV: tables stand behind each other, each with a `#datatype` line and a header.
fn parse(text: &str) -> Result<Table, InfluxError> {
    let malformed = |error: csv::Error| InfluxError::Flux(format!("the answer is no CSV: {error}"));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut table = Table::default();
    let mut types: Vec<String> = Vec::new();
    // Per column of the CSV: where it goes.
    let mut places: Option<Vec<Option<usize>>> = None;
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        match record.get(0) {
            Some("#datatype") => {
                types = record.iter().map(str::to_owned).collect();
                places = None;
            }
            _ => match &places {
                None => {
                    if record.get(1) == Some("error") {
                        places = Some(Vec::new());
                        continue;
                    }
                    places = Some(record.iter().map(|name| place(&mut table, name)).collect());
                }
                // The header was that of an error: this row is its text.
                Some(places) if places.is_empty() => return Err(InfluxError::Flux(record.get(1).unwrap_or_default().to_owned())),
                Some(places) => {
                    let mut row = vec![Cell::Null; table.columns.len()];
                    for (index, value) in record.iter().enumerate() {
                        if let Some(place) = places.get(index).copied().flatten() {
                            row[place] = cell(types.get(index).map_or("string", String::as_str), value);
                        }
                    }
                    table.rows.push(row);
                }
            },
        }
    }
    let width = table.columns.len();
    for row in &mut table.rows {
        row.resize(width, Cell::Null);
    }
    Ok(table)
}

fn place(table: &mut Table, name: &str) -> Option<usize> {
    if name.is_empty() || BOOKKEEPING.contains(&name) {
        return None;
    }
    let known = table.columns.iter().position(|column| column == name);
    Some(known.unwrap_or_else(|| {
        table.columns.push(name.to_owned());
        table.columns.len() - 1
    }))
}

fn cell(datatype: &str, value: &str) -> Cell {
    let text = || Cell::Text(value.to_owned());
    match datatype {
        _ if value.is_empty() => Cell::Null,
        "double" => value.parse().map_or_else(|_| text(), Cell::Real),
        "long" | "unsignedLong" => value.parse().map_or_else(|_| text(), Cell::Integer),
        _ => text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_two_shapes_become_one_with_typed_cells() {
        let text = "#datatype,string,long,dateTime:RFC3339,double,string\r\n,result,table,_time,_value,entity\r\n\
                    ,_result,0,2026-01-05T00:00:00Z,1.5,\"E-1, north\"\r\n,_result,0,2026-01-05T01:00:00Z,,E-1\r\n\r\n\
                    #datatype,string,long,long,string\r\n,result,table,_value,state\r\n,_result,1,7,firing\r\n";
        let table = parse(text).unwrap();
        assert_eq!(table.columns, ["_time", "_value", "entity", "state"]);
        let wanted: Vec<Vec<Cell>> = vec![
            vec!["2026-01-05T00:00:00Z".into(), Cell::Real(1.5), "E-1, north".into(), Cell::Null],
            vec!["2026-01-05T01:00:00Z".into(), Cell::Null, "E-1".into(), Cell::Null],
            vec![Cell::Null, Cell::Integer(7), Cell::Null, "firing".into()],
        ];
        assert_eq!(table.rows, wanted);
    }

    #[test]
    fn an_error_in_the_middle_of_an_answer_is_an_error() {
        let text = "#datatype,string,string\r\n,error,reference\r\n,memory limit exceeded,897\r\n";
        assert_eq!(parse(text).unwrap_err().to_string(), "Flux: memory limit exceeded");
        assert_eq!(parse("").unwrap(), Table::default());
    }
}
