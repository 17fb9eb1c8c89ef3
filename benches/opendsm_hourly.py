"""OpenDSM's hourly model on a case folder of `nengtan savings evaluate`, for comparison with its figures (docs/savings.md).

    pip install opendsm==1.2.7 "multimethod<2"
    nengtan savings evaluate --case CASE_DIR --hourly HOURLY.csv
    python benches/opendsm_hourly.py CASE_DIR TRUE_SAVING HOURLY.csv

TRUE_SAVING (a fraction, 0 for none) is taken off the predictions of the reporting year before they are held against the meter.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from opendsm.eemeter import HourlyBaselineData, HourlyModel, HourlyReportingData

folder, saving, hourly = Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
periods = json.loads((folder / "periods.json").read_text())


def series(file, column):
    table = pd.read_csv(file)
    return table.set_index(pd.to_datetime(table["ts_utc"], utc=True))[column]


hours = pd.DataFrame({"observed": series(folder / "meter.csv", "kwh"), "temperature": series(folder / "temperature.csv", "temp_c") * 1.8 + 32})


def period(name):
    start, end = (pd.Timestamp(periods[name][key]) for key in ("start", "end"))
    return hours[(start <= hours.index) & (hours.index < end)].tz_convert(periods["tz"])


def cv_rmse(predicted, observed, parameters=0):
    both = predicted.notna() & observed.notna()
    errors = (observed - predicted)[both]
    return np.sqrt((errors**2).sum() / (both.sum() - parameters)) / observed[both].mean()


baseline, reporting = period("baseline"), period("reporting")
data = HourlyBaselineData(baseline.copy(), is_electricity_data=True)
model = HourlyModel().fit(data, ignore_disqualification=True)
within = model.predict(data, ignore_disqualification=True)["predicted"]
after = model.predict(HourlyReportingData(reporting.copy(), is_electricity_data=True), ignore_disqualification=True)["predicted"]
observed = baseline["observed"].reindex(within.index)
parameters = model.baseline_metrics.num_model_params
adjusted = cv_rmse(within, observed, parameters)
print(f"within the baseline: OpenDSM {cv_rmse(within, observed):.4f}, {adjusted:.4f} with its {parameters} parameters taken off the hours")
metered = reporting["observed"].reindex(after.index)
ours = series(hourly, "baseline_kwh").reindex(after.index)
print(f"in the reporting period: OpenDSM {cv_rmse(after * (1 - saving), metered):.4f}, nengtan {cv_rmse(ours * (1 - saving), metered):.4f}")
