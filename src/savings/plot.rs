//! A picture of an evaluation, as SVG: daily energy metered and expected, and the savings so far with their band.
//!
//! Draws only; every number in it is one of the evaluation's.

use std::fmt::Write;

use super::evaluation::{Day, Evaluation};

const WIDTH: f64 = 960.0;
const PANEL_HEIGHT: f64 = 220.0;
const MARGIN: f64 = 70.0;
const TOP: f64 = 50.0;

/// One of the two charts: where it stands, and which values it spans.
struct Panel {
    top: f64,
    low: f64,
    high: f64,
    days: usize,
}

impl Panel {
    fn new(top: f64, days: usize, values: impl Iterator<Item = f64>) -> Self {
        // Zero is in the picture: a difference that fills a chart without it looks larger than it is.
        let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        Self { top, low, high: if low < high { high } else { low + 1.0 }, days }
    }

    fn x(&self, day: usize) -> f64 {
        MARGIN + (WIDTH - 2.0 * MARGIN) * day as f64 / self.days.saturating_sub(1).max(1) as f64
    }

    fn y(&self, value: f64) -> f64 {
        self.top + PANEL_HEIGHT * (self.high - value) / (self.high - self.low)
    }

    fn points(&self, values: impl Iterator<Item = f64>) -> String {
        values.enumerate().fold(String::new(), |text, (day, value)| format!("{text}{:.1},{:.1} ", self.x(day), self.y(value)))
    }

    fn line(&self, color: &str, values: impl Iterator<Item = f64>) -> String {
        format!("<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\" points=\"{}\"/>\n", self.points(values).trim_end())
    }

    /// Frame, zero line, and the values at its ends.
    fn frame(&self) -> String {
        let (left, right) = (MARGIN, WIDTH - MARGIN);
        let zero = self.y(0.0);
        let mut out = format!("<line x1=\"{left}\" y1=\"{zero:.1}\" x2=\"{right}\" y2=\"{zero:.1}\" stroke=\"#999\"/>\n");
        for value in [self.low, self.high] {
            let label = format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>\n", left - 6.0, self.y(value) + 4.0);
            out.push_str(&label);
        }
        out
    }
}

/// The picture's text.
#[must_use]
pub fn svg(evaluation: &Evaluation) -> String {
    let days = &evaluation.days;
    let upper = |day: &Day| day.savings_so_far_kwh + day.half_width_so_far_kwh;
    let lower = |day: &Day| day.savings_so_far_kwh - day.half_width_so_far_kwh;
    let energy = Panel::new(TOP, days.len(), days.iter().flat_map(|day| [day.baseline_kwh, day.metered_kwh]));
    let savings = Panel::new(TOP + PANEL_HEIGHT + 80.0, days.len(), days.iter().flat_map(|day| [upper(day), lower(day)]));
    let height = savings.top + PANEL_HEIGHT + 50.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let title = |panel: &Panel, text: &str| format!("<text x=\"{MARGIN}\" y=\"{:.1}\">{text}</text>\n", panel.top - 14.0);
    out.push_str(&title(&energy, "kWh per day: <tspan fill=\"#1f6fb2\">baseline</tspan>, <tspan fill=\"#d1495b\">metered</tspan>"));
    out.push_str(&energy.frame());
    out.push_str(&energy.line("#1f6fb2", days.iter().map(|day| day.baseline_kwh)));
    out.push_str(&energy.line("#d1495b", days.iter().map(|day| day.metered_kwh)));
    out.push_str(&title(&savings, "savings since the start, kWh, with the 90 % interval of each total"));
    out.push_str(&savings.frame());
    out.push_str(&band(&savings, days.iter().map(upper), days.iter().map(lower)));
    out.push_str(&savings.line("#2a7f4f", days.iter().map(|day| day.savings_so_far_kwh)));
    for (index, anchor) in [(0, "start"), (days.len().saturating_sub(1), "end")] {
        if let Some(day) = days.get(index) {
            let date = day.end.timestamp().strftime("%Y-%m-%d");
            // Writing to a string cannot fail.
            let _infallible =
                writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{date}</text>", savings.x(index), height - 20.0);
        }
    }
    out.push_str("</svg>\n");
    out
}

fn band(panel: &Panel, upper: impl Iterator<Item = f64>, lower: impl Iterator<Item = f64>) -> String {
    let there = panel.points(upper);
    let lower = panel.points(lower);
    let back: Vec<&str> = lower.split_whitespace().rev().collect();
    format!("<polygon fill=\"#2a7f4f\" fill-opacity=\"0.2\" points=\"{there}{}\"/>\n", back.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::Millis;

    fn evaluation(days: Vec<Day>) -> Evaluation {
        Evaluation {
            counterfactual_kwh: 0.0,
            metered_kwh: 0.0,
            half_width_kwh: 0.0,
            shift: None,
            beyond_temperature: 0,
            extrapolated: Vec::new(),
            hours: Vec::new(),
            days,
        }
    }

    #[test]
    fn the_picture_has_both_lines_and_a_band_that_closes() {
        let day =
            |savings| Day { end: Millis(0), baseline_kwh: 10.0, metered_kwh: 5.0, savings_so_far_kwh: savings, half_width_so_far_kwh: 5.0 };
        let text = svg(&evaluation(vec![day(5.0), day(10.0)]));
        // Days at the left and right margin; 10 of 10 kWh at the top of the panel, 5 half-way.
        assert!(text.contains("points=\"70.0,50.0 890.0,50.0\""), "{text}");
        assert!(text.contains("points=\"70.0,160.0 890.0,160.0\""), "{text}");
        // The band runs over 10 and 15 of 15 kWh, back over 5 and 0.
        assert!(text.contains("points=\"70.0,423.3 890.0,350.0 890.0,496.7 70.0,570.0\""), "{text}");
    }

    #[test]
    fn nothing_to_draw_is_no_nan() {
        assert!(!svg(&evaluation(Vec::new())).contains("NaN"));
    }
}
