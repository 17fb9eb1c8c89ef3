//! What commands on savings put on record: baselines they have fitted, and what users say of hours. By a running collector between its batches,
//! or, without one, by the command itself.
//!
//! Never fits: a command does, on a snapshot of its own. A request's text is made and read here only. Invariant: the same said twice is kept once.

use serde::{Deserialize, Serialize};

use crate::accounting::Book;
use crate::domain::calendar::Span;
use crate::domain::units::Millis;
use crate::store::batch::RowId;
use crate::store::savings::{Adjustment, BaselineRow, LOADS, Load, Vintage};
use crate::store::{Store, StoreError};

/// Kinds of requests.
pub const BASELINE: &str = "baseline";
pub const ADJUSTMENT: &str = "adjustment";
/// Not of savings, but as short: what `InfluxDB` refused for good goes once more, see [`Store::resend_letters`].
pub const RESEND: &str = "resend";

/// The book of a carrier that can have baselines.
#[must_use]
pub fn book(carrier: &str) -> Option<Book> {
    LOADS.into_iter().find(|book| book.carrier().as_str() == carrier)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadText {
    entity: u32,
    carrier: String,
    from: i64,
    to: i64,
    as_of: i64,
}

impl LoadText {
    fn of(load: Load, span: Span, as_of: Millis) -> Self {
        let carrier = load.book.carrier().as_str().to_owned();
        Self { entity: load.entity.0, carrier, from: span.start.0, to: span.end.0, as_of: as_of.0 }
    }

    fn read(&self) -> Result<(Load, Span, Millis), String> {
        let book = book(&self.carrier).ok_or_else(|| format!("the carrier {:?} has no baselines", self.carrier))?;
        let span = Span { start: Millis(self.from), end: Millis(self.to) };
        Ok((Load { entity: RowId(self.entity), book }, span, Millis(self.as_of)))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BaselineText {
    load: LoadText,
    code_version: String,
    year: i16,
    kwh_per_unit: f64,
    mg_co2e: Option<i64>,
    mg_ce_calorific: Option<i64>,
    mg_ce_primary: Option<i64>,
    estimated_share: f64,
    fitted: String,
    replacing: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdjustmentText {
    load: LoadText,
    kwh_per_hour: Option<f64>,
    reason: String,
}

/// Arguments of a request that keeps a baseline, in the place of the one in force where there is a reason for `replacing` it.
pub fn baseline(row: &BaselineRow, replacing: Option<&str>) -> Result<String, serde_json::Error> {
    let Vintage { year, kwh_per_unit, mg_co2e, mg_ce_calorific, mg_ce_primary } = row.vintage;
    serde_json::to_string(&BaselineText {
        load: LoadText::of(row.load, row.period, row.as_of),
        code_version: row.code_version.clone(),
        year,
        kwh_per_unit,
        mg_co2e,
        mg_ce_calorific,
        mg_ce_primary,
        estimated_share: row.estimated_share,
        fitted: row.fitted.clone(),
        replacing: replacing.map(str::to_owned),
    })
}

/// Arguments of a request that keeps what a user says.
pub fn adjustment(said: &Adjustment, as_of: Millis) -> Result<String, serde_json::Error> {
    let load = LoadText::of(said.load, said.span, as_of);
    serde_json::to_string(&AdjustmentText { load, kwh_per_hour: said.kwh_per_hour, reason: said.reason.clone() })
}

/// Does what is asked; gives why it cannot be done, or `None` for a request of another kind.
pub fn keep(store: &Store, kind: &str, arguments: &str) -> Result<Option<Result<(), String>>, StoreError> {
    let kept = match kind {
        BASELINE => keep_baseline(store, arguments)?,
        ADJUSTMENT => keep_adjustment(store, arguments)?,
        RESEND => Ok(store.resend_letters()?),
        _ => return Ok(None),
    };
    Ok(Some(kept))
}

fn keep_baseline(store: &Store, arguments: &str) -> Result<Result<(), String>, StoreError> {
    let read = parsed(arguments).and_then(|text: BaselineText| text.load.read().map(|load| (text, load)));
    let (text, (load, period, as_of)) = match read {
        Ok(read) => read,
        Err(reason) => return Ok(Err(reason)),
    };
    let BaselineText { code_version, year, kwh_per_unit, mg_co2e, mg_ce_calorific, mg_ce_primary, estimated_share, fitted, .. } = text;
    let vintage = Vintage { year, kwh_per_unit, mg_co2e, mg_ce_calorific, mg_ce_primary };
    let row = BaselineRow { load, period, as_of, code_version, vintage, estimated_share, fitted };
    Ok(if store.keep_baseline(&row, text.replacing.as_deref())? {
        Ok(())
    } else {
        Err("another baseline came into force meanwhile; fit again, with --replace if it is to end".to_owned())
    })
}

fn keep_adjustment(store: &Store, arguments: &str) -> Result<Result<(), String>, StoreError> {
    let read = parsed(arguments).and_then(|text: AdjustmentText| text.load.read().map(|load| (text, load)));
    let (text, (load, span, as_of)) = match read {
        Ok(read) => read,
        Err(reason) => return Ok(Err(reason)),
    };
    store.keep_adjustment(&Adjustment { load, span, kwh_per_hour: text.kwh_per_hour, reason: text.reason }, as_of)?;
    Ok(Ok(()))
}

fn parsed<'t, T: Deserialize<'t>>(arguments: &'t str) -> Result<T, String> {
    serde_json::from_str(arguments)
        .map_err(|cause| format!("the request cannot be read ({cause}); use a command of this collector's version"))
}
