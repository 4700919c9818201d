//! Values as small numbers, so that millions of them fit into memory, and every answer about one is worked out once.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, RwLock},
};

pub type Id = u32;
type Numbered<T> = (HashMap<Arc<T>, Id>, Vec<Arc<T>>);

/// Values by number and numbers by value.
pub struct Table<T>(RwLock<Numbered<T>>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}
impl<T: Eq + Hash + Clone> Table<T> {
    pub fn id(&self, value: &T) -> Id {
        if let Some(id) = self.0.read().unwrap().0.get(value) {
            return *id;
        }
        let (ids, values) = &mut *self.0.write().unwrap();
        let next = Id::try_from(values.len()).unwrap();
        let value = Arc::new(value.clone());
        *ids.entry(value.clone()).or_insert_with(|| {
            values.push(value);
            next
        })
    }
    pub fn get(&self, id: Id) -> Arc<T> {
        self.0.read().unwrap().1[id as usize].clone()
    }
}

/// What was asked before.
pub struct Known<K, V>(RwLock<HashMap<K, V>>);

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}
impl<K: Eq + Hash, V: Copy> Known<K, V> {
    pub fn get(&self, key: &K) -> Option<V> {
        self.0.read().unwrap().get(key).copied()
    }
    pub fn insert(&self, key: K, value: V) {
        self.0.write().unwrap().insert(key, value);
    }
    pub fn or(&self, key: K, work_out: impl FnOnce() -> V) -> V {
        self.get(&key).unwrap_or_else(|| {
            let value = work_out();
            self.insert(key, value);
            value
        })
    }
}
