//! A step or batch that several threads of the host process together.
//!
//! SPDX-License-Identifier: MIT
use crate::error::{plain, Error, Result};
use sinkattn_sys as sys;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::MutexGuard;

/// Phases that a step may have.
const PHASES: usize = 3;

/// A step or batch that has begun. Thread i of `count` does, with a barrier of the host behind each phase:
///
/// ```ignore
/// for phase in 0..shared.phases() {
///     shared.part(phase, i)?;
///     barrier.wait();
/// }
/// ```
///
/// The results are there when all parts of all phases have returned. A part that comes twice, or before the phase in
/// front of its own has ended, is refused. What is dropped half done leaves the outputs unfinished.
pub struct SharedStep<'a> {
    target: Target,
    phases: u32,
    count: u32,
    progress: [Progress; PHASES],
    /// Nobody else calls the library on this pool meanwhile.
    _turn: MutexGuard<'a, ()>,
}

enum Target {
    Cache(*mut sys::sa_cache),
    Pool(*mut sys::sa_pool),
}

struct Progress {
    taken: Vec<AtomicBool>,
    done: AtomicU32,
}

// SAFETY: the library lets parts of a phase run at once in any threads, and `part` sees to each coming once, in order.
unsafe impl Sync for SharedStep<'_> {}

impl<'a> SharedStep<'a> {
    pub(crate) fn of_cache(turn: MutexGuard<'a, ()>, c: *mut sys::sa_cache, phases: i32, count: u32) -> Self {
        SharedStep::of(turn, Target::Cache(c), phases, count)
    }

    pub(crate) fn of_pool(turn: MutexGuard<'a, ()>, p: *mut sys::sa_pool, phases: i32, count: u32) -> Self {
        SharedStep::of(turn, Target::Pool(p), phases, count)
    }

    fn of(turn: MutexGuard<'a, ()>, target: Target, phases: i32, count: u32) -> Self {
        let progress = std::array::from_fn(|_| Progress {
            taken: (0..count).map(|_| AtomicBool::new(false)).collect(),
            done: AtomicU32::new(0),
        });
        SharedStep { target, phases: phases as u32, count, progress, _turn: turn }
    }

    /// How many phases there are: 0 (nothing is left to do) .. 3.
    pub fn phases(&self) -> u32 {
        self.phases
    }

    /// Does part `index` of a phase. A phase that the step does not have is empty.
    pub fn part(&self, phase: u32, index: u32) -> Result<()> {
        if phase >= self.phases {
            return Ok(());
        }
        let before = phase.checked_sub(1).map(|p| &self.progress[p as usize]);
        if before.is_some_and(|p| p.done.load(Ordering::Acquire) != self.count) {
            return Err(Error::State("the phase before has not ended: all its parts must have returned"));
        }
        let now = &self.progress[phase as usize];
        match now.taken.get(index as usize) {
            Some(taken) if !taken.swap(true, Ordering::Relaxed) => (),
            _ => return Err(Error::Argument("index must be 0 .. count - 1, each once per phase")),
        }
        let (p, i, n) = (phase as i32, index as i32, self.count as i32);
        // SAFETY: a step has begun and its tensors are borrowed; this part is called once, in its turn.
        let status = unsafe {
            match self.target {
                Target::Cache(c) => sys::sa_step_part(c, p, i, n),
                Target::Pool(pool) => sys::sa_batch_part(pool, p, i, n),
            }
        };
        now.done.fetch_add(1, Ordering::AcqRel);
        plain(status)
    }
}
