//! Builders allocate nothing once their memory has grown.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use daogou::lists::{Candidates, Objective, Scratch, Vectors, builder, builder::names};
use daogou_nn::Rng;

struct Counting;

thread_local! {
    /// Of this thread: what the test harness does on others does not count.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: hands every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const N: usize = 700;
const WIDTH: usize = 11;

/// A request, drawn.
struct Drawn {
    utility: Vec<f32>,
    category: Vec<u16>,
    novel: Vec<f32>,
    vectors: Vec<f32>,
}

impl Drawn {
    fn new(rng: &mut Rng) -> Self {
        Self {
            utility: (0..N).map(|_| rng.uniform() as f32).collect(),
            category: (0..N).map(|_| rng.below(6) as u16).collect(),
            novel: (0..N).map(|_| rng.below(2) as f32).collect(),
            vectors: (0..N * WIDTH).map(|_| rng.normal() as f32).collect(),
        }
    }
}

#[test]
fn builders_allocate_nothing_once_their_memory_has_grown() {
    let mut rng = Rng::new(7, 0);
    let requests: Vec<Drawn> = (0..12).map(|_| Drawn::new(&mut rng)).collect();
    let tie_break: Vec<u64> = (0..N as u64).collect();
    let objective = Objective {
        k: 12,
        lambda_diversity: 0.1,
        lambda_novelty: 0.2,
        wanted_mix: &[0.4, 0.3, 0.1, 0.1, 0.1],
        wanted_novelty: 0.7,
        smoothing: 0.01,
    };
    let before = ALLOCATIONS.get();
    drop(Vec::<u64>::with_capacity(requests.len()));
    assert!(ALLOCATIONS.get() > before, "nothing is counted");
    for name in names() {
        let builder = builder(name).unwrap();
        let (mut scratch, mut list) = (Scratch::default(), Vec::new());
        let mut build = |drawn: &Drawn| {
            let candidates = Candidates {
                utility: &drawn.utility,
                category: &drawn.category,
                novel: &drawn.novel,
                tie_break: &tie_break,
                vectors: Vectors { values: &drawn.vectors, width: WIDTH },
            };
            builder.build(&candidates, &objective, &mut scratch, &mut list).unwrap();
            assert_eq!(list.len(), objective.k);
        };
        requests.iter().for_each(&mut build);
        let before = ALLOCATIONS.get();
        requests.iter().for_each(&mut build);
        assert_eq!(ALLOCATIONS.get() - before, 0, "{name}");
    }
}
