//! Topics of `docs/wire.md`.

/// What a topic of the zone carries, by its last levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic<'a> {
    Telemetry {
        gateway: &'a str,
    },
    Status {
        gateway: &'a str,
    },
    Event {
        gateway: &'a str,
    },
    Clock,
    Command {
        asset: &'a str,
    },
    Outcome {
        asset: &'a str,
    },
    /// What collectors say to others: alerts, requests, lock-step.
    NotForUs,
}

/// The filter that a collector of `zone` subscribes to: everything of the zone, so that what is sent under a wrong topic is seen and refused.
#[must_use]
pub fn filter(zone: &str) -> String {
    format!("nengtan/{zone}/#")
}

/// Parses a topic of `zone`; `None` if it is none of ours.
#[must_use]
pub fn parse<'a>(zone: &str, topic: &'a str) -> Option<Topic<'a>> {
    let rest = topic.strip_prefix("nengtan/")?.strip_prefix(zone)?.strip_prefix('/')?;
    if rest == "clock" {
        return Some(Topic::Clock);
    }
    if rest == "clock/done" || rest.starts_with("alert/") {
        return Some(Topic::NotForUs);
    }
    if let Some((asset, kind)) = rest.strip_prefix("asset/").and_then(|rest| rest.split_once('/')) {
        return match kind {
            "command" => Some(Topic::Command { asset }),
            "result" => Some(Topic::Outcome { asset }),
            _ => None,
        };
    }
    let (gateway, kind) = rest.strip_prefix("gw/")?.split_once('/')?;
    match kind {
        "telemetry" => Some(Topic::Telemetry { gateway }),
        "status" => Some(Topic::Status { gateway }),
        "event" => Some(Topic::Event { gateway }),
        "backfill" => Some(Topic::NotForUs),
        _ => None,
    }
}

#[must_use]
pub fn clock_done(zone: &str) -> String {
    format!("nengtan/{zone}/clock/done")
}

#[must_use]
pub fn alert(zone: &str, rule: &str, subject: &str) -> String {
    format!("nengtan/{zone}/alert/{rule}/{subject}")
}

#[must_use]
pub fn command(zone: &str, asset: &str) -> String {
    format!("nengtan/{zone}/asset/{asset}/command")
}

#[must_use]
pub fn backfill(zone: &str, gateway: &str) -> String {
    format!("nengtan/{zone}/gw/{gateway}/backfill")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_zones_own_topics_are_understood() {
        let cases = [
            ("nengtan/z/gw/g-1/telemetry", Some(Topic::Telemetry { gateway: "g-1" })),
            ("nengtan/z/gw/网关/status", Some(Topic::Status { gateway: "网关" })),
            ("nengtan/z/gw/g/event", Some(Topic::Event { gateway: "g" })),
            ("nengtan/z/clock", Some(Topic::Clock)),
            ("nengtan/z/clock/done", Some(Topic::NotForUs)),
            ("nengtan/z/alert/stale/m", Some(Topic::NotForUs)),
            ("nengtan/z/asset/a-1/command", Some(Topic::Command { asset: "a-1" })),
            ("nengtan/z/asset/a-1/result", Some(Topic::Outcome { asset: "a-1" })),
            ("nengtan/z/asset/a-1/results", None),
            ("nengtan/z/asset/a-1", None),
            ("nengtan/z/clocks", None),
            ("nengtan/z/gw/g/rubbish", None),
            ("nengtan/zz/gw/g/event", None),
            ("nengtan/z/gw/g/backfill", Some(Topic::NotForUs)),
            ("nengtan/z/gw/g/x/telemetry", None),
            ("other/z/clock", None),
        ];
        for (topic, wanted) in cases {
            assert_eq!(parse("z", topic), wanted, "{topic}");
        }
    }
}
