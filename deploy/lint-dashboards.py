"""Grafana's own types (grafana-foundation-sdk) read each dashboard; a key that they do not know would be passed over by Grafana without a word."""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(wanted, read, at=""):
    """Paths of what was written and not read."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            if isinstance(read, dict) and key in read:
                yield from lost(value, read[key], f"{at}/{key}")
            else:
                yield f"{at}/{key}"
    elif isinstance(wanted, list):
        for index, value in enumerate(wanted):
            yield from lost(value, read[index], f"{at}/{index}")


register_default_plugins()
faults = []
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as file:
        written = json.load(file)
    read = json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder))
    faults += [f"{name}: {path}: a key that Grafana does not know; correct or remove it" for path in lost(written, read)]
sys.exit("\n".join(faults) or None)
