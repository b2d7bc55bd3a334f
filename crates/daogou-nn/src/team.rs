//! A fixed team of threads that runs one closure at a time, without allocating.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

type Job = *const (dyn Fn(usize) + Sync);

/// Threads that wait, spinning a few microseconds before they sleep, for the next piece of work.
///
/// A training step has a handful of short phases; handing them to a general pool would allocate and cost a wake-up
/// each. Member 0 is the calling thread.
pub struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    job: UnsafeCell<Option<Job>>,
    round: AtomicUsize,
    running: AtomicUsize,
    stop: AtomicBool,
    panicked: AtomicBool,
    sleepers: Mutex<usize>,
    wake: Condvar,
}

// SAFETY: `job` is written only by the owner of the team while no member runs (`running == 0`), and read by members
// only after they have seen the new `round` (release/acquire), so accesses never overlap.
unsafe impl Sync for Shared {}
// SAFETY: the raw pointer in `job` is to a `Sync` closure that outlives the round.
unsafe impl Send for Shared {}

/// Spins before a member goes to sleep.
const SPINS: u32 = 4_000;

impl Team {
    /// A team of `size` members (at least 1), the caller among them.
    pub fn new(size: usize) -> Self {
        let shared = Arc::new(Shared {
            job: UnsafeCell::new(None),
            round: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            sleepers: Mutex::new(0),
            wake: Condvar::new(),
        });
        let threads = (1..size.max(1))
            .map(|member| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("daogou-{member}"))
                    .spawn(move || shared.serve(member))
                    .expect("the system refuses another thread")
            })
            .collect();
        Self { shared, threads }
    }

    /// Number of members.
    pub fn size(&self) -> usize {
        self.threads.len() + 1
    }

    /// Runs `work(member)` once on every member and returns when all are done.
    ///
    /// # Panics
    ///
    /// If any member panics.
    pub fn run(&mut self, work: &(dyn Fn(usize) + Sync)) {
        if self.threads.is_empty() {
            return work(0);
        }
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased; every member is done with the closure before this function returns.
        let job: Job = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync + '_), &(dyn Fn(usize) + Sync + 'static)>(
                work,
            )
        };
        // SAFETY: no member runs between rounds, so nobody reads `job` now.
        unsafe { *shared.job.get() = Some(job) };
        shared.running.store(self.threads.len(), Ordering::Relaxed);
        shared.round.fetch_add(1, Ordering::Release);
        if *shared.sleepers.lock().expect("the lock guards a counter only") > 0 {
            shared.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| work(0)));
        let mut spins = 0;
        while shared.running.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins % SPINS == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!shared.panicked.load(Ordering::Relaxed), "a thread of the team panicked");
    }

    /// Runs `work(member, index, item)` for every item, each on some member. Which one is not fixed: `work` must not
    /// depend on it.
    pub fn for_each<I: Send>(
        &mut self,
        items: &mut [I],
        work: impl Fn(usize, usize, &mut I) + Sync,
    ) {
        struct Start<I>(*mut I);
        // SAFETY: each index is handed out once, so no item is reached by two members.
        unsafe impl<I: Send> Sync for Start<I> {}
        impl<I> Start<I> {
            fn at(&self, index: usize) -> *mut I {
                // SAFETY: callers pass an index below the length of the slice.
                unsafe { self.0.add(index) }
            }
        }
        let (start, count) = (Start(items.as_mut_ptr()), items.len());
        let next = AtomicUsize::new(0);
        self.run(&|member| {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                // SAFETY: `index < count`, and the counter hands each index to one member only.
                work(member, index, unsafe { &mut *start.at(index) });
            }
        });
    }
}

impl Shared {
    fn serve(&self, member: usize) {
        let mut seen = 0;
        loop {
            let mut spins = 0;
            loop {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                let round = self.round.load(Ordering::Acquire);
                if round != seen {
                    seen = round;
                    break;
                }
                spins += 1;
                if spins < SPINS {
                    std::hint::spin_loop();
                } else {
                    let mut sleepers =
                        self.sleepers.lock().expect("the lock guards a counter only");
                    *sleepers += 1;
                    while self.round.load(Ordering::Acquire) == seen
                        && !self.stop.load(Ordering::Relaxed)
                    {
                        sleepers =
                            self.wake.wait(sleepers).expect("the lock guards a counter only");
                    }
                    *sleepers -= 1;
                }
            }
            // SAFETY: the owner wrote `job` before it advanced `round` and waits for `running` to reach 0.
            let job = unsafe { &*(*self.job.get()).expect("a round has a job") };
            if catch_unwind(AssertUnwindSafe(|| job(member))).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.running.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(self.shared.sleepers.lock());
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A member that panicked has already made `run` panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Team;

    #[test]
    fn every_item_is_visited_once_over_many_rounds() {
        for size in [1, 2, 5] {
            let mut team = Team::new(size);
            let mut items = vec![0u32; 97];
            for round in 0..200 {
                if round % 50 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(5)); // lets members fall asleep
                }
                team.for_each(&mut items, |_, _, item| *item += 1);
            }
            assert!(items.iter().all(|&n| n == 200), "{size} members");
        }
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let mut team = Team::new(2);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            team.run(&|member| assert_eq!(member, 0, "on purpose"));
        }));
        assert!(caught.is_err());
    }
}
