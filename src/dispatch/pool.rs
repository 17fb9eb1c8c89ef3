//! Many storages as few, so that a plan has a bounded size whatever a zone has, and what the few do as what each of the many does.
//!
//! Storages of one sort that are alike (hours to fill, how full, losses) make a pool: its power and energy are sums. Invariant: the members' powers lie within their own
//! bounds, and add up to the pool's where these allow it.

use super::plan::Storage;

/// Positions of storages that are planned as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Pools(Vec<Vec<usize>>);

impl Pools {
    /// At most `most` of them, but one for each sort: what may give, what is held, and the rest.
    #[must_use]
    pub fn of(storages: &[Storage], most: usize) -> Pools {
        if storages.len() <= most {
            return Pools((0..storages.len()).map(|index| vec![index]).collect());
        }
        let mut pools = Vec::new();
        for sort in [(true, true), (true, false), (false, true), (false, false)] {
            let of_sort = |index: &usize| (0.0 < storages[*index].discharge_kw_max, storages[*index].held) == sort;
            let mut members: Vec<usize> = (0..storages.len()).filter(of_sort).collect();
            members.sort_by(|a, b| likeness(&storages[*a]).partial_cmp(&likeness(&storages[*b])).unwrap_or(std::cmp::Ordering::Equal));
            let share = (most * members.len() / storages.len()).max(1);
            pools.extend(members.chunks(members.len().div_ceil(share).max(1)).map(<[usize]>::to_vec));
        }
        Pools(pools)
    }

    /// What is planned for.
    #[must_use]
    pub fn storages(&self, storages: &[Storage]) -> Vec<Storage> {
        self.0.iter().map(|members| sum(&members.iter().map(|index| &storages[*index]).collect::<Vec<_>>())).collect()
    }

    /// The power of each storage in a step of so many hours, kW, from the pools' powers; `stored_kwh` is what each holds at its begin, and goes on to its end.
    #[must_use]
    pub fn powers(&self, storages: &[Storage], pooled_kw: &[f64], (step, hours): (usize, f64), stored_kwh: &mut [f64]) -> Vec<f64> {
        let mut powers = vec![0.0; storages.len()];
        for (members, kw) in self.0.iter().zip(pooled_kw) {
            if let [alone] = members[..] {
                powers[alone] = *kw;
            } else {
                let bounds: Vec<(f64, f64)> =
                    members.iter().map(|index| bounds(&storages[*index], stored_kwh[*index], (step, hours), *kw)).collect();
                let (least, most) = bounds.iter().fold((0.0, 0.0), |sum, bounds| (sum.0 + bounds.0, sum.1 + bounds.1));
                let share = if least < most { ((kw - least) / (most - least)).clamp(0.0, 1.0) } else { 0.0 };
                for (index, (least, most)) in members.iter().zip(bounds) {
                    powers[*index] = least + share * (most - least);
                }
            }
        }
        for ((storage, kw), stored) in storages.iter().zip(&powers).zip(stored_kwh) {
            *stored += hours * if 0.0 < *kw { kw * storage.one_way_efficiency } else { kw / storage.one_way_efficiency };
        }
        powers
    }
}

/// Losses, hours to fill, and how full it is.
fn likeness(storage: &Storage) -> (f64, f64, f64) {
    let (floor, ceiling) = (storage.floor_kwh.first().copied().unwrap_or(0.0), storage.ceiling_kwh.last().copied().unwrap_or(0.0));
    let room = (ceiling - floor).max(f64::MIN_POSITIVE);
    (storage.one_way_efficiency, (room / storage.charge_kw_max.max(f64::MIN_POSITIVE)).min(f64::MAX), (storage.stored_kwh - floor) / room)
}

fn sum(members: &[&Storage]) -> Storage {
    let all = |value: fn(&Storage) -> f64| members.iter().map(|storage| value(storage)).sum::<f64>();
    let power = all(|storage| storage.charge_kw_max).max(f64::MIN_POSITIVE);
    let mean = |value: fn(&Storage) -> f64| members.iter().map(|storage| value(storage) * storage.charge_kw_max).sum::<f64>() / power;
    let series = |of: fn(&Storage) -> &Vec<f64>| {
        let mut sums = Vec::new();
        for storage in members {
            sums.resize(of(storage).len(), 0.0);
            sums.iter_mut().zip(of(storage)).for_each(|(sum, value)| *sum += value);
        }
        sums
    };
    Storage {
        charge_kw_max: all(|storage| storage.charge_kw_max),
        discharge_kw_max: all(|storage| storage.discharge_kw_max),
        one_way_efficiency: mean(|storage| storage.one_way_efficiency).clamp(f64::MIN_POSITIVE, 1.0),
        stored_kwh: all(|storage| storage.stored_kwh),
        floor_kwh: series(|storage| &storage.floor_kwh),
        ceiling_kwh: series(|storage| &storage.ceiling_kwh),
        worth_cny_per_kwh: mean(|storage| storage.worth_cny_per_kwh),
        held: members.iter().any(|storage| storage.held),
    }
}

/// The least and the most of a storage in a step, kW: where the pool takes, none gives, and where it gives, none takes.
fn bounds(storage: &Storage, stored_kwh: f64, (step, hours): (usize, f64), pooled_kw: f64) -> (f64, f64) {
    let kw = |kwh: f64| if 0.0 < kwh { kwh / storage.one_way_efficiency / hours } else { kwh * storage.one_way_efficiency / hours };
    let within = |kw: f64| kw.clamp(-storage.discharge_kw_max, storage.charge_kw_max);
    let (least, most) = (within(kw(storage.floor_kwh[step] - stored_kwh)), within(kw(storage.ceiling_kwh[step] - stored_kwh)));
    if 0.0 <= pooled_kw { (least.max(0.0), most.max(0.0)) } else { (least.min(0.0), most.min(0.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(kw: f64, stored_kwh: f64, capacity_kwh: f64) -> Storage {
        Storage {
            charge_kw_max: kw,
            discharge_kw_max: kw,
            one_way_efficiency: 1.0,
            stored_kwh,
            floor_kwh: vec![0.0; 2],
            ceiling_kwh: vec![capacity_kwh; 2],
            worth_cny_per_kwh: 0.5,
            held: true,
        }
    }

    /// Powers of each from the power of all as one pool.
    fn powers(storages: &[Storage], kw: f64) -> Vec<f64> {
        let mut stored: Vec<f64> = storages.iter().map(|storage| storage.stored_kwh).collect();
        Pools(vec![(0..storages.len()).collect()]).powers(storages, &[kw], (0, 1.0), &mut stored)
    }

    #[test]
    fn few_are_planned_one_by_one_and_many_in_pools_of_their_sort() {
        let vehicles = Storage { discharge_kw_max: 0.0, held: false, ..storage(10.0, 0.0, 10.0) };
        let few = vec![storage(10.0, 0.0, 40.0), vehicles.clone()];
        assert_eq!(Pools::of(&few, 2), Pools(vec![vec![0], vec![1]]));
        let many: Vec<Storage> = (0..100).map(|index| if index % 4 == 0 { vehicles.clone() } else { storage(10.0, 0.0, 40.0) }).collect();
        let pools = Pools::of(&many, 8);
        let pooled = pools.storages(&many);
        assert!(pooled.len() <= 8, "{pools:?}");
        assert!(pools.0.iter().all(|members| members.iter().all(|index| (index % 4 == 0) == (members[0] % 4 == 0))), "{pools:?}");
        let sum = |value: fn(&Storage) -> f64, of: &[Storage]| of.iter().map(value).sum::<f64>() as i64;
        assert_eq!(sum(|storage| storage.charge_kw_max, &pooled), 1000);
        assert_eq!(sum(|storage| storage.discharge_kw_max, &pooled), 750);
        assert_eq!(sum(|storage| storage.ceiling_kwh[1], &pooled), sum(|storage| storage.ceiling_kwh[1], &many));
    }

    #[test]
    fn a_pools_power_is_shared_by_what_each_can_take_or_give() {
        let three = [storage(10.0, 0.0, 40.0), storage(20.0, 0.0, 80.0), storage(10.0, 38.0, 40.0)];
        // 10, 20 and 2 kWh can be taken in the hour, 0, 0 and 10 given.
        let cases = [
            (32.0, [10.0, 20.0, 2.0]),
            (16.0, [5.0, 10.0, 1.0]),
            (0.0, [0.0, 0.0, 0.0]),
            (-5.0, [0.0, 0.0, -5.0]),
            (-50.0, [0.0, 0.0, -10.0]),
        ];
        for (kw, wanted) in cases {
            assert_eq!(powers(&three, kw), wanted, "{kw} kW");
        }
        // What must be charged is, before others are.
        let due = Storage { floor_kwh: vec![8.0; 2], ..storage(10.0, 0.0, 40.0) };
        assert_eq!(powers(&[due, storage(10.0, 0.0, 40.0)], 8.0), [8.0, 0.0]);
    }
}
