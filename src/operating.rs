//! What operators ask of the regulation (`nengtan regulate`): by a running collector between its batches, or, without one, by the command itself.
//!
//! Never decides; the engine does. The request's text is made and read here only.

use crate::domain::assets::Mode;
use crate::engine::regulate::Wish;
use crate::engine::{Engine, EngineError};

/// Kind of the request.
pub const REGULATE: &str = "regulate";
/// Between the parts of a request; a part has none of its own.
const SEPARATOR: char = '\n';
/// A zone folder's mode, where a mode is named.
pub const OF_THE_FOLDER: &str = "folder";

/// The request's arguments: who asks, why, and for what.
#[must_use]
pub fn arguments(wish: &Wish, who: &str, why: &str) -> String {
    let part = |text: &str| text.replace(SEPARATOR, " ");
    let (verb, rest) = match wish {
        Wish::Stop => ("stop", Vec::new()),
        Wish::Resume => ("resume", Vec::new()),
        Wish::Hold(asset, value, hours) => ("override", vec![asset.clone(), value.to_string(), hours.to_string()]),
        Wish::Release(asset) => ("release", vec![asset.clone()]),
        Wish::Approve(asset) => ("approve", vec![asset.clone()]),
        Wish::Mode(asset, mode) => ("mode", vec![asset.clone(), mode.map_or(OF_THE_FOLDER, Mode::as_str).to_owned()]),
    };
    let parts = [part(who), part(why), verb.to_owned()];
    parts.into_iter().chain(rest).collect::<Vec<_>>().join(&SEPARATOR.to_string())
}

fn read(arguments: &str) -> Option<(&str, &str, Wish)> {
    let parts: Vec<&str> = arguments.split(SEPARATOR).collect();
    let (who, why, wish) = match parts[..] {
        [who, why, "stop"] => (who, why, Wish::Stop),
        [who, why, "resume"] => (who, why, Wish::Resume),
        [who, why, "override", asset, value, hours] => (who, why, Wish::Hold(asset.to_owned(), value.parse().ok()?, hours.parse().ok()?)),
        [who, why, "release", asset] => (who, why, Wish::Release(asset.to_owned())),
        [who, why, "approve", asset] => (who, why, Wish::Approve(asset.to_owned())),
        [who, why, "mode", asset, OF_THE_FOLDER] => (who, why, Wish::Mode(asset.to_owned(), None)),
        [who, why, "mode", asset, mode] => (who, why, Wish::Mode(asset.to_owned(), Some(Mode::from_name(mode)?))),
        _ => return None,
    };
    Some((who, why, wish))
}

/// Does what a request asks; the texts are for whoever asked.
pub fn operate(engine: &mut Engine, arguments: &str) -> Result<Result<String, String>, EngineError> {
    match read(arguments) {
        Some((who, why, wish)) => engine.operate(&wish, (who, why)),
        None => Ok(Err(format!("request {REGULATE} {arguments:?} is none this collector knows; use a command of its version"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_made() {
        let asset = || "a-1".to_owned();
        let wishes = [
            Wish::Stop,
            Wish::Resume,
            Wish::Hold(asset(), -0.1, 24),
            Wish::Release(asset()),
            Wish::Approve(asset()),
            Wish::Mode(asset(), None),
            Wish::Mode(asset(), Some(Mode::Approve)),
        ];
        for wish in wishes {
            let text = arguments(&wish, "li", "too\ncold");
            assert_eq!(read(&text), Some(("li", "too cold", wish)), "{text}");
        }
        assert_eq!(read("li\nwhy\nmode\na\nguess"), None);
        assert_eq!(read(""), None);
    }
}
