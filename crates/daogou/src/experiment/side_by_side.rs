//! Independent pieces of work on several threads, and what some of them have in common.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::train::Observer;
use crate::{Error, Result};

/// Does `work` on every piece, on up to `threads` threads, in their order as far as that has a meaning. After an error no
/// other piece is begun, and those under way are asked to stop; the error of the earliest piece is returned.
pub(crate) fn side_by_side<T: Sync>(
    threads: usize,
    pieces: &[T],
    work: impl Fn(&T, &Halt) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let halt = Halt(AtomicBool::new(false));
    let failed: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, pieces.len().max(1)) {
            scope.spawn(|| {
                while !halt.called() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(piece) = pieces.get(index) else { break };
                    if let Err(error) = work(piece, &halt) {
                        let mut failed = failed.lock().expect("no panic while it is held");
                        // What was stopped is not what went wrong.
                        if !halt.0.swap(true, Ordering::Relaxed) {
                            *failed = Some((index, error));
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().expect("no panic while it was held") {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Tells trainings under way that another one failed.
pub(crate) struct Halt(AtomicBool);

impl Halt {
    fn called(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Watches a training for it.
pub(crate) struct UntilHalt<'a>(pub(crate) &'a Halt);

impl Observer for UntilHalt<'_> {
    fn stops(&self) -> bool {
        self.0.called()
    }
}

/// Things that are dear to make and that several pieces of work need: each is made by the first that asks, the others wait
/// for it, and it is let go by the last.
pub(crate) struct Shared<T> {
    shelves: BTreeMap<String, Shelf<T>>,
}

struct Shelf<T> {
    left: AtomicUsize,
    thing: Mutex<Option<Arc<T>>>,
}

impl<T> Shared<T> {
    /// For pieces of work that need the things of these names, one name per piece.
    pub(crate) fn new(uses: impl IntoIterator<Item = String>) -> Self {
        let mut shelves: BTreeMap<String, Shelf<T>> = BTreeMap::new();
        for name in uses {
            let empty = || Shelf { left: AtomicUsize::new(0), thing: Mutex::new(None) };
            *shelves.entry(name).or_insert_with(empty).left.get_mut() += 1;
        }
        Self { shelves }
    }

    /// Hands the thing of a name, made by `make` if nobody has made it yet, to one piece of work.
    pub(crate) fn with<R>(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<T>,
        work: impl FnOnce(&T) -> Result<R>,
    ) -> Result<R> {
        let shelf = self.shelves.get(name).expect("a name that was announced");
        let thing = {
            let mut place = shelf.thing.lock().expect("no panic while it is held");
            match &*place {
                Some(thing) => Arc::clone(thing),
                None => Arc::clone(place.insert(Arc::new(make()?))),
            }
        };
        let outcome = work(&thing);
        drop(thing);
        if shelf.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            shelf.thing.lock().expect("no panic while it is held").take();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_on_any_number_of_threads() {
        let pieces: Vec<usize> = (0..50).collect();
        for threads in [1, 3, 80] {
            let done: Vec<AtomicUsize> = pieces.iter().map(|_| AtomicUsize::new(0)).collect();
            side_by_side(threads, &pieces, |&piece, _| {
                done[piece].fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
            .unwrap();
            assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads}");
        }
        side_by_side(2, &[] as &[usize], |_, _| unreachable!("nothing to do")).unwrap();
    }

    #[test]
    fn the_first_error_ends_it() {
        let begun = AtomicUsize::new(0);
        let error = side_by_side(1, &[0, 1, 2, 3], |&piece, _| {
            begun.fetch_add(1, Ordering::Relaxed);
            if piece == 1 { Err(Error::data("one")) } else { Ok(()) }
        });
        assert_eq!(error.unwrap_err().to_string(), "one");
        assert_eq!(begun.into_inner(), 2);
        // Who waits for the end sees that it has come.
        let error = side_by_side(2, &[0, 1], |&piece, halt| {
            if piece == 1 {
                return Err(Error::data("the cause"));
            }
            while !UntilHalt(halt).stops() {
                std::thread::yield_now();
            }
            Err(Error::data("training was stopped"))
        });
        assert_eq!(error.unwrap_err().to_string(), "the cause");
    }

    #[test]
    fn what_is_shared_is_made_once_and_let_go() {
        let names = ["a", "b", "a", "a"];
        let shared: Shared<AtomicUsize> = Shared::new(names.map(String::from));
        let made = AtomicUsize::new(0);
        side_by_side(3, &names, |name, _| {
            let make = || {
                made.fetch_add(1, Ordering::Relaxed);
                Ok(AtomicUsize::new(0))
            };
            shared.with(name, make, |thing| {
                thing.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
        })
        .unwrap();
        assert_eq!(made.into_inner(), 2);
        for shelf in shared.shelves.values() {
            assert!(shelf.thing.lock().unwrap().is_none());
        }
    }
}
