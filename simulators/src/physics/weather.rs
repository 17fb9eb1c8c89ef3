//! Qingdao's weather: temperature, humidity and irradiance as functions of time alone.
//!
//! Sources: monthly means of daily maxima and minima of Qingdao (1991-2020), Haurwitz (1945) for the clear sky, Kasten and Czeplak (1980)
//! for the clouds, Spencer (1971) for the sun. The same seed gives the same weather for an hour, wherever a run starts.

use std::f64::consts::{PI, TAU};

use jiff::civil::Date;

use super::draws::{Autoregression, Draws};
use super::moment::{HOUR_MS, SLOT_MS, Slot};

const DAILY_MAX_C: [f64; 12] = [3.0, 5.0, 9.0, 15.0, 20.0, 24.0, 27.0, 28.0, 25.0, 20.0, 12.0, 6.0];
const DAILY_MIN_C: [f64; 12] = [-3.0, -2.0, 2.0, 8.0, 13.0, 18.0, 22.0, 23.0, 19.0, 13.0, 6.0, -1.0];
const CLOUDINESS: [f64; 12] = [0.45, 0.47, 0.52, 0.55, 0.57, 0.65, 0.70, 0.62, 0.54, 0.47, 0.45, 0.45];
const HUMIDITY_PCT: [f64; 12] = [60.0, 60.0, 59.0, 62.0, 68.0, 79.0, 87.0, 82.0, 70.0, 64.0, 62.0, 60.0];

/// The hourly residual raises the mean of the daily maxima and lowers that of the minima by about this much.
const RESIDUAL_EXTREME_C: f64 = 0.6;
const WARMEST_HOUR: f64 = 14.5;
const COLDEST_HOUR: f64 = 5.5;
/// Share of the clear sky that Qingdao's haze and sea fog let through.
const HAZE: f64 = 0.89;

/// Kasten and Czeplak's form; their exponent of 3.4 is Hamburg's, this one meets Qingdao's 1,385 kWh/m² a year.
const CLOUD_EXPONENT: f64 = 2.0;

/// The air over a step.
#[derive(Clone, Copy, Debug)]
pub struct Air {
    pub temperature_c: f64,
    pub humidity_pct: f64,
    pub irradiance_w_m2: f64,
}

#[derive(Clone, Debug)]
pub struct Weather {
    latitude: f64,
    longitude: f64,
    warm_days: Autoregression,
    warm_hours: Autoregression,
    cloudy_days: Autoregression,
    cloudy_hours: Autoregression,
    humid_days: Autoregression,
    of_day: Option<(i64, OfDay)>,
    of_hour: Option<(i64, OfHour)>,
}

/// Anomalies of yesterday, today and tomorrow, and today's sky.
#[derive(Clone, Copy, Debug)]
struct OfDay {
    warm: [f64; 3],
    cloudy: f64,
    humid: f64,
}

#[derive(Clone, Copy, Debug)]
struct OfHour {
    warm: [f64; 2],
    cloudy: f64,
}

impl Weather {
    pub fn new(latitude: f64, longitude: f64, draws: Draws) -> Weather {
        let process = |purpose, rho, sd| Autoregression::new(draws.stream("weather", purpose), rho, sd);
        Weather {
            latitude,
            longitude,
            warm_days: process("temperature by day", 0.61, 2.8),
            warm_hours: process("temperature by hour", 0.86, 1.3),
            cloudy_days: process("clouds by day", 0.4, 0.30),
            cloudy_hours: process("clouds by hour", 0.8, 0.12),
            humid_days: process("humidity by day", 0.5, 8.0),
            of_day: None,
            of_hour: None,
        }
    }

    /// The sine of the sun's elevation at an instant.
    pub fn sun(&self, at_ms: i64, date: Date) -> f64 {
        let angle = TAU * (f64::from(date.day_of_year()) - 1.0) / 365.25;
        let declination = 0.006_918 - 0.399_912 * angle.cos() + 0.070_257 * angle.sin() - 0.006_758 * (2.0 * angle).cos()
            + 0.000_907 * (2.0 * angle).sin();
        let equation_of_time_min = 229.18
            * (0.000_075 + 0.001_868 * angle.cos()
                - 0.032_077 * angle.sin()
                - 0.014_615 * (2.0 * angle).cos()
                - 0.040_849 * (2.0 * angle).sin());
        let utc_h = at_ms.rem_euclid(24 * HOUR_MS) as f64 / HOUR_MS as f64;
        let solar_h = utc_h + self.longitude / 15.0 + equation_of_time_min / 60.0;
        let hour_angle = PI * (solar_h - 12.0) / 12.0;
        let latitude = self.latitude.to_radians();
        latitude.sin() * declination.sin() + latitude.cos() * declination.cos() * hour_angle.cos()
    }

    /// The air over the step that `slots` make up, on the local day `day` since 1970.
    pub fn air(&mut self, day: i64, date: Date, slots: &[Slot]) -> Air {
        let span: f64 = slots.iter().map(|slot| slot.hours).sum();
        let mut sums = [0.0; 3];
        for slot in slots {
            let air = self.air_in(day, date, *slot);
            sums[0] += air.temperature_c * slot.hours / span;
            sums[1] += air.humidity_pct * slot.hours / span;
            sums[2] += air.irradiance_w_m2 * slot.hours / span;
        }
        Air { temperature_c: sums[0], humidity_pct: sums[1], irradiance_w_m2: sums[2] }
    }

    fn air_in(&mut self, day: i64, date: Date, slot: Slot) -> Air {
        let of_day = self.day(day);
        let of_hour = self.hour(slot.index.div_euclid(HOUR_MS / SLOT_MS));
        let monthly = |table| of_year(table, date);

        let base = of_day.warm[1];
        let noon_away = (slot.hour - 12.0) / 24.0;
        let neighbour = if noon_away < 0.0 { of_day.warm[0] } else { of_day.warm[2] };
        let anomaly = base + (neighbour - base) * noon_away.abs();
        let into_hour = slot.hour.fract();
        let residual = of_hour.warm[0] * (1.0 - into_hour) + of_hour.warm[1] * into_hour;

        let sky = (monthly(&CLOUDINESS) + of_day.cloudy).clamp(0.0, 1.0);
        let clouds = (sky + of_hour.cloudy).clamp(0.0, 1.0);
        let (high, low) = (monthly(&DAILY_MAX_C), monthly(&DAILY_MIN_C));
        // Clear days swing more than overcast ones.
        let swing = ((high - low) / 2.0 - RESIDUAL_EXTREME_C) * (1.0 + 0.5 * (monthly(&CLOUDINESS) - sky));
        let diurnal = swing * of_the_day(slot.hour);
        let temperature_c = f64::midpoint(high, low) + diurnal + anomaly + residual;

        // The same moisture is less relative humidity in warmer air: about 2.2 points per kelvin.
        let humidity_pct = (monthly(&HUMIDITY_PCT) + of_day.humid - 2.2 * (diurnal + residual)).clamp(18.0, 100.0);
        Air { temperature_c, humidity_pct, irradiance_w_m2: irradiance(slot.sun, clouds) }
    }

    fn day(&mut self, day: i64) -> OfDay {
        match self.of_day {
            Some((known, of_day)) if known == day => of_day,
            _ => {
                let warm = [self.warm_days.at(day - 1), self.warm_days.at(day), self.warm_days.at(day + 1)];
                let of_day = OfDay { warm, cloudy: self.cloudy_days.at(day), humid: self.humid_days.at(day) };
                self.of_day = Some((day, of_day));
                of_day
            }
        }
    }

    fn hour(&mut self, hour: i64) -> OfHour {
        match self.of_hour {
            Some((known, of_hour)) if known == hour => of_hour,
            _ => {
                let of_hour = OfHour { warm: [self.warm_hours.at(hour), self.warm_hours.at(hour + 1)], cloudy: self.cloudy_hours.at(hour) };
                self.of_hour = Some((hour, of_hour));
                of_hour
            }
        }
    }
}

/// Global horizontal irradiance in W/m² under `clouds` (0 to 1).
fn irradiance(sun: f64, clouds: f64) -> f64 {
    if sun <= 0.0 {
        return 0.0;
    }
    let clear = 1098.0 * sun * (-0.057 / sun).exp();
    HAZE * clear * (1.0 - 0.75 * clouds.powf(CLOUD_EXPONENT))
}

/// A monthly table read at a date, linear between the middles of the months.
fn of_year(table: &[f64; 12], date: Date) -> f64 {
    let month = usize::try_from(date.month() - 1).expect("months are 1 to 12");
    let from_middle = (f64::from(date.day()) - 15.5) / 30.5;
    let neighbour = if from_middle < 0.0 { (month + 11) % 12 } else { (month + 1) % 12 };
    table[month] + (table[neighbour] - table[month]) * from_middle.abs()
}

/// The daily course of the temperature, −1 at its lowest and 1 at its highest.
fn of_the_day(hour: f64) -> f64 {
    let rise = WARMEST_HOUR - COLDEST_HOUR;
    if (COLDEST_HOUR..WARMEST_HOUR).contains(&hour) {
        -(PI * (hour - COLDEST_HOUR) / rise).cos()
    } else {
        (PI * (hour - WARMEST_HOUR).rem_euclid(24.0) / (24.0 - rise)).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTC_OFFSET_H: i64 = 8;

    /// Eight years of hours: (date, hour, air).
    fn years() -> Vec<(Date, i64, Air)> {
        let mut weather = Weather::new(36.265, 120.195, Draws::new(42));
        let first = Date::constant(2023, 1, 1);
        let mut hours = Vec::new();
        for day in 0..2922 {
            let date = first.checked_add(jiff::Span::new().days(day)).unwrap();
            let day_index = 19_358 + day;
            for hour in 0..24 {
                let start = (day_index * 24 + hour - UTC_OFFSET_H) * HOUR_MS;
                let slots: Vec<Slot> = (0..4)
                    .map(|quarter| {
                        let at = start + quarter * SLOT_MS;
                        let middle = at + SLOT_MS / 2;
                        Slot {
                            index: at / SLOT_MS,
                            hour: hour as f64 + (quarter as f64 + 0.5) / 4.0,
                            hours: 0.25,
                            sun: weather.sun(middle, date),
                        }
                    })
                    .collect();
                hours.push((date, hour, weather.air(day_index, date, &slots)));
            }
        }
        hours
    }

    #[test]
    fn daily_extremes_meet_the_published_monthly_means() {
        let hours = years();
        let mut sums = [[0.0; 3]; 12];
        for day in hours.chunks(24) {
            let month = usize::try_from(day[0].0.month() - 1).unwrap();
            sums[month][0] += day.iter().map(|h| h.2.temperature_c).fold(f64::MIN, f64::max);
            sums[month][1] += day.iter().map(|h| h.2.temperature_c).fold(f64::MAX, f64::min);
            sums[month][2] += 1.0;
        }
        for month in 0..12 {
            let (high, low) = (sums[month][0] / sums[month][2], sums[month][1] / sums[month][2]);
            assert!((high - DAILY_MAX_C[month]).abs() < 1.6, "month {} maximum {high:.1}", month + 1);
            assert!((low - DAILY_MIN_C[month]).abs() < 1.6, "month {} minimum {low:.1}", month + 1);
        }
    }

    #[test]
    fn a_year_brings_about_1385_kwh_of_sun_per_square_metre() {
        let sum: f64 = years().iter().map(|h| h.2.irradiance_w_m2).sum();
        let yearly = sum / 1000.0 / 8.0;
        assert!((1250.0..1500.0).contains(&yearly), "{yearly:.0}");
    }

    #[test]
    fn july_is_humid_and_january_is_not() {
        let hours = years();
        let mean = |month| {
            let values: Vec<f64> = hours.iter().filter(|h| h.0.month() == month).map(|h| h.2.humidity_pct).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        assert!((82.0..91.0).contains(&mean(7)), "{}", mean(7));
        assert!((56.0..65.0).contains(&mean(1)), "{}", mean(1));
    }

    #[test]
    fn the_sun_stands_highest_near_noon_at_the_latitude_s_angle() {
        let weather = Weather::new(36.265, 120.195, Draws::new(42));
        let date = Date::constant(2026, 6, 21);
        let midnight = 20_625 * 24 * HOUR_MS - UTC_OFFSET_H * HOUR_MS;
        let (minute, sun) =
            (0..1440).map(|minute| (minute, weather.sun(midnight + minute * 60_000, date))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        // 90° − 36.27° + 23.44°; solar noon at 12:01 on that day at 120.2 E.
        assert!((sun.asin().to_degrees() - 77.17).abs() < 0.3, "{}", sun.asin().to_degrees());
        assert!((715..=727).contains(&minute), "{minute}");
    }
}
