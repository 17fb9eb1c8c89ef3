//! What a demo plays, kept beside its ledger so that it can go on: the same options give the same zone, to the last reading.

use std::path::{Path, PathBuf};

use nengtan_fleet::faults::Level;
use serde::{Deserialize, Serialize};

use super::DemoError;

const FILE_NAME: &str = "demo.json";

/// What was asked for on the command line.
#[derive(Clone, Copy, Debug)]
pub struct PlayWish {
    pub seed: Option<u64>,
    pub faults: Option<Level>,
    pub history_months: Option<u32>,
    pub days: Option<u32>,
    /// Play the world in which nobody commands the assets.
    pub no_regulation: bool,
}

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Play {
    pub seed: u64,
    pub faults: Level,
    pub history_months: u32,
    /// Live days.
    pub days: u32,
    /// Whether assets are regulated from the first live day on.
    pub regulation: bool,
}

const DEFAULT: Play = Play { seed: 1, faults: Level::None, history_months: 12, days: 366, regulation: true };

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    seed: u64,
    faults: String,
    history: u32,
    days: u32,
    /// Demos of before regulation had none.
    #[serde(default)]
    regulation: bool,
}

impl PlayWish {
    /// A new demo; what it plays is kept in its folder.
    pub fn begun(&self, data: &Path) -> Result<Play, DemoError> {
        let play = Play {
            seed: self.seed.unwrap_or(DEFAULT.seed),
            faults: self.faults.unwrap_or(DEFAULT.faults),
            history_months: self.history_months.unwrap_or(DEFAULT.history_months),
            days: self.days.unwrap_or(DEFAULT.days),
            regulation: DEFAULT.regulation && !self.no_regulation,
        };
        let file = data.join(FILE_NAME);
        let failed = |error: std::io::Error| DemoError::Play { file: file.clone(), detail: error.to_string() };
        let kept = Kept {
            seed: play.seed,
            faults: name_of(play.faults).to_owned(),
            history: play.history_months,
            days: play.days,
            regulation: play.regulation,
        };
        std::fs::create_dir_all(data).map_err(failed)?;
        let text = serde_json::to_vec(&kept).map_err(|error| failed(error.into()))?;
        std::fs::write(&file, text).map_err(failed)?;
        Ok(play)
    }

    /// The demo that was stopped in a folder; options that were given have to be the ones it was started with.
    pub fn resumed(&self, data: &Path) -> Result<Play, DemoError> {
        let file: PathBuf = data.join(FILE_NAME);
        let Ok(text) = std::fs::read_to_string(&file) else { return Err(DemoError::NothingToResume { folder: data.to_owned() }) };
        let malformed = |detail: String| DemoError::Play { file: file.clone(), detail };
        let kept: Kept = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let faults = Level::NAMES.iter().find(|(name, _)| *name == kept.faults).map(|(_, level)| *level);
        let faults = faults.ok_or_else(|| malformed(format!("faults is {:?}, wanted none, field or harsh", kept.faults)))?;
        same("seed", &kept.seed, self.seed.as_ref())?;
        same("faults", &kept.faults, self.faults.map(|level| name_of(level).to_owned()).as_ref())?;
        same("history", &kept.history, self.history_months.as_ref())?;
        same("days", &kept.days, self.days.as_ref())?;
        same("no-regulation", &!kept.regulation, self.no_regulation.then_some(&true))?;
        Ok(Play { seed: kept.seed, faults, history_months: kept.history, days: kept.days, regulation: kept.regulation })
    }
}

fn same<T: PartialEq + ToString>(option: &'static str, seen: &T, wanted: Option<&T>) -> Result<(), DemoError> {
    match wanted {
        Some(wanted) if wanted != seen => Err(DemoError::OtherPlay { option, seen: seen.to_string(), wanted: wanted.to_string() }),
        Some(_) | None => Ok(()),
    }
}

fn name_of(level: Level) -> &'static str {
    Level::NAMES.iter().find(|(_, known)| *known == level).map_or("none", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WISH: PlayWish = PlayWish { seed: None, faults: None, history_months: None, days: None, no_regulation: false };

    #[test]
    fn a_demo_goes_on_with_the_options_it_was_started_with() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(NO_WISH.resumed(folder.path()), Err(DemoError::NothingToResume { .. })));
        PlayWish { seed: Some(7), days: Some(3), ..NO_WISH }.begun(folder.path()).unwrap();
        let play = NO_WISH.resumed(folder.path()).unwrap();
        assert_eq!((play.seed, play.days, play.history_months, play.regulation), (7, 3, 12, true));
        let other = PlayWish { seed: Some(8), ..NO_WISH }.resumed(folder.path()).unwrap_err().to_string();
        assert!(other.contains("--seed 7, not 8"), "{other}");
        let other = PlayWish { no_regulation: true, ..NO_WISH }.resumed(folder.path()).unwrap_err().to_string();
        assert!(other.contains("--no-regulation false, not true"), "{other}");
    }
}
