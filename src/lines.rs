//! Points in `InfluxDB`'s line protocol: one line each, times in milliseconds.
//!
//! Never sends anything and knows no store. Invariant: a number that line protocol cannot hold (infinite, or not a number) is left out, and a line without
//! a field is not written.

use std::io::Write;

use influxdb_line_protocol::LineProtocolBuilder;

use crate::domain::units::Millis;

/// Lines, and how many they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    pub text: Vec<u8>,
    pub count: u32,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    Number(f64),
    Text(&'a str),
}

impl Lines {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.count = 0;
    }

    /// Takes the first `count` lines out, or all if there are fewer.
    #[must_use]
    pub fn split_front(&mut self, count: u32) -> Lines {
        if self.count <= count {
            return std::mem::take(self);
        }
        let mut ends = self.text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(index, _)| index + 1);
        let end = match count {
            0 => 0,
            some => ends.nth(some as usize - 1).unwrap_or(self.text.len()),
        };
        let rest = self.text.split_off(end);
        let front = Lines { text: std::mem::replace(&mut self.text, rest), count };
        self.count -= count;
        front
    }

    pub fn append(&mut self, other: &Lines) {
        self.text.extend_from_slice(&other.text);
        self.count += other.count;
    }

    /// One point. Tags without a value are left out, and names that would tear the line.
    pub fn point(&mut self, measurement: &str, tags: &[(&str, &str)], fields: &[(&str, Field)], at: Millis) {
        let whole = |(name, field): &&(&str, Field)| match field {
            Field::Number(number) => number.is_finite() && !tears(name),
            Field::Text(text) => !tears(name) && !tears(text),
        };
        let mut fields = fields.iter().filter(whole);
        let Some((name, first)) = fields.next() else { return };
        let mut line = LineProtocolBuilder::new_with(std::mem::take(&mut self.text)).measurement(measurement);
        for (tag, value) in tags.iter().filter(|(_, value)| !value.is_empty() && !tears(value)) {
            line = line.tag(tag, value);
        }
        let mut line = match first {
            Field::Number(number) => line.field(name, *number),
            Field::Text(text) => line.field(name, *text),
        };
        for (name, field) in fields {
            line = match field {
                Field::Number(number) => line.field(name, *number),
                Field::Text(text) => line.field(name, *text),
            };
        }
        self.text = line.timestamp(at.0).close_line().build();
        self.count += 1;
    }

    /// One reading. Written by hand where no name needs escaping, because the builder writes names letter by letter and readings are the bulk.
    pub fn reading(&mut self, zone: &str, meter: &str, fields: &[(&str, f64)], at: Millis) {
        let plain = is_plain(zone) && is_plain(meter) && fields.iter().all(|(item, value)| is_plain(item) && value.is_finite());
        if !plain {
            let fields: Vec<_> = fields.iter().map(|(item, value)| (*item, Field::Number(*value))).collect();
            self.point("reading", &[("zone", zone), ("meter", meter)], &fields, at);
            return;
        }
        if fields.is_empty() {
            return;
        }
        for part in ["reading,zone=", zone, ",meter=", meter] {
            self.text.extend_from_slice(part.as_bytes());
        }
        let mut before = b' ';
        for (item, value) in fields {
            self.text.push(before);
            self.text.extend_from_slice(item.as_bytes());
            write!(self.text, "={value}").expect("a vector takes every write");
            before = b',';
        }
        writeln!(self.text, " {}", at.0).expect("a vector takes every write");
        self.count += 1;
    }
}

/// Control characters, a line's end above all, have no escape.
fn tears(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// A name that line protocol takes as it is.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &Lines) -> &str {
        std::str::from_utf8(&lines.text).unwrap()
    }

    #[test]
    fn a_reading_is_one_line_with_its_items_as_fields() {
        let mut lines = Lines::default();
        let at = Millis(1_767_600_000_000);
        lines.reading("qht", "HT-E-0012", &[("active_energy_import_kwh", 12_345.678), ("power_factor", 0.97)], at);
        lines.reading("高新区", "电表_01", &[("active_power_kw", -0.5)], at);
        lines.reading("qht", "m", &[("a b", 1.0), ("c", f64::NAN)], at);
        lines.reading("qht", "m", &[("c", f64::INFINITY)], at);
        lines.reading("qht", "m", &[], at);
        lines.reading("qht", "m", &[("x 1\nreading,zone=qht,meter=m y_kwh", 1.0)], at);
        let wanted = "reading,zone=qht,meter=HT-E-0012 active_energy_import_kwh=12345.678,power_factor=0.97 1767600000000\n\
                      reading,zone=高新区,meter=电表_01 active_power_kw=-0.5 1767600000000\n\
                      reading,zone=qht,meter=m a\\ b=1 1767600000000\n";
        assert_eq!((text(&lines), lines.count), (wanted, 3));
    }

    #[test]
    fn texts_are_quoted_and_tags_escaped() {
        let mut lines = Lines::default();
        let fields = [("state", Field::Text("say \"no\"")), ("value", Field::Number(1e21))];
        lines.point("alert", &[("zone", "a b"), ("rule", "x=1,y"), ("none", "")], &fields, Millis(7));
        assert_eq!(text(&lines), "alert,zone=a\\ b,rule=x\\=1\\,y state=\"say \\\"no\\\"\",value=1000000000000000000000 7\n");
    }

    #[test]
    fn lines_are_parted_between_lines() {
        let mut lines = Lines::default();
        for ms in 1..=5 {
            lines.reading("z", "m", &[("c", 1.0)], Millis(ms));
        }
        let front = lines.split_front(2);
        assert_eq!((text(&front), front.count), ("reading,zone=z,meter=m c=1 1\nreading,zone=z,meter=m c=1 2\n", 2));
        assert_eq!((lines.count, lines.split_front(0)), (3, Lines::default()));
        let all = lines.split_front(9);
        assert_eq!((all.count, text(&all).lines().count(), lines.is_empty()), (3, 3, true));
    }
}
