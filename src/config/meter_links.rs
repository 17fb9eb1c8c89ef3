//! What holds between the lines of `meters.csv`: meters, their parents, gateways and formulas.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::csv_file::Row;
use super::meters_csv::{Line, LineKind, NamedTerm};
use crate::domain::channel::{Carrier, Channel, ChannelId, ChannelKind, Direction, GatewayIndex, LedgerUnit, MeterIndex, Term};
use crate::domain::zone::{Gateway, Meter, residual_id};

#[derive(Default)]
pub struct MeterList {
    pub channels: Vec<Channel>,
    pub meters: Vec<Meter>,
    pub gateways: Vec<Gateway>,
}

type Lines<'f> = [(Row<'f>, Option<Line<'f>>)];
type LinesOf<'f> = FxHashMap<&'f str, Vec<u32>>;

/// Checks the lines against each other and joins them. With any fault the list is incomplete.
pub fn link(lines: &mut Lines) -> MeterList {
    refuse_repetitions(lines);
    refuse_disagreements(lines);
    let lines_of = lines_by_meter(lines);
    refuse_parents(lines, &lines_of);
    refuse_cycles(lines, &lines_of, "parent", |row, _| Some(row.field("parent")).filter(|parent| !parent.is_empty()).into_iter().collect());
    refuse_cycles(lines, &lines_of, "formula", |_, line| match line.map(|line| &line.kind) {
        Some(LineKind::Virtual { terms, .. }) => terms.iter().map(|term| term.meter).collect(),
        Some(LineKind::Register(_) | LineKind::Gauge) | None => Vec::new(),
    });
    let terms = resolve_formulas(lines, &lines_of);
    if lines.iter().any(|(row, line)| line.is_none() || !row.faults.is_empty()) {
        return MeterList::default();
    }
    drop(lines_of);
    join(lines, terms)
}

fn lines_by_meter<'f>(lines: &Lines<'f>) -> LinesOf<'f> {
    let mut lines_of = LinesOf::default();
    for ((row, _), at) in lines.iter().zip(0..) {
        lines_of.entry(row.field("meter")).or_default().push(at);
    }
    lines_of
}

fn refuse_repetitions(lines: &mut Lines) {
    let mut seen = FxHashMap::default();
    for (row, _) in lines {
        let (meter, item) = (row.field("meter"), row.field("item"));
        if let Some(first) = seen.insert((meter, item), row.line) {
            let text = format!("\"{item}\" of meter \"{meter}\" as on line {first}");
            row.fault::<()>("item", text, "each item of a meter once", "rename or remove one of the lines");
        }
    }
}

fn refuse_disagreements(lines: &mut Lines) {
    const COLUMNS: [&str; 3] = ["entity", "gateway", "serial"];
    let mut first = FxHashMap::default();
    for (row, _) in lines {
        let fields = COLUMNS.map(|column| row.field(column));
        let (line, of_first) = *first.entry(row.field("meter")).or_insert((row.line, fields));
        for (column, (wanted, seen)) in COLUMNS.iter().zip(of_first.iter().zip(&fields)) {
            if wanted != seen {
                let wanted = format!("{wanted:?} as on line {line} of the same meter");
                row.refuse::<()>(column, &wanted, "make the meter's lines agree");
            }
        }
    }
}

fn refuse_parents(lines: &mut Lines, lines_of: &LinesOf) {
    // A carrier that was refused may have been meant to be any.
    let refused = |row: &Row| row.faults.iter().any(|fault| fault.key == "carrier");
    let carriers: Vec<Option<&str>> = lines.iter().map(|(row, _)| (!refused(row)).then(|| row.field("carrier"))).collect();
    for (row, _) in lines.iter_mut().filter(|(row, _)| row.has("parent")) {
        if lines_of.contains_key(residual_id(row.field("parent")).as_str()) {
            row.refuse::<()>(
                "parent",
                "a meter whose id with -residual is no other meter's, because its residual has that id",
                "rename one of them",
            );
        }
        match lines_of.get(row.field("parent")) {
            None => row.refuse::<()>("parent", "a meter of this file", "correct it or add the meter"),
            Some(_) if refused(row) => None,
            Some(upstream) if upstream.iter().any(|at| carriers[*at as usize].is_none_or(|carrier| carrier == row.field("carrier"))) => {
                None
            }
            Some(_) => row.refuse("parent", &format!("a meter of {}", row.field("carrier")), "correct the parent or the carrier"),
        };
    }
}

/// Refuses each meter that is upstream of itself.
fn refuse_cycles<'f>(
    lines: &mut Lines<'f>,
    lines_of: &LinesOf<'f>,
    column: &str,
    links: impl Fn(&Row<'f>, Option<&Line<'f>>) -> Vec<&'f str>,
) {
    let links_of_line: Vec<Vec<u32>> = lines
        .iter()
        .map(|(row, line)| links(row, line.as_ref()).iter().filter_map(|meter| lines_of.get(meter)).flatten().copied().collect())
        .collect();
    // The last walk on which a line was reached.
    let mut reached_from: Vec<usize> = vec![usize::MAX; lines.len()];
    let mut ahead = Vec::new();
    for at in 0..lines.len() {
        let meter = lines[at].0.field("meter");
        // A line is looked at once, so a cycle elsewhere ends the walk too.
        reached_from[at] = at;
        ahead.push(at as u32);
        let mut circles = false;
        while let Some(line) = ahead.pop() {
            for upstream in &links_of_line[line as usize] {
                circles |= lines[*upstream as usize].0.field("meter") == meter;
                if reached_from[*upstream as usize] != at {
                    reached_from[*upstream as usize] = at;
                    ahead.push(*upstream);
                }
            }
        }
        if circles {
            lines[at].0.refuse::<()>(column, "no cycle of meters", "take one of them out of the cycle");
        }
    }
}

/// The terms of each line's formula as channels; empty for lines without one.
fn resolve_formulas<'f>(lines: &mut Lines<'f>, lines_of: &LinesOf<'f>) -> Vec<Box<[Term]>> {
    let candidates: Vec<Option<Candidate<'f>>> = lines.iter().map(|(row, line)| Candidate::of(row, line.as_ref())).collect();
    let mut all = Vec::with_capacity(lines.len());
    for (row, line) in lines {
        let Some(Line { carrier, kind: LineKind::Virtual { ledger_unit, terms }, .. }) = line else {
            all.push(Box::default());
            continue;
        };
        let wanted = Candidate { item: row.field("item"), carrier: *carrier, ledger_unit: *ledger_unit };
        all.push(terms.iter().filter_map(|term| resolve_term(row, term, &wanted, lines_of, &candidates)).collect());
    }
    all
}

/// What a formula can add up.
#[derive(PartialEq)]
struct Candidate<'f> {
    item: &'f str,
    carrier: Carrier,
    ledger_unit: LedgerUnit,
}

impl<'f> Candidate<'f> {
    fn of(row: &Row<'f>, line: Option<&Line>) -> Option<Self> {
        let line = line?;
        let ledger_unit = match &line.kind {
            LineKind::Register(register) => register.ledger_unit(),
            LineKind::Virtual { ledger_unit, .. } => *ledger_unit,
            LineKind::Gauge => return None,
        };
        debug_assert_ne!(line.direction, Direction::Gauge);
        Some(Self { item: row.field("item"), carrier: line.carrier, ledger_unit })
    }
}

/// The term's channel of the formula's own item, or else the only one of the same kind.
fn resolve_term(row: &mut Row, term: &NamedTerm, wanted: &Candidate, lines_of: &LinesOf, candidates: &[Option<Candidate>]) -> Option<Term> {
    let Some(of_meter) = lines_of.get(term.meter) else {
        return row.fault("formula", format!("{:?}", term.meter), "meters of this file", "correct it or add the meter");
    };
    if of_meter.iter().any(|at| candidates[*at as usize].is_none()) && of_meter.len() == 1 {
        // Its own line is at fault, or it is a gauge.
        return row.fault("formula", format!("{:?}", term.meter), "meters with a register", "correct the formula or that meter's line");
    }
    let same_kind = |at: &&u32| {
        candidates[**at as usize]
            .as_ref()
            .is_some_and(|candidate| candidate.carrier == wanted.carrier && candidate.ledger_unit == wanted.ledger_unit)
    };
    let same_item = of_meter.iter().filter(same_kind).find(|at| candidates[**at as usize].as_ref() == Some(wanted));
    let channel = same_item.or_else(|| {
        let mut of_kind = of_meter.iter().filter(same_kind);
        of_kind.next().filter(|_| of_kind.next().is_none())
    });
    if let Some(at) = channel {
        return Some(Term { channel: ChannelId(*at), sign: term.sign });
    }
    let wanted = format!("meters with an item {} or one register of {}", wanted.item, wanted.carrier.as_str());
    row.fault("formula", format!("{:?}", term.meter), &wanted, "correct the formula")
}

/// Lines without faults as channels, meters and gateways.
fn join(lines: &Lines, terms: Vec<Box<[Term]>>) -> MeterList {
    let mut list = MeterList::default();
    let mut meter_of: FxHashMap<&str, MeterIndex> = FxHashMap::default();
    let mut gateway_of: FxHashMap<&str, GatewayIndex> = FxHashMap::default();
    for ((row, line), at) in lines.iter().zip(0..) {
        let Some(line) = line else { continue };
        let meter = *meter_of.entry(row.field("meter")).or_insert_with(|| {
            let meter = MeterIndex(list.meters.len() as u32);
            let gateway = row.has("gateway").then(|| {
                *gateway_of.entry(row.field("gateway")).or_insert_with(|| {
                    list.gateways.push(Gateway { id: row.field("gateway").into(), meters: Vec::new() });
                    GatewayIndex(list.gateways.len() as u32 - 1)
                })
            });
            if let Some(gateway) = gateway {
                list.gateways[gateway.0 as usize].meters.push(meter);
            }
            list.meters.push(Meter { id: row.field("meter").into(), entity: line.entity, gateway, channels: Vec::new() });
            meter
        });
        list.meters[meter.0 as usize].channels.push(ChannelId(at));
    }
    list.meters.shrink_to_fit();
    let mut items: FxHashMap<&str, Arc<str>> = FxHashMap::default();
    list.channels.reserve_exact(lines.len());
    for (((row, line), terms), at) in lines.iter().zip(terms).zip(0..) {
        let Some(line) = line else { continue };
        list.channels.push(Channel {
            id: ChannelId(at),
            meter: meter_of[row.field("meter")],
            item: items.entry(row.field("item")).or_insert_with(|| row.field("item").into()).clone(),
            entity: line.entity,
            parent: meter_of.get(row.field("parent")).copied(),
            level: line.level,
            boundary: line.boundary,
            carrier: line.carrier,
            direction: line.direction,
            valid_from: line.valid_from,
            kind: match &line.kind {
                LineKind::Register(register) => ChannelKind::Register(register.clone()),
                LineKind::Gauge => ChannelKind::Gauge,
                LineKind::Virtual { ledger_unit, .. } => ChannelKind::Virtual { ledger_unit: *ledger_unit, terms },
            },
        });
    }
    list
}
