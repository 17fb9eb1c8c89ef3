//! The JSON of `docs/wire.md`, written by hand into one buffer.

use std::io::Write;

use crate::keyed::Key;
use crate::log::{Index, MeterLog};
use crate::register::{write_display, write_scaled};
use crate::roster::Meter;
use crate::truth::Swap;
use crate::zone::Zone;

/// About the size of a reading with a register and two gauges.
const READING_BYTES: usize = 150;
/// Power factors lie between these, in thousandths.
const POWER_FACTOR: (i64, i64) = (860, 995);

/// A meter's power factor at a moment, in thousandths; 1 without load.
#[must_use]
pub fn power_factor(key: Key, meter: &Meter, at_ms: i64, flow: i64) -> i64 {
    if flow == 0 { 1000 } else { key.text(&meter.id).number(at_ms).whole(POWER_FACTOR.0, POWER_FACTOR.1) }
}

/// An array of `len` objects, each written by `write_one`.
pub fn batch(len: usize, mut write_one: impl FnMut(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(len * READING_BYTES);
    for index in 0..len {
        out.push(if index == 0 { b'[' } else { b',' });
        write_one(index, &mut out);
    }
    out.push(b']');
    out
}

/// Appends one reading object.
pub fn write_reading(zone: &Zone, meter: &Meter, log: &MeterLog, index: Index, key: Key, out: &mut Vec<u8>) {
    let position = index as usize;
    let at = log.at[position];
    write(out, format_args!("{{\"meter\":\"{}\",\"at\":{at},\"seq\":{},\"values\":{{", meter.id, log.seq[position]));
    let mut values = Values { out, first: true };
    for (register, &channel) in log.registers.iter().zip(&meter.registers) {
        let channel = &zone.channels[channel];
        values.name(&channel.item);
        write_display(channel, register.shown[position], values.out);
    }
    for (gauge, &channel) in log.gauges.iter().zip(&meter.gauges) {
        values.name(&zone.channels[channel].item);
        write_scaled(gauge[position], 3, values.out);
    }
    if let Some((gauge, flow)) = meter.flow.zip(log.flow_of(index)) {
        values.name(gauge.item);
        write_scaled(flow, 3, values.out);
        if gauge.with_power_factor {
            values.name("power_factor");
            write_scaled(power_factor(key, meter, at, flow), 3, values.out);
        }
    }
    out.extend_from_slice(b"}}");
}

/// The event of a declared swap.
#[must_use]
pub fn swap_event(zone: &Zone, meter: &Meter, swap: &Swap) -> Vec<u8> {
    let mut out = Vec::new();
    let Swap { at_ms, seq, old_serial, new_serial, .. } = swap;
    write(&mut out, format_args!("{{\"event\":\"swap\",\"meter\":\"{}\",\"at\":{at_ms},\"seq\":{seq},", meter.id));
    write(&mut out, format_args!("\"old_serial\":\"{old_serial}\",\"new_serial\":\"{new_serial}\""));
    for (name, registers) in [("closing", &swap.closing), ("opening", &swap.opening)] {
        write(&mut out, format_args!(",\"{name}\":{{"));
        let mut values = Values { out: &mut out, first: true };
        for (&channel, &register) in meter.registers.iter().zip(registers) {
            let channel = &zone.channels[channel];
            values.name(&channel.item);
            write_display(channel, register, values.out);
        }
        out.push(b'}');
    }
    out.push(b'}');
    out
}

struct Values<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Values<'_> {
    fn name(&mut self, item: &str) {
        let comma = if self.first { "" } else { "," };
        write(self.out, format_args!("{comma}\"{item}\":"));
        self.first = false;
    }
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::log::RegisterLog;
    use crate::roster::FlowGauge;
    use crate::simulation::tests::zone;
    use crate::zone::Carrier;

    fn meter() -> Meter {
        let flow = FlowGauge::of(Carrier::Electricity);
        Meter { id: "M000".to_owned(), gateway: 0, valid_from_ms: 0, registers: vec![0], gauges: Vec::new(), flow }
    }

    fn log(live: bool) -> MeterLog {
        let registers = vec![RegisterLog { shown: vec![4_000 * 123_456], total: vec![0] }];
        let flow_from = if live { 0 } else { usize::MAX };
        let flow = if live { vec![45_200] } else { Vec::new() };
        MeterLog { at: vec![1_767_572_100_000], seq: vec![17], published: vec![0], registers, flow, flow_from, ..MeterLog::new(0, 0, 0) }
    }

    #[test]
    fn a_live_reading_carries_register_power_and_power_factor_and_one_of_the_history_its_register() {
        let written = |live| -> Value {
            let payload = batch(1, |_, out| write_reading(&zone(1), &meter(), &log(live), 0, Key::new(1), out));
            serde_json::from_slice(&payload).unwrap()
        };
        let history = json!([{"meter": "M000", "at": 1_767_572_100_000_i64, "seq": 17, "values": {"active_energy_import_kwh": 12345.6}}]);
        assert_eq!(written(false), history);
        let values = &written(true)[0]["values"];
        assert_eq!((&values["active_energy_import_kwh"], &values["active_power_kw"]), (&json!(12345.6), &json!(45.2)));
        assert!((0.86..1.0).contains(&values["power_factor"].as_f64().unwrap()));
    }

    #[test]
    fn a_swap_says_what_the_example_says() {
        let swap = Swap {
            at_ms: 1_767_578_820_000,
            seq: 41,
            old_serial: "S1001".to_owned(),
            new_serial: "S2001".to_owned(),
            closing: vec![4_000 * 123_991],
            opening: vec![0],
            totals: vec![0],
        };
        let written: Value = serde_json::from_slice(&swap_event(&zone(1), &meter(), &swap)).unwrap();
        let mut example: Value = serde_json::from_slice(include_bytes!("../../docs/wire/event-swap.json")).unwrap();
        example["meter"] = json!("M000");
        example["at"] = json!(swap.at_ms);
        example["opening"]["active_energy_import_kwh"] = json!(0.0);
        assert_eq!(written, example);
    }
}
