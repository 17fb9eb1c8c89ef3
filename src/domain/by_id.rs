//! Positions of a list's elements by their ids.
//!
//! Keeps no id: each is compared where it stands, so the list has to be the one the positions were made of. Invariant: the ids of a list differ.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

#[derive(Clone, Debug)]
pub struct ById(HashTable<u32>);

impl ById {
    #[must_use]
    pub fn new<T>(list: &[T], id: impl Fn(&T) -> &str) -> Self {
        let hash = |at: &u32| FxBuildHasher.hash_one(id(&list[*at as usize]));
        let mut positions = HashTable::with_capacity(list.len());
        for at in 0..list.len() as u32 {
            positions.insert_unique(hash(&at), at, hash);
        }
        Self(positions)
    }

    #[must_use]
    pub fn find<T>(&self, list: &[T], id: impl Fn(&T) -> &str, wanted: &str) -> Option<u32> {
        self.0.find(FxBuildHasher.hash_one(wanted), |at| id(&list[*at as usize]) == wanted).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_found_at_its_place_and_no_other_is() {
        let ids: Vec<String> = (0..1000).map(|at| format!("M-{at}")).collect();
        let by_id = ById::new(&ids, |id| id);
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(by_id.find(&ids, |id| id, id), Some(at as u32));
        }
        assert_eq!(by_id.find(&ids, |id| id, "M-1000"), None);
    }
}
